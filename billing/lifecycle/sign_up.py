"""Coming by oneself: a person, their organization, and the plan that the catalog gives to begin with."""

from __future__ import annotations

import re
import secrets
import unicodedata
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction

from billing.accounts import actors, members
from billing.accounts import operations as accounts_operations
from billing.accounts import queries as accounts_queries
from billing.catalog import queries as catalog_queries
from billing.catalog.queries import CurrencyNotSold
from billing.infra import locks
from billing.kernel import ids
from billing.lifecycle import onboard
from billing.models import Organization, Plan, Role, Subscription, User

SIGN_UP = actors.system("sign_up")
SLUG_LENGTH_MAX = 50


@dataclass(frozen=True, slots=True)
class SignedUp:
    user: User
    organization: Organization
    subscription: Subscription | None


@transaction.atomic
def sign_up(
    *,
    email: str,
    password: str,
    organization_name: str,
    now: datetime,
    name: str = "",
    zone: str = "UTC",
    currency: str = "USD",
    has_plan: bool = True,
) -> SignedUp:
    """Make a person, an organization that they own, and its subscription of the default plan: all or nothing.

    The default plan is given where it costs nothing or begins with a trial, and is sold in ``currency``: nobody is
    signed up to a bill. ``has_plan`` false leaves the choice to them. Raises ``UserExists`` and ``Invalid``.
    """
    # Held until the end: the name that is free now is free when it is taken.
    locks.lock_names()
    user = accounts_operations.create_user(email=email, password=password, name=name)
    organization = accounts_operations.create_organization(
        slug=_free_slug(organization_name),
        name=organization_name,
        zone=zone,
        currency=currency,
        billing_email=user.email,
        actor=SIGN_UP,
    )
    members.set_role(organization=organization, user=user, role=Role.OWNER, actor=SIGN_UP)
    plan = _plan_to_begin_with(currency) if has_plan else None
    subscription = None
    if plan is not None:
        subscription = onboard.subscribe(
            organization=organization, plan_code=plan.code, actor=actors.for_user(user), now=now
        )
    return SignedUp(user, organization, subscription)


def _plan_to_begin_with(currency: str) -> Plan | None:
    plan = catalog_queries.find_current_plan(catalog_queries.default_plan_code())
    if plan is None or not (plan.is_active and plan.is_on_sale):
        return None
    try:
        fee = catalog_queries.base_fee_minor(plan, currency)
    except CurrencyNotSold:
        return None
    return None if fee and not plan.trial_days else plan


def _free_slug(name: str) -> str:
    """``"Müller & Söhne"`` → ``"muller-sohne"``, with four more characters where that is somebody's already."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    slug = re.sub(r"[^a-z0-9]+", "-", plain)[:SLUG_LENGTH_MAX].strip("-")
    wanted = slug
    while not wanted or ids.parse_uuid(wanted) is not None or accounts_queries.find_organization(wanted) is not None:
        wanted = f"{slug or 'organization'}-{secrets.token_hex(2)}"
    return wanted
