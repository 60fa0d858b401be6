"""Writing messages, and having one sent again."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import transaction

from billing.accounts import actors
from billing.accounts.actors import Act, Actor
from billing.infra import audit, locks
from billing.mail import queries
from billing.mail.errors import MailWaits, NoRecipient
from billing.mail.kinds import Kind
from billing.models import Invoice, Mail, MailStatus, Organization

NO_RECIPIENT = "no_recipient"
SANDBOX = "sandbox"
NO_SERVER = "no_mail_server"


def write(
    *, organization: Organization, kind: Kind, about: str, facts: dict[str, Any], invoice: Invoice | None, now: datetime
) -> None:
    """Write a message to the organization's billing address, once per kind and ``about``.

    It commits with what it tells of. One that nobody can be sent is kept as skipped, with the reason. ``now`` is the
    organization's time. Raises ``TransactionManagementError`` outside a transaction.
    """
    if not transaction.get_connection().in_atomic_block:
        raise transaction.TransactionManagementError(f"mail {kind} outside of a transaction")
    reason = _withheld(organization)
    Mail.objects.bulk_create(
        [
            Mail(
                organization=organization,
                kind=kind.value,
                about=about,
                invoice=invoice,
                to=organization.billing_email,
                facts=facts,
                status=MailStatus.SKIPPED if reason else MailStatus.PENDING,
                reason=reason,
                created_at=now,
            )
        ],
        ignore_conflicts=True,
    )


def resend(*, mail: Mail, actor: Actor, now: datetime) -> Mail:
    """Send a message once more, to the address that the organization has now; for finance. ``now`` is real time.

    Also for one that was skipped, a sandbox's too: a person asks for it. Raises ``NoRecipient``, ``MailWaits``.
    """
    actors.require(actor, Act.INVOICES, mail.organization)
    with transaction.atomic():
        locks.lock_organization(mail.organization_id)
        stored = queries.get_mail(str(mail.id), actor=actor)
        if stored.status == MailStatus.PENDING:
            raise MailWaits("This message is about to be sent.")
        if not stored.organization.billing_email:
            raise NoRecipient("The organization has no billing address.")
        was = stored.status
        stored.to, stored.status, stored.reason = stored.organization.billing_email, MailStatus.PENDING, ""
        stored.attempts, stored.next_attempt_at, stored.sent_at = 0, now, None
        stored.save(update_fields=["to", "status", "reason", "attempts", "next_attempt_at", "sent_at"])
        audit.record(
            actor=actor.name,
            act="mail.resend",
            object_type="mail",
            object_id=stored.id,
            organization_id=stored.organization_id,
            details={"kind": stored.kind, "was": was},
        )
        return stored


def _withheld(organization: Organization) -> str:
    if organization.is_sandbox and not settings.BILLING_MAIL_SANDBOX:
        return SANDBOX
    if not organization.billing_email:
        return NO_RECIPIENT
    return "" if settings.BILLING_MAIL_ENABLED else NO_SERVER
