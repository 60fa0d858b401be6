"""Credits that customers buy: nothing is granted before it is paid, and what is paid is granted once."""

from datetime import timedelta
from decimal import Decimal
from itertools import permutations
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.db import IntegrityError, connection, transaction
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from pytest_django import Settings

from billing.accounts import profiles
from billing.accounts.actors import SYSTEM, Act, Actor
from billing.accounts.profiles import Profile
from billing.credits.operations import CreditsInvalid
from billing.infra.idempotency import KeyReused
from billing.invoicing import documents, pdf, queries, settlement, verifying
from billing.invoicing import operations as invoicing
from billing.invoicing.errors import InvoiceFrozen, InvoicePrepaid, PaymentExceedsDue, PaymentShort
from billing.kernel.errors import Forbidden
from billing.kernel.money import to_minor
from billing.lifecycle import cancel, clock, onboard, pause
from billing.lifecycle.purchasing import operations as purchasing
from billing.lifecycle.purchasing import queries as purchasing_queries
from billing.lifecycle.purchasing.errors import CreditsNotSold, PurchaseNotFound, PurchasePaid, PurchasesOpen
from billing.models import (
    AuditEntry,
    BalanceEntry,
    Collection,
    CreditEntry,
    CreditGrant,
    CreditPurchase,
    Invoice,
    Mail,
    MarketplaceSubscription,
    OutboxEvent,
    Payment,
    PlanPrice,
    Subscription,
)
from billing.reporting import doctor, revenue, today
from tests.support import factories
from tests.support.purchases import NOW, OPERATOR, RATES, buyer, customer_of, order, pay

pytestmark = pytest.mark.django_db
LATER = NOW + timedelta(days=8)


def bought(subscription: Subscription) -> list[CreditGrant]:
    return list(CreditGrant.objects.filter(organization=subscription.organization, kind="purchase").order_by("id"))


def balance(subscription: Subscription) -> Decimal:
    account = MarketplaceSubscription.objects.get(pk=subscription.pk)
    entries = CreditEntry.objects.filter(account=account).values_list("amount", flat=True)
    assert account.credit_balance == sum(entries)
    return account.credit_balance


def state(purchase: CreditPurchase) -> str:
    return settlement.order_state(purchasing_queries.get_purchase(purchase.id).invoice)


def sound() -> None:
    assert doctor.verify() == []


def test_an_order_grants_nothing_and_owes_nothing() -> None:
    subscription = buyer()
    purchase = order(subscription, "100")
    invoice = purchase.invoice
    assert (invoice.status, invoice.number, invoice.total_minor, invoice.occurrence) == ("draft", None, 1250, 1)
    assert (invoice.period_id, invoice.starts_at, invoice.ends_at) == (None, NOW, NOW)
    assert (state(purchase), bought(subscription), balance(subscription)) == ("open", [], 0)
    assert settlement.due_minor(queries.get_invoice(str(invoice.id))) == 0
    assert not Collection.objects.exists()
    assert not Mail.objects.exists()
    sound()


def test_its_payment_issues_it_and_grants_the_credits() -> None:
    subscription = buyer()
    purchase = order(subscription, "100")
    event = pay(purchase)
    invoice = queries.get_invoice(str(purchase.invoice_id))
    assert (event.status, invoice.status, state(purchase)) == ("applied", "paid", "paid")
    assert invoice.number
    assert invoice.due_on == NOW.date()
    (grant,) = bought(subscription)
    assert (grant.granted, grant.remaining, grant.expires_at, grant.priority) == (100, 100, None, 40)
    assert (grant.starts_at, grant.reason) == (NOW, f"bought, {invoice.number}")
    assert balance(subscription) == 100
    assert [each.kind for each in Mail.objects.all()] == ["invoice_issued"]
    assert not Collection.objects.exists()
    topics = list(OutboxEvent.objects.order_by("id").values_list("topic", flat=True))
    assert topics[-6:] == [
        "invoice.drafted", "credits.ordered", "invoice.issued", "payment.received", "invoice.paid",
        "credits.purchased",
    ]  # fmt: skip
    acts = set(AuditEntry.objects.filter(organization_id=subscription.organization_id).values_list("act", "actor"))
    assert {("credits.ordered", "key:1"), ("credits.purchased", "key:1"), ("invoice.pay", "system:provider")} <= acts
    sound()


def test_whatever_is_delivered_again_changes_nothing() -> None:
    subscription = buyer()
    purchase = order(subscription)
    for number in range(3):
        pay(purchase, event_id=f"evt_{number}")
    assert len(bought(subscription)) == Payment.objects.count() == 1
    assert balance(subscription) == 100


def test_paid_twice_is_granted_once_and_the_rest_is_the_customers() -> None:
    subscription = buyer()
    purchase = order(subscription)
    pay(purchase, payment="one")
    pay(purchase, payment="two")
    assert len(bought(subscription)) == 1
    assert BalanceEntry.objects.get().balance_after_minor == 1250
    sound()


def test_every_order_of_payment_withdrawal_and_failure_leaves_sound_books() -> None:
    """What comes first wins; the money is never lost."""
    for acts in permutations(["pay", "withdraw", "lapse"]):
        subscription = buyer()
        purchase = order(subscription)
        for act in acts:
            if act == "pay":
                pay(purchase)
            elif act == "lapse":
                purchasing.withdraw_due(organization_id=subscription.organization_id, now=LATER)
            else:
                try:
                    purchasing.withdraw(purchase=purchase, actor=customer_of(subscription.organization), now=NOW)
                except PurchasePaid:
                    assert "pay" in acts[: acts.index("withdraw")]
        kept = BalanceEntry.objects.filter(organization=subscription.organization)
        if acts[0] == "pay":
            assert (state(purchase), balance(subscription), kept.count()) == ("paid", 100, 0)
        else:
            assert (state(purchase), balance(subscription)) == ("withdrawn", 0)
            assert kept.get().amount_minor == 1250
    sound()


@pytest.mark.parametrize(("short", "kept"), [(1, True), (0, False)])
def test_a_payment_of_less_pays_no_order(short: int, kept: bool) -> None:
    subscription = buyer()
    purchase = order(subscription)
    pay(purchase, amount_minor=1250 - short)
    assert (state(purchase), BalanceEntry.objects.exists()) == (("open", True) if kept else ("paid", False))
    sound()


def test_what_is_too_much_goes_to_the_balance() -> None:
    subscription = buyer()
    purchase = order(subscription)
    pay(purchase, amount_minor=1251)
    assert (state(purchase), BalanceEntry.objects.get().amount_minor) == ("paid", 1)
    assert balance(subscription) == 100
    sound()


def test_the_balance_of_money_does_not_pay_it() -> None:
    subscription = buyer()
    early, late = order(subscription), order(subscription)
    purchasing.withdraw(purchase=early, actor=customer_of(subscription.organization), now=NOW)
    pay(early)
    pay(late)
    assert BalanceEntry.objects.get().balance_after_minor == 1250
    assert [each.provider for each in Payment.objects.all()] == ["stub"]


def test_finance_books_a_transfer_by_hand() -> None:
    subscription = buyer()
    purchase = order(subscription)
    paid: dict[str, Any] = {"invoice": purchase.invoice, "actor": OPERATOR, "now": NOW}
    with pytest.raises(PaymentShort):
        invoicing.pay(amount_minor=1249, reference="bank 1", **paid)
    with pytest.raises(PaymentExceedsDue):
        invoicing.pay(amount_minor=1251, reference="bank 1", **paid)
    assert (state(purchase), Invoice.objects.filter(number__isnull=False).exists()) == ("open", False)
    first = invoicing.pay(amount_minor=1250, reference="bank 1", **paid)
    assert invoicing.pay(amount_minor=1250, reference="bank 1", **paid).id == first.id
    assert (state(purchase), balance(subscription)) == ("paid", 100)
    sound()


def test_one_key_is_one_order() -> None:
    subscription = buyer()
    first = order(subscription, "100", key="form-1")
    assert order(subscription, "100", key="form-1").id == first.id
    with pytest.raises(KeyReused):
        order(subscription, "101", key="form-1")
    assert order(subscription, "100", key="form-2").invoice.occurrence == 2
    assert Invoice.objects.filter(kind="purchase").count() == 2


def test_a_withdrawn_order_makes_room_for_no_other_of_its_occurrence() -> None:
    subscription = buyer()
    purchase = order(subscription)
    for _ in range(2):
        withdrawn = purchasing.withdraw(purchase=purchase, actor=customer_of(subscription.organization), now=NOW)
        assert withdrawn.lapses_at is None
    assert order(subscription).invoice.occurrence == 2
    assert AuditEntry.objects.filter(act="invoice.void").count() == 1
    sound()


def test_the_sweep_withdraws_what_nobody_paid_in_time(settings: Settings) -> None:
    settings.BILLING_PURCHASE_LAPSES_HOURS = 24
    subscription = buyer()
    purchase = order(subscription)
    day = NOW + timedelta(hours=24)
    organization = subscription.organization_id
    for moment, left in ((day - timedelta(microseconds=1), "open"), (day, "withdrawn"), (day, "withdrawn")):
        due = purchasing_queries.list_lapsing_organizations(now=moment, limit=10)
        happened = [each for one in due for each in purchasing.withdraw_due(organization_id=one, now=moment)]
        assert state(purchase) == left
    assert (happened, purchasing_queries.next_lapse(organization)) == ([], None)


def test_a_sandboxs_clock_withdraws_too(settings: Settings) -> None:
    settings.BILLING_PURCHASE_LAPSES_HOURS = 24
    subscription = buyer(is_sandbox=True)
    purchase = order(subscription)
    assert purchasing_queries.list_lapsing_organizations(now=LATER, limit=10) == []
    told = clock.advance(organization=subscription.organization, to=NOW + timedelta(days=2), actor=OPERATOR)
    assert [(each.topic, each.at) for each in told] == [("invoice.void", NOW + timedelta(hours=24))]
    assert state(purchase) == "withdrawn"


@pytest.mark.parametrize("credits", ["0", "-1", "0.999999", "100000.000001", "1.0000001", "NaN"])
def test_so_many_credits_are_not_sold(credits: str) -> None:
    subscription = buyer()
    with pytest.raises(CreditsInvalid):
        order(subscription, credits)
    assert not CreditPurchase.objects.exists()
    assert not Invoice.objects.filter(kind="purchase").exists()


@pytest.mark.parametrize("credits", ["1", "100000"])
def test_the_least_and_the_most_are_sold(credits: str) -> None:
    assert order(buyer(), credits).credits == Decimal(credits)


def test_what_would_cost_nothing_is_not_sold() -> None:
    subscription = buyer()
    PlanPrice.objects.filter(plan=subscription.plan).update(credit_rate=Decimal("0.001"))
    with pytest.raises(CreditsInvalid, match="cost nothing"):
        order(subscription, "1")
    assert not Invoice.objects.filter(kind="purchase").exists()


def test_who_cannot_use_credits_buys_none() -> None:
    subscription = buyer()
    plain = factories.plan()
    without = onboard.subscribe(organization=factories.organization(), plan_code=plain.code, actor=OPERATOR, now=NOW)
    paused = pause.pause(subscription=subscription, actor=OPERATOR, now=NOW, reason="away")
    ended = buyer()
    cancel.cancel_now(subscription=ended, actor=OPERATOR, now=NOW)
    for each in (without, paused, ended):
        with pytest.raises(CreditsNotSold):
            order(each)
    assert not CreditPurchase.objects.exists()


def test_there_is_a_bound_on_open_orders(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(purchasing, "OPEN_MAX", 2)
    subscription = buyer()
    first, _ = order(subscription), order(subscription)
    with pytest.raises(PurchasesOpen):
        order(subscription)
    pay(first)
    order(subscription)


def test_finance_of_the_customer_sees_and_does_not_buy() -> None:
    subscription = buyer()
    purchase, organization = order(subscription), subscription.organization
    reader = Actor(name="user:2", roles={organization.id: "finance"})
    member = Actor(name="user:3", roles={organization.id: "member"})
    stranger = Actor(name="user:4")
    assert purchasing_queries.get_for(str(purchase.id), actor=reader, act=Act.MONEY).id == purchase.id
    for actor in (reader, member):
        with pytest.raises(Forbidden):
            purchasing.order(subscription=subscription, credits=Decimal(5), key="k", actor=actor, now=NOW)
        with pytest.raises(Forbidden):
            purchasing.withdraw(purchase=purchase, actor=actor, now=NOW)
    with pytest.raises(Forbidden):
        purchasing_queries.read_purchases(organization=organization, actor=member)
    with pytest.raises(PurchaseNotFound):
        purchasing_queries.get_for(str(purchase.id), actor=stranger, act=Act.MONEY)
    with pytest.raises(PurchaseNotFound):
        purchasing_queries.get_for("nothing", actor=OPERATOR, act=Act.MONEY)


def test_nothing_but_its_payment_moves_an_order() -> None:
    purchase = order(buyer())
    invoice = purchase.invoice
    for act in (invoicing.issue, invoicing.release):
        with pytest.raises(InvoicePrepaid):
            act(invoice=invoice, actor=OPERATOR, now=NOW)
    with pytest.raises(InvoicePrepaid):
        invoicing.hold(invoice=invoice, actor=OPERATOR, reason="why not", now=NOW)
    assert invoicing.issue_due(organization_id=invoice.organization_id, now=LATER) == []
    (shown,) = invoicing.read_invoices(organization=invoice.organization, actor=OPERATOR)
    assert (shown.id, shown.total_minor, state(purchase)) == (invoice.id, 1250, "open")
    assert today.today(now=NOW, regions=None).drafts == 0


def test_finance_discards_an_order_as_any_draft() -> None:
    subscription = buyer()
    purchase = order(subscription)
    invoicing.void(invoice=purchase.invoice, actor=OPERATOR, reason="a test", now=NOW)
    assert (state(purchase), purchasing_queries.get_purchase(purchase.id).lapses_at) == ("withdrawn", None)
    with pytest.raises(InvoiceFrozen):
        invoicing.withdraw(invoice=_paid(subscription).invoice, actor=OPERATOR, reason="too late", now=NOW)
    sound()


def _paid(subscription: Subscription) -> CreditPurchase:
    purchase = order(subscription)
    pay(purchase)
    return purchasing_queries.get_purchase(purchase.id)


def test_money_that_goes_back_is_collected_by_nobody() -> None:
    """Finance voids what is left of the grant, and credits the invoice."""
    subscription = buyer()
    purchase = _paid(subscription)
    invoice = purchase.invoice
    invoicing.refund(invoice=invoice, amount_minor=1250, reference="back", reason="a mistake", actor=OPERATOR, now=NOW)
    assert Invoice.objects.get(id=invoice.id).status == "issued"
    assert not Collection.objects.exists()
    with pytest.raises(InvoicePrepaid):
        invoicing.void(invoice=invoice, actor=OPERATOR, reason="a mistake", now=NOW)
    assert state(purchase) == "paid"
    sound()
    invoicing.credit(invoice=invoice, actor=OPERATOR, reason="a mistake", now=NOW)
    assert Invoice.objects.get(id=invoice.id).status == "paid"
    assert (len(bought(subscription)), BalanceEntry.objects.exists()) == (1, False)
    sound()


def test_a_credit_note_gives_the_money_to_the_balance() -> None:
    subscription = buyer()
    purchase = _paid(subscription)
    invoicing.credit(invoice=purchase.invoice, actor=OPERATOR, reason="goodwill", now=NOW, lines={1: 250})
    assert BalanceEntry.objects.get().amount_minor == 250
    assert balance(subscription) == 100
    sound()


def test_who_left_and_came_back_gets_them_where_they_can_be_used() -> None:
    first = buyer()
    purchase = order(first)
    cancel.cancel_now(subscription=first, actor=OPERATOR, now=NOW)
    second = onboard.subscribe(
        organization=first.organization, plan_code=first.plan.code, actor=OPERATOR, now=NOW + timedelta(days=1)
    )
    pay(purchase, now=NOW + timedelta(days=2))
    assert (balance(first), balance(second)) == (0, 100)
    sound()


def test_who_left_finds_them_on_return() -> None:
    first = buyer()
    purchase = order(first)
    cancel.cancel_now(subscription=first, actor=OPERATOR, now=NOW)
    pay(purchase, now=NOW + timedelta(days=1))
    assert balance(first) == 100
    second = onboard.subscribe(
        organization=first.organization, plan_code=first.plan.code, actor=OPERATOR, now=NOW + timedelta(days=2)
    )
    assert (balance(first), balance(second)) == (0, 100)
    sound()


@pytest.mark.parametrize("currency", ["USD", "JPY", "KWD"])
@pytest.mark.parametrize(("treatment", "rate"), [("none", "0"), ("exclusive", "19"), ("inclusive", "7.7")])
def test_sums_are_right_to_the_minor_unit(currency: str, treatment: str, rate: str) -> None:
    subscription = buyer(currency, treatment=treatment, rate=rate)
    purchase = order(subscription, "33.3")
    price = to_minor(Decimal(RATES[currency]) * Decimal("33.3"), currency)
    invoice = purchase.invoice
    if treatment == "inclusive":
        net = round(Decimal(price) * 100 / (100 + Decimal(rate)))
        expected = (net, price - net, price)
    else:
        tax = round(Decimal(price) * Decimal(rate) / 100)
        expected = (price, tax, price + tax)
    assert (invoice.subtotal_minor, invoice.tax_minor, invoice.total_minor) == expected
    pay(purchase)
    checked = verifying.verify(invoice=invoice, actor=SYSTEM)
    assert (checked.agrees, checked.total_minor, checked.events) == (True, expected[2], 0)
    assert balance(subscription) == Decimal("33.3")
    sound()


def test_price_and_tax_stay_as_they_were_ordered() -> None:
    subscription = buyer(treatment="exclusive", rate="19")
    purchase = order(subscription)
    profiles.set_profile(
        organization=subscription.organization,
        profile=Profile(legal_name="Acme Ltd", tax_treatment="inclusive", tax_rate=Decimal(7), tax_label="GST"),
        actor=SYSTEM,
        now=NOW,
    )
    pay(purchase)
    invoice = queries.get_invoice(str(purchase.invoice_id))
    assert (invoice.total_minor, invoice.customer["name"], invoice.customer["tax"]["rate"]) == (1488, "Acme Ltd", "19")
    assert verifying.verify(invoice=invoice, actor=SYSTEM).agrees
    sound()


def test_a_quantity_that_was_moved_is_found() -> None:
    subscription = buyer()
    purchase = _paid(subscription)
    CreditPurchase.objects.filter(id=purchase.id).update(credits=99)
    checked = verifying.verify(invoice=purchase.invoice, actor=SYSTEM)
    assert {each.field for each in checked.differences} == {"quantity", "amount_minor", "subtotal", "total"}
    assert [each.name for each in doctor.verify()] == ["purchases-are-granted"]


def test_documents_have_no_period() -> None:
    subscription = buyer(treatment="exclusive", rate="19")
    purchase = order(subscription)
    draft = documents.as_dict(queries.get_invoice(str(purchase.invoice_id)))
    pay(purchase)
    invoice = queries.get_invoice(str(purchase.invoice_id))
    document = documents.as_dict(invoice)
    assert (draft["period"], document["period"], document["lines"][0]["period"]) == (None, None, None)
    assert (document["lines"][0]["charge"], document["lines"][0]["quantity"]) == ("purchase", "100")
    lines = documents.as_csv(invoice).splitlines()
    assert ",".join(["purchase", f'"{subscription.plan.name}, prepaid credits"']) in lines[1]
    assert {row.split(",")[10:12] == ["", ""] for row in lines[2:]} == {True}
    for each in (draft, document):
        assert pdf.render(each, zone=ZoneInfo("UTC")).startswith(b"%PDF")


def test_figures_of_revenue_do_not_know_of_it() -> None:
    subscription = buyer()
    before = revenue.recurring(now=LATER, regions=None), revenue.overage(now=LATER, regions=None)
    pay(order(subscription))
    assert (revenue.recurring(now=LATER, regions=None), revenue.overage(now=LATER, regions=None)) == before
    (open_,) = revenue.liability(now=LATER, regions=None)
    assert (open_.kind, open_.month, open_.credits) == ("purchase", None, 100)


def test_the_period_is_billed_as_if_nothing_had_been_bought() -> None:
    subscription = buyer(is_sandbox=True)
    pay(order(subscription))
    clock.advance(organization=subscription.organization, to=NOW + timedelta(days=40), actor=OPERATOR)
    (cycle,) = Invoice.objects.filter(kind="cycle").exclude(status="draft")
    assert (cycle.total_minor, cycle.status) == (4900, "issued")
    assert verifying.verify(invoice=cycle, actor=SYSTEM).agrees
    sound()


def test_the_database_keeps_periods_from_purchases_and_purchases_from_periods() -> None:
    subscription = buyer()
    purchase = order(subscription)
    period = subscription.periods.get()
    for change in (f"period_id = '{period.id}'", "kind = 'cycle'", "ends_at = ends_at + interval '1 day'"):
        with (
            pytest.raises(IntegrityError, match="invoices_period_unless_purchase"),
            transaction.atomic(),
            connection.cursor() as cursor,
        ):
            cursor.execute(f"UPDATE marketplace_invoices SET {change} WHERE id = %s", [purchase.invoice_id])


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["order", "pay", "withdraw", "again"]),
            st.decimals("1", "50", places=3),
            st.integers(0, 4),
        ),
        max_size=12,
    )
)
@examples(max_examples=15, deadline=None)
def test_any_history_keeps_balance_and_entries_equal(acts: list[tuple[str, Decimal, int]]) -> None:
    with transaction.atomic():
        subscription = buyer()
        actor, orders, granted = customer_of(subscription.organization), [], Decimal(0)
        for act, credits, which in acts:
            if act == "order":
                orders.append(order(subscription, str(credits)))
                continue
            if not orders:
                continue
            chosen = orders[which % len(orders)]
            was = state(chosen)
            if act == "withdraw" and was != "paid":
                purchasing.withdraw(purchase=chosen, actor=actor, now=NOW)
            elif act in ("pay", "again"):
                pay(chosen, payment=f"{act}-{chosen.id}", event_id=f"evt-{act}-{chosen.id}")
                granted += chosen.credits if was == "open" else 0
            assert balance(subscription) == granted
        assert doctor.verify(organization=subscription.organization) == []
        transaction.set_rollback(True)
