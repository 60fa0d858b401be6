"""Credits that a customer ordered: paid for before they are granted."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from billing.kernel.ids import new_id
from billing.models.accounts import Organization
from billing.models.catalog import QUANTITY
from billing.models.invoicing import Invoice
from billing.models.subscriptions import Subscription


class CreditPurchase(models.Model):
    """An order of credits. Its invoice says how it stands: a draft waits to be paid, a void one was withdrawn, and any
    other was paid, whatever became of the money since.

    ``key`` names the order for ever, so that a form that is sent twice is one order. ``lapses_at`` is when an order
    that nobody paid is withdrawn; null once it is paid or withdrawn.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    organization = models.ForeignKey(
        Organization, on_delete=models.PROTECT, related_name="credit_purchases", db_index=False
    )
    subscription = models.ForeignKey(Subscription, on_delete=models.PROTECT, related_name="+", db_index=False)
    invoice = models.OneToOneField(Invoice, on_delete=models.PROTECT, related_name="purchase")
    key = models.CharField(max_length=200)
    credits = models.DecimalField(**QUANTITY)
    ordered_by = models.CharField(max_length=120)
    ordered_at = models.DateTimeField()
    lapses_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "marketplace_credit_purchases"
        constraints = [
            models.UniqueConstraint(fields=["organization", "key"], name="credit_purchases_once_per_key"),
            models.CheckConstraint(condition=Q(credits__gt=0), name="credit_purchases_positive"),
        ]
        indexes = [
            models.Index(fields=["organization", "-ordered_at", "-id"], name="credit_purchases_by_time"),
            models.Index(fields=["lapses_at"], condition=Q(lapses_at__isnull=False), name="credit_purchases_by_lapse"),
        ]

    def __str__(self) -> str:
        return f"{self.credits} credits"

    @property
    def cause(self) -> str:
        """What names its grant, which is made once."""
        return f"purchase:{self.id}"
