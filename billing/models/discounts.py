"""Coupons, and the discounts that subscriptions have by them."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.db.models import Q

from billing.kernel.ids import new_id
from billing.models.accounts import Organization
from billing.models.subscriptions import Subscription

PERCENT: dict[str, Any] = {"max_digits": 6, "decimal_places": 3}
_PERCENT_OR_AMOUNT = Q(percent__gt=0, percent__lte=100, amount_minor__isnull=True) | Q(
    percent__isnull=True, amount_minor__gt=0
)


class Coupon(models.Model):
    """Something off, for whoever knows the code: per cent, or an amount in one currency, for ``periods`` billing
    periods (null: for ever). Once given out it only changes by being retired."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    code = models.CharField(max_length=60, unique=True)
    name = models.CharField(max_length=120)
    percent = models.DecimalField(**PERCENT, null=True, blank=True)
    amount_minor = models.BigIntegerField(null=True, blank=True)
    currency = models.CharField(max_length=3, blank=True)
    periods = models.PositiveIntegerField(null=True, blank=True)
    redeem_until = models.DateTimeField(null=True, blank=True)
    redemptions_max = models.PositiveIntegerField(null=True, blank=True)
    redemptions = models.PositiveIntegerField(default=0)
    is_active = models.BooleanField(default=True)
    created_at = models.DateTimeField()

    class Meta:
        db_table = "billing_coupons"
        ordering = ["code"]
        constraints = [
            models.CheckConstraint(
                condition=_PERCENT_OR_AMOUNT & (Q(percent__isnull=True) | Q(currency="")), name="coupons_off"
            ),
            models.CheckConstraint(condition=Q(amount_minor__isnull=True) | ~Q(currency=""), name="coupons_currency"),
            models.CheckConstraint(condition=Q(periods__isnull=True) | Q(periods__gt=0), name="coupons_periods"),
            models.CheckConstraint(
                condition=Q(redemptions_max__isnull=True) | Q(redemptions__lte=models.F("redemptions_max")),
                name="coupons_redemptions",
            ),
        ]

    def __str__(self) -> str:
        return self.code


class SubscriptionDiscount(models.Model):
    """A coupon redeemed: what it says is copied in. It takes off each service period from ``from_ordinal`` to
    ``until_ordinal`` (null: for ever), wherever that period is billed."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    organization = models.ForeignKey(Organization, on_delete=models.PROTECT, related_name="+", db_index=False)
    subscription = models.ForeignKey(Subscription, on_delete=models.PROTECT, related_name="discounts")
    coupon = models.ForeignKey(Coupon, on_delete=models.PROTECT, related_name="discounts")
    code = models.CharField(max_length=60)
    name = models.CharField(max_length=120)
    percent = models.DecimalField(**PERCENT, null=True, blank=True)
    amount_minor = models.BigIntegerField(null=True, blank=True)
    from_ordinal = models.PositiveIntegerField()
    until_ordinal = models.PositiveIntegerField(null=True, blank=True)
    actor = models.CharField(max_length=120)
    redeemed_at = models.DateTimeField()
    removed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "subscription_discounts"
        ordering = ["from_ordinal"]
        constraints = [
            # A coupon serves an organization once: leaving and returning does not renew it.
            models.UniqueConstraint(fields=["organization", "coupon"], name="discounts_once_per_organization"),
            models.UniqueConstraint(fields=["subscription", "from_ordinal"], name="discounts_one_at_a_time"),
            models.CheckConstraint(condition=_PERCENT_OR_AMOUNT, name="discounts_off"),
            models.CheckConstraint(
                condition=Q(until_ordinal__isnull=True) | Q(until_ordinal__gte=models.F("from_ordinal")),
                name="discounts_forward",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.code} from period {self.from_ordinal}"
