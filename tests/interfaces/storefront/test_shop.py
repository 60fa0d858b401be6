"""The shop: what the catalog says, in the visitor's currency and locale, from kept bytes that a sync makes old."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from decimal import Decimal
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from django.db import transaction
from django.test import Client
from pytest_django import DjangoAssertNumQueries, Settings

from billing.accounts import operations as accounts_operations
from billing.catalog import operations, parsing
from billing.models import CatalogState, Plan, User
from tests.support import factories

NOW = factories.at("2026-03-01")
SHIPPED = Path(__file__).parents[3] / "config" / "plans.yaml"
NBSP = "\xa0"
ONE = """
default_plan: solo
plans:
  solo: {name: Solo, price: {EUR: "1234.56"}, limits: {max_cases: 5}}
"""
TIERED = """
default_plan: deep
events:
  tokens: {guards: [tokens_included], unit: token, description: Tokens of all kinds}
  pages: [pages_included]
  sales: [sales_included]
  calls: [calls_included]
plans:
  deep:
    name: Deep
    price: {EUR: "10.00"}
    sla: {tier: gold, version: "7", terms: "First.\\n\\nSecond <b>."}
    entitlements:
      tokens_included:
        limit: 1000
        cadence: billing_period
        on_limit: overage
        overage_price:
          EUR: {model: graduated, per: 1000, tiers: [{up_to: 5000, rate: "0.5", flat: "1.00"}, {rate: "0.25"}]}
      pages_included:
        limit: 10
        cadence: monthly
        on_limit: overage
        overage_price: {EUR: {model: package, rate: "2.00", per: 25}}
      sales_included:
        limit: 100
        cadence: never
        on_limit: overage
        overage_price: {EUR: {model: percentage, percent: "2.5"}}
      calls_included: {limit: 0}
"""

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def shipped() -> None:
    sync(SHIPPED)


def sync(source: Path | str) -> None:
    operations.sync(spec=parsing.load(source), actor="cli:ada", now=NOW)


def text(response: Any) -> str:
    assert response.status_code == 200
    return re.sub(r"\s+", " ", response.content.decode())


def many(count: int) -> str:
    plans = "\n".join(
        f'  plan_{n}: {{name: Plan {n}, order: {n}, price: {{USD: "{n}.00"}}, limits: {{max_cases: {n}}},'
        f" features: [{{key: a, name: Feature, value: {str(n % 2 == 0).lower()}}}]}}"
        for n in range(1, count + 1)
    )
    return f"default_plan: plan_1\nplans:\n{plans}\n"


class Cells(HTMLParser):
    """Rows of the first table: the text of each cell."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self._in_cell = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")
            self._in_cell = True

    def handle_endtag(self, tag: str) -> None:
        self._in_cell = self._in_cell and tag not in ("td", "th")

    def handle_data(self, data: str) -> None:
        if self._in_cell and data.strip():
            self.rows[-1][-1] = f"{self.rows[-1][-1]} {data.strip()}".strip()

    def row(self, name: str) -> list[str]:
        (found,) = [row[1:] for row in self.rows if row and row[0] == name]
        return found


# --- what is shown ---


def test_monthly_and_yearly_are_one_offer(client: Client) -> None:
    monthly, yearly = text(client.get("/")), text(client.get("/?every=year"))
    for page, there, gone in ((monthly, "plan-team", "plan-team_yearly"), (yearly, "plan-team_yearly", "plan-team")):
        assert f'id="{there}"' in page
        assert f'id="{gone}"' not in page
        # A plan that comes in one period only is always there.
        assert 'id="plan-scale"' in page
    assert '<a href="?currency=USD&amp;every=month" aria-current="true">Monthly</a>' in monthly
    assert '<a href="?currency=USD&amp;every=year">Yearly</a>' in monthly
    assert "You save $98.00 a year." in yearly
    assert text(client.get("/?every=quarter")) == monthly, "no family is sold by the quarter"


def test_every_card_leads_to_its_subscription_and_its_page(client: Client) -> None:
    page = text(client.get("/?currency=EUR"))
    for plan in ("free", "team", "scale"):
        assert f'href="/subscribe/{plan}?currency=EUR"' in page
        assert f'href="/plans/{plan}?currency=EUR&amp;every=month"' in page
    assert "enterprise" not in page


def test_what_is_not_sold_in_a_currency_says_so_and_cannot_be_chosen(client: Client) -> None:
    page = text(client.get("/?currency=KWD"))
    assert "not sold in KWD" in page
    assert "/subscribe/team" not in page
    assert "KWD 445.500" in page
    # Free of charge is so in every currency.
    assert 'href="/subscribe/free?currency=KWD"' in page


def test_pages_show_what_the_api_lists(client: Client) -> None:
    listed = client.get("/api/billing/plans").json()["results"]
    assert [plan["code"] for plan in listed] == ["free", "team", "team_yearly", "scale"]
    for plan in listed:
        page = text(client.get(f"/plans/{plan['code']}?currency=USD"))
        for price in plan["prices"]:
            if price["currency"] == "USD":
                assert f"<strong>${Decimal(price['base_fee']):,}</strong>" in page
        for feature in plan["features"]:
            assert feature["name"] in page
        assert plan["name"] in page
        assert f"Version {plan['sla']['version']}." in page or not plan["sla"]["version"]


def test_a_plan_s_page_explains_limits_and_what_lies_beyond(client: Client) -> None:
    sync(TIERED)
    page = text(client.get("/plans/deep"))
    cells = Cells(page)
    assert cells.row("Tokens included Tokens of all kinds") == [
        "1,000 a billing period",
        "By tier, from €0.25 per 1,000",
    ]
    assert cells.row("Pages included") == ["10 a calendar month", "€2.00 per package of 25"]
    assert cells.row("Sales included") == ["100 in all", "2.5 % of it"]
    assert cells.row("Calls included") == ["Not included", "–"]
    assert ["0", "5,000", "€0.50", "€1.00"] in cells.rows
    assert ["5,000", "no end", "€0.25", "–"] in cells.rows
    assert "Each unit costs what the tier says in which it falls." in page
    assert "<p>First.</p> <p>Second &lt;b&gt;.</p>" in page
    assert "Version 7. You accept it when you choose the plan." in page


def test_blocking_limits_and_credits_are_told(client: Client) -> None:
    cells = Cells(text(client.get("/plans/team?currency=EUR")))
    assert cells.row("API calls A call to the public API") == ["10,000 a day", "–", "Refused until it resets"]
    assert cells.row("Cases") == ["2,000 in all", "–", "Refused"]
    assert cells.row("Analysis units Units of sequence analysis") == [
        "Unlimited",
        "0.1 credits each",
        "Missing credits are billed",
    ]


def test_the_siblings_of_a_plan_are_one_step_away(client: Client) -> None:
    page = text(client.get("/plans/team_yearly?currency=EUR"))
    assert '<a href="/plans/team?currency=EUR">Monthly</a>' in page
    assert '<a href="/plans/team_yearly?currency=EUR" aria-current="true">Yearly</a>' in page
    # Only currencies that the plan is sold in are offered.
    assert "KWD" not in page


@pytest.mark.parametrize("code", ["enterprise", "team_2024", "nothing", "Team", "%00", "a/b", "<b>"])
def test_a_plan_that_is_not_on_sale_is_not_there(client: Client, code: str) -> None:
    assert client.get(f"/plans/{code}").status_code == 404


def test_the_matrix_has_a_row_for_everything_that_any_plan_tells(client: Client) -> None:
    page = text(client.get("/compare"))
    cells = Cells(page)
    assert cells.row("Service level") == ["Community", "Standard", "Premium"]
    assert cells.row("Support") == ["Community forum", "Within one business day", "Within two hours"]
    assert cells.row("Instrumentation runs A run on a connected instrument") == [
        "– not included",
        "40 a billing period Beyond: $1.50 per run",
        "1,000 a billing period Beyond: $22.50 per package of 25",
    ]
    assert cells.row("Express entry") == ["✓ included"] * 3


def test_a_few_plans_can_be_picked_to_compare(client: Client) -> None:
    page = text(client.get("/compare?plan=free&plan=scale&plan=nope&plan=<b>&currency=EUR"))
    assert Cells(page).row("Service level") == ["Community", "Premium"]
    assert '<input type="checkbox" name="plan" value="free" checked>' in page
    assert '<input type="checkbox" name="plan" value="team">' in page
    assert 'href="?currency=USD&amp;every=month&amp;plan=free&amp;plan=scale"' in page


# --- few and many ---


def test_an_empty_shop(client: Client) -> None:
    sync("default_plan: hidden\nplans: {hidden: {on_sale: false}}\n")
    assert "No plan is on sale yet." in text(client.get("/"))
    assert "No plan is on sale yet." in text(client.get("/compare"))


def test_a_single_plan(client: Client) -> None:
    sync(ONE)
    page = text(client.get("/"))
    assert 'class="plans single"' in page
    assert 'aria-label="Currency"' not in page
    assert "Compare all plans" not in page
    assert Cells(text(client.get("/compare"))).row("Cases") == ["5 in all"]


def test_twenty_plans_cost_no_more_than_one(client: Client, django_assert_num_queries: DjangoAssertNumQueries) -> None:
    sync(many(20))
    with django_assert_num_queries(7):
        page = text(client.get("/"))
    assert page.count('class="card plan"') == 20
    assert page.index('id="plan-plan_2"') < page.index('id="plan-plan_19"')
    assert len(Cells(text(client.get("/compare"))).row("Cases")) == 20


def test_products_have_headings_of_their_own(client: Client) -> None:
    sync("default_plan: a\nplans:\n  a: {name: A}\n  b: {name: B, product: data_rooms}\n")
    page = text(client.get("/"))
    assert re.findall(r'<h2 id="group-\d">(.+?)</h2>', page) == ["Platform", "Data rooms"]
    assert len(re.findall("<h3>", page)) == 2


# --- the visitor's locale ---


@pytest.mark.parametrize(
    ("accepts", "shown"),
    [
        ("en", "€1,234.56"),
        ("de-DE,de;q=0.9", f"1.234,56{NBSP}€"),
        ("fr", f"1{NBSP}234,56{NBSP}€"),
        ("en;q=0.1,nl", f"€{NBSP}1.234,56"),
        ("xx;;;", "€1,234.56"),
    ],
)
def test_money_in_the_visitor_s_locale(client: Client, accepts: str, shown: str) -> None:
    sync(ONE)
    for path in ("/", "/plans/solo", "/compare"):
        for _ in range(2):
            page = client.get(path, headers={"Accept-Language": accepts}).content.decode()
            assert shown in page, path
            assert '<html lang="en">' in page, "what the texts are written in"


def test_a_visitor_s_locale_suggests_a_currency(client: Client) -> None:
    assert "$49.00" in text(client.get("/"))
    assert f"45,00{NBSP}€" in client.get("/", headers={"Accept-Language": "de"}).content.decode()
    assert f"49,00{NBSP}$" in client.get("/?currency=USD", headers={"Accept-Language": "de"}).content.decode()


def test_figures_in_json_are_the_same_everywhere(client: Client) -> None:
    plain, german = (client.get("/api/billing/plans", headers=asked) for asked in ({}, {"Accept-Language": "de"}))
    assert plain.content == german.content
    assert '"base_fee":"1450.00"' in plain.content.decode()


# --- kept bytes ---

PATHS = ("/", "/?every=year&currency=JPY", "/plans/scale", "/compare", "/api/billing/plans")


@pytest.mark.parametrize("path", PATHS)
def test_a_second_look_costs_one_statement(
    client: Client, django_assert_num_queries: DjangoAssertNumQueries, path: str
) -> None:
    first = client.get(path)
    with django_assert_num_queries(1):
        second = client.get(path)
    assert second.content == first.content
    assert second["ETag"] == first["ETag"]


def test_picked_plans_cost_one_statement_too(client: Client, django_assert_num_queries: DjangoAssertNumQueries) -> None:
    client.get("/")
    with django_assert_num_queries(1):
        client.get("/compare?plan=free&plan=team")


@pytest.mark.parametrize("path", PATHS)
def test_a_browser_s_copy_holds_until_a_sync(
    client: Client, django_assert_num_queries: DjangoAssertNumQueries, path: str
) -> None:
    etag = client.get(path)["ETag"]
    with django_assert_num_queries(1):
        unchanged = client.get(path, headers={"If-None-Match": etag})
    assert (unchanged.status_code, unchanged.content) == (304, b"")
    assert unchanged["ETag"] == etag
    assert "no-cache" in unchanged["Cache-Control"]
    sync(SHIPPED.read_text().replace("1450.00", "1499.00").replace("218000", "219000").replace("490.00", "491.00"))
    changed = client.get(path, headers={"If-None-Match": etag})
    assert changed.status_code == 200
    assert changed["ETag"] != etag
    assert re.search(r"1,?499\.00|219,?000", changed.content.decode())


def test_a_sync_that_changes_nothing_changes_no_copy(client: Client) -> None:
    etag = client.get("/")["ETag"]
    sync(SHIPPED)
    assert client.get("/", headers={"If-None-Match": etag}).status_code == 304


def test_a_plan_taken_off_the_shelf_is_gone_at_once(client: Client) -> None:
    assert client.get("/plans/scale").status_code == 200
    sync(SHIPPED.read_text().replace("    order: 30\n", "    order: 30\n    on_sale: false\n"))
    assert client.get("/plans/scale").status_code == 404
    assert "plan-scale" not in text(client.get("/"))


def test_a_restored_catalog_of_the_same_version_is_not_mistaken(client: Client) -> None:
    """Version 2 is there twice: what was made of the first is not shown for the second."""
    with transaction.atomic():
        sync(SHIPPED.read_text().replace("1450.00", "1.00"))
        assert "$1.00" in text(client.get("/"))
        transaction.set_rollback(True)
    sync(SHIPPED.read_text().replace("1450.00", "2.00"))
    page = text(client.get("/"))
    assert "$2.00" in page
    assert "$1.00" not in page


def test_without_a_state_to_name_nothing_is_kept(client: Client) -> None:
    CatalogState.objects.all().delete()
    assert "Most chosen" in text(client.get("/"))
    Plan.objects.filter(code="team").update(is_on_sale=False)
    assert "Most chosen" not in text(client.get("/"))


def test_proxies_ask_each_time_and_keep_apart_what_differs(client: Client) -> None:
    response = client.get("/")
    assert response["Cache-Control"] == "public, no-cache"
    assert {"Accept-Language", "Cookie"} <= {each.strip() for each in response["Vary"].split(",")}


@pytest.fixture
def person(client: Client) -> User:
    user = accounts_operations.create_user(email="ada@example.com", password="a-long-enough-password")
    client.force_login(user)
    return user


@pytest.mark.usefixtures("person")
def test_who_is_signed_in_sees_so_and_nobody_else_does(client: Client) -> None:
    for path in ("/", "/plans/team", "/compare"):
        strangers = Client().get(path)
        own = client.get(path)
        assert "Sign out" in text(own)
        assert 'href="/dashboard/"' in text(own)
        assert "Sign out" not in text(strangers)
        assert "Sign in" in text(strangers)
        assert text(Client().get(path)) == text(strangers)
        assert own["Cache-Control"] == "private, no-cache"
        assert not own.has_header("ETag")
        main = r"<h1.*</main>"
        assert re.search(main, text(own)).group() == re.search(main, text(strangers)).group()  # type: ignore[union-attr]


@pytest.mark.usefixtures("person")
def test_whoever_is_signed_in_costs_the_session_and_the_person_more(
    client: Client, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    client.get("/")
    with django_assert_num_queries(3):
        client.get("/")


def test_a_message_that_waits_is_shown_once_and_never_kept(client: Client) -> None:
    """It waits in a session, also that of somebody who is not signed in."""
    session = client.session
    session["_messages"] = json.dumps([["__json_message", 0, 25, "Good news", ""]])
    session.save()
    client.cookies["sessionid"] = str(session.session_key)
    first, second = client.get("/"), client.get("/")
    assert first["Cache-Control"] == "private, no-cache"
    assert ("Good news" in first.content.decode(), "Good news" in second.content.decode()) == (True, False)


def test_the_shop_opens_without_redis(client: Client, settings: Settings) -> None:
    gone = {"default": settings.CACHES["default"] | {"LOCATION": "redis://127.0.0.1:1/0"}}
    settings.CACHES = gone
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    for path in PATHS:
        assert client.get(path).status_code == 200


@pytest.mark.parametrize("ask", [Client().post, Client().delete, Client().put])
def test_a_shop_window_only_shows(ask: Callable[[str], Any]) -> None:
    for path in ("/", "/plans/team", "/compare"):
        assert ask(path).status_code == 405


def test_only_the_head(client: Client) -> None:
    response = client.head("/")
    assert (response.status_code, response.content) == (200, b"")
    assert response["ETag"] == client.get("/")["ETag"]
