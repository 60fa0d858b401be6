"""The doctor says nothing of sound books, and names the row of each broken promise."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

import pytest
from django.db import connection

from billing.accounts import actors
from billing.accounts.actors import NotAllowed
from billing.credits import operations as credits_operations
from billing.invoicing import operations as invoicing_operations
from billing.kernel.ids import new_id
from billing.lifecycle import cancel, change_plan, onboard, renew, reversal
from billing.metering import operations as metering_operations
from billing.metering.offers import Offer
from billing.models import (
    AuditEntry,
    EntitlementKind,
    EntitlementPrice,
    GrantKind,
    Invoice,
    Organization,
    Plan,
    PlanEntitlement,
    Subscription,
    UsageEvent,
)
from billing.reporting import doctor
from tests.support import factories

START = factories.at("2026-01-20 10:30:00")
OPERATOR = actors.operator("ada")

pytestmark = pytest.mark.django_db


class Books(NamedTuple):
    """Some of everything: late use, overage, credits that ran short, a plan change, a cancellation, a return."""

    organization: Organization
    subscription: Subscription
    invoice: Invoice


def make_plan(code: str, allowance: str) -> Plan:
    factories.meter("tokens")
    factories.meter("cases")
    plan = factories.plan(
        code=code,
        credit_allowance=Decimal(allowance),
        credit_rates={"USD": "10"},
        overages=[factories.Overage("tokens", included="100")],
    )
    PlanEntitlement.objects.filter(plan=plan).update(credits_per_unit=Decimal("0.1"))
    daily = PlanEntitlement.objects.create(
        plan=plan, key="max_cases", kind=EntitlementKind.METERED, meters=["cases"], limit=50, cadence="daily"
    )
    EntitlementPrice.objects.create(entitlement=daily, currency="USD", rate=1)
    return plan


def use(organization: Organization, meter: str, quantity: str, at: datetime, now: datetime) -> None:
    offer = Offer(organization, meter, Decimal(quantity), key=new_id().hex, occurred_at=at)
    (outcome,) = metering_operations.record([offer], now=now)
    assert outcome.status == "accepted", outcome


def make_books(zone: str = "America/New_York") -> Books:
    organization = factories.sandbox(clock_at=START, zone=zone)

    def clock(at: datetime) -> datetime:
        organization.clock_at = at
        organization.save(update_fields=["clock_at"])
        renew.renew_due(organization_id=organization.id, now=at)
        return at

    subscription = onboard.subscribe(organization=organization, plan_code="team", actor=OPERATOR, now=START)
    for days in (0, 11, 12, 25):
        now = clock(START + timedelta(days=days, hours=3))
        use(organization, "tokens", "40", now, now)
        use(organization, "cases", "1.5", now - timedelta(hours=2), now)
    now = clock(START + timedelta(days=33))
    use(organization, "tokens", "7", START + timedelta(days=30), now)
    first = Invoice.objects.get(subscription=subscription)
    invoice = invoicing_operations.issue(invoice=first, actor=OPERATOR, now=now)
    paid_minor = invoice.total_minor - 300
    invoicing_operations.pay(
        invoice=invoice, amount_minor=paid_minor, reference=f"{organization.id}", actor=OPERATOR, now=now
    )
    invoicing_operations.credit(invoice=invoice, lines={1: 500}, reason="an outage", actor=OPERATOR, now=now)
    use(organization, "tokens", "9", START + timedelta(days=29), now)
    subscription = change_plan.change_now(subscription=subscription, plan_code="big", actor=OPERATOR, now=now)
    now = clock(now + timedelta(days=1))
    credits_operations.grant(
        account=subscription.marketplace,
        kind=GrantKind.PURCHASE,
        credits=Decimal(20),
        starts_at=now,
        expires_at=None,
        actor="cli:ada",
        reason="bought",
        now=now,
    )
    use(organization, "tokens", "130", now, now)
    credits_operations.take(account=subscription.marketplace, credits=Decimal(1), actor="cli:ada", reason="x", now=now)
    cancel.cancel_now(subscription=subscription, actor=OPERATOR, now=now)
    now = clock(now + timedelta(days=40))
    subscription = onboard.subscribe(organization=organization, plan_code="team", actor=OPERATOR, now=now)
    use(organization, "tokens", "3", now, now)
    take_back(organization, now)
    return Books(organization, subscription, invoice)


def take_back(organization: Organization, now: datetime) -> None:
    """A use without a price in part, and one that was paid in credits whole."""
    events = UsageEvent.objects.filter(organization=organization).order_by("recorded_at", "id")
    unpriced = events.filter(meter_id="cases").latest("recorded_at", "id")
    paid = events.filter(meter_id="tokens", overage=0, credits_paid__gt=0)[1]
    for event, quantity in ((unpriced, Decimal("0.5")), (paid, None)):
        reversal.reverse(event_id=event.id, quantity=quantity, actor=OPERATOR, reason="a mistake", now=now)


@pytest.fixture
def books() -> Books:
    make_plan("team", "5")
    make_plan("big", "8")
    return make_books()


@contextmanager
def unguarded(*tables: str) -> Iterator[None]:
    """Triggers and constraints of these tables off, as somebody with the owner's rights could put them."""
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        for table in tables:
            cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
            cursor.execute("SELECT conname FROM pg_constraint WHERE conrelid = %s::regclass AND contype = 'c'", [table])
            for (name,) in cursor.fetchall():
                cursor.execute(f"ALTER TABLE {table} DROP CONSTRAINT {name}")
    yield


def corrupt(table: str, sql: str, *parameters: Any) -> str:
    """Run ``sql``, which returns the id of the one row it broke."""
    with unguarded(table), connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        rows = cursor.fetchall()
    assert len(rows) == 1
    return str(rows[0][0])


def names(violations: list[doctor.Violation]) -> set[str]:
    return {violation.name for violation in violations}


def test_sound_books_are_silent(books: Books) -> None:
    make_books(zone="Asia/Kathmandu")
    make_books(zone="Australia/Lord_Howe")
    assert doctor.verify() == []
    assert doctor.verify(organization=books.organization) == []
    assert UsageEvent.objects.count() > 30


def test_empty_books_are_silent() -> None:
    assert doctor.verify() == []


EVENT = "(SELECT id FROM marketplace_usage_events WHERE {} ORDER BY id LIMIT 1)"
UNPRICED = EVENT.format("overage = 0 AND credits_due = 0")
UNPRICED_REVERSAL = EVENT.format("reverses_id IS NOT NULL AND meter = 'cases'")
FIRST_ENTRY = "(SELECT id FROM marketplace_credit_ledger ORDER BY subscription_id, sequence LIMIT 1)"
BASE_LINE = (
    "(SELECT line.id FROM marketplace_invoice_lines line JOIN marketplace_invoices invoice"
    " ON invoice.id = line.invoice_id WHERE invoice.status = 'paid' AND line.charge = 'base' LIMIT 1)"
)
ITS_PERIOD = "(SELECT period_id FROM marketplace_invoices WHERE id = invoice_id)"

# What is broken → which invariants say so, and under which column they name the row.
CORRUPTIONS: list[tuple[str, str, set[str], str]] = [
    (
        "marketplace_subscriptions",
        (
            "UPDATE marketplace_subscriptions SET credit_balance = credit_balance + 1 WHERE entries > 4"
            " RETURNING subscription_id"
        ),
        {"credit-balance-is-ledger", "credit-balance-is-grants"},
        "subscription_id",
    ),
    (
        "marketplace_subscriptions",
        "UPDATE marketplace_subscriptions SET entries = entries + 1 WHERE entries > 4 RETURNING subscription_id",
        {"credit-balance-is-ledger"},
        "subscription_id",
    ),
    (
        "marketplace_credit_ledger",
        f"UPDATE marketplace_credit_ledger SET balance_after = balance_after + 1 WHERE id = {FIRST_ENTRY} RETURNING id",
        {"ledger-follows"},
        "id",
    ),
    (
        "marketplace_credit_ledger",
        (
            "UPDATE marketplace_credit_ledger SET event_id = gen_random_uuid() WHERE id = ("
            "SELECT id FROM marketplace_credit_ledger WHERE kind = 'debit' LIMIT 1) RETURNING event_id"
        ),
        {"debits-pay-events"},
        "event_id",
    ),
    (
        "marketplace_credit_grants",
        (
            "UPDATE marketplace_credit_grants SET consumed = consumed - 1, expired = expired + 1"
            " WHERE kind = 'purchase' RETURNING id"
        ),
        {"grants-equal-movements"},
        "id",
    ),
    (
        "marketplace_credit_grants",
        (
            "UPDATE marketplace_credit_grants SET remaining = remaining + 1, granted = granted + 1"
            " WHERE kind = 'purchase' RETURNING id"
        ),
        {"grants-equal-movements", "credit-balance-is-grants"},
        "id",
    ),
    (
        "subscription_usage_ledger",
        (
            "UPDATE subscription_usage_ledger SET used = used + 0.000001 WHERE id = ("
            "SELECT id FROM subscription_usage_ledger WHERE cadence = 'daily' LIMIT 1) RETURNING id"
        ),
        {"calendar-windows-equal-events", "days-make-up-the-life"},
        "id",
    ),
    (
        "subscription_usage_ledger",
        (
            "UPDATE subscription_usage_ledger SET overage = overage + 1 WHERE id = ("
            "SELECT id FROM subscription_usage_ledger WHERE cadence = 'monthly' LIMIT 1) RETURNING id"
        ),
        {"calendar-windows-equal-events", "months-make-up-the-life"},
        "id",
    ),
    (
        "subscription_usage_ledger",
        (
            "DELETE FROM subscription_usage_ledger WHERE id = ("
            "SELECT id FROM subscription_usage_ledger WHERE cadence = 'monthly' LIMIT 1) RETURNING subscription_id"
        ),
        {"months-make-up-the-life"},
        "subscription_id",
    ),
    (
        "subscription_usage_ledger",
        (
            "DELETE FROM subscription_usage_ledger WHERE id = ("
            "SELECT id FROM subscription_usage_ledger WHERE cadence = 'daily' LIMIT 1) RETURNING subscription_id"
        ),
        {"days-make-up-the-life"},
        "subscription_id",
    ),
    (
        "subscription_usage_ledger",
        (
            "UPDATE subscription_usage_ledger SET events = events + 1 WHERE id = ("
            "SELECT id FROM subscription_usage_ledger WHERE cadence = 'never' LIMIT 1) RETURNING subscription_id"
        ),
        {"lifetime-windows-equal-events", "months-make-up-the-life", "days-make-up-the-life"},
        "subscription_id",
    ),
    (
        "subscription_usage_ledger",
        (
            "DELETE FROM subscription_usage_ledger WHERE id = ("
            "SELECT id FROM subscription_usage_ledger WHERE cadence = 'billing_period' LIMIT 1)"
            " RETURNING subscription_id"
        ),
        {"period-windows-equal-events"},
        "subscription_id",
    ),
    (
        "billing_usage_charges",
        (
            "UPDATE billing_usage_charges SET overage = overage + 1 WHERE id = (SELECT charge.id FROM"
            " billing_usage_charges charge JOIN subscription_periods period ON period.id = charge.billed_period_id"
            " WHERE period.closed_at IS NULL LIMIT 1) RETURNING billed_period_id"
        ),
        {"charges-equal-events"},
        "billed_period_id",
    ),
    (
        "billing_usage_charges",
        (
            "DELETE FROM billing_usage_charges WHERE id = (SELECT charge.id FROM billing_usage_charges charge JOIN"
            " subscription_periods period ON period.id = charge.billed_period_id"
            " WHERE period.closed_at IS NOT NULL LIMIT 1) RETURNING billed_period_id"
        ),
        {"charges-equal-events", "invoices-bill-all-charges"},
        "billed_period_id",
    ),
    (
        "marketplace_usage_events",
        (
            f"UPDATE marketplace_usage_events SET credits_due = -1, credits_paid = -1 WHERE id = "
            f"{EVENT.format('credits_due = 0')} RETURNING id"
        ),
        {"events-split-sanely", "debits-pay-events"},
        "id",
    ),
    (
        "marketplace_usage_events",
        (
            f"UPDATE marketplace_usage_events SET occurred_at = occurred_at - interval '400 days' WHERE id = "
            f"{EVENT.format('TRUE')} RETURNING id"
        ),
        {"events-stand-in-their-periods", "events-were-on-their-plan", "calendar-windows-equal-events"},
        "id",
    ),
    (
        "marketplace_usage_events",
        (
            f"UPDATE marketplace_usage_events SET plan_id = gen_random_uuid() WHERE id = "
            f"{EVENT.format('overage = 0 AND credits_due = 0')} RETURNING id"
        ),
        {"events-were-on-their-plan"},
        "id",
    ),
    (
        "marketplace_usage_events",
        (
            f"UPDATE marketplace_usage_events SET billed_period_id = gen_random_uuid() WHERE id = "
            f"{EVENT.format('overage = 0 AND credits_due = 0')} RETURNING id"
        ),
        {"events-stand-in-their-periods"},
        "id",
    ),
    (
        "marketplace_usage_events",
        (
            f"UPDATE marketplace_usage_events SET reverses_id = gen_random_uuid() WHERE id = "
            f"{UNPRICED_REVERSAL} RETURNING id"
        ),
        {"reversals-stand-with-their-events"},
        "id",
    ),
    (
        "marketplace_usage_events",
        (
            f"UPDATE marketplace_usage_events SET quantity = quantity - 10 WHERE id = "
            f"{UNPRICED_REVERSAL} RETURNING meter"
        ),
        {
            "reversals-within-events",
            "lifetime-windows-equal-events",
            "period-windows-equal-events",
            "calendar-windows-equal-events",
        },
        "meter",
    ),
    (
        "marketplace_credit_ledger",
        (
            "UPDATE marketplace_credit_ledger SET grant_id = (SELECT id FROM marketplace_credit_grants"
            " WHERE kind = 'purchase' LIMIT 1) WHERE kind = 'reversal' RETURNING grant_id"
        ),
        {"reversals-repay-payers", "grants-equal-movements"},
        "grant_id",
    ),
    (
        "marketplace_credit_grants",
        (
            "UPDATE marketplace_credit_grants SET voided_at = now() WHERE id = ("
            "SELECT id FROM marketplace_credit_grants WHERE remaining > 0 LIMIT 1) RETURNING id"
        ),
        {"voided-grants-stay-void"},
        "id",
    ),
    (
        "subscription_plan_spans",
        (
            "UPDATE subscription_plan_spans SET starts_at = starts_at + interval '1 second'"
            " WHERE ends_at IS NULL RETURNING id"
        ),
        {"plan-spans-tile", "events-were-on-their-plan"},
        "id",
    ),
    (
        "organization_subscriptions",
        (
            "UPDATE organization_subscriptions SET plan_id = (SELECT id FROM billing_plans WHERE code = 'big')"
            " WHERE status = 'active' RETURNING id"
        ),
        {"subscription-is-on-its-open-span"},
        "id",
    ),
    (
        "marketplace_invoices",
        "UPDATE marketplace_invoices SET total_minor = total_minor + 1 WHERE status = 'paid' RETURNING id",
        {"invoice-lines-add-up", "paid-means-nothing-due"},
        "id",
    ),
    (
        "marketplace_invoice_lines",
        (
            "UPDATE marketplace_invoice_lines SET quantity = quantity + 1 WHERE id = (SELECT line.id FROM"
            " marketplace_invoice_lines line JOIN marketplace_invoices invoice ON invoice.id = line.invoice_id"
            " WHERE invoice.status = 'paid' AND line.charge <> 'base' LIMIT 1)"
            f" RETURNING {ITS_PERIOD}"
        ),
        {"invoices-bill-all-charges"},
        "period_id",
    ),
    (
        "marketplace_invoice_lines",
        (
            "UPDATE marketplace_invoice_lines SET details = details || jsonb_build_object('seconds', '9999999')"
            f" WHERE id = {BASE_LINE} RETURNING {ITS_PERIOD}"
        ),
        {"base-fees-stay-within-their-periods"},
        "period_id",
    ),
    (
        "marketplace_invoice_lines",
        f"UPDATE marketplace_invoice_lines SET charge = 'discount' WHERE id = {BASE_LINE} RETURNING {ITS_PERIOD}",
        {"discounts-stay-within-charges"},
        "period_id",
    ),
    (
        "subscription_periods",
        "UPDATE subscription_periods SET closed_at = NULL WHERE closed_at IS NOT NULL RETURNING id",
        {"closed-periods-are-invoiced"},
        "id",
    ),
    (
        "marketplace_invoices",
        "UPDATE marketplace_invoices SET status = 'issued' WHERE status = 'paid' RETURNING id",
        {"paid-means-nothing-due", "unpaid-invoices-are-collected"},
        "id",
    ),
    (
        "organization_subscriptions",
        (
            "UPDATE organization_subscriptions SET status = 'past_due', past_due_at = starts_at"
            " WHERE status = 'active' RETURNING id"
        ),
        {"past-due-means-unpaid"},
        "id",
    ),
    (
        "billing_charge_attempts",
        (
            "INSERT INTO billing_charge_attempts (id, organization_id, collection_id, invoice_id, provider, key,"
            " amount_minor, status, reference, code, message, started_at, asked, finished_at)"
            " SELECT gen_random_uuid(), organization_id, id, invoice_id, 'stub', 'charge-1', 100, 'succeeded', 'lost',"
            " '', '', started_at, 1, started_at FROM billing_collections LIMIT 1 RETURNING id"
        ),
        {"charges-are-booked"},
        "id",
    ),
    (
        "billing_mails",
        (
            "UPDATE billing_mails SET about = 'another' WHERE invoice_id = ("
            "SELECT id FROM marketplace_invoices WHERE status = 'paid' LIMIT 1) RETURNING invoice_id"
        ),
        {"issued-invoices-are-mailed"},
        "id",
    ),
    (
        "marketplace_credit_notes",
        ("UPDATE marketplace_credit_notes SET total_minor = total_minor - 1, tax_minor = tax_minor - 1 RETURNING id"),
        {"paid-means-nothing-due", "credit-notes-fit-their-lines"},
        "id",
    ),
    (
        "billing_balance_entries",
        "UPDATE billing_balance_entries SET balance_after_minor = balance_after_minor + 1 RETURNING id",
        {"balance-entries-follow"},
        "id",
    ),
    (
        "billing_document_counters",
        "UPDATE billing_document_counters SET last = last + 1 WHERE document = 'credit_note' RETURNING series",
        {"credit-note-numbers-are-gapless"},
        "series",
    ),
    (
        "billing_document_counters",
        "UPDATE billing_document_counters SET last = last + 1 WHERE document = 'invoice' RETURNING series",
        {"invoice-numbers-are-gapless"},
        "series",
    ),
]


@pytest.mark.parametrize(
    ("table", "sql", "expected", "column"), CORRUPTIONS, ids=[f"{n}-{c[0]}" for n, c in enumerate(CORRUPTIONS)]
)
def test_a_broken_row_is_named(books: Books, table: str, sql: str, expected: set[str], column: str) -> None:
    broken = corrupt(table, sql)
    violations = doctor.verify()
    assert names(violations) == expected
    named = {row[column] for violation in violations for row in violation.rows if column in row}
    # Rows that follow from the broken one may be named with it: an event's day, week and month.
    assert broken in named
    assert len(named) <= 4
    if not any(name.endswith("numbers-are-gapless") for name in expected):
        assert names(doctor.verify(organization=books.organization)) == expected
    other = factories.organization()
    assert doctor.verify(organization=other) == []


def test_periods_that_do_not_meet(books: Books) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("ALTER TABLE subscription_periods DROP CONSTRAINT periods_prev_end_fk")
    broken = corrupt(
        "subscription_periods",
        "UPDATE subscription_periods SET starts_at = starts_at + interval '1 second' WHERE ordinal = 2 RETURNING id",
    )
    violations = {violation.name: violation for violation in doctor.verify()}
    assert [row["id"] for row in violations["periods-are-contiguous"].rows] == [broken]


def test_two_live_subscriptions(books: Books) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("DROP INDEX subscriptions_one_live_per_product")
    corrupt(
        "organization_subscriptions",
        "UPDATE organization_subscriptions SET status = 'active', ended_at = NULL"
        " WHERE status = 'canceled' RETURNING id",
    )
    violations = {violation.name: violation for violation in doctor.verify()}
    assert violations.keys() == {"one-live-subscription", "subscription-is-on-its-open-span"}
    (row,) = violations["one-live-subscription"].rows
    assert row == {"organization_id": str(books.organization.id), "product": "platform", "live": "2"}


def test_a_row_of_another_organization(books: Books) -> None:
    other = factories.organization()
    broken = corrupt(
        "billing_usage_charges",
        "UPDATE billing_usage_charges SET organization_id = %s WHERE id = (SELECT min(id) FROM billing_usage_charges)"
        " RETURNING subscription_id",
        other.id,
    )
    violations = doctor.verify()
    assert names(violations) == {"rows-stay-in-their-organization"}
    assert violations[0].rows == (
        {
            "held_in": "billing_usage_charges",
            "subscription_id": broken,
            "organization_id": str(other.id),
            "owner_id": str(books.organization.id),
        },
    )


def test_a_missing_invoice_number(books: Books) -> None:
    corrupt(
        "marketplace_invoices",
        "UPDATE marketplace_invoices SET number = replace(number, '0001', '0003') WHERE status = 'paid' RETURNING id",
    )
    (violation,) = doctor.verify()
    assert violation.name == "invoice-numbers-are-gapless"
    assert violation.rows[0]["series"] == books.organization.slug
    assert violation.rows[0]["highest"] == "3"


def test_every_invariant_is_broken_by_some_test() -> None:
    # The chain is broken in tests/domain/credits/test_sealing.py, and what providers told in
    # tests/domain/lifecycle/test_provider_events.py. Held debits: tests/domain/metering/test_debit_holds.py.
    apart = {
        "held-debits-are-made-when-cleared",
        "held-use-costs-nothing",
        "ledger-chain-whole",
        "one-live-subscription",
        "periods-are-contiguous",
        "provider-events-agree",
        "rejected-debits-are-reversed",
        "rows-stay-in-their-organization",
    }
    assert {invariant.name for invariant in doctor.INVARIANTS} == apart.union(*(case[2] for case in CORRUPTIONS))


def test_run_leaves_its_outcome_for_the_metrics(books: Books) -> None:
    assert doctor.run(actor=actors.system("verify")) == []
    entry = AuditEntry.objects.get(act="books.verify")
    assert entry.details["violations"] == {invariant.name: 0 for invariant in doctor.INVARIANTS}
    corrupt(
        "marketplace_subscriptions",
        "UPDATE marketplace_subscriptions SET entries = entries + 1 WHERE entries > 4 RETURNING subscription_id",
    )
    doctor.run(actor=actors.system("verify"))
    latest = AuditEntry.objects.filter(act="books.verify").latest("recorded_at")
    assert {name: n for name, n in latest.details["violations"].items() if n} == {"credit-balance-is-ledger": 1}


def test_run_needs_the_right_to_verify() -> None:
    with pytest.raises(NotAllowed):
        doctor.run(actor=actors.ANONYMOUS)
