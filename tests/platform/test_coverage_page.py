"""``docs/coverage.md`` says where each statement of the source documents is: it has to be true, and complete."""

from __future__ import annotations

import logging
import re
from pathlib import Path

import pytest
from django.db import connection
from django.urls import resolve
from django.utils import timezone

from billing import enforcement, policy
from billing.lifecycle import change_plan, onboard
from billing.payments.stripe_like import StripeLikeAdapter
from billing.reporting import metrics
from billing.service import BillingQuotaOutcome, BillingService, PlanLimitError
from tests.support import catalogs, factories
from tests.support.api import CLI

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "coverage.md").read_text()
# What the documents put in code marks, as they write it.
NAMES = (
    """
0044_billing_foundations.sql|BillingQuotaOutcome|BillingService::enforce_quota|BillingService::upsert_subscription
BillingService|GET /api/billing/plans|GET/POST /api/billing/organizations/:id/subscription|None
POST /api/billing/organizations/:id/quotas/check|StripeLikeAdapter|active_subscription|active|backend/src/billing/api.rs
billing:*|billing:error:*|billing:quota-exceeded:*|billing:subscription-missing|billing_plan_entitlements|billing_plans
enforce_quota|evaluation_required|governance_required|key: commercialization-doc -> billing,subscriptions
mcpctl billing ...|organization_subscriptions|record_usage|subscription_usage_ledger|trialing|upsert_subscription
POST /api/billing/organizations/{organization_id}/subscriptions|POST /api/billing/usage
frontend/app/marketplace/page.tsx|POST /api/billing/subscriptions/{subscription_id}/credits/adjust
POST /api/billing/subscriptions/{subscription_id}/invoices/draft|marketplace_credit_ledger|marketplace_invoices
marketplace_pricing_plans|marketplace_subscriptions|marketplace_usage_events|/api/v1/case-lifecycle/*|/api/v1/cases
/api/v1/cases/evaluate|/internal/metrics|20251210_m45_billing_plan_state|GET /api/v1/admin/billing/portal-url
GET /api/v1/admin/billing/state|GET /api/v1/admin/billing/usage|POST /api/v1/admin/billing/update-plan|PlanLimitError
apply_plan_limits(tenant_id, event_name)|backend/src/app/api/routes/billing_admin.py|billing_events_total|case_created
backend/src/app/services/billing_service.py|backend/tests/billing/|component=billing|config/plans.yaml|default_plan
document_generated|document_generation_enabled|evaluation_run|express_entry_enabled|get_plan_status(tenant_id)
get_usage_snapshot(tenant_id)|lifecycle_transition|lifecycle_transitions_enabled|limits|max_cases
max_evaluations_per_month|plan_code|plan_limit_violations_total|record_usage_event(tenant_id, event_name)|renewal_date
set_plan_status(...)|subscription_status|tenant_billing_state|usage_counters
{error: "plan_limit_exceeded", detail: ...}
""".strip()
    .replace("\n", "|")
    .split("|")
)
METHODS = (
    *("active_subscription", "enforce_quota", "record_usage", "upsert_subscription", "get_plan_status"),
    *("set_plan_status", "record_usage_event", "get_usage_snapshot", "apply_plan_limits"),
)


def rows(upto: str = "## Other form") -> list[list[str]]:
    """The cells of the tables: what is said, the code, the test."""
    lines = [line for line in PAGE.partition(upto)[0].splitlines() if line.startswith("| ")]
    return [
        [cell.strip() for cell in line.strip("|").split(" | ")] for line in lines if "the document says" not in line
    ]


def quoted(text: str) -> list[str]:
    return re.findall(r"`([^`]+)`", text)


def test_every_statement_names_its_code_and_its_test() -> None:
    assert len(rows()) > 60
    for row in rows():
        assert len(row) == 3, row
        assert quoted(row[1]), row
        assert quoted(row[2]), row


def test_every_file_is_there() -> None:
    missing = [path for row in rows() for path in quoted(row[1]) if not (ROOT / path).exists()]
    assert missing == []


def test_every_test_is_there() -> None:
    missing = []
    for row in rows():
        for name in quoted(row[2]):
            path, _, function = name.partition("::")
            file = ROOT / path
            if not file.exists() or f"\ndef {function}(" not in file.read_text():
                missing.append(name)
    assert missing == []


def test_no_name_of_the_documents_is_left_out() -> None:
    named = set(quoted(PAGE))
    assert [name for name in NAMES if name not in named] == []


def test_every_path_is_routed() -> None:
    found = {path for text in quoted(PAGE) for path in re.findall(r"^(?:[A-Z/]+ )?(/(?:api|internal)/\S+)$", text)}
    assert len(found) > 12
    for path in found:
        # Of an example path: whichever transition of whichever case.
        tried = path.replace("*", "1/submit")
        resolve(re.sub(r":\w+|\{\w+\}", "1", tried))


@pytest.mark.django_db
def test_every_table_is_there() -> None:
    with connection.cursor() as cursor:
        there = set(connection.introspection.table_names(cursor, include_views=True))
    named = {
        name
        for name in NAMES
        if re.fullmatch(r"(billing_plan|marketplace|organization|subscription_usage|tenant)\w+s?", name)
    }
    wanted = {name for name in named if name not in ("subscription_status", "organization_id")}
    assert len(wanted) == 10
    assert wanted <= there


def test_every_method_and_class_is_there() -> None:
    for name in METHODS:
        assert callable(getattr(BillingService, name)), name
    assert BillingQuotaOutcome.__name__ == "BillingQuotaOutcome"
    assert StripeLikeAdapter.__name__ == "StripeLikeAdapter"
    assert issubclass(PlanLimitError, Exception)
    assert callable(policy.evaluate)
    assert callable(enforcement.enforce)


@pytest.mark.django_db
def test_every_metric_is_exported() -> None:
    exported = {sample.name for family in metrics.list_families(timezone.now()) for sample in family.samples}
    families = {family.name for family in metrics.list_families(timezone.now())}
    for name in ("billing_events_total", "plan_limit_violations_total"):
        assert name in exported or name.removesuffix("_total") in families, name


@pytest.mark.django_db
def test_a_plan_update_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    catalogs.sync()
    acme = factories.sandbox(clock_at=factories.at("2026-01-01"))
    subscription = onboard.subscribe(organization=acme, plan_code="free", actor=CLI, now=factories.at("2026-01-01"))
    with caplog.at_level(logging.INFO, logger="billing"):
        change_plan.change_now(subscription=subscription, plan_code="team", actor=CLI, now=factories.at("2026-01-02"))
    assert "plan.updated" in [record.getMessage() for record in caplog.records]
