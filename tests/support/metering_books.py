"""Books in memory, and a decider over them: what the metering tests need where no database is asked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from billing.catalog.compiled import BooleanGuard, CompiledPlan, MeteredGuard, MeterGuards
from billing.kernel.guardrails import Rule
from billing.kernel.periods import Cadence
from billing.metering.books import (
    Books,
    BooksRow,
    GrantRow,
    HeldCredits,
    HoldRow,
    KnownEvent,
    PeriodRow,
    SpanRow,
    SubscriptionRow,
    WindowRow,
)
from billing.metering.decisions import Catalog, Decider
from billing.metering.offers import Offer
from billing.models import Organization

NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)
ORGANIZATION = Organization(id=UUID(int=1), slug="acme")
JANUARY, MARCH_FIRST = (datetime(2026, month, 1, tzinfo=UTC) for month in (1, 3))
SUBSCRIPTION, PLAN, FEBRUARY, MARCH = (UUID(int=number) for number in (2, 3, 202602, 202603))


def on(month: int, day: int, hour: int = 0, minute: int = 0) -> datetime:
    return datetime(2026, month, day, hour, minute, tzinfo=UTC)


def offer(quantity: str = "1", key: str = "a", **fields: Any) -> Offer:
    told: dict[str, Any] = {"organization": ORGANIZATION, "meter": "tokens"} | fields
    return Offer(quantity=Decimal(quantity), key=key, **told)


def limit(amount: str | None = "100", *, cadence: Cadence = Cadence.PERIOD, **fields: Any) -> MeteredGuard:
    """A blocking limit on tokens, unless told otherwise."""
    units = None if amount is None else Decimal(amount)
    told: dict[str, Any] = {"key": "max_tokens", "blocks": True, "credits_per_unit": Decimal(0)} | fields
    return MeteredGuard(entitlement_id=UUID(int=9), limit=units, cadence=cadence, **told)


def over(amount: str | None = "100", *, credits: str = "0", **fields: Any) -> MeteredGuard:
    """A limit beyond which units are sold."""
    told: dict[str, Any] = {"blocks": False, "credits_per_unit": Decimal(credits)} | fields
    return limit(amount, **told)


def plan(*metered: MeteredGuard, booleans: tuple[BooleanGuard, ...] = (), plan_id: UUID = PLAN) -> CompiledPlan:
    return CompiledPlan(
        id=plan_id,
        code="team",
        version=1,
        product="suite",
        credit_rates={},
        guards_by_meter={"tokens": MeterGuards(booleans, metered)},
        meters_by_key={},
        booleans={},
    )


def period(month: int = 3, *, closed: bool = False, **fields: Any) -> PeriodRow:
    told: dict[str, Any] = {
        "id": UUID(int=202600 + month),
        "ordinal": month,
        "kind": "regular",
        "starts_at": on(month, 1),
        "ends_at": on(month + 1, 1),
        "closed_at": on(month + 1, 1) if closed else None,
    }
    return PeriodRow(**told | fields)


def span(starts_at: datetime = JANUARY, ends_at: datetime | None = None, **fields: Any) -> SpanRow:
    told: dict[str, Any] = {"plan_id": PLAN, "content_digest": "digest", "is_paused": False}
    return SpanRow(starts_at=starts_at, ends_at=ends_at, **told | fields)


def grant(credits: str, *, number: int = 1, **fields: Any) -> GrantRow:
    told: dict[str, Any] = {"priority": 10, "starts_at": on(1, 1), "expires_at": None} | fields
    return GrantRow(id=UUID(int=1000 + number), remaining=Decimal(credits), **told)


def subscription(*grants: GrantRow, **fields: Any) -> SubscriptionRow:
    """Active since February, whose invoice is out; March is running."""
    told: dict[str, Any] = {
        "id": SUBSCRIPTION,
        "product": "suite",
        "status": "active",
        "starts_at": on(2, 1),
        "ended_at": None,
        "credit_balance": sum((each.remaining for each in grants), Decimal(0)),
        "entries": len(grants),
        "periods": [period(2, closed=True), period(3)],
        "spans": [span()],
        "grants": list(grants),
    }
    return SubscriptionRow(**told | fields)


def hold(quantity: str, *, at: datetime = NOW, credits: Mapping[int, str] | None = None, **fields: Any) -> HoldRow:
    kept = [HeldCredits(UUID(int=1000 + number), Decimal(amount)) for number, amount in (credits or {}).items()]
    told: dict[str, Any] = {"id": UUID(int=77), "subscription_id": SUBSCRIPTION, "meter": "tokens"} | fields
    return HoldRow(quantity=Decimal(quantity), at=at, credits=kept, **told)


def window(
    used: str, *, cadence: Cadence = Cadence.PERIOD, starts_at: datetime = MARCH_FIRST, **fields: Any
) -> WindowRow:
    told: dict[str, Any] = {
        "id": 1,
        "subscription_id": SUBSCRIPTION,
        "meter": "tokens",
        "overage": Decimal(0),
        "events": 1,
    } | fields
    return WindowRow(cadence=cadence.value, starts_at=starts_at, used=Decimal(used), **told)


def books(
    *subscriptions: SubscriptionRow,
    windows: Iterable[WindowRow] = (),
    holds: Iterable[HoldRow] = (),
    known: Iterable[KnownEvent] = (),
    zone: str = "UTC",
) -> Books:
    return Books(
        BooksRow(
            organization_id=ORGANIZATION.id,
            zone=zone,
            clock_at=None,
            known=list(known),
            subscriptions=list(subscriptions),
            windows=list(windows),
            holds=list(holds),
            products={"tokens": "suite", "calls": "suite"},
        )
    )


def decider(
    *guards: MeteredGuard | BooleanGuard,
    subscriptions: Iterable[SubscriptionRow] | None = None,
    plans: Mapping[UUID, CompiledPlan] | None = None,
    now: datetime = NOW,
    low_percent: int = 0,
    **kept: Any,
) -> Decider:
    """A decider for one subscription on a plan of ``guards``, unless ``subscriptions`` and ``plans`` say otherwise."""
    metered = [guard for guard in guards if isinstance(guard, MeteredGuard)]
    booleans = tuple(guard for guard in guards if isinstance(guard, BooleanGuard))
    known_plans = plans or {PLAN: plan(*metered, booleans=booleans)}
    made = books(*([subscription()] if subscriptions is None else subscriptions), **kept)
    catalog = Catalog(made.row.products, lambda plan_id, _: known_plans[plan_id])
    return Decider(made, catalog, now, low_percent=low_percent)


def flags(**rules: str) -> dict[str, Any]:
    """The guardrail rules of a guard, as its field."""
    return {"guardrails": {flag: Rule(rule) for flag, rule in rules.items()}}


# The least by which two times can differ.
TICK = timedelta(microseconds=1)
