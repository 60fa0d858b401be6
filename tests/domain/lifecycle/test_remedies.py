"""Which plan is advised to whoever is at a limit: one that lifts it, and rather not one that takes something away."""

from decimal import Decimal

import pytest

from billing.accounts import actors
from billing.lifecycle import onboard, remedies, usage
from billing.lifecycle.remedies import Need
from billing.metering.offers import Offer
from billing.models import Organization
from billing.service import BillingService
from tests.support import catalogs, factories

NOW = factories.at("2026-03-10 12:00:00")
OPERATOR = actors.operator("test")
TEXT = """
default_plan: free
events: {{case_created: [max_cases]}}
plans:
  free:
    name: Free
    entitlements: {{max_cases: {free}}}
  solo:
    name: Solo
    price: {{USD: "9.00"}}
    entitlements: {{max_cases: {{limit: 3, cadence: monthly}}}}
  team:
    name: Team
    price: {{USD: "49.00"}}
    entitlements: {{max_cases: {team}}}
"""
MORE, LESS = "{limit: 10, cadence: monthly}", "{limit: 2, cadence: monthly}"
DAILY, NONE = "{limit: 8, cadence: daily}", "{limit: 0, cadence: monthly}"

pytestmark = pytest.mark.django_db


def at_the_limit(free: str, team: str) -> Organization:
    catalogs.sync(TEXT.format(free=free, team=team))
    organization = factories.sandbox(clock_at=NOW)
    onboard.subscribe(organization=organization, plan_code="solo", actor=OPERATOR, now=NOW)
    assert BillingService.enforce_quota(organization, "case_created", 3, record_usage=True).allowed
    return organization


def advised(organization: Organization) -> list[str]:
    offer = Offer(organization, "case_created", Decimal(1), key="one more")
    (judged,) = usage.judge([offer], now=NOW)
    need = Need(offer, "max_cases", judged.outcome.refusal, judged.standing)
    assert need.refusal is not None
    (found,) = remedies.list_remedies(organization, [need], now=NOW)
    return [each["plan"] for each in found if each["action"] == "change_plan"]


@pytest.mark.parametrize(
    ("free", "team", "plans"),
    [
        # The free plan has more, and so has the one that costs more: that one is an upgrade.
        (MORE, MORE, ["team"]),
        # Nothing else lifts it.
        (MORE, NONE, ["free"]),
        # A day's limit is reached later today, and is less in a month all the same.
        (DAILY, NONE, []),
        (DAILY, MORE, ["team"]),
        (LESS, MORE, ["team"]),
        (LESS, NONE, []),
    ],
)
def test_the_plan_in_force_is_rather_left_upwards(free: str, team: str, plans: list[str]) -> None:
    assert advised(at_the_limit(free, team)) == plans


def test_who_pays_nothing_is_advised_the_cheapest() -> None:
    catalogs.sync(TEXT.format(free=LESS, team=MORE))
    organization = factories.sandbox(clock_at=NOW)
    onboard.subscribe(organization=organization, plan_code="free", actor=OPERATOR, now=NOW)
    BillingService.enforce_quota(organization, "case_created", 2, record_usage=True)
    assert advised(organization) == ["solo"]
