"""The hour of real traffic: from a plan file and a CSV to an invoice of 51.62 USD, whichever door is asked."""

import csv
import io
import json
import signal
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.db.models import Sum
from django.test import Client

from billing.models import CreditEntry, Invoice, UsageEvent, UsageWindow
from tests.support import cli, traffic
from tests.support.second_calculator import MeterRules, bill_of_events

pytestmark = traffic.needed

IMPORT = ("usage", "import", traffic.FILE, "--organization", "acme", *traffic.OPTIONS)


@pytest.fixture
def tenant(real_db: str, tmp_path: Path) -> str:
    """A sandbox tenant on 17 November 2023, subscribed since the 1st."""
    file = tmp_path / "plans.yaml"
    file.write_text(traffic.CATALOG)
    assert cli.shown("plans", "sync", file)["changed"]
    made = cli.shown("tenants", "bootstrap", "acme", "--sandbox", "--clock", "2023-11-17", "--starts-at", "2023-11-01")
    assert made["subscription"]["current_period"]["starts_at"] == "2023-11-01T00:00:00Z"
    assert made["subscription"]["current_period"]["ends_at"] == "2023-12-01T00:00:00Z"
    return real_db


def used() -> dict[tuple[str, str], tuple[Decimal, int]]:
    return {(w.meter_id, w.cadence): (w.used, w.events) for w in UsageWindow.objects.all()}


def assert_hour_is_counted_once() -> None:
    for cadence in ("billing_period", "monthly", "never"):
        assert used()["llm_context_tokens", cadence] == (traffic.CONTEXT, traffic.ROWS)
        assert used()["llm_generated_tokens", cadence] == (traffic.GENERATED, traffic.ROWS)
    assert UsageEvent.objects.count() == 2 * traffic.ROWS
    ran = cli.run("verify")
    assert (ran.code, ran.out) == (0, "")


def test_it_counts_every_row_once_however_often_it_is_offered(tenant: str, tmp_path: Path) -> None:
    report = cli.shown(*IMPORT)
    assert (report["rows"], report["accepted"], report["duplicates"], report["refused"]) == (8819, 17638, 0, 0)
    assert [(each["meter"], each["accepted_quantity"]) for each in report["meters"]] == [
        ("llm_context_tokens", "18059974"),
        ("llm_generated_tokens", "245896"),
    ]
    assert_hour_is_counted_once()
    assert_posture_agrees_with_the_api()

    again = cli.run(*IMPORT)
    assert again.code == 0
    assert "0 accepted, 17,638 duplicates, 0 refused" in again.out

    # Neither the file's name nor the order of its rows or columns makes another use of one.
    header, *rows = traffic.FILE.read_text().splitlines()
    turned = [",".join(reversed(line.split(","))) for line in [header, *reversed(rows)]]
    renamed = tmp_path / "renamed.csv"
    renamed.write_text("\n".join(turned) + "\n")
    report = cli.shown("usage", "import", renamed, "--organization", "acme", *traffic.OPTIONS)
    assert (report["accepted"], report["duplicates"]) == (0, 17638)
    assert_hour_is_counted_once()


@pytest.mark.parametrize("killed_at", [1, 6000])
def test_it_ends_the_same_when_killed_half_way(tenant: str, killed_at: int) -> None:
    process = cli.start(*IMPORT, "--batch", "200", DATABASE_URL=tenant)
    deadline = time.monotonic() + 60
    while UsageEvent.objects.count() < killed_at:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    counted = UsageEvent.objects.count()
    assert killed_at <= counted < 17638

    report = cli.run_process(*IMPORT, "--json", DATABASE_URL=tenant).document
    assert report["accepted"] + report["duplicates"] == 17638
    assert report["duplicates"] >= counted
    assert_hour_is_counted_once()


def test_it_counts_both_of_two_equal_rows(tenant: str, tmp_path: Path) -> None:
    file = tmp_path / "equal.csv"
    row = "2023-11-16 18:17:03.9799600,4808,10"
    file.write_text(f"TIMESTAMP,ContextTokens,GeneratedTokens\n{row}\n{row}\n2023-11-16 18:17:04,1,1\n{row}")
    arguments = ("usage", "import", file, "--organization", "acme", *traffic.OPTIONS)
    assert cli.shown(*arguments)["accepted"] == 8
    assert cli.shown(*arguments)["duplicates"] == 8
    assert used()["llm_context_tokens", "never"] == (3 * 4808 + 1, 4)
    # The whole hour holds the row once: two of the three are more than it has.
    assert cli.shown(*IMPORT)["duplicates"] == 2


def test_its_november_invoice_is_the_same_from_every_door(tenant: str) -> None:
    cli.shown(*IMPORT)
    moved = cli.shown("clock", "advance", "acme", "--to", "2023-12-01")
    assert "subscription.renewed" in [event["topic"] for event in moved["events"]]

    draft = cli.shown("invoices", "draft", "acme")
    assert Invoice.objects.count() == 1
    issued = cli.shown("invoices", "issue", "acme")
    assert issued["id"] == draft["id"]
    assert issued["status"] == "issued"
    assert [(line["charge"], line["meter"], line["amount"]) for line in issued["lines"]] == [
        ("base", None, "49.00"),
        ("overage", "llm_context_tokens", "1.53"),
        ("overage", "llm_generated_tokens", "0.09"),
        ("credits", None, "1.00"),
    ]
    assert issued["total"] == "51.62"

    assert cli.shown("invoices", "show", issued["number"]) == issued
    assert from_api(issued["id"]) == issued
    assert from_api(issued["number"]) == issued
    assert from_csv(cli.run("invoices", "show", "acme", "--csv").out) == amounts(issued)
    assert from_csv(csv_from_api(issued["id"])) == amounts(issued)
    assert calculated() == (sorted(amounts(issued)[:-3]), issued["total"])
    assert "51.62" in cli.run("invoices", "show", "acme").out
    assert CreditEntry.objects.filter(kind="debit").aggregate(Sum("amount"))["amount__sum"] == Decimal("-0.1")
    assert_hour_is_counted_once()


def assert_posture_agrees_with_the_api() -> None:
    posture = cli.shown("posture", "acme")
    by_meter = {each["meter"]: each["total"] for each in get("/api/billing/organizations/acme/usage")["results"]}
    assert {each["meter"]: each["lifetime"] for each in posture["use"]} == by_meter
    assert posture["next_renewal_at"] == "2023-12-01T00:00:00Z"
    assert posture["credits_spendable"] == "0"
    text = cli.run("posture", "acme").out
    assert "18,059,974" in text
    assert "245,896" in text


def amounts(document: dict[str, Any]) -> list[str]:
    return [line["amount"] for line in document["lines"]] + [document[name] for name in ("subtotal", "tax", "total")]


def platform_key() -> str:
    key: str = cli.shown("keys", "create", "--platform", "--name", "reader", "--scope", "read")["key"]
    return key


def get(path: str) -> Any:
    answer = Client().get(path, headers={"Authorization": f"Bearer {platform_key()}"})
    assert answer.status_code == 200, answer.content
    return json.loads(answer.content)


def from_api(reference: str) -> Any:
    return get(f"/api/billing/invoices/{reference}")


def csv_from_api(reference: str) -> str:
    answer = Client().get(
        f"/api/billing/invoices/{reference}?format=csv", headers={"Authorization": f"Bearer {platform_key()}"}
    )
    assert answer.status_code == 200, answer.content
    return answer.content.decode()


def from_csv(text: str) -> list[str]:
    return [row["amount"] for row in csv.DictReader(io.StringIO(text))]


def calculated() -> tuple[list[str], str]:
    """The amounts of the lines, and the total, from the file and the written rules alone."""
    bill = bill_of_events(
        currency="USD",
        base_fee="49.00",
        credit_allowance="0.1",
        credit_rate="10.00",
        meters={
            "llm_context_tokens": MeterRules(included="15000000", rate="0.50", per="1000000"),
            "llm_generated_tokens": MeterRules(
                included="200000", rate="2.00", per="1000000", credits_per_unit="0.000001"
            ),
        },
        events=traffic.events(),
    )
    return sorted(line[4] for line in bill.lines), bill.total
