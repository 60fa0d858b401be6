"""Who may do what to a partner and its listings, decided in this one place.

Members edit listings, admins among them also say who is a member. Whoever reviews (``Act.LISTINGS``) sees every
partner and keeps its members, and writes no listing: what they let through is somebody else's text. To everybody else a
partner that they are no member of is not there.
"""

from __future__ import annotations

from dataclasses import dataclass

from billing.accounts import actors
from billing.accounts.actors import Act, Actor
from billing.kernel.errors import Forbidden, NotFound
from marketplace.models import Partner, PartnerMember, PartnerRole


class PartnerNotFound(NotFound):
    """No such partner, or none that the actor may know of."""


class NotAMember(Forbidden):
    """The actor sees the partner but may not do this to it."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How an actor stands to a partner: ``role`` is empty for one who is no member."""

    partner: Partner
    role: str
    reviews: bool

    @property
    def may_edit(self) -> bool:
        return bool(self.role)

    @property
    def may_keep_members(self) -> bool:
        return self.reviews or self.role == PartnerRole.ADMIN


def reviews(actor: Actor) -> bool:
    return actors.may(actor, Act.LISTINGS, None)


def find_role(actor: Actor, partner: Partner) -> str:
    """The actor's role among the partner's members, empty without one."""
    if actor.user_id is None:
        return ""
    found = PartnerMember.objects.filter(partner=partner, user_id=actor.user_id).values_list("role", flat=True)
    return found.first() or ""


def standing(actor: Actor, partner: Partner) -> Standing:
    """Raises ``PartnerNotFound`` where the actor may not know of ``partner``."""
    found = Standing(partner, find_role(actor, partner), reviews(actor))
    if not found.role and not found.reviews:
        raise no_partner()
    return found


def require_edit(actor: Actor, partner: Partner) -> None:
    """Pass for members. Raises ``PartnerNotFound`` or ``NotAMember``."""
    if not standing(actor, partner).may_edit:
        raise NotAMember("Only members of the partner edit its listings.")


def require_members(actor: Actor, partner: Partner) -> None:
    """Pass for whoever may say who is a member. Raises ``PartnerNotFound`` or ``NotAMember``."""
    if not standing(actor, partner).may_keep_members:
        raise NotAMember("Only admins of the partner and staff of the marketplace say who is a member.")


def require_review(actor: Actor) -> None:
    """Pass for whoever reviews listings. Raises ``Forbidden``."""
    actors.require(actor, Act.LISTINGS, None)


def no_partner() -> PartnerNotFound:
    """The one answer about a partner that is not there or not the caller's."""
    return PartnerNotFound("No such partner.")
