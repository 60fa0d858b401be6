"""Every error is one clear sentence and an exit code; with --json a problem on standard error."""

import threading

import pytest
from django.db import connection, connections, transaction

from billing.infra import locks
from billing.models import Organization
from tests.support import cli

# Arguments, exit code, code of the problem. None of them changes anything, so they share one database.
CASES: list[tuple[tuple[str, ...], int, str]] = [
    (("subscription", "show", "nobody"), 3, "not_found"),
    (("posture", "nobody"), 3, "not_found"),
    (("invoices", "show", "nobody"), 3, "not_found"),
    (("invoices", "show", "no such thing"), 3, "not_found"),
    (("keys", "revoke", "nothing"), 3, "not_found"),
    (("keys", "revoke", "00000000-0000-7000-8000-000000000000"), 3, "not_found"),
    (("usage", "record", "nobody", "case_created"), 3, "not_found"),
    (("subscription", "set", "acme", "--plan", "nothing"), 2, "plan_unknown"),
    (("subscription", "set", "acme", "--status", "trialing"), 4, "illegal_transition"),
    (("subscription", "set", "acme", "--plan", "scale", "--version", "99"), 4, "stale_subscription"),
    (("subscription", "set", "acme"), 2, "usage"),
    (("credits", "adjust", "acme", "-1000", "--reason", "too much"), 1, "insufficient_credits"),
    (("credits", "adjust", "acme", "0", "--reason", "nothing"), 2, "usage"),
    (("credits", "adjust", "acme", "1_0", "--reason", "x"), 2, "usage"),
    (("credits", "adjust", "acme", "１", "--reason", "x"), 2, "usage"),
    (("credits", "adjust", "acme", "NaN", "--reason", "x"), 2, "usage"),
    (("credits", "adjust", "acme", "0.0000001", "--reason", "x"), 2, "usage"),
    (("credits", "adjust", "acme", "1e3", "--reason", "x"), 2, "usage"),
    (("credits", "adjust", "acme", "10000000000000", "--reason", "x"), 2, "usage"),
    (("credits", "adjust", "acme", "1"), 2, "usage"),
    (("credits", "adjust", "acme", "1", "--reason", "  "), 2, "usage"),
    (("clock", "advance", "acme", "--to", "2025-01-01"), 2, "clock_invalid"),
    (("clock", "advance", "acme", "--to", "yesterday"), 2, "usage"),
    (("clock", "advance", "acme", "--by", "1y"), 2, "usage"),
    (("clock", "advance", "acme"), 2, "usage"),
    (("clock", "advance", "acme", "--by", "1d", "--to", "2027-01-01"), 2, "usage"),
    (("invoices", "draft", "acme"), 4, "no_ended_period"),
    (("invoices", "draft", "acme", "--period", "2030-01-01"), 3, "period_not_found"),
    (("invoices", "draft", "acme", "--period", "2026-01-10"), 4, "period_not_ended"),
    (("keys", "create", "acme", "--name", "x", "--scope", "credits"), 2, "invalid"),
    (("keys", "create", "acme", "--name", "x", "--scope", "read", "--expires-at", "2020-01-01"), 2, "invalid"),
    (("keys", "create", "acme", "--platform", "--name", "x", "--scope", "read"), 2, "usage"),
    (("keys", "create", "--name", "x", "--scope", "read"), 2, "usage"),
    (("tenants", "bootstrap", "Not A Slug", "--no-plan"), 2, "invalid"),
    (("tenants", "bootstrap", "beta", "--currency", "XXX"), 2, "invalid"),
    (("tenants", "bootstrap", "beta", "--zone", "Mars/Olympus"), 2, "invalid"),
    (("tenants", "bootstrap", "beta", "--clock", "2026-01-01"), 2, "usage"),
    (("tenants", "bootstrap", "beta", "--starts-at", "2199-01-01"), 2, "starts_at_invalid"),
    (("quota", "check", "acme", "case_created", "--quantity", "-1"), 2, "usage"),
    (("quota", "check", "acme", "case_created", "--key", "k"), 2, "usage"),
    (("nonsense",), 2, "usage"),
    (("plans", "nonsense"), 2, "usage"),
]


def test_an_error_is_an_exit_code_and_a_sentence(acme: str, subtests: pytest.Subtests) -> None:
    for arguments, exit_code, code in CASES:
        with subtests.test(arguments=arguments):
            ran = cli.run(*arguments, "--json")
            assert (ran.code, ran.out) == (exit_code, ""), ran
            assert ran.problem["code"] == code
            assert ran.problem["exit_code"] == exit_code
            assert ran.problem["type"] == f"urn:countinghouse:problem:{code}"
            assert ran.problem["detail"]
            said = cli.run(*arguments)
            assert (said.code, said.out) == (exit_code, "")
            assert said.err.strip()
            assert "Traceback" not in said.err


def test_an_error_of_a_field_names_it(acme: str) -> None:
    ran = cli.run("tenants", "bootstrap", "beta", "--zone", "Mars/Olympus", "--json")
    assert ran.problem["errors"] == [
        {"field": "zone", "code": "invalid", "message": "Not a time zone of the IANA database."}
    ]
    assert not Organization.objects.filter(slug="beta").exists()


def test_busy_books_are_their_own_exit_code(acme: str) -> None:
    held, release = threading.Event(), threading.Event()

    def hold() -> None:
        with transaction.atomic():
            locks.lock_organization(Organization.objects.get(slug="acme").id)
            held.set()
            release.wait(30)
        connections.close_all()

    holder = threading.Thread(target=hold)
    holder.start()
    try:
        assert held.wait(10)
        with connection.cursor() as cursor:
            cursor.execute("SET lock_timeout = '50ms'")
        ran = cli.run("credits", "adjust", "acme", "1", "--reason", "goodwill", "--json")
        checked = cli.run("quota", "check", "acme", "case_created", "--record", "--json")
    finally:
        release.set()
        holder.join()
    assert (ran.code, ran.problem["code"], ran.problem["notes"]) == (5, "busy", ["billing:error:busy"])
    assert (checked.code, checked.document["notes"]) == (5, ["billing:error:busy"])
