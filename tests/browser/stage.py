"""What the pages show: the demo's organizations and partner, and whatever else it takes to see every page."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache

from allauth.account.models import EmailAddress
from django.conf import settings
from django.contrib.auth.hashers import PBKDF2PasswordHasher
from django.contrib.auth.models import Group
from django.test import Client
from django.utils import timezone

from billing.accounts import actors, invitations, members
from billing.accounts import operations as accounts_operations
from billing.accounts import queries as accounts_queries
from billing.accounts.actors import operator
from billing.catalog import operations as catalog_operations
from billing.catalog import parsing
from billing.invoicing import operations as invoicing
from billing.lifecycle import clock, demo, onboard, usage
from billing.lifecycle.purchasing import operations as purchasing
from billing.metering.offers import Offer
from billing.models import Invoice, Organization, Role, User
from billing.notifications.operations import endpoints
from billing.payments import links
from billing.subscriptions import queries as subscriptions_queries
from marketplace.models import Listing
from marketplace.partners import demo as partners_demo
from tests.support.people import PASSWORD

OPERATOR = operator("stage")
# As the catalog that comes with the product, and a plan that is paid for from its first day and soon used up.
SOLO = """
  solo:
    name: Solo
    tagline: For one person
    order: 15
    base_fee: advance
    price: {USD: "9.00", EUR: "8.50", JPY: "1400"}
    credit_price: {USD: "11.00", EUR: "10.20", JPY: "1700"}
    credit_allowance: 20
    sla:
      tier: basic
      version: "2026-1"
      terms: Requests for help are answered within three business days.
    limits: {max_cases: 3}
"""
MARCH = datetime(2026, 3, 1, tzinfo=UTC)
BACK = "http://127.0.0.1/dashboard/"


@dataclass(frozen=True)
class Stage:
    """``people`` by what they are; ``names`` are what stands for the parameters of URLs where nothing else is said."""

    people: Mapping[str, User]
    names: Mapping[str, str]


def set_up() -> Stage:
    now = timezone.now()
    catalog = settings.BILLING_PLANS_FILE.read_text() + SOLO
    catalog_operations.sync(spec=parsing.load(catalog, name="stage"), actor="stage", now=now)
    demo.load_demo(known=None, now=now)
    partners_demo.load(email=demo.LOGIN, now=now)
    sandbox, free = (Organization.objects.get(slug=slug) for slug in ("demo-sandbox", "demo-free"))
    found = {"owner": User.objects.get(email=demo.LOGIN), "stranger": person("stranger@demo.example")}
    confirm(found["owner"])
    for role in (Role.ADMIN, Role.FINANCE, Role.MEMBER):
        found[role.value] = person(f"{role}@demo.example", name=role.title())
        members.set_role(organization=sandbox, user=found[role.value], role=role, actor=OPERATOR)
    for group in ("finance", "support", "catalog", "marketplace"):
        found[f"staff-{group}"] = staff(group)
    found["superuser"] = person("root@staff.example", is_staff=True, is_superuser=True, cleared_regions=["*"])
    return Stage(found, furnish(sandbox, free))


def furnish(sandbox: Organization, free: Organization) -> dict[str, str]:
    """Something on every page; returns the names of what it made."""
    now = timezone.now()
    _invitation, secret = invitations.invite(
        organization=sandbox, email="new@demo.example", role=Role.MEMBER, actor=OPERATOR, now=now
    )
    endpoint, _secret = endpoints.create(
        organization=sandbox, url="https://hooks.example.com/", actor=OPERATOR, now=now
    )
    # Beyond every limit, so that something was refused.
    offers = [Offer(free, "case_created", Decimal(count), key=f"refused:{count}") for count in (90, 20, 30)]
    usage.record(offers, now=now)
    new = accounts_operations.create_organization(slug="demo-new", name="Demo New", actor=OPERATOR)
    empty = accounts_operations.create_organization(slug="demo-empty", name="Demo Empty", actor=OPERATOR)
    owner = User.objects.get(email=demo.LOGIN)
    for each in (new, empty):
        members.set_role(organization=each, user=owner, role=Role.OWNER, actor=OPERATOR)
    drafted = billed("demo-drafted", owner)
    return {
        **_orders(sandbox),
        "slug": sandbox.slug,
        "plan_code": "team",
        "partner_slug": "northwind",
        "listing_slug": "ledger-bridge",
        "image_id": str(Listing.objects.get(slug="ledger-bridge").latest.image_id),
        "token": secret,
        "portal": _token(links.portal(organization=sandbox, return_url=BACK, actor=OPERATOR, now=now)),
        "checkout": _checkout(),
        "endpoint_id": str(endpoint.id),
        "invoice_id": str(Invoice.objects.filter(organization=sandbox).exclude(number=None)[0].id),
        "draft_id": str(Invoice.objects.get(organization=drafted, number=None).id),
    }


def billed(slug: str, owner: User) -> Organization:
    """A sandbox whose first month is over, and its invoice drafted."""
    made = accounts_operations.create_organization(
        slug=slug, name=slug.replace("-", " ").title(), is_sandbox=True, clock_at=MARCH, actor=OPERATOR
    )
    members.set_role(organization=made, user=owner, role=Role.OWNER, actor=OPERATOR)
    onboard.subscribe(organization=made, plan_code="team", actor=OPERATOR, now=MARCH)
    # Two weeks are a trial.
    in_service = datetime(2026, 3, 20, tzinfo=UTC)
    clock.advance(organization=made, to=in_service, actor=OPERATOR)
    made.refresh_from_db()
    usage.record([Offer(made, "llm_context_tokens", Decimal(25_000_000), key="march")], now=in_service)
    clock.advance(organization=made, to=datetime(2026, 4, 15, 1, tzinfo=UTC), actor=OPERATOR)
    return made


def _orders(organization: Organization) -> dict[str, str]:
    """Credits that wait to be paid, and some that were."""
    now, live = accounts_queries.now_for(organization), subscriptions_queries.find_live(organization)
    assert live is not None
    waits, bought = (
        purchasing.order(subscription=live, credits=Decimal(credits), key=credits, actor=OPERATOR, now=now)
        for credits in ("250", "40")
    )
    paid = bought.invoice
    invoicing.pay(invoice=paid, amount_minor=paid.total_minor, reference="bank 7", actor=OPERATOR, now=now)
    link = links.payment(invoice=waits.invoice, return_url=BACK, actor=OPERATOR, now=timezone.now())
    return {
        "purchase_id": str(waits.id),
        "bought_id": str(bought.id),
        "ordered_id": str(waits.invoice_id),
        "order": _token(link),
    }


def _checkout() -> str:
    """A sign-up that waits for its payment."""
    waits = accounts_operations.create_organization(slug="demo-waits", name="Demo Waits", actor=OPERATOR)
    owner = User.objects.get(email=demo.LOGIN)
    members.set_role(organization=waits, user=owner, role=Role.OWNER, actor=OPERATOR)
    now = timezone.now()
    subscription = onboard.subscribe(organization=waits, plan_code="solo", actor=actors.for_user(owner), now=now)
    return _token(links.checkout(subscription=subscription, return_url=BACK, actor=OPERATOR, now=now))


def _token(url: str) -> str:
    return url.rpartition("/")[2]


@cache
def _password() -> str:
    """As the server keeps it, whose settings do not know the quick hashes of tests. Once: it takes a second."""
    return PBKDF2PasswordHasher().encode(PASSWORD, "salt-of-the-stage")


def person(email: str, **fields: object) -> User:
    user = accounts_operations.create_user(email=email, password=PASSWORD)
    User.objects.filter(id=user.id).update(password=_password(), **fields)
    confirm(user)
    user.refresh_from_db()
    return user


def staff(group: str, email: str = "") -> User:
    made = person(email or f"{group}@staff.example", is_staff=True, cleared_regions=["*"])
    made.groups.add(Group.objects.get(name=group))
    return made


def confirm(user: User) -> None:
    EmailAddress.objects.create(user=user, email=user.email, verified=True, primary=True)


def session_of(user: User) -> str:
    """The cookie of somebody who signed in a moment ago, staff with their second factor."""
    client = Client()
    client.force_login(user)
    session = client.session
    session["account_authentication_methods"] = [
        {"method": "password", "at": time.time(), "email": user.email},
        *([{"method": "mfa", "at": time.time(), "type": "totp", "id": 1}] if user.is_staff else []),
    ]
    session["account_authentication_methods_user"] = str(user.pk)
    session.save()
    return str(client.cookies[settings.SESSION_COOKIE_NAME].value)
