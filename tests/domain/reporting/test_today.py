"""What waits for a person is counted by whose region it is, and of sandboxes nothing."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from pytest_django import DjangoAssertNumQueries

from billing.accounts import actors
from billing.models import (
    Collection,
    CreditRequest,
    Invoice,
    Organization,
    OutboxEvent,
    ProviderInboxEvent,
    Subscription,
    WebhookDelivery,
    WebhookEndpoint,
)
from billing.reporting import doctor, today
from billing.reporting.today import Today
from tests.support import factories
from tests.support.factories import at

pytestmark = pytest.mark.django_db
NOW = at("2026-03-15 12:00:00")
EVERYTHING = Today(1, 1, 1, 1, 3, 1, 2, 2, 1, 1, 1, 1)
NOTHING = Today(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1)


def one_of_each(organization: Organization) -> None:
    """Something that waits of every kind, and beside each something that does not."""
    plan = factories.plan()

    def subscription(**fields: Any) -> Subscription:
        number = Subscription.objects.count()
        return Subscription.objects.create(
            organization=organization, product=f"p{number}", plan=plan, status="active", currency="USD", starts_at=NOW,
            anchor_at=NOW, **fields,
        )  # fmt: skip

    calm = subscription()
    period = factories.period(calm, ends_at=NOW + timedelta(days=1))
    subscription(parked_at=NOW, parked_reason="x")
    subscription(held_at=NOW)

    def invoice(**fields: Any) -> Invoice:
        number = Invoice.objects.count() + 1
        return Invoice.objects.create(
            organization=organization, subscription=calm, period=period, kind="cycle", occurrence=number,
            currency="USD", starts_at=NOW, ends_at=NOW + timedelta(days=1), drafted_at=NOW, **fields,
        )  # fmt: skip

    def issued(**fields: Any) -> Invoice:
        return invoice(issued_at=NOW, number=f"N-{organization.id}-{Invoice.objects.count()}", **fields)

    invoice(issue_due_at=NOW)
    invoice(parked_at=NOW, parked_reason="x")
    invoice(held_at=NOW)
    invoice()
    issued(status="issued", due_on=NOW.date())
    late = issued(status="issued", due_on=NOW.date() - timedelta(days=1))
    issued(status="paid", due_on=NOW.date() - timedelta(days=1))
    invoice(status="void")

    def collection(**fields: Any) -> None:
        Collection.objects.create(
            organization=organization, subscription=calm, invoice=issued(status="paid"), method="manual",
            started_at=NOW, **fields,
        )  # fmt: skip

    dunned = {"dunning_at": NOW, "grace_ends_at": NOW + timedelta(days=1)}
    past_due = dunned | {"past_due_at": NOW + timedelta(days=1)}
    collection()
    collection(**dunned)
    collection(**past_due)
    collection(**past_due, closed_at=NOW, closed_because="uncollectible")
    collection(**past_due, lifted_at=NOW + timedelta(days=2), closed_at=NOW, closed_because="settled")
    assert late.due_on is not None

    def request(**fields: Any) -> None:
        CreditRequest.objects.create(
            organization=organization, subscription=calm, kind="adjustment", credits=1, reason="r", requested_by="a",
            requested_at=NOW - timedelta(days=2), **fields,
        )  # fmt: skip

    request(lapses_at=NOW + timedelta(seconds=1))
    request(lapses_at=NOW)
    request(lapses_at=NOW + timedelta(days=1), status="rejected", decided_by="cli:b", decided_at=NOW, decision="no")

    endpoint = WebhookEndpoint.objects.create(
        organization=organization, url="https://a.example", topics=["*"], created_at=NOW, paused_at=NOW,
        pause_reason="failing",
    )  # fmt: skip
    WebhookEndpoint.objects.create(
        organization=organization, url="https://b.example", topics=["*"], created_at=NOW, paused_at=NOW,
        pause_reason="manual",
    )  # fmt: skip
    for failures in (0, 3):
        event = OutboxEvent.objects.create(organization_id=organization.id, topic="t", payload={}, created_at=NOW)
        WebhookDelivery.objects.create(
            organization=organization, endpoint=endpoint, event=event, position=failures, failures=failures,
            next_attempt_at=NOW, created_at=NOW,
        )  # fmt: skip


def parked_event() -> None:
    ProviderInboxEvent.objects.create(
        provider="stripe", event_id="evt", type="t", occurred_at=NOW, received_at=NOW, status="parked",
        finished_at=NOW,
    )  # fmt: skip


def test_each_kind_is_counted_where_it_waits(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    one_of_each(factories.organization(residency_region="eu"))
    one_of_each(factories.sandbox(clock_at=NOW))
    parked_event()
    with django_assert_num_queries(1):
        assert today.today(now=NOW, regions=None) == EVERYTHING
    assert today.today(now=NOW, regions=("eu",)) == EVERYTHING
    assert today.today(now=NOW, regions=("us",)) == NOTHING
    assert today.today(now=NOW, regions=()) == NOTHING


def test_the_last_verification_is_told_and_none_is_made(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    assert today.last_verified() == today.Verified(None, {})
    doctor.run(actor=actors.system("verify"))
    with django_assert_num_queries(1):
        verified = today.last_verified()
    assert (verified.at is not None, verified.broken) == (True, {})
    assert today.Verified(NOW, {"a": 0, "b": 2}).broken == {"b": 2}
