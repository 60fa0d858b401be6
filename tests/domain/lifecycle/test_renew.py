"""Renewal: all that time alone brings about, whoever runs it and however late."""

from datetime import timedelta
from decimal import Decimal

import pytest

from billing.accounts import actors
from billing.kernel.errors import BillingError
from billing.lifecycle import clock, onboard, renew, usage
from billing.lifecycle.clock import ClockInvalid, NotASandbox
from billing.metering.offers import Offer
from billing.models import CreditGrant, Invoice, MarketplaceSubscription, Organization, SubscriptionPeriod
from billing.reporting.doctor import verify
from billing.subscriptions import queries
from tests.support import catalogs, factories

pytestmark = pytest.mark.django_db
START = factories.at("2026-01-31 10:00:00")
OPERATOR = actors.operator("test")


def bounds(organization: Organization) -> list[str]:
    return [
        f"{p.ends_at:%m-%d}" for p in SubscriptionPeriod.objects.filter(organization=organization).order_by("ordinal")
    ]


def test_month_ends_are_clamped_from_the_anchor_and_never_drift() -> None:
    catalogs.sync()
    organization = factories.sandbox(clock_at=START)
    onboard.subscribe(organization=organization, plan_code="team", actor=OPERATOR, now=START)
    clock.advance(organization=organization, to=factories.at("2026-06-01"), actor=OPERATOR)
    assert bounds(organization) == ["02-28", "03-31", "04-30", "05-31", "06-30"]


def test_a_period_drafts_its_invoice_lapses_its_allowance_and_grants_the_next() -> None:
    catalogs.sync()
    organization = factories.sandbox(clock_at=START)
    subscription = onboard.subscribe(organization=organization, plan_code="team", actor=OPERATOR, now=START)
    usage.record([Offer(organization, "tokens", Decimal(1200), "a")], now=START)
    happenings = clock.advance(organization=organization, to=factories.at("2026-03-01"), actor=OPERATOR)
    assert [h.topic for h in happenings] == ["subscription.renewed", "invoice.drafted"]
    invoice = Invoice.objects.get(subscription=subscription)
    assert (invoice.total_minor, invoice.status) == (4900 + 100, "draft")
    assert MarketplaceSubscription.objects.get(pk=subscription.pk).credit_balance == 10
    assert CreditGrant.objects.filter(account_id=subscription.pk).count() == 2
    assert verify() == []


def test_sweeps_that_come_late_or_twice_do_the_same_as_sweeps_in_time() -> None:
    catalogs.sync()
    organization = factories.organization()
    onboard.subscribe(organization=organization, plan_code="team", actor=OPERATOR, now=START)
    late = START + timedelta(days=100)
    assert queries.list_due_organizations(now=late, limit=10) == [organization.id]
    first = renew.renew_due(organization_id=organization.id, now=late)
    assert [h.topic for h in first] == ["subscription.renewed", "invoice.drafted"] * 3
    assert renew.renew_due(organization_id=organization.id, now=late) == []
    assert queries.list_due_organizations(now=late, limit=10) == []
    assert Invoice.objects.count() == 3
    assert MarketplaceSubscription.objects.get(organization=organization).credit_balance == 10
    assert verify() == []


def test_recording_meets_a_renewal_that_is_due_and_runs_it() -> None:
    catalogs.sync()
    organization = factories.organization()
    onboard.subscribe(organization=organization, plan_code="team", actor=OPERATOR, now=START)
    late = START + timedelta(days=40)
    offer = Offer(organization, "case_created", Decimal(1), "k")
    assert usage.preview(offer, now=late).status == "accepted"
    assert usage.record([offer], now=late)[0].status == "accepted"
    assert bounds(organization) == ["02-28", "03-31"]
    assert verify() == []


def test_sandboxes_are_left_to_their_own_clock() -> None:
    catalogs.sync()
    organization = factories.sandbox(clock_at=START)
    onboard.subscribe(organization=organization, plan_code="team", actor=OPERATOR, now=START)
    assert queries.list_due_organizations(now=START + timedelta(days=400), limit=10) == []


def test_a_yearly_plan_may_grant_by_the_month() -> None:
    catalogs.sync()
    organization = factories.sandbox(clock_at=START)
    subscription = onboard.subscribe(organization=organization, plan_code="yearly", actor=OPERATOR, now=START)
    clock.advance(organization=organization, to=factories.at("2026-04-15"), actor=OPERATOR)
    grants = CreditGrant.objects.filter(account_id=subscription.pk).order_by("starts_at")
    assert [f"{g.starts_at:%m-%d} {g.expires_at:%m-%d}" for g in grants] == [
        "01-31 02-28",
        "02-28 03-31",
        "03-31 04-30",
    ]
    assert MarketplaceSubscription.objects.get(pk=subscription.pk).credit_balance == 10
    assert bounds(organization) == ["01-31"]


@pytest.mark.parametrize("by", [timedelta(0), timedelta(seconds=-1), timedelta(days=3661)])
def test_a_clock_goes_forward_and_not_too_far(by: timedelta) -> None:
    catalogs.sync()
    organization = factories.sandbox(clock_at=START)
    with pytest.raises(ClockInvalid):
        clock.advance(organization=organization, to=START + by, actor=OPERATOR)
    organization.refresh_from_db()
    assert organization.clock_at == START


def test_real_time_is_nobodys_to_move() -> None:
    with pytest.raises(NotASandbox):
        clock.advance(organization=factories.organization(), to=START, actor=OPERATOR)


def test_late_use_of_a_closed_period_is_billed_on_the_next_invoice() -> None:
    from billing.invoicing import operations as invoicing

    catalogs.sync()
    organization = factories.sandbox(clock_at=START)
    subscription = onboard.subscribe(organization=organization, plan_code="team", actor=OPERATOR, now=START)
    clock.advance(organization=organization, to=factories.at("2026-03-01"), actor=OPERATOR)
    now = organization.clock_at
    assert now is not None
    first = Invoice.objects.get(subscription=subscription)
    invoicing.issue(invoice=first, actor=OPERATOR, now=now)
    late = factories.at("2026-02-20")
    (outcome,) = usage.record([Offer(organization, "tokens", Decimal(1500), "late", occurred_at=late)], now=now)
    assert outcome.event is not None
    assert (outcome.event.overage, outcome.event.credits_due, outcome.event.credits_paid) == (500, 10, 0)
    clock.advance(organization=organization, to=factories.at("2026-04-01"), actor=OPERATOR)
    second = Invoice.objects.exclude(id=first.id).get(subscription=subscription)
    assert second.total_minor == 4900 + 250 + 10000
    assert {line.charge for line in second.lines.all() if line.starts_at == START} == {"overage", "credits"}
    try:
        invoicing.issue(invoice=second, actor=OPERATOR, now=factories.at("2026-04-01"))
    except BillingError as error:  # pragma: no cover - shows the reason where it fails
        raise AssertionError(error.message) from error
    assert verify() == []
