"""``mcpctl billing plans migrate``: shown first, done by --apply, finished by whoever runs it again."""

import signal
import time
from pathlib import Path

import pytest
from django.utils import timezone

from billing.accounts import actors
from billing.lifecycle import onboard
from billing.models import AuditEntry, PlanSpan, Subscription
from billing.reporting.doctor import verify
from tests.support import catalogs, cli, factories

MANY = 80
CHANGED = (
    ('price: {USD: "49.00", JPY: "4900"}', 'price: {USD: "59.00", JPY: "5900"}'),
    ("max_cases: 500\n      max_evaluations_per_month: 100", "max_cases: 300\n      max_evaluations_per_month: 100"),
)


def second_version() -> None:
    text = catalogs.TEXT
    for old, new in CHANGED:
        text = text.replace(old, new, 1)
    catalogs.sync(text)


def test_a_preview_is_the_default_and_changes_nothing(acme: str) -> None:
    cli.shown("clock", "advance", "acme", "--to", "2026-02-02")
    second_version()
    before = (AuditEntry.objects.count(), Subscription.objects.get().version)
    shown = cli.shown("plans", "migrate", "team", "--organization", "acme")
    assert (AuditEntry.objects.count(), Subscription.objects.get().version) == before
    assert (shown["to"], shown["when"], shown["moving"], shown["refusals"]) == ("team@2", "period-end", 1, {})
    assert shown["totals"] == [{
        "currency": "USD", "billing_period": "month", "subscriptions": 1, "now": "49.00", "then": "59.00",
        "difference": "10.00", "more": 1, "less": 0, "same": 0,
    }]  # fmt: skip
    (row,) = shown["results"]
    assert (row["organization"], row["now"]["total"], row["then"]["total"], row["difference"]) == (
        "acme", "49.00", "59.00", "10.00",
    )  # fmt: skip
    assert row["period"] == {"starts_at": "2026-01-01T00:00:00Z", "ends_at": "2026-02-01T00:00:00Z"}
    (changes,) = shown["changes"]
    assert changes["plan"] == "team@1"
    assert changes["entitlements"] == [
        {"entitlement": "max_cases", "change": "lowered", "fields": [{"path": "limit", "old": "500", "new": "300"}]}
    ]
    text = cli.run("plans", "migrate", "team@1", "--organization", "acme", "--dry-run").out
    for said in ("1 would be moved, 0 refused", "max_cases lowered: limit 500 → 300", "59.00", "nothing was changed"):
        assert said in text


def test_applied_twice_is_applied_once(acme: str) -> None:
    second_version()
    done = cli.shown("plans", "migrate", "team", "--organization", "acme", "--apply")
    assert (done["moved"], done["results"][0]["pending_plan"]["version"]) == (1, 2)
    before = AuditEntry.objects.count()
    again = cli.shown("plans", "migrate", "team", "--organization", "acme", "--apply")
    assert (again["scheduled_before"], again["results"], "moved" in again) == (1, [], False)
    assert AuditEntry.objects.count() == before
    assert "1 were scheduled before" in cli.run("plans", "migrate", "team", "--organization", "acme").out
    now = cli.shown(
        "plans", "migrate", "team@1", "--to", "team@2", "--when", "now", "--organization", "acme", "--apply"
    )
    assert now["results"][0]["plan"]["version"] == 2
    assert cli.shown("subscription", "show", "acme")["plan"]["version"] == 2
    assert AuditEntry.objects.filter(act="subscription.plan_changed").get().actor.startswith("cli:")


def test_refused_ones_are_told_and_end_in_an_exit_code(acme: str) -> None:
    cli.shown("subscription", "cancel", "acme", "--at-period-end")
    second_version()
    ran = cli.run("plans", "migrate", "team", "--include-sandboxes", "--apply", "--json")
    assert (ran.code, ran.document["refusals"]) == (1, {"cancel_pending": 1})
    assert ran.document["results"][0]["refusal"]["code"] == "cancel_pending"
    shown = cli.run("plans", "migrate", "team", "--include-sandboxes")
    assert shown.code == 0
    assert "refused, cancel_pending: 1" in shown.out


def test_sandboxes_are_left_out_unless_told(acme: str) -> None:
    second_version()
    assert cli.shown("plans", "migrate", "team", "--apply")["results"] == []


@pytest.mark.parametrize(("arguments", "code", "problem"), [
    (("nothing",), 2, "plan_unknown"),
    (("team@9",), 2, "plan_unknown"),
    (("team@x",), 2, "usage"),
    (("team@0",), 2, "usage"),
    (("team", "--to", "team@9"), 4, "plan_moved"),
    (("team", "--to", "nothing"), 2, "plan_unknown"),
    (("team", "--when", "tomorrow"), 2, "usage"),
    (("team", "--organization", "nobody"), 3, "not_found"),
])  # fmt: skip
def test_bad_input(acme: str, arguments: tuple[str, ...], code: int, problem: str) -> None:
    ran = cli.run("plans", "migrate", *arguments, "--apply", "--json")
    assert (ran.code, ran.problem["code"]) == (code, problem)


def test_a_killed_run_is_finished_by_the_next(catalog: str, tmp_path: Path) -> None:
    """Killed twice on its way: each subscriber is moved once, and the books agree."""
    for number in range(MANY):
        onboard.subscribe(
            organization=factories.organization(slug=f"org-{number}x"),
            plan_code="team",
            actor=actors.operator("test"),
            now=timezone.now(),
        )
    second_version()
    arguments = ("plans", "migrate", "team", "--when", "now", "--apply", "--show", "0")
    killed = 0
    while killed < 2:
        process = cli.start("--data", tmp_path, *arguments, DATABASE_URL=catalog)
        before = waiting()
        while process.poll() is None and waiting() > before - 15:
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert process.returncode == -signal.SIGKILL
        killed += 1
    assert 0 < waiting() < MANY
    rest = waiting()
    done = cli.run_process("--data", tmp_path, *arguments, "--json", DATABASE_URL=catalog)
    assert (done.code, done.document["moved"]) == (0, rest)
    assert (waiting(), Subscription.objects.filter(plan__version=2).count()) == (0, MANY)
    assert PlanSpan.objects.filter(plan__version=2).count() == MANY
    assert AuditEntry.objects.filter(act="subscription.plan_changed").count() == MANY
    assert verify() == []


def waiting() -> int:
    return Subscription.objects.filter(plan__code="team", plan__version=1).count()
