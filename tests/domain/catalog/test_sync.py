"""``operations.sync``: the tables say what the file says, and subscribers stay on their version."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from billing.catalog import operations, parsing, queries
from billing.catalog.diffing import Step
from billing.models import AuditEntry, CatalogState, Plan

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SHIPPED = Path(__file__).parents[3] / "config" / "plans.yaml"

pytestmark = pytest.mark.django_db


def test_the_shipped_catalog_is_synced_once():
    spec = parsing.load(SHIPPED)
    first = operations.sync(spec=spec, actor="cli:test", now=NOW)
    assert first.is_changed
    second = operations.sync(spec=spec, actor="cli:test", now=NOW + timedelta(hours=1))
    assert not second.is_changed
    assert {s.step for s in second.plans} == {Step.UNCHANGED}
