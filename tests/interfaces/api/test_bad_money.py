"""Bad input about time and money: each is refused with a code of its own, and nothing whatever is written."""

from typing import Any

import pytest
from django.db import IntegrityError, transaction

from billing.models import (
    BalanceEntry,
    CreditNote,
    DocumentCounter,
    InvoiceLine,
    Organization,
    OutboxEvent,
    Payment,
    PlanSpan,
    Subscription,
    SubscriptionPeriod,
)
from tests.support import cli
from tests.support.api import World, rows
from tests.support.factories import at

ACME = "/billing/organizations/acme"
FACTS = (BalanceEntry, CreditNote, DocumentCounter, InvoiceLine, OutboxEvent, Payment, PlanSpan, SubscriptionPeriod)


def facts() -> list[object]:
    """How much is written, and what may change without a new row."""
    return [
        rows(),
        [model._default_manager.count() for model in FACTS],
        list(DocumentCounter.objects.values_list().order_by("pk")),
        list(Subscription.objects.values_list().order_by("pk")),
        list(SubscriptionPeriod.objects.values_list().order_by("pk")),
        list(Organization.objects.values_list("pk", "clock_at", "currency").order_by("pk")),
    ]


@pytest.fixture
def names(world: World) -> dict[str, str]:
    """Two ended periods: the first one's invoice is paid, the second one's issued and credited by half."""
    world.platform.post(f"{ACME}/clock/advance", {"to": "2024-01-05T00:00:00Z"})
    listed = world.own.get(f"/billing/subscriptions/{world.subscription.id}/invoices").json["results"]
    half, paid = (each["id"] for each in listed)
    for invoice in (half, paid):
        assert world.platform.post(f"/billing/invoices/{invoice}/issue").status == 200
    told = {"amount": "49.00", "reference": "bank-1"}
    assert world.platform.post(f"/billing/invoices/{paid}/pay", told).status == 201
    lines = [{"position": 1, "amount": "24.50"}]
    credited = world.platform.post(f"/billing/invoices/{half}/credit-notes", {"reason": "r", "lines": lines})
    assert credited.status == 201
    periods = SubscriptionPeriod.objects.filter(subscription=world.subscription).order_by("ordinal")
    return {
        "sub": str(world.subscription.id),
        "foreign": str(world.foreign.id),
        "paid": f"/billing/invoices/{paid}",
        "half": f"/billing/invoices/{half}",
        "running": str(periods.last().id),  # type: ignore[union-attr]
        "theirs": str(SubscriptionPeriod.objects.filter(subscription=world.foreign).latest("ordinal").id),
    }


DRAFT = "/billing/subscriptions/{sub}/invoices/draft"
CASES: dict[str, tuple[str, dict[str, Any], int, str]] = {
    # Which periods there are is nobody's to say: one is named, and has ended.
    "a period of one's own": (DRAFT, {"starts_at": "2023-12-01T00:00:00Z", "ends_at": "2023-11-01T00:00:00Z"}, 422,
                              "invalid"),
    "a period that lies ahead": (DRAFT, {"period": "{running}"}, 409, "period_not_ended"),
    "another's period": (DRAFT, {"period": "{theirs}"}, 422, "period_not_found"),
    "no period": (DRAFT, {"period": "0190a1b2-0000-7000-8000-000000000000"}, 422, "period_not_found"),
    "a void of a paid invoice": ("{paid}/void", {"reason": "r"}, 409, "invoice_paid"),
    "a void of a credited invoice": ("{half}/void", {"reason": "r"}, 409, "invoice_has_credit_notes"),
    "a paid invoice written off": ("{paid}/uncollectible", {"reason": "r"}, 409, "invoice_paid"),
    "more credited than is left of a line": ("{half}/credit-notes", {
        "reason": "r", "lines": [{"position": 1, "amount": "24.51"}]}, 409, "credit_exceeds_line"),
    "credited below nothing": ("{half}/credit-notes", {
        "reason": "r", "lines": [{"position": 1, "amount": "-0.01"}]}, 409, "credit_exceeds_line"),
    "more paid out than the balance": (f"{ACME}/balance/payouts", {
        "amount": "0.01", "currency": "USD", "reference": "x", "reason": "r"}, 409, "balance_insufficient"),
    "more paid than is due": ("{half}/pay", {"amount": "24.51", "reference": "x"}, 409, "payment_exceeds_due"),
    "more refunded than was paid": ("{paid}/refund", {
        "amount": "49.01", "reference": "x", "reason": "r"}, 409, "refund_exceeds_paid"),
    "an unknown currency of a payout": (f"{ACME}/balance/payouts", {
        "amount": "1", "currency": "XXX", "reference": "x", "reason": "r"}, 422, "invalid"),
    "an unknown currency of an organization": ("/billing/organizations", {
        "slug": "new", "name": "New", "currency": "XXX"}, 422, "invalid"),
    "an unknown currency of a subscription": ("/billing/organizations/fresh/subscriptions", {
        "plan_code": "team", "currency": "XXX"}, 422, "invalid"),
    "a currency that the plan is not sold in": ("/billing/organizations/fresh/subscriptions", {
        "plan_code": "team", "currency": "EUR"}, 422, "currency_not_sold"),
    "a start that lies ahead": ("/billing/organizations/fresh/subscriptions", {
        "plan_code": "team", "starts_at": "2199-01-01T00:00:00Z"}, 422, "starts_at_invalid"),
    "a start in time that was billed": ("/billing/organizations/left/subscriptions", {
        "plan_code": "team", "starts_at": "2023-11-15T00:00:00Z"}, 409, "starts_at_taken"),
    "a clock turned back": (f"{ACME}/clock/advance", {"to": "2024-01-04T23:59:59Z"}, 422, "clock_invalid"),
    "a clock that does not move": (f"{ACME}/clock/advance", {"to": "2024-01-05T00:00:00Z"}, 422, "clock_invalid"),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_it_is_refused_with_a_code_and_nothing_is_written(world: World, names: dict[str, str], case: str) -> None:
    path, body, status, code = CASES[case]
    for slug in ("fresh", "left"):
        told = {"slug": slug, "name": slug, "is_sandbox": True, "clock_at": "2023-12-10T00:00:00Z"}
        assert world.platform.post("/billing/organizations", told).status == 201
    given = {"plan_code": "team", "starts_at": "2023-11-01T00:00:00Z"}
    left = world.platform.post("/billing/organizations/left/subscriptions", given).json["id"]
    world.platform.post(f"/billing/subscriptions/{left}/cancel")
    before = facts()
    filled = {key: value.format(**names) if isinstance(value, str) else value for key, value in body.items()}
    answer = world.platform.post(path.format(**names), filled)
    assert (answer.status, answer.code) == (status, code), answer
    assert facts() == before


def test_the_shell_refuses_the_same(world: World, names: dict[str, str]) -> None:
    before = facts()
    number = world.own.get(names["paid"]).json["number"]
    for arguments, exit_code, code in (
        (("invoices", "void", number, "--reason", "r"), 4, "invoice_paid"),
        (("invoices", "draft", "acme", "--period", "2024-01-05"), 4, "period_not_ended"),
        (("invoices", "draft", "acme", "--period", "2030-01-01"), 3, "period_not_found"),
        (("clock", "advance", "acme", "--to", "2024-01-01"), 2, "clock_invalid"),
        (("balance", "payout", "acme", "1", "--reference", "x", "--reason", "r", "--currency", "XXX"), 2, "invalid"),
    ):
        ran = cli.run(*arguments, "--json")
        assert (ran.code, ran.problem["code"]) == (exit_code, code), ran
    assert facts() == before


@pytest.mark.parametrize(("starts_at", "ends_at"), [
    ("2024-02-01", "2024-01-15"),  # ends before it starts
    ("2024-02-01", "2024-02-01"),  # no time at all
    ("2023-12-15", "2024-03-01"),  # over one that is invoiced
    ("2024-02-02", "2024-03-01"),  # a gap
])  # fmt: skip
def test_the_database_itself_holds_periods_in_a_row(
    world: World, names: dict[str, str], starts_at: str, ends_at: str
) -> None:
    last = SubscriptionPeriod.objects.get(id=names["running"])
    before = facts()
    with pytest.raises(IntegrityError), transaction.atomic():
        SubscriptionPeriod.objects.create(
            organization=world.acme,
            subscription=world.subscription,
            ordinal=last.ordinal + 1,
            kind="regular",
            starts_at=at(starts_at),
            ends_at=at(ends_at),
            nominal_ends_at=at(ends_at),
            prev_end=last.ends_at,
        )
    assert facts() == before
