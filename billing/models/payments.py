"""Payment providers: who we are to them, what they told us, and the stub's own books."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from billing.kernel.ids import new_id
from billing.models.accounts import Organization
from billing.models.metering import SUM


class ProviderCustomer(models.Model):
    """What a provider calls an organization. ``payment_method`` is the stub's test method, and empty elsewhere."""

    organization = models.ForeignKey(Organization, on_delete=models.PROTECT, related_name="provider_customers")
    provider = models.CharField(max_length=40)
    reference = models.CharField(max_length=120)
    payment_method = models.CharField(max_length=40, blank=True)
    created_at = models.DateTimeField()

    class Meta:
        db_table = "billing_provider_customers"
        constraints = [
            models.UniqueConstraint(fields=["organization", "provider"], name="provider_customers_one_each"),
            models.UniqueConstraint(fields=["provider", "reference"], name="provider_customers_reference"),
        ]

    def __str__(self) -> str:
        return f"{self.provider} {self.reference}"


class InboxStatus(models.TextChoices):
    WAITING = "waiting"
    APPLIED = "applied"
    IGNORED = "ignored"
    PARKED = "parked"


class ProviderInboxEvent(models.Model):
    """One event as a provider delivered it, kept once per ``(provider, event_id)`` for ever; its body for a while.

    ``awaits`` names what has to be known first (``customer:…``, ``payment:…``): when that comes, it is tried at once.
    ``reason`` says why it is ignored or parked, or how the last try failed. The organization is known once applied.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    provider = models.CharField(max_length=40)
    event_id = models.CharField(max_length=255)
    type = models.CharField(max_length=100)
    organization = models.ForeignKey(
        Organization, on_delete=models.PROTECT, related_name="+", db_index=False, null=True, blank=True
    )
    # By the provider's clock, in whole seconds.
    occurred_at = models.DateTimeField()
    received_at = models.DateTimeField()
    body = models.BinaryField(null=True)
    status = models.CharField(max_length=10, choices=InboxStatus.choices, default=InboxStatus.WAITING)
    attempts = models.PositiveSmallIntegerField(default=0)
    next_attempt_at = models.DateTimeField(null=True)
    awaits = models.CharField(max_length=300, blank=True)
    reason = models.CharField(max_length=500, blank=True)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "billing_provider_events"
        constraints = [
            models.UniqueConstraint(fields=["provider", "event_id"], name="provider_events_once"),
            models.CheckConstraint(
                condition=Q(status="waiting", next_attempt_at__isnull=False, finished_at__isnull=True)
                | Q(
                    status__in=["applied", "ignored", "parked"], next_attempt_at__isnull=True, finished_at__isnull=False
                ),
                name="provider_events_waiting_or_finished",
            ),
        ]
        indexes = [
            models.Index(fields=["next_attempt_at"], condition=Q(status="waiting"), name="provider_events_due"),
            models.Index(
                fields=["provider", "awaits"],
                condition=Q(status="waiting") & ~Q(awaits=""),
                name="provider_events_awaits",
            ),
            models.Index(fields=["status", "-id"], name="provider_events_by_status"),
            models.Index(fields=["finished_at"], condition=Q(body__isnull=False), name="provider_events_kept"),
        ]

    def __str__(self) -> str:
        return f"{self.provider} {self.event_id} {self.status}"


class ProviderObject(models.Model):
    """What was last believed of one object of a provider (``subscription:sub_1``, ``payment:pi_1``, ``refund:re_1``).

    An event is believed if it is later than this one: final before not final, then by the provider's time, then by
    ``rank``, then by the event's id, so that every order of deliveries ends with the same one. ``state`` is what it
    said.
    """

    provider = models.CharField(max_length=40)
    subject = models.CharField(max_length=300)
    organization = models.ForeignKey(Organization, on_delete=models.PROTECT, related_name="+", db_index=False)
    is_final = models.BooleanField()
    occurred_at = models.DateTimeField()
    rank = models.PositiveSmallIntegerField()
    event_id = models.CharField(max_length=255)
    state = models.CharField(max_length=40)

    class Meta:
        db_table = "billing_provider_objects"
        constraints = [models.UniqueConstraint(fields=["provider", "subject"], name="provider_objects_subject")]

    def __str__(self) -> str:
        return f"{self.provider} {self.subject} {self.state}"


class StubCharge(models.Model):
    """A charge at the stub, which keeps books of its own as a provider does. Told once per idempotency key."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    organization = models.ForeignKey(Organization, on_delete=models.PROTECT, related_name="+")
    invoice_id = models.UUIDField()
    idempotency_key = models.CharField(max_length=200, unique=True)
    amount_minor = models.BigIntegerField()
    currency = models.CharField(max_length=3)
    payment_method = models.CharField(max_length=40, blank=True)
    status = models.CharField(max_length=10)
    code = models.CharField(max_length=60, blank=True)
    created_at = models.DateTimeField()

    class Meta:
        db_table = "billing_stub_charges"

    def __str__(self) -> str:
        return f"{self.idempotency_key} {self.status}"


class StubReading(models.Model):
    """What the stub claims to have metered, so that reconciliation can be tried without a provider."""

    organization = models.ForeignKey(Organization, on_delete=models.PROTECT, related_name="+")
    meter = models.CharField(max_length=60)
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField()
    quantity = models.DecimalField(**SUM)

    class Meta:
        db_table = "billing_stub_readings"
        constraints = [
            models.UniqueConstraint(
                fields=["organization", "meter", "starts_at", "ends_at"], name="stub_readings_one_per_window"
            )
        ]

    def __str__(self) -> str:
        return f"{self.meter} {self.quantity}"
