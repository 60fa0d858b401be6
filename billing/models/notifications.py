"""Webhooks: whom to tell, what each is still to be told, and how every attempt went."""

from __future__ import annotations

from datetime import datetime

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q

from billing.kernel.ids import new_id
from billing.models.accounts import Organization
from billing.models.infra import OutboxEvent


class PauseReason(models.TextChoices):
    MANUAL = "manual"
    FAILING = "failing"


class DeliveryStatus(models.TextChoices):
    PENDING = "pending"
    DELIVERED = "delivered"
    SKIPPED = "skipped"


class WebhookEndpoint(models.Model):
    """A URL of an organization that is told of its events, one at a time and in their order.

    Who delivers holds a lease: ``lease_holder`` until ``leased_until``. A killed worker's lease runs out by itself.
    All times are real time, those of a sandbox too.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    organization = models.ForeignKey(Organization, on_delete=models.PROTECT, related_name="webhook_endpoints")
    url = models.CharField(max_length=2000)
    description = models.CharField(max_length=200, blank=True)
    # "invoice.issued", "invoice.*" or "*".
    topics = ArrayField(models.CharField(max_length=60))
    paused_at = models.DateTimeField(null=True)
    pause_reason = models.CharField(max_length=10, choices=PauseReason.choices, blank=True)
    disabled_at = models.DateTimeField(null=True)
    last_delivered_at = models.DateTimeField(null=True)
    last_failed_at = models.DateTimeField(null=True)
    lease_holder = models.UUIDField(null=True)
    leased_until = models.DateTimeField(null=True)
    created_at = models.DateTimeField()

    class Meta:
        db_table = "webhook_endpoints"
        constraints = [
            models.CheckConstraint(
                condition=Q(paused_at__isnull=True, pause_reason="")
                | Q(paused_at__isnull=False, pause_reason__in=PauseReason.values),
                name="webhook_endpoints_pause_has_a_reason",
            ),
            models.CheckConstraint(
                condition=Q(lease_holder__isnull=True, leased_until__isnull=True)
                | Q(lease_holder__isnull=False, leased_until__isnull=False),
                name="webhook_endpoints_lease_has_an_end",
            ),
        ]

    def __str__(self) -> str:
        return str(self.id)


class WebhookSecret(models.Model):
    """What an endpoint's messages are signed with. Several while one replaces another; shown once, never logged.

    Encrypted (``billing/notifications/keeping.py``): it has to be read again to sign.
    """

    endpoint = models.ForeignKey(WebhookEndpoint, on_delete=models.PROTECT, related_name="secrets")
    text = models.CharField(max_length=400)
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "webhook_secrets"
        constraints = [
            models.UniqueConstraint(
                fields=["endpoint"], condition=Q(expires_at__isnull=True), name="webhook_secrets_one_current"
            )
        ]

    def __str__(self) -> str:
        return f"secret of {self.endpoint_id}"

    def signs_at(self, at: datetime) -> bool:
        return self.expires_at is None or at < self.expires_at


class WebhookDelivery(models.Model):
    """One event for one endpoint, known outside by the event's id.

    ``position`` is its place in the endpoint's queue; replaying moves it to the end.
    ``failures`` counts since the delivery was queued or the endpoint resumed, and drives the back-off; ``attempts``
    counts all.
    """

    organization = models.ForeignKey(Organization, on_delete=models.PROTECT, related_name="+", db_index=False)
    endpoint = models.ForeignKey(WebhookEndpoint, on_delete=models.PROTECT, related_name="deliveries", db_index=False)
    event = models.ForeignKey(OutboxEvent, on_delete=models.PROTECT, related_name="+", db_index=False)
    position = models.BigIntegerField()
    status = models.CharField(max_length=10, choices=DeliveryStatus.choices, default=DeliveryStatus.PENDING)
    attempts = models.PositiveIntegerField(default=0)
    failures = models.PositiveSmallIntegerField(default=0)
    next_attempt_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "webhook_deliveries"
        constraints = [
            models.UniqueConstraint(
                fields=["organization", "endpoint", "event"], name="webhook_deliveries_one_per_event"
            ),
            models.CheckConstraint(
                condition=Q(status=DeliveryStatus.PENDING, next_attempt_at__isnull=False, finished_at__isnull=True)
                | Q(
                    status__in=[DeliveryStatus.DELIVERED, DeliveryStatus.SKIPPED],
                    next_attempt_at__isnull=True,
                    finished_at__isnull=False,
                ),
                name="webhook_deliveries_pending_or_finished",
            ),
        ]
        indexes = [
            models.Index(
                fields=["endpoint", "position"],
                condition=Q(status=DeliveryStatus.PENDING),
                name="webhook_deliveries_queue",
            ),
            models.Index(
                fields=["endpoint"],
                condition=Q(status=DeliveryStatus.PENDING, failures__gt=0),
                name="webhook_deliveries_failing",
            ),
            models.Index(fields=["endpoint", "-position"], name="webhook_deliveries_log"),
            models.Index(fields=["finished_at"], condition=Q(finished_at__isnull=False), name="webhook_deliveries_old"),
        ]

    def __str__(self) -> str:
        return f"{self.event_id} to {self.endpoint_id}"


class WebhookAttempt(models.Model):
    """One try: what came back, or why nothing did. ``excerpt`` is the beginning of the answer's body."""

    organization = models.ForeignKey(Organization, on_delete=models.PROTECT, related_name="+", db_index=False)
    delivery = models.ForeignKey(WebhookDelivery, on_delete=models.PROTECT, related_name="log", db_index=False)
    number = models.PositiveIntegerField()
    started_at = models.DateTimeField()
    duration_ms = models.PositiveIntegerField()
    status_code = models.PositiveSmallIntegerField(null=True)
    # "" where the answer was 2xx.
    error = models.CharField(max_length=30, blank=True)
    excerpt = models.CharField(max_length=500, blank=True)

    class Meta:
        db_table = "webhook_attempts"
        constraints = [models.UniqueConstraint(fields=["delivery", "number"], name="webhook_attempts_numbered")]
        indexes = [models.Index(fields=["started_at"], name="webhook_attempts_old")]

    def __str__(self) -> str:
        return f"attempt {self.number}: {self.error or self.status_code}"
