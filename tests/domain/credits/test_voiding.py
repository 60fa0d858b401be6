"""Voided grants: what is left is worthless, what was paid stays paid."""

from datetime import timedelta
from decimal import Decimal

import pytest

from billing.accounts import actors
from billing.accounts.actors import Actor, NotAllowed
from billing.credits.operations import CreditsInvalid, GrantExpired, NothingToVoid
from billing.lifecycle import adjust, onboard, usage, voiding
from billing.metering.offers import Offer
from billing.models import AuditEntry, CreditEntry, CreditGrant, GrantKind, OutboxEvent, Subscription
from billing.reporting.doctor import verify
from tests.support import catalogs, factories

pytestmark = pytest.mark.django_db
NOW = factories.at("2026-03-01")
OPERATOR = actors.operator("test")


@pytest.fixture
def subscription() -> Subscription:
    catalogs.sync()
    organization = factories.sandbox(clock_at=NOW)
    return onboard.subscribe(organization=organization, plan_code="team", actor=OPERATOR, now=NOW)


def promotion(subscription: Subscription) -> CreditGrant:
    adjust.adjust(
        subscription=subscription,
        credits=Decimal(5),
        actor=OPERATOR,
        reason="welcome",
        now=NOW,
        kind=GrantKind.PROMOTION,
        expires_at=NOW + timedelta(days=10),
    )
    return CreditGrant.objects.get(kind=GrantKind.PROMOTION)


def void(grant: CreditGrant, **fields: object) -> CreditGrant:
    return voiding.void(**{"grant": grant, "actor": OPERATOR, "reason": "fraud", "now": NOW} | fields)  # type: ignore[arg-type]


def test_a_grant_partly_spent(subscription: Subscription) -> None:
    usage.record([Offer(subscription.organization, "tokens", Decimal(300), "k")], now=NOW)
    voided = void(CreditGrant.objects.get())
    assert (voided.consumed, voided.voided, voided.expired, voided.remaining) == (3, 7, 0, 0)
    assert voided.voided_at == NOW
    last = CreditEntry.objects.order_by("sequence").last()
    assert last is not None
    assert (last.kind, last.amount, last.balance_after, last.reason, last.actor) == (
        "void",
        -7,
        0,
        "fraud",
        OPERATOR.name,
    )
    (outcome,) = usage.record([Offer(subscription.organization, "tokens", Decimal(1), "next")], now=NOW)
    assert outcome.event is not None
    assert outcome.event.credits_paid == 0
    assert verify() == []


def test_twice_is_once(subscription: Subscription) -> None:
    grant = promotion(subscription)
    first = void(grant)
    again = void(grant, reason="again", now=NOW + timedelta(days=20))
    assert (again.voided, again.voided_at) == (first.voided, first.voided_at)
    assert CreditEntry.objects.filter(kind="void").count() == 1
    assert AuditEntry.objects.filter(act="credits.void").count() == 1
    message = OutboxEvent.objects.get(topic="credits.voided").payload
    assert message == {"grant_id": str(grant.id), "subscription_id": str(subscription.id), "credits": "5"}


def test_others_keep_what_they_have(subscription: Subscription) -> None:
    void(promotion(subscription))
    subscription.marketplace.refresh_from_db()
    assert subscription.marketplace.credit_balance == 10
    assert verify() == []


@pytest.mark.parametrize(("seconds", "is_refused"), [(-1, False), (0, True), (1, True)])
def test_an_expired_grant_is_refused(subscription: Subscription, seconds: int, is_refused: bool) -> None:
    grant = promotion(subscription)
    assert grant.expires_at is not None
    at = grant.expires_at + timedelta(seconds=seconds)
    if is_refused:
        with pytest.raises(GrantExpired):
            void(grant, now=at)
    else:
        void(grant, now=at)
    assert CreditEntry.objects.filter(kind="void").exists() is not is_refused


def test_a_spent_grant_is_refused(subscription: Subscription) -> None:
    usage.record([Offer(subscription.organization, "tokens", Decimal(1000), "k")], now=NOW)
    with pytest.raises(NothingToVoid):
        void(CreditGrant.objects.get())


def test_a_reason_and_the_right_are_needed(subscription: Subscription) -> None:
    grant = promotion(subscription)
    for reason in ("", " ", "x" * 501):
        with pytest.raises(CreditsInvalid):
            void(grant, reason=reason)
    own = Actor("key:own", organization_id=subscription.organization_id, scopes=actors.ORGANIZATION_KEY_ACTS)
    with pytest.raises(NotAllowed):
        void(grant, actor=own)
    assert not CreditEntry.objects.filter(kind="void").exists()
