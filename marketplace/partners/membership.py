"""Writing partners and who is a member of them. Each operation asks for the right and leaves a row in the audit log."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.transaction import atomic

from billing.accounts import fields as account_fields
from billing.accounts.actors import Actor
from billing.infra import audit, locks
from billing.kernel.errors import Conflict, Invalid
from billing.models import User
from marketplace.models import NAME_LENGTH_MAX, Partner, PartnerMember, PartnerRole
from marketplace.partners import fields, rights

MEMBERS_MAX = 100


class PartnerExists(Conflict):
    """Another partner has this slug."""

    code = "partner_exists"


class LastAdmin(Conflict):
    """A partner's own members do not leave it without somebody who can ask others in; staff may."""

    code = "last_admin"


class TooManyMembers(Conflict):
    """A partner has at most ``MEMBERS_MAX`` members."""

    code = "too_many_members"


@atomic
def create_partner(*, slug: str, name: str, actor: Actor, now: datetime, website: str = "") -> Partner:
    """Raises ``Forbidden``, ``Invalid`` naming the field, or ``PartnerExists``."""
    rights.require_review(actor)
    partner = Partner(
        slug=account_fields.slug(slug),
        name=fields.line(name, field="name", length_max=NAME_LENGTH_MAX),
        website=fields.website(website),
        created_at=now,
    )
    try:
        with transaction.atomic():
            partner.save(force_insert=True)
    except IntegrityError as error:
        raise PartnerExists("Another partner has this slug.", field="slug") from error
    _record(actor, "partner.create", partner, slug=partner.slug)
    return partner


@atomic
def rename_partner(*, partner: Partner, name: str, website: str, actor: Actor, reason: str) -> Partner:
    """Give the partner another name and website; its address stays, as others link to it.

    Raises ``Forbidden`` or ``Invalid`` naming the field.
    """
    rights.require_review(actor)
    _lock(partner)
    partner.refresh_from_db()
    was = {"name_was": partner.name, "website_was": partner.website}
    partner.name = fields.line(name, field="name", length_max=NAME_LENGTH_MAX)
    partner.website = fields.website(website)
    partner.save(update_fields=["name", "website"])
    now_is = {"name": partner.name, "website": partner.website}
    audit.record(
        actor=actor.name,
        act="partner.rename",
        object_type="partner",
        object_id=partner.id,
        organization_id=None,
        reason=reason,
        details=was | now_is,
    )
    return partner


@atomic
def set_member(*, partner: Partner, email: str, role: str, actor: Actor, now: datetime) -> PartnerMember:
    """Make whoever signs in with ``email`` a member, or change their role.

    Raises ``PartnerNotFound``, ``Forbidden``, ``Invalid`` naming the field, ``LastAdmin`` or ``TooManyMembers``.
    """
    _lock(partner)
    rights.require_members(actor, partner)
    if role not in PartnerRole.values:
        raise Invalid(f"A role is one of {', '.join(PartnerRole.values)}.", field="role")
    user = User.objects.filter(email__iexact=account_fields.email(email), is_active=True).first()
    if user is None:
        raise Invalid("Nobody signs in with this address: they sign up first.", field="email")
    member = PartnerMember.objects.filter(partner=partner, user=user).first()
    was = member.role if member else ""
    if member is not None and was == role:
        return member
    if was == PartnerRole.ADMIN:
        _keep_an_admin(partner, user.id, actor)
    if member is None:
        if PartnerMember.objects.filter(partner=partner).count() >= MEMBERS_MAX:
            raise TooManyMembers(f"A partner has at most {MEMBERS_MAX} members.")
        member = PartnerMember(partner=partner, user=user, created_at=now)
    member.role = role
    member.save()
    _record(actor, "partner_member.set", partner, user=str(user.id), was=was, role=role)
    return member


@atomic
def remove_member(*, partner: Partner, user_id: UUID, actor: Actor) -> bool:
    """Whether there was such a member. Raises ``PartnerNotFound``, ``Forbidden`` or ``LastAdmin``."""
    _lock(partner)
    rights.require_members(actor, partner)
    member = PartnerMember.objects.filter(partner=partner, user_id=user_id).first()
    if member is None:
        return False
    if member.role == PartnerRole.ADMIN:
        _keep_an_admin(partner, user_id, actor)
    member.delete()
    _record(actor, "partner_member.remove", partner, user=str(user_id), was=member.role)
    return True


def _keep_an_admin(partner: Partner, leaving: UUID, actor: Actor) -> None:
    others = PartnerMember.objects.filter(partner=partner, role=PartnerRole.ADMIN).exclude(user_id=leaving)
    if not others.exists() and not rights.reviews(actor):
        raise LastAdmin("This is the partner's last admin.")


def _lock(partner: Partner) -> None:
    # Before rights are asked: of two admins who remove each other at once the second is one no more.
    with locks.busy_on_timeout():
        Partner.objects.select_for_update().get(id=partner.id)


def _record(actor: Actor, act: str, partner: Partner, **details: str) -> None:
    audit.record(
        actor=actor.name,
        act=act,
        object_type="partner",
        object_id=partner.id,
        organization_id=None,
        details=details,
    )
