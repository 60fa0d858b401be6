"""Prepaid credits: the account, the grants that fill it, and the ledger of every movement."""

from __future__ import annotations

from django.contrib.postgres.indexes import BrinIndex
from django.db import models
from django.db.models import F, Q

from billing.kernel.ids import new_id
from billing.models.accounts import Organization
from billing.models.catalog import QUANTITY
from billing.models.subscriptions import Subscription, SubscriptionPeriod


class Notice(models.IntegerChoices):
    """What an account's owner was told of credits that run out, each including the one before."""

    NOTHING = 0
    LOW = 1
    EXHAUSTED = 2


class MarketplaceSubscription(models.Model):
    """The shop's side of a subscription, 1:1: what was accepted, and the credit account.

    ``credit_balance`` = Σ ledger entries = Σ remaining of the account's grants. ``entries`` counts the ledger's rows
    and numbers the next one. ``filled`` is what could be spent when credits were last added, and ``told`` the notice
    given since: each is given once until credits are added again.
    """

    subscription = models.OneToOneField(
        Subscription, on_delete=models.PROTECT, primary_key=True, related_name="marketplace"
    )
    organization = models.ForeignKey(Organization, on_delete=models.PROTECT, related_name="+")
    sla_acceptance = models.JSONField(null=True, blank=True)
    credit_balance = models.DecimalField(**QUANTITY, default=0)
    entries = models.BigIntegerField(default=0)
    filled = models.DecimalField(**QUANTITY, default=0)
    told = models.SmallIntegerField(default=Notice.NOTHING, choices=Notice.choices)

    class Meta:
        db_table = "marketplace_subscriptions"
        constraints = [models.CheckConstraint(condition=Q(credit_balance__gte=0), name="credit_balance_not_negative")]

    def __str__(self) -> str:
        return f"{self.subscription_id}: {self.credit_balance} credits"


class GrantKind(models.TextChoices):
    ALLOWANCE = "allowance"
    PROMOTION = "promotion"
    ADJUSTMENT = "adjustment"
    PURCHASE = "purchase"


# Smaller drains first: what expires soonest and cost nothing before what was paid for.
DEFAULT_PRIORITY = {
    GrantKind.ALLOWANCE: 10,
    GrantKind.PROMOTION: 20,
    GrantKind.ADJUSTMENT: 30,
    GrantKind.PURCHASE: 40,
}


class CreditGrant(models.Model):
    """Credits from one source. Always granted = consumed + expired + voided + remaining.

    Spendable for an event if ``starts_at <= occurred_at < expires_at``, whether or not a sweep has run since.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    organization = models.ForeignKey(Organization, on_delete=models.PROTECT, related_name="+", db_index=False)
    account = models.ForeignKey(
        MarketplaceSubscription, on_delete=models.PROTECT, related_name="grants", db_column="subscription_id"
    )
    kind = models.CharField(max_length=12, choices=GrantKind.choices)
    priority = models.SmallIntegerField()
    starts_at = models.DateTimeField()
    expires_at = models.DateTimeField(null=True, blank=True)
    granted = models.DecimalField(**QUANTITY)
    consumed = models.DecimalField(**QUANTITY, default=0)
    expired = models.DecimalField(**QUANTITY, default=0)
    voided = models.DecimalField(**QUANTITY, default=0)
    remaining = models.DecimalField(**QUANTITY)
    # For the index of open grants: a condition on ``remaining`` itself would be an index on it to PostgreSQL, and each
    # debit would move the row and write all of its indexes.
    is_open = models.GeneratedField(
        expression=models.ExpressionWrapper(Q(remaining__gt=0), output_field=models.BooleanField()),
        output_field=models.BooleanField(),
        db_persist=True,
    )
    # What makes "this period's allowance" or "this plan change's top-up" happen once; null for manual grants.
    cause = models.CharField(max_length=120, null=True, blank=True)
    period = models.ForeignKey(
        SubscriptionPeriod, on_delete=models.PROTECT, related_name="+", null=True, blank=True, db_index=False
    )
    reason = models.CharField(max_length=500, blank=True)
    voided_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        db_table = "marketplace_credit_grants"
        constraints = [
            models.UniqueConstraint(fields=["organization", "account", "cause"], name="credit_grants_once_per_cause"),
            models.CheckConstraint(
                condition=Q(granted=F("consumed") + F("expired") + F("voided") + F("remaining")),
                name="credit_grants_add_up",
            ),
            models.CheckConstraint(
                condition=Q(granted__gt=0, consumed__gte=0, expired__gte=0, voided__gte=0, remaining__gte=0),
                name="credit_grants_not_negative",
            ),
            models.CheckConstraint(
                condition=Q(expires_at__isnull=True) | Q(expires_at__gt=F("starts_at")), name="credit_grants_forward"
            ),
        ]
        indexes = [
            # The open grants of an account: few, whatever the history.
            models.Index(fields=["organization", "account"], condition=Q(is_open=True), name="credit_grants_open"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.remaining}/{self.granted}"


class EntryKind(models.TextChoices):
    GRANT = "grant"
    DEBIT = "debit"
    ADJUSTMENT = "adjustment"
    EXPIRY = "expiry"
    REVERSAL = "reversal"
    VOID = "void"
    TRANSFER = "transfer"


class CreditEntry(models.Model):
    """One movement of one grant, in order of ``sequence`` within its account. Immutable, like usage events."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    organization = models.ForeignKey(
        Organization, on_delete=models.PROTECT, related_name="+", db_constraint=False, db_index=False
    )
    account = models.ForeignKey(
        MarketplaceSubscription,
        on_delete=models.PROTECT,
        related_name="ledger",
        db_column="subscription_id",
        db_constraint=False,
        db_index=False,
    )
    sequence = models.BigIntegerField()
    kind = models.CharField(max_length=12, choices=EntryKind.choices)
    amount = models.DecimalField(**QUANTITY)
    balance_after = models.DecimalField(**QUANTITY)
    grant = models.ForeignKey(
        CreditGrant, on_delete=models.PROTECT, related_name="movements", db_constraint=False, db_index=False
    )
    event_id = models.UUIDField(null=True, blank=True)
    actor = models.CharField(max_length=120, blank=True)
    reason = models.CharField(max_length=500, blank=True)
    booked_at = models.DateTimeField()

    class Meta:
        db_table = "marketplace_credit_ledger"
        constraints = [
            models.UniqueConstraint(fields=["organization", "account", "sequence"], name="credit_ledger_sequence"),
            models.CheckConstraint(condition=~Q(amount=0) & Q(balance_after__gte=0), name="credit_ledger_sane"),
        ]
        indexes = [
            # Which grants paid an event. Ids of events grow with time as the table does, so ranges of pages will do,
            # and cost an insert next to nothing.
            BrinIndex(fields=["event_id"], autosummarize=True, pages_per_range=16, name="credit_ledger_events"),
        ]

    def __str__(self) -> str:
        return f"{self.sequence} {self.kind} {self.amount}"


class CreditSeal(models.Model):
    """The ledger's hash chain: ``digest`` covers an entry and, by the seal before it, all earlier ones of its account.

    Written off the hot path by ``credits.sealing``. Immutable, like what it seals.
    """

    organization = models.ForeignKey(
        Organization, on_delete=models.PROTECT, related_name="+", db_constraint=False, db_index=False
    )
    account = models.ForeignKey(
        MarketplaceSubscription,
        on_delete=models.PROTECT,
        related_name="+",
        db_column="subscription_id",
        db_constraint=False,
        db_index=False,
    )
    sequence = models.BigIntegerField()
    digest = models.BinaryField(max_length=32)

    class Meta:
        db_table = "marketplace_credit_seals"
        constraints = [
            models.UniqueConstraint(fields=["organization", "account", "sequence"], name="credit_seals_sequence")
        ]

    def __str__(self) -> str:
        return f"{self.account_id} up to {self.sequence}"
