"""Recording and checking use, with the renewals that it meets on the way.

A period that ended a moment ago must not refuse its customer until the sweep has come by: who meets a renewal that is
due runs it, and goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TypeVar

from django.db import transaction

from billing.accounts.actors import system
from billing.infra import locks
from billing.invoicing import operations as invoicing_operations
from billing.kernel.errors import Busy
from billing.lifecycle import renew
from billing.metering import judging, operations, queries
from billing.metering.decisions import RenewalDue
from billing.metering.judging import Judgement
from billing.metering.offers import GuardReading, Offer, Outcome
from billing.models import Organization

LATE_USE = system("late-use")
Answer = TypeVar("Answer")


class RenewalStuck(Busy):
    """The subscription's next period could not be begun, so nothing can be counted in it yet."""

    code = "renewal_stuck"


def record(offers: Sequence[Offer], *, now: datetime) -> list[Outcome]:
    """As ``metering.operations.record``, and the final invoice of use that was told after its subscription's last one.

    Raises ``RenewalStuck`` where a period is missing that renewal does not give.
    """
    outcomes = renewing(lambda: operations.record(offers, now=now), [offer.organization for offer in offers], now)
    closed = {each.event.billed_period_id for each in outcomes if each.bills_closed and each.event is not None}
    if closed:
        invoicing_operations.draft_finals(period_ids=closed, actor=LATE_USE, now=now)
    return outcomes


def preview(offer: Offer, *, now: datetime) -> Outcome:
    """What ``record`` would answer; counts nothing."""
    return renewing(lambda: queries.preview(offer, now=now), [offer.organization], now)


def judge(offers: Sequence[Offer], *, now: datetime) -> list[Judgement]:
    """What ``record`` would answer to one organization's offers, and what stands before them; counts nothing."""
    return renewing(lambda: judging.judge(offers, now=now), [offer.organization for offer in offers], now)


def read_guards(organization: Organization, meter: str, *, now: datetime) -> tuple[GuardReading, ...]:
    """All guards of a declared meter as they stand; none without a subscription in service."""
    return renewing(lambda: queries.read_guards(organization, meter, now=now), [organization], now) or ()


def renewing(act: Callable[[], Answer], organizations: Sequence[Organization], now: datetime) -> Answer:
    try:
        return act()
    except RenewalDue:
        # All locks at once and in order: inside a caller's transaction they are kept, and two callers could cross.
        with transaction.atomic():
            locks.lock_organizations(each.id for each in organizations)
            clocks = Organization.objects.filter(id__in={each.id for each in organizations})
            for organization_id, clock_at in clocks.values_list("id", "clock_at"):
                renew.renew_due(organization_id=organization_id, now=clock_at or now)
    try:
        return act()
    except RenewalDue as stuck:
        raise RenewalStuck("The subscription's next period has not begun yet; try again.") from stuck
