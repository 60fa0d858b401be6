"""Coupons: made, redeemed once, and taken off each period that they cover, wherever it is billed."""

import random
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest

from billing.accounts import actors
from billing.accounts.actors import Actor, NotAllowed
from billing.invoicing import operations as invoicing
from billing.invoicing import settlement
from billing.kernel.errors import BillingError
from billing.lifecycle import cancel, change_plan, clock, coupons, discounts, onboard, usage
from billing.lifecycle.coupons import CouponInvalid, CouponNotFound, CouponTaken
from billing.lifecycle.discounts import CouponExceedsFee, CouponNotRedeemable, CouponUsed, DiscountPresent
from billing.metering.offers import Offer
from billing.models import Coupon, Invoice, InvoiceLine, Organization, Subscription, SubscriptionPeriod
from billing.reporting import doctor
from tests.support import catalogs, factories
from tests.support.factories import at

pytestmark = pytest.mark.django_db
OPERATOR = actors.operator("ada")
MARCH = at("2026-03-01")


@pytest.fixture
def acme(db: None) -> Organization:
    catalogs.sync()
    return factories.sandbox(clock_at=MARCH)


def joined(acme: Organization, plan: str = "team") -> Subscription:
    return onboard.subscribe(organization=acme, plan_code=plan, actor=OPERATOR, now=MARCH)


def made(code: str = "SPRING", **fields: Any) -> Coupon:
    given = {"percent": Decimal(20)} if "amount_minor" not in fields else {}
    return coupons.create(code=code, name="Spring", actor=OPERATOR, now=MARCH, **(given | fields))


def redeemed(subscription: Subscription, code: str = "SPRING", now: datetime = MARCH) -> None:
    discounts.redeem(subscription=subscription, code=code, actor=OPERATOR, now=now)


def to(acme: Organization, when: str) -> None:
    clock.advance(organization=acme, to=at(when), actor=OPERATOR)


def totals() -> list[int]:
    return [each.total_minor for each in Invoice.objects.order_by("starts_at")]


def test_per_cent_of_all_that_a_period_comes_to(acme: Organization) -> None:
    subscription = joined(acme)
    made(periods=2)
    redeemed(subscription, "spring ")
    usage.record([Offer(acme, "tokens", Decimal(1101), "a")], now=MARCH)
    to(acme, "2026-06-02")
    # 49.00 and 101 tokens for 0.505, which is 0.50, in credits nothing; then 49.00; then without.
    assert totals() == [4950 - 990, 4900 - 980, 4900]
    line = InvoiceLine.objects.filter(charge="discount").order_by("starts_at")[0]
    assert line.description == "Spring, 20 per cent off, 1 Mar 2026 – 31 Mar 2026"
    assert (line.details["coupon"], line.details["of"], line.details["percent"]) == ("SPRING", "49.50", "20")
    assert doctor.verify() == []


def test_an_amount_never_takes_more_than_there_is(acme: Organization) -> None:
    subscription = joined(acme)
    made(amount_minor=4900, currency="USD")
    redeemed(subscription)
    to(acme, "2026-03-16")
    cancel.cancel_now(subscription=subscription, actor=OPERATOR, now=at("2026-03-16"))
    to(acme, "2026-03-18")
    assert totals() == [0]
    assert doctor.verify() == []


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"amount_minor": 4901, "currency": "USD"}, CouponExceedsFee),
        ({"amount_minor": 100, "currency": "JPY"}, CouponExceedsFee),
        ({"redeem_until": MARCH + timedelta(seconds=1)}, CouponNotRedeemable),
    ],
)
def test_what_does_not_fit_is_refused_and_nothing_written(
    acme: Organization, fields: dict[str, Any], code: type[BillingError]
) -> None:
    subscription = joined(acme)
    made(**fields)
    with pytest.raises(code):
        redeemed(subscription, now=MARCH + timedelta(seconds=1))
    assert discounts.list_discounts(subscription) == []
    assert Coupon.objects.get().redemptions == 0


def test_once_per_organization_and_one_at_a_time(acme: Organization) -> None:
    subscription = joined(acme)
    made()
    made("OTHER")
    redeemed(subscription)
    redeemed(subscription)
    assert len(discounts.list_discounts(subscription)) == 1
    with pytest.raises(DiscountPresent):
        redeemed(subscription, "OTHER")
    removed = discounts.remove(subscription=subscription, actor=OPERATOR, now=MARCH)
    assert removed is not None
    assert removed.until_ordinal == 1
    assert discounts.remove(subscription=subscription, actor=OPERATOR, now=MARCH) is None
    with pytest.raises(CouponUsed):
        redeemed(subscription)
    with pytest.raises(DiscountPresent):
        redeemed(subscription, "OTHER")
    to(acme, "2026-04-01")
    redeemed(subscription, "OTHER", at("2026-04-01"))
    cancel.cancel_now(subscription=subscription, actor=OPERATOR, now=at("2026-04-01"))
    again = onboard.subscribe(organization=acme, plan_code="team", actor=OPERATOR, now=at("2026-04-01"))
    with pytest.raises(CouponUsed):
        redeemed(again, "SPRING", at("2026-04-01"))


def test_a_coupon_that_had_its_time_is_not_taken_for_one_in_force(acme: Organization) -> None:
    subscription = joined(acme)
    made(periods=1)
    redeemed(subscription)
    to(acme, "2026-03-31")
    redeemed(subscription, now=at("2026-03-31"))
    to(acme, "2026-04-01")
    with pytest.raises(CouponUsed):
        redeemed(subscription, now=at("2026-04-01"))
    assert len(discounts.list_discounts(subscription)) == 1


def test_redeemed_as_often_as_it_may_be(acme: Organization) -> None:
    made(redemptions_max=1)
    redeemed(joined(acme))
    other = factories.sandbox(clock_at=MARCH)
    with pytest.raises(CouponNotRedeemable):
        redeemed(onboard.subscribe(organization=other, plan_code="team", actor=OPERATOR, now=MARCH))
    coupons.retire(code="spring", actor=OPERATOR)
    coupons.retire(code="spring", actor=OPERATOR)
    assert not Coupon.objects.get().is_active
    # Whoever has it keeps it.
    to(acme, "2026-04-02")
    assert totals() == [4900 - 980]


@pytest.mark.parametrize(
    "fields",
    [
        {"code": "x"},
        {"code": "two words"},
        {"name": " "},
        {"percent": Decimal(0)},
        {"percent": Decimal("100.001")},
        {"percent": Decimal("0.0001")},
        {"percent": Decimal(5), "currency": "USD"},
        {"percent": Decimal(5), "amount_minor": 5, "currency": "USD"},
        {"amount_minor": 0, "currency": "USD"},
        {"amount_minor": 5, "currency": "XXX"},
        {"percent": Decimal(5), "periods": 0},
        {"percent": Decimal(5), "redemptions_max": 0},
        {"percent": Decimal(5), "redeem_until": MARCH},
        {"percent": None},
    ],
)
def test_a_coupon_that_cannot_be(db: None, fields: dict[str, Any]) -> None:
    sound: dict[str, Any] = {
        "code": "SOUND",
        "name": "Sound",
        **({} if "amount_minor" in fields else {"percent": Decimal(5)}),
    }
    with pytest.raises(CouponInvalid):
        coupons.create(**(sound | fields), actor=OPERATOR, now=MARCH)
    assert not Coupon.objects.exists()


def test_codes_are_taken_once_and_unknown_ones_not_found(acme: Organization) -> None:
    made()
    with pytest.raises(CouponTaken):
        made("spring")
    with pytest.raises(CouponNotFound):
        redeemed(joined(acme), "NONE\x00")
    with pytest.raises(NotAllowed):
        coupons.create(code="MINE", name="x", percent=Decimal(100), actor=Actor("user:1"), now=MARCH)


@pytest.mark.parametrize("seed", range(8))
def test_over_all_invoices_a_period_is_discounted_as_a_whole(acme: Organization, seed: int) -> None:
    """Use told in time and late, plan changes: in sum each covered period has its share taken off, rounded once."""
    chance = random.Random(seed)  # noqa: S311 - a walk, not a secret
    subscription = joined(acme)
    percent = Decimal(chance.randint(1, 100_000)) / 1000
    made(percent=percent, periods=2)
    redeemed(subscription)
    now = MARCH
    for step in range(12):
        now += timedelta(days=chance.randint(1, 14), seconds=chance.randint(0, 9999))
        clock.advance(organization=acme, to=now, actor=OPERATOR)
        acme.refresh_from_db()
        for invoice in Invoice.objects.filter(status="issued"):
            due = settlement.due_minor(invoice)
            invoicing.pay(invoice=invoice, amount_minor=due, reference=str(invoice.id), actor=OPERATOR, now=now)
        if chance.random() < 0.2:
            plan = chance.choice(["team", "scale"])
            change_plan.change_now(subscription=subscription, plan_code=plan, actor=OPERATOR, now=now)
        when = max(MARCH, now - timedelta(days=chance.randint(0, 34)))
        usage.record([Offer(acme, "tokens", Decimal(chance.randint(1, 9999)), f"{step}", occurred_at=when)], now=now)
    clock.advance(organization=acme, to=now + timedelta(days=40), actor=OPERATOR)
    for period in SubscriptionPeriod.objects.all():
        lines = InvoiceLine.objects.filter(
            starts_at__gte=period.starts_at, starts_at__lt=period.ends_at, invoice__status__in=["issued", "paid"]
        )
        charged = sum(line.amount_minor for line in lines if line.charge != "discount")
        taken_off = -sum(line.amount_minor for line in lines if line.charge == "discount")
        is_billed = period.closed_at is not None
        assert taken_off == (round(charged * Fraction(percent) / 100) if period.ordinal <= 2 and is_billed else 0)
    assert doctor.verify() == []
