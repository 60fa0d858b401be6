"""The host's own tables, in the database that billing is in: that is what lets both commit together."""

from __future__ import annotations

from django.db import models

from billing.kernel.ids import new_id
from billing.models import Organization


class State(models.TextChoices):
    OPEN = "open"
    SUBMITTED = "submitted"
    CLOSED = "closed"


class Case(models.Model):
    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    organization = models.ForeignKey(Organization, on_delete=models.PROTECT, related_name="+")
    # What the customer calls it. Taken twice, the second is refused, and costs nothing.
    reference = models.CharField(max_length=60)
    title = models.CharField(max_length=200)
    state = models.CharField(max_length=10, choices=State.choices, default=State.OPEN)
    # The key of the request that made it: sent again, the request finds the case.
    request_key = models.CharField(max_length=200)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["organization", "reference"], name="casework_reference"),
            models.UniqueConstraint(fields=["organization", "request_key"], name="casework_request"),
        ]

    def __str__(self) -> str:
        return self.reference


class Result(models.Model):
    """What was made of a case: an evaluation, a document, or the outcome of a job."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    case = models.ForeignKey(Case, on_delete=models.PROTECT, related_name="results")
    kind = models.CharField(max_length=40)
    text = models.TextField()
    request_key = models.CharField(max_length=200)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["case", "kind", "request_key"], name="casework_result_once")]

    def __str__(self) -> str:
        return f"{self.kind} of {self.case_id}"
