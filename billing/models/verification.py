"""What verifying leaves behind: digests of what cannot change any more, and how each invariant stood last."""

from __future__ import annotations

from django.db import models

from billing.models.accounts import Organization
from billing.models.subscriptions import Subscription, SubscriptionPeriod


class DocumentSeal(models.Model):
    """The digest of a document as it was issued: an invoice or a credit note, with its lines. Immutable, as it is.

    Written in the transaction that issues it, by the database's own ``billing_invoice_digest`` and
    ``billing_credit_note_digest``, which also verify it.
    """

    document_id = models.UUIDField(primary_key=True)
    organization = models.ForeignKey(Organization, on_delete=models.PROTECT, related_name="+", db_index=False)
    # "invoice" or "credit_note", as their numbers are counted.
    document = models.CharField(max_length=20)
    digest = models.BinaryField(max_length=32)

    class Meta:
        db_table = "billing_document_seals"

    def __str__(self) -> str:
        return f"{self.document} {self.document_id}"


class UseSeal(models.Model):
    """The digest of all use that was told of one period, made when no more could be told and the books were sound.

    What reversals and cleared debits add later is not in it: they name what is. Immutable.
    """

    period = models.OneToOneField(SubscriptionPeriod, on_delete=models.PROTECT, primary_key=True, related_name="+")
    organization = models.ForeignKey(Organization, on_delete=models.PROTECT, related_name="+", db_index=False)
    subscription = models.ForeignKey(Subscription, on_delete=models.PROTECT, related_name="+")
    events = models.BigIntegerField()
    digest = models.BinaryField(max_length=32)
    sealed_at = models.DateTimeField()

    class Meta:
        db_table = "billing_use_seals"

    def __str__(self) -> str:
        return f"{self.events} events of {self.period_id}"


class InvariantResult(models.Model):
    """How one invariant stood when it was last asked of all books. ``rows`` are the first of those that broke it."""

    name = models.CharField(primary_key=True, max_length=60)
    verified_at = models.DateTimeField()
    # Whether all was asked, or only what is open: then what was sealed is left to its digests.
    is_whole = models.BooleanField()
    violations = models.PositiveIntegerField()
    rows = models.JSONField()
    duration_ms = models.PositiveIntegerField()

    class Meta:
        db_table = "billing_invariant_results"

    def __str__(self) -> str:
        return f"{self.name}: {self.violations}"
