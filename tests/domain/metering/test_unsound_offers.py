"""An offer that the books could not hold exactly is refused by itself and leaves its neighbours alone."""

from dataclasses import replace
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest

from billing import BillingService
from billing.accounts import actors
from billing.lifecycle import onboard, usage
from billing.lifecycle.quota import UsageInvalid
from billing.metering.offers import Offer
from billing.models import Organization, RefusalCount, UsageEvent, UsageWindow
from billing.reporting.doctor import verify
from tests.support import catalogs, factories

pytestmark = pytest.mark.django_db
NOW = factories.at("2026-03-10 12:00:00")
OPERATOR = actors.operator("test")


def tenant(plan: str) -> Organization:
    catalogs.sync()
    organization = factories.sandbox(clock_at=NOW)
    onboard.subscribe(organization=organization, plan_code=plan, actor=OPERATOR, now=NOW)
    return organization


@pytest.mark.parametrize(
    ("code", "fields"),
    [
        ("key_invalid", {"key": "k" * 201}),
        ("key_invalid", {"key": "\0"}),
        ("key_invalid", {"key": ""}),
        ("quantity_invalid", {"quantity": Decimal("0.0000005")}),
        ("quantity_invalid", {"quantity": Decimal("NaN")}),
        ("payload_invalid", {"payload": {"a": "\0"}}),
        ("payload_invalid", {"payload": {"a": {1, 2}}}),
        ("meter_undeclared", {"meter": "\0"}),
        ("occurred_at_invalid", {"occurred_at": datetime(2026, 3, 10)}),  # noqa: DTZ001 - naive is the point
    ],
)
def test_it_is_refused_and_its_neighbours_are_counted(code: str, fields: dict[str, Any]) -> None:
    organization = tenant("free")
    sound = Offer(organization, "free_form", Decimal("0.000001"), "first")
    outcomes = usage.record([sound, replace(sound, **{"key": "bad"} | fields), replace(sound, key="last")], now=NOW)
    assert [(outcome.status, outcome.code) for outcome in outcomes] == [
        ("accepted", ""),
        ("refused", code),
        ("accepted", ""),
    ]
    assert UsageWindow.objects.get(cadence="never").used == Decimal("0.000002")
    assert RefusalCount.objects.get().count == 1
    assert verify() == []


def test_a_list_of_nothing_sound_opens_no_books() -> None:
    organization = factories.sandbox(clock_at=NOW)
    (outcome,) = usage.record([Offer(organization, "free_form", Decimal(0), "k")], now=NOW)
    assert outcome.code == "quantity_invalid"
    assert usage.record([], now=NOW) == []


@pytest.mark.parametrize(
    "key", ["k" * 200, "ключ", "é", "e\u0301", "\u202eabc", "\x01", "'; --", '{"a": "\\"}', "🔑" * 200]
)
def test_a_key_of_any_writing_names_one_event(key: str) -> None:
    organization = tenant("free")
    sound = Offer(organization, "free_form", Decimal(1), key)
    assert [outcome.status for outcome in usage.record([sound], now=NOW)] == ["accepted"]
    assert [outcome.status for outcome in usage.record([sound], now=NOW)] == ["duplicate"]
    assert UsageEvent.objects.get().key == key


def test_keys_that_only_look_alike_are_two() -> None:
    organization = tenant("free")
    keys = ["é", "e\u0301", "É", "е", "e", "e ", "e\u200b"]
    outcomes = usage.record([Offer(organization, "free_form", Decimal(1), key) for key in keys], now=NOW)
    assert [outcome.status for outcome in outcomes] == ["accepted"] * len(keys)


def test_the_same_instant_with_another_offset_is_the_same_event() -> None:
    organization = tenant("free")
    sound = Offer(organization, "free_form", Decimal(1), "k", occurred_at=NOW)
    usage.record([sound], now=NOW)
    elsewhere = NOW.astimezone(timezone(timedelta(hours=2)))
    assert usage.record([replace(sound, occurred_at=elsewhere)], now=NOW)[0].status == "duplicate"


def test_a_quantity_that_costs_more_credits_than_can_be_counted_is_refused() -> None:
    catalogs.sync(
        catalogs.TEXT.replace('block, credits_per_unit: "1"', 'block, credits_per_unit: "1000"').replace(
            "limit: 5,", "limit: null,"
        )
    )
    organization = factories.sandbox(clock_at=NOW)
    onboard.subscribe(organization=organization, plan_code="team", actor=OPERATOR, now=NOW)
    (outcome,) = usage.record([Offer(organization, "task_run", Decimal(10**12), "k")], now=NOW)
    assert (outcome.status, outcome.code) == ("refused", "quantity_invalid")


@pytest.mark.parametrize("quantity", ["0.000001", "999999999999.999999", "1000000000000"])
def test_the_smallest_and_the_largest_are_counted_to_the_last_digit(quantity: str) -> None:
    organization = tenant("team")
    usage.record([Offer(organization, "tokens", Decimal(quantity), str(n)) for n in range(3)], now=NOW)
    assert UsageWindow.objects.get(cadence="never").used == 3 * Decimal(quantity)
    assert verify() == []


def test_enforcing_names_the_field() -> None:
    organization = tenant("free")
    with pytest.raises(UsageInvalid) as caught:
        BillingService.enforce_quota(organization, "free_form", record_usage=True, idempotency_key="k" * 201)
    assert caught.value.details["field"] == "idempotency_key"
