"""One question, one structured answer."""

from decimal import Decimal

import pytest

from billing import BillingService
from billing.accounts import actors
from billing.kernel.errors import NotFound
from billing.lifecycle import onboard
from billing.lifecycle.quota import EntitlementAmbiguous, IdempotencyConflict, UsageInvalid
from billing.models import Organization, Subscription, UsageEvent, UsageWindow
from tests.support import catalogs, factories

pytestmark = pytest.mark.django_db
NOW = factories.at("2026-03-10 12:00:00")


@pytest.fixture
def organization() -> Organization:
    catalogs.sync()
    organization = factories.sandbox(clock_at=NOW, slug="acme", external_id="crm-7")
    onboard.subscribe(organization=organization, plan_code="free", actor=actors.operator("test"), now=NOW)
    return organization


def test_checking_changes_nothing_and_tells_where_it_stands(organization: Organization) -> None:
    outcome = BillingService.enforce_quota(organization, "case_created", 2)
    assert (outcome.allowed, outcome.entitlement, outcome.limit, outcome.used, outcome.remaining) == (
        True,
        "max_cases",
        3,
        0,
        3,
    )
    assert (outcome.recorded, outcome.event_id, outcome.resets_at) == (False, None, None)
    assert not UsageEvent.objects.exists()
    assert not UsageWindow.objects.exists()


@pytest.mark.parametrize("reference", ["acme", "crm-7", "id"])
def test_an_organization_goes_by_any_of_its_names(organization: Organization, reference: str) -> None:
    named = str(organization.id) if reference == "id" else reference
    assert BillingService.enforce_quota(named, "max_cases").allowed


def test_an_unknown_organization_is_not_found(organization: Organization) -> None:
    with pytest.raises(NotFound):
        BillingService.enforce_quota("nobody", "case_created")


def test_recording_shows_the_use_it_made_also_when_it_is_repeated(organization: Organization) -> None:
    first = BillingService.enforce_quota(organization, "case_created", 2, record_usage=True, idempotency_key="k")
    again = BillingService.enforce_quota(organization, "case_created", 2, record_usage=True, idempotency_key="k")
    assert (first.used, first.remaining, first.recorded, first.duplicate) == (2, 1, True, False)
    assert (again.used, again.limit, again.remaining, again.duplicate) == (2, 3, 1, True)
    assert again.event_id == first.event_id
    assert UsageEvent.objects.count() == 1
    with pytest.raises(IdempotencyConflict):
        BillingService.enforce_quota(organization, "case_created", 1, record_usage=True, idempotency_key="k")


def test_a_repeated_use_is_counted_though_nothing_new_can_be(organization: Organization) -> None:
    real = factories.organization()
    onboard.subscribe(organization=real, plan_code="team", actor=actors.operator("test"), now=NOW)
    first = BillingService.enforce_quota(real, "case_created", record_usage=True, idempotency_key="k", now=NOW)
    Subscription.objects.filter(organization=real).update(parked_at=NOW, parked_reason="a price was missing")
    later = factories.at("2026-04-11")
    again = BillingService.enforce_quota(real, "case_created", record_usage=True, idempotency_key="k", now=later)
    assert (again.allowed, again.duplicate, again.event_id) == (True, True, first.event_id)
    other = BillingService.enforce_quota(real, "case_created", record_usage=True, idempotency_key="l", now=later)
    assert (other.allowed, other.notes) == (False, ("billing:error:renewal-stuck",))


def test_a_refusal_says_why_and_what_would_help(organization: Organization) -> None:
    daily = BillingService.enforce_quota(organization, "api_call", 6, record_usage=True)
    assert (daily.allowed, daily.notes) == (False, ("billing:quota-exceeded:max_api_calls_per_day",))
    assert daily.resets_at == factories.at("2026-03-11")
    assert [remedy["action"] for remedy in daily.remedies] == ["wait", "change_plan"]
    feature = BillingService.enforce_quota(organization, "express_entry_enabled")
    assert (feature.allowed, feature.notes) == (False, ("billing:feature-disabled:express_entry_enabled",))
    unlisted = BillingService.enforce_quota(organization, "no_such_feature")
    assert unlisted.notes == ("billing:feature-disabled:no_such_feature",)


def test_nobody_without_a_subscription(organization: Organization) -> None:
    other = factories.sandbox(clock_at=NOW)
    for name in ("case_created", "max_cases"):
        outcome = BillingService.enforce_quota(other, name)
        assert (outcome.allowed, outcome.notes) == (False, ("billing:subscription-missing",))
        assert outcome.remedies == ({"action": "subscribe"},)


@pytest.mark.parametrize("quantity", ["0", "-1", "0.0000001", "NaN", "1E+13"])
def test_a_quantity_is_positive_and_exact(organization: Organization, quantity: str) -> None:
    with pytest.raises(UsageInvalid) as caught:
        BillingService.enforce_quota(organization, "case_created", Decimal(quantity), record_usage=True)
    assert caught.value.details["field"] == "quantity"
    assert not UsageEvent.objects.exists()


def test_a_feature_that_guards_no_event_cannot_be_recorded() -> None:
    catalogs.sync(
        "default_plan: p\nevents: {e: [on_e]}\nplans: {p: {name: P, limits: {on_e: true, plain_feature: true}}}\n"
    )
    organization = factories.sandbox(clock_at=NOW)
    onboard.subscribe(organization=organization, plan_code="p", actor=actors.operator("test"), now=NOW)
    assert BillingService.enforce_quota(organization, "plain_feature").allowed
    with pytest.raises(EntitlementAmbiguous):
        BillingService.enforce_quota(organization, "plain_feature", record_usage=True)
    assert BillingService.enforce_quota(organization, "on_e", record_usage=True).recorded


def test_active_subscription_is_none_outside_its_period(organization: Organization) -> None:
    assert BillingService.active_subscription(organization) is not None
    real = factories.organization()
    onboard.subscribe(organization=real, plan_code="free", actor=actors.operator("test"), now=NOW)
    assert BillingService.active_subscription(real, now=NOW) is not None
    assert BillingService.active_subscription(real, now=factories.at("2026-04-10 12:00:00")) is None
    assert BillingService.active_subscription(factories.organization()) is None
