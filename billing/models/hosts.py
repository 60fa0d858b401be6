"""What host products ask and read: placement decisions, and the billing state of a tenant."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q

from billing.kernel.ids import new_id
from billing.models.accounts import Organization


class PolicyDecision(models.Model):
    """One answer to "may this be launched?", with all that explains it later. Immutable.

    ``requirements`` holds, for each thing asked for: what was asked, the answer, the subscription and plan version,
    each limit with its window and its use before the decision, and what would have made it pass. ``decided_at`` is the
    organization's present, ``recorded_at`` real time.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    organization = models.ForeignKey(Organization, on_delete=models.PROTECT, related_name="+", db_index=False)
    actor = models.CharField(max_length=120)
    allowed = models.BooleanField()
    notes = ArrayField(models.CharField(max_length=120), default=list)
    evaluation_required = models.BooleanField()
    governance_required = models.BooleanField()
    # Whether the use was to be counted, if all of it was admitted.
    records = models.BooleanField()
    requirements = models.JSONField(default=list)
    decided_at = models.DateTimeField()
    recorded_at = models.DateTimeField()

    class Meta:
        db_table = "billing_policy_decisions"
        constraints = [
            models.CheckConstraint(
                condition=Q(allowed=True, notes=[], evaluation_required=False, governance_required=False)
                | (Q(allowed=False, evaluation_required=True) & ~Q(notes=[])),
                name="policy_decisions_say_why",
            ),
        ]
        indexes = [models.Index(fields=["organization", "-recorded_at"], name="policy_decisions_by_org")]

    def __str__(self) -> str:
        return f"{self.organization_id} {'allowed' if self.allowed else 'blocked'}"


class TenantBillingState(models.Model):
    """A database view: one row for each organization, of its subscription of the product ``platform``.

    ``subscription_status`` is ``none`` where there never was one. ``renewal_date`` is the day, in the organization's
    zone, on which the next period begins; null where none will. ``usage_counters`` is
    ``{event: {"total": "12", "months": {"2026-01": "3"}}}`` over all subscriptions.
    """

    organization = models.OneToOneField(
        Organization, on_delete=models.DO_NOTHING, primary_key=True, db_column="tenant_id", related_name="+"
    )
    plan_code = models.CharField(max_length=60, null=True)
    subscription_status = models.CharField(max_length=12)
    renewal_date = models.DateField(null=True)
    usage_counters = models.JSONField()

    class Meta:
        db_table = "tenant_billing_state"
        managed = False

    def __str__(self) -> str:
        return f"{self.plan_code} {self.subscription_status}"
