"""Demo tenants for a first look, made through the same operations as real ones."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from django.db import transaction

from billing.accounts import members
from billing.accounts import operations as accounts_operations
from billing.accounts import queries as accounts_queries
from billing.accounts.actors import SCOPES, Act, system
from billing.catalog import queries as catalog_queries
from billing.infra import locks
from billing.lifecycle import clock, onboard, usage
from billing.metering.offers import Offer
from billing.models import Organization, Role, User

DEMO = system("demo")
LOGIN = "owner@demo.example"
HISTORY = timedelta(days=60)
PLATFORM_ACTS = tuple(SCOPES)
ORGANIZATION_ACTS = (Act.READ, Act.USAGE, Act.SUBSCRIBE, Act.PREVIEW)
# What a day at the demo tenant looks like, by event.
DAY = {"case_created": 3, "evaluation_run": 5, "document_generated": 2, "llm_context_tokens": 420_000}


@dataclass(frozen=True, slots=True)
class DemoAccess:
    """How to get in. The database holds only hashes of the keys and the password."""

    organization: str
    api_key: str
    platform_key: str
    login: str
    password: str


def load_demo(*, known: DemoAccess | None, now: datetime) -> DemoAccess:
    """Make the demo tenants once: ``demo`` in real time, ``demo-free``, and ``demo-sandbox`` with a month behind it.

    ``known`` is what an earlier call returned; without it (the caller lost it) new keys and a new password are made.
    """
    with transaction.atomic():
        locks.lock_catalog()
        organization = Organization.objects.filter(slug="demo").first() or _create(now)
        if known is not None and accounts_queries.find_key(known.api_key, now) is not None:
            return known
        return _access(organization)


def _create(now: datetime) -> Organization:
    demo = _tenant("demo", "Demo Laboratory", "team", now)
    _tenant("demo-free", "Demo Free", "free", now)
    began = now - HISTORY
    sandbox = accounts_operations.create_organization(
        slug="demo-sandbox", name="Demo Sandbox", is_sandbox=True, clock_at=began, actor=DEMO
    )
    onboard.subscribe(organization=sandbox, plan_code=_plan("team"), actor=DEMO, now=began)
    for day in range(0, HISTORY.days, 4):
        at = began + timedelta(days=day)
        if day:
            clock.advance(organization=sandbox, to=at, actor=DEMO)
        _use(sandbox, at)
    clock.advance(organization=sandbox, to=now, actor=DEMO)
    _use(demo, now)
    return demo


def _tenant(slug: str, name: str, plan: str, now: datetime) -> Organization:
    organization = accounts_operations.create_organization(slug=slug, name=name, actor=DEMO)
    onboard.subscribe(organization=organization, plan_code=_plan(plan), actor=DEMO, now=now)
    return organization


def _plan(wanted: str) -> str:
    """``wanted``, or the default plan where the catalog is somebody's own and has no such plan."""
    plan = catalog_queries.find_current_plan(wanted)
    return wanted if plan is not None and plan.is_active else catalog_queries.default_plan_code()


def _use(organization: Organization, at: datetime) -> None:
    usage.record(
        [
            Offer(organization, meter, Decimal(quantity), key=f"{at:%Y-%m-%d}:{meter}", source="demo")
            for meter, quantity in DAY.items()
        ],
        now=at,
    )


def _access(organization: Organization) -> DemoAccess:
    password = secrets.token_urlsafe(12)
    user = User.objects.filter(email=LOGIN).first()
    if user is None:
        user = accounts_operations.create_user(email=LOGIN, password=password, name="Demo Owner")
    else:
        user.set_password(password)
        user.save(update_fields=["password"])
    for slug in ("demo", "demo-free", "demo-sandbox"):
        members.set_role(organization=Organization.objects.get(slug=slug), user=user, role=Role.OWNER, actor=DEMO)
    _, api_key = accounts_operations.create_key(
        organization=organization, name="demo", scopes=ORGANIZATION_ACTS, actor=DEMO
    )
    _, platform_key = accounts_operations.create_key(
        organization=None, name="demo platform", scopes=PLATFORM_ACTS, actor=DEMO
    )
    return DemoAccess(organization.slug, api_key, platform_key, LOGIN, password)
