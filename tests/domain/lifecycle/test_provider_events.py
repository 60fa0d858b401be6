"""What providers tell and what is made of it: the cases that a history in order never shows."""

from datetime import timedelta
from itertools import pairwise
from typing import Any
from uuid import UUID

import pytest
from pytest_django import Settings

from billing.accounts import actors
from billing.invoicing import operations as invoicing_operations
from billing.invoicing import queries as invoicing_queries
from billing.invoicing import settlement
from billing.lifecycle import cancel, onboard, renew
from billing.lifecycle.provider_events import routes
from billing.models import AuditEntry, Invoice, Organization, Payment, ProviderInboxEvent, ProviderObject, Subscription
from billing.payments import inbox
from billing.reporting import doctor
from billing.subscriptions import transitions
from tests.support import catalogs, factories, provider_inbox, stripe_payloads
from tests.support.factories import at

NOW = at("2026-05-10 12:00:00")
OPERATOR = actors.operator("ada")
CUSTOMER = actors.Actor(name="user:1", scopes=frozenset({"read", "subscribe"}))
ACME = {"organization": "acme"}

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def stripe_is_the_provider(settings: Settings) -> None:
    settings.BILLING_PROVIDER = "stripe"
    settings.BILLING_STRIPE_WEBHOOK_SECRETS = [stripe_payloads.SECRET]


@pytest.fixture
def acme() -> Organization:
    catalogs.sync()
    return factories.organization(slug="acme")


def tell(kind: str, source: Any, *, second: int = 0, event_id: str = "", now: Any = NOW) -> ProviderInboxEvent:
    event_id = event_id or f"evt_{kind}_{second}"
    body = stripe_payloads.event(kind, source, at=NOW + timedelta(seconds=second - 3600), event_id=event_id)
    provider_inbox.deliver(body, now=now)
    return ProviderInboxEvent.objects.get(event_id=event_id)


def sign_up(organization: Organization, plan: str = "team") -> Subscription:
    return onboard.subscribe(organization=organization, plan_code=plan, actor=CUSTOMER, now=NOW)


def confirm(subscription: Subscription, **fields: Any) -> ProviderInboxEvent:
    return tell("checkout.session.completed", stripe_payloads.checkout(str(subscription.id)), **fields)


def status_of(subscription: Subscription) -> str:
    return Subscription.objects.get(id=subscription.id).status


def issued(organization: Organization) -> Invoice:
    subscription = onboard.subscribe(
        organization=organization, plan_code="team", actor=OPERATOR, now=NOW, starts_at=at("2026-04-01")
    )
    renew.release(subscription=subscription, actor=OPERATOR, now=NOW)
    draft = invoicing_operations.draft(subscription=subscription, actor=OPERATOR, now=NOW)
    return invoicing_operations.issue(invoice=draft, actor=OPERATOR, now=NOW)


def stands(invoice: Invoice) -> tuple[str, int]:
    current = invoicing_queries.get_invoice(str(invoice.id))
    return current.status, settlement.due_minor(current)


def pay(invoice_id: UUID | None, amount: int, reference: str = "pi_1", **fields: Any) -> ProviderInboxEvent:
    named = {"invoice": str(invoice_id)} if invoice_id else ACME
    intent = stripe_payloads.payment_intent(reference, amount=amount, metadata=named, **fields)
    return tell("payment_intent.succeeded", intent, event_id=f"evt_{reference}")


def test_a_sign_up_is_confirmed_once(acme: Organization) -> None:
    subscription = sign_up(acme)
    assert confirm(subscription).status == "applied"
    assert status_of(subscription) == "active"
    periods = list(subscription.periods.values_list("starts_at", "ends_at"))
    assert confirm(subscription, second=9).status == "applied"
    assert list(subscription.periods.values_list("starts_at", "ends_at")) == periods


def test_a_trial_that_is_paid_for_goes_on_after_its_end(acme: Organization) -> None:
    trial = sign_up(acme, "trial")
    assert (trial.status, trial.confirmed_at) == ("trialing", None)
    confirm(trial)
    renew.renew_due(organization_id=acme.id, now=NOW + timedelta(days=15))
    assert status_of(trial) == "active"


def test_money_for_a_sign_up_that_lapsed_is_kept_and_seen(acme: Organization) -> None:
    subscription = sign_up(acme)
    renew.renew_due(organization_id=acme.id, now=NOW + timedelta(hours=25))
    assert status_of(subscription) == "expired"
    late = confirm(subscription)
    assert (late.status, late.reason) == (
        "ignored",
        "Confirmed after it had ended (expired): nothing was begun again.",
    )
    pay(None, 4900)
    assert provider_inbox.standing(acme)["balances"] == {"USD": 4900}
    assert AuditEntry.objects.get(act="balance.receive").reason == "Received for no invoice."


def test_what_is_paid_too_much_is_kept_and_given_back_first(acme: Organization) -> None:
    invoice = issued(acme)
    assert stands(invoice) == ("issued", 4900)
    pay(invoice.id, 5000)
    pay(invoice.id, 4900, "pi_2")
    assert stands(invoice) == ("paid", 0)
    assert provider_inbox.standing(acme)["balances"] == {"USD": 5000}
    # Of the second payment all went to the balance, so the invoice stays paid.
    tell("refund.created", stripe_payloads.refund("re_2", amount=4900, payment="pi_2"))
    assert (stands(invoice), provider_inbox.standing(acme)["balances"]) == (("paid", 0), {"USD": 100})
    # Of the first, 100.
    tell("refund.created", stripe_payloads.refund("re_1", amount=1100, payment="pi_1"), second=1)
    assert (stands(invoice), provider_inbox.standing(acme)["balances"]) == (("issued", 1000), {})
    assert doctor.verify(organization=acme) == []


def test_money_in_another_currency_or_for_a_void_invoice_is_kept(acme: Organization) -> None:
    invoice = issued(acme)
    pay(invoice.id, 700, "pi_jpy", currency="jpy")
    invoicing_operations.void(invoice=invoice, actor=OPERATOR, reason="wrong", now=NOW)
    pay(invoice.id, 4900)
    assert provider_inbox.standing(acme)["balances"] == {"JPY": 700, "USD": 4900}
    assert not Payment.objects.filter(provider="stripe").exists()


def test_a_refund_that_fails_brings_the_money_back(acme: Organization) -> None:
    invoice = issued(acme)
    pay(invoice.id, 4900)
    tell("refund.created", stripe_payloads.refund(amount=900, status="pending"))
    assert stands(invoice) == ("paid", 0)
    tell("refund.updated", stripe_payloads.refund(amount=900), second=1)
    assert stands(invoice) == ("issued", 900)
    tell("refund.failed", stripe_payloads.refund(amount=900, status="failed"), second=2)
    assert stands(invoice) == ("paid", 0)
    tell("refund.updated", stripe_payloads.refund(amount=900), second=1, event_id="evt_late")
    assert (stands(invoice), provider_inbox.standing(acme)["balances"]) == (("paid", 0), {})


def test_more_given_back_than_was_paid_is_parked(acme: Organization) -> None:
    invoice = issued(acme)
    pay(invoice.id, 4900)
    tell("refund.created", stripe_payloads.refund(amount=5000), event_id="evt_r")
    provider_inbox.settle(NOW)
    parked = ProviderInboxEvent.objects.get(event_id="evt_r")
    assert (parked.status, parked.attempts) == ("parked", inbox.ATTEMPTS_MAX)
    assert parked.reason.startswith("RefundExceedsPaid")
    assert stands(invoice) == ("paid", 0)


def test_what_names_only_its_customer_waits_for_the_customer(acme: Organization) -> None:
    subscription = sign_up(acme)
    intent = stripe_payloads.payment_intent(amount=500)
    waiting = tell("payment_intent.succeeded", intent)
    assert (waiting.status, waiting.awaits) == ("waiting", "customer:cus_1")
    confirm(subscription)
    waiting.refresh_from_db()
    assert (waiting.status, waiting.organization) == ("applied", acme)


def test_a_late_update_never_revives(acme: Organization) -> None:
    source = stripe_payloads.subscription(metadata=ACME)
    tell("customer.subscription.created", source)
    tell("customer.subscription.deleted", source | {"status": "canceled"}, second=5)
    late = tell("customer.subscription.updated", source, second=60)
    assert (late.status, late.reason) == ("ignored", "Something later is known of it.")
    assert [each.status for each in Subscription.objects.all()] == ["canceled"]


def test_what_ended_here_is_not_revived_there(acme: Organization) -> None:
    source = stripe_payloads.subscription(metadata=ACME)
    tell("customer.subscription.created", source)
    cancel.cancel_now(subscription=Subscription.objects.get(), actor=OPERATOR, now=NOW)
    late = tell("customer.subscription.updated", source, second=1)
    assert (late.status, late.reason) == ("ignored", "It has ended here (canceled), and stays so.")


def test_a_subscription_that_follows_another_waits_for_its_end(acme: Organization) -> None:
    first, second = (stripe_payloads.subscription(name, metadata=ACME) for name in ("sub_1", "sub_2"))
    tell("customer.subscription.created", first)
    early = tell("customer.subscription.created", second, second=9)
    assert (early.status, early.awaits) == ("waiting", "subscription:sub_1")
    tell("customer.subscription.deleted", first | {"status": "canceled"}, second=8)
    early.refresh_from_db()
    assert early.status == "applied"
    assert provider_inbox.standing(acme)["live"] == [("team", "active", False, "sub_2")]


def test_nothing_is_guessed_about_a_subscription_that_the_provider_was_not_told_of(acme: Organization) -> None:
    onboard.subscribe(organization=acme, plan_code="team", actor=OPERATOR, now=NOW)
    tell("customer.subscription.created", stripe_payloads.subscription(metadata=ACME), event_id="evt_s")
    provider_inbox.settle(NOW)
    assert ProviderInboxEvent.objects.get().reason.startswith("SubscriptionNotLinked")
    tell("customer.subscription.deleted", stripe_payloads.subscription(metadata=ACME), second=1)
    assert provider_inbox.standing(acme)["live"] == [("team", "active", False, "")]


def test_a_trial_here_is_not_begun_by_a_status_there(acme: Organization) -> None:
    told = tell("customer.subscription.created", stripe_payloads.subscription(status="trialing", metadata=ACME))
    assert (told.status, told.reason) == ("applied", "A subscription that is active cannot become trialing.")


def test_a_poison_event_is_parked_and_replayed_once_it_can_be_read(acme: Organization) -> None:
    source = stripe_payloads.subscription(plan="tomorrow", metadata=ACME)
    tell("customer.subscription.created", source, event_id="evt_p")
    provider_inbox.settle(NOW)
    parked = ProviderInboxEvent.objects.get()
    assert parked.status == "parked"
    assert not ProviderObject.objects.exists()
    catalogs.sync(catalogs.TEXT + '  tomorrow:\n    name: Tomorrow\n    price: {USD: "5.00"}\n')
    inbox.replay(event=parked, actor=OPERATOR, reason="the plan is there", now=NOW)
    provider_inbox.run_due(NOW)
    assert provider_inbox.standing(acme)["live"] == [("tomorrow", "active", False, "sub_1")]


SERVING = {"active", "past_due", "paused", "canceled"}
REACHABLE = {
    "incomplete": {"incomplete", "expired", *SERVING},
    # A trial is left at once, or ends by itself.
    "trialing": {"trialing", "canceled"},
    "active": SERVING,
    "past_due": SERVING,
    "paused": SERVING,
    "canceled": {"canceled"},
    "expired": {"expired"},
}


@pytest.mark.parametrize("before", transitions.TRANSITIONS)
def test_every_route_is_a_chain_of_legal_transitions(before: str) -> None:
    found = {after: steps for after in transitions.TRANSITIONS if (steps := routes.route(before, after)) is not None}
    assert found.keys() == REACHABLE[before]
    for after, steps in found.items():
        chain = [before, *steps]
        assert chain[-1] == after
        assert all(transitions.is_allowed(*pair) for pair in pairwise(chain))


def test_bodies_are_dropped_after_a_while_and_events_stay_known(acme: Organization) -> None:
    pay(None, 4900)
    later = NOW + inbox.BODY_KEPT + timedelta(days=1)
    assert inbox.prune(now=later) == 1
    row = ProviderInboxEvent.objects.get()
    assert row.body is None
    with pytest.raises(inbox.EventBodyGone):
        inbox.replay(event=row, actor=OPERATOR, reason="again", now=later)
    pay(None, 4900)
    assert ProviderInboxEvent.objects.count() == 1
    assert provider_inbox.standing(acme)["balances"] == {"USD": 4900}


def test_the_doctor_sees_what_does_not_agree(acme: Organization) -> None:
    tell("customer.subscription.created", stripe_payloads.subscription(metadata=ACME))
    ProviderObject.objects.update(state="deleted")
    ProviderObject.objects.create(
        provider="stripe",
        subject="payment:pi_9",
        organization=acme,
        is_final=True,
        occurred_at=NOW,
        rank=0,
        event_id="evt_9",
        state="succeeded",
    )
    (violation,) = doctor.verify(organization=acme)
    assert violation.name == "provider-events-agree"
    assert sorted(row["subject"] for row in violation.rows) == ["payment:pi_9", "subscription:sub_1"]
