"""What was refused lately, by note and hour, and what would lift each reason now. Reads only."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from billing.catalog import queries as catalog_queries
from billing.catalog.compiled import CompiledPlan
from billing.infra import refusals
from billing.lifecycle import remedies, usage
from billing.lifecycle.remedies import Need, Remedy
from billing.metering import decisions
from billing.metering.offers import Offer, Refusal
from billing.models import (
    LIVE,
    Organization,
    PolicyDecision,
    RefusalCount,
    Status,
    Subscription,
)

QUOTA, FEATURE = "billing:quota-exceeded:", "billing:feature-disabled:"
MISSING, PAST_DUE = decisions.MISSING, "billing:subscription-past-due"
ROWS_MAX = 2000
NEEDS_MAX = 20


@dataclass(frozen=True, slots=True)
class Hour:
    starts_at: datetime
    count: int


@dataclass(frozen=True, slots=True)
class Reason:
    """One note: how often it was given, by hour with the last first, and what would lift it. ``passes`` tells that one
    more would be admitted now; ``remedies`` are for one that would not."""

    note: str
    count: int
    hours: tuple[Hour, ...]
    passes: bool = False
    remedies: tuple[Remedy, ...] = field(default=())


def list_reasons(organization: Organization, *, since: datetime, now: datetime) -> list[Reason]:
    """The reasons of refusals since ``since``, the most frequent first. ``now`` is real time.

    A change of plan is told where the cheapest plan lifts all the reasons of its product together.
    """
    rows = RefusalCount.objects.filter(
        organization_id=organization.id, hour_at__gte=since, hour_at__gt=refusals.TOTAL_AT
    ).order_by("-hour_at", "note")
    hours: dict[str, list[Hour]] = defaultdict(list)
    for note, at, count in rows.values_list("note", "hour_at", "count")[:ROWS_MAX]:
        hours[note].append(Hour(at, count))
    lifted = _lift(organization, sorted(hours), now=now)
    found = [
        Reason(note, sum(hour.count for hour in each), tuple(each), *lifted.get(note, (False, ())))
        for note, each in hours.items()
    ]
    return sorted(found, key=lambda reason: (-reason.count, reason.note))


def list_decisions(organization: Organization, *, since: datetime, limit: int) -> list[PolicyDecision]:
    """Policy decisions that blocked since ``since``, the last first."""
    return list(
        PolicyDecision.objects.filter(organization=organization, allowed=False, recorded_at__gte=since).order_by(
            "-recorded_at", "-id"
        )[:limit]
    )


def _lift(
    organization: Organization, notes: Sequence[str], *, now: datetime
) -> Mapping[str, tuple[bool, tuple[Remedy, ...]]]:
    """For each note that a plan gave: whether one more would pass now, and if not, what would help."""
    given = [note for note in notes if note.startswith((QUOTA, FEATURE)) or note in (MISSING, PAST_DUE)][:NEEDS_MAX]
    if not given:
        return {}
    live = _find_live(organization)
    if live is not None and live.status in remedies.UNSERVED:
        return {note: (False, ({"action": remedies.UNSERVED[Status(live.status)]},)) for note in given}
    needs = _needs(organization, live, given, now=now)
    asked = list({id(need): need for need in needs.values()}.values())
    is_refused = any(need.refusal for need in asked)
    offered = remedies.list_remedies(organization, asked, now=now, known=live) if is_refused else [[] for _ in asked]
    help_of = {id(need): tuple(each) for need, each in zip(asked, offered, strict=True)}
    return {note: (need.refusal is None, help_of[id(need)]) for note, need in needs.items()}


def _find_live(organization: Organization) -> Subscription | None:
    return (
        Subscription.objects.select_related("organization", "plan", "marketplace")
        .filter(organization=organization, status__in=LIVE)
        .first()
    )


def _needs(
    organization: Organization, live: Subscription | None, notes: Sequence[str], *, now: datetime
) -> dict[str, Need]:
    """What each note asks for: one more of its meter, judged once for all notes of that meter, or the entitlement."""
    plan = catalog_queries.compiled_plan(live.plan_id, live.plan.content_digest) if live else None
    meters = {note: meter for note in notes if (meter := _meter(plan, _key(note)))}
    offers = {
        meter: Offer(organization, meter, Decimal(1), key=meter, source="dashboard")
        for meter in dict.fromkeys(meters.values())
    }
    judged = usage.judge(list(offers.values()), now=now) if offers else []
    by_meter = {
        meter: Need(offer, each.outcome.refusal.entitlement if each.outcome.refusal else "",
                    each.outcome.refusal, each.standing)
        for (meter, offer), each in zip(offers.items(), judged, strict=True)
    }  # fmt: skip
    return {
        note: by_meter[meters[note]] if note in meters else Need(None, _key(note), _refusal(note, plan), None)
        for note in notes
    }


def _meter(plan: CompiledPlan | None, key: str) -> str:
    """What a metered entitlement guards; a boolean one guards no meter of its own."""
    return plan.meters_by_key[key][0] if plan and key in plan.meters_by_key and key not in plan.booleans else ""


def _key(note: str) -> str:
    return note.removeprefix(QUOTA).removeprefix(FEATURE) if note.startswith((QUOTA, FEATURE)) else ""


def _refusal(note: str, plan: CompiledPlan | None) -> Refusal | None:
    """What stands against it now, where no use of an event is to be judged."""
    if plan is None:
        return Refusal("subscription_missing", MISSING, "")
    key = _key(note)
    return None if not key or plan.booleans.get(key) else Refusal("feature_disabled", note, "", key)
