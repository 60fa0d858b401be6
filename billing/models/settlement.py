"""What happens to an invoice once it is issued: money, credit notes, the customer's balance. All append-only."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from billing.kernel.ids import new_id
from billing.models.accounts import Organization
from billing.models.invoicing import Invoice, InvoiceLine
from billing.models.profiles import TAX_RATE


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


class CreditNote(models.Model):
    """Takes back an issued invoice, or a part of it. A document with a number of its own; immutable from the start."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    organization = models.ForeignKey(Organization, on_delete=models.PROTECT, related_name="credit_notes")
    invoice = models.ForeignKey(Invoice, on_delete=models.PROTECT, related_name="credit_notes")
    number = models.CharField(max_length=100, unique=True)
    currency = models.CharField(max_length=3)
    subtotal_minor = models.BigIntegerField()
    tax_minor = models.BigIntegerField()
    total_minor = models.BigIntegerField()
    reason = models.CharField(max_length=500)
    issuer = models.JSONField()
    customer = models.JSONField()
    actor = models.CharField(max_length=120)
    issued_at = models.DateTimeField()

    class Meta:
        db_table = "marketplace_credit_notes"
        ordering = ["id"]
        constraints = [
            models.CheckConstraint(
                condition=Q(total_minor=models.F("subtotal_minor") + models.F("tax_minor")) & Q(total_minor__gt=0),
                name="credit_notes_total",
            ),
        ]

    def __str__(self) -> str:
        return self.number


class CreditNoteLine(models.Model):
    """What is taken back of one line of the invoice; ``amount_minor`` has the meaning, and the sign, that it has
    there."""

    organization = models.ForeignKey(Organization, on_delete=models.PROTECT, related_name="+", db_index=False)
    credit_note = models.ForeignKey(CreditNote, on_delete=models.PROTECT, related_name="lines")
    invoice_line = models.ForeignKey(InvoiceLine, on_delete=models.PROTECT, related_name="credits")
    position = models.PositiveIntegerField()
    amount_minor = models.BigIntegerField()
    tax_rate = models.DecimalField(**TAX_RATE, default=0)
    tax_included = models.BooleanField(default=False)
    tax_minor = models.BigIntegerField(default=0)

    class Meta:
        db_table = "marketplace_credit_note_lines"
        ordering = ["position"]
        constraints = [
            models.UniqueConstraint(fields=["credit_note", "position"], name="credit_note_lines_position"),
            models.UniqueConstraint(fields=["credit_note", "invoice_line"], name="credit_note_lines_once"),
        ]

    def __str__(self) -> str:
        return f"{self.invoice_line_id}: {self.amount_minor}"


class BalanceKind(models.TextChoices):
    CREDITED = "credited"
    INVOICE = "invoice"
    APPLIED = "applied"
    RETURNED = "returned"
    # A provider took more than was left to pay.
    OVERPAID = "overpaid"
    PAYOUT = "payout"
    RECEIVED = "received"


class BalanceEntry(models.Model):
    """One movement of an organization's money balance in one currency, in order of ``sequence``. Immutable.

    ``payment`` is the other side of it: what an invoice gave to the balance or took from it. A payout, and money
    received for no invoice, have a provider and a reference instead.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    organization = models.ForeignKey(Organization, on_delete=models.PROTECT, related_name="+", db_index=False)
    currency = models.CharField(max_length=3)
    sequence = models.BigIntegerField()
    kind = models.CharField(max_length=10, choices=BalanceKind.choices)
    amount_minor = models.BigIntegerField()
    balance_after_minor = models.BigIntegerField()
    payment = models.OneToOneField(Payment, on_delete=models.PROTECT, related_name="balance_entry", null=True)
    provider = models.CharField(max_length=40, null=True)
    reference = models.CharField(max_length=200, null=True)
    reason = models.CharField(max_length=500, blank=True)
    actor = models.CharField(max_length=120)
    booked_at = models.DateTimeField()

    class Meta:
        db_table = "billing_balance_entries"
        constraints = [
            models.UniqueConstraint(fields=["organization", "currency", "sequence"], name="balance_entries_sequence"),
            models.UniqueConstraint(fields=["provider", "reference"], name="balance_entries_once_per_reference"),
            models.CheckConstraint(
                condition=~Q(amount_minor=0) & Q(balance_after_minor__gte=0), name="balance_entries_sane"
            ),
            models.CheckConstraint(
                condition=Q(
                    kind__in=["payout", "received"],
                    payment__isnull=True,
                    provider__isnull=False,
                    reference__isnull=False,
                )
                | (
                    ~Q(kind__in=["payout", "received"])
                    & Q(payment__isnull=False, provider__isnull=True, reference__isnull=True)
                ),
                name="balance_entries_other_side",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.sequence} {self.kind} {self.amount_minor}"
