"""Coupons for whoever keeps the catalog, and the discounts that subscriptions have by them."""

from __future__ import annotations

from typing import Annotated, TypedDict

import msgspec
from msgspec import Meta

from billing.accounts.actors import Act
from billing.api import pagination
from billing.api.endpoint import Answer, ApiView, Call, endpoint
from billing.api.pagination import PageQuery
from billing.api.wire import Instant, Nothing, Quantity, Request
from billing.lifecycle import coupons, discounts
from billing.lifecycle.coupons import CouponInvalid
from billing.models import SubscriptionDiscount
from billing.reporting import representations
from billing.reporting.shapes import CouponDocument, DiscountDocument

Code = Annotated[str, Meta(min_length=1, max_length=60)]
Count = Annotated[int, Meta(ge=1, le=coupons.COUNT_MAX)]


class NewCoupon(Request, frozen=True):
    """``percent``, or ``amount`` with its ``currency``, off each of ``periods`` billing periods (for ever without)."""

    code: Code
    name: Annotated[str, Meta(min_length=1, max_length=coupons.NAME_LENGTH_MAX)]
    percent: Quantity | None = None
    amount: Quantity | None = None
    currency: Annotated[str, Meta(min_length=3, max_length=3)] | None = None
    periods: Count | None = None
    redeem_until: Instant | None = None
    redemptions_max: Count | None = None


class Redeemed(Request, frozen=True):
    code: Code


class CodeKey(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Coupons by code."""

    code: Code


class DiscountsDocument(TypedDict):
    """All discounts there ever were, oldest first; ``removed_at`` and ``until_period`` tell which ended."""

    results: list[DiscountDocument]


class Coupons(ApiView):
    @endpoint("List coupons", responses={200: pagination.page_of(CouponDocument)}, act=Act.CATALOG, tag="coupons")
    def get(self, call: Call[Nothing, PageQuery]) -> Answer:
        """By code; retired ones too."""
        after = pagination.read_cursor(call.query, CodeKey)
        rows = coupons.list_coupons(
            actor=call.actor, after=coupons.normal(after.code) if after else "", limit=call.query.size + 1
        )
        shown = pagination.page(
            call.request, call.query, rows, show=representations.coupon, key=lambda row: CodeKey(row.code)
        )
        return Answer(200, shown)

    @endpoint(
        "Make a coupon",
        responses={201: CouponDocument},
        act=Act.CATALOG,
        idempotent=True,
        tag="coupons",
        problems=(409,),
    )
    def post(self, call: Call[NewCoupon, Nothing]) -> Answer:
        """Codes do not tell capitals from small letters. Once made, a coupon only changes by being retired."""
        body = call.body
        if body.amount is not None and body.currency is None:
            raise CouponInvalid("An amount is in a currency.", field="currency")
        coupon = coupons.create(
            code=body.code,
            name=body.name,
            actor=call.actor,
            now=call.at,
            percent=body.percent.value if body.percent else None,
            amount_minor=coupons.read_amount(body.amount.value, body.currency or "") if body.amount else None,
            currency=body.currency or "",
            periods=body.periods,
            redeem_until=body.redeem_until.value if body.redeem_until else None,
            redemptions_max=body.redemptions_max,
        )
        return Answer(201, representations.coupon(coupon))


class RetireCoupon(ApiView):
    @endpoint("Retire a coupon", responses={200: CouponDocument}, act=Act.CATALOG, idempotent=True, tag="coupons")
    def post(self, call: Call[Nothing, Nothing], coupon_code: str) -> Answer:
        """Nobody can redeem it any more; whoever did keeps it. Twice is once."""
        return Answer(200, representations.coupon(coupons.retire(code=coupon_code, actor=call.actor)))


class SubscriptionDiscounts(ApiView):
    @endpoint("List discounts", responses={200: DiscountsDocument}, act=Act.READ, tag="coupons")
    def get(self, call: Call[Nothing, Nothing], subscription_id: str) -> Answer:
        """What the subscription has, and had, taken off; the subscription itself shows the one in force."""
        subscription = call.subscription(subscription_id, Act.READ)
        rows = discounts.list_discounts(subscription)
        return Answer(200, {"results": [representations.discount(row, subscription.currency) for row in rows]})

    @endpoint(
        "Redeem a coupon",
        responses={201: DiscountDocument},
        act=Act.SUBSCRIBE,
        idempotent=True,
        tag="coupons",
        problems=(409,),
    )
    def post(self, call: Call[Redeemed, Nothing], subscription_id: str) -> Answer:
        """From the running period on; in a trial, from the first period after it. One coupon at a time, and each once
        for an organization. The one that is there already changes nothing."""
        found = call.subscription(subscription_id, Act.SUBSCRIBE)
        row = discounts.redeem(
            subscription=found, code=call.body.code, actor=call.actor, now=call.now(found.organization)
        )
        return _discount(201, row, found.currency)

    @endpoint(
        "Do without the discount",
        responses={200: DiscountDocument},
        act=Act.SUBSCRIBE,
        tag="coupons",
        problems=(409,),
    )
    def delete(self, call: Call[Nothing, Nothing], subscription_id: str) -> Answer:
        """Ends the discount with the running period, which keeps it. 404 where there is none to end."""
        found = call.subscription(subscription_id, Act.SUBSCRIBE)
        row = discounts.remove(subscription=found, actor=call.actor, now=call.now(found.organization))
        if row is None:
            raise discounts.DiscountNotFound("This subscription has no discount.")
        return _discount(200, row, found.currency)


def _discount(status: int, row: SubscriptionDiscount, currency: str) -> Answer:
    return Answer(status, representations.discount(row, currency))
