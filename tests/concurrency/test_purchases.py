"""Credits bought with real transactions: twins of forms, of deliveries, and of payment and withdrawal."""

from datetime import timedelta

import pytest

from billing.invoicing import settlement
from billing.lifecycle import provider_events
from billing.lifecycle.purchasing import operations as purchasing
from billing.lifecycle.purchasing import queries
from billing.models import (
    BalanceEntry,
    CreditEntry,
    CreditGrant,
    CreditPurchase,
    Invoice,
    MarketplaceSubscription,
    Payment,
    ProviderInboxEvent,
    Subscription,
)
from billing.reporting import doctor
from tests.support import purchases
from tests.support.purchases import NOW
from tests.support.threads import at_once

AT_ONCE = 16


@pytest.fixture
def subscription(real_db: str) -> Subscription:
    return purchases.buyer()


def bought() -> list[CreditGrant]:
    return list(CreditGrant.objects.filter(kind="purchase"))


def sound(subscription: Subscription) -> None:
    account = MarketplaceSubscription.objects.get(pk=subscription.pk)
    entries = CreditEntry.objects.filter(account=account).values_list("amount", flat=True)
    assert account.credit_balance == sum(entries)
    assert doctor.verify() == []


def test_one_form_sent_sixteen_times_is_one_order(subscription: Subscription) -> None:
    made = at_once([lambda: purchases.order(subscription, key="form").id] * AT_ONCE)
    assert len(set(made)) == CreditPurchase.objects.count() == Invoice.objects.filter(kind="purchase").count() == 1
    sound(subscription)


def test_sixteen_orders_are_numbered_apart(subscription: Subscription, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(purchasing, "OPEN_MAX", AT_ONCE)
    at_once([lambda: purchases.order(subscription)] * AT_ONCE)
    taken = Invoice.objects.filter(kind="purchase").values_list("occurrence", flat=True)
    assert sorted(taken) == list(range(1, AT_ONCE + 1))


def test_sixteen_deliveries_of_one_payment_are_one_grant(subscription: Subscription) -> None:
    """Some under the provider's one event, some told by other events of the same payment."""
    purchase = purchases.order(subscription)
    bodies = [purchases.told(purchase, event_id=f"evt_{number % 4}") for number in range(AT_ONCE)]
    at_once([lambda body=body: purchases.receive(body) for body in bodies])  # type: ignore[misc]
    rows = list(ProviderInboxEvent.objects.values_list("id", flat=True))
    assert len(rows) == 4
    at_once([lambda row=row: provider_events.process(event_id=row, now=NOW) for row in rows * 4])  # type: ignore[misc]
    while ProviderInboxEvent.objects.filter(status="waiting").exists():
        for row in rows:
            provider_events.process(event_id=row, now=NOW)
    (grant,) = bought()
    assert (grant.granted, Payment.objects.count(), BalanceEntry.objects.count()) == (purchase.credits, 1, 0)
    assert Invoice.objects.get(kind="purchase").status == "paid"
    sound(subscription)


@pytest.mark.parametrize("round_", range(4))
def test_a_payment_that_meets_the_sweep_buys_or_is_kept(subscription: Subscription, round_: int) -> None:
    purchase = purchases.order(subscription)
    purchases.receive(purchases.told(purchase))
    row = ProviderInboxEvent.objects.get()
    organization_id, lapsed = subscription.organization_id, NOW + timedelta(days=30)
    at_once(
        [
            lambda: provider_events.process(event_id=row.id, now=NOW),
            lambda: purchasing.withdraw_due(organization_id=organization_id, now=lapsed),
        ]
    )
    assert ProviderInboxEvent.objects.get().status == "applied"
    is_paid = settlement.order_state(queries.get_purchase(purchase.id).invoice) == "paid"
    assert (len(bought()), BalanceEntry.objects.count()) == ((1, 0) if is_paid else (0, 1))
    sound(subscription)
