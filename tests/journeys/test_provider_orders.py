"""A provider's history of five events, in all 120 orders, each event delivered one to three times: one final state.

Between any two deliveries a worker applies what is there, which is the hardest case: whatever came too early was acted
on, or waited.
"""

import random
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction
from pytest_django import Settings

from billing.accounts import actors
from billing.invoicing import operations as invoicing_operations
from billing.lifecycle import onboard
from billing.models import Organization
from billing.reporting import doctor
from tests.support import catalogs, factories, invoicing, provider_inbox, stripe_payloads
from tests.support.factories import at

NOW = at("2026-05-10 12:00:00")
CUSTOMER = actors.Actor(name="user:1", scopes=frozenset({"read", "subscribe"}))
FINANCE = actors.operator("ada")

pytestmark = pytest.mark.django_db

History = tuple[Organization, Sequence[bytes]]


@pytest.fixture(autouse=True)
def stripe_is_the_provider(settings: Settings) -> None:
    settings.BILLING_PROVIDER = "stripe"
    settings.BILLING_STRIPE_WEBHOOK_SECRETS = [stripe_payloads.SECRET]


def told(number: int, kind: str, source: Any, *, second: int) -> bytes:
    return stripe_payloads.event(kind, source, at=NOW - timedelta(hours=1, seconds=-second), event_id=f"evt_{number}")


def bought_and_left() -> History:
    """Signed up at the provider, paid, moved up a plan, and left. Two of the events share a second."""
    catalogs.sync()
    acme = factories.organization(slug="acme")
    named = {"organization": "acme"}
    return acme, [
        told(1, "customer.subscription.created", _sub("incomplete", "team", named), second=0),
        told(2, "customer.subscription.updated", _sub("active", "team", named), second=0),
        told(3, "payment_intent.succeeded", stripe_payloads.payment_intent(amount=4900, metadata=named), second=1),
        told(4, "customer.subscription.updated", _sub("active", "scale", named), second=5),
        told(5, "customer.subscription.deleted", _sub("canceled", "scale", named), second=9),
    ]


def signed_up_and_stumbled() -> History:
    """Signed up here, confirmed, past due, paused, and in the end active on a higher plan that ends with its period."""
    catalogs.sync()
    acme = factories.organization(slug="acme")
    subscription = onboard.subscribe(organization=acme, plan_code="team", actor=CUSTOMER, now=NOW)
    assert subscription.status == "incomplete"
    named = {"subscription": str(subscription.id)}
    updated = "customer.subscription.updated"
    return acme, [
        told(1, "checkout.session.completed", stripe_payloads.checkout(str(subscription.id)), second=0),
        told(2, "customer.subscription.created", _sub("active", "team", named), second=0),
        told(3, updated, _sub("past_due", "team", named), second=5),
        told(4, updated, _sub("paused", "team", named), second=6),
        told(5, updated, _sub("active", "scale", named, cancel_at_period_end=True), second=7),
    ]


def paid_and_disputed() -> History:
    """An invoice of 49.00: declined, paid, a part refunded, disputed, and the dispute won."""
    acme = invoicing.customer(invoicing.team_plan())
    draft = invoicing_operations.draft(subscription=acme.subscription, actor=FINANCE, now=at("2026-04-02"))
    invoice = invoicing_operations.issue(invoice=draft, actor=FINANCE, now=at("2026-04-02"))
    assert invoice.total_minor == 4900
    named = {"invoice": str(invoice.id)}
    declined = {"code": "card_declined", "decline_code": "insufficient_funds", "message": "No funds."}
    intent = stripe_payloads.payment_intent
    dispute = stripe_payloads.dispute(amount=2000)
    return acme.organization, [
        told(1, "payment_intent.payment_failed", intent(amount=4900, metadata=named, error=declined), second=0),
        told(2, "payment_intent.succeeded", intent(amount=4900, metadata=named), second=60),
        told(3, "refund.created", stripe_payloads.refund(amount=1000), second=90),
        told(4, "charge.dispute.funds_withdrawn", dispute, second=120),
        told(5, "charge.dispute.funds_reinstated", dispute, second=180),
    ]


def _sub(status: str, plan: str, named: dict[str, str], **fields: Any) -> dict[str, Any]:
    return stripe_payloads.subscription(status=status, plan=plan, metadata=named, **fields)


def stands_after_each_order(organization: Organization, events: Sequence[bytes]) -> dict[tuple[int, ...], Any]:
    """Where the organization stands after each order.

    Orders that begin alike share that beginning: from there on each goes its way from a savepoint.
    """
    chance = random.Random(2026)  # noqa: S311 - a test's dice
    reached: dict[tuple[int, ...], Any] = {}

    def go_on(order: tuple[int, ...], times: Counter[int]) -> None:
        if len(order) == len(events):
            provider_inbox.settle(NOW)
            reached[order] = provider_inbox.standing(organization)
            return
        for place in set(range(len(events))) - set(order):
            with transaction.atomic():
                told_so_far = (*order, place)
                again = [each for each in told_so_far if times[each] < 3 and chance.random() < 0.4]
                for each in (place, *again):
                    provider_inbox.deliver(events[each], now=NOW)
                go_on(told_so_far, times + Counter([place, *again]))
                transaction.set_rollback(True)

    with transaction.atomic():
        go_on((), Counter())
        transaction.set_rollback(True)
    return reached


@pytest.mark.parametrize(
    ("history", "expected"),
    [
        (bought_and_left, {"live": [], "credits": "0", "balances": {"USD": 4900}}),
        (signed_up_and_stumbled, {"live": [("scale", "active", True, "sub_1")], "credits": "40.000000"}),
        (paid_and_disputed, {"balances": {}, "collections": 1}),
    ],
)
def test_every_order_and_number_of_deliveries_ends_the_same(
    history: Callable[[], History], expected: dict[str, Any]
) -> None:
    organization, events = history()
    reached = stands_after_each_order(organization, events)
    assert len(reached) == 120
    in_order = reached[tuple(range(5))]
    assert [order for order, stands in reached.items() if stands != in_order] == []
    assert in_order["inbox"] == []
    assert {name: in_order[name] for name in expected} == expected


def test_the_books_agree_after_the_reverse_order() -> None:
    organization, events = paid_and_disputed()
    for body in reversed(events):
        provider_inbox.deliver(body, now=NOW)
    provider_inbox.settle(NOW)
    assert provider_inbox.standing(organization)["invoices"].popitem()[1] == ("issued", 1000)
    assert doctor.verify(organization=organization) == []
