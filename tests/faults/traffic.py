"""A round's organizations, each near one limit, and what a client does to them."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from uuid import UUID

from django.utils import timezone

from billing.accounts import actors
from billing.accounts import operations as accounts_operations
from billing.accounts.actors import Act as Right
from billing.catalog import operations as catalog_operations
from billing.catalog import parsing
from billing.invoicing import operations as invoicing_operations
from billing.lifecycle import onboard
from billing.models import ApiKey, Invoice, Organization, Subscription
from billing.notifications import operations as notifications_operations
from billing.payments import stub
from tests.faults.client import PAUSE_SECONDS, Act, Hand
from tests.faults.journal import Answer, Request

OPERATOR = actors.operator("faults")
PLATFORM = "platform"
LIMITS = {"job": 90, "row": 240, "sized": 300, "slot": 80}
CREDITS = 60
PLANS = ("change_1", "change_2", "change_3")
# Long before any clock that is misread.
AGO = timedelta(hours=6)
CATALOG = f"""
default_plan: limited
events:
  job: [max_jobs]
  row: [max_rows]
  sized: [max_sized]
  slot: [max_slots]
  task: [tasks]
  call: []
plans:
  limited:
    limits:
      max_jobs: {LIMITS["job"]}
      max_rows: {LIMITS["row"]}
      max_sized: {LIMITS["sized"]}
      max_slots: {LIMITS["slot"]}
  credits:
    price: {{USD: "10.00"}}
    credit_price: {{USD: "1.00"}}
    credit_allowance: "{CREDITS}"
    entitlements:
      tasks: {{limit: 100000, cadence: monthly, on_limit: block, credits_per_unit: "1"}}
  change_1: {{price: {{USD: "10.00"}}, credit_price: {{USD: "1.00"}}, credit_allowance: "5"}}
  change_2: {{price: {{USD: "20.00"}}, credit_price: {{USD: "1.00"}}, credit_allowance: "15"}}
  change_3: {{price: {{USD: "30.00"}}, credit_price: {{USD: "1.00"}}, credit_allowance: "25"}}
  advance: {{price: {{USD: "900.00"}}, base_fee: advance}}
"""


@dataclass(frozen=True, slots=True)
class Tenant:
    """One organization of a round. ``meter`` is what it uses up to its limit; ``invoice`` what it pays off."""

    organization: Organization
    subscription: Subscription
    meter: str = ""
    invoice: UUID | None = None

    @property
    def slug(self) -> str:
        return self.organization.slug


@dataclass(frozen=True, slots=True)
class Cast:
    """The tenants of one round by what they are there for, and the secrets of their keys."""

    tenants: dict[str, Tenant]
    keys: dict[str, str]

    @property
    def organizations(self) -> list[Organization]:
        return [tenant.organization for tenant in self.tenants.values()]


def open_catalog() -> str:
    """Make the plans and the platform's key; returns its secret."""
    catalog_operations.sync(spec=parsing.load(CATALOG, name="faults"), actor="faults", now=timezone.now() - 2 * AGO)
    _, secret = accounts_operations.create_key(
        organization=None, name="faults", scopes=[each.value for each in actors.SCOPES], actor=OPERATOR
    )
    return secret


def gather(round_number: int, *, platform_key: str, receiver_url: str) -> Cast:
    """New organizations, each with a key and an endpoint that is told of everything."""
    keys, tenants = {PLATFORM: platform_key}, {}
    now = timezone.now() - AGO
    for kind, plan, meter in (
        ("single", "limited", "job"),
        ("batch", "limited", "row"),
        ("sized", "limited", "sized"),
        ("reserve", "limited", "slot"),
        ("credits", "credits", "task"),
        ("change", PLANS[0], ""),
        ("payer", "advance", ""),
        ("signup", "change_1", ""),
        ("traveller", "credits", "task"),
    ):
        slug = f"r{round_number}-{kind}"
        is_sandbox = kind == "traveller"
        organization = Organization.objects.create(
            slug=slug,
            name=slug,
            residency_region="eu",
            currency="USD",
            is_sandbox=is_sandbox,
            clock_at=now if is_sandbox else None,
        )
        notifications_operations.create(
            organization=organization, url=f"{receiver_url}/{slug}", actor=OPERATOR, now=timezone.now()
        )
        by = actors.for_key(_key(organization, keys)) if kind == "signup" else OPERATOR
        subscription = onboard.subscribe(organization=organization, plan_code=plan, actor=by, now=now)
        invoice = None
        if kind == "payer":
            (draft,) = Invoice.objects.filter(subscription=subscription)
            invoice = invoicing_operations.issue(invoice=draft, actor=OPERATOR, now=timezone.now()).id
        if slug not in keys:
            _key(organization, keys)
        tenants[kind] = Tenant(organization, subscription, meter, invoice)
    return Cast(tenants, keys)


def _key(organization: Organization, keys: dict[str, str]) -> ApiKey:
    key, keys[organization.slug] = accounts_operations.create_key(
        organization=organization, name="faults", scopes=[Right.READ, Right.USAGE, Right.SUBSCRIBE], actor=OPERATOR
    )
    return key


def acts_of(cast: Cast, chance: random.Random, *, scale: float) -> list[Act]:
    """All that is done in a round, in a random order; ``scale`` 1 goes half as far again as the limits are."""
    acts = [act for make in _MAKERS for act in make(cast, chance, scale)]
    chance.shuffle(acts)
    return acts


def use(tenant: Tenant, key: str, quantity: Decimal | int) -> Request:
    body = {"meter": tenant.meter, "quantity": str(quantity), "idempotency_key": key}
    return Request(key, "use", tenant.slug, "/api/billing/usage", body)


def settle(tenant: Tenant, reserved: Request, reservation_id: str, quantity: int) -> Request:
    path = f"/api/billing/organizations/{tenant.slug}/quotas/reservations/{reservation_id}/settle"
    return Request(f"{reserved.key}:settle", "settle", tenant.slug, path, {"quantity": str(quantity)})


def persistent(request: Request) -> Act:
    """As clients are: most try again at once, with the same key, and some send once more what was answered."""

    def act(hand: Hand, chance: random.Random) -> None:
        _persist(hand, request, chance)

    return act


def _persist(hand: Hand, request: Request, chance: random.Random) -> Answer:
    answer = hand.send(request)
    while not answer.is_known:
        time.sleep(PAUSE_SECONDS)
        if chance.random() < 0.4:
            return answer
        answer = hand.send(request)
    if chance.random() < 0.08:
        hand.send(request)
    return answer


Maker = Callable[[Cast, random.Random, float], Iterator[Act]]


def _singles(cast: Cast, chance: random.Random, scale: float) -> Iterator[Act]:
    for kind in ("single", "sized"):
        tenant, offered, number = cast.tenants[kind], Decimal(0), 0
        while offered < LIMITS[tenant.meter] * Decimal("1.5") * Decimal(str(scale)):
            quantity = Decimal(1) if kind == "single" else Decimal(chance.randrange(10, 70)) / 10
            offered, number = offered + quantity, number + 1
            yield persistent(use(tenant, f"{tenant.slug}:{number}", quantity))


def _batches(cast: Cast, chance: random.Random, scale: float) -> Iterator[Act]:
    tenant, offered, number = cast.tenants["batch"], 0, 0
    while offered < LIMITS["row"] * 1.5 * scale:
        size, number = chance.randrange(5, 25), number + 1
        events = [
            {"meter": "row", "quantity": "1", "idempotency_key": f"{tenant.slug}:{each}"}
            for each in range(offered, offered + size)
        ]
        offered += size
        key = f"{tenant.slug}:batch-{number}"
        yield persistent(Request(key, "batch", tenant.slug, "/api/billing/usage", {"events": events}))


def _reservations(cast: Cast, chance: random.Random, scale: float) -> Iterator[Act]:
    tenant = cast.tenants["reserve"]
    path = f"/api/billing/organizations/{tenant.slug}/quotas/reservations"
    for number in range(round(45 * scale)):
        quantity = chance.randrange(1, 6)
        key = f"{tenant.slug}:{number}"
        body = {"event": "slot", "quantity": str(quantity), "expires_in": 3600, "idempotency_key": key}
        yield _reserving(tenant, Request(key, "reserve", tenant.slug, path, body), chance.randrange(0, quantity + 1))


def _reserving(tenant: Tenant, request: Request, took: int) -> Act:
    def act(hand: Hand, chance: random.Random) -> None:
        answer = _persist(hand, request, chance)
        if not answer.is_acked or chance.random() < 0.1:
            # Left open, as by a client that died: somebody else has to settle it.
            return
        then = settle(tenant, request, answer.body["id"], took)
        if not took:
            then = Request(
                f"{request.key}:release", "release", tenant.slug, then.path.replace("/settle", "/release"), {}
            )
        _persist(hand, then, chance)

    return act


def _credits(cast: Cast, chance: random.Random, scale: float) -> Iterator[Act]:
    tenant = cast.tenants["credits"]
    for number in range(round(CREDITS * scale)):
        yield persistent(use(tenant, f"{tenant.slug}:{number}", chance.randrange(1, 4)))
    path = f"/api/billing/subscriptions/{tenant.subscription.id}/credits/adjust"
    for number in range(round(30 * scale)):
        credits = chance.choice((4, 3, -2, -5))
        yield persistent(
            _by_operator(
                tenant, f"{tenant.slug}:adjust-{number}", "adjust", path, {"credits": str(credits), "reason": "x"}
            )
        )


def _changes(cast: Cast, chance: random.Random, scale: float) -> Iterator[Act]:
    tenant = cast.tenants["change"]
    path = f"/api/billing/organizations/{tenant.slug}/subscription"
    for number in range(round(20 * scale)):
        body = {"plan_code": chance.choice(PLANS)}
        yield persistent(_by_operator(tenant, f"{tenant.slug}:change-{number}", "change", path, body))


def _payments(cast: Cast, chance: random.Random, scale: float) -> Iterator[Act]:
    """Money told by hand and by the provider, whose deliveries come once, twice or three times, in any order."""
    tenant = cast.tenants["payer"]
    for number in range(round(15 * scale)):
        key = f"{tenant.slug}:pay-{number}"
        body = {"amount": f"{chance.randrange(1, 9)}.00", "reference": key}
        yield persistent(_by_operator(tenant, key, "pay", f"/api/billing/invoices/{tenant.invoice}/pay", body))
    for number in range(round(15 * scale)):
        reference = f"{tenant.slug}:told-{number}"
        data = {
            "payment": reference,
            "invoice_id": str(tenant.invoice),
            "customer": stub.reference_of(tenant.organization.id),
            "amount": chance.randrange(100, 900),
            "currency": "USD",
        }
        yield from _deliveries(tenant, "payment.succeeded", data, reference, chance)
    new = cast.tenants["signup"]
    confirmed = {"subscription_id": str(new.subscription.id), "customer": stub.reference_of(new.organization.id)}
    yield from _deliveries(new, "signup.confirmed", confirmed, f"{new.slug}:confirmed", chance)


def _deliveries(
    tenant: Tenant, kind: str, data: Mapping[str, object], name: str, chance: random.Random
) -> Iterator[Act]:
    now = timezone.now()
    body = json.loads(stub.event(kind, data, at=now, event_id=name))
    headers = dict(stub.sign(json.dumps(body).encode(), at=now))
    for number in range(chance.choice((1, 2, 3))):
        path = "/api/billing/providers/stub/webhook"
        yield persistent(Request(f"{name}:{number}", kind, tenant.slug, path, body, headers, ""))


def _travels(cast: Cast, chance: random.Random, scale: float) -> Iterator[Act]:
    """A sandbox whose clock goes on by days, past the ends of periods, while it is used."""
    tenant = cast.tenants["traveller"]
    at = tenant.organization.clock_at
    assert at is not None
    path = f"/api/billing/organizations/{tenant.slug}/clock/advance"
    for number in range(round(10 * scale)):
        to = (at + timedelta(days=9 * (number + 1))).isoformat()
        yield persistent(_by_operator(tenant, f"{tenant.slug}:clock-{number}", "clock", path, {"to": to}))
    for number in range(round(30 * scale)):
        yield persistent(use(tenant, f"{tenant.slug}:{number}", chance.randrange(1, 4)))


def _by_operator(tenant: Tenant, key: str, kind: str, path: str, body: dict[str, str]) -> Request:
    return Request(key, kind, tenant.slug, path, body, {"Idempotency-Key": key}, PLATFORM)


_MAKERS: tuple[Maker, ...] = (_singles, _batches, _reservations, _credits, _changes, _payments, _travels)
