"""What happens to an invoice once it is issued: money that came and went. All rows here are append-only."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from billing.kernel.ids import new_id
from billing.models.accounts import Organization
from billing.models.invoicing import Invoice


class PaymentKind(models.TextChoices):
    PAYMENT = "payment"
    REFUND = "refund"


class Payment(models.Model):
    """Money received for an invoice or given back, told once per ``(provider, reference)``. Immutable."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    organization = models.ForeignKey(Organization, on_delete=models.PROTECT, related_name="+", db_index=False)
    invoice = models.ForeignKey(Invoice, on_delete=models.PROTECT, related_name="payments")
    kind = models.CharField(max_length=10, choices=PaymentKind.choices)
    # Always positive; the kind says which way it went.
    amount_minor = models.BigIntegerField()
    provider = models.CharField(max_length=40)
    method = models.CharField(max_length=40)
    reference = models.CharField(max_length=200)
    reason = models.CharField(max_length=500, blank=True)
    actor = models.CharField(max_length=120)
    received_at = models.DateTimeField()
    booked_at = models.DateTimeField()

    class Meta:
        db_table = "marketplace_payments"
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(fields=["provider", "reference"], name="payments_once_per_reference"),
            models.CheckConstraint(condition=Q(amount_minor__gt=0), name="payments_positive"),
            models.CheckConstraint(condition=Q(kind__in=PaymentKind.values), name="payments_kind_known"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.reference}: {self.amount_minor}"
