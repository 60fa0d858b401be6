"""Reading messages."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from django.db.models import Q

from billing.accounts import actors
from billing.accounts.actors import Act, Actor
from billing.kernel import ids
from billing.mail.errors import MailNotFound
from billing.models import Mail, MailStatus, Organization

PAGE_LENGTH_MAX = 200


def get_mail(reference: str, *, actor: Actor) -> Mail:
    """Raises ``MailNotFound``, also for one that ``actor`` may not know of."""
    wanted = ids.parse_uuid(reference)
    found = None if wanted is None else Mail.objects.select_related("organization", "invoice").filter(id=wanted).first()
    if found is None or not actors.is_visible(actor, found.organization):
        raise MailNotFound
    return found


def list_mails(
    *,
    organization: Organization,
    actor: Actor,
    status: str | None = None,
    before: tuple[datetime, UUID] | None = None,
    limit: int = 50,
) -> list[Mail]:
    """What was written to an organization, the last first."""
    actors.require(actor, Act.MONEY, organization)
    found = Mail.objects.select_related("invoice").filter(organization=organization)
    if status is not None:
        found = found.filter(status=status)
    if before is not None:
        created_at, mail_id = before
        found = found.filter(Q(created_at__lt=created_at) | Q(created_at=created_at, id__lt=mail_id))
    return list(found.order_by("-created_at", "-id")[: min(limit, PAGE_LENGTH_MAX)])


def list_due(*, now: datetime, limit: int) -> list[UUID]:
    """Messages that are to be sent at ``now`` (real time), the longest waiting first."""
    waits = Mail.objects.filter(status=MailStatus.PENDING)
    due = waits.filter(Q(next_attempt_at=None) | Q(next_attempt_at__lte=now))
    return list(due.order_by("next_attempt_at", "id").values_list("id", flat=True)[:limit])
