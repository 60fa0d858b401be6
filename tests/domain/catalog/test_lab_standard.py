"""The plan that an empty sandbox is given, once."""

import pytest

from billing.catalog import operations, parsing, queries
from billing.models import AuditEntry, Plan
from tests.support import factories

NOW = factories.at("2026-03-01")

pytestmark = pytest.mark.django_db


def test_an_empty_catalog_gets_lab_standard_once() -> None:
    operations.bootstrap_lab_standard(now=NOW)
    operations.bootstrap_lab_standard(now=NOW)
    (plan,) = queries.list_plans_for_shop()
    assert (plan.code, plan.name, plan.version) == ("lab_standard", "Lab Standard", 1)
    assert queries.default_plan_code() == "lab_standard"
    assert queries.products_by_meter().keys() == parsing.DOCUMENTED_EVENTS.keys()
    assert AuditEntry.objects.get(act="plan.created").actor == "system:lab-standard"


def test_any_plan_at_all_keeps_it_away() -> None:
    Plan.objects.filter(pk=factories.plan().pk).update(is_active=False, is_on_sale=False)
    operations.bootstrap_lab_standard(now=NOW)
    assert not Plan.objects.filter(code="lab_standard").exists()


def test_a_catalog_file_replaces_it() -> None:
    operations.bootstrap_lab_standard(now=NOW)
    operations.sync(spec=parsing.load("default_plan: a\nplans: {a: {}}\n"), actor="cli:ada", now=NOW)
    assert [plan.code for plan in queries.list_plans_for_shop()] == ["a"]
