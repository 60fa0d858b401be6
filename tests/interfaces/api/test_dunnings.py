"""Dunnings and e-mail over HTTP."""

from datetime import timedelta

import pytest

from billing.invoicing import operations as invoicing_operations
from billing.lifecycle import clock
from billing.models import BillingProfile, Invoice, Mail
from billing.payments import stub
from tests.support.api import CLI, NOW, World, rows

DAY = timedelta(days=1)
# The world's organizations live on 17 November 2023, subscribed since the 1st.
ISSUED_BY = NOW + 16 * DAY


@pytest.fixture
def invoice(world: World) -> Invoice:
    """Of November, issued by the clock and declined."""
    BillingProfile.objects.create(organization=world.acme, collection="automatic", updated_at=NOW)
    stub.choose(world.acme, "card_declined", now=NOW)
    clock.advance(organization=world.acme, to=ISSUED_BY, actor=CLI)
    return Invoice.objects.get(organization=world.acme, status="issued")


def test_a_dunning_is_listed_read_and_tells_every_charge(world: World, invoice: Invoice) -> None:
    (listed,) = world.own.get("/billing/organizations/acme/dunnings").json["results"]
    assert (listed["invoice_number"], listed["due"], listed["currency"]) == (invoice.number, "49.00", "USD")
    assert [each["code"] for each in listed["attempts"]] == ["card_declined"] * 2
    assert [each["step"] for each in listed["attempts"]] == [0, 1]
    for name in (listed["id"], invoice.id, invoice.number):
        assert world.own.get(f"/billing/dunnings/{name}").json == listed
    assert world.own.get("/billing/organizations/acme/dunnings?state=closed").json["results"] == []
    assert world.own.get("/billing/organizations/acme/dunnings?state=maybe").status == 422


def test_a_dunning_of_another_looks_like_none(world: World, invoice: Invoice) -> None:
    assert world.theirs.get(f"/billing/dunnings/{invoice.id}").status == 404
    assert world.theirs.get("/billing/organizations/acme/dunnings").status == 404
    assert world.nobody.get(f"/billing/dunnings/{invoice.id}").status == 401


def test_only_finance_retries_and_stops(world: World, invoice: Invoice) -> None:
    before = rows()
    assert world.own.post(f"/billing/dunnings/{invoice.id}/retry").status == 403
    assert world.own.post(f"/billing/dunnings/{invoice.id}/stop", {"reason": "please"}).status == 403
    assert rows() == before


def test_a_retry_with_a_good_card_pays_and_then_there_is_nothing_to_retry(world: World, invoice: Invoice) -> None:
    stub.choose(world.acme, "card_ok", now=NOW)
    answer = world.platform.post(f"/billing/dunnings/{invoice.id}/retry")
    assert (answer.status, answer.json["closed_because"], answer.json["due"]) == (200, "settled", "0.00")
    assert answer.json["attempts"][-1]["step"] is None
    again = world.platform.post(f"/billing/dunnings/{invoice.id}/retry")
    assert (again.status, again.code) == (409, "dunning_closed")


def test_a_dunning_is_stopped_with_a_reason_and_twice_is_once(world: World, invoice: Invoice) -> None:
    path = f"/billing/dunnings/{invoice.number}/stop"
    assert world.platform.post(path, {"reason": " "}).status == 422
    first = world.platform.post(path, {"reason": "a promise"}, Idempotency_Key="k")
    assert first.json["closed_because"] == "stopped"
    assert world.platform.post(path, {"reason": "a promise"}, Idempotency_Key="k").json == first.json
    assert world.platform.post(path, {"reason": "again"}).json == first.json


def test_past_due_is_refused_with_what_to_pay(world: World, invoice: Invoice) -> None:
    clock.advance(organization=world.acme, to=ISSUED_BY + 14 * DAY, actor=CLI)
    assert world.own.get("/billing/organizations/acme/subscription").json["status"] == "past_due"
    check = world.own.post("/billing/organizations/acme/quotas/check", {"event": "case_created"}).json
    assert (check["allowed"], check["code"]) == (False, "subscription_past_due")
    assert check["notes"] == ["billing:subscription-missing", "billing:subscription-past-due"]
    assert check["remedies"] == [{"action": "pay", "invoice": invoice.number, "due": "49.00", "currency": "USD"}]
    use = {"organization": "acme", "meter": "tokens", "quantity": 1}
    assert world.own.post("/billing/usage", use).json["code"] == "subscription_past_due"
    invoicing_operations.pay(invoice=invoice, amount_minor=4900, reference="bank", actor=CLI, now=ISSUED_BY + 14 * DAY)
    assert world.own.post("/billing/organizations/acme/quotas/check", {"event": "case_created"}).json["allowed"]


def test_mail_is_listed_and_sent_again_by_finance(world: World, invoice: Invoice) -> None:
    listed = world.own.get("/billing/organizations/acme/mails").json["results"]
    assert [each["kind"] for each in listed] == ["reminder", "payment_failed", "invoice_issued"]
    assert {(each["status"], each["reason"]) for each in listed} == {("skipped", "sandbox")}
    page = world.own.get("/billing/organizations/acme/mails?limit=2").json
    assert len(page["results"]) == 2
    assert page["next"]
    path = f"/billing/mails/{listed[0]['id']}/resend"
    assert world.own.post(path).status == 403
    assert world.theirs.post(path).status == 404
    refused = world.platform.post(path)
    assert (refused.status, refused.code) == (409, "no_recipient")
    world.acme.billing_email = "money@acme.example"
    world.acme.save()
    assert world.platform.post(path).json["status"] == "pending"
    assert Mail.objects.filter(status="pending").count() == 1
    assert world.platform.post(path).code == "mail_pending"
