"""Exports for an audit: complete, in order, inert, flat in memory, and verifiable by the program in the docs."""

import csv
import io
import json
import re
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import psycopg
import pytest
from django.db import connection

from billing.accounts import actors
from billing.credits import sealing
from billing.lifecycle import adjust, onboard, reversal, usage
from billing.metering.offers import Offer
from billing.models import CreditEntry, Organization, UsageEvent, UsageWindow
from billing.reporting import exports
from tests.support import catalogs, factories

NOW = factories.at("2026-03-01 10:00:00")
OPERATOR = actors.operator("test")
PAGE = Path(__file__).resolve().parents[3] / "docs" / "exports.md"
REASONS = ("=1+1", "'quoted", '"\\\n\t', "über €\x7f", "-5", "-x", "@a", "a,b")


def make_books() -> Organization:
    catalogs.sync()
    organization = factories.sandbox(clock_at=NOW, slug="acme")
    subscription = onboard.subscribe(organization=organization, plan_code="team", actor=OPERATOR, now=NOW)
    for number in range(4):
        usage.record([Offer(organization, "tokens", Decimal(100), str(number), source="=cmd()")], now=NOW)
    event = UsageEvent.objects.order_by("id")[0]
    reversal.reverse(event_id=event.id, actor=OPERATOR, reason="twice", now=NOW)
    for reason in REASONS:
        adjust.adjust(subscription=subscription, credits=Decimal("0.5"), actor=OPERATOR, reason=reason, now=NOW)
    return organization


def rows(what: str, organization: Organization, **bounds: object) -> list[dict[str, object]]:
    text = "".join(exports.stream(what, organization=organization, shape="jsonl", **bounds))  # type: ignore[arg-type]
    return [json.loads(line) for line in text.splitlines()]


@pytest.mark.django_db
def test_everything_of_one_organization_and_nothing_of_others() -> None:
    organization = make_books()
    other = factories.sandbox(clock_at=NOW)
    onboard.subscribe(organization=other, plan_code="team", actor=OPERATOR, now=NOW)
    for what, model in (("windows", UsageWindow), ("ledger", CreditEntry), ("events", UsageEvent)):
        found = rows(what, organization)
        assert len(found) == model.objects.filter(organization=organization).count() > 2
        assert {row["organization"] for row in found} == {str(organization.id)}
        assert all(list(row) == list(exports.EXPORTS[what].columns) for row in found)
    assert [row["sequence"] for row in rows("ledger", organization)] == list(range(1, 15))
    taken_back = rows("events", organization)[-1]
    assert (taken_back["quantity"], taken_back["credits_paid"], taken_back["source"]) == ("-100", "-1", "reversal")
    assert taken_back["reverses"] in {row["id"] for row in rows("events", organization)}


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("since", "until", "count"),
    [
        (None, "2026-03-01 10:00:00", 0),
        (None, "2026-03-01 10:00:01", 14),
        ("2026-03-01 10:00:00", None, 14),
        ("2026-03-01 10:00:01", None, 0),
    ],
)
def test_the_time_asked_for_is_half_open(since: str | None, until: str | None, count: int) -> None:
    organization = make_books()
    bounds = {name: at and factories.at(at) for name, at in (("since", since), ("until", until))}
    assert len(rows("ledger", organization, **bounds)) == count
    assert len(rows("windows", organization, since=factories.at("2026-04-01 10:00:00"))) == 1


@pytest.mark.django_db
def test_csv_holds_the_same_and_nothing_that_a_spreadsheet_runs() -> None:
    organization = make_books()
    for what in exports.EXPORTS:
        text = "".join(exports.stream(what, organization=organization, shape="csv"))
        header, *cells = csv.reader(io.StringIO(text, newline=""))
        assert header == list(exports.EXPORTS[what].columns)
        for row, told in zip(cells, rows(what, organization), strict=True):
            for cell, value in zip(row, told.values(), strict=True):
                assert not re.match(r"\s*[=+@\t\r\n|]|-(?![0-9.]+$)", cell)
                stored = "" if value is None else str(value)
                assert cell.removeprefix("'") == stored if cell.startswith("'") else cell == stored


@pytest.mark.django_db
def test_the_program_in_the_docs_verifies_the_ledger(tmp_path: Path) -> None:
    organization = make_books()
    sealing.seal()
    adjust.adjust(
        subscription=organization.subscriptions.get(), credits=Decimal(1), actor=OPERATOR, reason="new", now=NOW
    )
    text = "".join(exports.stream("ledger", organization=organization, shape="jsonl"))
    assert verified(tmp_path, text) == (0, "14 sealed, 1 not yet, 0 problems")
    late = text.splitlines(keepends=True)[5:]
    assert verified(tmp_path, "".join(late)) == (0, "9 sealed, 1 not yet, 0 problems")


@pytest.mark.django_db
@pytest.mark.parametrize("change", ["edit", "remove", "swap", "insert", "begin"])
def test_the_program_in_the_docs_finds_what_was_changed(tmp_path: Path, change: str) -> None:
    organization = make_books()
    sealing.seal()
    lines = "".join(exports.stream("ledger", organization=organization, shape="jsonl")).splitlines(keepends=True)
    if change == "edit":
        lines[3] = lines[3].replace('"booked_at":"2026-03-01T10', '"booked_at":"2026-03-01T11')
    elif change == "remove":
        del lines[3]
    elif change == "swap":
        lines[3], lines[4] = lines[4], lines[3]
    elif change == "insert":
        lines.insert(3, lines[3])
    else:
        first = json.loads(lines[0])
        lines[0] = json.dumps(first | {"seal_before": "00" * 32}) + "\n"
    code, said = verified(tmp_path, "".join(lines))
    assert code == 1
    assert not said.endswith(" 0 problems")


def verified(folder: Path, text: str) -> tuple[int, str]:
    program = re.search(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert program is not None
    (folder / "verify_ledger.py").write_text(program[1])
    (folder / "ledger.jsonl").write_text(text)
    command = [sys.executable, str(folder / "verify_ledger.py"), str(folder / "ledger.jsonl")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert not done.stderr
    return done.returncode, done.stdout.strip().splitlines()[-1]


MANY = """
    INSERT INTO marketplace_credit_ledger (id, organization_id, subscription_id, sequence, kind, amount, balance_after,
        grant_id, event_id, actor, reason, booked_at)
    SELECT gen_random_uuid(), entry.organization_id, entry.subscription_id, n, 'debit', -0.000001, 1, entry.grant_id,
        gen_random_uuid(), 'test', 'one of many', entry.booked_at
    FROM (SELECT * FROM marketplace_credit_ledger LIMIT 1) AS entry, generate_series(2, %s) AS n
"""
MEASURE = """
import resource, sys
import django
django.setup()
from billing.accounts import queries
from billing.reporting import exports
organization = queries.get_organization("acme")
def peak(shape, most):
    size = lines = 0
    for piece in exports.stream("ledger", organization=organization, shape=shape):
        size += len(piece)
        lines += piece.count("\\n")
        if most and lines >= most:
            break
    return lines, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
_, before = peak("csv", 5000)
for shape, most in (("csv", None), ("jsonl", 50_000)):
    lines, after = peak(shape, most)
    print(shape, lines, after - before)
"""


def test_memory_stays_flat_whatever_the_size(real_db: str, monkeypatch: pytest.MonkeyPatch) -> None:
    catalogs.sync()
    organization = factories.sandbox(clock_at=NOW, slug="acme")
    onboard.subscribe(organization=organization, plan_code="team", actor=OPERATOR, now=NOW)
    with connection.cursor() as cursor:
        cursor.execute(MANY, [200_000])
    monkeypatch.setenv("DATABASE_URL", real_db)
    done = subprocess.run([sys.executable, "-c", MEASURE], capture_output=True, text=True, check=True)
    told = [line.split() for line in done.stdout.splitlines()]
    assert [(shape, int(lines)) for shape, lines, _ in told] == [("csv", 200_001), ("jsonl", 50_000)]
    # Kilobytes, on Linux; more than a hundred thousand of them went through.
    assert all(int(grown) < 4096 for _, _, grown in told), told


def test_an_export_is_of_one_moment(real_db: str) -> None:
    catalogs.sync()
    organization = factories.sandbox(clock_at=NOW, slug="acme")
    subscription = onboard.subscribe(organization=organization, plan_code="team", actor=OPERATOR, now=NOW)
    with connection.cursor() as cursor:
        cursor.execute(MANY, [3 * exports.ROWS_AT_ONCE])
    pieces = exports.stream("ledger", organization=organization, shape="jsonl")
    first = next(pieces), next(pieces)
    assert first[0] == ""
    with psycopg.connect(real_db) as other:
        more = MANY.replace("generate_series(2, %s)", "generate_series(%s, 2000)")
        other.execute(more.encode(), [3 * exports.ROWS_AT_ONCE + 1])
    assert first[1].count("\n") + sum(piece.count("\n") for piece in pieces) == 3 * exports.ROWS_AT_ONCE
    assert CreditEntry.objects.filter(account=subscription.marketplace).count() == 2000
