"""Grants voided by hand."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from billing.accounts import actors
from billing.accounts.actors import Act, Actor
from billing.credits import operations as credits_operations
from billing.credits.operations import CreditsInvalid
from billing.infra import audit, locks, outbox
from billing.kernel.decimals import plain
from billing.lifecycle.adjust import REASON_LENGTH_MAX
from billing.models import CreditGrant, MarketplaceSubscription


def void(*, grant: CreditGrant, actor: Actor, reason: str, now: datetime) -> CreditGrant:
    """Make what is left of a grant worthless, with a reason; what it paid already stays paid. For finance.

    Voiding it again changes nothing. Raises ``GrantExpired``, ``NothingToVoid`` (it is spent), ``CreditsInvalid``.
    """
    actors.require(actor, Act.CREDITS, grant.organization)
    if not reason.strip() or len(reason) > REASON_LENGTH_MAX:
        raise CreditsInvalid(f"A reason of 1 to {REASON_LENGTH_MAX} characters is needed.", field="reason")
    with transaction.atomic():
        locks.lock_organization(grant.organization_id)
        current = CreditGrant.objects.get(pk=grant.pk)
        account = MarketplaceSubscription.objects.get(pk=current.account_id)
        left = current.remaining
        if credits_operations.void(account=account, grant=current, actor=actor.name, reason=reason, now=now):
            details = {"grant_id": str(grant.id), "subscription_id": str(account.pk), "credits": plain(left)}
            audit.record(
                actor=actor.name,
                act="credits.void",
                object_type="credit_grant",
                object_id=grant.id,
                organization_id=grant.organization_id,
                reason=reason,
                details=details,
            )
            outbox.emit(organization_id=grant.organization_id, topic="credits.voided", payload=details, now=now)
        return CreditGrant.objects.get(pk=grant.pk)
