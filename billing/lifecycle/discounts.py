"""Redeeming a coupon, and doing without it from the next period on."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction
from django.db.models import Q, QuerySet

from billing.accounts import actors
from billing.accounts.actors import Act, Actor
from billing.catalog import queries as catalog_queries
from billing.kernel.errors import Conflict, NotFound
from billing.kernel.money import format_minor
from billing.lifecycle import coupons, renew
from billing.lifecycle.happenings import tell
from billing.models import LIVE, Coupon, Subscription, SubscriptionDiscount
from billing.subscriptions import queries, transitions


class CouponNotRedeemable(Conflict):
    """The coupon is retired, its time is over, or it was redeemed as often as it may be."""

    code = "coupon_not_redeemable"


class CouponUsed(Conflict):
    """The organization had this coupon already."""

    code = "coupon_used"


class CouponExceedsFee(Conflict):
    """The amount is more than the plan's base fee, or in another currency: it could make a total negative."""

    code = "coupon_exceeds_fee"


class DiscountNotFound(NotFound):
    """There is none to end."""


class DiscountPresent(Conflict):
    """Another coupon is in force: one at a time."""

    code = "discount_present"


def redeem(*, subscription: Subscription, code: str, actor: Actor, now: datetime) -> SubscriptionDiscount:
    """Give a subscription a coupon's discount, from the running period on (the first regular one, in a trial).

    It counts for whatever that period and the next ones come to before tax, whenever they are billed. Redeeming the
    coupon that is in force already changes nothing; one that had its time is ``CouponUsed``. Raises
    ``CouponNotFound``, ``CouponNotRedeemable``, ``CouponUsed``, ``CouponExceedsFee``, ``DiscountPresent``,
    ``IllegalTransition`` for a subscription that has ended.
    """
    actors.require(actor, Act.SUBSCRIBE, subscription.organization)
    with transaction.atomic():
        current = renew.lock_current(subscription, now=now, actor=actor, expected_version=None)
        if current.status not in LIVE:
            raise transitions.IllegalTransition("This subscription has ended.")
        coupon = coupons.lock(code)
        ordinal = _ordinal(current, now)
        known = SubscriptionDiscount.objects.filter(organization=current.organization, coupon=coupon).first()
        if known is not None:
            is_over = known.until_ordinal is not None and known.until_ordinal < ordinal
            if known.subscription_id == current.id and known.removed_at is None and not is_over:
                return known
            raise CouponUsed(f"{coupon.code} was redeemed by this organization before.", field="coupon")
        _check(coupon, current, now)
        if _in_force(current, ordinal).exists():
            raise DiscountPresent("Another coupon is in force: remove it first.")
        coupon.redemptions += 1
        coupon.save(update_fields=["redemptions"])
        discount = SubscriptionDiscount.objects.create(
            organization=current.organization,
            subscription=current,
            coupon=coupon,
            code=coupon.code,
            name=coupon.name,
            percent=coupon.percent,
            amount_minor=coupon.amount_minor,
            from_ordinal=ordinal,
            until_ordinal=None if coupon.periods is None else ordinal + coupon.periods - 1,
            actor=actor.name,
            redeemed_at=now,
        )
        tell(current, "subscription.discounted", actor=actor, at=now, coupon=coupon.code, off=coupons.off(coupon))
    return discount


def remove(*, subscription: Subscription, actor: Actor, now: datetime, reason: str = "") -> SubscriptionDiscount | None:
    """End the discount with the running period, which keeps it. None where there is none to end."""
    actors.require(actor, Act.SUBSCRIBE, subscription.organization)
    with transaction.atomic():
        current = renew.lock_current(subscription, now=now, actor=actor, expected_version=None)
        ordinal = _ordinal(current, now)
        discount = _in_force(current, ordinal).filter(removed_at__isnull=True).first()
        if discount is None:
            return None
        discount.until_ordinal = max(discount.from_ordinal, ordinal)
        discount.removed_at = now
        discount.save(update_fields=["until_ordinal", "removed_at"])
        tell(current, "subscription.discount_removed", actor=actor, at=now, reason=reason, coupon=discount.code)
    return discount


def list_discounts(subscription: Subscription) -> list[SubscriptionDiscount]:
    """All there ever were, oldest first."""
    return list(SubscriptionDiscount.objects.filter(subscription=subscription).order_by("from_ordinal"))


def _check(coupon: Coupon, current: Subscription, now: datetime) -> None:
    is_over = coupon.redeem_until is not None and coupon.redeem_until <= now
    is_used_up = coupon.redemptions_max is not None and coupon.redemptions >= coupon.redemptions_max
    if not coupon.is_active or is_over or is_used_up:
        raise CouponNotRedeemable(f"{coupon.code} can no longer be redeemed.", field="coupon")
    if coupon.amount_minor is None:
        return
    if coupon.currency != current.currency:
        raise CouponExceedsFee(f"{coupon.code} is in {coupon.currency}, not in {current.currency}.", field="coupon")
    fee_minor = catalog_queries.base_fee_minor(current.plan, current.currency)
    if coupon.amount_minor > fee_minor:
        fee = format_minor(fee_minor, current.currency)
        raise CouponExceedsFee(f"{coupon.code} takes off more than the base fee of {fee}.", field="coupon")


def _ordinal(current: Subscription, now: datetime) -> int:
    period = queries.find_period(current, now) or queries.find_last_period(current)
    return max(1, period.ordinal if period is not None else 1)


def _in_force(current: Subscription, ordinal: int) -> QuerySet[SubscriptionDiscount]:
    """Discounts that cover ``ordinal`` or begin later."""
    return SubscriptionDiscount.objects.filter(subscription=current).filter(
        Q(until_ordinal__isnull=True) | Q(until_ordinal__gte=ordinal)
    )
