"""The pages: the same numbers as the API, each role its share, and nothing inline for the policy to forbid."""

import re
from decimal import Decimal
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from django.contrib.auth.models import Group
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from billing.accounts import actors, members
from billing.accounts import operations as accounts_operations
from billing.invoicing import operations as invoicing_operations
from billing.kernel.ids import new_id
from billing.lifecycle import cancel, coupons, discounts, onboard, pending, renew
from billing.metering import operations as metering_operations
from billing.metering.offers import Offer
from billing.models import (
    EntitlementKind,
    Invoice,
    Organization,
    Plan,
    PlanEntitlement,
    PricingPlan,
    Role,
    Subscription,
    User,
)
from marketplace import wording
from tests.support import factories

START = factories.at("2026-01-20 10:30:00")
OPERATOR = actors.operator("ada")
PASSWORD = "a-long-enough-password"

pytestmark = pytest.mark.django_db


@pytest.fixture
def plan() -> Plan:
    plan = factories.plan(
        code="team",
        name="Team <b>",
        trial_days=0,
        credit_allowance=Decimal(5),
        base_fees={"USD": 4900, "JPY": 7500},
        overages=[factories.Overage("tokens", "100")],
    )
    factories.meter("cases")
    PlanEntitlement.objects.create(
        plan=plan, key="max_cases", kind=EntitlementKind.METERED, meters=["cases"], limit=4, position=1
    )
    PricingPlan.objects.create(
        plan=plan,
        tagline="For <script>alert(1)</script>",
        bundle={"badge": "Most chosen"},
        sla_tier="standard",
        features=[
            {"key": "a", "name": "Documents", "value": True, "group": ""},
            {"key": "b", "name": "Planner", "value": False, "group": ""},
            {"key": "c", "name": "Cases", "value": "2,000", "group": ""},
        ],
    )
    return plan


@pytest.fixture
def organization(plan: Plan) -> Organization:
    organization = factories.sandbox(clock_at=START, zone="America/New_York", slug="acme", name="Acme & Sons")
    onboard.subscribe(organization=organization, plan_code="team", actor=OPERATOR, now=START)
    return organization


def signed_in(client: Client, organization: Organization | None, role: str = Role.OWNER, **fields: Any) -> User:
    user = accounts_operations.create_user(email=f"{new_id().hex}@example.com", password=PASSWORD)
    if fields:
        User.objects.filter(id=user.id).update(**fields)
    if organization is not None:
        members.set_role(organization=organization, user=user, role=role, actor=OPERATOR)
    client.force_login(user)
    return user


def use(organization: Organization, meter: str, quantity: int) -> None:
    offer = Offer(organization, meter, Decimal(quantity), key=new_id().hex)
    (outcome,) = metering_operations.record([offer], now=START)
    assert outcome.status == "accepted", outcome


def issued_invoice(organization: Organization) -> Invoice:
    organization.clock_at = factories.at("2026-02-21")
    organization.save(update_fields=["clock_at"])
    renew.renew_due(organization_id=organization.id, now=organization.clock_at)
    return invoicing_operations.issue(invoice=Invoice.objects.get(), actor=OPERATOR, now=organization.clock_at)


def text(response: Any) -> str:
    assert response.status_code == 200
    page: str = response.content.decode()
    return page


def test_plans_show_what_the_api_shows(client: Client, plan: Plan) -> None:
    page = text(client.get("/"))
    (listed,) = client.get("/api/billing/plans").json()["results"]
    prices = {price["currency"]: price["base_fee"] for price in listed["prices"]}
    assert prices == {"USD": "49.00", "JPY": "7500"}
    assert '<strong>$49.00</strong> <span class="soft">a month</span>' in page
    assert "5 credits a month" in page
    assert "Standard service level" in page
    assert "Cases: <strong>2,000</strong>" in page
    assert "Planner: not included" in page
    assert "Most chosen" in page


@pytest.mark.parametrize(
    ("currency", "shown"),
    [("JPY", "¥7,500"), ("jpy", "¥7,500"), ("XXX", "$49.00"), ("<b>", "$49.00"), ("\x00", "$49.00")],
)
def test_prices_in_a_currency(client: Client, plan: Plan, currency: str, shown: str) -> None:
    assert f"<strong>{shown}</strong>" in text(client.get("/", {"currency": currency}))


@pytest.mark.parametrize(
    ("fee", "minimum", "is_told"), [(4900, 0, False), (4900, 4900, False), (4900, 4901, True), (0, 6000, True)]
)
def test_a_minimum_above_the_fee_is_told(client: Client, plan: Plan, fee: int, minimum: int, is_told: bool) -> None:
    plan.prices.filter(currency="USD").update(base_fee_minor=fee, minimum_minor=minimum)
    page = client.get("/?currency=USD").content.decode()
    assert (f"At least ${minimum / 100:.2f} a month" in page) == is_told
    assert "<strong>Free</strong>" not in page


def test_markup_in_the_catalog_is_inert(client: Client, plan: Plan) -> None:
    page = text(client.get("/"))
    assert "Team &lt;b&gt;" in page
    assert not re.search("<script(?! src)", page)


def test_an_empty_catalog(client: Client) -> None:
    assert "No plan is on sale yet." in text(client.get("/"))


@pytest.mark.parametrize("path", ["/dashboard/", "/dashboard/acme/"])
def test_the_dashboard_asks_for_a_sign_in(client: Client, path: str) -> None:
    response = client.get(path)
    assert (response.status_code, response["Location"]) == (302, f"/account/login/?next={path}")


def test_limits_and_use(client: Client, organization: Organization) -> None:
    use(organization, "cases", 3)
    use(organization, "cases", 1)
    use(organization, "tokens", 130)
    signed_in(client, organization)
    page = re.sub(r"\s+", " ", text(client.get("/dashboard/acme/")))
    assert "Acme &amp; Sons" in page
    assert '<strong>4</strong> <span class="soft">of 4</span>' in page
    assert '<progress class="bad" max="1000" value="1000" aria-label="Cases: 4 of 4 used">' in page
    assert "Used up" in page
    assert "30 beyond the limit, billed by use" in page
    assert "20 Feb 2026, 05:30" in page, "in the organization's zone"
    assert 'it is <time datetime="2026-01-20T10:30:00Z">20 Jan 2026, 05:30</time>' in page


@pytest.mark.parametrize(
    ("role", "sees"), [(Role.OWNER, True), (Role.ADMIN, True), (Role.FINANCE, True), (Role.MEMBER, False)]
)
def test_money_by_role(client: Client, organization: Organization, role: str, sees: bool) -> None:
    invoice = issued_invoice(organization)
    signed_in(client, organization, role)
    page = text(client.get("/dashboard/acme/"))
    for fragment in ("All invoices", "$49.00", str(invoice.number)):
        assert (fragment in page) == sees
    # Credits are units to use, like the quotas, and no money.
    assert "Plan allowance" in page
    assert ">Cases</h3>" in page
    assert client.get(f"/dashboard/acme/invoices/{invoice.id}/").status_code == (200 if sees else 403)


@pytest.mark.parametrize(
    ("group", "regions", "status", "sees"),
    [
        ("finance", ["eu"], 200, True),
        ("finance", ["us"], 403, False),
        ("support", ["*"], 200, True),
        ("catalog", ["*"], 200, False),
        ("", ["*"], 404, False),
    ],
)
def test_staff_by_group_and_region(
    client: Client, organization: Organization, group: str, regions: list[str], status: int, sees: bool
) -> None:
    user = signed_in(client, None, is_staff=True, cleared_regions=regions)
    if group:
        user.groups.add(Group.objects.get_or_create(name=group)[0])
    response = client.get("/dashboard/acme/")
    assert response.status_code == status
    assert ("All invoices" in response.content.decode()) == sees


def test_an_invoice_page_has_the_api_s_numbers(client: Client, organization: Organization) -> None:
    use(organization, "tokens", 130)
    invoice = issued_invoice(organization)
    signed_in(client, organization)
    page = text(client.get(f"/dashboard/acme/invoices/{invoice.id}/"))
    document = client.get(f"/api/billing/invoices/{invoice.id}").json()
    assert document["total"] == "64.00"
    for value in [document["number"], document["total"], *(line["amount"] for line in document["lines"])]:
        assert value in page
    assert "30 at $0.50" in page


def test_others_look_like_nothing(client: Client, organization: Organization) -> None:
    invoice = issued_invoice(organization)
    signed_in(client, factories.organization(slug="other"))
    no_organization = bare(client.get("/dashboard/no-such/"))
    no_invoice = bare(client.get(f"/dashboard/other/invoices/{new_id()}/"))
    assert bare(client.get("/dashboard/acme/")) == no_organization
    assert bare(client.get(f"/dashboard/{organization.id}/")) == no_organization
    assert bare(client.get(f"/dashboard/acme/invoices/{invoice.id}/")) == no_invoice
    assert bare(client.get(f"/dashboard/other/invoices/{invoice.id}/")) == no_invoice


def bare(response: Any) -> str:
    assert response.status_code == 404
    return re.sub(r'name="csrfmiddlewaretoken" value="\w+"', "", response.content.decode())


def test_switching_organizations(client: Client, organization: Organization) -> None:
    user = signed_in(client, organization)
    second = factories.organization(slug="zebra", name="Zebra")
    members.set_role(organization=second, user=user, role=Role.MEMBER, actor=OPERATOR)
    page = text(client.get("/dashboard/acme/"))
    assert 'href="/dashboard/zebra/"' in page
    other = text(client.get("/dashboard/zebra/"))
    assert "No subscription yet." in other


def test_without_an_organization(client: Client) -> None:
    signed_in(client, None)
    assert "No organization yet" in text(client.get("/dashboard/"))


@pytest.mark.parametrize("path", ["/nothing", "/dashboard/acme/invoices/not-a-uuid/", "/%00", "/dashboard/%C0%AF/"])
def test_error_pages_are_pages(client: Client, path: str) -> None:
    response = client.get(path)
    assert response.status_code in (400, 404)
    assert "<title>" in response.content.decode()


def test_a_defect_gets_a_page_without_details(client: Client, plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("detail-of-the-defect")

    monkeypatch.setattr("marketplace.storefront.cards.plans_page", fail)
    client.raise_request_exception = False
    response = client.get("/")
    assert response.status_code == 500
    assert "Something is wrong on our side" in response.content.decode()
    assert "detail-of-the-defect" not in response.content.decode()


def test_every_page_keeps_to_the_policy(client: Client, organization: Organization) -> None:
    invoice = issued_invoice(organization)
    signed_in(client, organization)
    paths = ("/", "/dashboard/acme/", f"/dashboard/acme/invoices/{invoice.id}/", "/nothing")
    pages = {path: client.get(path) for path in paths} | {"/account/login/": Client().get("/account/login/")}
    for path, response in pages.items():
        page = response.content.decode()
        policy = response["Content-Security-Policy"]
        assert "unsafe" not in policy, path
        assert "script-src 'self'" in policy
        assert not re.search(r"<style|<script(?! src)|\sstyle=|\son[a-z]+=", page), path
        assert not re.search(r"(?:src|href|action)=\"(?:https?:)?//", page), path
        assert '<html lang="en">' in page
        assert len(re.findall("<h1", page)) == 1, path


def test_statements_are_bounded_and_do_not_grow(client: Client, organization: Organization) -> None:
    invoice = issued_invoice(organization)
    signed_in(client, organization)
    numbers: list[list[int]] = []
    for _ in range(2):
        numbers.append([statements(client, path) for path in pages_of(invoice.id)])
        for quantity in (30, 40, 50):
            use(organization, "tokens", quantity)
    assert numbers[0] == numbers[1]
    assert max(numbers[0]) <= 15
    # Nothing was synchronized here, so nothing is kept: the session, the person and the whole catalog.
    assert numbers[0][0] <= 9


def pages_of(invoice_id: UUID) -> tuple[str, ...]:
    return ("/", "/dashboard/acme/", f"/dashboard/acme/invoices/{invoice_id}/")


def statements(client: Client, path: str) -> int:
    with CaptureQueriesContext(connection) as queries:
        assert client.get(path).status_code == 200
    return len(queries)


def test_what_waits_for_the_period_s_end_is_told(client: Client, organization: Organization, plan: Plan) -> None:
    signed_in(client, organization)
    subscription = Subscription.objects.get()
    cancel.cancel(subscription=subscription, actor=OPERATOR, now=START, at_period_end=True)
    page = text(client.get("/dashboard/acme/"))
    assert "<dt>Ends</dt>" in page
    assert "Next renewal" not in page
    assert "You can go on as before until it ends" in page
    other = factories.plan(code="small", name="Small")
    pending.change_at_period_end(subscription=subscription, plan_code=other.code, actor=OPERATOR, now=START)
    page = text(client.get("/dashboard/acme/"))
    assert "<dt>From the next period</dt><dd>Small</dd>" in page
    assert "<dt>Ends</dt>" not in page


def test_drafts_say_when_they_are_issued_and_discounts_are_shown(client: Client, organization: Organization) -> None:
    signed_in(client, organization)
    coupons.create(code="SPRING", name="Spring", percent=Decimal(20), actor=OPERATOR, now=START)
    discounts.redeem(subscription=Subscription.objects.get(), code="SPRING", actor=OPERATOR, now=START)
    assert "<dt>Discount</dt><dd>Spring: 20 per cent off</dd>" in text(client.get("/dashboard/acme/"))
    organization.clock_at = factories.at("2026-02-21")
    organization.save(update_fields=["clock_at"])
    renew.renew_due(organization_id=organization.id, now=organization.clock_at)
    invoice = Invoice.objects.get()
    assert invoice.issue_due_at is not None
    due = f"Issued on {wording.moment(invoice.issue_due_at, ZoneInfo(organization.zone)).text}"
    path = f"/dashboard/acme/invoices/{invoice.id}/"
    for page in (text(client.get("/dashboard/acme/")), text(client.get(path))):
        assert due in page
    assert "Spring, 20 per cent off" in text(client.get(path))
    invoicing_operations.hold(invoice=invoice, actor=OPERATOR, reason="a question", now=START)
    for page in (text(client.get("/dashboard/acme/")), text(client.get(path))):
        assert "Looked at before it is issued" in page
        assert "a question" not in page
