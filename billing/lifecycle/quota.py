"""Enforcing a quota: one question, one structured answer."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

from billing.catalog import queries as catalog_queries
from billing.infra import refusals
from billing.kernel.decimals import ZERO, bounded, plain
from billing.kernel.errors import Busy, Conflict, Invalid, LimitExceeded
from billing.kernel.periods import LIFETIME
from billing.lifecycle import remedies, usage
from billing.metering import decisions, flaws
from billing.metering.offers import GuardReading, Offer, Outcome, Refusal
from billing.models import Organization, Status, Subscription
from billing.subscriptions import queries as subscriptions_queries


class UsageInvalid(Invalid):
    """The use offered contradicts a rule whatever the quota: undeclared meter, quantity, or time."""

    code = "usage_invalid"


class EntitlementAmbiguous(Invalid):
    """The entitlement guards no event or several, so recording through it does not say what to count."""

    code = "entitlement_ambiguous"


class IdempotencyConflict(Conflict):
    """The key was used before, for something else."""

    code = "idempotency_conflict"


@dataclass(frozen=True, slots=True)
class BillingQuotaOutcome:
    """May they, and why not. ``notes`` are the ``billing:…`` strings of the source documents.

    The figures are of ``entitlement``: the one asked for, else the one that refused, else the one with least left. They
    are as they stand after the call, so a recorded use is in ``used`` and a checked one is not. ``limit`` and
    ``remaining`` None mean unlimited.
    """

    allowed: bool
    notes: tuple[str, ...] = ()
    code: str = ""
    message: str = ""
    entitlement: str = ""
    meter: str = ""
    quantity: Decimal = ZERO
    limit: Decimal | None = None
    used: Decimal = ZERO
    reserved: Decimal = ZERO
    remaining: Decimal | None = None
    cadence: str = ""
    window_starts_at: datetime | None = None
    window_ends_at: datetime | None = None
    resets_at: datetime | None = None
    remedies: tuple[dict[str, str], ...] = ()
    recorded: bool = False
    duplicate: bool = False
    event_id: UUID | None = None

    def as_dict(self) -> dict[str, Any]:
        """Plain values for the wire: decimals as strings, the window as one object."""
        fields: dict[str, Any] = {name: getattr(self, name) for name in self.__slots__}
        for name in ("quantity", "limit", "used", "reserved", "remaining"):
            fields[name] = None if fields[name] is None else plain(fields[name])
        starts_at, ends_at = fields.pop("window_starts_at"), fields.pop("window_ends_at")
        fields["window"] = {"starts_at": starts_at, "ends_at": ends_at} if starts_at else None
        return fields


class PlanLimitError(LimitExceeded):
    """The plan says no: a limit, a feature that is not in it, credits that are gone, or no subscription at all.

    ``outcome`` tells which, and what would make it pass.
    """

    code = "plan_limit_exceeded"

    def __init__(self, outcome: BillingQuotaOutcome) -> None:
        super().__init__(outcome.message, reason=outcome.code)
        self.outcome = outcome

    def as_dict(self) -> dict[str, str]:
        return {"error": self.code, "detail": self.message}


def enforce(
    organization: Organization,
    *,
    now: datetime,
    event: str = "",
    entitlement: str = "",
    quantity: Decimal = Decimal(1),
    record_usage: bool = False,
    key: str | None = None,
    source: str = "api",
    occurred_at: datetime | None = None,
) -> BillingQuotaOutcome:
    """Decide ``quantity`` of an event, or of the event that an entitlement guards, and count it if asked to.

    Exactly one of ``event`` and ``entitlement`` is given. Not counting changes nothing. Every no is an outcome with
    notes, a busy lock included (``billing:error:busy``). Raises ``UsageInvalid``, ``EntitlementAmbiguous``,
    ``IdempotencyConflict``.
    """
    quantity = _quantity(quantity)
    meter = event
    if entitlement:
        found = find_meter_of(organization, entitlement, record_usage=record_usage)
        if not isinstance(found, str):
            if record_usage and not found.allowed:
                refusals.count(organization.id, found.notes, organization.clock_at or now)
            return found
        meter = found
    offer = Offer(organization, meter, quantity, (key or str(uuid4())) if record_usage else "", source, occurred_at)
    try:
        outcome = usage.record([offer], now=now)[0] if record_usage else usage.preview(offer, now=now)
    except Busy as busy:
        note = f"billing:error:{busy.code.replace('_', '-')}"
        return BillingQuotaOutcome(
            False,
            notes=(note,),
            code=busy.code,
            message=busy.message,
            entitlement=entitlement,
            meter=meter,
            quantity=quantity,
            remedies=({"action": "retry"},),
        )
    return answer(outcome, entitlement, record_usage=record_usage, now=now)


def passed(outcome: BillingQuotaOutcome) -> BillingQuotaOutcome:
    """``outcome`` if it is a yes. Raises ``PlanLimitError``, or ``Busy`` where it was none of the plan's doing."""
    if outcome.allowed:
        return outcome
    if outcome.notes[0].startswith("billing:error:"):
        raise Busy(outcome.message, note=outcome.notes[0])
    raise PlanLimitError(outcome)


def is_event(name: str) -> bool:
    """Whether ``name`` is a declared event; any other name means an entitlement."""
    return flaws.is_storable(name, flaws.NAME_LENGTH_MAX) and catalog_queries.find_meter(name) is not None


def _standing(organization: Organization, meter: str, now: datetime) -> tuple[GuardReading, ...]:
    try:
        return usage.read_guards(organization, meter, now=now)
    except Busy:
        # What was counted before stays counted, though nothing new can be just now.
        return ()


def _quantity(quantity: Decimal) -> Decimal:
    try:
        quantity = bounded(quantity)
    except ValueError as error:
        raise UsageInvalid(f"quantity {error}.", field="quantity") from error
    if quantity <= ZERO:
        raise UsageInvalid("quantity must be more than 0.", field="quantity")
    return quantity


def find_meter_of(organization: Organization, key: str, *, record_usage: bool) -> str | BillingQuotaOutcome:
    """The event that entitlement ``key`` guards, or the answer where the entitlement alone decides."""
    served = subscriptions_queries.list_served_versions(organization)
    plans = [catalog_queries.compiled_plan(plan_id, content_digest) for plan_id, content_digest in served]
    if not plans:
        return _unserved(organization, key)
    plan = next((each for each in plans if key in each.meters_by_key), None)
    if plan is None:
        return _refused(
            organization,
            Refusal("feature_disabled", f"billing:feature-disabled:{key}", f"The plan does not list {key}.", key),
        )
    meters = plan.meters_by_key[key]
    if key not in plan.booleans:
        return meters[0]
    if not plan.booleans[key]:
        return _refused(
            organization,
            Refusal("feature_disabled", f"billing:feature-disabled:{key}", f"The plan does not include {key}.", key),
        )
    if not record_usage:
        return BillingQuotaOutcome(True, entitlement=key)
    if len(meters) != 1:
        raise EntitlementAmbiguous(f"{key} guards {len(meters)} events: name the event instead.", field="entitlement")
    return meters[0]


def _unserved(organization: Organization, key: str) -> BillingQuotaOutcome:
    is_past_due = Subscription.objects.filter(organization=organization, status=Status.PAST_DUE).exists()
    refusal = (
        decisions.past_due()
        if is_past_due
        else Refusal("subscription_missing", decisions.MISSING, "There is no subscription.")
    )
    return _refused(organization, refusal._replace(entitlement=key))


def _refused(organization: Organization, refusal: Refusal) -> BillingQuotaOutcome:
    return BillingQuotaOutcome(
        False,
        notes=refusal.notes,
        code=refusal.code,
        message=refusal.message,
        entitlement=refusal.entitlement,
        remedies=_remedies(organization, "", refusal, None),
    )


_UNSERVED = ("subscription_missing", "subscription_past_due")
_FIELDS = {
    "meter_undeclared": "event",
    "quantity_invalid": "quantity",
    "key_invalid": "idempotency_key",
    "source_invalid": "source",
}


def answer(outcome: Outcome, entitlement: str, *, record_usage: bool, now: datetime) -> BillingQuotaOutcome:
    """What became of one offer, as the answer to who asked for ``entitlement`` (empty: for the event).

    Raises ``UsageInvalid`` and ``IdempotencyConflict``, which no plan could change.
    """
    refusal = outcome.refusal
    if outcome.status == "duplicate":
        # Nothing was decided anew; how the guards stand is still part of the answer.
        outcome = outcome._replace(guards=_standing(outcome.offer.organization, outcome.offer.meter, now))
    if outcome.status == "conflict":
        raise IdempotencyConflict(outcome.message, field="idempotency_key")
    if refusal is not None and refusal.note.startswith("billing:error:"):
        raise UsageInvalid(refusal.message, field=_FIELDS.get(refusal.code, "occurred_at"), reason=refusal.code)
    reading = _reading(outcome, entitlement)
    if reading and reading.is_metered and refusal is None and not record_usage:
        # A check decides as if it counted; what it shows is what was counted.
        reading = reading._replace(used=reading.used - outcome.offer.quantity)
    resets_at = reading.ends_at if reading and reading.ends_at != LIFETIME.ends_at else None
    return BillingQuotaOutcome(
        allowed=refusal is None,
        notes=outcome.notes,
        code=outcome.code,
        message=outcome.message,
        entitlement=reading.key if reading else entitlement,
        meter=outcome.offer.meter,
        quantity=outcome.offer.quantity,
        limit=reading.limit if reading else None,
        used=reading.used if reading else ZERO,
        reserved=reading.reserved if reading else ZERO,
        remaining=reading.remaining if reading and reading.is_metered else None,
        cadence=reading.cadence if reading else "",
        window_starts_at=reading.starts_at if reading else None,
        window_ends_at=reading.ends_at if reading else None,
        resets_at=resets_at,
        remedies=_remedies(outcome.offer.organization, outcome.offer.meter, refusal, resets_at) if refusal else (),
        recorded=record_usage and refusal is None,
        duplicate=outcome.status == "duplicate",
        event_id=outcome.event.id if record_usage and outcome.event else None,
    )


def _reading(outcome: Outcome, entitlement: str) -> GuardReading | None:
    wanted = entitlement or (outcome.refusal.entitlement if outcome.refusal else "")
    for reading in outcome.guards:
        if reading.key == wanted:
            return reading
    limited = [reading for reading in outcome.guards if reading.is_metered]
    return min(limited, key=lambda r: (r.remaining is None, r.remaining or ZERO), default=None)


def _remedies(
    organization: Organization, meter: str, refusal: Refusal, resets_at: datetime | None
) -> tuple[dict[str, str], ...]:
    """What would make it pass, most immediate first."""
    if refusal.code in _UNSERVED:
        return tuple(remedies.find_unserved(organization, meter)) or ({"action": "subscribe"},)
    waits = ({"action": "wait", "until": resets_at.isoformat().replace("+00:00", "Z")},) if resets_at else ()
    if refusal.code == "insufficient_credits":
        return ({"action": "buy_credits"}, *waits, {"action": "change_plan"})
    return (*waits, {"action": "change_plan"})
