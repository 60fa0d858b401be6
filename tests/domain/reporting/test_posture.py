"""One organization on one screen, from windows, in a bounded number of statements."""

import json
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from billing.accounts import actors
from billing.credits import operations as credits_operations
from billing.invoicing import operations as invoicing_operations
from billing.kernel.ids import new_id
from billing.lifecycle import cancel, coupons, discounts, onboard, renew
from billing.metering import operations as metering_operations
from billing.metering.offers import Offer
from billing.models import (
    EntitlementKind,
    GrantKind,
    Invoice,
    Organization,
    Plan,
    PlanEntitlement,
    Subscription,
)
from billing.reporting.posture import posture
from tests.support import factories

START = factories.at("2026-01-20 10:30:00")
NOW = factories.at("2026-01-27 12:00:00")
OPERATOR = actors.operator("ada")

pytestmark = pytest.mark.django_db


@pytest.fixture
def plan() -> Plan:
    plan = factories.plan(code="team", credit_allowance=Decimal(5), overages=[factories.Overage("tokens", "100")])
    factories.meter("cases", unit="case")
    metered: dict[str, Any] = {"kind": EntitlementKind.METERED, "meters": ["cases"]}
    lines: dict[str, dict[str, Any]] = {
        "cases_a_day": metered | {"limit": 5, "cadence": "daily"},
        "cases_a_month": metered | {"limit": 20, "cadence": "monthly"},
        "cases_ever": metered | {"limit": None, "cadence": "never"},
        "export": {"kind": EntitlementKind.BOOLEAN, "meters": ["cases"], "enabled": True},
        "import": {"kind": EntitlementKind.BOOLEAN, "enabled": False},
    }
    for position, (key, fields) in enumerate(lines.items()):
        PlanEntitlement.objects.create(plan=plan, key=key, position=position + 1, **fields)
    return plan


@pytest.fixture
def organization(plan: Plan) -> Organization:
    organization = factories.sandbox(clock_at=START, zone="America/New_York")
    onboard.subscribe(organization=organization, plan_code="team", actor=OPERATOR, now=START)
    return move(organization, NOW)


def move(organization: Organization, at: datetime) -> Organization:
    organization.clock_at = at
    organization.save(update_fields=["clock_at"])
    renew.renew_due(organization_id=organization.id, now=at)
    return organization


def values(found: object, *names: str) -> tuple[Any, ...]:
    return tuple(getattr(found, name) for name in names)


def use(organization: Organization, meter: str, quantity: int, at: datetime | None = None) -> None:
    offer = Offer(organization, meter, Decimal(quantity), key=new_id().hex, occurred_at=at)
    (outcome,) = metering_operations.record([offer], now=NOW)
    assert outcome.status == "accepted", outcome


def test_without_a_subscription() -> None:
    found = posture(factories.organization(), NOW)
    assert found.subscription is None
    assert values(found, "entitlements", "use", "invoices") == ((), (), ())
    assert values(found, "period", "next_renewal_at", "credit_balance") == (None, None, 0)


def test_plan_period_and_renewal(organization: Organization) -> None:
    found = posture(organization, factories.at("2030-01-01"))
    assert found.at == NOW
    assert found.subscription is not None
    assert values(found.subscription, "status", "plan_code", "plan_version") == (
        "active",
        "team",
        1,
    )
    assert found.period == (START, factories.at("2026-02-20 10:30:00"))
    assert found.next_renewal_at == factories.at("2026-02-20 10:30:00")


def test_entitlements_read_their_own_window(organization: Organization) -> None:
    use(organization, "cases", 3)
    use(organization, "cases", 2, START + timedelta(hours=1))
    use(organization, "tokens", 130)
    lines = {line.key: line for line in posture(organization, NOW).entitlements}
    assert list(lines) == ["max_tokens", "cases_a_day", "cases_a_month", "cases_ever", "export", "import"]
    assert values(lines["cases_a_day"], "used", "remaining") == (3, 2)
    assert lines["cases_a_day"].resets_at == factories.at("2026-01-28 05:00:00")
    assert values(lines["cases_a_month"], "used", "remaining") == (5, 15)
    assert lines["cases_a_month"].resets_at == factories.at("2026-02-01 05:00:00")
    assert values(lines["cases_ever"], "used", "remaining", "resets_at") == (5, None, None)
    assert values(lines["max_tokens"], "used", "remaining", "overage") == (130, 0, 30)
    assert lines["max_tokens"].resets_at == factories.at("2026-02-20 10:30:00")
    assert (lines["export"].enabled, lines["import"].enabled) == (True, False)
    assert lines["export"].limit is None


def test_counters(organization: Organization) -> None:
    use(organization, "cases", 3)
    move(organization, factories.at("2026-02-03"))
    use(organization, "cases", 4)
    (cases,) = posture(organization, NOW).use
    assert values(cases, "meter", "unit", "lifetime", "month", "period", "events") == (
        "cases",
        "case",
        7,
        4,
        7,
        2,
    )


def test_coming_back_shows_what_earlier_subscriptions_used(organization: Organization) -> None:
    use(organization, "cases", 3)
    subscription = organization.subscriptions.get()
    cancel.cancel_now(subscription=subscription, actor=OPERATOR, now=NOW)
    ended = posture(organization, NOW)
    assert ended.subscription is not None
    assert (ended.subscription.status, ended.period, ended.next_renewal_at) == ("canceled", None, None)
    again = onboard.subscribe(organization=organization, plan_code="team", actor=OPERATOR, now=NOW)
    found = posture(organization, NOW)
    assert found.subscription is not None
    assert found.subscription.id == again.id
    lines = {line.key: line for line in found.entitlements}
    assert (lines["cases_a_month"].used, lines["cases_ever"].used, lines["max_tokens"].used) == tuple(
        map(Decimal, (3, 3, 0))
    )


def test_credits_by_grant(organization: Organization) -> None:
    subscription = organization.subscriptions.get()
    for starts_at in (NOW, NOW + timedelta(days=1)):
        credits_operations.grant(
            account=subscription.marketplace,
            kind=GrantKind.PURCHASE,
            credits=Decimal("2.5"),
            starts_at=starts_at,
            expires_at=None,
            actor="cli:ada",
            reason="bought",
            now=NOW,
        )
    found = posture(organization, NOW)
    assert values(found, "credit_balance", "credits_spendable") == (10, Decimal("7.5"))
    assert [(grant.kind, grant.remaining, grant.is_spendable) for grant in found.grants] == [
        ("allowance", 5, True),
        ("purchase", Decimal("2.5"), True),
        ("purchase", Decimal("2.5"), False),
    ]
    assert [entry.balance_after for entry in found.entries] == [10, Decimal("7.5"), 5]


def test_a_draft_tells_no_total_and_an_issued_invoice_does(organization: Organization) -> None:
    move(organization, factories.at("2026-02-21"))
    (draft,) = posture(organization, NOW).invoices
    assert values(draft, "status", "number", "total") == ("draft", None, None)
    invoice = Invoice.objects.get()
    invoicing_operations.issue(invoice=invoice, actor=OPERATOR, now=factories.at("2026-02-21"))
    (issued,) = posture(organization, NOW).invoices
    assert values(issued, "status", "total") == ("issued", "49.00")
    assert issued.number


def test_as_dict_is_plain_json(organization: Organization) -> None:
    use(organization, "cases", 3)
    document = posture(organization, NOW).as_dict()
    assert json.loads(json.dumps(document)) == document
    assert document["at"] == "2026-01-27T12:00:00Z"
    assert document["period"] == {"starts_at": "2026-01-20T10:30:00Z", "ends_at": "2026-02-20T10:30:00Z"}
    assert document["entitlements"][1]["used"] == "3"
    assert document["subscription"]["plan_code"] == "team"


def test_statements_do_not_grow_with_rows(organization: Organization) -> None:
    numbers = []
    for _ in range(2):
        with CaptureQueriesContext(connection) as queries:
            posture(organization, NOW)
        numbers.append(len(queries))
        for days in range(4):
            use(organization, "cases", 1, START + timedelta(days=days))
            use(organization, "tokens", 50)
    assert numbers[0] == numbers[1] <= 10


def test_drafts_that_wait_for_a_human_are_shown_however_old(organization: Organization) -> None:
    for day in ("2026-02-21", "2026-03-21"):
        now = move(organization, factories.at(day)).clock_at
        assert now is not None
        renew.renew_due(organization_id=organization.id, now=now)
    first, second = Invoice.objects.order_by("starts_at")
    invoicing_operations.hold(invoice=first, actor=OPERATOR, reason="a question", now=START)
    Invoice.objects.filter(id=second.id).update(issue_due_at=None, parked_at=NOW, parked_reason="It is odd.")
    shown = {each.id: each for each in posture(organization, NOW).invoices}
    assert (shown[first.id].held_at, shown[first.id].issue_due_at) == (START, None)
    assert (shown[second.id].parked_at, shown[second.id].parked_reason) == (NOW, "It is odd.")
    later = [
        invoice_copy(first, occurrence=number, drafted_at=NOW + timedelta(days=400 + number)) for number in range(3, 12)
    ]
    ids = [each.id for each in posture(organization, NOW).invoices]
    assert set(ids) == {first.id, second.id, *(each.id for each in later[-4:])}
    assert ids[-2:] == [second.id, first.id]


def invoice_copy(invoice: Invoice, **fields: Any) -> Invoice:
    """Another draft like it, which issues itself."""
    return Invoice.objects.create(
        **{
            "organization_id": invoice.organization_id,
            "subscription_id": invoice.subscription_id,
            "period_id": invoice.period_id,
            "kind": "change",
            "currency": "USD",
            "starts_at": invoice.starts_at,
            "ends_at": invoice.ends_at,
            "issue_due_at": NOW,
        }
        | fields
    )


def test_the_discount_in_force_is_shown(organization: Organization) -> None:
    coupons.create(code="SPRING", name="Spring", percent=Decimal(20), periods=1, actor=OPERATOR, now=START)
    subscription = Subscription.objects.get()
    discounts.redeem(subscription=subscription, code="SPRING", actor=OPERATOR, now=NOW)
    shown = posture(organization, NOW).subscription
    assert shown is not None
    assert shown.discount is not None
    assert (shown.discount.code, shown.discount.off, shown.discount.until_ordinal) == ("SPRING", "20 per cent", 1)
