"""Whom invoices of an organization are made out to, and how they are taxed."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.db.models import Q

from billing.models.accounts import Organization

# Per cent.
TAX_RATE: dict[str, Any] = {"max_digits": 6, "decimal_places": 3}


class TaxTreatment(models.TextChoices):
    NONE = "none"
    # On top of the prices, or contained in them.
    EXCLUSIVE = "exclusive"
    INCLUSIVE = "inclusive"
    EXEMPT = "exempt"
    # The customer owes the tax; the document has to say so.
    REVERSE_CHARGE = "reverse_charge"


class CollectionMethod(models.TextChoices):
    # Charged through the provider when it is issued, or sent and paid by the due date.
    AUTOMATIC = "automatic"
    MANUAL = "manual"


class BillingProfile(models.Model):
    """Copied into an invoice when that is issued; drafts follow it. Without a profile nothing is taxed."""

    organization = models.OneToOneField(
        Organization, on_delete=models.PROTECT, primary_key=True, related_name="billing_profile"
    )
    legal_name = models.CharField(max_length=200, blank=True)
    # Lines apart by line feeds.
    address = models.CharField(max_length=700, blank=True)
    country = models.CharField(max_length=2, blank=True)
    vat_number = models.CharField(max_length=30, blank=True)
    purchase_order = models.CharField(max_length=60, blank=True)
    tax_treatment = models.CharField(max_length=15, choices=TaxTreatment.choices, default=TaxTreatment.NONE)
    tax_rate = models.DecimalField(**TAX_RATE, default=0)
    tax_label = models.CharField(max_length=40, blank=True)
    # Why nothing is taxed, as the document says it.
    tax_note = models.CharField(max_length=300, blank=True)
    payment_terms_days = models.PositiveSmallIntegerField(null=True, blank=True)
    collection = models.CharField(
        max_length=10, choices=CollectionMethod.choices, default=CollectionMethod.MANUAL, db_default="manual"
    )
    updated_at = models.DateTimeField()

    class Meta:
        db_table = "organization_billing_profiles"
        constraints = [
            models.CheckConstraint(
                condition=Q(tax_treatment__in=["exclusive", "inclusive"], tax_rate__gt=0, tax_rate__lte=100)
                | Q(tax_treatment__in=["none", "exempt", "reverse_charge"], tax_rate=0),
                name="billing_profiles_rate_where_taxed",
            ),
            models.CheckConstraint(
                condition=Q(collection__in=CollectionMethod.values), name="billing_profiles_collection_known"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.legal_name} {self.tax_treatment}"
