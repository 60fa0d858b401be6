"""Quota kept for work whose size is known only when it is done."""

from __future__ import annotations

from django.db import models
from django.db.models import F, Q

from billing.kernel.ids import new_id
from billing.models.accounts import Organization
from billing.models.catalog import QUANTITY, Meter
from billing.models.credits import CreditGrant
from billing.models.subscriptions import Subscription


class ReservationStatus(models.TextChoices):
    OPEN = "open"
    SETTLED = "settled"
    RELEASED = "released"
    EXPIRED = "expired"


class UsageReservation(models.Model):
    """``quantity`` of a meter, kept in the windows of ``reserved_at`` until it is settled, released or expires.

    It expires by being older than ``expires_at``: no job has to come by, and until one does the status still says open.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    organization = models.ForeignKey(Organization, on_delete=models.PROTECT, related_name="+", db_index=False)
    subscription = models.ForeignKey(Subscription, on_delete=models.PROTECT, related_name="+", db_index=False)
    meter = models.ForeignKey(Meter, on_delete=models.PROTECT, related_name="+", db_column="meter", db_index=False)
    quantity = models.DecimalField(**QUANTITY)
    # The most that it may be settled with.
    quantity_max = models.DecimalField(**QUANTITY)
    key = models.CharField(max_length=200)
    fingerprint = models.BinaryField(max_length=32)
    service = models.CharField(max_length=60, blank=True)
    status = models.CharField(max_length=10, choices=ReservationStatus.choices, default=ReservationStatus.OPEN)
    reserved_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)
    settled_quantity = models.DecimalField(**QUANTITY, null=True, blank=True)
    event_id = models.UUIDField(null=True, blank=True)

    class Meta:
        db_table = "usage_reservations"
        constraints = [
            models.UniqueConstraint(fields=["organization", "key"], name="usage_reservations_identity"),
            models.CheckConstraint(
                condition=Q(quantity__gt=0, quantity_max__gte=F("quantity"), expires_at__gt=F("reserved_at")),
                name="usage_reservations_sane",
            ),
            models.CheckConstraint(
                condition=Q(status__in=["open", "expired"], settled_quantity__isnull=True, event_id__isnull=True)
                | Q(status="released", ended_at__isnull=False, settled_quantity__isnull=True, event_id__isnull=True)
                | Q(status="settled", ended_at__isnull=False, settled_quantity__isnull=False, event_id__isnull=False),
                name="usage_reservations_ended",
            ),
        ]
        indexes = [
            models.Index(fields=["organization", "expires_at"], condition=Q(status="open"), name="reservations_open"),
            models.Index(fields=["organization", "-id"], name="reservations_by_organization"),
        ]

    def __str__(self) -> str:
        return f"{self.meter_id} {self.quantity} {self.status}"


class ReservationCredits(models.Model):
    """What a reservation keeps of one grant: its receipt."""

    reservation = models.ForeignKey(UsageReservation, on_delete=models.CASCADE, related_name="credits")
    grant = models.ForeignKey(CreditGrant, on_delete=models.PROTECT, related_name="+")
    credits = models.DecimalField(**QUANTITY)

    class Meta:
        db_table = "usage_reservation_credits"
        constraints = [
            models.UniqueConstraint(fields=["reservation", "grant"], name="reservation_credits_once"),
            models.CheckConstraint(condition=Q(credits__gt=0), name="reservation_credits_positive"),
        ]

    def __str__(self) -> str:
        return f"{self.credits} of {self.grant_id}"
