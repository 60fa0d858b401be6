"""Two organizations with one of everything, committed, and who calls: what the cases are about.

Cases speak of both by marks such as ``<<own.subscription_id>>``, so that a seed makes the same cases whatever the ids.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from django.conf import settings
from django.test import override_settings
from django.utils import timezone

from billing.accounts import operations
from billing.accounts.actors import ORGANIZATION_KEY_ACTS
from billing.lifecycle import clock, onboard
from billing.models import ApiKey, Invoice, Organization, ProviderInboxEvent
from marketplace.models import Partner
from marketplace.partners.transitions import Step
from tests.support import partners, rights, stripe_payloads
from tests.support.api import CLI, NOW, START, World
from tests.support.factories import at

CSRF = "c" * 32
# The same setting-up for a server of its own process.
ENVIRONMENT = {"BILLING_PROVIDER": "stripe", "BILLING_STRIPE_WEBHOOK_SECRETS": stripe_payloads.SECRET}
MARK = re.compile(r"<<([a-z]+)\.(\w+)>>", re.ASCII)


@dataclass(frozen=True)
class Stage:
    """``names`` are what marks stand for; ``callers`` the headers of each; ``secrets`` are what an answer to one
    organization's key must never hold, by that key's name."""

    names: Mapping[str, str]
    callers: Mapping[str, Mapping[str, str]]
    secrets: Mapping[str, tuple[str, ...]]

    def fill(self, text: str) -> str:
        return MARK.sub(lambda mark: self.names.get(f"{mark[1]}.{mark[2]}", mark[0]), text)

    def fill_bytes(self, raw: bytes) -> bytes:
        return self.fill(raw.decode("latin-1")).encode("latin-1") if b"<<" in raw else raw


def settled() -> override_settings:
    """How the product is set up for the cases: Stripe is known, and the host is an address."""
    return override_settings(
        BILLING_PROVIDER="stripe",
        BILLING_STRIPE_WEBHOOK_SECRETS=[stripe_payloads.SECRET],
        ALLOWED_HOSTS=[*settings.ALLOWED_HOSTS, "127.0.0.1"],
    )


def build() -> Stage:
    """Everything of ``rights.set_up``, and drafts, a listing that waits, and keys that are none any more."""
    stage = rights.set_up()
    world = stage.world
    names = {f"own.{name}": value for name, value in stage.own.items()}
    names |= {f"other.{name}": value for name, value in stage.other.items()}
    names |= {f"missing.{name}": value for name, value in stage.missing.items()}
    event = stripe_payloads.event("climate.order.created", {"id": "order_1"}, at=NOW, event_id="evt_1")
    ProviderInboxEvent.objects.update(body=event)
    summer = world.platform.post("/billing/coupons", {"code": "SUMMER", "name": "Summer", "percent": 5})
    assert summer.status == 201, summer
    for side, subscription in (("own", world.subscription), ("other", world.foreign)):
        organization = subscription.organization
        Organization.objects.filter(id=organization.id).update(billing_email=f"books@{side}.example.com")
        use = {"organization": organization.slug, "meter": "tokens", "quantity": 7, "idempotency_key": "late"}
        used = world.platform.post("/billing/usage", use)
        assert used.status == 201, used
        names |= {
            f"{side}.organization_id": str(organization.id),
            f"{side}.external_id": str(organization.external_id),
            f"{side}.fresh_event_id": used.json["event"]["id"],
            f"{side}.invoice_number": str(Invoice.objects.get(id=names[f"{side}.invoice_id"]).number),
        }
    names |= _third(world)
    editor = partners.actor(partners.member(Partner.objects.get(slug="northwind")))
    waiting = partners.listing(Partner.objects.get(slug="northwind"), "waiting", by=editor)
    partners.step(waiting, Step.SUBMIT, by=editor)
    callers = {
        "platform": {"Authorization": f"Bearer {world.platform.key}"},
        "own": {"Authorization": f"Bearer {world.own.key}"},
        "theirs": {"Authorization": f"Bearer {world.theirs.key}"},
        "reader": {"Authorization": f"Bearer {world.with_scopes('read').key}"},
        "nobody": {},
        "forged": {"Authorization": "Bearer chk_live_" + "A" * 43},
    }
    for name, fields in (("revoked", {"revoked_at": timezone.now()}), ("expired", {"expires_at": timezone.now()})):
        key, secret = operations.create_key(organization=world.acme, name=name, scopes=ORGANIZATION_KEY_ACTS, actor=CLI)
        past = {field: value - timedelta(days=1) for field, value in fields.items()}
        ApiKey.objects.filter(id=key.id).update(**past)
        callers[name] = {"Authorization": f"Bearer {secret}"}
    for role in ("owner", "member"):
        person = next(each for each in stage.callers if each.name == role)
        session = person.client.cookies["sessionid"].value
        callers[role] = {"Cookie": f"sessionid={session}; csrftoken={CSRF}", "X-CSRFToken": CSRF}
        callers[f"{role} without a token"] = {"Cookie": f"sessionid={session}"}
    return Stage(names, callers, _secrets(names))


def _third(world: World) -> dict[str, str]:
    """An organization whose first period has just ended: the others' clocks are too far for a draft."""
    third = operations.create_organization(slug="third", name="Third", is_sandbox=True, clock_at=NOW, actor=CLI)
    subscription = onboard.subscribe(organization=third, plan_code="team", actor=CLI, now=NOW, starts_at=START)
    clock.advance(organization=third, to=at("2023-12-01 02:00:00"), actor=CLI)
    drafted = world.platform.post(f"/billing/subscriptions/{subscription.id}/invoices/draft", {})
    assert drafted.status == 201, drafted
    return {"third.subscription_id": str(subscription.id), "third.draft_id": drafted.json["id"]}


def _secrets(names: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    """Ids of what belongs to the one organization alone."""

    def of(side: str) -> tuple[str, ...]:
        elsewhere = {value for name, value in names.items() if not name.startswith(f"{side}.")}
        return tuple(
            sorted(
                value
                for name, value in names.items()
                if name.startswith(f"{side}.") and len(value) == 36 and value not in elsewhere
            )
        )

    elsewhere = of("other") + of("third")
    return dict.fromkeys(("own", "reader", "owner", "member"), elsewhere) | {"theirs": of("own") + of("third")}
