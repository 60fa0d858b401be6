"""What waits for the word of a second person."""

from __future__ import annotations

from django.db import models
from django.db.models import F, Q

from billing.kernel.ids import new_id
from billing.models.accounts import Organization
from billing.models.catalog import QUANTITY
from billing.models.credits import GrantKind
from billing.models.subscriptions import Subscription


class RequestStatus(models.TextChoices):
    WAITING = "waiting"
    APPROVED = "approved"
    REJECTED = "rejected"


class CreditRequest(models.Model):
    """Credits that somebody wants to give (or, below zero, take): nothing is booked before another one approves.

    One that still waits at ``lapses_at`` can be decided no more. Evidence: triggers refuse every change but the one
    decision.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    organization = models.ForeignKey(Organization, on_delete=models.PROTECT, related_name="+", db_index=False)
    subscription = models.ForeignKey(Subscription, on_delete=models.PROTECT, related_name="credit_requests")
    kind = models.CharField(max_length=12, choices=GrantKind.choices)
    credits = models.DecimalField(**QUANTITY)
    expires_at = models.DateTimeField(null=True, blank=True)
    reason = models.CharField(max_length=500)
    requested_by = models.CharField(max_length=120)
    requested_at = models.DateTimeField()
    lapses_at = models.DateTimeField()
    status = models.CharField(max_length=10, choices=RequestStatus.choices, default=RequestStatus.WAITING)
    decided_by = models.CharField(max_length=120, blank=True)
    decided_at = models.DateTimeField(null=True, blank=True)
    # Why it was rejected.
    decision = models.CharField(max_length=500, blank=True)

    class Meta:
        db_table = "billing_credit_requests"
        constraints = [
            models.CheckConstraint(condition=~Q(credits=0) & ~Q(reason=""), name="credit_requests_say_what_and_why"),
            models.CheckConstraint(condition=Q(lapses_at__gt=F("requested_at")), name="credit_requests_forward"),
            models.CheckConstraint(
                condition=Q(status="waiting", decided_by="", decided_at__isnull=True)
                | (Q(status__in=["approved", "rejected"], decided_at__isnull=False) & ~Q(decided_by="")),
                name="credit_requests_decided_by_somebody",
            ),
            models.CheckConstraint(
                condition=~Q(status="approved") | ~Q(decided_by=F("requested_by")),
                name="credit_requests_approved_by_another",
            ),
            models.CheckConstraint(
                condition=~Q(status="rejected") | ~Q(decision=""), name="credit_requests_rejected_for_a_reason"
            ),
        ]
        indexes = [
            models.Index(fields=["organization", "-requested_at"], name="credit_requests_by_org"),
            models.Index(fields=["lapses_at"], condition=Q(status="waiting"), name="credit_requests_waiting"),
        ]

    def __str__(self) -> str:
        return f"{self.credits.normalize():f} credits for {self.organization_id}"
