"""Guardrail flags by plan rule: noted, held until somebody decides, or free. Never debited twice, never before."""

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from billing.accounts import actors
from billing.accounts.actors import NotAllowed
from billing.credits.operations import InsufficientCredits
from billing.invoicing import verifying
from billing.lifecycle import adjust, cancel, clock, guardrails, onboard, reversal, usage
from billing.lifecycle.guardrails import ReasonMissing
from billing.metering.holding import HoldCleared, HoldNotFound, HoldRejected
from billing.metering.offers import EventView, Offer
from billing.metering.reversing import ReversalExceedsEvent, ReversalOfDebit
from billing.models import (
    AuditEntry,
    CreditGrant,
    GrantKind,
    Invoice,
    InvoiceKind,
    InvoiceLine,
    Organization,
    Resolution,
    Subscription,
    UsageCharge,
    UsageDebitHold,
    UsageDebitResolution,
    UsageEvent,
    UsageWindow,
)
from billing.reporting import metrics
from billing.reporting.doctor import verify
from tests.support import catalogs, factories
from tests.support import guardrails as guarded

pytestmark = pytest.mark.django_db
START = factories.at("2026-03-01")
OPERATOR = actors.operator("test")


@pytest.fixture
def organization() -> Organization:
    guarded.sync()
    return factories.sandbox(clock_at=START)


@pytest.fixture
def subscription(organization: Organization) -> Subscription:
    return onboard.subscribe(organization=organization, plan_code="team", actor=OPERATOR, now=START)


Use = Callable[..., EventView]


@pytest.fixture
def use(organization: Organization, subscription: Subscription) -> Use:
    def one(quantity: str | int, *flags: str, meter: str = "tokens", **fields: Any) -> EventView:
        number = UsageEvent.objects.count()
        offer = Offer(organization, meter, Decimal(quantity), f"use-{number}", guardrail_flags=flags, **fields)
        (outcome,) = usage.record([offer], now=START)
        assert outcome.event is not None, outcome
        return outcome.event

    return one


def clear(organization: Organization, event: EventView) -> UsageDebitResolution:
    return guardrails.clear(organization=organization, event_id=event.id, actor=OPERATOR, reason="looked at", now=START)


def reject(organization: Organization, event: EventView) -> UsageDebitResolution:
    return guardrails.reject(organization=organization, event_id=event.id, actor=OPERATOR, reason="not ours", now=START)


def balance(subscription: Subscription) -> Decimal:
    subscription.marketplace.refresh_from_db()
    return subscription.marketplace.credit_balance


def windows(meter: str = "tokens") -> set[tuple[Decimal, Decimal]]:
    return {(each.used, each.overage) for each in UsageWindow.objects.filter(meter_id=meter)}


def charged() -> list[tuple[Decimal, Decimal]]:
    return [
        (each.overage, each.credit_deficit)
        for each in UsageCharge.objects.order_by("id")
        if each.overage or each.credit_deficit
    ]


def figures(event: UsageEvent | None) -> tuple[Decimal, ...]:
    assert event is not None
    return event.quantity, event.overage, event.credits_due, event.credits_paid


def overage_lines(invoice: Invoice) -> list[InvoiceLine]:
    return list(invoice.lines.filter(charge="overage"))


def advance(organization: Organization, to: str) -> None:
    clock.advance(organization=organization, to=factories.at(to), actor=OPERATOR)
    organization.refresh_from_db()


def test_a_flag_that_annotates_stands_on_the_event_and_changes_nothing(use: Use) -> None:
    event = use(1200, "drift", "never_heard_of")
    assert (event.overage, event.credits_paid) == (200, 10)
    assert UsageEvent.objects.get().guardrail_flags == ["drift", "never_heard_of"]
    assert not UsageDebitHold.objects.exists()


def test_a_waived_use_is_counted_and_costs_nothing(use: Use, subscription: Subscription) -> None:
    event = use(1200, "vendor_fault", "review")
    assert (event.overage, event.credits_due, event.credits_paid) == (0, 0, 0)
    assert windows() == {(1200, 0)}
    assert (balance(subscription), charged()) == (10, [])
    assert not UsageDebitHold.objects.exists()
    # It took its part of what is included.
    assert use(1).overage == 1
    assert verify() == []


def test_a_held_use_is_counted_and_its_debit_waits(use: Use, subscription: Subscription) -> None:
    event = use(1200, "drift", "review")
    assert (event.overage, event.credits_due) == (0, 0)
    assert windows() == {(1200, 0)}
    assert (balance(subscription), charged()) == (10, [])
    hold = UsageDebitHold.objects.get()
    assert (hold.event_id, hold.flags, hold.overage, hold.credits_due) == (event.id, ["review"], 200, 10)
    assert verify() == []


@pytest.mark.parametrize("spelling", ["Review", " review", "REVIEW "])
def test_no_spelling_slips_past_a_hold(use: Use, spelling: str) -> None:
    assert use(1200, spelling).overage == 0
    assert UsageDebitHold.objects.get().overage == 200


def test_use_that_costs_nothing_holds_nothing(use: Use) -> None:
    use(1, "review", meter="case_created")
    assert not UsageDebitHold.objects.exists()


def test_a_held_use_is_admitted_by_the_same_limits(organization: Organization, use: Use) -> None:
    use(5, "review", meter="task_run")
    offer = Offer(organization, "task_run", Decimal(1), "over", guardrail_flags=("review",))
    (outcome,) = usage.record([offer], now=START)
    assert outcome.code == "quota_exceeded"


def test_a_cleared_debit_is_made_then_and_once(
    organization: Organization, use: Use, subscription: Subscription
) -> None:
    event = use(1200, "review")
    first = clear(organization, event)
    assert (first.state, first.quantity) == (Resolution.CLEARED, 1200)
    assert figures(first.booked) == (0, 200, 10, 10)
    assert windows() == {(1200, 200)}
    assert (balance(subscription), charged()) == (0, [(200, 0)])
    again = clear(organization, event)
    assert (again.pk, again.booked_id) == (first.pk, first.booked_id)
    assert UsageEvent.objects.count() == 2
    entry = AuditEntry.objects.get(act="guardrail.clear")
    assert (entry.actor, entry.reason, entry.details["overage"]) == (OPERATOR.name, "looked at", "200")
    assert verify() == []


def test_credits_that_are_gone_by_then_are_owed(organization: Organization, use: Use) -> None:
    event = use(900, "review")
    use(700, "drift")
    assert figures(clear(organization, event).booked) == (0, 0, 9, Decimal("9"))  # 1 of 10 went: 100 inside units
    assert verify() == []


def test_what_credits_do_not_pay_goes_on_the_invoice(
    organization: Organization, use: Use, subscription: Subscription
) -> None:
    event = use(900, "review")
    adjust.adjust(subscription=subscription, credits=Decimal(-6), actor=OPERATOR, reason="test", now=START)
    assert figures(clear(organization, event).booked) == (0, 0, 9, 4)
    assert charged() == [(0, 5)]
    assert verify() == []


def test_a_plan_that_blocks_without_credits_clears_when_there_are_some(
    organization: Organization, use: Use, subscription: Subscription
) -> None:
    event = use(4, "review", meter="task_run")
    adjust.adjust(subscription=subscription, credits=Decimal(-8), actor=OPERATOR, reason="test", now=START)
    with pytest.raises(InsufficientCredits):
        clear(organization, event)
    assert not UsageDebitResolution.objects.exists()
    adjust.adjust(subscription=subscription, credits=Decimal(2), actor=OPERATOR, reason="test", now=START)
    assert figures(clear(organization, event).booked) == (0, 0, 4, 4)
    assert balance(subscription) == 0
    assert verify() == []


def test_no_held_debit_is_on_an_invoice_before_it_is_cleared_and_then_on_the_next(
    organization: Organization, use: Use
) -> None:
    event = use(1200, "review")
    advance(organization, "2026-04-05")
    march = Invoice.objects.get(starts_at=START)
    assert (march.status, overage_lines(march)) == ("issued", [])
    booked = clear(organization, event).booked
    assert booked is not None
    advance(organization, "2026-05-05")
    april = Invoice.objects.get(starts_at=factories.at("2026-04-01"), kind=InvoiceKind.CYCLE)
    (line,) = overage_lines(april)
    # Two hundred units of March, on April's invoice under their own time.
    assert (line.quantity, line.starts_at) == (200, START)
    assert verify() == []


def test_cleared_after_the_last_invoice_it_comes_on_a_final_one(
    organization: Organization, use: Use, subscription: Subscription
) -> None:
    event = use(1200, "review")
    cancel.cancel_now(subscription=subscription, actor=OPERATOR, now=factories.at("2026-03-02"))
    advance(organization, "2026-05-05")
    before = set(Invoice.objects.values_list("id", flat=True))
    clear(organization, event)
    (final,) = Invoice.objects.exclude(id__in=before)
    assert final.kind == InvoiceKind.FINAL
    assert [line.quantity for line in overage_lines(final)] == [200]
    assert verify() == []


def test_an_issued_invoice_with_a_cleared_debit_is_rated_again_to_the_same(
    organization: Organization, use: Use
) -> None:
    clear(organization, use(1200, "review"))
    use(300)
    advance(organization, "2026-04-05")
    issued = Invoice.objects.get(starts_at=START)
    assert verifying.verify(invoice=issued, actor=OPERATOR).agrees
    assert [line.quantity for line in overage_lines(issued)] == [500]


def test_a_rejected_use_is_taken_back_and_costs_nothing(
    organization: Organization, use: Use, subscription: Subscription
) -> None:
    event = use(1200, "review")
    first = reject(organization, event)
    assert (first.state, first.quantity, figures(first.booked)) == (Resolution.REJECTED, 1200, (-1200, 0, 0, 0))
    assert windows() == {(0, 0)}
    assert (balance(subscription), charged()) == (10, [])
    assert reject(organization, event).pk == first.pk
    assert UsageEvent.objects.count() == 2
    assert AuditEntry.objects.filter(act="guardrail.reject").count() == 1
    with pytest.raises(HoldRejected):
        clear(organization, event)
    assert verify() == []


def test_what_was_cleared_is_not_rejected_but_reversed(
    organization: Organization, use: Use, subscription: Subscription
) -> None:
    event = use(1200, "review")
    booked = clear(organization, event).booked
    assert booked is not None
    with pytest.raises(HoldCleared):
        reject(organization, event)
    with pytest.raises(ReversalOfDebit):
        reversal.reverse(event_id=booked.id, actor=OPERATOR, reason="test", now=START)
    part = reversal.reverse(event_id=event.id, quantity=Decimal(700), actor=OPERATOR, reason="test", now=START)
    # Last in, first out: the 200 beyond the limit, then 500 of those that credits paid.
    assert figures(part.event) == (-700, -200, -5, -5)
    rest = reversal.reverse(event_id=event.id, actor=OPERATOR, reason="test", now=START)
    assert figures(rest.event) == (-500, 0, -5, -5)
    assert windows() == {(0, 0)}
    assert (balance(subscription), charged()) == (10, [])
    with pytest.raises(ReversalExceedsEvent):
        reversal.reverse(event_id=event.id, quantity=Decimal(1), actor=OPERATOR, reason="test", now=START)
    assert verify() == []


def test_what_was_taken_back_while_it_waited_is_not_debited(organization: Organization, use: Use) -> None:
    event = use(1200, "review")
    part = reversal.reverse(event_id=event.id, quantity=Decimal(300), actor=OPERATOR, reason="test", now=START)
    assert figures(part.event) == (-300, 0, 0, 0)
    resolution = clear(organization, event)
    assert (resolution.quantity, figures(resolution.booked)) == (900, (0, 0, 9, 9))
    rest = reversal.reverse(event_id=event.id, quantity=Decimal(450), actor=OPERATOR, reason="test", now=START)
    assert figures(rest.event) == (-450, 0, Decimal("-4.5"), Decimal("-4.5"))
    last = reversal.reverse(event_id=event.id, actor=OPERATOR, reason="test", now=START)
    assert figures(last.event) == (-450, 0, Decimal("-4.5"), Decimal("-4.5"))
    assert windows() == {(0, 0)}
    assert verify() == []


def test_a_use_that_came_back_whole_does_not_wait_any_more(organization: Organization, use: Use) -> None:
    event = use(1200, "review")
    reversal.reverse(event_id=event.id, actor=OPERATOR, reason="test", now=START)
    assert UsageDebitResolution.objects.get().state == Resolution.REJECTED
    assert verify() == []


def test_credits_come_back_to_the_grant_that_paid_a_cleared_debit(
    organization: Organization, use: Use, subscription: Subscription
) -> None:
    adjust.adjust(
        subscription=subscription,
        credits=Decimal(5),
        actor=OPERATOR,
        reason="test",
        now=START,
        kind=GrantKind.PROMOTION,
    )
    event = use(1000, "review")
    clear(organization, event)
    before = {each.id: each.remaining for each in CreditGrant.objects.all()}
    reversal.reverse(event_id=event.id, actor=OPERATOR, reason="test", now=START)
    assert sum(each.remaining - before[each.id] for each in CreditGrant.objects.all()) == 10
    assert verify() == []


def test_nobody_but_who_may_adjust_credits_decides(organization: Organization, use: Use) -> None:
    event = use(1200, "review")
    member = actors.Actor("user:1", roles={organization.id: "member"})
    for act in (guardrails.clear, guardrails.reject):
        with pytest.raises(NotAllowed):
            act(organization=organization, event_id=event.id, actor=member, reason="r", now=START)
        with pytest.raises(ReasonMissing):
            act(organization=organization, event_id=event.id, actor=OPERATOR, reason=" ", now=START)


def test_what_is_not_held_is_not_found(organization: Organization, use: Use) -> None:
    event = use(10)
    for act in (clear, reject):
        with pytest.raises(HoldNotFound):
            act(organization, event)
    other = factories.organization()
    held = use(10, "review")
    with pytest.raises(HoldNotFound):
        clear(other, held)


def test_the_rule_is_the_plan_versions_of_the_use(organization: Organization, use: Use) -> None:
    event = use(1200, "review")
    catalogs.sync()  # the plan's next version has no rules
    assert figures(clear(organization, event).booked) == (0, 200, 10, 10)
    use(10, "review")
    assert UsageDebitHold.objects.count() == 2


@pytest.mark.parametrize("table", ["usage_debit_holds", "usage_debit_resolutions"])
def test_holds_and_resolutions_are_append_only(organization: Organization, use: Use, table: str) -> None:
    clear(organization, use(1200, "review"))
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
    for act in (
        f"DELETE FROM {table}",
        f"UPDATE {table} SET organization_id = organization_id",
        f"TRUNCATE {table} CASCADE",
    ):
        with pytest.raises(IntegrityError, match="append-only"), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(act)


def test_what_waits_is_a_metric() -> None:
    guarded.sync()
    organization, now = factories.organization(), timezone.now()
    onboard.subscribe(organization=organization, plan_code="team", actor=OPERATOR, now=now)
    offers = [Offer(organization, "tokens", Decimal(9), f"use-{n}", guardrail_flags=("review",)) for n in range(2)]
    first, _ = [outcome.event for outcome in usage.record(offers, now=now)]
    assert first is not None
    later = now + timedelta(hours=1)

    def gauges() -> dict[str, float]:
        return {
            sample.name: sample.value
            for family in metrics.list_families(later)
            for sample in family.samples
            if sample.name.startswith("billing_debits_held")
        }

    assert gauges() == {"billing_debits_held": 2, "billing_debits_held_oldest_seconds": 3600}
    guardrails.clear(organization=organization, event_id=first.id, actor=OPERATOR, reason="test", now=now)
    assert gauges()["billing_debits_held"] == 1
