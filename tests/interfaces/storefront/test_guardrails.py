"""Use by flag on a page: the API's numbers, month by month, for who may read the organization."""

import re
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from billing.accounts import actors, members
from billing.accounts import operations as accounts_operations
from billing.kernel.ids import new_id
from billing.kernel.periods import Cadence, calendar_window
from billing.lifecycle import guardrails as lifecycle_guardrails
from billing.lifecycle import onboard, reversal, usage
from billing.metering.offers import Offer
from billing.models import Organization, Role, UsageDebitHold, UsageEvent, User
from billing.reporting import flagged as flagged_use
from tests.support import factories
from tests.support import guardrails as guarded

pytestmark = pytest.mark.django_db
START = factories.at("2026-03-10")
OPERATOR = actors.operator("test")


@pytest.fixture
def organization() -> Organization:
    guarded.sync()
    organization = factories.sandbox(clock_at=START, slug="acme", name="Acme & Sons", zone="America/New_York")
    onboard.subscribe(
        organization=organization, plan_code="team", actor=OPERATOR, now=START, starts_at=factories.at("2026-02-15")
    )
    return organization


def use(organization: Organization, quantity: str, *flags: str, on: str = "2026-03-10") -> None:
    offer = Offer(
        organization, "tokens", Decimal(quantity), new_id().hex, occurred_at=factories.at(on), guardrail_flags=flags
    )
    (outcome,) = usage.record([offer], now=START)
    assert outcome.event is not None, outcome


def signed_in(client: Client, organization: Organization, role: str = Role.MEMBER) -> None:
    user: User = accounts_operations.create_user(email=f"{new_id().hex}@example.com", password="a-long-password")
    members.set_role(organization=organization, user=user, role=role, actor=OPERATOR)
    client.force_login(user)


def rows(page: str) -> list[list[str]]:
    body = page.partition("<tbody>")[2].partition("</tbody>")[0]
    cells = (re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.DOTALL) for row in body.split("</tr>")[:-1])
    return [[" ".join(re.sub(r"<[^>]+>", "", cell).split()) for cell in row] for row in cells]


def test_rows_add_up_and_what_waits_is_shown(client: Client, organization: Organization) -> None:
    use(organization, "10")
    use(organization, "20", "drift", "<b>")
    use(organization, "1200", "review")
    signed_in(client, organization)
    page = client.get("/dashboard/acme/guardrails/").content.decode()
    assert "March 2026" in page
    assert rows(page) == [
        ["Tokens", "none", "1", "10", "0", "–", ""],
        ["Tokens", "&lt;b&gt; drift", "1", "20", "0", "0.2", ""],
        ["Tokens", "review", "1", "1,200", "0", "0", "230 beyond, 9.7 credits"],
        ["Tokens", "In all", "3", "1,230", "0", "–", "230 beyond, 9.7 credits"],
    ]
    assert rows(page.partition('id="holds"')[2]) == [["Tokens", "review", "1,200", "230", "9.7", rows_time(page)]]
    assert "<b>" not in page
    assert "/dashboard/acme/guardrails/" in client.get("/dashboard/acme/").content.decode()


def rows_time(page: str) -> str:
    return str(re.findall(r'<time datetime="[^"]+">([^<]+)</time>', page.partition('id="holds"')[2])[0])


@pytest.mark.parametrize(
    ("month", "title", "quantities"),
    [
        ("2026-02", "February 2026", ["7", "7"]),
        ("2026-03", "March 2026", ["10", "10"]),
        ("2026-04", "March 2026", ["10", "10"]),
        ("2026-01", "January 2026", []),
        ("2026-13", "March 2026", ["10", "10"]),
        ("0000-01", "March 2026", ["10", "10"]),
        ("٢٠٢٦-٠٣", "March 2026", ["10", "10"]),
        ("'; --", "March 2026", ["10", "10"]),
    ],
)
def test_month_by_month_in_the_organizations_zone(
    client: Client, organization: Organization, month: str, title: str, quantities: list[str]
) -> None:
    use(organization, "10")
    # Still February in New York.
    use(organization, "7", on="2026-03-01 04:59:59")
    signed_in(client, organization)
    page = client.get("/dashboard/acme/guardrails/", {"month": month}).content.decode()
    assert title in page
    assert [row[3] for row in rows(page)] == quantities
    assert ("Month after" in page) == (title != "March 2026")


def test_for_nobody_else(client: Client, organization: Organization) -> None:
    path = "/dashboard/acme/guardrails/"
    assert client.get(path).status_code == 302
    signed_in(client, factories.organization())
    assert client.get(path).status_code == 404
    assert client.post(path).status_code == 405


def test_the_page_has_what_the_report_has(client: Client, organization: Organization) -> None:
    """The one is summed from windows and flagged events, the other from all events."""
    use(organization, "10")
    use(organization, "20", "drift", "review")
    use(organization, "20", "review", "drift")
    use(organization, "30", "drift", on="2026-03-02")
    use(organization, "1200", "review")
    bare, flagged = UsageEvent.objects.filter(quantity=10).get(), UsageEvent.objects.filter(quantity=30).get()
    for event, quantity in ((bare, 4), (flagged, 30)):
        reversal.reverse(
            event_id=event.id, quantity=Decimal(quantity), actor=OPERATOR, reason="wrong", key=None, now=START
        )
    hold = UsageDebitHold.objects.get(event__quantity=1200)
    lifecycle_guardrails.reject(
        organization=organization, event_id=hold.event_id, actor=OPERATOR, reason="x", now=START
    )
    signed_in(client, organization)
    shown = rows(client.get("/dashboard/acme/guardrails/").content.decode())
    told = client.get(
        "/api/billing/organizations/acme/guardrails/report?from=2026-03-01T05:00:00Z&to=2026-04-01T04:00:00Z"
    ).json()
    expected = [[" ".join(row["flags"]) or "none", str(row["events"]), row["quantity"]] for row in told["rows"]]
    expected += [["In all", str(row["events"]), row["quantity"]] for row in told["totals"]]
    assert sorted(row[1:4] for row in shown) == sorted(expected)
    assert [row[2:4] for row in shown if row[1] == "drift review"] == [["2", "40"]]


def test_unflagged_use_is_not_read(organization: Organization) -> None:
    use(organization, "20", "drift")
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
    span = calendar_window(Cadence.MONTHLY, START, ZoneInfo(organization.zone))
    with CaptureQueriesContext(connection) as queries:
        flagged_use.month(organization, span)
    (sql,) = [each["sql"] for each in queries if 'FROM "marketplace_usage_events"' in each["sql"]]
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN {sql}")
        plan = "\n".join(row[0] for row in cursor.fetchall())
    assert "usage_events_marked" in plan
