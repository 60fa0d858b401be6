"""What can be bought: meters, plan versions, entitlements, prices, and how the shop shows them."""

from __future__ import annotations

from typing import Any

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q

from billing.kernel.ids import new_id
from billing.kernel.periods import Cadence, Interval
from billing.kernel.pricing import PricingModel

RATE: dict[str, Any] = {"max_digits": 30, "decimal_places": 12}
QUANTITY: dict[str, Any] = {"max_digits": 20, "decimal_places": 6}


class Meter(models.Model):
    """A kind of use, declared in the catalog's ``events:`` map. It belongs to one product."""

    code = models.CharField(primary_key=True, max_length=60)
    product = models.CharField(max_length=60, default="platform")
    description = models.CharField(max_length=200, blank=True)
    unit = models.CharField(max_length=40, default="unit")

    class Meta:
        db_table = "billing_meters"

    def __str__(self) -> str:
        return self.code


class BaseFeeTiming(models.TextChoices):
    ARREARS = "arrears"
    ADVANCE = "advance"


class AllowanceEvery(models.TextChoices):
    MONTH = "month"
    PERIOD = "period"


class Plan(models.Model):
    """One version of a plan. Immutable once subscribed: a change in the catalog file makes the next version.

    ``is_current`` marks the version that new subscribers get; ``is_on_sale`` whether customers may choose it
    themselves; ``is_active`` false retires the code (nobody new at all).
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    code = models.CharField(max_length=60)
    version = models.PositiveIntegerField()
    product = models.CharField(max_length=60, default="platform")
    name = models.CharField(max_length=120)
    description = models.TextField(blank=True)
    billing_period = models.CharField(max_length=10, choices=[(i.value, i.value) for i in Interval])
    base_fee_timing = models.CharField(max_length=10, choices=BaseFeeTiming.choices, default=BaseFeeTiming.ARREARS)
    trial_days = models.PositiveIntegerField(default=0)
    trial_credits = models.DecimalField(**QUANTITY, default=0)
    credit_allowance = models.DecimalField(**QUANTITY, default=0)
    allowance_every = models.CharField(max_length=10, choices=AllowanceEvery.choices, default=AllowanceEvery.PERIOD)
    is_active = models.BooleanField(default=True)
    is_on_sale = models.BooleanField(default=True)
    is_current = models.BooleanField(default=True)
    # SHA-256 of the plan's canonical content: equal content is the same version, whatever the file's layout.
    content_digest = models.CharField(max_length=64)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        db_table = "billing_plans"
        constraints = [
            models.UniqueConstraint(fields=["code", "version"], name="plans_code_version"),
            models.UniqueConstraint(fields=["code"], condition=Q(is_current=True), name="plans_one_current_version"),
            models.CheckConstraint(
                condition=Q(billing_period__in=[i.value for i in Interval]), name="plans_billing_period_known"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.code} v{self.version}"


class PlanPrice(models.Model):
    """What a plan costs in one currency. ``credit_rate`` is the price of one credit beyond the granted ones;
    ``minimum_minor`` what a whole period costs at least, fees and use together (0: no minimum)."""

    plan = models.ForeignKey(Plan, on_delete=models.CASCADE, related_name="prices")
    currency = models.CharField(max_length=3)
    base_fee_minor = models.BigIntegerField()
    credit_rate = models.DecimalField(**RATE, null=True, blank=True)
    minimum_minor = models.BigIntegerField(default=0)

    class Meta:
        db_table = "billing_plan_prices"
        constraints = [
            models.UniqueConstraint(fields=["plan", "currency"], name="plan_prices_currency"),
            models.CheckConstraint(condition=Q(base_fee_minor__gte=0), name="plan_prices_not_negative"),
            models.CheckConstraint(condition=Q(minimum_minor__gte=0), name="plan_prices_minimum"),
        ]

    def __str__(self) -> str:
        return f"{self.plan_id} {self.currency}"


class EntitlementKind(models.TextChoices):
    BOOLEAN = "boolean"
    METERED = "metered"


class OnLimit(models.TextChoices):
    BLOCK = "block"
    OVERAGE = "overage"


class PlanEntitlement(models.Model):
    """What a plan version allows under one key.

    Boolean: ``enabled``, guarding every meter in ``meters``. Metered: guards exactly one meter; ``limit`` null is
    unlimited and 0 is none; units inside the limit cost ``credits_per_unit`` credits, units beyond it money.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    plan = models.ForeignKey(Plan, on_delete=models.CASCADE, related_name="entitlements")
    key = models.CharField(max_length=60)
    kind = models.CharField(max_length=10, choices=EntitlementKind.choices)
    meters = ArrayField(models.CharField(max_length=60), default=list)
    enabled = models.BooleanField(default=True)
    limit = models.DecimalField(**QUANTITY, null=True, blank=True)
    cadence = models.CharField(
        max_length=20, choices=[(c.value, c.value) for c in Cadence], default=Cadence.NEVER.value
    )
    on_limit = models.CharField(max_length=10, choices=OnLimit.choices, default=OnLimit.BLOCK)
    credits_per_unit = models.DecimalField(**QUANTITY, default=0)
    # {flag: "annotate" | "hold" | "waive"}: what becomes of the debit of a use that bears the flag
    guardrails = models.JSONField(default=dict, blank=True)
    position = models.PositiveSmallIntegerField(default=0)

    class Meta:
        db_table = "billing_plan_entitlements"
        ordering = ["position"]
        constraints = [
            models.UniqueConstraint(fields=["plan", "key"], name="plan_entitlements_key"),
            models.CheckConstraint(
                condition=Q(limit__isnull=True) | Q(limit__gte=0), name="plan_entitlements_limit_not_negative"
            ),
            models.CheckConstraint(condition=Q(credits_per_unit__gte=0), name="plan_entitlements_credits"),
        ]

    def __str__(self) -> str:
        return self.key


class EntitlementPrice(models.Model):
    """Overage price of one entitlement in one currency: ``rate`` major units for each ``per`` units, by its ``model``.

    A tiered model has no rate: each of its ``tiers`` has one. A percentage is a rate per 100 units, which are money.
    """

    entitlement = models.ForeignKey(PlanEntitlement, on_delete=models.CASCADE, related_name="prices")
    currency = models.CharField(max_length=3)
    model = models.CharField(
        max_length=10, choices=[(m.value, m.value) for m in PricingModel], default=PricingModel.PER_UNIT.value
    )
    rate = models.DecimalField(**RATE, null=True, blank=True)
    per = models.DecimalField(**QUANTITY, default=1)
    # [{"up_to" (null: open-ended), "rate", "flat"}] in ascending order, decimals as strings
    tiers = models.JSONField(default=list, blank=True)

    class Meta:
        db_table = "billing_entitlement_prices"
        constraints = [
            models.UniqueConstraint(fields=["entitlement", "currency"], name="entitlement_prices_currency"),
            models.CheckConstraint(
                condition=Q(per__gt=0)
                & (
                    Q(model__in=["per_unit", "package", "percentage"], rate__gte=0, rate__isnull=False, tiers=[])
                    | (Q(model__in=["graduated", "volume"], rate__isnull=True) & ~Q(tiers=[]))
                ),
                name="entitlement_prices_sane",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.model} {self.rate or self.tiers} per {self.per} {self.currency}"


class PricingPlan(models.Model):
    """A plan version as the shop shows it. Cadence, base fee and credits come from the plan."""

    plan = models.OneToOneField(Plan, on_delete=models.CASCADE, primary_key=True, related_name="pricing_plan")
    tagline = models.CharField(max_length=200, blank=True)
    bundle = models.JSONField(default=dict)
    sla_tier = models.CharField(max_length=60, blank=True)
    sla_version = models.CharField(max_length=40, blank=True)
    sla_terms = models.TextField(blank=True)
    # [{"key", "name", "value" (bool or text), "group"}] in order of display
    features = models.JSONField(default=list)
    position = models.PositiveSmallIntegerField(default=0)

    class Meta:
        db_table = "marketplace_pricing_plans"
        ordering = ["position"]

    def __str__(self) -> str:
        return str(self.plan_id)


class CatalogState(models.Model):
    """The one row that says which catalog runs: its version grows with each sync, caches hang on it."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    version = models.PositiveIntegerField(default=0)
    default_plan = models.CharField(max_length=60, blank=True)
    synced_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "billing_catalog_state"
        constraints = [models.CheckConstraint(condition=Q(id=1), name="catalog_state_single_row")]

    def __str__(self) -> str:
        return f"catalog {self.version}"
