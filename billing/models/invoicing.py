"""Invoices: derived while a draft, frozen once issued."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from billing.kernel.ids import new_id
from billing.models.accounts import Organization
from billing.models.catalog import QUANTITY, RATE, Meter, Plan
from billing.models.metering import SUM
from billing.models.profiles import TAX_RATE
from billing.models.subscriptions import Subscription, SubscriptionPeriod


class InvoiceKind(models.TextChoices):
    CYCLE = "cycle"
    CHANGE = "change"
    # Credits, ordered and paid in advance. Bills no period: it starts and ends in the instant of the order.
    PURCHASE = "purchase"
    FINAL = "final"


class InvoiceStatus(models.TextChoices):
    DRAFT = "draft"
    ISSUED = "issued"
    PAID = "paid"
    VOID = "void"
    UNCOLLECTIBLE = "uncollectible"


class Invoice(models.Model):
    """One bill. ``(subscription, kind, occurrence)`` is unique among those not void, so drafting twice finds the first.

    ``issuer`` and ``customer`` are copied in at issue; from then on triggers refuse a change of anything but the
    status.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    organization = models.ForeignKey(Organization, on_delete=models.PROTECT, related_name="invoices")
    subscription = models.ForeignKey(Subscription, on_delete=models.PROTECT, related_name="invoices")
    period = models.ForeignKey(SubscriptionPeriod, on_delete=models.PROTECT, related_name="invoices", null=True)
    kind = models.CharField(max_length=10, choices=InvoiceKind.choices)
    occurrence = models.PositiveIntegerField()
    status = models.CharField(max_length=15, choices=InvoiceStatus.choices, default=InvoiceStatus.DRAFT)
    number = models.CharField(max_length=100, null=True, blank=True, unique=True)
    currency = models.CharField(max_length=3)
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField()
    subtotal_minor = models.BigIntegerField(default=0)
    tax_minor = models.BigIntegerField(default=0)
    total_minor = models.BigIntegerField(default=0)
    issuer = models.JSONField(default=dict)
    customer = models.JSONField(default=dict)
    drafted_at = models.DateTimeField()
    issued_at = models.DateTimeField(null=True, blank=True)
    due_on = models.DateField(null=True, blank=True)
    # When a draft is issued by itself; null once it is issued, and for one that waits for a human: held by somebody,
    # or parked because something about it is odd.
    issue_due_at = models.DateTimeField(null=True, blank=True)
    held_at = models.DateTimeField(null=True, blank=True)
    parked_at = models.DateTimeField(null=True, blank=True)
    parked_reason = models.CharField(max_length=500, blank=True)

    class Meta:
        db_table = "marketplace_invoices"
        constraints = [
            models.UniqueConstraint(
                fields=["subscription", "kind", "occurrence"],
                condition=~Q(status="void"),
                name="invoices_once_per_occurrence",
            ),
            models.CheckConstraint(condition=Q(status__in=InvoiceStatus.values), name="invoices_status_known"),
            models.CheckConstraint(
                condition=Q(status="draft", number__isnull=True, issued_at__isnull=True)
                | Q(status="void")
                | (~Q(status__in=["draft", "void"]) & Q(number__isnull=False, issued_at__isnull=False)),
                name="invoices_numbered_when_issued",
            ),
            models.CheckConstraint(
                condition=Q(total_minor=models.F("subtotal_minor") + models.F("tax_minor")), name="invoices_total"
            ),
            models.CheckConstraint(
                condition=Q(issue_due_at__isnull=True)
                | Q(status="draft", held_at__isnull=True, parked_at__isnull=True),
                name="invoices_due_while_draft",
            ),
            # A purchase, and nothing else, bills no period.
            models.CheckConstraint(
                condition=Q(kind="purchase", period__isnull=True, starts_at=models.F("ends_at"))
                | (~Q(kind="purchase") & Q(period__isnull=False)),
                name="invoices_period_unless_purchase",
            ),
        ]
        indexes = [
            models.Index(fields=["organization", "-drafted_at"], name="invoices_by_organization"),
            models.Index(
                fields=["issue_due_at"], condition=Q(issue_due_at__isnull=False), name="invoices_by_issue_due"
            ),
            # What the desk starts with: drafts that wait for somebody, what is overdue, what was billed by month.
            models.Index(
                fields=["organization", "drafted_at"],
                condition=Q(status="draft", issue_due_at__isnull=True),
                name="invoices_waiting",
            ),
            models.Index(fields=["due_on"], condition=Q(status="issued"), name="invoices_by_due_on"),
            models.Index(fields=["issued_at"], condition=Q(issued_at__isnull=False), name="invoices_by_issued_at"),
        ]

    def __str__(self) -> str:
        return self.number or f"draft {self.id}"


class LineCharge(models.TextChoices):
    BASE = "base"
    OVERAGE = "overage"
    # The flat fee of a tier that the use reached.
    FLAT = "flat"
    CREDITS = "credits"
    # What fees and use miss to the plan's minimum.
    MINIMUM = "minimum"
    # What a coupon takes off.
    DISCOUNT = "discount"
    # Credits paid in advance, granted with the payment.
    PURCHASE = "purchase"


class InvoiceLine(models.Model):
    """One charge for one service period, rounded once. ``details`` holds, as strings, what the amount was made from."""

    organization = models.ForeignKey(Organization, on_delete=models.PROTECT, related_name="+", db_index=False)
    invoice = models.ForeignKey(Invoice, on_delete=models.CASCADE, related_name="lines")
    position = models.PositiveIntegerField()
    charge = models.CharField(max_length=10, choices=LineCharge.choices)
    description = models.CharField(max_length=300)
    plan = models.ForeignKey(Plan, on_delete=models.PROTECT, related_name="+", db_index=False)
    meter = models.ForeignKey(
        Meter, on_delete=models.PROTECT, related_name="+", db_column="meter", null=True, db_index=False
    )
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField()
    quantity = models.DecimalField(**SUM)
    rate = models.DecimalField(**RATE)
    per = models.DecimalField(**QUANTITY, default=1)
    amount_minor = models.BigIntegerField()
    # Per cent, and what it comes to: on top of the amount, or contained in it.
    tax_rate = models.DecimalField(**TAX_RATE, default=0)
    tax_included = models.BooleanField(default=False)
    tax_minor = models.BigIntegerField(default=0)
    details = models.JSONField(default=dict)

    class Meta:
        db_table = "marketplace_invoice_lines"
        ordering = ["position"]
        constraints = [models.UniqueConstraint(fields=["invoice", "position"], name="invoice_lines_position")]

    def __str__(self) -> str:
        return f"{self.description}: {self.amount_minor}"

    @property
    def net_minor(self) -> int:
        return self.amount_minor - (self.tax_minor if self.tax_included else 0)


class DocumentCounter(models.Model):
    """Last number given per issuer, kind of document, year and series: a locked row, because a sequence leaves gaps
    when a transaction rolls back."""

    issuer = models.CharField(max_length=60)
    document = models.CharField(max_length=20)
    year = models.PositiveSmallIntegerField()
    # Empty for the real books; a sandbox organization numbers in a series of its own.
    series = models.CharField(max_length=60, blank=True)
    last = models.PositiveIntegerField(default=0)

    class Meta:
        db_table = "billing_document_counters"
        constraints = [
            models.UniqueConstraint(fields=["issuer", "document", "year", "series"], name="document_counters_identity")
        ]

    def __str__(self) -> str:
        return f"{self.document} {self.year}: {self.last}"
