"""The face that host products use, and ``tenant_billing_state``, which always agrees with the tables."""

import logging
import random
from collections import defaultdict
from datetime import date, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from django.db import connection, transaction

from billing import BillingService
from billing.accounts import actors
from billing.kernel.errors import LimitExceeded
from billing.lifecycle import cancel, clock, onboard, pending
from billing.lifecycle.quota import IdempotencyConflict, PlanLimitError, UsageInvalid
from billing.lifecycle.tenant_state import NothingToSet
from billing.models import Organization, RefusalCount, Subscription, TenantBillingState, UsageEvent, UsageWindow
from billing.reporting.tenant_state import EventUsage
from tests.support import catalogs, factories

OPERATOR = actors.operator("test")
START = factories.at("2025-11-01T09:00:00")

pytestmark = pytest.mark.django_db


def tenant(plan: str = "team", **fields: object) -> Organization:
    catalogs.sync()
    organization = factories.sandbox(clock_at=START, **fields)
    onboard.subscribe(organization=organization, plan_code=plan, actor=OPERATOR, now=START)
    return organization


def recounted(organization: Organization) -> dict[str, EventUsage]:
    """The counters from the events alone, without a window and without SQL of ours."""
    totals: dict[str, Decimal] = defaultdict(Decimal)
    months: dict[str, dict[str, Decimal]] = defaultdict(lambda: defaultdict(Decimal))
    for event in UsageEvent.objects.filter(organization=organization):
        local = event.occurred_at.astimezone(ZoneInfo(organization.zone))
        totals[event.meter_id] += event.quantity
        months[event.meter_id][f"{local:%Y-%m}"] += event.quantity
    return {event: EventUsage(total, dict(months[event])) for event, total in totals.items()}


@pytest.mark.parametrize("zone", ["UTC", "America/St_Johns", "Pacific/Kiritimati", "Europe/Berlin"])
def test_the_view_agrees_with_the_tables_whatever_happens(zone: str) -> None:
    organization, dice = tenant(zone=zone), random.Random(zone)  # noqa: S311

    def use() -> None:
        late = organization.clock_at - timedelta(hours=dice.randrange(30 * 24)) if organization.clock_at else None
        BillingService.enforce_quota(
            organization,
            dice.choice(["case_created", "tokens", "free_form"]),
            Decimal(dice.randrange(1, 900)) / 100,
            record_usage=True,
            occurred_at=dice.choice([None, late]),
        )

    def undone() -> None:
        with transaction.atomic():
            use()
            transaction.set_rollback(True)

    def pass_time() -> None:
        to = (organization.clock_at or START) + timedelta(hours=dice.randrange(1, 300))
        clock.advance(organization=organization, to=to, actor=OPERATOR)

    def change() -> None:
        plan = dice.choice(["team", "scale"])
        BillingService.upsert_subscription(organization, plan, actor=OPERATOR, at_period_end=dice.random() < 0.5)

    def leave() -> None:
        live = Subscription.objects.filter(organization=organization, ended_at=None).first()
        if live is not None and dice.random() < 0.3:
            cancel.cancel_now(subscription=live, actor=OPERATOR, now=organization.clock_at or START)
            BillingService.upsert_subscription(organization, "team", actor=OPERATOR)

    for _ in range(25):
        dice.choice([use, use, use, undone, pass_time, change, leave])()
        organization.refresh_from_db()
        assert BillingService.get_usage_snapshot(organization) == recounted(organization)
        active = Subscription.objects.get(organization=organization, ended_at=None)
        period = active.periods.get(
            starts_at__lte=organization.clock_at or START, ends_at__gt=organization.clock_at or START
        )
        row = TenantBillingState.objects.get(organization=organization)
        assert (row.plan_code, row.subscription_status) == (active.plan.code, active.status)
        assert row.renewal_date == period.ends_at.astimezone(ZoneInfo(zone)).date()
    assert UsageEvent.objects.exists()


def test_a_sandbox_lives_by_its_own_clock_in_the_view_too() -> None:
    organization = tenant()
    assert BillingService.get_plan_status(organization).renewal_date == date(2025, 12, 1)
    clock.advance(organization=organization, to=factories.at("2026-02-14"), actor=OPERATOR)
    status = BillingService.get_plan_status(organization)
    assert (status.plan_code, status.renewal_date) == ("team", date(2026, 3, 1))


def test_whoever_leaves_at_the_periods_end_does_not_renew() -> None:
    organization = tenant()
    live = Subscription.objects.get(organization=organization)
    pending.cancel_at_period_end(subscription=live, actor=OPERATOR, now=START)
    assert BillingService.get_plan_status(organization).renewal_date is None
    clock.advance(organization=organization, to=factories.at("2026-01-01"), actor=OPERATOR)
    status = BillingService.get_plan_status(organization)
    assert (status.plan_code, status.subscription_status, status.limits) == ("team", "canceled", {})


def test_every_organization_has_a_row_and_the_view_is_read_with_the_readers_rights() -> None:
    organization = factories.organization()
    row = TenantBillingState.objects.get(organization=organization)
    assert (row.plan_code, row.subscription_status, row.renewal_date, row.usage_counters) == (None, "none", None, {})
    with connection.cursor() as cursor:
        cursor.execute("SELECT reloptions FROM pg_class WHERE relname = 'tenant_billing_state'")
        assert cursor.fetchone() == (["security_invoker=true"],)
        cursor.execute("SELECT tenant_id, plan_code, subscription_status, renewal_date, usage_counters "
                       "FROM tenant_billing_state WHERE tenant_id = %s", [organization.id])  # fmt: skip
        assert cursor.fetchone()[0] == organization.id


@pytest.mark.parametrize(("before", "quantity", "passes"), [(497, 2, True), (497, 3, True), (497, 4, False)])
def test_plan_limits_are_applied_and_nothing_is_counted(before: int, quantity: int, passes: bool) -> None:
    organization = tenant()
    BillingService.record_usage_event(organization, "case_created", before)
    if passes:
        assert BillingService.apply_plan_limits(organization, "case_created", quantity).allowed
    else:
        with pytest.raises(PlanLimitError) as caught:
            BillingService.apply_plan_limits(organization, "case_created", quantity)
        assert isinstance(caught.value, LimitExceeded)
        assert caught.value.as_dict() == {
            "error": "plan_limit_exceeded",
            "detail": "max_cases: 497 of 500 are used and 4 more were asked for.",
        }
        assert RefusalCount.objects.get(note="billing:quota-exceeded:max_cases").count == 1
    assert UsageWindow.objects.get(cadence="never").used == before


def test_recording_counts_once_and_refuses_beyond_the_limit(caplog: pytest.LogCaptureFixture) -> None:
    organization = tenant("free")
    with caplog.at_level(logging.INFO, logger="billing"):
        first = BillingService.record_usage_event(organization, "case_created", 3, idempotency_key="k")
        again = BillingService.record_usage_event(organization, "case_created", 3, idempotency_key="k")
        with pytest.raises(PlanLimitError):
            BillingService.record_usage_event(organization.slug, "case_created")
    assert (first.recorded, first.duplicate, again.duplicate, first.event_id) == (True, False, True, again.event_id)
    assert BillingService.get_usage_snapshot(organization) == {
        "case_created": EventUsage(Decimal(3), {"2025-11": Decimal(3)})
    }
    told = [record.getMessage() for record in caplog.records if record.getMessage().startswith("usage.")]
    assert told == ["usage.recorded", "usage.refused"]
    with pytest.raises(IdempotencyConflict):
        BillingService.record_usage_event(organization, "case_created", 2, idempotency_key="k")
    with pytest.raises(UsageInvalid):
        BillingService.record_usage_event(organization, "undeclared")


def test_the_state_is_set_by_what_the_actor_may() -> None:
    organization = tenant()
    with pytest.raises(NothingToSet):
        BillingService.set_plan_status(organization, actor=OPERATOR)
    done = BillingService.set_plan_status(
        organization, actor=OPERATOR, plan_code="scale", renewal_date=date(2025, 11, 20)
    )
    assert (done.plan_code, done.renewal_date, done.limits["max_cases"]) == ("scale", date(2025, 11, 20), None)
    paused = BillingService.set_plan_status(organization, actor=OPERATOR, status="paused")
    assert paused.subscription_status == "paused"
    with pytest.raises(PlanLimitError, match="No subscription in service"):
        BillingService.apply_plan_limits(organization, "case_created")


@pytest.mark.parametrize("zone", ["UTC", "America/Santiago", "Africa/Cairo"])
def test_a_renewal_date_begins_where_its_day_does(zone: str) -> None:
    organization = tenant(zone=zone)
    done = BillingService.set_plan_status(organization, actor=OPERATOR, renewal_date=date(2025, 11, 21))
    assert done.renewal_date == date(2025, 11, 21)
    period = Subscription.objects.get(organization=organization).periods.get()
    assert period.ends_at.astimezone(ZoneInfo(zone)).replace(tzinfo=None).isoformat() == "2025-11-21T00:00:00"
