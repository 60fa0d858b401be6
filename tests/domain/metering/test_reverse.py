"""Use taken back: windows, grants, charges and money follow, and never more than was used."""

from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal

import pytest

from billing.accounts import actors
from billing.accounts.actors import Actor, NotAllowed
from billing.invoicing import operations as invoicing
from billing.lifecycle import adjust, cancel, clock, onboard, reversal, usage, voiding
from billing.metering.offers import EventView, Offer
from billing.metering.reversing import (
    EventNotFound,
    NoOpenPeriod,
    Reversal,
    ReversalExceedsEvent,
    ReversalInvalid,
    ReversalKeyReused,
    ReversalOfReversal,
)
from billing.models import (
    AuditEntry,
    CreditEntry,
    CreditGrant,
    GrantKind,
    Invoice,
    Organization,
    OutboxEvent,
    Subscription,
    UsageCharge,
    UsageEvent,
    UsageWindow,
)
from billing.reporting.doctor import verify
from billing.service import BillingService
from tests.support import catalogs, factories

pytestmark = pytest.mark.django_db
START = factories.at("2026-03-01")
OPERATOR = actors.operator("test")


@pytest.fixture
def organization() -> Organization:
    catalogs.sync()
    return factories.sandbox(clock_at=START)


@pytest.fixture
def subscription(organization: Organization) -> Subscription:
    return onboard.subscribe(organization=organization, plan_code="team", actor=OPERATOR, now=START)


@pytest.fixture
def use(organization: Organization, subscription: Subscription) -> Callable[..., EventView]:
    def one(meter: str, quantity: str | int, occurred_at: datetime | None = None) -> EventView:
        number = UsageEvent.objects.count()
        offer = Offer(organization, meter, Decimal(quantity), f"use-{number}", occurred_at=occurred_at)
        (outcome,) = usage.record([offer], now=START)
        assert outcome.event is not None, outcome
        return outcome.event

    return one


Use = Callable[..., EventView]


def undo(
    event: EventView | UsageEvent, quantity: str | int | None = None, *, key: str | None = None, actor: Actor = OPERATOR
) -> Reversal:
    back = None if quantity is None else Decimal(quantity)
    return reversal.reverse(event_id=event.id, quantity=back, actor=actor, reason="by mistake", key=key, now=START)


def windows(meter: str) -> dict[str, tuple[Decimal, Decimal]]:
    return {each.cadence: (each.used, each.overage) for each in UsageWindow.objects.filter(meter_id=meter)}


def figures(event: UsageEvent) -> tuple[Decimal, ...]:
    return event.quantity, event.overage, event.credits_due, event.credits_paid


def remaining(kind: GrantKind = GrantKind.ALLOWANCE) -> list[Decimal]:
    return [each.remaining for each in CreditGrant.objects.filter(kind=kind).order_by("created_at")]


def advance(organization: Organization, to: str) -> None:
    clock.advance(organization=organization, to=factories.at(to), actor=OPERATOR)


def issue(organization: Organization) -> Invoice:
    draft = Invoice.objects.filter(organization=organization, status="draft").order_by("starts_at").first()
    assert draft is not None
    return invoicing.issue(invoice=draft, actor=OPERATOR, now=organization_now(organization))


def organization_now(organization: Organization) -> datetime:
    organization.refresh_from_db()
    assert organization.clock_at is not None
    return organization.clock_at


def test_all_of_an_event_leaves_every_window_as_before(use: Use) -> None:
    use("tokens", 300)
    before = windows("tokens")
    undone = undo(use("tokens", 900))
    assert figures(undone.event) == (-900, -200, -7, -7)
    assert (undone.is_left, undone.credits_returned, undone.is_duplicate) == (0, 7, False)
    assert windows("tokens") == before
    assert set(before) == {"daily", "weekly", "monthly", "never", "billing_period"}
    assert remaining() == [7]
    assert UsageCharge.objects.get().overage == 0
    assert verify() == []


def test_a_quota_is_free_again_at_once(use: Use, organization: Organization) -> None:
    tasks = [use("task_run", 1) for _ in range(5)]
    sixth = Offer(organization, "task_run", Decimal(1), "sixth")
    assert usage.record([sixth], now=START)[0].code == "quota_exceeded"
    undo(tasks[1])
    assert windows("task_run")["weekly"] == (4, 0)
    assert usage.record([sixth], now=START)[0].status == "accepted"
    assert verify() == []


def test_units_over_the_limit_come_back_first_and_unpaid_credits_before_paid_ones(use: Use) -> None:
    # Credits for nine hundred of the thousand units inside the limit.
    adjust.adjust(subscription=Subscription.objects.get(), credits=Decimal(-1), actor=OPERATOR, reason="x", now=START)
    event = use("tokens", 1500)
    assert (event.overage, event.credits_due, event.credits_paid) == (500, 10, 9)
    assert figures(undo(event, 400).event) == (-400, -400, 0, 0)
    assert figures(undo(event, 200).event) == (-200, -100, -1, 0)
    assert figures(undo(event, 1).event) == (-1, 0, Decimal("-0.01"), Decimal("-0.01"))
    last = undo(event)
    assert figures(last.event) == (-899, 0, Decimal("-8.99"), Decimal("-8.99"))
    assert last.is_left == 0
    assert (UsageCharge.objects.get().overage, UsageCharge.objects.get().credit_deficit) == (0, 0)
    assert remaining() == [9]
    assert verify() == []


@pytest.mark.parametrize(("quantity", "is_refused"), [("59.999999", False), ("60", False), ("60.000001", True)])
def test_several_parts_never_come_to_more_than_the_event(use: Use, quantity: str, is_refused: bool) -> None:
    event = use("tokens", 100)
    undo(event, 40)
    if is_refused:
        with pytest.raises(ReversalExceedsEvent) as refused:
            undo(event, quantity)
        assert refused.value.details == {"left": "60"}
        assert UsageEvent.objects.count() == 2
    else:
        undo(event, quantity)
    assert verify() == []


def test_nothing_is_left_to_take_back(use: Use) -> None:
    event = use("tokens", 100)
    undo(event)
    with pytest.raises(ReversalExceedsEvent):
        undo(event)
    with pytest.raises(ReversalExceedsEvent):
        undo(event, "0.000001")


def test_twice_by_one_key_is_once(use: Use) -> None:
    event = use("tokens", 100)
    first = undo(event, 30, key="k")
    again = undo(event, "30.0", key="k")
    assert (again.event.id, again.is_duplicate, again.is_left, again.credits_returned) == (
        first.event.id,
        True,
        70,
        Decimal("0.3"),
    )
    assert [entry.id for entry in again.entries] == [entry.id for entry in first.entries]
    assert UsageEvent.objects.count() == 2
    assert AuditEntry.objects.filter(act="usage.reverse").count() == 1
    assert OutboxEvent.objects.filter(topic="usage.reversed").count() == 1


def test_a_key_names_one_reversal_for_ever(use: Use) -> None:
    event, other = use("tokens", 100), use("tokens", 100)
    undo(event, 30, key="k")
    again: tuple[tuple[EventView, int | None], ...] = ((event, 31), (event, None), (other, 30))
    for each, quantity in again:
        with pytest.raises(ReversalKeyReused):
            undo(each, quantity, key="k")
    assert UsageEvent.objects.count() == 3


def test_the_key_of_a_use_is_another_than_that_of_its_reversal(use: Use, organization: Organization) -> None:
    (outcome,) = usage.record([Offer(organization, "tokens", Decimal(1), "k", source="reversal")], now=START)
    assert outcome.event is not None
    with pytest.raises(ReversalKeyReused):
        undo(outcome.event, key="k")
    undo(outcome.event, key="other")
    (again,) = usage.record([Offer(organization, "tokens", Decimal(1), "other", source="reversal")], now=START)
    assert (again.status, again.code) == ("conflict", "idempotency_conflict")


def test_a_reversal_is_not_reversed(use: Use) -> None:
    undone = undo(use("tokens", 100))
    with pytest.raises(ReversalOfReversal):
        undo(undone.event)


@pytest.mark.parametrize("quantity", ["0", "-1", "0.0000001", "NaN", "Infinity", "1e13"])
def test_a_quantity_that_is_none_is_refused(use: Use, quantity: str) -> None:
    event = use("tokens", 100)
    with pytest.raises(ReversalInvalid):
        undo(event, quantity)


@pytest.mark.parametrize("reason", ["", "  ", "x" * 501])
def test_a_reason_is_needed(use: Use, reason: str) -> None:
    with pytest.raises(ReversalInvalid):
        reversal.reverse(event_id=use("tokens", 1).id, actor=OPERATOR, reason=reason, now=START)


@pytest.mark.parametrize("key", ["", "x" * 201, "\0"])
def test_a_key_that_cannot_be_kept_is_refused(use: Use, key: str) -> None:
    event = use("tokens", 1)
    if key:
        with pytest.raises(ReversalInvalid):
            undo(event, key=key)
    assert UsageEvent.objects.count() == 1


def test_who_uses_cannot_erase_it(use: Use, organization: Organization) -> None:
    event = use("tokens", 100)
    own = Actor("key:own", organization_id=organization.id, scopes=actors.ORGANIZATION_KEY_ACTS)
    for actor in (
        own,
        Actor("key:platform", scopes=frozenset({"usage", "read"})),
        Actor("u", roles={organization.id: "owner"}),
    ):
        with pytest.raises(NotAllowed):
            undo(event, actor=actor)
    stranger = Actor("key:other", organization_id=factories.organization().id, scopes=frozenset({"credits"}))
    with pytest.raises(EventNotFound):
        undo(event, actor=stranger)
    undo(event, actor=Actor("key:platform", scopes=frozenset({"credits"})))


def test_credits_return_to_the_grants_that_paid_the_last_of_them_first(use: Use, subscription: Subscription) -> None:
    adjust.adjust(
        subscription=subscription, credits=Decimal(4), actor=OPERATOR, reason="x", now=START, kind=GrantKind.PURCHASE
    )
    use("tokens", 800)
    event = use("task_run", 5)
    assert (remaining(), remaining(GrantKind.PURCHASE)) == ([0], [1])
    undo(event, 2)
    assert (remaining(), remaining(GrantKind.PURCHASE)) == ([0], [3])
    undo(event, 2)
    assert (remaining(), remaining(GrantKind.PURCHASE)) == ([1], [4])
    undo(event)
    assert (remaining(), remaining(GrantKind.PURCHASE)) == ([2], [4])
    kinds = [entry.kind for entry in CreditEntry.objects.order_by("-sequence")[:4]]
    assert kinds == ["reversal"] * 4
    assert verify() == []


def test_what_comes_back_to_an_expired_grant_expires_at_once(use: Use, organization: Organization) -> None:
    event = use("tokens", 300)
    advance(organization, "2026-04-02")
    undone = undo(event)
    assert (undone.credits_returned, undone.credits_lapsed) == (3, 3)
    assert [(entry.kind, entry.amount) for entry in undone.entries] == [("reversal", 3), ("expiry", -3)]
    march = CreditGrant.objects.order_by("starts_at")[0]
    assert (march.consumed, march.expired, march.remaining) == (0, 10, 0)
    assert remaining()[-1] == 10
    assert verify() == []


def test_a_renewal_that_is_due_comes_before_the_reversal(use: Use, organization: Organization) -> None:
    event = use("tokens", 300)
    organization.clock_at = factories.at("2026-04-01")
    organization.save()
    assert undo(event).credits_lapsed == 3
    assert verify() == []


def test_what_comes_back_to_a_voided_grant_is_void(use: Use) -> None:
    event = use("tokens", 300)
    voiding.void(grant=CreditGrant.objects.get(), actor=OPERATOR, reason="fraud", now=START)
    undone = undo(event)
    assert [(entry.kind, entry.amount) for entry in undone.entries] == [("reversal", 3), ("void", -3)]
    grant = CreditGrant.objects.get()
    assert (grant.consumed, grant.voided, grant.remaining) == (0, 10, 0)
    assert verify() == []


def test_an_allowance_does_not_come_back_to_life_after_its_subscription(
    use: Use, organization: Organization, subscription: Subscription
) -> None:
    event = use("tokens", 1000)
    cancel.cancel_now(subscription=subscription, actor=OPERATOR, now=START + timedelta(days=1))
    advance(organization, "2026-03-03")
    assert undo(event).credits_lapsed == 10
    assert verify() == []


def test_purchased_credits_follow_to_the_next_subscription(
    use: Use, organization: Organization, subscription: Subscription
) -> None:
    use("tokens", 1000)
    adjust.adjust(
        subscription=subscription, credits=Decimal(4), actor=OPERATOR, reason="x", now=START, kind=GrantKind.PURCHASE
    )
    event = use("task_run", 4)
    cancel.cancel_now(subscription=subscription, actor=OPERATOR, now=START + timedelta(days=1))
    advance(organization, "2026-03-03")
    returned = onboard.subscribe(
        organization=organization, plan_code="team", actor=OPERATOR, now=factories.at("2026-03-03")
    )
    undo(event, 3)
    returned.marketplace.refresh_from_db()
    subscription.marketplace.refresh_from_db()
    assert subscription.marketplace.credit_balance == 0
    assert CreditGrant.objects.get(kind="purchase").account_id == returned.id
    assert CreditGrant.objects.get(kind="purchase").remaining == 3
    assert verify() == []


def test_money_of_an_open_period_is_not_asked_for(use: Use, organization: Organization) -> None:
    undo(use("tokens", 1500), 200)
    advance(organization, "2026-04-01 01:00:00")
    assert issue(organization).total_minor == 4900 + 150
    assert verify() == []


def test_money_of_a_closed_period_comes_back_with_the_next_invoice(use: Use, organization: Organization) -> None:
    event = use("tokens", 1500)
    advance(organization, "2026-04-01 01:00:00")
    assert issue(organization).total_minor == 4900 + 250
    undone = undo(event, 200)
    assert undone.event.period_id == event.period_id
    assert undone.event.billed_period_id != event.billed_period_id
    assert windows("tokens")["billing_period"] == (1300, 300)
    advance(organization, "2026-05-01 01:00:00")
    second = issue(organization)
    assert second.total_minor == 4900 - 100
    late = second.lines.get(charge="overage")
    assert (late.quantity, late.amount_minor, late.starts_at) == (-200, -100, START)
    undo(event)
    advance(organization, "2026-06-01 01:00:00")
    assert issue(organization).total_minor == 4900 - 150
    assert verify() == []


def test_an_invoice_that_comes_to_less_than_nothing_goes_to_the_balance(use: Use, organization: Organization) -> None:
    event = use("tokens", 101_000)
    advance(organization, "2026-04-01 01:00:00")
    assert issue(organization).total_minor == 4900 + 50_000
    undo(event)
    advance(organization, "2026-05-01 01:00:00")
    second = issue(organization)
    assert (second.total_minor, second.status) == (4900 - 50_000, "paid")
    advance(organization, "2026-06-01 01:00:00")
    assert issue(organization).status == "paid"
    assert verify() == []


def test_a_credit_deficit_comes_back_as_money_and_not_as_credits(
    use: Use, organization: Organization, subscription: Subscription
) -> None:
    adjust.adjust(subscription=subscription, credits=Decimal(-10), actor=OPERATOR, reason="x", now=START)
    event = use("tokens", 500)
    advance(organization, "2026-04-01 01:00:00")
    assert issue(organization).total_minor == 4900 + 5000
    assert undo(event).credits_returned == 0
    advance(organization, "2026-05-01 01:00:00")
    assert issue(organization).total_minor == 4900 - 5000
    assert verify() == []


def test_units_taken_back_before_they_are_billed_again_are_set_off(use: Use, organization: Organization) -> None:
    """The invoice that billed them is voided after the reversal went to the next period, which is issued first."""
    event = use("tokens", 1500)
    advance(organization, "2026-04-01 01:00:00")
    first = issue(organization)
    undo(event, 200)
    invoicing.void(invoice=first, actor=OPERATOR, reason="anew", now=organization_now(organization))
    advance(organization, "2026-05-01 01:00:00")
    april = Invoice.objects.filter(organization=organization, status="draft", period__ordinal=2).first()
    assert april is not None
    issued = invoicing.issue(invoice=april, actor=OPERATOR, now=organization_now(organization))
    assert issued.total_minor == 4900
    march = Invoice.objects.get(id=first.id).period
    again = invoicing.draft(
        subscription=event_subscription(event), actor=OPERATOR, now=organization_now(organization), period=march
    )
    assert invoicing.issue(invoice=again, actor=OPERATOR, now=organization_now(organization)).total_minor == 4900 + 150
    assert verify() == []


def event_subscription(event: EventView) -> Subscription:
    return Subscription.objects.get(id=event.subscription_id)


def test_where_every_period_is_invoiced_money_takes_a_credit_note(
    use: Use, organization: Organization, subscription: Subscription
) -> None:
    paid, free = use("tokens", 1500), use("case_created", 3)
    cancel.cancel_now(subscription=subscription, actor=OPERATOR, now=START + timedelta(days=1))
    advance(organization, "2026-03-04")
    assert Invoice.objects.get(organization=organization).status == "issued"
    with pytest.raises(NoOpenPeriod):
        undo(paid)
    assert UsageEvent.objects.count() == 2
    undo(free)
    assert windows("case_created")["never"] == (0, 0)
    assert verify() == []


def test_a_threshold_is_told_once_a_window_whatever_is_taken_back(use: Use) -> None:
    def told() -> list[tuple[str, str]]:
        found = OutboxEvent.objects.filter(topic__startswith="quota.").order_by("position")
        return [(each.topic, each.payload["used"]) for each in found]

    events = [use("task_run", 1) for _ in range(4)]
    assert told() == [("quota.threshold", "4")]
    undo(events[0])
    undo(events[1])
    use("task_run", 2)
    assert told() == [("quota.threshold", "4")]
    use("task_run", 1)
    assert told() == [("quota.threshold", "4"), ("quota.exhausted", "5")]
    undo(events[2])
    use("task_run", 1)
    assert len(told()) == 2


def test_what_is_left_of_an_event_that_costs_fractions_adds_up(use: Use) -> None:
    event = use("tokens", "33.333333")
    for part in ("11.111111", "0.000001", "7", "15.222221"):
        undo(event, part)
    assert sum(sum(figures(each)) for each in UsageEvent.objects.all()) == 0
    assert remaining() == [10]
    assert verify() == []


def test_it_is_audited_and_told(use: Use, organization: Organization) -> None:
    event = use("tokens", 1100)
    undone = undo(event, 200)
    told = {
        "event_id": str(event.id),
        "reversal_id": str(undone.event.id),
        "subscription_id": str(event.subscription_id),
        "meter": "tokens",
        "quantity": "200",
        "overage": "100",
        "credits_returned": "1",
        "credits_lapsed": "0",
    }
    row = AuditEntry.objects.get(act="usage.reverse")
    assert (row.actor, row.reason, row.object_id, row.details) == (OPERATOR.name, "by mistake", str(event.id), told)
    assert OutboxEvent.objects.get(topic="usage.reversed").payload == told


def test_a_host_in_the_same_process_takes_back_by_the_same_rules(use: Use) -> None:
    event = use("tokens", 100)
    undone = BillingService.reverse_usage(
        event.id, actor=OPERATOR, reason="a job that failed", quantity=40, idempotency_key="job-7", now=START
    )
    assert (undone.is_left, undone.event.key) == (60, "job-7")
