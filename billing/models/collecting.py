"""Getting the money of issued invoices: one collection each, its dunning, and every charge that was tried."""

from __future__ import annotations

from django.db import models
from django.db.models import F, Q

from billing.kernel.ids import new_id
from billing.models.accounts import Organization
from billing.models.invoicing import Invoice
from billing.models.profiles import CollectionMethod
from billing.models.subscriptions import Subscription


class Closing(models.TextChoices):
    """Why nobody collects any more."""

    SETTLED = "settled"
    VOID = "void"
    UNCOLLECTIBLE = "uncollectible"
    STOPPED = "stopped"


class Collection(models.Model):
    """The collection of one issued invoice; from ``dunning_at`` on it is a dunning. At most one is open per invoice.

    ``step`` counts the steps of the schedule that are behind it. The subscription is past due because of it from
    ``past_due_at`` until ``lifted_at``: one that was written off is closed and may hold the subscription still.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    organization = models.ForeignKey(Organization, on_delete=models.PROTECT, related_name="collections")
    subscription = models.ForeignKey(Subscription, on_delete=models.PROTECT, related_name="collections")
    invoice = models.ForeignKey(Invoice, on_delete=models.PROTECT, related_name="collections")
    method = models.CharField(max_length=10, choices=CollectionMethod.choices)
    started_at = models.DateTimeField()
    # When the schedule has its next say; null while a provider has, or once all steps are behind.
    next_at = models.DateTimeField(null=True)
    dunning_at = models.DateTimeField(null=True)
    step = models.PositiveSmallIntegerField(default=0)
    grace_ends_at = models.DateTimeField(null=True)
    past_due_at = models.DateTimeField(null=True)
    lifted_at = models.DateTimeField(null=True)
    # When a subscription that is past due because of it ends, where the installation ends any.
    cancels_at = models.DateTimeField(null=True)
    closed_at = models.DateTimeField(null=True)
    closed_because = models.CharField(max_length=15, choices=Closing.choices, blank=True)

    class Meta:
        db_table = "billing_collections"
        constraints = [
            models.UniqueConstraint(
                fields=["invoice"], condition=Q(closed_at__isnull=True), name="collections_one_open_per_invoice"
            ),
            models.CheckConstraint(
                condition=Q(closed_at__isnull=True, closed_because="")
                | Q(closed_at__isnull=False, closed_because__in=Closing.values, next_at__isnull=True),
                name="collections_closed_for_a_reason",
            ),
            models.CheckConstraint(
                condition=Q(dunning_at__isnull=True, grace_ends_at__isnull=True, step=0)
                | Q(dunning_at__isnull=False, grace_ends_at__gt=F("dunning_at")),
                name="collections_dunning_has_grace",
            ),
            models.CheckConstraint(
                condition=Q(past_due_at__isnull=True, lifted_at__isnull=True, cancels_at__isnull=True)
                | Q(past_due_at__gte=F("grace_ends_at")),
                name="collections_past_due_after_grace",
            ),
        ]
        indexes = [
            models.Index(fields=["organization", "-started_at"], name="collections_by_organization"),
            models.Index(fields=["next_at"], condition=Q(next_at__isnull=False), name="collections_due"),
            models.Index(
                fields=["grace_ends_at"],
                condition=Q(closed_at__isnull=True, past_due_at__isnull=True),
                name="collections_in_grace",
            ),
            models.Index(
                fields=["subscription"],
                condition=Q(past_due_at__isnull=False, lifted_at__isnull=True),
                name="collections_holding",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.method} {self.invoice_id} step {self.step}"


class ChargeStatus(models.TextChoices):
    # Committed, and then asked of the provider; its answer is not known yet.
    STARTED = "started"
    # The provider answers later, by webhook.
    PENDING = "pending"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    # Nothing was left to pay before the provider had answered: it is not asked again.
    ABANDONED = "abandoned"
    # The provider gave no answer for so long that its key is no protection any more: a person has to look.
    UNKNOWN = "unknown"


UNDER_WAY = (ChargeStatus.STARTED, ChargeStatus.PENDING)


class ChargeAttempt(models.Model):
    """One charge asked of a provider. ``key`` is what the provider knows it by, so asked twice it is charged once.

    ``step`` is the step of the schedule that tried it, 0 at issue; null where a person asked for it.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    organization = models.ForeignKey(Organization, on_delete=models.PROTECT, related_name="+", db_index=False)
    collection = models.ForeignKey(Collection, on_delete=models.PROTECT, related_name="attempts")
    invoice = models.ForeignKey(Invoice, on_delete=models.PROTECT, related_name="charge_attempts")
    step = models.PositiveSmallIntegerField(null=True)
    provider = models.CharField(max_length=40)
    key = models.CharField(max_length=80, unique=True)
    amount_minor = models.BigIntegerField()
    status = models.CharField(max_length=10, choices=ChargeStatus.choices, default=ChargeStatus.STARTED)
    reference = models.CharField(max_length=200, blank=True)
    code = models.CharField(max_length=60, blank=True)
    message = models.CharField(max_length=300, blank=True)
    started_at = models.DateTimeField()
    # How often the provider was asked, and when it is asked (again); null once it has answered.
    asked = models.PositiveSmallIntegerField(default=0)
    ask_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "billing_charge_attempts"
        ordering = ["started_at", "id"]
        constraints = [
            models.UniqueConstraint(fields=["collection", "step"], name="charge_attempts_one_per_step"),
            models.UniqueConstraint(
                fields=["invoice"], condition=Q(status__in=UNDER_WAY), name="charge_attempts_one_under_way"
            ),
            models.CheckConstraint(condition=Q(amount_minor__gt=0), name="charge_attempts_positive"),
            models.CheckConstraint(
                condition=Q(status="started", ask_at__isnull=False, finished_at__isnull=True)
                | Q(status="pending", ask_at__isnull=True, finished_at__isnull=True)
                | (~Q(status__in=UNDER_WAY) & Q(ask_at__isnull=True, finished_at__isnull=False)),
                name="charge_attempts_asked_until_answered",
            ),
        ]
        indexes = [
            models.Index(fields=["ask_at"], condition=Q(ask_at__isnull=False), name="charge_attempts_due"),
            models.Index(fields=["provider", "reference"], name="charge_attempts_by_reference"),
        ]

    def __str__(self) -> str:
        return f"{self.key} {self.status}"
