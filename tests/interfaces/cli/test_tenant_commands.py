"""Subscription, posture, quota, credits, keys, clock: one organization's books from the shell."""

from datetime import timedelta

from django.test import Client
from django.utils import timezone

from billing.accounts import queries as accounts_queries
from billing.models import AuditEntry, CreditEntry, UsageEvent
from tests.support import cli


def test_subscription_show_and_set(acme: str) -> None:
    shown = cli.shown("subscription", "show", "acme")
    assert (shown["plan"]["code"], shown["status"], shown["credit_balance"]) == ("team", "active", "10")
    assert "Team" in cli.run("subscription", "show", "acme").out
    changed = cli.shown("subscription", "set", "acme", "--plan", "scale", "--version", str(shown["version"]))
    assert (changed["id"], changed["plan"]["code"]) == (shown["id"], "scale")
    # The one who still believes in the old version changes nothing.
    stale = cli.run("subscription", "set", "acme", "--plan", "team", "--version", str(shown["version"]), "--json")
    assert (stale.code, stale.problem["code"]) == (4, "stale_subscription")
    assert cli.shown("subscription", "show", "acme")["plan"]["code"] == "scale"


def test_subscription_set_subscribes_who_has_none(catalog: str) -> None:
    cli.shown("tenants", "bootstrap", "beta", "--no-plan")
    assert cli.run("subscription", "show", "beta").code == 3
    made = cli.shown("subscription", "set", "beta", "--plan", "team", "--currency", "JPY")
    assert (made["status"], made["currency"]) == ("active", "JPY")


def test_subscription_cancel_ends_it_and_tells_why(acme: str) -> None:
    ended = cli.shown("subscription", "cancel", "acme", "--reason", "moved away")
    assert (ended["status"], ended["current_period"]) == ("canceled", None)
    assert AuditEntry.objects.get(act="subscription.canceled").reason == "moved away"
    assert cli.run("subscription", "cancel", "acme").code == 3
    assert cli.shown("subscription", "show", "acme")["status"] == "canceled"


def test_subscription_changes_and_ends_can_wait_and_be_withdrawn(acme: str) -> None:
    waiting = cli.shown("subscription", "set", "acme", "--plan", "scale", "--at-period-end")
    assert (waiting["plan"]["code"], waiting["pending_plan"]["code"]) == ("team", "scale")
    assert "changes to scale v1" in cli.run("subscription", "show", "acme").out
    ending = cli.shown("subscription", "cancel", "acme", "--at-period-end")
    assert (ending["status"], ending["cancel_at_period_end"], ending["pending_plan"]) == ("active", True, None)
    assert cli.shown("subscription", "reactivate", "acme")["cancel_at_period_end"] is False


def test_subscription_pause_and_resume(acme: str) -> None:
    assert cli.shown("subscription", "pause", "acme", "--reason", "holidays")["status"] == "paused"
    assert cli.run("subscription", "pause", "acme").code == 4
    assert cli.shown("subscription", "resume", "acme")["status"] == "active"
    assert cli.run("subscription", "resume", "acme").code == 0


def test_subscription_set_to_a_status(acme: str) -> None:
    assert cli.shown("subscription", "set", "acme", "--status", "active")["status"] == "active"
    assert cli.shown("subscription", "set", "acme", "--status", "canceled")["status"] == "canceled"


def test_posture_fits_one_screen(acme: str) -> None:
    cli.shown("usage", "record", "acme", "tokens", "--quantity", "1500", "--key", "t")
    shown = cli.shown("posture", "acme")
    assert shown["subscription"]["plan_code"] == "team"
    assert shown["next_renewal_at"] == "2026-02-01T00:00:00Z"
    (tokens,) = [each for each in shown["entitlements"] if each["key"] == "tokens_included"]
    assert (tokens["used"], tokens["limit"], tokens["remaining"], tokens["overage"]) == ("1500", "1000", "0", "500")
    text = cli.run("posture", "acme").out
    assert len(text.splitlines()) < 40
    for words in ("team v1 (Team)", "next renewal  2026-02-01 00:00:00Z", "1,500", "tokens_included"):
        assert words in text


def test_posture_without_a_subscription(catalog: str) -> None:
    cli.shown("tenants", "bootstrap", "beta", "--no-plan")
    assert cli.shown("posture", "beta")["subscription"] is None
    assert "none" in cli.run("posture", "beta").out


def test_quota_check_changes_nothing_unless_it_records(acme: str) -> None:
    asked = cli.shown("quota", "check", "acme", "max_cases", "--quantity", "500")
    assert (asked["allowed"], asked["remaining"], asked["recorded"]) == (True, "500", False)
    assert not UsageEvent.objects.exists()
    counted = cli.shown("quota", "check", "acme", "case_created", "--quantity", "499", "--record", "--key", "k")
    assert (counted["recorded"], counted["remaining"]) == (True, "1")
    again = cli.shown("quota", "check", "acme", "case_created", "--quantity", "499", "--record", "--key", "k")
    assert (again["duplicate"], again["event_id"]) == (True, counted["event_id"])
    assert (
        "before, under the same key"
        in cli.run("quota", "check", "acme", "case_created", "--quantity", "499", "--record", "--key", "k").out
    )


def test_quota_check_says_no_with_exit_code_1(acme: str) -> None:
    assert cli.run("quota", "check", "acme", "max_cases", "--quantity", "500").code == 0
    no = cli.run("quota", "check", "acme", "max_cases", "--quantity", "501", "--json")
    assert (no.code, no.document["notes"]) == (1, ["billing:quota-exceeded:max_cases"])
    text = cli.run("quota", "check", "acme", "max_cases", "--quantity", "501")
    assert text.code == 1
    assert "billing:quota-exceeded:max_cases" in text.out
    assert cli.run("quota", "check", "acme", "no_such_feature").code == 1


def test_usage_record(acme: str) -> None:
    arguments = ("usage", "record", "acme", "case_created", "--key", "k", "--service", "planner", "--flag", "pii")
    first = cli.shown(*arguments)
    assert (first["status"], first["source"], first["quantity"]) == ("accepted", "cli", "1")
    event = UsageEvent.objects.get()
    assert (event.service, event.guardrail_flags) == ("planner", ["pii"])
    assert cli.shown(*arguments)["status"] == "duplicate"
    other = cli.run("usage", "record", "acme", "case_created", "--key", "k", "--quantity", "2", "--json")
    assert (other.code, other.document["status"]) == (4, "conflict")
    refused = cli.run("usage", "record", "acme", "case_created", "--quantity", "500", "--json")
    assert (refused.code, refused.document["code"]) == (1, "quota_exceeded")
    assert "quota_exceeded" in cli.run("usage", "record", "acme", "case_created", "--quantity", "500").out
    old = cli.run("usage", "record", "acme", "case_created", "--at", "2025-11-01", "--json")
    assert (old.code, old.document["code"]) == (2, "occurred_at_too_old")
    unknown = cli.run("usage", "record", "acme", "nonsense", "--json")
    assert (unknown.code, unknown.document["code"]) == (2, "meter_undeclared")
    assert UsageEvent.objects.count() == 1


def test_usage_show(acme: str) -> None:
    assert cli.run("usage", "show", "acme").out == "Nothing was used yet.\n"
    cli.shown("usage", "record", "acme", "tokens", "--quantity", "1234.5", "--at", "2026-01-02T03:04:05+01:00")
    assert cli.shown("usage", "show", "acme")["results"] == [
        {"meter": "tokens", "total": "1234.5", "month": "1234.5", "month_starts_at": "2026-01-01T00:00:00Z"}
    ]
    assert "1,234.5" in cli.run("usage", "show", "acme").out


def test_credits_are_given_and_taken_with_a_reason(acme: str) -> None:
    given = cli.shown("credits", "adjust", "acme", "2.5", "--reason", "goodwill", "--expires-at", "2026-02-01")
    assert given["balance"] == "12.5"
    assert given["results"][0]["reason"] == "goodwill"
    assert given["results"][0]["actor"].startswith("cli:")
    taken = cli.run("credits", "adjust", "acme", "-12", "--reason", "by mistake")
    assert taken.code == 0
    assert "-12 credits booked; the balance is 0.5." in taken.out
    entries = list(CreditEntry.objects.order_by("sequence"))
    assert entries[-1].balance_after == sum(entry.amount for entry in entries)
    before = CreditEntry.objects.count()
    assert cli.run("credits", "adjust", "acme", "-1", "--reason", "too much").code == 1
    assert CreditEntry.objects.count() == before


def test_credits_show_and_ledger(acme: str) -> None:
    cli.shown("credits", "adjust", "acme", "5", "--reason", "goodwill", "--kind", "promotion")
    shown = cli.shown("credits", "show", "acme")
    assert (shown["balance"], shown["spendable"]) == ("15", "15")
    assert [grant["kind"] for grant in shown["grants"]] == ["promotion", "allowance"]
    assert "promotion" in cli.run("credits", "show", "acme").out
    page = cli.shown("credits", "ledger", "acme", "--limit", "1")
    assert (page["results"][0]["balance_after"], page["next"]) == ("15", 2)
    rest = cli.shown("credits", "ledger", "acme", "--before", str(page["next"]))
    assert ([each["balance_after"] for each in rest["results"]], rest["next"]) == (["10"], None)
    assert "more with --before 2" in cli.run("credits", "ledger", "acme", "--limit", "1").out


def test_keys_are_shown_once_and_die_at_once(acme: str) -> None:
    made = cli.shown("keys", "create", "acme", "--name", "robot", "--scope", "read", "--scope", "usage")
    headers = {"Authorization": f"Bearer {made['key']}"}
    path = "/api/billing/organizations/acme/subscription"
    assert Client().get(path, headers=headers).status_code == 200
    listed = cli.shown("keys", "list", "acme")["results"]
    assert listed[0]["id"] == made["id"]
    assert made["key"] not in cli.run("keys", "list", "acme").out
    first = cli.shown("keys", "revoke", made["id"])
    assert Client().get(path, headers=headers).status_code == 401
    assert cli.shown("keys", "revoke", made["id"])["revoked_at"] == first["revoked_at"]
    assert "revoked" in cli.run("keys", "list", "acme").out


def test_platform_keys_are_a_list_of_their_own(acme: str) -> None:
    expires_at = (timezone.now() + timedelta(days=1)).replace(microsecond=0)
    made = cli.shown(
        *("keys", "create", "--platform", "--name", "ops", "--scope", "credits", "--expires-at", expires_at.isoformat())
    )
    assert (made["organization"], made["scopes"]) == (None, ["credits"])
    found = accounts_queries.find_key(made["key"], timezone.now())
    assert found is not None
    assert found.expires_at == expires_at
    assert accounts_queries.find_key(made["key"], expires_at) is None
    assert [key["id"] for key in cli.shown("keys", "list", "--platform")["results"]] == [made["id"]]
    assert made["id"] not in [key["id"] for key in cli.shown("keys", "list", "acme")["results"]]


def test_clock_runs_what_falls_due_in_order(acme: str) -> None:
    moved = cli.shown("clock", "advance", "acme", "--by", "46d")
    assert moved["organization"]["clock_at"] == "2026-03-02T00:00:00Z"
    happened = [(each["at"][:10], each["topic"]) for each in moved["events"]]
    assert [each for each in happened if not each[1].startswith("dunning.")] == [
        ("2026-02-01", "subscription.renewed"),
        ("2026-02-01", "invoice.drafted"),
        # What collects it, in between, has tests of its own.
        ("2026-02-02", "invoice.issued"),
        ("2026-03-01", "subscription.renewed"),
        ("2026-03-01", "invoice.drafted"),
        ("2026-03-02", "invoice.issued"),
    ]
    text = cli.run("clock", "advance", "acme", "--to", "2026-04-01T12:00:00+02:00").out
    assert "subscription.renewed" in text
    assert "stands at 2026-04-01 10:00:00Z" in text


def test_clock_of_a_real_organization_does_not_move(catalog: str) -> None:
    cli.shown("tenants", "bootstrap", "beta")
    ran = cli.run("clock", "advance", "beta", "--by", "1d", "--json")
    assert (ran.code, ran.problem["code"]) == (4, "not_a_sandbox")
