"""Acceptance of a plan's service level: which terms, by whom, when and from where."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from django.db import transaction

from billing.accounts.actors import Actor
from billing.infra import audit
from billing.kernel.errors import Conflict
from billing.models import Plan, PricingPlan, Subscription


class SlaVersionStale(Conflict):
    """The plan has no terms of this version by now: what was read is not what would be accepted."""

    code = "sla_version_stale"


@dataclass(frozen=True, slots=True)
class Acceptance:
    """``version`` of the terms that were read; ``address`` as the platform sees it, "" where there is none."""

    version: str
    address: str = ""


def accept(
    *, subscription: Subscription, plan: Plan, acceptance: Acceptance | None, actor: Actor, now: datetime
) -> None:
    """Keep what was accepted with ``subscription``, in the transaction that puts it on ``plan``.

    Written once: the same terms again leave the first acceptance as it is. Those of another plan take its place, and
    the audit log keeps both. An acceptance of no version says that there were none to read. Raises
    ``SlaVersionStale``.
    """
    if acceptance is None:
        return
    shown = PricingPlan.objects.filter(plan=plan).first()
    current = shown.sla_version if shown else ""
    if current != acceptance.version:
        raise SlaVersionStale("The terms of this plan have another version.", version=current)
    if shown is None or not current:
        return
    terms = {
        "plan": plan.code,
        "plan_version": plan.version,
        "sla_tier": shown.sla_tier,
        "sla_version": shown.sla_version,
    }
    with transaction.atomic():
        account = subscription.marketplace
        account.refresh_from_db(fields=["sla_acceptance"])
        if terms.items() <= (account.sla_acceptance or {}).items():
            return
        account.sla_acceptance = terms | {
            "accepted_by": actor.name,
            "accepted_at": now.astimezone(UTC).isoformat().replace("+00:00", "Z"),
            "from": acceptance.address,
        }
        account.save(update_fields=["sla_acceptance"])
        audit.record(
            actor=actor.name,
            act="sla.accept",
            object_type="subscription",
            object_id=subscription.id,
            organization_id=subscription.organization_id,
            details=terms,
        )
