"""Rows that serve every domain: evidence of who did what, messages to send, answers already given."""

from __future__ import annotations

from django.db import models
from django.db.models import Func, Q, Value

from billing.kernel.ids import new_id

# A place behind all events so far.
NEXT_POSITION = Func(Value("billing_outbox_position"), function="nextval", output_field=models.BigIntegerField())


class AuditEntry(models.Model):
    """Who did what to which object, when, and why. Immutable. ``recorded_at`` is real time, also for sandboxes."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    organization_id = models.UUIDField(null=True)
    actor = models.CharField(max_length=120)
    act = models.CharField(max_length=60)
    object_type = models.CharField(max_length=40)
    object_id = models.CharField(max_length=60)
    reason = models.CharField(max_length=500, blank=True)
    details = models.JSONField(default=dict)
    recorded_at = models.DateTimeField()

    class Meta:
        db_table = "billing_audit_log"
        indexes = [
            models.Index(fields=["organization_id", "-recorded_at"], name="audit_by_organization"),
            models.Index(fields=["object_type", "object_id"], name="audit_by_object"),
        ]

    def __str__(self) -> str:
        return f"{self.actor} {self.act} {self.object_type} {self.object_id}"


class OutboxEvent(models.Model):
    """A domain event, written in the transaction that caused it: a lost message is found again as a row."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    organization_id = models.UUIDField()
    topic = models.CharField(max_length=60)
    payload = models.JSONField()
    # The order of an organization's events: its writers take turns, and each takes its number while it has the turn.
    # Identifiers of one millisecond, or of two machines, are in no such order.
    position = models.BigIntegerField(db_default=NEXT_POSITION)
    created_at = models.DateTimeField()
    # When every endpoint that wants the event had it in its queue.
    processed_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "billing_outbox"
        indexes = [
            models.Index(fields=["position"], condition=Q(processed_at__isnull=True), name="outbox_undistributed"),
            models.Index(fields=["organization_id", "created_at"], name="outbox_by_organization"),
        ]

    def __str__(self) -> str:
        return self.topic


class IdempotentRequest(models.Model):
    """The first answer to a request that named an ``Idempotency-Key``, per caller. Written with what it answers for."""

    caller = models.CharField(max_length=60)
    key = models.CharField(max_length=200)
    fingerprint = models.BinaryField(max_length=32)
    status = models.PositiveSmallIntegerField()
    body = models.JSONField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        db_table = "billing_idempotent_requests"
        constraints = [models.UniqueConstraint(fields=["caller", "key"], name="idempotent_requests_identity")]

    def __str__(self) -> str:
        return self.key
