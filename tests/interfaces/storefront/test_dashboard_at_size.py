"""Pages of an organization with very much use cost what they cost without it.

Here with thirty thousand events; ``make dashboard-at-size`` has a million, and a hundred thousand ledger entries.
"""

import os
import statistics
import time

from django.test import Client

from billing.models import Role
from billing.reporting import doctor
from tests.support import crowd, factories, pages

EVENTS = int(os.environ.get("DASHBOARD_EVENTS", "30000"))
# Beside other tests a clock says nothing: it is looked at where the size is asked for.
IS_TIMED = "DASHBOARD_EVENTS" in os.environ
PATHS = ("", "usage/", "usage/?span=period", "credits/", "credits/?before=50", "invoices/", "refusals/", "guardrails/")
GOAL_MS = 300
ROUNDS = 7


def test_every_page_answers_in_time(client: Client, real_db: str) -> None:
    organization = crowd.make(events=EVENTS, entries=EVENTS // 10, month=factories.at("2026-03-01"))
    assert doctor.verify(organization=organization) == []
    pages.sign_in(client, organization, Role.OWNER)
    took = {}
    for path in PATHS:
        # The first request of a process compiles its templates.
        pages.text(client.get(f"/dashboard/crowd/{path}"))
        rounds = []
        for _ in range(ROUNDS):
            began = time.perf_counter()
            assert client.get(f"/dashboard/crowd/{path}").status_code == 200
            rounds.append((time.perf_counter() - began) * 1000)
        took[path or "overview"] = statistics.median(rounds)
    # For whoever runs it to see: pytest shows it with -s.
    print("\n".join(f"{path:24} {milliseconds:6.0f} ms" for path, milliseconds in took.items()))  # noqa: T201
    answer = client.get("/dashboard/crowd/usage/?meter=jobs")
    assert sum(int(row[1].replace(",", "")) for row in pages.rows(answer, 'id="days"')) == EVENTS // 3
    assert not IS_TIMED or {path: each for path, each in took.items() if each > GOAL_MS} == {}
