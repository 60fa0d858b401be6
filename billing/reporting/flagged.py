"""Use by guardrail flag in one calendar month, for a page: the totals from windows, and only the events that bear a
flag, or that took such use back, are read. ``guardrails.report`` reads all events, and knows their credits too."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from django.db.models import Count, F, Q, Sum
from django.db.models.functions import Coalesce

from billing.kernel.decimals import ZERO
from billing.kernel.periods import Cadence, Span
from billing.models import MARKED, Meter, Organization, UsageDebitHold, UsageEvent, UsageWindow

_FIRST_HAND = Q(reverses=None, clears=None)
Flags = tuple[str, ...]


@dataclass(slots=True)
class Use:
    """``events`` counts uses; quantities and credits are what is left of them. The last two are debits that wait.

    ``credits_due`` is None where it takes reading all events: for use without a flag, and in all.
    """

    events: int = 0
    quantity: Decimal = ZERO
    overage: Decimal = ZERO
    credits_due: Decimal | None = ZERO
    held_overage: Decimal = ZERO
    held_credits: Decimal = ZERO


@dataclass(frozen=True, slots=True)
class MeterUse:
    """``by_flags``: each use once, by the flags that it bore together, those without one first."""

    meter: str
    by_flags: tuple[tuple[Flags, Use], ...]
    total: Use


def month(organization: Organization, span: Span) -> list[MeterUse]:
    """``span`` is a calendar month of the organization's zone. By meter, four statements."""
    marked, undone = _marked(organization, span)
    found = []
    for meter, events, quantity, overage in _totals(organization, span):
        flagged = {flags: use for (of, flags), use in marked.items() if of == meter and flags}
        # An event in the window is a use, or what became of one later.
        total = Use(events - undone[meter], quantity, overage, None)
        total.held_overage = sum((use.held_overage for use in flagged.values()), ZERO)
        total.held_credits = sum((use.held_credits for use in flagged.values()), ZERO)
        bare = Use(
            total.events - sum(use.events for use in flagged.values()),
            total.quantity - sum((use.quantity for use in flagged.values()), ZERO),
            total.overage - sum((use.overage for use in flagged.values()), ZERO),
            None,
        )
        rows: list[tuple[Flags, Use]] = [((), bare)] if bare.events or not flagged else []
        found.append(MeterUse(meter, (*rows, *sorted(flagged.items())), total))
    return found


def _totals(organization: Organization, span: Span) -> Iterable[tuple[str, int, Decimal, Decimal]]:
    """Events, quantity and overage of each meter that was used."""
    return (
        UsageWindow.objects.filter(
            organization=organization,
            meter__in=Meter.objects.values("code"),
            cadence=Cadence.MONTHLY.value,
            starts_at=span.starts_at,
        )
        .values_list("meter_id")
        .annotate(Sum("events"), Sum("used"), Sum("overage"))
        .order_by("meter_id")
    )


def _marked(organization: Organization, span: Span) -> tuple[dict[tuple[str, Flags], Use], dict[str, int]]:
    """Use by meter and flags, of events with a flag and of what was done to earlier ones; and how many by meter are no
    uses of their own."""
    events = UsageEvent.objects.filter(
        MARKED, organization=organization, occurred_at__gte=span.starts_at, occurred_at__lt=span.ends_at
    )
    rows = (
        events.annotate(flags=Coalesce("reverses__guardrail_flags", "clears__guardrail_flags", "guardrail_flags"))
        .order_by()
        .values_list("meter_id", "flags")
        .annotate(
            uses=Count("id", filter=_FIRST_HAND),
            events=Count("id"),
            used=Sum("quantity"),
            beyond=Sum("overage"),
            due=Sum("credits_due"),
        )
    )
    found: dict[tuple[str, Flags], Use] = defaultdict(Use)
    undone: dict[str, int] = defaultdict(int)
    for meter, flags, uses, all_events, quantity, overage, credits_due in rows:
        use = found[meter, tuple(sorted(set(flags)))]
        use.events += uses
        use.quantity += quantity
        use.overage += overage
        use.credits_due = (use.credits_due or ZERO) + credits_due
        undone[meter] += all_events - uses
    held = (
        UsageDebitHold.objects.filter(
            organization=organization,
            resolution=None,
            event__occurred_at__gte=span.starts_at,
            event__occurred_at__lt=span.ends_at,
        )
        .values_list(F("event__meter_id"), F("event__guardrail_flags"))
        .annotate(Sum("overage"), Sum("credits_due"))
    )
    for meter, flags, overage, credits_due in held:
        use = found[meter, tuple(sorted(set(flags)))]
        use.held_overage += overage
        use.held_credits += credits_due
    return found, undone
