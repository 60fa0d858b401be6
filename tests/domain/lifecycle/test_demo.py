"""The demo tenants: made once, and sound."""

from pathlib import Path

import pytest
from django.conf import settings
from django.utils import timezone

from billing.accounts import queries as accounts_queries
from billing.catalog import operations, parsing
from billing.lifecycle import demo
from billing.models import ApiKey, Invoice, Organization, UsageEvent
from billing.reporting.doctor import verify
from tests.support import catalogs

pytestmark = pytest.mark.django_db


def sync_shipped() -> None:
    spec = parsing.load(Path(settings.BILLING_PLANS_FILE))
    operations.sync(spec=spec, actor="test", now=timezone.now())


def test_the_shipped_catalog_gives_tenants_with_use_and_an_invoice() -> None:
    sync_shipped()
    access = demo.load_demo(known=None, now=timezone.now())
    assert accounts_queries.find_key(access.api_key, timezone.now()) is not None
    assert set(Organization.objects.values_list("slug", flat=True)) == {"demo", "demo-free", "demo-sandbox"}
    assert UsageEvent.objects.filter(organization__slug="demo").count() == len(demo.DAY)
    assert Invoice.objects.filter(organization__slug="demo-sandbox").exists()
    assert verify() == []


def test_a_second_start_adds_nothing_and_a_lost_secret_makes_new_ones() -> None:
    sync_shipped()
    access = demo.load_demo(known=None, now=timezone.now())
    keys, events = ApiKey.objects.count(), UsageEvent.objects.count()
    assert demo.load_demo(known=access, now=timezone.now()) == access
    assert (ApiKey.objects.count(), UsageEvent.objects.count()) == (keys, events)
    renewed = demo.load_demo(known=None, now=timezone.now())
    assert renewed.api_key != access.api_key
    assert UsageEvent.objects.count() == events


def test_a_catalog_of_ones_own_will_do() -> None:
    catalogs.sync(
        "default_plan: only\nevents: {case_created: [max_cases]}\nplans: {only: {name: Only, limits: {max_cases: 5}}}\n"
    )
    access = demo.load_demo(known=None, now=timezone.now())
    assert access.organization == "demo"
    assert verify() == []
