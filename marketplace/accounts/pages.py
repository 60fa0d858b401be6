"""Members and keys of an organization as pages show them: frozen."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from billing.accounts import actors, invitations, members
from billing.accounts import queries as accounts_queries
from billing.accounts.actors import ORGANIZATION_KEY_ACTS, Act
from billing.models import ApiKey, Role
from marketplace import wording
from marketplace.wording import Label, Moment

if TYPE_CHECKING:
    from marketplace.dashboard.frame import Visit

ROLES: dict[str, tuple[str | Promise, str | Promise]] = {
    Role.OWNER: (_("Owner"), _("everything, and who else owns it")),
    Role.ADMIN: (_("Admin"), _("plans, keys, members, money")),
    Role.FINANCE: (_("Finance"), _("invoices and credits, to read")),
    Role.MEMBER: (pgettext_lazy("role", "Member"), _("plan and use, to read")),
}
SCOPES: dict[Act, str | Promise] = {
    Act.READ: _("Read everything, money included"),
    Act.USAGE: _("Record use and reserve quota"),
    Act.SUBSCRIBE: _("Choose plans"),
    Act.PREVIEW: _("Preview invoices"),
    Act.CLOCK: _("Move the sandbox's clock"),
}


@dataclass(frozen=True, slots=True)
class MemberRow:
    """``roles`` are those that the reader may give this member, none where they may not; each with its word."""

    user_id: str
    name: str
    email: str
    role: str
    role_name: str
    since: Moment
    is_self: bool
    roles: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class InvitationRow:
    id: str
    email: str
    role: str
    role_name: str
    invited_by: str
    until: Moment
    is_expired: bool
    can_revoke: bool


@dataclass(frozen=True, slots=True)
class MembersPage:
    members: tuple[MemberRow, ...]
    invitations: tuple[InvitationRow, ...]


@dataclass(frozen=True, slots=True)
class KeyRow:
    id: str
    name: str
    prefix: str
    scopes: tuple[str, ...]
    created_at: Moment
    expires_at: Moment | None
    state: Label
    can_revoke: bool


@dataclass(frozen=True, slots=True)
class KeysPage:
    keys: tuple[KeyRow, ...]


def members_page(visit: Visit) -> MembersPage:
    """Who belongs to the organization, and whom it waits for. Three queries, however many they are."""
    organization, actor = visit.organization, visit.actor
    actors.require(actor, Act.MEMBERS, organization)
    with_owners = actors.makes_owners(actor, organization)
    return MembersPage(
        members=tuple(
            MemberRow(
                user_id=str(each.user_id),
                name=each.user.name,
                email=each.user.email,
                role=each.role,
                role_name=role_name(each.role),
                since=wording.day(each.created_at, visit.zone),
                is_self=each.user_id == actor.user_id,
                roles=role_choices(with_owners=with_owners) if with_owners or each.role != Role.OWNER else (),
            )
            for each in members.list_members(organization)
        ),
        invitations=tuple(
            InvitationRow(
                id=str(each.id),
                email=each.email,
                role=each.role,
                role_name=role_name(each.role),
                invited_by=each.invited_by.email if each.invited_by else "",
                until=wording.day(each.expires_at, visit.zone),
                is_expired=invitations.state(each, visit.now) == "expired",
                can_revoke=with_owners or each.role != Role.OWNER,
            )
            for each in invitations.list_open(organization)
        ),
    )


def keys_page(visit: Visit) -> KeysPage:
    """All keys of the organization, those good no more too. One query."""
    actors.require(visit.actor, Act.KEYS, visit.organization)
    return KeysPage(keys=tuple(_key(each, visit) for each in accounts_queries.list_keys(visit.organization)))


def scope_choices(visit: Visit) -> list[tuple[str, str]]:
    """What a key of the organization can be given by who looks at the page."""
    return [
        (act.value, str(text))
        for act, text in SCOPES.items()
        if act in ORGANIZATION_KEY_ACTS and visit.may(act) and (act is not Act.CLOCK or visit.organization.is_sandbox)
    ]


def role_choices(*, with_owners: bool) -> tuple[tuple[str, str], ...]:
    return tuple((role, str(name)) for role, (name, _does) in ROLES.items() if with_owners or role != Role.OWNER)


def role_name(role: str) -> str:
    return str(ROLES[role][0])


def _key(key: ApiKey, visit: Visit) -> KeyRow:
    return KeyRow(
        id=str(key.id),
        name=key.name,
        prefix=key.prefix,
        scopes=tuple(key.scopes),
        created_at=wording.day(key.created_at, visit.zone),
        expires_at=wording.day(key.expires_at, visit.zone) if key.expires_at else None,
        state=_state(key, visit.now),
        can_revoke=key.revoked_at is None,
    )


def _state(key: ApiKey, now: datetime) -> Label:
    if key.revoked_at is not None:
        return Label(str(_("Revoked")), "calm")
    return Label(str(_("Good")), "good") if key.is_usable_at(now) else Label(str(_("Expired")), "calm")
