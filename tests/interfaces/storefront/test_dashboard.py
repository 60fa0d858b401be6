"""An organization's pages: what needs somebody first, use by day, credits, invoices, refusals; each role its share."""

import re
from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from billing import policy
from billing.accounts import actors
from billing.credits import operations as credits_operations
from billing.infra import refusals
from billing.invoicing import operations as invoicing
from billing.kernel.ids import new_id
from billing.lifecycle import cancel, clock, onboard, pause, usage
from billing.metering.offers import Offer
from billing.models import (
    GrantKind,
    Invoice,
    Membership,
    Organization,
    RefusalCount,
    Role,
    Status,
    Subscription,
)
from billing.reporting import doctor
from billing.service import BillingService
from tests.support import catalogs, factories, pages

pytestmark = pytest.mark.django_db
START = factories.at("2026-03-01 12:00:00")
NOW = factories.at("2026-03-10 12:00:00")
OPERATOR = actors.operator("test")
PATHS = ("", "usage/", "credits/", "invoices/", "refusals/", "guardrails/")


@pytest.fixture
def organization() -> Organization:
    catalogs.sync()
    organization = factories.sandbox(clock_at=START, slug="acme", name="Acme & Sons", zone="America/New_York")
    onboard.subscribe(organization=organization, plan_code="team", actor=OPERATOR, now=START)
    return organization


def at(organization: Organization, now: str) -> None:
    clock.advance(organization=organization, to=factories.at(now), actor=OPERATOR)
    organization.refresh_from_db()


def use(organization: Organization, meter: str, quantity: str, occurred_at: str | None = None) -> bool:
    offer = Offer(
        organization,
        meter,
        Decimal(quantity),
        new_id().hex,
        occurred_at=factories.at(occurred_at) if occurred_at else None,
    )
    (outcome,) = usage.record([offer], now=NOW)
    return outcome.event is not None


def live() -> Subscription:
    return Subscription.objects.get(status__in=["trialing", "active", "past_due", "paused", "incomplete"])


def issued(organization: Organization) -> Invoice:
    at(organization, "2026-04-01 12:00:00")
    draft = Invoice.objects.get(organization=organization, status="draft")
    return invoicing.issue(invoice=draft, actor=OPERATOR, now=organization.clock_at or NOW)


def seen(client: Client, path: str = "", **query: str) -> str:
    return pages.text(client.get(f"/dashboard/acme/{path}", query))


# The overview


def test_the_next_renewal_is_counted_down(client: Client, organization: Organization) -> None:
    pages.sign_in(client, organization, Role.MEMBER)
    assert "Renews in 30 days." in seen(client)
    at(organization, "2026-03-31 10:30:00")
    assert "Renews in 24 hours." in seen(client)
    cancel.cancel(subscription=live(), actor=OPERATOR, now=NOW, at_period_end=True)
    assert "Ends in 24 hours." in seen(client)


def test_nothing_to_do_says_nothing(client: Client, organization: Organization) -> None:
    pages.sign_in(client, organization)
    assert "What needs you" not in seen(client)


def test_a_limit_that_is_used_up_comes_before_the_rest(client: Client, organization: Organization) -> None:
    while use(organization, "task_run", "1"):
        pass
    pages.sign_in(client, organization, Role.MEMBER)
    page = seen(client)
    assert "Used up: Tasks. Further use is refused." in page
    assert "1 use was refused in the last 24 hours." in page
    assert page.index("What needs you") < page.index("Subscription")


def test_what_is_owed_is_for_those_who_see_money(client: Client, organization: Organization) -> None:
    invoice = issued(organization)
    assert invoice.due_on is not None
    member, finance, owner = Client(), Client(), client
    for each, role in ((member, Role.MEMBER), (finance, Role.FINANCE), (owner, Role.OWNER)):
        pages.sign_in(each, organization, role)
    assert f"Invoice {invoice.number} is to be paid" in seen(owner)
    at(organization, f"{invoice.due_on + timedelta(days=2)}")
    assert f"Invoice {invoice.number} is overdue" in seen(owner)
    assert "To the payment page" in seen(owner)
    assert f"Invoice {invoice.number} is overdue" in seen(finance)
    assert "To the payment page" not in seen(finance)
    assert str(invoice.number) not in seen(member)


def test_past_due_says_who_can_pay(client: Client, organization: Organization) -> None:
    Subscription.objects.filter(id=live().id).update(status=Status.PAST_DUE, past_due_at=START)
    pages.sign_in(client, organization, Role.MEMBER)
    page = seen(client)
    assert "A payment is missing, and use is refused until it is made." in page
    assert "An owner or an admin of the organization can do that." in page
    assert "To the payment page" not in page
    pages.sign_in(client, organization, Role.ADMIN)
    assert "To the payment page" in seen(client)


def test_what_is_reserved_fills_the_meter_too(client: Client, organization: Organization) -> None:
    BillingService.reserve_usage(organization, "task_run", 2, idempotency_key="r", now=START)
    use(organization, "task_run", "1")
    pages.sign_in(client, organization)
    page = seen(client)
    assert "1 of 50 and 2 reserved" in page or "1 of 5 and 2 reserved" in page


# Use by day


def test_use_by_day_is_drawn_and_told(client: Client, organization: Organization) -> None:
    at(organization, "2026-03-10 12:00:00")
    # The second is 3 March in New York.
    use(organization, "tokens", "700", "2026-03-02 12:00:00")
    use(organization, "tokens", "400", "2026-03-04 04:59:59")
    use(organization, "case_created", "2", "2026-03-05 12:00:00")
    pages.sign_in(client, organization, Role.MEMBER)
    answer = client.get("/dashboard/acme/usage/?meter=tokens")
    page = answer.content.decode()
    assert "March 2026" in pages.text(answer)
    table = {row[0]: row[1:] for row in pages.rows(answer, 'id="days"')}
    assert next(iter(table)) == "10 Mar 2026"
    assert list(table)[-1] == "1 Mar 2026"
    assert table["2 Mar 2026"] == ["700", "0", "1"]
    assert table["3 Mar 2026"] == ["400", "100", "1"]
    assert table["4 Mar 2026"] == ["0", "0", "0"]
    assert page.count("<rect") == 3, "700, 300 inside and 100 beyond"
    assert 'role="img" aria-labelledby="chart-title chart-text"' in page
    assert "1,100 in all, on 2 days; the most on one day were 700 on 2 Mar 2026." in pages.text(answer)
    assert 'style="' not in page
    other = pages.text(client.get("/dashboard/acme/usage/?meter=case_created"))
    assert "2 in all, on 1 day" in other


def test_the_page_the_api_and_the_windows_agree(client: Client, organization: Organization) -> None:
    at(organization, "2026-03-10 12:00:00")
    for day in range(1, 10):
        use(organization, "tokens", str(day), f"2026-03-0{day} 12:00:00")
    pages.sign_in(client, organization)
    page = pages.rows(client.get("/dashboard/acme/usage/?meter=tokens"), 'id="days"')
    answer = client.get("/api/billing/organizations/acme/usage/days?from=2026-03-01&to=2026-04-01").json()
    assert [row[1] for row in page if row[1] != "0"][::-1] == [each["quantity"] for each in answer["results"]]
    assert sum(int(row[1]) for row in page) == 45
    assert doctor.verify(organization=organization) == []


@pytest.mark.parametrize(
    ("query", "title"),
    [
        ("month=2026-02", "February 2026"),
        ("month=2026-03", "March 2026"),
        ("month=2026-04", "March 2026"),
        ("month=2026-13", "March 2026"),
        ("month=0000-01", "March 2026"),
        ("month=٢٠٢٦-٠٣", "March 2026"),
        ("month=%00", "March 2026"),
        ("span=period", "1 Mar 2026 to 1 Apr 2026"),
        ("span=%3Cb%3E", "March 2026"),
        ("meter=%3Cscript%3E", "March 2026"),
    ],
)
def test_a_month_or_the_billing_period(client: Client, organization: Organization, query: str, title: str) -> None:
    at(organization, "2026-03-10 12:00:00")
    pages.sign_in(client, organization)
    answer = client.get(f"/dashboard/acme/usage/?{query}")
    assert title in pages.text(answer)
    assert "<b>" not in answer.content.decode()
    assert "<script>" not in answer.content.decode()


# Credits


def test_grants_say_what_is_left_reserved_and_when_they_expire(client: Client, organization: Organization) -> None:
    BillingService.reserve_usage(organization, "task_run", 2, idempotency_key="r", now=START)
    pages.sign_in(client, organization, Role.MEMBER)
    answer = client.get("/dashboard/acme/credits/")
    (row,) = pages.rows(answer, 'id="grants"')
    assert row[:4] == ["Plan allowance", "10", "2", "10"]
    assert "in 30 days" in row[4]
    assert "8 credits to spend now, 10 on the books, 2 reserved for work that runs" in pages.text(answer)
    assert "Ledger" not in pages.text(answer)


def test_the_ledger_in_pages_there_and_back(client: Client, organization: Organization) -> None:
    account = live().marketplace
    for number in range(119):
        credits_operations.grant(
            account=account,
            kind=GrantKind.PURCHASE,
            credits=Decimal(1),
            starts_at=START,
            expires_at=None,
            actor="test",
            reason=f"number {number}",
            now=START,
        )
    pages.sign_in(client, organization, Role.FINANCE)
    told, links, query = [], [], ""
    for _ in range(3):
        answer = client.get(f"/dashboard/acme/credits/{query}")
        told.append([row[3] for row in pages.rows(answer, 'id="ledger"')])
        links.append(dict(re.findall(r'<a rel="(\w+)" href="([^"]+)"', answer.content.decode())))
        query = links[-1].get("next", "")
    assert [len(page) for page in told] == [50, 50, 20]
    assert [int(balance) for page in told for balance in page] == list(range(129, 9, -1))
    assert [sorted(each) for each in links] == [["next"], ["next", "prev"], ["prev"]]
    back = client.get(f"/dashboard/acme/credits/{links[2]['prev']}")
    assert [row[3] for row in pages.rows(back, 'id="ledger"')] == told[1]
    first = client.get(f"/dashboard/acme/credits/{links[1]['prev']}")
    assert [row[3] for row in pages.rows(first, 'id="ledger"')] == told[0]
    assert 'rel="prev"' not in first.content.decode()


@pytest.mark.parametrize("cursor", ["before=x", "before=-1", "before=٣", "after=99999999999999999999", "before=%00"])
@pytest.mark.parametrize("path", ["credits/", "invoices/"])
def test_a_cursor_that_is_none_is_the_first_page(
    client: Client, organization: Organization, path: str, cursor: str
) -> None:
    issued(organization)
    pages.sign_in(client, organization)
    answer = client.get(f"/dashboard/acme/{path}?{cursor}")
    assert answer.content.decode().count("<tr>") > 1


# Invoices


def test_invoices_with_documents_and_what_is_left(client: Client, organization: Organization) -> None:
    invoice = issued(organization)
    invoicing.credit(invoice=invoice, lines={1: 500}, reason="an <i>outage</i>", actor=OPERATOR, now=NOW)
    pages.sign_in(client, organization, Role.FINANCE)
    answer = client.get("/dashboard/acme/invoices/")
    first, note, *_ = pages.rows(answer, 'id="list"')
    assert first[0] == invoice.number
    assert first[1] == "Issued"
    assert first[4:6] == ["$49.00", "$44.00"]
    assert note[1:5] == ["Credit note", "an <i>outage</i>", "–", "−$5.00"]
    documents = re.findall(r'href="(/api/billing/[^"]+\?format=pdf)"', answer.content.decode())
    assert len(documents) == 2
    for document in documents:
        assert client.get(document).content.startswith(b"%PDF")
    page = pages.text(client.get(f"/dashboard/acme/invoices/{invoice.id}/"))
    assert "$44.00 is to be paid by" in page
    assert "An owner or an admin of the organization can pay it." in page


def test_money_paid_too_much_is_shown_as_a_balance(client: Client, organization: Organization) -> None:
    invoice = issued(organization)
    invoicing.pay(invoice=invoice, amount_minor=invoice.total_minor, reference="p-1", actor=OPERATOR, now=NOW)
    invoicing.credit(invoice=invoice, lines={1: 500}, reason="an outage", actor=OPERATOR, now=NOW)
    pages.sign_in(client, organization)
    assert "Your balance $5.00" in seen(client, "invoices/")
    page = seen(client, f"invoices/{invoice.id}/")
    assert "to be paid" not in page
    assert "Given to your balance −$5.00" in page


# Refusals


def test_a_used_up_limit_and_what_lifts_it(client: Client, organization: Organization) -> None:
    at(organization, "2026-03-10 12:00:00")
    refused = 0
    while refused < 3:
        refused += not use(organization, "task_run", "1")
    pages.sign_in(client, organization, Role.MEMBER)
    page = seen(client, "refusals/")
    assert "Tasks: beyond the limit." in page
    assert "3× last in the hour from 10 Mar 2026, 08:00" in page
    assert "Wait until 16 Mar 2026, 00:00." in page or "Buy 1 credits for" in page
    at(organization, "2026-03-16 12:00:00")
    use(organization, "task_run", "1")
    assert "Tasks: beyond the limit." in seen(client, "refusals/")


def test_what_a_plan_does_not_include_names_one_that_does(client: Client) -> None:
    catalogs.sync()
    organization = factories.sandbox(clock_at=START, slug="acme")
    onboard.subscribe(organization=organization, plan_code="free", actor=OPERATOR, now=START)
    use(organization, "task_run", "1")
    pages.sign_in(client, organization)
    page = seen(client, "refusals/")
    assert "Tasks: not in the plan." in page
    assert "Change to the plan Team, $49.00 a month." in page
    RefusalCount.objects.all().delete()
    refusals.count(organization.id, ["billing:error:meter-undeclared", "billing:feature-disabled:<b>"], START)
    page = seen(client, "refusals/")
    assert "Use of an event was sent that the catalog does not know." in page
    assert "Something was asked for that no plan knows." in page


def test_a_reason_that_is_gone_is_lifted(client: Client, organization: Organization) -> None:
    refusals.count(organization.id, ["billing:quota-exceeded:max_cases", "billing:subscription-missing"], START)
    pages.sign_in(client, organization)
    page = seen(client, "refusals/")
    assert page.count("Lifted One more would be admitted now.") == 2
    pause.pause(subscription=live(), actor=OPERATOR, now=START)
    page = seen(client, "refusals/")
    assert page.count("Have the subscription resumed.") == 2


def test_old_refusals_and_those_of_others_are_not_told(client: Client, organization: Organization) -> None:
    refusals.count(organization.id, ["billing:quota-exceeded:max_cases"], START - timedelta(days=8))
    refusals.count(factories.organization().id, ["billing:quota-exceeded:max_cases"], START)
    refusals.prune(before=START - timedelta(days=8, hours=-1))
    pages.sign_in(client, organization)
    assert "Nothing was refused." in seen(client, "refusals/")


def test_blocked_launches_say_why_in_words(client: Client, organization: Organization) -> None:
    policy.evaluate(
        organization,
        [policy.Requirement(event="case_created"), policy.Requirement(event="task_run", quantity=900)],
        actor="scheduler",
    )
    pages.sign_in(client, organization, Role.MEMBER)
    (row,) = pages.rows(client.get("/dashboard/acme/refusals/"), 'id="decisions"')
    assert row[1] == "Case created 900 × Task run"
    assert row[2] == "Tasks: beyond the limit. 0 of 5 were taken."


# All of them


def statements(client: Client, path: str) -> int:
    with CaptureQueriesContext(connection) as queries:
        assert client.get(f"/dashboard/acme/{path}").status_code == 200
    return len(queries)


def grow(organization: Organization, months: int) -> None:
    for _ in range(months):
        for meter in ("tokens", "case_created", "task_run", "task_run"):
            use(organization, meter, "3")
        refusals.count(
            organization.id,
            [f"billing:quota-exceeded:{key}" for key in ("max_cases", "tasks", "max_tokens")],
            organization.clock_at or NOW,
        )
        policy.evaluate(organization, [policy.Requirement(event="task_run", quantity=900)], actor="x")
        assert organization.clock_at is not None
        at(organization, f"{organization.clock_at + timedelta(days=31):%Y-%m-%d %H:%M:%S}")


@pytest.mark.parametrize("path", PATHS)
def test_at_most_fifteen_statements_however_many_rows(client: Client, organization: Organization, path: str) -> None:
    user = pages.sign_in(client, organization)
    for _ in range(3):
        Membership.objects.create(organization=factories.organization(), user=user, role=Role.MEMBER)
    grow(organization, 1)
    few = statements(client, path)
    grow(organization, 5)
    many = statements(client, path)
    assert many <= 15, many
    assert many <= few


@pytest.mark.parametrize("path", PATHS)
def test_an_organization_without_anything_has_pages_too(client: Client, path: str) -> None:
    pages.sign_in(client, factories.organization(slug="acme"))
    answer = client.get(f"/dashboard/acme/{path}")
    page = answer.content.decode()
    assert pages.text(answer)
    assert page.count("<h1") == 1
    assert "style=" not in page


@pytest.mark.parametrize(("path", "status"), [(path, 403 if path == "invoices/" else 200) for path in PATHS])
def test_members_see_no_money(client: Client, organization: Organization, path: str, status: int) -> None:
    invoice = issued(organization)
    pages.sign_in(client, organization, Role.MEMBER)
    answer = client.get(f"/dashboard/acme/{path}")
    assert answer.status_code == status
    assert str(invoice.number) not in answer.content.decode()
    assert "49.00" not in answer.content.decode()


@pytest.mark.parametrize("path", [*PATHS, "webhooks/"])
def test_for_nobody_else(client: Client, organization: Organization, path: str) -> None:
    pages.sign_in(client, factories.organization(slug="other"))
    assert client.get(f"/dashboard/acme/{path}").status_code == 404
    assert client.get(f"/dashboard/none/{path}").status_code == 404
