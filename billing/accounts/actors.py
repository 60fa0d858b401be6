"""Who may do what, decided in this one place.

An act's value is the scope a key needs for it; some come with another scope (``WIDER``). Customers (roles of an
organization and its keys) choose plans on sale, use, preview and read; whatever moves the books by hand (credits,
invoices, a status, a plan not on sale) is for staff and platform keys.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from uuid import UUID

from billing.infra import audit, logs, second_wall
from billing.kernel import ids
from billing.kernel.errors import Forbidden, NotFound
from billing.models import ApiKey, Organization, Role, User


class Act(StrEnum):
    READ = "read"
    # What is invoiced, paid and owed, and how credits moved. Among people it is finance's; a key that reads sees it.
    MONEY = "money"
    USAGE = "usage"
    SUBSCRIBE = "subscribe"
    PREVIEW = "preview"
    KEYS = "keys"
    # Who belongs to an organization, and as what: people decide that, and operators; no key of an organization does.
    MEMBERS = "members"
    WEBHOOKS = "webhooks"
    # The operator's own:
    SUBSCRIPTIONS = "subscriptions"
    CREDITS = "credits"
    INVOICES = "invoices"
    ORGANIZATIONS = "organizations"
    CATALOG = "catalog"
    CLOCK = "clock"
    VERIFY = "verify"
    PROVIDERS = "providers"
    LISTINGS = "listings"


ALL_REGIONS = "*"
EVERY_ACT = frozenset(Act)
# Acts that come with a scope other than their own: whoever manages subscriptions may also choose plans.
WIDER: Mapping[Act, Act] = {
    Act.MONEY: Act.READ,
    Act.SUBSCRIBE: Act.SUBSCRIPTIONS,
    Act.MEMBERS: Act.ORGANIZATIONS,
}
# What a key can be given. Money has no scope: a program is given an organization's books to read as a whole. Nor have
# members: whoever makes organizations looks after them, too.
SCOPES = EVERY_ACT - {Act.MONEY, Act.MEMBERS}
# What a key of an organization can carry at all; the clock is there for sandboxes, which refuse nothing else by it.
ORGANIZATION_KEY_ACTS = frozenset({Act.READ, Act.USAGE, Act.SUBSCRIBE, Act.PREVIEW, Act.CLOCK})

_MANAGES = frozenset({Act.READ, Act.MONEY, Act.USAGE, Act.SUBSCRIBE, Act.PREVIEW, Act.KEYS, Act.MEMBERS, Act.WEBHOOKS})
ROLE_ACTS: Mapping[str, frozenset[Act]] = {
    Role.OWNER: _MANAGES,
    Role.ADMIN: _MANAGES,
    Role.FINANCE: frozenset({Act.READ, Act.MONEY, Act.PREVIEW}),
    Role.MEMBER: frozenset({Act.READ}),
}
STAFF_ACTS: Mapping[str, frozenset[Act]] = {
    "finance": frozenset(
        {Act.READ, Act.MONEY, Act.PREVIEW, Act.SUBSCRIBE, Act.SUBSCRIPTIONS, Act.CREDITS, Act.INVOICES}
    ),
    "support": frozenset({Act.READ, Act.MONEY}),
    "catalog": frozenset({Act.READ, Act.CATALOG}),
    # Of organizations and their books it knows nothing.
    "marketplace": frozenset({Act.LISTINGS}),
}
# What staff do to the platform as a whole rather than to an organization.
PLATFORM_STAFF_ACTS = frozenset({Act.CATALOG, Act.LISTINGS})


@dataclass(frozen=True, slots=True)
class Actor:
    """Someone who acts. ``name`` goes into the audit log: "user:<id>", "key:<id>", "cli:<login>" or "system:<job>".

    ``organization_id`` is set for a key of an organization, which then sees no other. ``scopes`` belong to keys,
    ``roles`` (by organization), ``staff_groups`` and ``regions`` (those that staff are cleared for) to people.
    """

    name: str
    organization_id: UUID | None = None
    scopes: frozenset[str] = frozenset()
    roles: Mapping[UUID, str] = field(default_factory=dict)
    staff_groups: frozenset[str] = frozenset()
    regions: frozenset[str] = frozenset()
    is_superuser: bool = False

    @property
    def user_id(self) -> UUID | None:
        """The account of the person, where it is one who acts."""
        kind, _, reference = self.name.partition(":")
        return ids.parse_uuid(reference) if kind == "user" else None


class OrganizationNotFound(NotFound):
    """No such organization, or none that the actor may know of."""


class NotAllowed(Forbidden):
    """The actor sees the organization but may not do this to it."""


class RegionNotCleared(Forbidden):
    """Staff whose groups allow the act, but who are not cleared for the organization's residency region."""

    code = "region_not_cleared"


SYSTEM = Actor(name="system:billing", scopes=EVERY_ACT)
ANONYMOUS = Actor(name="anonymous")


def system(job: str) -> Actor:
    """The product itself, running ``job``."""
    return Actor(name=f"system:{job}", scopes=EVERY_ACT)


def is_system(actor: Actor) -> bool:
    """Whether nobody in particular acts: the product itself does."""
    return actor.name.startswith("system:")


def operator(login: str) -> Actor:
    """Whoever has a shell on the server: may do everything, under the name of their login."""
    return Actor(name=f"cli:{login}", scopes=EVERY_ACT)


def for_key(key: ApiKey) -> Actor:
    """The program that holds ``key``."""
    scopes = frozenset(key.scopes)
    if key.organization_id is not None:
        scopes &= ORGANIZATION_KEY_ACTS
    return Actor(name=f"key:{key.id}", organization_id=key.organization_id, scopes=scopes)


def for_user(user: User, *, on_desk: bool = False) -> Actor:
    """The person ``user``: two queries, for roles and, if they are staff, for groups. ``on_desk`` they act as staff
    alone, whatever organizations they belong to."""
    groups: frozenset[str] = frozenset()
    if user.is_staff:
        groups = frozenset(user.groups.values_list("name", flat=True)) & STAFF_ACTS.keys()
    return Actor(
        name=f"user:{user.id}",
        roles={} if on_desk else dict(user.memberships.values_list("organization_id", "role")),
        staff_groups=groups,
        regions=frozenset(user.cleared_regions) if user.is_staff else frozenset(),
        is_superuser=user.is_superuser,
    )


def may(actor: Actor, act: Act, organization: Organization | None) -> bool:
    """Whether ``actor`` may do ``act`` to ``organization``, or to the platform as a whole where that is None."""
    if actor.is_superuser:
        return True
    if organization is None:
        return (actor.organization_id is None and _has_scope(actor, act)) or (
            act in PLATFORM_STAFF_ACTS and act in _staff_acts(actor)
        )
    if actor.organization_id is not None and actor.organization_id != organization.id:
        return False
    if _has_scope(actor, act) or act in ROLE_ACTS.get(actor.roles.get(organization.id, ""), ()):
        return True
    return act in _staff_acts(actor) and _is_cleared(actor, organization)


def makes_owners(actor: Actor, organization: Organization) -> bool:
    """Whether ``actor`` may make somebody an owner, or an owner something else: owners may, admins may not."""
    return actor.is_superuser or _has_scope(actor, Act.MEMBERS) or actor.roles.get(organization.id) == Role.OWNER


def is_visible(actor: Actor, organization: Organization) -> bool:
    """Whether ``actor`` may know that ``organization`` exists. Staff who read organizations may, also of regions that
    they are not cleared for."""
    if actor.organization_id is not None:
        return actor.organization_id == organization.id
    return is_insider(actor) or organization.id in actor.roles


def is_insider(actor: Actor) -> bool:
    """Whether ``actor`` acts for the installation, and not for organizations that are their own."""
    if actor.organization_id is not None:
        return False
    return actor.is_superuser or bool(actor.scopes) or Act.READ in _staff_acts(actor)


def serve(actor: Actor) -> None:
    """From here on this request is ``actor``'s: unless they act for the installation, the database shows it nothing but
    their own organizations (``infra.second_wall``)."""
    if not is_insider(actor):
        second_wall.narrow(actor.roles if actor.organization_id is None else [actor.organization_id])


def require(actor: Actor, act: Act, organization: Organization | None) -> None:
    """Pass if ``actor`` may do ``act``.

    Raises ``OrganizationNotFound`` where the organization is not the actor's to know of, ``RegionNotCleared`` (leaving
    a row in the audit log) and ``NotAllowed`` otherwise.
    """
    if may(actor, act, organization):
        return
    logs.event("access.refused", actor=actor.name, act=act.value, organization=organization.id if organization else "")
    if organization is not None:
        if not is_visible(actor, organization):
            raise no_organization()
        if act in _staff_acts(actor):
            audit.record(
                actor=actor.name,
                act=f"refused.{act}",
                object_type="organization",
                object_id=organization.id,
                organization_id=organization.id,
                reason="region not cleared",
                details={"region": organization.residency_region},
                survives_rollback=True,
            )
            raise RegionNotCleared("You are not cleared for this organization's residency region.", act=act.value)
    raise NotAllowed(f"This needs the right to {_WORDS[act]} (scope {scope_of(act).value}).", act=act.value)


def require_for(actor: Actor, act: Act, organization_ids: Collection[UUID]) -> None:
    """As ``require`` for each of the organizations, which are read only for an actor who may not do it to any."""
    if actor.is_superuser or (actor.organization_id is None and _has_scope(actor, act)):
        return
    for organization in Organization.objects.filter(id__in=organization_ids).order_by("id"):
        require(actor, act, organization)


def scope_of(act: Act) -> Act:
    """The narrowest scope that a key needs for ``act``."""
    return act if act in SCOPES else WIDER[act]


def no_organization() -> OrganizationNotFound:
    """The one answer about an organization that is not there or not the caller's: it must not tell which."""
    return OrganizationNotFound("No such organization.")


_WORDS: Mapping[Act, str] = {
    Act.READ: "read",
    Act.MONEY: "see money",
    Act.USAGE: "record usage",
    Act.SUBSCRIBE: "choose a plan",
    Act.PREVIEW: "preview invoices",
    Act.KEYS: "manage keys",
    Act.MEMBERS: "manage members",
    Act.WEBHOOKS: "manage webhooks",
    Act.SUBSCRIPTIONS: "manage subscriptions",
    Act.CREDITS: "adjust credits",
    Act.INVOICES: "draft and issue invoices",
    Act.ORGANIZATIONS: "create organizations",
    Act.CATALOG: "change the catalog",
    Act.CLOCK: "move a sandbox clock",
    Act.VERIFY: "verify the books",
    Act.PROVIDERS: "see and replay what providers told",
    Act.LISTINGS: "manage partners and review listings",
}


def _has_scope(actor: Actor, act: Act) -> bool:
    return act in actor.scopes or WIDER.get(act) in actor.scopes


def _staff_acts(actor: Actor) -> frozenset[Act]:
    return frozenset[Act]().union(*(STAFF_ACTS[group] for group in actor.staff_groups))


def _is_cleared(actor: Actor, organization: Organization) -> bool:
    return ALL_REGIONS in actor.regions or organization.residency_region in actor.regions
