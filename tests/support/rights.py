"""The rules of who may do what as documents say them, written down a second time, and everybody to try them."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from django.contrib.auth.models import Group
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver

from billing.accounts import invitations, members, operations
from billing.kernel.ids import new_id
from billing.models import CreditRequest, ProviderInboxEvent, StubCharge, Subscription, UsageDebitHold, User
from examples.casework.models import Case
from tests.support import partners, people, pictures
from tests.support.api import CLI, NOW, World, build
from tests.support.factories import at

CUSTOMER = {"read", "money", "usage", "subscribe", "preview", "keys", "members", "webhooks"}
ROLES = {"member": {"read"}, "finance": {"read", "money", "preview"}, "admin": CUSTOMER, "owner": CUSTOMER}
GROUPS: dict[str, set[str]] = {
    "finance": {"read", "money", "preview", "subscribe", "subscriptions", "credits", "invoices"},
    "support": {"read", "money"},
    "catalog": {"read", "catalog"},
    # Listings are another matter: of organizations and their books it knows nothing.
    "marketplace": {"listings"},
}
KEY_SCOPES = {"read", "usage", "subscribe", "preview", "clock"}
PLATFORM_SCOPES = KEY_SCOPES | {
    *("keys", "webhooks", "subscriptions", "credits", "invoices", "organizations", "catalog", "verify", "providers"),
    "listings",
}
# A key that reads sees money too, and whoever manages subscriptions may also choose plans.
WITH = {"read": {"money"}, "subscriptions": {"subscribe"}}
EVERYTHING = PLATFORM_SCOPES | {"money", "members"}


@dataclass(frozen=True)
class Caller:
    """``of``: "nobody", a "role" or "key" of the own organization, or a "platform" key, "staff", "superuser"."""

    name: str
    of: str
    rights: frozenset[str]
    client: Client
    key: str = ""
    user_id: Any = None

    @property
    def is_person(self) -> bool:
        return self.of in ("role", "staff", "superuser")

    def ask(self, method: str, url: str, body: Any = None, **extra: Any) -> Any:
        headers = {"Authorization": f"Bearer {self.key}"} if self.key else {}
        raw = b"" if body is None else json.dumps(body).encode()
        cookies = copy.copy(self.client.cookies)
        try:
            return self.client.generic(method, url, raw, content_type="application/json", headers=headers, **extra)
        finally:
            # Whoever signs out is there again for the next question.
            self.client.cookies = cookies

    def send(self, url: str, fields: Mapping[str, str]) -> Any:
        """A form."""
        cookies = copy.copy(self.client.cookies)
        try:
            return self.client.post(url, fields, headers={"Authorization": f"Bearer {self.key}"} if self.key else {})
        finally:
            self.client.cookies = cookies


@dataclass
class Stage:
    """Two organizations with one of everything, the other one in another region, and all who may call."""

    world: World
    callers: list[Caller]
    # By the names of parameters in URLs: what is there, what the other organization has, and what nobody has.
    own: Mapping[str, str]
    other: Mapping[str, str]
    missing: Mapping[str, str]

    def telling(self, needs: set[str]) -> list[Caller]:
        """Who is asked about ``needs``: everybody, but of keys the narrowest that has them and the widest that has not.
        Between those two lies one scope."""
        found = [caller for caller in self.callers if caller.of not in ("key", "platform")]
        for of in ("key", "platform"):
            all_of = sorted((caller for caller in self.callers if caller.of == of), key=lambda each: len(each.rights))
            found += [caller for caller in all_of if needs <= caller.rights][:1]
            found += [caller for caller in all_of if not needs <= caller.rights][-1:]
        return found


class Route(NamedTuple):
    path: str
    view: Any


def list_routes() -> list[Route]:
    """Every URL of the project, parameters as ``<name>``."""
    return list(_walk(get_resolver(), ""))


def _walk(resolver: URLResolver, prefix: str) -> Iterator[Route]:
    for each in resolver.url_patterns:
        path = prefix + re.sub(r"<\w+:(\w+)>", r"<\1>", str(each.pattern))
        if isinstance(each, URLResolver):
            yield from _walk(each, path)
        else:
            assert isinstance(each, URLPattern)
            yield Route(path, each.callback)


def set_up() -> Stage:
    world = build()
    type(world.other).objects.filter(id=world.other.id).update(residency_region="us")
    coupon = {"code": "SPRING", "name": "Spring", "percent": 10}
    assert world.platform.post("/billing/coupons", coupon).status == 201
    own, other = (_furnish(world, each) for each in (world.subscription, world.foreign))
    # What belongs to no organization is the same for everybody.
    event = ProviderInboxEvent.objects.create(
        provider="stripe", event_id="evt_1", type="t", occurred_at=NOW, received_at=NOW, next_attempt_at=NOW
    )
    common = {
        "event_reference": str(event.id),
        "coupon_code": "SPRING",
        "plan_code": "team",
        "provider": "stub",
        "export": "ledger",
        "transition": "submit",
        "partner_slug": "northwind",
        "listing_slug": "bridge",
        "image_id": _publish(),
        "uidb36": "x",
        "key": "y-z",
    }
    missing = {name: str(new_id()) for name in own} | {"organization_ref": "nowhere", "slug": "nowhere", "token": "x"}
    return Stage(world, _callers(world), own | common, other | common, missing | common)


def _publish() -> str:
    """A partner's published listing with a picture; returns the picture's id."""
    partner = partners.partner("northwind")
    editor = partners.actor(partners.member(partner))
    return str(partners.published(partner, "bridge", by=editor, image=pictures.png()).latest.image_id)


def signed_in(name: str, user: User, rights: set[str]) -> Caller:
    client = Client()
    people.enter(client, user)
    return Caller(name, "role", frozenset(rights), client, user_id=user.id)


def _furnish(world: World, subscription: Subscription) -> dict[str, str]:
    """One of everything that an organization can have, by the names of parameters."""
    organization, platform = subscription.organization, world.platform
    slug = organization.slug
    base = f"/billing/organizations/{slug}"

    def made(path: str, body: Any) -> Any:
        answer = platform.post(path, body)
        assert answer.status in (200, 201, 202), answer
        return answer.json

    made(f"/billing/subscriptions/{subscription.id}/discount", {"code": "SPRING"})
    used = made("/billing/usage", {"organization": slug, "meter": "tokens", "quantity": 1, "idempotency_key": "u"})
    key = made(f"{base}/keys", {"name": "k", "scopes": ["read"]})
    webhook = made(f"{base}/webhook-endpoints", {"url": "https://hooks.example.com/"})
    message = made(f"{base}/webhook-endpoints/{webhook['id']}/test", {})
    placement = {"organization": slug, "requirements": [{"event": "tokens"}]}
    decision = made("/policy/placements/evaluate", placement)
    # Long enough for the first invoice to be issued, overdue and dunned for.
    made(f"{base}/clock/advance", {"to": "2023-12-20T00:00:00Z"})
    # An expired one could only be looked at.
    held = {"event": "tokens", "quantity": 1, "idempotency_key": "r"}
    reservation = made(f"{base}/quotas/reservations", held)
    invoice = platform.get(f"/billing/subscriptions/{subscription.id}/invoices?status=issued").json["results"][0]
    note = made(
        f"/billing/invoices/{invoice['id']}/credit-notes",
        {"reason": "r", "lines": [{"position": 1, "amount": "1.00"}]},
    )
    purchase = made(f"{base}/credit-purchases", {"credits": 5})
    grants = platform.get(f"/billing/subscriptions/{subscription.id}/credits").json["grants"]
    dunning = platform.get(f"{base}/dunnings").json["results"][0]
    mail = platform.get(f"{base}/mails").json["results"][0]
    portal = made(f"{base}/portal", {})["url"]
    UsageDebitHold.objects.create(
        event_id=used["event"]["id"],
        organization=organization,
        subscription=subscription,
        flags=["review"],
        overage=1,
        credits_due=0,
        held_at=NOW,
    )
    charge = StubCharge.objects.create(
        organization=organization,
        invoice_id=invoice["id"],
        idempotency_key=f"charge of {slug}",
        amount_minor=100,
        currency="USD",
        status="pending",
        created_at=NOW,
    )
    request = CreditRequest.objects.create(
        organization=organization,
        subscription=subscription,
        kind="adjustment",
        credits=50_000,
        reason="r",
        requested_by="cli:grace",
        requested_at=NOW,
        lapses_at=at("2024-01-20"),
    )
    member = operations.create_user(email=f"member.of.{slug}@example.com", password="correct horse battery")
    members.set_role(organization=organization, user=member, role="member", actor=CLI)
    invited, _ = invitations.invite(
        organization=organization, email="asked@example.com", role="member", actor=CLI, now=NOW
    )
    case = Case.objects.create(organization=organization, reference="c", title="c", request_key="c")
    return {
        "organization_ref": slug,
        "slug": slug,
        "subscription_id": str(subscription.id),
        "invoice_id": invoice["id"],
        "credit_note_id": note["id"],
        "dunning_id": dunning["id"],
        "mail_id": mail["id"],
        "key_id": key["id"],
        "user_id": str(member.id),
        "invitation_id": str(invited.id),
        "endpoint_id": webhook["id"],
        "message_id": message["id"],
        "decision_id": decision["id"],
        "reservation_id": reservation["id"],
        "event_id": used["event"]["id"],
        "grant_id": grants[0]["id"],
        "charge_id": str(charge.id),
        "request_id": str(request.id),
        "purchase_id": purchase["id"],
        "case_id": str(case.pk),
        "token": portal.rpartition("/")[2],
    }


def _callers(world: World) -> list[Caller]:
    def keys(of: str, every: set[str]) -> Iterator[Caller]:
        """For each scope the key with it alone, and the one with all that do without it."""
        organization = None if of == "platform" else world.acme
        for scope in sorted(every):
            without = {each for each in every if each != scope and scope not in WITH.get(each, ())}
            for name, scopes in ((scope, {scope}), (f"but {scope}", without)):
                secret = operations.create_key(organization=organization, name="k", scopes=scopes, actor=CLI)[1]
                given = frozenset(scopes.union(*(WITH.get(each, ()) for each in scopes)))
                yield Caller(f"{of} {name}", of, given, Client(), key=secret)

    def person(name: str, of: str, rights: set[str], **fields: Any) -> Caller:
        user = operations.create_user(email=f"{name.replace(' ', '.')}@example.com", password="correct horse battery")
        User.objects.filter(id=user.id).update(**fields)
        if of == "role":
            members.set_role(organization=world.acme, user=user, role=name, actor=CLI)
        if of == "staff":
            user.groups.add(Group.objects.get_or_create(name=name.removeprefix("staff "))[0])
        client = Client()
        people.enter(client, user)
        return Caller(name, of, frozenset(rights), client, user_id=user.id)

    return [
        Caller("nobody", "nobody", frozenset(), Client()),
        *(person(role, "role", rights) for role, rights in ROLES.items()),
        *keys("key", KEY_SCOPES),
        *keys("platform", PLATFORM_SCOPES),
        *(
            person(f"staff {group}", "staff", rights, is_staff=True, cleared_regions=["eu"])
            for group, rights in GROUPS.items()
        ),
        person("superuser", "superuser", EVERYTHING, is_staff=True, is_superuser=True),
    ]
