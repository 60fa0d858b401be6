"""The steps of a dunning by a sandbox's clock, each to the second."""

from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.test import override_settings

from billing.accounts.actors import Actor
from billing.invoicing import operations as invoicing_operations
from billing.kernel.errors import Forbidden
from billing.lifecycle import cancel, pause, statuses
from billing.lifecycle.collecting import operations, queries
from billing.lifecycle.collecting.errors import ChargeUnderWay, CollectionClosed
from billing.models import (
    AuditEntry,
    ChargeAttempt,
    Collection,
    CreditGrant,
    Invoice,
    Mail,
    Organization,
    OutboxEvent,
    Payment,
    Subscription,
)
from billing.payments import stub
from billing.reporting.doctor import verify
from billing.subscriptions import queries as subscriptions_queries
from tests.support import catalogs
from tests.support.collecting import (
    ISSUED,
    OPERATOR,
    START,
    advance,
    attempts_of,
    collected,
    collection_of,
    first_invoice,
    mails_of,
    pay,
    subscribed,
    topics,
)
from tests.support.factories import at

pytestmark = pytest.mark.django_db
SECOND, DAY = timedelta(seconds=1), timedelta(days=1)
# Due 14 days after the day of issue, and overdue when that day is over.
OVERDUE = at("2026-02-17")


@pytest.fixture(autouse=True)
def catalog() -> None:
    catalogs.sync()


def status(organization: Organization) -> str:
    live = subscriptions_queries.find_live(organization)
    return live.status if live else "none"


def unpaid(*, method: str = "automatic", means: str = "card_declined", **fields: Any) -> tuple[Organization, Invoice]:
    """Subscribed, and the first invoice issued: with an automatic collection it has just failed."""
    acme = collected(method=method, means=means, **fields)
    subscribed(acme)
    advance(acme, ISSUED)
    return acme, first_invoice(acme)


def test_an_invoice_is_charged_when_it_is_issued() -> None:
    acme, invoice = unpaid(means="card_ok")
    assert invoice.status == "paid"
    assert attempts_of(invoice) == [(0, "succeeded", "")]
    payment = Payment.objects.get(invoice=invoice)
    attempt = ChargeAttempt.objects.get(invoice=invoice)
    assert (payment.provider, payment.reference, payment.amount_minor) == ("stub", attempt.reference, 4900)
    assert collection_of(invoice).closed_because == "settled"
    assert mails_of(acme) == [("invoice_issued", ISSUED)]
    assert OutboxEvent.objects.filter(topic__startswith="dunning").count() == 0
    assert queries.next_due(acme.id) is None
    assert verify() == []


def test_without_means_of_payment_the_charge_fails_and_the_letter_says_why() -> None:
    acme, invoice = unpaid(means="")
    assert attempts_of(invoice) == [(0, "failed", "no_payment_method")]
    letter = Mail.objects.get(organization=acme, kind="payment_failed")
    assert letter.facts["why"] == "there is no means of payment on file."
    assert (letter.facts["next_on"], letter.facts["grace_on"]) == ("3 Feb 2026", "16 Feb 2026")


@pytest.mark.parametrize(("days", "step"), [(1, 1), (3, 2), (5, 3), (7, 4)])
def test_a_step_is_taken_in_its_second_and_once(days: int, step: int) -> None:
    acme, invoice = unpaid()
    due = ISSUED + days * DAY
    advance(acme, due - SECOND)
    assert collection_of(invoice).step == step - 1
    assert topics(advance(acme, due)) == ["dunning.step"]
    assert topics(advance(acme, due + SECOND)) == []
    assert operations.run(organization_id=acme.id, now=due + SECOND) == []
    assert len(attempts_of(invoice)) == step + 1
    assert [kind for kind, _ in mails_of(acme)].count("reminder") == step
    assert Mail.objects.filter(kind="reminder").latest("created_at").facts["step"] == step


def test_an_invoice_paid_by_hand_is_reminded_of_once_it_is_overdue() -> None:
    acme, invoice = unpaid(method="manual")
    assert (str(invoice.due_on), attempts_of(invoice)) == ("2026-02-16", [])
    advance(acme, OVERDUE - SECOND)
    assert collection_of(invoice).dunning_at is None
    assert topics(advance(acme, OVERDUE)) == ["dunning.opened"]
    advance(acme, OVERDUE + 8 * DAY)
    assert attempts_of(invoice) == []
    assert mails_of(acme) == [
        ("invoice_issued", ISSUED),
        ("invoice_overdue", OVERDUE),
        *(("reminder", OVERDUE + days * DAY) for days in (1, 3, 5, 7)),
    ]


def test_an_invoice_is_overdue_by_the_customers_calendar() -> None:
    _acme, invoice = unpaid(method="manual", zone="America/New_York")
    assert invoice.due_on is not None
    overdue = collection_of(invoice).next_at
    assert overdue is not None
    assert overdue.astimezone(ZoneInfo("America/New_York")).strftime("%H:%M") == "00:00"


@pytest.mark.parametrize(("method", "opened"), [("automatic", ISSUED), ("manual", OVERDUE)])
def test_the_subscription_is_past_due_when_grace_ends_and_not_a_second_before(method: str, opened: object) -> None:
    acme, invoice = unpaid(method=method)
    ends_at = (ISSUED if method == "automatic" else OVERDUE) + 14 * DAY
    advance(acme, ends_at - SECOND)
    assert status(acme) == "active"
    happened = advance(acme, ends_at)
    assert topics(happened)[-1] == "subscription.past_due"
    live = subscriptions_queries.find_live(acme)
    assert live is not None
    assert (live.status, live.past_due_at) == ("past_due", ends_at)
    assert collection_of(invoice).past_due_at == ends_at
    assert [kind for kind, _ in mails_of(acme)].count("past_due") == 1
    assert verify() == []


@pytest.mark.parametrize("seconds", [-1, 0, 1])
def test_paid_around_the_end_of_grace_it_is_in_service(seconds: int) -> None:
    acme, invoice = unpaid()
    paid_at = ISSUED + 14 * DAY + timedelta(seconds=seconds)
    advance(acme, paid_at)
    pay(invoice, now=paid_at)
    assert status(acme) == "active"
    collection = collection_of(invoice)
    assert (collection.closed_because, collection.past_due_at is not None) == ("settled", seconds >= 0)
    assert OutboxEvent.objects.filter(topic="subscription.recovered").count() == (seconds >= 0)
    advance(acme, paid_at + 3 * DAY)
    assert status(acme) == "active"
    assert verify() == []


def past_due() -> tuple[Organization, Invoice]:
    acme, invoice = unpaid()
    advance(acme, ISSUED + 14 * DAY)
    return acme, invoice


def test_a_part_is_not_enough_and_the_rest_is() -> None:
    acme, invoice = past_due()
    now = ISSUED + 14 * DAY
    pay(invoice, now=now, amount_minor=4899, reference="part")
    assert status(acme) == "past_due"
    pay(invoice, now=now, amount_minor=1, reference="rest")
    assert status(acme) == "active"


@pytest.mark.parametrize("act", ["void", "credit"])
def test_what_settles_the_invoice_otherwise_serves_again_too(act: str) -> None:
    acme, invoice = past_due()
    now = ISSUED + 14 * DAY
    operation = getattr(invoicing_operations, act)
    operation(invoice=invoice, actor=OPERATOR, reason="goodwill", now=now)
    assert status(acme) == "active"
    assert collection_of(invoice).closed_because == ("void" if act == "void" else "settled")
    assert verify() == []


def test_two_unpaid_invoices_hold_it_and_only_the_second_payment_lets_go() -> None:
    acme, first = past_due()
    advance(acme, at("2026-03-17"))
    second = Invoice.objects.filter(organization=acme, status="issued").order_by("-issued_at")[0]
    assert second.id != first.id
    assert collection_of(second).past_due_at is not None
    pay(first, now=at("2026-03-17"))
    assert status(acme) == "past_due"
    pay(second, now=at("2026-03-17"))
    assert status(acme) == "active"
    assert verify() == []


def test_what_is_written_off_holds_it_until_it_is_paid() -> None:
    acme, invoice = past_due()
    now = ISSUED + 14 * DAY
    invoicing_operations.mark_uncollectible(invoice=invoice, actor=OPERATOR, reason="gone", now=now)
    collection = collection_of(invoice)
    assert (collection.closed_because, collection.lifted_at, collection.next_at) == ("uncollectible", None, None)
    assert (status(acme), verify()) == ("past_due", [])
    pay(invoice, now=now)
    assert (status(acme), verify()) == ("active", [])


def test_what_is_written_off_before_grace_ends_stops_nothing() -> None:
    acme, invoice = unpaid()
    invoicing_operations.mark_uncollectible(invoice=invoice, actor=OPERATOR, reason="small", now=ISSUED)
    advance(acme, ISSUED + 20 * DAY)
    assert status(acme) == "active"
    assert [kind for kind, _ in mails_of(acme)] == ["invoice_issued", "payment_failed"]


def test_stopping_lets_go_and_the_invoice_stays_due() -> None:
    acme, invoice = past_due()
    now = ISSUED + 14 * DAY
    stopped = operations.stop(collection=collection_of(invoice), actor=OPERATOR, reason="a promise", now=now)
    assert (stopped.closed_because, stopped.lifted_at, status(acme)) == ("stopped", now, "active")
    assert first_invoice(acme).status == "issued"
    again = operations.stop(collection=stopped, actor=OPERATOR, reason="a promise", now=now)
    assert again.closed_at == stopped.closed_at
    assert AuditEntry.objects.filter(act="dunning.stop").count() == 1
    with pytest.raises(CollectionClosed):
        operations.retry(collection=stopped, actor=OPERATOR, now=now)
    assert verify() == []


def test_an_operator_may_serve_it_again_while_the_dunning_goes_on() -> None:
    acme, invoice = past_due()
    live = subscriptions_queries.find_live(acme)
    assert live is not None
    statuses.set_status(subscription=live, status="active", actor=OPERATOR, now=ISSUED + 14 * DAY)
    advance(acme, ISSUED + 16 * DAY)
    assert (status(acme), collection_of(invoice).closed_at) == ("active", None)
    assert verify() == []


def test_only_finance_retries_and_stops() -> None:
    acme, invoice = unpaid()
    own = Actor(name="key:own", organization_id=acme.id, scopes=frozenset({"read", "subscribe"}))
    with pytest.raises(Forbidden):
        operations.retry(collection=collection_of(invoice), actor=own, now=ISSUED)
    with pytest.raises(Forbidden):
        operations.stop(collection=collection_of(invoice), actor=own, reason="please", now=ISSUED)
    assert [each.invoice_id for each in queries.list_dunnings(organization=acme, actor=own)] == [invoice.id]


def test_a_charge_by_hand_that_fails_leaves_the_schedule_as_it_was() -> None:
    acme, invoice = unpaid()
    before = collection_of(invoice)
    operations.retry(collection=before, actor=OPERATOR, now=ISSUED)
    after = collection_of(invoice)
    assert (after.step, after.next_at) == (before.step, before.next_at)
    assert attempts_of(invoice) == [(0, "failed", "card_declined"), (None, "failed", "card_declined")]
    assert [kind for kind, _ in mails_of(acme)] == ["invoice_issued", "payment_failed"]


def test_a_new_card_is_charged_at_the_next_step() -> None:
    acme, invoice = unpaid()
    stub.choose(acme, "card_ok", now=START)
    happened = advance(acme, ISSUED + DAY)
    assert topics(happened) == ["payment.received"]
    assert first_invoice(acme).status == "paid"
    assert collection_of(invoice).closed_because == "settled"
    assert OutboxEvent.objects.get(topic="dunning.closed").payload["because"] == "settled"


def test_a_pending_charge_waits_for_its_report_and_holds_back_any_other() -> None:
    acme, invoice = unpaid(means="debit_pending")
    attempt = ChargeAttempt.objects.get(invoice=invoice)
    assert (attempt.status, collection_of(invoice).next_at) == ("pending", None)
    with pytest.raises(ChargeUnderWay):
        operations.retry(collection=collection_of(invoice), actor=OPERATOR, now=ISSUED)
    with pytest.raises(ChargeUnderWay):
        invoicing_operations.void(invoice=invoice, actor=OPERATOR, reason="wrong", now=ISSUED)
    advance(acme, ISSUED + 30 * DAY)
    assert ChargeAttempt.objects.filter(invoice=invoice).count() == 1


def report(invoice: Invoice, reference: str, *, ok: bool, now: object = ISSUED, amount_minor: int = 4900) -> None:
    said: dict[str, Any] = {
        "invoice": invoice,
        "provider": "stub",
        "reference": reference,
        "actor": OPERATOR,
        "now": now,
    }
    if ok:
        operations.payment_succeeded(amount_minor=amount_minor, **said)
    else:
        operations.payment_failed(code="card_declined", message="", **said)


@pytest.mark.parametrize("order", ["ss", "fs", "sf", "sfs", "ffs"])
def test_reports_of_a_pending_charge_in_any_order_end_paid_once(order: str) -> None:
    acme, invoice = unpaid(means="debit_pending")
    reference = ChargeAttempt.objects.get(invoice=invoice).reference
    for each in order:
        report(invoice, reference, ok=each == "s")
    assert first_invoice(acme).status == "paid"
    assert Payment.objects.filter(invoice=invoice).count() == 1
    assert ChargeAttempt.objects.get(invoice=invoice).status == "succeeded"
    assert (collection_of(invoice).closed_because, verify()) == ("settled", [])


def test_a_pending_charge_that_fails_opens_the_dunning_once() -> None:
    _acme, invoice = unpaid(means="debit_pending")
    reference = ChargeAttempt.objects.get(invoice=invoice).reference
    for _ in range(2):
        report(invoice, reference, ok=False, now=ISSUED + 2 * DAY)
    collection = collection_of(invoice)
    assert (collection.dunning_at, collection.next_at) == (ISSUED + 2 * DAY, ISSUED + 3 * DAY)
    assert OutboxEvent.objects.filter(topic="dunning.opened").count() == 1


def test_a_failure_that_the_provider_met_by_itself_opens_the_dunning() -> None:
    _, invoice = unpaid(method="manual")
    report(invoice, "pi_theirs", ok=False)
    assert collection_of(invoice).dunning_at == ISSUED


def test_money_that_comes_twice_goes_to_the_balance() -> None:
    acme, invoice = unpaid(means="debit_pending")
    reference = ChargeAttempt.objects.get(invoice=invoice).reference
    pay(invoice, now=ISSUED)
    report(invoice, reference, ok=True)
    (entry,) = invoicing_operations.read_balance(organization=acme, actor=OPERATOR, currency="USD")
    assert (entry.kind, entry.balance_after_minor) == ("overpaid", 4900)
    assert (first_invoice(acme).status, verify()) == ("paid", [])


def test_a_bank_that_cannot_be_reached_is_asked_again_until_its_key_is_forgotten() -> None:
    acme, invoice = unpaid(means="card_unreachable")
    attempt = ChargeAttempt.objects.get(invoice=invoice)
    assert (attempt.status, attempt.asked, attempt.ask_at) == ("started", 1, ISSUED + timedelta(minutes=5))
    advance(acme, ISSUED + timedelta(minutes=20))
    attempt.refresh_from_db()
    assert (attempt.status, attempt.asked) == ("started", 3)
    advance(acme, ISSUED + 2 * DAY)
    attempt.refresh_from_db()
    assert attempt.status == "unknown"
    assert ChargeAttempt.objects.filter(invoice=invoice).count() == 1
    stub.choose(acme, "card_ok", now=START)
    operations.retry(collection=collection_of(invoice), actor=OPERATOR, now=ISSUED + 2 * DAY)
    assert first_invoice(acme).status == "paid"


def test_what_was_paid_while_the_bank_was_silent_is_not_charged_any_more() -> None:
    acme, invoice = unpaid(means="card_unreachable")
    pay(invoice, now=ISSUED)
    stub.choose(acme, "card_ok", now=START)
    advance(acme, ISSUED + DAY)
    assert ChargeAttempt.objects.get(invoice=invoice).status == "abandoned"
    assert Payment.objects.filter(invoice=invoice).count() == 1


def test_a_paid_invoice_that_opens_again_is_reminded_of_and_never_charged_by_itself() -> None:
    acme, invoice = unpaid(means="card_ok")
    invoicing_operations.refund(
        invoice=invoice, amount_minor=4900, reference="back", reason="bounced", actor=OPERATOR, now=ISSUED
    )
    reopened = collection_of(invoice)
    assert (reopened.method, reopened.next_at) == ("manual", OVERDUE)
    advance(acme, OVERDUE)
    assert collection_of(invoice).dunning_at == OVERDUE
    assert len(attempts_of(invoice)) == 1


def test_grace_that_ends_in_a_pause_ends_when_that_does() -> None:
    acme, _ = unpaid()
    live = subscriptions_queries.find_live(acme)
    assert live is not None
    pause.pause(subscription=live, actor=OPERATOR, now=ISSUED)
    advance(acme, ISSUED + 20 * DAY)
    assert status(acme) == "paused"
    pause.resume(subscription=live, actor=OPERATOR, now=ISSUED + 20 * DAY)
    advance(acme, ISSUED + 20 * DAY + SECOND)
    assert status(acme) == "past_due"
    assert verify() == []


def test_who_has_left_is_dunned_still_and_held_from_nothing() -> None:
    acme, invoice = unpaid()
    live = subscriptions_queries.find_live(acme)
    assert live is not None
    cancel.cancel_now(subscription=live, actor=OPERATOR, now=ISSUED)
    advance(acme, ISSUED + 15 * DAY)
    assert collection_of(invoice).step == 4
    assert (collection_of(invoice).past_due_at, verify()) == (None, [])


@override_settings(BILLING_PAST_DUE_CANCEL_DAYS=30)
def test_an_installation_may_end_what_stays_past_due() -> None:
    acme, invoice = past_due()
    end = ISSUED + 44 * DAY
    advance(acme, end - SECOND)
    assert status(acme) == "past_due"
    assert "subscription.canceled" in topics(advance(acme, end))
    assert status(acme) == "none"
    assert Subscription.objects.get(organization=acme).ended_at == end
    assert collection_of(invoice).closed_at is None
    assert verify() == []


def test_the_allowance_of_the_rest_of_the_stretch_comes_back_once() -> None:
    acme, invoice = past_due()
    grants = CreditGrant.objects.filter(organization=acme)
    assert grants.count() == 2
    pay(invoice, now=ISSUED + 14 * DAY)
    # February's was granted before grace ended: there is nothing to come.
    assert grants.count() == 2


def test_every_step_is_told_to_the_audit_log_and_the_outbox() -> None:
    acme, invoice = past_due()
    pay(invoice, now=ISSUED + 14 * DAY)
    told = list(
        OutboxEvent.objects.filter(organization_id=acme.id, topic__regex=r"^(dunning|subscription\.(past|recov))")
        .order_by("position")
        .values_list("topic", flat=True)
    )
    assert told == [
        "dunning.opened", *["dunning.step"] * 4, "subscription.past_due", "dunning.closed", "subscription.recovered",
    ]  # fmt: skip
    assert AuditEntry.objects.filter(organization_id=acme.id, act__in=told).count() == len(told)
    assert OutboxEvent.objects.filter(topic="dunning.opened").get().payload["due"] == "49.00"
    assert Collection.objects.count() == 1
