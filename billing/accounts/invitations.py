"""Asking somebody to join an organization, by a link that is mailed to them.

The link's secret is nowhere stored, works once, for one address, and for a week. All times here are real time, those of
sandbox organizations too.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID

from django.db.models import QuerySet
from django.db.transaction import atomic

from billing.accounts import actors, fields, members
from billing.accounts import operations as accounts_operations
from billing.accounts.actors import Actor
from billing.infra import audit, locks
from billing.kernel.errors import Conflict, Forbidden, NotFound
from billing.models import Invitation, Membership, Organization, User

GOOD_FOR = timedelta(days=7)
# That many nobody has answered: a list of strangers, rather than colleagues. And anybody can sign up and ask: what is
# mailed in a day, in all and to one address, is no way to flood somebody.
OPEN_MAX = 100
DAY_MAX = 100
DAY_SAME_MAX = 5

State = Literal["open", "accepted", "revoked", "expired"]


class AlreadyMember(Conflict):
    """Whoever has this address belongs to the organization."""

    code = "already_member"


class InvitationsTooMany(Conflict):
    """Some have to be taken up or revoked first, or a day has to pass."""

    code = "invitations_too_many"


class InvitationNotFound(NotFound):
    """No such invitation."""


class InvitationClosed(Conflict):
    """It was taken up, revoked, or is too old."""

    code = "invitation_closed"


class InvitationOfAnother(Forbidden):
    """It was sent to another address than that of the account."""

    code = "invitation_of_another"


@atomic
def invite(*, organization: Organization, email: str, role: str, actor: Actor, now: datetime) -> tuple[Invitation, str]:
    """Ask ``email`` to join with ``role``; returns the invitation and the secret for its link, which is had once.

    An earlier one to the same address is revoked. Raises ``Invalid``, ``Forbidden``, ``AlreadyMember``,
    ``InvitationsTooMany``.
    """
    address = fields.email(email)
    members.known_role(role)
    locks.lock_organization(organization.id)
    members.require(actor, organization, role)
    if Membership.objects.filter(organization=organization, user__email__iexact=address).exists():
        raise AlreadyMember("Whoever has this address is a member already.", field="email")
    _not_too_many(organization, address, now)
    _open(organization).filter(email=address).update(revoked_at=now)
    secret = secrets.token_urlsafe(32)
    invitation = Invitation.objects.create(
        organization=organization,
        email=address,
        role=role,
        digest=digest(secret),
        invited_by_id=actor.user_id,
        created_at=now,
        expires_at=now + GOOD_FOR,
    )
    _tell(invitation, actor, "invitation.create")
    return invitation, secret


@atomic
def revoke(*, organization: Organization, invitation_id: UUID, actor: Actor, now: datetime) -> Invitation:
    """Make an invitation useless. Twice keeps the first instant; what was taken up stays so (``InvitationClosed``).
    Raises ``InvitationNotFound``, ``Forbidden``."""
    locks.lock_organization(organization.id)
    members.require(actor, organization)
    found = Invitation.objects.filter(organization=organization, id=invitation_id).first()
    if found is None:
        raise InvitationNotFound("No such invitation.")
    members.require(actor, organization, found.role)
    if found.accepted_at is not None:
        raise InvitationClosed("It was taken up already: remove the member instead.")
    if found.revoked_at is None:
        found.revoked_at = now
        found.save(update_fields=["revoked_at"])
        _tell(found, actor, "invitation.revoke")
    return found


@atomic
def accept(*, secret: str, user: User, now: datetime) -> Membership:
    """Make ``user`` a member as they were asked to be; by whom the link was mailed to, once.

    The same person again is answered the same. Somebody who became a member otherwise keeps the role they have. Raises
    ``InvitationNotFound``, ``InvitationClosed``, ``InvitationOfAnother``; nothing is changed then.
    """
    locks.lock_organization(get(secret).organization_id)
    # Once more: it may have been taken up, or revoked, while we waited.
    invitation = get(secret)
    if user.email.lower() != invitation.email:
        raise InvitationOfAnother("This invitation was sent to another address.")
    membership = Membership.objects.filter(organization=invitation.organization, user=user).first()
    if membership is not None and invitation.accepted_by_id == user.id:
        return membership
    if state(invitation, now) != "open":
        raise InvitationClosed("This invitation is good no more.")
    if membership is None:
        membership = Membership.objects.create(organization=invitation.organization, user=user, role=invitation.role)
    invitation.accepted_at, invitation.accepted_by = now, user
    invitation.save(update_fields=["accepted_at", "accepted_by"])
    _tell(invitation, actors.for_user(user), "invitation.accept")
    return membership


@atomic
def accept_as_new(*, secret: str, password: str, name: str, now: datetime) -> Membership:
    """As ``accept`` for somebody who has no account: one is made for the address that was asked. Raises ``UserExists``
    and ``Invalid`` too."""
    invitation = get(secret)
    if state(invitation, now) != "open":
        raise InvitationClosed("This invitation is good no more.")
    user = accounts_operations.create_user(email=invitation.email, password=password, name=name)
    return accept(secret=secret, user=user, now=now)


def get(secret: str) -> Invitation:
    """The invitation with this secret, whatever became of it, with its organization. Raises ``InvitationNotFound``."""
    found = Invitation.objects.select_related("organization", "invited_by").filter(digest=digest(secret)).first()
    if found is None:
        raise InvitationNotFound("No such invitation.")
    return found


def list_open(organization: Organization) -> Sequence[Invitation]:
    """What nobody took up and nobody revoked, those too old included, newest first."""
    return list(_open(organization).select_related("invited_by").order_by("-created_at", "-id"))


def state(invitation: Invitation, at: datetime) -> State:
    if invitation.accepted_at is not None:
        return "accepted"
    if invitation.revoked_at is not None:
        return "revoked"
    return "open" if at < invitation.expires_at else "expired"


def digest(secret: str) -> bytes:
    """What is stored of a link's secret. Any text may be asked for."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()


def _not_too_many(organization: Organization, address: str, now: datetime) -> None:
    if _open(organization).exclude(email=address).count() >= OPEN_MAX:
        raise InvitationsTooMany(f"There are {OPEN_MAX} invitations that nobody has taken up.")
    today = Invitation.objects.filter(organization=organization, created_at__gt=now - timedelta(days=1))
    if today.count() >= DAY_MAX or today.filter(email=address).count() >= DAY_SAME_MAX:
        raise InvitationsTooMany("So many invitations were sent today; send this one tomorrow.")


def _open(organization: Organization) -> QuerySet[Invitation]:
    return Invitation.objects.filter(organization=organization, accepted_at__isnull=True, revoked_at__isnull=True)


def _tell(invitation: Invitation, actor: Actor, act: str) -> None:
    # Evidence names nobody: the address is in the invitation's own row.
    audit.record(
        actor=actor.name,
        act=act,
        object_type="invitation",
        object_id=invitation.id,
        organization_id=invitation.organization_id,
        details={"role": invitation.role},
    )
