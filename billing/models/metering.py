"""Use: immutable events, exact windows, and what is chargeable of them."""

from __future__ import annotations

from typing import Any

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q

from billing.kernel.ids import new_id
from billing.kernel.periods import Cadence
from billing.models.accounts import Organization
from billing.models.catalog import QUANTITY, Meter, Plan
from billing.models.subscriptions import Subscription, SubscriptionPeriod

# Sums of quantities: ten more digits than one quantity may have, so a sum cannot overflow its column.
SUM: dict[str, Any] = {"max_digits": 30, "decimal_places": 6}


# Events that bear a flag, and what became of earlier ones. The condition of an index: asked by it alone.
MARKED = ~Q(guardrail_flags=[]) | Q(reverses__isnull=False) | Q(clears__isnull=False)


class UsageEvent(models.Model):
    """One accepted use, a counter-event that takes it back, or the debit of one that was held. Immutable: triggers
    refuse UPDATE, DELETE and TRUNCATE, raw SQL included.

    How the quantity was split (inside the limit, ``overage``) and paid (``credits_due``, of which ``credits_paid`` from
    grants, the rest is the deficit) is settled in admission order and never again. A counter-event names what it
    ``reverses``, stands at the same instant, and has the figures that it takes back below zero; so every sum of events
    is what is left. Where a guardrail held the debit of a use, the use itself costs nothing; once it is cleared, an
    event of no quantity that ``clears`` it, at the same instant, bears what it cost.

    No foreign key is checked per insert (four look-ups and four row locks an event): the one recording path has
    those rows in hand under the organization's lock, nothing ever deletes them, and ``verify`` proves it.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    organization = models.ForeignKey(
        Organization, on_delete=models.PROTECT, related_name="+", db_constraint=False, db_index=False
    )
    subscription = models.ForeignKey(
        Subscription, on_delete=models.PROTECT, related_name="+", db_constraint=False, db_index=False
    )
    # The period that its instant lies in, and the one whose invoice bills it: they differ for late use.
    period = models.ForeignKey(
        SubscriptionPeriod, on_delete=models.PROTECT, related_name="+", db_constraint=False, db_index=False
    )
    billed_period = models.ForeignKey(
        SubscriptionPeriod, on_delete=models.PROTECT, related_name="+", db_constraint=False, db_index=False
    )
    plan = models.ForeignKey(Plan, on_delete=models.PROTECT, related_name="+", db_constraint=False, db_index=False)
    meter = models.ForeignKey(
        Meter, on_delete=models.PROTECT, related_name="+", db_column="meter", db_constraint=False, db_index=False
    )
    service = models.CharField(max_length=60, blank=True)
    source = models.CharField(max_length=200)
    key = models.CharField(max_length=200)
    fingerprint = models.BinaryField(max_length=32)
    quantity = models.DecimalField(**QUANTITY)
    overage = models.DecimalField(**QUANTITY)
    credits_due = models.DecimalField(**QUANTITY)
    credits_paid = models.DecimalField(**QUANTITY)
    guardrail_flags = ArrayField(models.CharField(max_length=60), default=list)
    occurred_at = models.DateTimeField()
    recorded_at = models.DateTimeField()
    reverses = models.ForeignKey(
        "self", on_delete=models.PROTECT, related_name="+", null=True, db_constraint=False, db_index=False
    )
    clears = models.ForeignKey(
        "self", on_delete=models.PROTECT, related_name="+", null=True, db_constraint=False, db_index=False
    )

    class Meta:
        db_table = "marketplace_usage_events"
        constraints = [
            models.UniqueConstraint(fields=["organization", "source", "key"], name="usage_events_identity"),
            models.CheckConstraint(
                condition=Q(
                    reverses__isnull=True,
                    clears__isnull=True,
                    quantity__gt=0,
                    overage__gte=0,
                    credits_due__gte=0,
                    credits_paid__gte=0,
                    credits_paid__lte=models.F("credits_due"),
                )
                | Q(
                    reverses__isnull=False,
                    clears__isnull=True,
                    quantity__lt=0,
                    overage__lte=0,
                    credits_due__lte=0,
                    credits_paid__lte=0,
                    credits_paid__gte=models.F("credits_due"),
                )
                | Q(
                    reverses__isnull=True,
                    clears__isnull=False,
                    quantity=0,
                    overage__gte=0,
                    credits_due__gte=0,
                    credits_paid__gte=0,
                    credits_paid__lte=models.F("credits_due"),
                ),
                name="usage_events_split_sane",
            ),
            # A debit that was held is made once. Ordinary use does not touch this index.
            models.UniqueConstraint(
                fields=["clears"], condition=Q(clears__isnull=False), name="usage_events_cleared_once"
            ),
        ]
        # Led by the subscription: with the organization first, a planner without statistics takes it to find a key.
        indexes = [
            models.Index(fields=["subscription", "occurred_at"], name="usage_events_by_subscription"),
            # Of counter-events alone: ordinary use does not touch it.
            models.Index(fields=["reverses"], condition=Q(reverses__isnull=False), name="usage_events_reversed"),
            # Neither does it touch this: use that bears a flag, and what was taken back or cleared.
            models.Index(
                fields=["organization", "occurred_at"],
                condition=MARKED,
                name="usage_events_marked",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.meter_id} {self.quantity}"


class UsageEventPayload(models.Model):
    """What a caller attached to an event. Deletable: no rule and no price ever reads it."""

    event_id = models.UUIDField(primary_key=True)
    organization = models.ForeignKey(Organization, on_delete=models.PROTECT, related_name="+", db_constraint=False)
    payload = models.JSONField()

    class Meta:
        db_table = "usage_event_payloads"

    def __str__(self) -> str:
        return str(self.event_id)


class UsageWindow(models.Model):
    """Consumption of one subscription and meter in one window: ``used`` = Σ quantity, ``overage`` = Σ overage.

    Windows of every cadence are kept for every meter, whatever limits it.
    What earlier subscriptions of the organization used in the same window is added when read, never copied.
    """

    organization = models.ForeignKey(Organization, on_delete=models.PROTECT, related_name="+", db_index=False)
    subscription = models.ForeignKey(Subscription, on_delete=models.PROTECT, related_name="+", db_index=False)
    meter = models.ForeignKey(Meter, on_delete=models.PROTECT, related_name="+", db_column="meter", db_index=False)
    cadence = models.CharField(max_length=20, choices=[(c.value, c.value) for c in Cadence])
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField()
    used = models.DecimalField(**SUM)
    overage = models.DecimalField(**SUM)
    events = models.BigIntegerField()
    # The most that ever stood in the window when a reversal took from it: thresholds up to there were told before.
    peak = models.DecimalField(**SUM, default=0, db_default=0)

    class Meta:
        db_table = "subscription_usage_ledger"
        constraints = [
            models.UniqueConstraint(
                fields=["organization", "meter", "cadence", "starts_at", "subscription"], name="usage_windows_identity"
            ),
            models.CheckConstraint(condition=Q(used__gte=0, overage__gte=0), name="usage_windows_not_negative"),
        ]
        # The few of a table that is mostly days, for sums over all of them. Recording changes no column of it.
        indexes = [
            models.Index(
                fields=["organization", "meter"], condition=Q(cadence=Cadence.NEVER.value), name="usage_windows_life"
            )
        ]

    def __str__(self) -> str:
        return f"{self.meter_id} {self.cadence} from {self.starts_at:%Y-%m-%d}"


class UsageCharge(models.Model):
    """Chargeable use, summed for invoicing: one row per billed period, service period, plan version and meter.

    Touched only by events that went over a limit or short of credits, so ordinary use pays nothing for it.
    """

    organization = models.ForeignKey(Organization, on_delete=models.PROTECT, related_name="+", db_index=False)
    subscription = models.ForeignKey(Subscription, on_delete=models.PROTECT, related_name="+", db_index=False)
    billed_period = models.ForeignKey(SubscriptionPeriod, on_delete=models.PROTECT, related_name="+")
    service_period = models.ForeignKey(SubscriptionPeriod, on_delete=models.PROTECT, related_name="+", db_index=False)
    plan = models.ForeignKey(Plan, on_delete=models.PROTECT, related_name="+", db_index=False)
    meter = models.ForeignKey(Meter, on_delete=models.PROTECT, related_name="+", db_column="meter", db_index=False)
    overage = models.DecimalField(**SUM)
    credit_deficit = models.DecimalField(**SUM)

    class Meta:
        db_table = "billing_usage_charges"
        constraints = [
            models.UniqueConstraint(
                fields=["organization", "subscription", "billed_period", "service_period", "plan", "meter"],
                name="usage_charges_identity",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.meter_id} {self.overage} over, {self.credit_deficit} credits short"


class RefusalCount(models.Model):
    """How often a guard said no, per organization, key and hour. Best effort, on a connection of its own, because a
    host's rollback must not erase it; hence no foreign key to rows that the host may not have committed yet."""

    organization_id = models.UUIDField()
    note = models.CharField(max_length=120)
    hour_at = models.DateTimeField()
    count = models.BigIntegerField()

    class Meta:
        db_table = "billing_refusal_counts"
        constraints = [
            models.UniqueConstraint(fields=["organization_id", "note", "hour_at"], name="refusal_counts_identity")
        ]

    def __str__(self) -> str:
        return f"{self.note} × {self.count}"
