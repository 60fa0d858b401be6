"""``operations.sync``: the tables say what the file says, and subscribers stay on their version."""

from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from billing.catalog import contents, operations, parsing, queries, storage
from billing.catalog.diffing import Step
from billing.catalog.operations import ProductChanged, SyncReport
from billing.catalog.problems import CatalogInvalid
from billing.models import AuditEntry, CatalogState, Meter, Plan, PlanEntitlement, Subscription, UsageWindow
from tests.support import factories

NOW = factories.at("2026-03-01 12:00:00")
SHIPPED = Path(__file__).parents[3] / "config" / "plans.yaml"

TEXT = """\
default_plan: free
events:
  case_created: [max_cases]
  report_viewed: []
plans:
  free: {limits: {max_cases: 100}}
  pro:
    price: {USD: "49.00"}
    entitlements:
      max_cases: {limit: 1000, on_limit: overage, overage_price: {USD: {rate: "0.50", per: 10}}}
"""

pytestmark = pytest.mark.django_db


def sync(text: str = TEXT) -> SyncReport:
    return operations.sync(spec=parsing.load(text), actor="cli:ada", now=NOW)


def step_of(report: SyncReport, code: str) -> tuple[Step, int]:
    return next((step.step, step.version) for step in report.plans if step.code == code)


def subscribe(code: str) -> Subscription:
    plan = Plan.objects.get(code=code, is_current=True)
    return factories.subscription(organization=factories.organization(), plan=plan, starts_at=NOW)


def test_the_shipped_catalog_is_stored_as_it_was_read() -> None:
    spec = parsing.load(SHIPPED)
    report = operations.sync(spec=spec, actor="cli:ada", now=NOW)
    assert {step.step for step in report.plans} == {Step.CREATED}
    assert (report.default_plan, report.catalog_version, report.is_changed) == ("free", 1, True)
    plans = {plan.code: plan for plan in queries.list_current_plans()}
    for wanted in spec.plans:
        stored = storage.read(plans[wanted.code])
        assert stored == wanted
        assert stored.shelf == wanted.shelf
        assert plans[wanted.code].content_digest == contents.digest(stored)
    assert {meter.code for meter in Meter.objects.all()} == {meter.code for meter in spec.meters}


def test_a_second_sync_changes_nothing() -> None:
    operations.sync(spec=parsing.load(SHIPPED), actor="cli:ada", now=NOW)
    before = list(Plan.objects.order_by("id").values()), list(PlanEntitlement.objects.order_by("id").values())
    audited = AuditEntry.objects.count()
    report = operations.sync(spec=parsing.load(SHIPPED), actor="cli:ada", now=NOW + timedelta(hours=1))
    assert not report.is_changed
    assert {step.step for step in report.plans} == {Step.UNCHANGED}
    after = list(Plan.objects.order_by("id").values()), list(PlanEntitlement.objects.order_by("id").values())
    assert after == before
    assert AuditEntry.objects.count() == audited
    state = CatalogState.objects.get()
    assert (state.version, state.synced_at) == (1, NOW)


def test_a_file_with_a_problem_leaves_the_catalog_as_it_was() -> None:
    sync()
    with pytest.raises(CatalogInvalid):
        sync(TEXT.replace("100", "-100"))
    assert queries.catalog_version() == 1
    assert PlanEntitlement.objects.get(plan__code="free").limit == 100


def test_a_plan_without_subscribers_is_rewritten() -> None:
    sync()
    before = Plan.objects.get(code="pro")
    report = sync(TEXT.replace('"49.00"', '"59.00"').replace("per: 10", "per: 20"))
    assert step_of(report, "pro") == (Step.REWRITTEN, 1)
    assert step_of(report, "free") == (Step.UNCHANGED, 1)
    plan = Plan.objects.get(code="pro")
    assert (plan.id, plan.version) == (before.id, 1)
    assert plan.content_digest != before.content_digest
    assert queries.base_fee_minor(plan, "USD") == 5900
    assert plan.entitlements.get().prices.get().per == 20
    assert report.catalog_version == 2


def test_a_plan_in_use_gets_a_version_and_its_subscribers_stay() -> None:
    sync()
    subscription = subscribe("pro")
    report = sync(TEXT.replace('"49.00"', '"59.00"'))
    assert step_of(report, "pro") == (Step.VERSIONED, 2)
    subscription.refresh_from_db()
    assert (subscription.plan.version, subscription.plan.is_current) == (1, False)
    assert queries.base_fee_minor(subscription.plan, "USD") == 4900
    current = queries.get_plan("pro")
    assert (current.version, queries.base_fee_minor(current, "USD")) == (2, 5900)
    again = sync(TEXT.replace('"49.00"', '"59.00"'))
    assert not again.is_changed
    # Nobody has taken version 2 yet, so it is still open; a third file does not pile up versions.
    assert step_of(sync(TEXT.replace('"49.00"', '"69.00"')), "pro") == (Step.REWRITTEN, 2)


@pytest.mark.parametrize("moved_on", [True, False])
def test_a_version_that_somebody_once_had_is_kept(moved_on: bool) -> None:
    sync()
    subscription = subscribe("pro")
    if moved_on:
        factories.switch_plan(subscription, Plan.objects.get(code="free"), NOW + timedelta(days=1))
        Subscription.objects.update(plan=Plan.objects.get(code="free"))
    else:
        Subscription.objects.update(status="canceled", ended_at=NOW + timedelta(days=1))
    assert step_of(sync(TEXT.replace('"49.00"', '"59.00"')), "pro") == (Step.VERSIONED, 2)


def test_going_back_to_the_old_terms_is_a_version_too() -> None:
    sync()
    subscribe("pro")
    sync(TEXT.replace('"49.00"', '"59.00"'))
    subscribe("pro")
    assert step_of(sync(), "pro") == (Step.VERSIONED, 3)


def test_a_plan_gone_from_the_file_is_retired_and_may_come_back() -> None:
    sync()
    subscription = subscribe("pro")
    without = TEXT[: TEXT.index("  pro:")]
    assert step_of(sync(without), "pro") == (Step.RETIRED, 1)
    plan = Plan.objects.get(code="pro")
    assert (plan.is_active, plan.is_on_sale, plan.is_current) == (False, False, True)
    assert not sync(without).is_changed
    subscription.refresh_from_db()
    assert subscription.status == "active"
    assert step_of(sync(), "pro") == (Step.RESHELVED, 1)
    plan.refresh_from_db()
    assert (plan.is_active, plan.is_on_sale, plan.version) == (True, True, 1)


def test_the_shelf_is_set_without_a_version() -> None:
    sync()
    subscribe("pro")
    report = sync(TEXT.replace("  pro:\n", "  pro:\n    on_sale: false\n    order: 7\n"))
    assert step_of(report, "pro") == (Step.RESHELVED, 1)
    plan = Plan.objects.get(code="pro")
    assert (plan.is_on_sale, plan.pricing_plan.position, report.catalog_version) == (False, 7, 2)


def test_each_changed_plan_is_audited_once() -> None:
    sync()
    subscribe("pro")
    sync(TEXT.replace('"49.00"', '"59.00"'))
    entry = AuditEntry.objects.get(act="plan.versioned")
    plan = queries.get_plan("pro")
    assert (entry.actor, entry.object_type, entry.object_id, entry.organization_id) == (
        "cli:ada",
        "plan",
        str(plan.id),
        None,
    )
    assert entry.details == {
        "code": "pro",
        "version": 2,
        "changes": [{"path": "price.USD", "old": "49.00", "new": "59.00"}],
    }
    assert AuditEntry.objects.filter(act="plan.created").count() == 2


def test_the_default_plan_alone_is_a_change() -> None:
    sync()
    report = sync(TEXT.replace("default_plan: free", "default_plan: pro"))
    assert report.is_changed
    assert queries.default_plan_code() == "pro"
    assert {step.step for step in report.plans} == {Step.UNCHANGED}


# --- events ---


def test_a_new_event_is_closed_to_versions_made_before_it() -> None:
    sync()
    subscription = subscribe("pro")
    text = TEXT.replace("  report_viewed: []\n", "  report_viewed: []\n  task_run: [tasks]\n").replace(
        "{max_cases: 100}", "{max_cases: 100, tasks: 5}"
    )
    report = sync(text)
    assert report.meters_declared == ("task_run",)
    # The file says nothing new of pro, and its subscribers' version denies what it never offered.
    assert step_of(report, "pro") == (Step.UNCHANGED, 1)
    guards = queries.compiled_plan(subscription.plan_id).guards("task_run")
    assert [(guard.key, guard.enabled) for guard in guards.booleans] == [("tasks", False)]
    plan = Plan.objects.get(pk=subscription.plan_id)
    assert plan.content_digest == contents.digest(storage.read(plan))
    assert not sync(text).is_changed


def test_a_new_event_that_the_plan_now_offers_makes_a_version() -> None:
    sync()
    subscription = subscribe("free")
    text = TEXT.replace("  report_viewed: []\n", "  report_viewed: []\n  task_run: [tasks]\n").replace(
        "{max_cases: 100}", "{max_cases: 100, tasks: 5}"
    )
    report = sync(text)
    assert step_of(report, "free") == (Step.VERSIONED, 2)
    assert queries.compiled_plan(subscription.plan_id).guards("task_run").booleans[0].enabled is False
    (limit,) = queries.compiled_plan(queries.get_plan("free").id).guards("task_run").metered
    assert limit.limit == 5


def test_a_feature_that_a_version_has_opens_a_new_event_of_it() -> None:
    text = TEXT.replace("{max_cases: 100}", "{max_cases: 100, vip: true}").replace(
        "  report_viewed: []\n", "  report_viewed: [vip]\n"
    )
    sync(text)
    subscription = subscribe("free")
    report = sync(text.replace("  report_viewed: [vip]\n", "  report_viewed: [vip]\n  report_shared: [vip]\n"))
    assert step_of(report, "free") == (Step.UNCHANGED, 1)
    (guard,) = queries.compiled_plan(subscription.plan_id).guards("report_shared").booleans
    assert (guard.key, guard.enabled) == ("vip", True)


def test_an_event_that_becomes_guarded_leaves_older_versions_as_they_were() -> None:
    sync()
    subscription = subscribe("free")
    text = TEXT.replace("report_viewed: []", "report_viewed: [views]").replace(
        "{max_cases: 100}", "{max_cases: 100, views: 5}"
    )
    assert step_of(sync(text), "free") == (Step.VERSIONED, 2)
    assert queries.compiled_plan(subscription.plan_id).guards("report_viewed").booleans == ()


def test_an_event_gone_from_the_file_stays_while_it_is_needed() -> None:
    sync()
    subscription = subscribe("free")
    UsageWindow.objects.create(
        organization=subscription.organization,
        subscription=subscription,
        meter_id="report_viewed",
        cadence="monthly",
        starts_at=factories.at("2026-03-01"),
        ends_at=factories.at("2026-04-01"),
        used=1,
        overage=0,
        events=1,
    )
    without = "default_plan: free\nevents: {x: []}\nplans: {free: {}, pro: {}}\n"
    report = sync(without)
    # One was counted, the other is guarded by the version that free's subscriber has.
    assert (report.meters_kept, report.meters_removed) == (("case_created", "report_viewed"), ())
    assert not sync(without).is_changed
    assert queries.diff_settings(parsing.load(without)) == []


def test_an_event_that_nobody_needs_is_forgotten() -> None:
    sync()
    report = sync("default_plan: free\nevents: {x: []}\nplans: {free: {}, pro: {}}\n")
    assert report.meters_removed == ("case_created", "report_viewed")
    assert list(Meter.objects.values_list("code", flat=True)) == ["x"]


def test_words_about_an_event_may_change() -> None:
    sync()
    report = sync(TEXT.replace("report_viewed: []", "report_viewed: {unit: view, description: A report was read}"))
    assert report.meters_changed == ("report_viewed",)
    meter = Meter.objects.get(code="report_viewed")
    assert (meter.unit, meter.description) == ("view", "A report was read")


def test_nothing_in_use_moves_to_another_product() -> None:
    sync()
    moved = "default_plan: free\nevents: {case_created: {guards: [max_cases], product: lab}, report_viewed: []}\n"
    plans = "plans: {free: {}, pro: {product: lab, limits: {max_cases: 1}}}\n"
    subscribe("pro")
    with pytest.raises(ProductChanged, match="plan 'pro'"):
        sync(moved + plans)
    with pytest.raises(ProductChanged, match="event 'case_created'"):
        sync(moved + plans.replace("pro:", "lab:"))
    assert queries.catalog_version() == 1


def test_what_nobody_uses_may_move() -> None:
    sync()
    moved = "default_plan: free\nevents: {case_created: {guards: [max_cases], product: lab}, report_viewed: []}\n"
    report = sync(moved + "plans: {free: {}, pro: {product: lab, limits: {max_cases: 1}}}\n")
    assert step_of(report, "pro") == (Step.REWRITTEN, 1)
    assert Meter.objects.get(code="case_created").product == "lab"


def test_the_report_is_plain() -> None:
    report = sync().as_dict()
    assert report == {
        "changed": True,
        "catalog_version": 1,
        "default_plan": "free",
        "plans": [
            {"code": "free", "step": "created", "version": 1},
            {"code": "pro", "step": "created", "version": 1},
        ],
        "meters": {"declared": ["case_created", "report_viewed"], "changed": [], "removed": [], "kept": []},
    }


def test_exact_decimals_survive_the_tables() -> None:
    text = TEXT.replace('rate: "0.50", per: 10', 'rate: "0.000000000001", per: "0.000001"')
    sync(text)
    price = PlanEntitlement.objects.get(plan__code="pro").prices.get()
    assert (price.rate, price.per) == (Decimal("0.000000000001"), Decimal("0.000001"))
    assert not sync(text).is_changed
