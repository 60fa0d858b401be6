"""Drafts issue themselves when their time has come; what somebody holds, and what is odd, waits for a human."""

import logging
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from pytest_django.fixtures import Settings

from billing.accounts import actors
from billing.accounts.actors import SYSTEM, Actor, NotAllowed
from billing.catalog import operations as catalog_operations
from billing.catalog import parsing
from billing.invoicing import billed, drafts
from billing.invoicing import operations as invoicing
from billing.invoicing.errors import InvoiceBillsTwice, InvoiceFrozen, InvoiceVoid, SettlementInvalid
from billing.invoicing.loading import Target
from billing.lifecycle import clock, onboard, renew, usage
from billing.metering.offers import Offer
from billing.models import (
    AuditEntry,
    DocumentCounter,
    EntitlementPrice,
    Invoice,
    InvoiceLine,
    Organization,
    OutboxEvent,
    PlanSpan,
    Subscription,
    SubscriptionPeriod,
    UsageCharge,
)
from billing.reporting import doctor
from tests.support import catalogs, factories
from tests.support.factories import Overage, at
from tests.support.invoicing import Customer, customer, team_plan, traffic

pytestmark = pytest.mark.django_db
OPERATOR = actors.operator("ada")
APRIL, DUE = at("2026-04-01"), at("2026-04-02")


@pytest.fixture
def acme() -> Customer:
    found = customer(team_plan())
    traffic(found)
    return found


def draft(of: Customer) -> Invoice:
    return invoicing.draft(subscription=of.subscription, actor=SYSTEM, now=APRIL)


def sweep(of: Customer | Organization, now: datetime) -> list[tuple[str, str | None]]:
    organization = of.organization if isinstance(of, Customer) else of
    return [(each.status, each.number) for each in invoicing.issue_due(organization_id=organization.id, now=now)]


@pytest.mark.parametrize(("seconds", "status"), [(-1, "draft"), (0, "issued"), (1, "issued")])
def test_a_day_after_its_period(acme: Customer, seconds: int, status: str) -> None:
    assert draft(acme).issue_due_at == DUE
    now = DUE + timedelta(seconds=seconds)
    sweep(acme, now)
    invoice = Invoice.objects.get()
    assert (invoice.status, invoice.issued_at) == (status, now if status == "issued" else None)
    period = SubscriptionPeriod.objects.get()
    assert (period.closed_at is not None) is (status == "issued")


def test_the_grace_is_a_setting(acme: Customer, settings: Settings) -> None:
    settings.BILLING_GRACE_HOURS = 0
    assert draft(acme).issue_due_at == APRIL
    assert sweep(acme, APRIL) == [("issued", "INV-2026-000001")]


def test_twice_is_once(acme: Customer) -> None:
    draft(acme)
    assert len(sweep(acme, DUE)) == 1
    assert sweep(acme, DUE) == sweep(acme, DUE + timedelta(days=9)) == []
    assert DocumentCounter.objects.get().last == 1


def test_it_says_what_the_books_say_by_then(acme: Customer) -> None:
    assert draft(acme).total_minor == 5162
    UsageCharge.objects.filter(meter="generated").update(overage=0, credit_deficit=0)
    sweep(acme, DUE)
    assert Invoice.objects.get().total_minor == 4900 + 153


def test_after_three_days_without_a_sweep_all_that_fell_due_is_done_in_order() -> None:
    catalogs.sync()
    acme = factories.organization()
    onboard.subscribe(organization=acme, plan_code="team", actor=OPERATOR, now=at("2026-03-01"))
    now = at("2026-04-04 12:00:00")
    renew.renew_due(organization_id=acme.id, now=now)
    assert sweep(acme, now) == [("issued", "INV-2026-000001")]
    invoice = Invoice.objects.get()
    # The customer's time to pay runs from the issue, not from when it should have been.
    assert (invoice.issued_at, str(invoice.due_on)) == (now, "2026-04-18")
    assert doctor.verify() == []


def test_held_until_released(acme: Customer) -> None:
    invoice = draft(acme)
    for _ in range(2):
        held = invoicing.hold(invoice=invoice, actor=OPERATOR, reason=" a question ", now=APRIL)
    assert (held.held_at, held.issue_due_at) == (APRIL, None)
    entry = AuditEntry.objects.get(act="invoice.hold")
    assert (entry.actor, entry.reason) == ("cli:ada", "a question")
    assert sweep(acme, DUE + timedelta(days=30)) == []
    # Drafting it anew does not let go of it.
    assert draft(acme).held_at == APRIL
    later = DUE + timedelta(days=31)
    for _ in range(2):
        released = invoicing.release(invoice=invoice, actor=OPERATOR, now=later)
    assert (released.held_at, released.issue_due_at) == (None, later)
    assert AuditEntry.objects.filter(act="invoice.release").count() == 1
    assert sweep(acme, later) == [("issued", "INV-2026-000001")]


def test_held_it_is_issued_by_hand(acme: Customer) -> None:
    invoice = invoicing.hold(invoice=draft(acme), actor=OPERATOR, reason="a question", now=APRIL)
    issued = invoicing.issue(invoice=invoice, actor=OPERATOR, now=APRIL)
    assert (issued.status, issued.held_at, issued.issue_due_at) == ("issued", None, None)


def test_a_draft_that_is_not_held_keeps_its_time(acme: Customer) -> None:
    assert invoicing.release(invoice=draft(acme), actor=OPERATOR, now=APRIL).issue_due_at == DUE


def test_what_cannot_be_held(acme: Customer) -> None:
    invoice = draft(acme)
    with pytest.raises(SettlementInvalid):
        invoicing.hold(invoice=invoice, actor=OPERATOR, reason=" ", now=APRIL)
    with pytest.raises(NotAllowed):
        invoicing.hold(invoice=invoice, actor=reader(acme), reason="x", now=APRIL)
    sweep(acme, DUE)
    for act in (hold, release):
        with pytest.raises(InvoiceFrozen):
            act(invoice)
    invoicing.void(invoice=invoice, actor=SYSTEM, reason="x", now=DUE)
    for act in (hold, release):
        with pytest.raises(InvoiceVoid):
            act(invoice)


def reader(of: Customer) -> Actor:
    return Actor("user:1", roles={of.organization.id: "owner"})


def hold(invoice: Invoice) -> Invoice:
    return invoicing.hold(invoice=invoice, actor=OPERATOR, reason="x", now=DUE)


def release(invoice: Invoice) -> Invoice:
    return invoicing.release(invoice=invoice, actor=OPERATOR, now=DUE)


PER_TOKEN = """\
default_plan: team
events: {tokens: [tokens]}
plans:
  team:
    price: {USD: "49.00"}
    entitlements:
      tokens: {limit: 0, cadence: billing_period, on_limit: overage, overage_price: {USD: {rate: "0.01"}}}
"""


@pytest.fixture
def lab() -> Organization:
    """49.00 a month and 0.01 a token, by its own clock."""
    catalog_operations.sync(spec=parsing.load(PER_TOKEN), actor="test", now=at("2026-01-01"))
    lab = factories.sandbox(clock_at=at("2026-01-01"))
    onboard.subscribe(organization=lab, plan_code="team", actor=OPERATOR, now=at("2026-01-01"))
    return lab


def to(organization: Organization, when: str) -> None:
    clock.advance(organization=organization, to=at(when), actor=OPERATOR)


def use(organization: Organization, tokens: int) -> None:
    organization.refresh_from_db()
    assert organization.clock_at is not None
    offer = Offer(organization, "tokens", Decimal(tokens), f"{organization.clock_at}")
    (outcome,) = usage.record([offer], now=organization.clock_at)
    assert outcome.status == "accepted"


def states() -> list[tuple[str, int]]:
    return [(each.status, each.total_minor) for each in Invoice.objects.order_by("starts_at")]


def paid(invoices: Iterable[Invoice], now: datetime) -> None:
    for each in invoices:
        invoicing.pay(invoice=each, amount_minor=each.total_minor, reference=str(each.id), actor=OPERATOR, now=now)


def grown(lab: Organization, months: int, tokens: int) -> None:
    """``months`` of 49.00, then one with ``tokens``, up to the day on which its invoice is due."""
    for month in range(1, months + 1):
        to(lab, f"2026-{month + 1:02}-02")
        paid(Invoice.objects.filter(status="issued"), at(f"2026-{month + 1:02}-02"))
    use(lab, tokens)
    to(lab, f"2026-{months + 2:02}-02")


@pytest.mark.parametrize(
    ("months", "tokens", "status", "total"),
    [
        (3, 44_100, "issued", 10 * 4900),
        (3, 44_101, "draft", 10 * 4900 + 1),
        # Two are no history.
        (2, 44_101, "issued", 10 * 4900 + 1),
    ],
)
def test_far_above_its_history_it_is_parked(
    lab: Organization, months: int, tokens: int, status: str, total: int
) -> None:
    grown(lab, months, tokens)
    assert states()[-1] == (status, total)
    assert (Invoice.objects.filter(parked_at__isnull=False).count() == 1) is (status == "draft")


def test_parked_it_waits_for_a_human_and_says_why(lab: Organization) -> None:
    grown(lab, 3, 49_500)
    invoice = Invoice.objects.get(status="draft", parked_at__isnull=False)
    why = "544.00 USD is more than 10 times the highest of the last invoices, 49.00."
    assert (invoice.parked_at, invoice.parked_reason, invoice.issue_due_at) == (at("2026-05-02"), why, None)
    assert invoice.number is None
    assert SubscriptionPeriod.objects.get(ordinal=4).closed_at is None
    message = OutboxEvent.objects.get(topic="invoice.parked")
    assert (message.payload["invoice"], message.payload["reason"]) == (str(invoice.id), why)
    assert AuditEntry.objects.get(act="invoice.parked").reason == why
    # The next one goes on.
    to(lab, "2026-06-02")
    assert states()[-2:] == [("draft", 54400), ("issued", 4900)]
    # As odd as ever, it parks itself again; a human issues it.
    released = invoicing.release(invoice=invoice, actor=OPERATOR, now=at("2026-06-02"))
    assert (released.parked_at, released.parked_reason) == (None, "")
    to(lab, "2026-06-03")
    invoice.refresh_from_db()
    assert (invoice.status, invoice.parked_at) == ("draft", at("2026-06-02"))
    issued = invoicing.issue(invoice=invoice, actor=OPERATOR, now=at("2026-06-03"))
    assert (issued.status, issued.parked_at, issued.parked_reason) == ("issued", None, "")
    assert doctor.verify() == []


def test_how_far_is_a_setting(lab: Organization, settings: Settings) -> None:
    settings.BILLING_JUMP_FACTOR = 2
    grown(lab, 3, 4_901)
    assert states()[-1] == ("draft", 2 * 4900 + 1)


def test_what_has_no_price_is_parked_and_the_others_go_on() -> None:
    plan = factories.plan(base_fees={"EUR": 4900}, overages=[Overage("tokens")])
    bad = customer(plan, currency="EUR")
    good = customer(
        factories.plan(base_fees={"EUR": 4900}, product="other"), organization=bad.organization, currency="EUR"
    )
    for each in (bad, good):
        draft(each)
    factories.charge(bad.period, plan=plan, meter="tokens", overage="3")
    assert sweep(bad, DUE) == [("draft", None), ("issued", "INV-2026-000001")]
    invoice = Invoice.objects.get(status="draft")
    assert (invoice.parked_at, invoice.parked_reason.partition(":")[0]) == (DUE, "PriceMissing")
    assert sweep(bad, DUE + timedelta(days=1)) == []
    price = EntitlementPrice.objects.get()
    EntitlementPrice.objects.create(entitlement=price.entitlement, currency="EUR", rate=1)
    invoicing.release(invoice=invoice, actor=OPERATOR, now=DUE)
    assert sweep(bad, DUE) == [("issued", "INV-2026-000002")]
    assert Invoice.objects.get(id=invoice.id).total_minor == 5200


def test_broken_books_are_parked_and_loud(
    acme: Customer, caplog: pytest.LogCaptureFixture, django_capture_on_commit_callbacks: Any
) -> None:
    draft(acme)
    PlanSpan.objects.update(starts_at=at("2026-03-10"))
    with caplog.at_level(logging.ERROR, logger="billing"), django_capture_on_commit_callbacks(execute=True):
        assert sweep(acme, DUE) == [("draft", None)]
    assert Invoice.objects.get().parked_reason.startswith("InvariantViolation: plans cover")
    assert [(each.levelname, each.getMessage()) for each in caplog.records] == [("ERROR", "invoice.parked")]


ADVANCE = """\
default_plan: small
events: {}
plans:
  small:
    price: {USD: "30.00"}
    base_fee: advance
    entitlements: {}
"""


@pytest.fixture
def ahead() -> Subscription:
    """Its fee of March is asked in advance, by a draft that is due at once."""
    catalog_operations.sync(spec=parsing.load(ADVANCE), actor="test", now=at("2026-01-01"))
    organization = factories.sandbox(clock_at=at("2026-03-01"))
    return onboard.subscribe(organization=organization, plan_code="small", actor=OPERATOR, now=at("2026-03-01"))


def test_a_fee_that_another_invoice_carries_by_then_is_asked_by_none(ahead: Subscription) -> None:
    change = Invoice.objects.get()
    invoicing.hold(invoice=change, actor=OPERATOR, reason="a question", now=at("2026-03-01"))
    to(ahead.organization, "2026-04-03")
    cycle = Invoice.objects.get(kind="cycle")
    assert (cycle.status, cycle.total_minor) == ("issued", 6000)
    invoicing.release(invoice=change, actor=OPERATOR, now=at("2026-04-03"))
    assert sweep(ahead.organization, at("2026-04-03")) == [("void", None)]
    assert AuditEntry.objects.get(act="invoice.void").actor == "system:issue"
    assert doctor.verify() == []


def test_what_is_billed_already_is_never_issued(ahead: Subscription, monkeypatch: pytest.MonkeyPatch) -> None:
    """The derivation forgets what other invoices carry: March's fee would be asked again."""
    to(ahead.organization, "2026-04-01")
    before = evidence()
    monkeypatch.setattr(billed, "load", lambda wanted: {})
    cycle = Invoice.objects.get(kind="cycle")
    with pytest.raises(InvoiceBillsTwice, match=r"The base fee of period 1 would be billed twice\."):
        invoicing.issue(invoice=cycle, actor=OPERATOR, now=at("2026-04-02"))
    assert evidence() == before
    to(ahead.organization, "2026-04-02")
    cycle.refresh_from_db()
    assert (cycle.status, cycle.number) == ("draft", None)
    assert cycle.parked_reason == "InvoiceBillsTwice: The base fee of period 1 would be billed twice."
    assert evidence()[:2] == before[:2]
    # Mended, it goes out.
    monkeypatch.undo()
    invoicing.release(invoice=cycle, actor=OPERATOR, now=at("2026-04-02"))
    to(ahead.organization, "2026-04-03")
    assert [(each.status, each.total_minor) for each in Invoice.objects.order_by("drafted_at")] == [
        ("issued", 3000), ("issued", 3000)
    ]  # fmt: skip


def evidence() -> tuple[Any, ...]:
    """What a refused issue leaves alone: numbers, closed periods, lines."""
    return (
        list(DocumentCounter.objects.values_list("last", flat=True)),
        list(SubscriptionPeriod.objects.order_by("ordinal").values_list("closed_at", flat=True)),
        list(InvoiceLine.objects.order_by("id").values_list("id", "amount_minor")),
    )


def test_more_use_than_there_was_is_never_issued(lab: Organization, monkeypatch: pytest.MonkeyPatch) -> None:
    use(lab, 200)
    derive = drafts.derive

    def too_much(target: Target) -> drafts.Derivation:
        """One token more than was used, at no price, so that all sums still agree."""
        found = derive(target)
        lines = (replace(each, quantity=each.quantity + (each.charge == "overage")) for each in found.lines)
        return found._replace(lines=tuple(lines))

    monkeypatch.setattr(drafts, "derive", too_much)
    to(lab, "2026-02-02")
    assert Invoice.objects.get().parked_reason == "InvoiceBillsTwice: Use of tokens of period 1 would be billed twice."


def test_after_a_void_a_human_issues(acme: Customer) -> None:
    draft(acme)
    sweep(acme, DUE)
    invoicing.void(invoice=Invoice.objects.get(), actor=SYSTEM, reason="wrong address", now=DUE)
    again = draft(acme)
    assert (again.issue_due_at, again.held_at, again.parked_at) == (None, None, None)
    assert sweep(acme, DUE + timedelta(days=40)) == []
    invoicing.release(invoice=again, actor=OPERATOR, now=DUE)
    assert sweep(acme, DUE) == [("issued", "INV-2026-000002")]
