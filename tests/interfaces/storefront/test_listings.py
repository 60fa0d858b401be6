"""Listings for everybody: what is found, what is inert, what is not there, and what a picture may do."""

from dataclasses import replace
from typing import Any

import pytest
from django.test import Client

from billing.accounts.actors import Actor
from billing.kernel.ids import new_id
from billing.models import Plan
from marketplace.models import Listing, Partner
from marketplace.partners import operations
from marketplace.partners.pages import public
from marketplace.partners.transitions import Step
from tests.support import catalogs, partners
from tests.support.partners import NOW, TEXT
from tests.support.pictures import png

pytestmark = pytest.mark.django_db
HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>"


@pytest.fixture
def northwind() -> Partner:
    return partners.partner(name="Northwind")


@pytest.fixture
def editor(northwind: Partner) -> Actor:
    return partners.actor(partners.member(northwind))


def shown(client: Client, **query: str) -> list[str]:
    page = client.get("/listings", query)
    assert page.status_code == 200
    cards: list[Any] = page.context["page"].cards
    return [card.slug for card in cards]


@pytest.fixture
def three(northwind: Partner, editor: Actor) -> None:
    for slug, name, summary, category in (
        ("zebra", "zebra 100%", "Stripes under_score", "data"),
        ("apple", "Apple", "Fruit for ledgers", "data"),
        ("uber", "Über", "Rides", "services"),
    ):
        text = replace(TEXT, name=name, summary=summary, category=category)
        partners.published(northwind, slug, by=editor, text=text)


@pytest.mark.usefixtures("three")
@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({}, ["apple", "zebra", "uber"]),
        ({"q": "LEDGER"}, ["apple"]),
        ({"q": "ledger fruit"}, ["apple"]),
        ({"q": "ledger stripes"}, []),
        ({"q": "northw"}, ["apple", "zebra", "uber"]),
        ({"q": "über"}, ["uber"]),
        ({"q": "%"}, ["zebra"]),
        ({"q": "_"}, ["zebra"]),
        ({"q": "\\"}, []),
        ({"q": "' OR 1=1 --"}, []),
        ({"q": "\x00apple"}, ["apple"]),
        ({"q": "a" * 5000}, []),
        ({"category": "data"}, ["apple", "zebra"]),
        ({"category": "data", "q": "stripes"}, ["zebra"]),
        ({"category": "security"}, []),
        ({"category": "no-such"}, []),
        ({"category": "\x00"}, []),
        ({"page": "2"}, []),
        ({"page": "0"}, ["apple", "zebra", "uber"]),
        ({"page": "-1"}, ["apple", "zebra", "uber"]),
        ({"page": "²"}, ["apple", "zebra", "uber"]),
        ({"page": "9" * 50}, ["apple", "zebra", "uber"]),
        ({"page": "999999"}, []),
    ],
    ids=str,
)
def test_what_is_found(client: Client, query: dict[str, str], found: list[str]) -> None:
    assert shown(client, **query) == found


@pytest.mark.parametrize(("query", "said"), [({}, "No partner has published"), ({"q": "x"}, "See all listings")])
def test_where_there_is_nothing_it_says_so(client: Client, query: dict[str, str], said: str) -> None:
    assert said in client.get("/listings", query).content.decode()


def test_categories_are_those_that_find_something(client: Client, three: None) -> None:
    choices = client.get("/listings").context["page"].categories
    assert [(each.code, each.listings) for each in choices] == [("data", 2), ("services", 1)]


def test_pages_follow_each_other(
    client: Client, northwind: Partner, editor: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(public, "PAGE_SIZE", 2)
    for number in range(5):
        partners.published(northwind, f"l-{number}", by=editor, text=replace(TEXT, name=f"Bridge & {number}"))
    first = client.get("/listings", {"q": "bridge &"})
    assert "?q=bridge%20%26&amp;category=&amp;page=2" in first.content.decode()
    seen = [slug for number in "123" for slug in shown(client, q="bridge &", page=number)]
    assert seen == [f"l-{number}" for number in range(5)]
    last = client.get("/listings", {"page": "3"}).context["page"]
    assert (last.before, last.after) == (2, 0)


@pytest.mark.parametrize("steps", [(), (Step.SUBMIT,), (Step.SUBMIT, Step.REJECT)])
def test_what_is_not_published_is_not_there(
    client: Client, northwind: Partner, editor: Actor, steps: tuple[Step, ...]
) -> None:
    partners.step(partners.listing(northwind, by=editor), *steps, by=editor, reason="r")
    assert shown(client) == []
    assert client.get("/listings/ledger-bridge").status_code == 404


@pytest.mark.parametrize("step", [Step.SUSPEND, Step.WITHDRAW])
def test_what_was_taken_off_is_not_there(client: Client, northwind: Partner, editor: Actor, step: Step) -> None:
    row = partners.published(northwind, by=editor, image=png())
    picture = f"/listings/ledger-bridge/images/{row.latest.image_id}"
    assert [client.get(url).status_code for url in ("/listings/ledger-bridge", picture)] == [200, 200]
    partners.step(row, step, by=editor, reason="r")
    assert shown(client) == []
    assert [client.get(url).status_code for url in ("/listings/ledger-bridge", picture)] == [404, 404]


def test_text_of_all_kinds_is_inert(client: Client) -> None:
    catalogs.sync()
    hostile = partners.partner("hostile", name=HOSTILE, website="https://example.com/?a='\"<script>")
    by = partners.actor(partners.member(hostile))
    text = replace(
        TEXT,
        name=HOSTILE,
        summary="=cmd|' /C calc'!A0 " + HOSTILE,
        description=HOSTILE + "\n\n" + HOSTILE,
        website="https://example.com/?a='\"><script>alert(1)</script>".replace(" ", ""),
        plan_code="team",
    )
    partners.published(hostile, "hostile", by=by, text=text)
    for url in ("/listings", "/listings?q=%3Cscript%3E", "/listings/hostile"):
        page = client.get(url)
        body = page.content.decode()
        assert "<script>alert" not in body, url
        assert "onerror" not in body.replace("onerror=alert(1)&gt;", ""), url
        assert "unsafe" not in page.headers["Content-Security-Policy"]
    shown_page = client.get("/listings/hostile").content.decode()
    assert "/plans/team" in shown_page
    assert 'rel="nofollow noopener noreferrer ugc"' in shown_page


def test_a_plan_that_is_sold_no_more_is_no_link(client: Client, northwind: Partner, editor: Actor) -> None:
    catalogs.sync()
    partners.published(northwind, by=editor, text=replace(TEXT, plan_code="team"))
    Plan.objects.filter(code="team").update(is_on_sale=False)
    assert "/plans/team" not in client.get("/listings/ledger-bridge").content.decode()


def test_a_picture_draws_and_does_nothing_else(client: Client, northwind: Partner, editor: Actor) -> None:
    row = partners.published(northwind, by=editor, image=png())
    answer = client.get(f"/listings/ledger-bridge/images/{row.latest.image_id}")
    assert answer.content == png()
    assert answer.headers["Content-Type"] == "image/png"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Content-Security-Policy"] == "default-src 'none'; sandbox"
    assert answer.headers["Cache-Control"].startswith("public")


def test_a_picture_that_is_not_published_is_its_writers_and_reviewers(
    client: Client, northwind: Partner, editor: Actor
) -> None:
    row = partners.published(northwind, by=editor, image=png())
    other = partners.published(northwind, "other", by=editor, image=png(colour=(1, 2, 3)))
    changed = operations.edit(
        listing=row, text=TEXT, image=png(colour=(9, 9, 9)), actor=editor, now=NOW, expected_version=row.version
    )
    new = f"/listings/ledger-bridge/images/{changed.latest.image_id}"
    # Published with another listing it is not published with this one.
    elsewhere = f"/listings/ledger-bridge/images/{other.latest.image_id}"
    for url in (new, elsewhere, f"/listings/ledger-bridge/images/{new_id()}", f"/listings/x/images/{new_id()}"):
        assert client.get(url).status_code == 404
    for person, wanted in (
        (partners.member(northwind), 200),
        (partners.reviewer(), 200),
        (partners.member(partners.partner("elsewhere")), 404),
        (partners.user(), 404),
    ):
        client.force_login(person)
        answer = client.get(new)
        assert answer.status_code == wanted
        if wanted == 200:
            assert answer.headers["Cache-Control"] == "private, no-store"


@pytest.mark.parametrize("count", [5, 100])
def test_queries_do_not_grow_with_rows(
    client: Client, northwind: Partner, editor: Actor, django_assert_max_num_queries: Any, count: int
) -> None:
    for number in range(count):
        partners.published(northwind, f"l-{number}", by=editor, image=png() if number % 2 else None)
    assert Listing.objects.count() == count
    with django_assert_max_num_queries(4):
        client.get("/listings?q=ledger&category=integrations")
    with django_assert_max_num_queries(4):
        client.get("/listings/l-1")
