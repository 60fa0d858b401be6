"""Fill the database of a run; writes what the load needs as JSON.

python -m bench.populate ORGANIZATIONS            organizations, and a platform key
python -m bench.populate sandbox INSTANT          a sandbox whose clock stands a month after INSTANT
python -m bench.populate visitor                  an owner of "load" who has signed in
"""

from __future__ import annotations

import hashlib
import json
import secrets
import sys
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import django
from django.core.management import call_command
from django.db import connection

CATALOG = Path(__file__).with_name("catalog.yaml")
METER_LINES = ("reads", "writes", "scans", "moves")


def populate(organizations: int) -> dict[str, str]:
    # After django.setup(), which models need.
    from bench import cloning
    from billing.accounts import actors
    from billing.accounts import operations as accounts
    from billing.catalog import operations as catalog
    from billing.catalog import parsing
    from billing.lifecycle import onboard
    from billing.metering.offers import Offer
    from billing.service import BillingService

    call_command("migrate", interactive=False, verbosity=0, run_syncdb=True)
    call_command("collectstatic", interactive=False, verbosity=0)
    operator, now = actors.operator("bench"), datetime.now(UTC)
    catalog.sync(spec=parsing.load(CATALOG), actor="system:bench", now=now)
    _, key = accounts.create_key(
        organization=None, name="bench", scopes=["read", "usage", "credits", "invoices", "preview"], actor=operator
    )

    def found(slug: str, began: datetime) -> None:
        organization = accounts.create_organization(slug=slug, name=slug.title(), actor=operator)
        onboard.subscribe(organization=organization, plan_code="bench", actor=operator, now=began)
        used = began + timedelta(days=1)
        offers = [
            Offer(organization, meter, Decimal(25), meter, occurred_at=used if used < now else None)
            for meter in METER_LINES
        ]
        BillingService.record_usage(offers, now=min(used + timedelta(hours=1), now))
        cloning.clone(organization, range(1, organizations + 1))

    _populate_naive(key, organizations)
    # Those that the load falls on, and those whose first month just ended and is not drafted yet.
    found("load", now - timedelta(hours=3))
    found("ended", now - timedelta(days=31, hours=3))
    return {"key": key}


def found_sandbox(began: datetime) -> dict[str, str]:
    """An organization called "traffic" for use of some month of the past."""
    from billing.accounts import actors
    from billing.accounts import operations as accounts
    from billing.lifecycle import clock, onboard
    from billing.models import Organization

    operator = actors.operator("bench")
    if not Organization.objects.filter(slug="traffic").exists():
        organization = accounts.create_organization(
            slug="traffic", name="Traffic", is_sandbox=True, clock_at=began, actor=operator
        )
        onboard.subscribe(organization=organization, plan_code="bench", actor=operator, now=began)
        clock.advance(organization=organization, to=began + timedelta(days=20), actor=operator)
    return {}


def sign_in() -> dict[str, str]:
    """The cookie of a new owner of the organization "load"."""
    from django.conf import settings
    from django.test import Client

    from billing.accounts import operations as accounts
    from billing.models import Membership, Organization, Role

    user = accounts.create_user(email="owner@example.com", password=secrets.token_urlsafe())
    Membership.objects.create(organization=Organization.objects.get(slug="load"), user=user, role=Role.OWNER)
    client = Client()
    client.force_login(user)
    return {"cookie": f"{settings.SESSION_COOKIE_NAME}={client.cookies[settings.SESSION_COOKIE_NAME].value}"}


def _populate_naive(key: str, organizations: int) -> None:
    from bench.references import models

    models.NaiveKey.objects.create(digest=hashlib.sha256(key.encode()).hexdigest())
    models.NaiveLimit.objects.create(plan="bench", meter="calls", limit=None, credits_per_unit=Decimal("0.001"))
    slugs = ["load", *(f"load-{number}" for number in range(1, organizations + 1))]
    rows = models.NaiveOrganization.objects.bulk_create(models.NaiveOrganization(slug=slug) for slug in slugs)
    models.NaiveSubscription.objects.bulk_create(models.NaiveSubscription(organization=each) for each in rows)
    models.NaiveAccount.objects.bulk_create(
        models.NaiveAccount(organization=each, balance=Decimal(1_000_000)) for each in rows
    )
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")


if __name__ == "__main__":
    django.setup()
    what = sys.argv[1]
    if what == "sandbox":
        told = found_sandbox(datetime.fromisoformat(sys.argv[2]))
    else:
        told = sign_in() if what == "visitor" else populate(int(what))
    sys.stdout.write(f"{json.dumps(told)}\n")
