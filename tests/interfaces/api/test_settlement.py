"""An issued invoice through the API: paid in parts, refunded, voided, written off; and what of that is refused."""

from typing import Any

import pytest

from billing.models import Payment
from tests.support.api import Answer, World, rows


@pytest.fixture
def invoice(world: World) -> str:
    world.platform.post("/billing/organizations/acme/clock/advance", {"to": "2023-12-05T00:00:00Z"})
    drafted = world.platform.post(f"/billing/subscriptions/{world.subscription.id}/invoices/draft")
    path = f"/billing/invoices/{drafted.json['id']}"
    assert world.platform.post(f"{path}/issue").json["total"] == "49.00"
    return path


def pay(world: World, invoice: str, amount: object, reference: str, **more: Any) -> Answer:
    return world.platform.post(f"{invoice}/pay", {"amount": amount, "reference": reference, **more})


def test_paid_in_parts_and_refunded(world: World, invoice: str) -> None:
    first = pay(world, invoice, "9.00", "bank-1", received_at="2023-12-04T00:00:00Z", method="transfer")
    assert first.status == 201, first
    assert (first.json["invoice"]["status"], first.json["invoice"]["paid"], first.json["invoice"]["due"]) == (
        "issued", "9.00", "40.00",
    )  # fmt: skip
    again = pay(world, invoice, "9", "bank-1")
    assert (again.status, again.json["payment"]) == (201, first.json["payment"])
    paid = pay(world, invoice, 40, "bank-2").json["invoice"]
    assert (paid["status"], paid["due"]) == ("paid", "0.00")
    refunded = world.platform.post(f"{invoice}/refund", {"amount": "40", "reference": "bank-3", "reason": "bounced"})
    assert (refunded.json["invoice"]["status"], refunded.json["invoice"]["due"]) == ("issued", "40.00")
    listed = world.own.get(f"{invoice}/payments").json["results"]
    assert [(row["kind"], row["amount"], row["reference"]) for row in listed] == [
        ("payment", "9.00", "bank-1"),
        ("payment", "40.00", "bank-2"),
        ("refund", "40.00", "bank-3"),
    ]
    assert world.own.get(invoice).json == refunded.json["invoice"]


def test_one_request_twice(world: World, invoice: str) -> None:
    body = {"amount": "9.00", "reference": "bank-1"}
    answers = [world.platform.post(f"{invoice}/pay", body, Idempotency_Key="k") for _ in range(2)]
    assert answers[0].content == answers[1].content
    assert Payment.objects.count() == 1


@pytest.mark.parametrize(
    ("body", "status", "code", "field"),
    [
        ({"amount": "49.01", "reference": "a"}, 409, "payment_exceeds_due", None),
        ({"amount": "0.001", "reference": "a"}, 422, "invalid", "amount"),
        ({"amount": "0", "reference": "a"}, 422, "invalid", "amount"),
        ({"amount": "-1", "reference": "a"}, 422, "invalid", "amount"),
        ({"amount": "1_0", "reference": "a"}, 422, "invalid", "amount"),
        ({"amount": "1"}, 422, "invalid", "reference"),
        ({"amount": "1", "reference": " "}, 422, "invalid", "reference"),
        ({"amount": "1", "reference": "a", "provider": "A B"}, 422, "invalid", "provider"),
        ({"amount": "1", "reference": "a", "received_at": "2024-12-05T00:00:00Z"}, 422, "invalid", "received_at"),
    ],
)
def test_what_is_refused_writes_nothing(
    world: World, invoice: str, body: dict[str, Any], status: int, code: str, field: str | None
) -> None:
    before = rows(), Payment.objects.count()
    answer = world.platform.post(f"{invoice}/pay", body)
    assert (answer.status, answer.code) == (status, code), answer
    assert field is None or answer.fields == [field]
    assert (rows(), Payment.objects.count()) == before


def test_a_paid_invoice_is_not_voided(world: World, invoice: str) -> None:
    pay(world, invoice, "49.00", "bank-1")
    answer = world.platform.post(f"{invoice}/void", {"reason": "wrong"})
    assert (answer.status, answer.code) == (409, "invoice_paid")


def test_voided_and_billed_anew(world: World, invoice: str) -> None:
    assert world.platform.post(f"{invoice}/void", {"reason": " "}).status == 422
    voided = world.platform.post(f"{invoice}/void", {"reason": "wrong address"})
    assert (voided.status, voided.json["status"], voided.json["due"]) == (200, "void", "0.00")
    assert pay(world, invoice, "1", "bank-1").code == "invoice_void"
    anew = world.platform.post(f"/billing/subscriptions/{world.subscription.id}/invoices/draft")
    assert (anew.json["status"], anew.json["total"]) == ("draft", "49.00")
    assert anew.json["id"] != voided.json["id"]


def test_written_off_and_paid_after_all(world: World, invoice: str) -> None:
    marked = world.platform.post(f"{invoice}/uncollectible", {"reason": "bankrupt"})
    assert (marked.json["status"], marked.json["due"]) == ("uncollectible", "49.00")
    assert pay(world, invoice, "49", "bank-1").json["invoice"]["status"] == "paid"


def test_credited_in_part_and_the_rest_paid(world: World, invoice: str) -> None:
    note = world.platform.post(
        f"{invoice}/credit-notes", {"reason": "an outage", "lines": [{"position": 1, "amount": "9.00"}]}
    )
    assert (note.status, note.json["total"]) == (201, "9.00"), note
    assert note.json["number"].startswith("CN-SBX-acme-2023-")
    path = note.headers["Location"].removeprefix("/api")
    assert world.own.get(path).json == note.json
    assert world.own.get(f"/billing/credit-notes/{note.json['number']}").json == note.json
    assert world.own.get(f"{path}.csv").content.decode().splitlines()[-1].endswith(",9.00,,,,USD")
    assert world.own.get(path, Accept="application/pdf").content.startswith(b"%PDF-")
    assert world.own.get(f"{invoice}/credit-notes").json["results"] == [note.json]
    assert world.theirs.get(path).status == 404
    shown = world.own.get(invoice).json
    assert (shown["credited"], shown["due"], shown["credit_notes"]) == ("9.00", "40.00", [note.json["number"]])
    assert pay(world, invoice, "40.00", "bank-1").json["invoice"]["status"] == "paid"


def test_what_was_paid_and_is_credited_is_balance_until_it_is_paid_out(world: World, invoice: str) -> None:
    pay(world, invoice, "49.00", "bank-1")
    world.platform.post(f"{invoice}/credit-notes", {"reason": "all wrong"})
    balance = "/billing/organizations/acme/balance"
    (entry,) = world.own.get(balance).json["results"]
    assert (entry["kind"], entry["balance_after"]) == ("credited", "49.00")
    body = {"amount": "49.00", "currency": "USD", "reference": "out-1", "reason": "asked for"}
    assert world.own.post(f"{balance}/payouts", body).status == 403
    paid_out = world.platform.post(f"{balance}/payouts", body)
    assert (paid_out.status, paid_out.json["balance_after"]) == (201, "0.00")
    assert world.platform.post(f"{balance}/payouts", body).json == paid_out.json
    more = world.platform.post(f"{balance}/payouts", {**body, "reference": "out-2"})
    assert (more.status, more.code) == (409, "balance_insufficient")
    assert world.platform.post(f"{balance}/payouts", {**body, "currency": "XXX"}).fields == ["currency"]
    assert [row["sequence"] for row in world.own.get(f"{balance}?currency=USD").json["results"]] == [2, 1]


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"reason": "r", "lines": [{"position": 1, "amount": "49.01"}]}, 409, "credit_exceeds_line"),
        ({"reason": "r", "lines": [{"position": 2}]}, 422, "invalid"),
        ({"reason": "r", "lines": [{"position": 0}]}, 422, "invalid"),
        ({"reason": "r", "lines": []}, 422, "invalid"),
        ({"reason": "r", "lines": [{"position": 1}, {"position": 1}]}, 422, "duplicate"),
        ({"reason": " "}, 422, "invalid"),
        ({}, 422, "invalid"),
    ],
)
def test_credit_notes_that_are_refused(
    world: World, invoice: str, body: dict[str, Any], status: int, code: str
) -> None:
    before = rows()
    answer = world.platform.post(f"{invoice}/credit-notes", body)
    assert (answer.status, code in (answer.code, *(e["code"] for e in answer.json.get("errors", [])))) == (status, True)
    assert rows() == before
