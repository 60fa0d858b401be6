"""E-mail that is to be sent, was sent, or was not, and why."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from billing.kernel.ids import new_id
from billing.models.accounts import Organization
from billing.models.invoicing import Invoice


class MailStatus(models.TextChoices):
    PENDING = "pending"
    SENT = "sent"
    SKIPPED = "skipped"
    PARKED = "parked"


class Mail(models.Model):
    """One message, written in the transaction of what it tells of. ``about`` names that, so it is told once.

    ``facts`` is what the text is made from, as it was then. ``created_at`` is the organization's time; the other
    instants are real time. ``next_attempt_at`` null means at once.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    organization = models.ForeignKey(Organization, on_delete=models.PROTECT, related_name="mails", db_index=False)
    kind = models.CharField(max_length=40)
    about = models.CharField(max_length=80)
    invoice = models.ForeignKey(Invoice, on_delete=models.PROTECT, related_name="mails", null=True)
    to = models.CharField(max_length=254, blank=True)
    facts = models.JSONField(default=dict)
    status = models.CharField(max_length=10, choices=MailStatus.choices, default=MailStatus.PENDING)
    # Why it is skipped or parked.
    reason = models.CharField(max_length=300, blank=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    next_attempt_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField()
    sent_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "billing_mails"
        constraints = [
            models.UniqueConstraint(fields=["organization", "kind", "about"], name="mails_once"),
            models.CheckConstraint(
                condition=(~Q(status="sent") & Q(sent_at__isnull=True))
                | (Q(status="sent", sent_at__isnull=False) & ~Q(to="")),
                name="mails_sent_to_somebody",
            ),
            models.CheckConstraint(
                condition=~Q(status__in=["skipped", "parked"]) | ~Q(reason=""), name="mails_withheld_for_a_reason"
            ),
            models.CheckConstraint(condition=~Q(status="pending") | ~Q(to=""), name="mails_pending_to_somebody"),
        ]
        indexes = [
            models.Index(fields=["next_attempt_at"], condition=Q(status="pending"), name="mails_due"),
            models.Index(fields=["organization", "-created_at"], name="mails_by_organization"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.about}: {self.status}"
