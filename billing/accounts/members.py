"""Who belongs to an organization, and as what. Admins look after members; only owners make, change or remove owners.

Every operation takes the organization's lock first and asks for the actor's right under it: whoever was removed a
moment ago removes nobody any more, and of two owners who remove each other at once one stays.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID

from django.db.transaction import atomic
from django.utils import timezone

from billing.accounts import actors
from billing.accounts.actors import Act, Actor
from billing.infra import audit, locks
from billing.kernel.errors import Conflict, Invalid, NotFound
from billing.models import Invitation, Membership, Organization, Role, User


class LastOwner(Conflict):
    """An organization keeps at least one owner."""

    code = "last_owner"


class MemberNotFound(NotFound):
    """Nobody of this organization."""


@atomic
def set_role(*, organization: Organization, user: User, role: str, actor: Actor) -> Membership:
    """Make ``user`` a member with ``role``, or change the role they have. Raises ``Invalid``, ``LastOwner``,
    ``Forbidden``."""
    known_role(role)
    locks.lock_organization(organization.id)
    membership = Membership.objects.filter(organization=organization, user=user).first()
    was = membership.role if membership else ""
    require(actor, organization, was, role)
    if was == role and membership is not None:
        return membership
    _keep_an_owner(organization, user.id, was)
    if membership is None:
        membership = Membership(organization=organization, user=user)
    membership.role = role
    membership.save()
    if Act.MEMBERS not in actors.ROLE_ACTS[role]:
        withdraw_invitations(organization, user.id)
    _tell(organization, user.id, actor, "membership.set", {"from": was, "to": role})
    return membership


@atomic
def change_role(*, organization: Organization, user_id: UUID, role: str, actor: Actor) -> Membership:
    """As ``set_role`` for somebody who is a member. Raises ``MemberNotFound`` too."""
    return set_role(organization=organization, user=get_member(organization, user_id).user, role=role, actor=actor)


@atomic
def remove(*, organization: Organization, user_id: UUID, actor: Actor) -> None:
    """Take somebody out. Their account stays, and so do the keys that they made: those are the organization's.

    Invitations of theirs that nobody took up are withdrawn. Raises ``MemberNotFound``, ``LastOwner``, ``Forbidden``.
    """
    locks.lock_organization(organization.id)
    # Whether somebody is there is told to nobody who may not see it.
    require(actor, organization)
    membership = get_member(organization, user_id)
    require(actor, organization, membership.role)
    _keep_an_owner(organization, user_id, membership.role)
    membership.delete()
    withdraw_invitations(organization, user_id)
    _tell(organization, user_id, actor, "membership.remove", {"from": membership.role})


def list_members(organization: Organization) -> Sequence[Membership]:
    """All members with their accounts, longest first."""
    return list(
        Membership.objects.filter(organization=organization).select_related("user").order_by("created_at", "id")
    )


def get_member(organization: Organization, user_id: UUID) -> Membership:
    """Raises ``MemberNotFound``."""
    found = Membership.objects.filter(organization=organization, user_id=user_id).select_related("user").first()
    if found is None:
        raise MemberNotFound("No such member.")
    return found


def known_role(role: str) -> str:
    if role not in Role.values:
        raise Invalid(f"A role is one of {', '.join(Role.values)}.", field="role")
    return role


def require(actor: Actor, organization: Organization, *roles: str) -> None:
    """Pass if ``actor``, as of now, may make or unmake members of these ``roles``. Under the organization's lock."""
    current = _as_of_now(actor, organization)
    actors.require(current, Act.MEMBERS, organization)
    if Role.OWNER in roles and not actors.makes_owners(current, organization):
        raise actors.NotAllowed("Only owners make, change and remove owners.", act=Act.MEMBERS.value)


def withdraw_invitations(organization: Organization, user_id: UUID) -> None:
    """Revoke what ``user_id`` asked others to and nobody took up: their word counts no more."""
    Invitation.objects.filter(
        organization=organization, invited_by=user_id, accepted_at__isnull=True, revoked_at__isnull=True
    ).update(revoked_at=timezone.now())


def _as_of_now(actor: Actor, organization: Organization) -> Actor:
    """The actor's role was read before the lock was had."""
    if actor.user_id is None:
        return actor
    role = (
        Membership.objects.filter(organization=organization, user=actor.user_id).values_list("role", flat=True).first()
    )
    others = {key: value for key, value in actor.roles.items() if key != organization.id}
    return replace(actor, roles=others | ({organization.id: role} if role else {}))


def _keep_an_owner(organization: Organization, user_id: UUID, was: str) -> None:
    owners = Membership.objects.filter(organization=organization, role=Role.OWNER)
    if was == Role.OWNER and not owners.exclude(user_id=user_id).exists():
        raise LastOwner("This is the organization's last owner.", field="role")


def _tell(organization: Organization, user_id: UUID, actor: Actor, act: str, details: dict[str, str]) -> None:
    audit.record(
        actor=actor.name,
        act=act,
        object_type="user",
        object_id=user_id,
        organization_id=organization.id,
        details=details,
    )
