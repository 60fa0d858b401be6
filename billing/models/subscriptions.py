"""Subscriptions and the spine of time that they bill by."""

from __future__ import annotations

from django.db import models
from django.db.models import F, Q

from billing.kernel.ids import new_id
from billing.models.accounts import Organization
from billing.models.catalog import Plan


class Status(models.TextChoices):
    INCOMPLETE = "incomplete"
    TRIALING = "trialing"
    ACTIVE = "active"
    PAST_DUE = "past_due"
    PAUSED = "paused"
    CANCELED = "canceled"
    EXPIRED = "expired"


# One live subscription per organization and product; the others are history.
LIVE = (Status.INCOMPLETE, Status.TRIALING, Status.ACTIVE, Status.PAST_DUE, Status.PAUSED)
# These may use what they pay for.
SERVED = (Status.TRIALING, Status.ACTIVE)


class Subscription(models.Model):
    """An organization on a plan version. Which period it is in is for ``subscription_periods`` alone to say."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    organization = models.ForeignKey(Organization, on_delete=models.PROTECT, related_name="subscriptions")
    product = models.CharField(max_length=60)
    plan = models.ForeignKey(Plan, on_delete=models.PROTECT, related_name="subscriptions")
    status = models.CharField(max_length=12, choices=Status.choices)
    currency = models.CharField(max_length=3)
    starts_at = models.DateTimeField()
    anchor_at = models.DateTimeField()
    trial_starts_at = models.DateTimeField(null=True, blank=True)
    trial_ends_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    # When a provider or an operator vouched for payment; null for a free plan or a trial that nobody pays for yet.
    confirmed_at = models.DateTimeField(null=True, blank=True)
    # When time next changes something here (a period ends, an allowance starts); null if never again.
    due_at = models.DateTimeField(null=True, blank=True)
    # What happens at the end of the running period instead of going on as before.
    cancel_at_period_end = models.BooleanField(default=False)
    pending_plan = models.ForeignKey(Plan, on_delete=models.PROTECT, related_name="+", null=True, blank=True)
    paused_at = models.DateTimeField(null=True, blank=True)
    past_due_at = models.DateTimeField(null=True, blank=True)
    # Renewals wait: held until an operator resumes them (a backdated start), parked because one failed, and why.
    held_at = models.DateTimeField(null=True, blank=True)
    parked_at = models.DateTimeField(null=True, blank=True)
    parked_reason = models.CharField(max_length=500, blank=True)
    provider = models.CharField(max_length=40, default="stub")
    provider_reference = models.CharField(max_length=120, blank=True)
    # Optimistic locking: every write adds one and names the version it believed current.
    version = models.PositiveIntegerField(default=1)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        db_table = "organization_subscriptions"
        constraints = [
            models.UniqueConstraint(
                fields=["organization", "product"],
                condition=Q(status__in=LIVE),
                name="subscriptions_one_live_per_product",
            ),
            models.CheckConstraint(condition=Q(status__in=Status.values), name="subscriptions_status_known"),
            models.CheckConstraint(
                condition=Q(status__in=LIVE, ended_at__isnull=True) | (~Q(status__in=LIVE) & Q(ended_at__isnull=False)),
                name="subscriptions_ended_iff_not_live",
            ),
            models.CheckConstraint(
                condition=Q(status="paused", paused_at__isnull=False)
                | (~Q(status="paused") & Q(paused_at__isnull=True)),
                name="subscriptions_paused_since",
            ),
            models.CheckConstraint(
                condition=Q(status="past_due", past_due_at__isnull=False)
                | (~Q(status="past_due") & Q(past_due_at__isnull=True)),
                name="subscriptions_past_due_since",
            ),
            models.CheckConstraint(
                condition=Q(cancel_at_period_end=False) | Q(pending_plan__isnull=True),
                name="subscriptions_one_thing_pending",
            ),
        ]
        indexes = [
            models.Index(fields=["organization", "-created_at"], name="subscriptions_history"),
            models.Index(fields=["due_at"], condition=Q(due_at__isnull=False), name="subscriptions_due"),
            # What the desk starts with: renewals that wait for somebody.
            models.Index(
                fields=["organization"],
                condition=Q(parked_at__isnull=False) | Q(held_at__isnull=False),
                name="subscriptions_waiting",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.organization_id} {self.product} {self.status}"


class PeriodKind(models.TextChoices):
    TRIAL = "trial"
    REGULAR = "regular"


class SubscriptionPeriod(models.Model):
    """One link of the spine. Contiguity is the database's to hold: ``prev_end`` references the end of the period
    before (a composite foreign key made in the migration) and must equal this one's start.

    ``nominal_ends_at`` is where the period would have ended had nothing cut it short; proration divides by it.
    ``closed_at`` is set when the period's invoice is issued: later use is billed to the next open period.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    organization = models.ForeignKey(Organization, on_delete=models.PROTECT, related_name="+")
    subscription = models.ForeignKey(Subscription, on_delete=models.PROTECT, related_name="periods")
    ordinal = models.PositiveIntegerField()
    kind = models.CharField(max_length=10, choices=PeriodKind.choices)
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField()
    nominal_ends_at = models.DateTimeField()
    prev_end = models.DateTimeField(null=True)
    closed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "subscription_periods"
        ordering = ["ordinal"]
        constraints = [
            models.UniqueConstraint(fields=["subscription", "ordinal"], name="periods_ordinal"),
            models.UniqueConstraint(fields=["subscription", "starts_at"], name="periods_starts"),
            models.UniqueConstraint(fields=["subscription", "ends_at"], name="periods_ends"),
            # A second period with no predecessor would be a second spine.
            models.UniqueConstraint(
                fields=["subscription"], condition=Q(prev_end__isnull=True), name="periods_one_first"
            ),
            models.CheckConstraint(
                condition=Q(prev_end__isnull=True) | Q(prev_end=F("starts_at")), name="periods_contiguous"
            ),
            models.CheckConstraint(
                condition=Q(ends_at__gt=F("starts_at"), nominal_ends_at__gte=F("ends_at")), name="periods_forward"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.starts_at:%Y-%m-%d} – {self.ends_at:%Y-%m-%d}"


class PlanSpan(models.Model):
    """Which plan version a subscription was on, when. A late event is judged by the span that holds its instant.

    Two changes in the same instant leave a span of no length: it holds no event and bills nothing, but it tells. A
    paused span is on the plan but neither serves nor bills.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    organization = models.ForeignKey(Organization, on_delete=models.PROTECT, related_name="+")
    subscription = models.ForeignKey(Subscription, on_delete=models.PROTECT, related_name="plan_spans")
    plan = models.ForeignKey(Plan, on_delete=models.PROTECT, related_name="+")
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField(null=True, blank=True)
    is_paused = models.BooleanField(default=False)

    class Meta:
        db_table = "subscription_plan_spans"
        ordering = ["starts_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["subscription", "starts_at"],
                condition=Q(ends_at__isnull=True) | Q(ends_at__gt=F("starts_at")),
                name="plan_spans_starts",
            ),
            models.UniqueConstraint(
                fields=["subscription"], condition=Q(ends_at__isnull=True), name="plan_spans_one_open"
            ),
            models.CheckConstraint(
                condition=Q(ends_at__isnull=True) | Q(ends_at__gte=F("starts_at")), name="plan_spans_forward"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.plan_id} from {self.starts_at:%Y-%m-%d}"
