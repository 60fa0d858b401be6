"""A tenant from nothing: organization, owner, subscription and first key, all or none of them."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction

from billing.accounts import actors, fields, members
from billing.accounts import operations as accounts_operations
from billing.accounts import queries as accounts_queries
from billing.accounts.actors import Act, Actor
from billing.catalog import queries as catalog_queries
from billing.kernel.errors import Conflict
from billing.lifecycle import onboard
from billing.models import ApiKey, Organization, Role, Subscription, User
from billing.subscriptions import queries as subscriptions_queries

KEY_NAME = "bootstrap"
KEY_ACTS = (Act.READ, Act.USAGE, Act.SUBSCRIBE, Act.PREVIEW)


class CatalogEmpty(Conflict):
    """There is no default plan to give before the first sync."""

    code = "catalog_empty"


@dataclass(frozen=True, slots=True)
class Profile:
    """What a tenant is created with. ``clock_at`` is for sandboxes, which need it."""

    slug: str
    name: str
    residency_region: str = "eu"
    zone: str = "UTC"
    currency: str = "USD"
    external_id: str | None = None
    billing_email: str = ""
    clock_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Tenant:
    """What there is. ``secret`` (of the first key) and ``password`` (of a new owner) are shown this once."""

    organization: Organization
    is_new: bool
    subscription: Subscription | None
    keys: tuple[ApiKey, ...]
    secret: str = ""
    owner: str = ""
    password: str = ""


def find_tenant(slug: str) -> Tenant | None:
    """The tenant that has this slug, with its live subscription and its keys."""
    organization = accounts_queries.find_organization(slug)
    if organization is None or organization.slug != slug:
        return None
    live = subscriptions_queries.list_live([organization])
    return Tenant(organization, False, live[0] if live else None, tuple(accounts_queries.list_keys(organization)))


@transaction.atomic
def bootstrap(
    profile: Profile,
    *,
    actor: Actor,
    now: datetime,
    plan_code: str | None = None,
    has_plan: bool = True,
    starts_at: datetime | None = None,
    owner: str = "",
) -> Tenant:
    """Create a tenant. One whose slug is taken is returned as it is: run twice, it is there once.

    ``plan_code`` None is the catalog's default plan, ``has_plan`` false none at all; ``owner`` is the address of who
    signs in, made with a new password if nobody has it. Raises what the operations behind it raise, ``CatalogEmpty``,
    and then leaves nothing.
    """
    actors.require(actor, Act.ORGANIZATIONS, None)
    found = find_tenant(profile.slug)
    if found is not None:
        return found
    organization = accounts_operations.create_organization(
        slug=profile.slug,
        name=profile.name,
        actor=actor,
        residency_region=profile.residency_region,
        zone=profile.zone,
        currency=profile.currency,
        external_id=profile.external_id,
        billing_email=profile.billing_email,
        is_sandbox=profile.clock_at is not None,
        clock_at=profile.clock_at,
    )
    password = _own(organization, owner, actor) if owner else ""
    subscription = None
    if has_plan:
        subscription = onboard.subscribe(
            organization=organization,
            plan_code=plan_code or _default_plan(),
            actor=actor,
            now=accounts_queries.now_for(organization, now),
            starts_at=starts_at,
        )
    acts = (*KEY_ACTS, Act.CLOCK) if organization.is_sandbox else KEY_ACTS
    key, secret = accounts_operations.create_key(organization=organization, name=KEY_NAME, scopes=acts, actor=actor)
    return Tenant(organization, True, subscription, (key,), secret, owner, password)


def _default_plan() -> str:
    code = catalog_queries.default_plan_code()
    if not code:
        raise CatalogEmpty("The catalog is empty: sync plans.yaml first, or create the tenant without a plan.")
    return code


def _own(organization: Organization, email: str, actor: Actor) -> str:
    """Make the person with this address the owner. Returns the password of a person that had to be created."""
    password = ""  # none: the person has one already # nosec B105
    user = User.objects.filter(email=fields.email(email, field="owner")).first()
    if user is None:
        password = secrets.token_urlsafe(12)
        user = accounts_operations.create_user(email=email, password=password)
    members.set_role(organization=organization, user=user, role=Role.OWNER, actor=actor)
    return password
