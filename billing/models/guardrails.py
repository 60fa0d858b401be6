"""Debits that wait: what held use would cost, and what became of it."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q

from billing.models.accounts import Organization
from billing.models.catalog import QUANTITY
from billing.models.metering import UsageEvent
from billing.models.subscriptions import Subscription


class UsageDebitHold(models.Model):
    """The debit of one use that waits until somebody clears it. Immutable, as its event is: triggers refuse changes.

    The event counts in its windows and costs nothing. ``overage`` and ``credits_due`` are what it would have cost, as
    its units were split when it was admitted.
    """

    event = models.OneToOneField(
        UsageEvent, on_delete=models.PROTECT, primary_key=True, related_name="debit_hold", db_constraint=False
    )
    organization = models.ForeignKey(Organization, on_delete=models.PROTECT, related_name="+", db_index=False)
    subscription = models.ForeignKey(Subscription, on_delete=models.PROTECT, related_name="+", db_index=False)
    # The flags that asked for it.
    flags = ArrayField(models.CharField(max_length=60))
    overage = models.DecimalField(**QUANTITY)
    credits_due = models.DecimalField(**QUANTITY)
    held_at = models.DateTimeField()

    class Meta:
        db_table = "usage_debit_holds"
        constraints = [
            models.CheckConstraint(
                condition=Q(overage__gte=0, credits_due__gte=0) & (Q(overage__gt=0) | Q(credits_due__gt=0)),
                name="debit_holds_cost_something",
            ),
        ]
        indexes = [models.Index(fields=["organization", "event"], name="debit_holds_by_organization")]

    def __str__(self) -> str:
        return str(self.event_id)


class Resolution(models.TextChoices):
    """``CLEARED``: debited. ``REJECTED``: all that was left of the use was taken back."""

    CLEARED = "cleared"
    REJECTED = "rejected"


class UsageDebitResolution(models.Model):
    """What became of a held debit, once and for ever: a hold without such a row is open. Append-only.

    ``quantity`` is what was left of the use at that moment. ``booked`` is the event that debits it, or the reversal
    that took the last of it back; None where nothing was left to debit.
    """

    hold = models.OneToOneField(UsageDebitHold, on_delete=models.PROTECT, primary_key=True, related_name="resolution")
    organization = models.ForeignKey(Organization, on_delete=models.PROTECT, related_name="+", db_index=False)
    state = models.CharField(max_length=10, choices=Resolution.choices)
    quantity = models.DecimalField(**QUANTITY)
    booked = models.ForeignKey(
        UsageEvent, on_delete=models.PROTECT, related_name="+", null=True, db_constraint=False, db_index=False
    )
    actor = models.CharField(max_length=120)
    reason = models.TextField()
    resolved_at = models.DateTimeField()

    class Meta:
        db_table = "usage_debit_resolutions"
        constraints = [
            models.CheckConstraint(condition=Q(state__in=Resolution.values), name="debit_resolutions_state_known"),
        ]

    def __str__(self) -> str:
        return f"{self.hold_id} {self.state}"
