"""Listings over the API: the published text of published ones for everybody, and reviewers' decisions by key."""

from dataclasses import replace

import pytest

from billing.accounts import actors, operations
from billing.accounts.actors import Actor
from marketplace.models import Listing, Partner
from marketplace.partners import operations as listing_operations
from marketplace.partners.transitions import Step
from tests.support import catalogs, partners
from tests.support.api import CLI, Api
from tests.support.partners import NOW, TEXT
from tests.support.pictures import png

pytestmark = pytest.mark.django_db


@pytest.fixture
def northwind() -> Partner:
    return partners.partner(name="Northwind", website="https://northwind.example/")


@pytest.fixture
def editor(northwind: Partner) -> Actor:
    return partners.actor(partners.member(northwind))


@pytest.fixture
def reviewer() -> Api:
    return Api(operations.create_key(organization=None, name="k", scopes=["listings"], actor=CLI)[1])


def slugs(api: Api, path: str) -> list[str]:
    """Of all pages."""
    found = []
    while path:
        answer = api.get(path)
        assert answer.status == 200, answer
        found += [row["slug"] for row in answer.json["results"]]
        path = (answer.json["next"] or "").partition("/api")[2]
    return found


def test_one_listing_as_everybody_reads_it(northwind: Partner, editor: Actor) -> None:
    catalogs.sync()
    text = replace(TEXT, website="https://example.com/", plan_code="team", name='<b>"Ledger"')
    row = partners.published(northwind, by=editor, text=text, image=png())
    answer = Api().get("/marketplace/listings/ledger-bridge")
    assert answer.json == {
        "slug": "ledger-bridge",
        "url": "http://testserver/listings/ledger-bridge",
        "name": '<b>"Ledger"',
        "summary": "Posts invoices to a ledger.",
        "description": "Every night.",
        "partner": {"slug": "northwind", "name": "Northwind", "website": "https://northwind.example/"},
        "category": {"code": "integrations", "name": "Integrations"},
        "website": "https://example.com/",
        "plan_code": "team",
        "image": {
            "url": f"http://testserver/listings/ledger-bridge/images/{row.latest.image_id}",
            "width": 32,
            "height": 32,
        },
        "published_at": "2026-03-10T12:00:00Z",
    }
    listing_operations.edit(
        listing=row, text=replace(text, name="Other"), actor=editor, now=NOW, expected_version=row.version
    )
    assert Api().get("/marketplace/listings/ledger-bridge").json == answer.json


@pytest.mark.parametrize("slug", ["nothing", "draft", "a%00b", "x" * 500, "..%2f"])
def test_what_is_not_published_is_not_there(northwind: Partner, editor: Actor, slug: str) -> None:
    partners.listing(northwind, "draft", by=editor)
    assert Api().get(f"/marketplace/listings/{slug}").status == 404
    assert slugs(Api(), "/marketplace/listings") == []


def test_pages_words_and_categories(northwind: Partner, editor: Actor) -> None:
    for number, name in enumerate(["b", "A", "a", "Ä", "c%"]):
        category = "data" if number % 2 else "security"
        partners.published(northwind, f"l-{number}", by=editor, text=replace(TEXT, name=name, category=category))
    assert slugs(Api(), "/marketplace/listings?limit=2") == ["l-1", "l-2", "l-0", "l-4", "l-3"]
    assert slugs(Api(), "/marketplace/listings?limit=1&category=data") == ["l-1", "l-3"]
    assert slugs(Api(), "/marketplace/listings?q=%25") == ["l-4"]
    assert slugs(Api(), "/marketplace/listings?q=northwind&limit=3&category=no-such") == []


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("cursor=x", "cursor"),
        ("cursor=WyJhXHUwMDAwIiwiYiJd", "cursor"),
        ("cursor=WzEsMl0=", "cursor"),
        ("limit=0", "limit"),
        ("q=" + "a" * 101, "q"),
        ("q=%00", ""),
        ("sort=name", "sort"),
    ],
)
def test_bad_queries_name_their_field(query: str, field: str) -> None:
    answer = Api().get(f"/marketplace/listings?{query}")
    assert (answer.status, answer.fields) == (422, [field])


def test_reviewers_decide(northwind: Partner, editor: Actor, reviewer: Api) -> None:
    for number in range(3):
        partners.step(partners.listing(northwind, f"l-{number}", by=editor), Step.SUBMIT, by=editor)
    assert slugs(reviewer, "/marketplace/review?limit=1") == ["l-0", "l-1", "l-2"]
    first = reviewer.get("/marketplace/review").json["results"][0]
    assert (first["status"], first["version"], first["partner"]) == ("submitted", 2, "northwind")
    base = "/marketplace/listings/l-0"
    for _ in range(2):
        answer = reviewer.post(f"{base}/publish", {"version": 2})
        assert (answer.status, answer.json["status"], answer.json["version"]) == (200, "published", 3)
    assert reviewer.post(f"{base}/suspend", {"version": 3, "reason": "r"}).json["suspended_reason"] == "r"
    assert reviewer.post(f"{base}/restore", {"version": 4}).json["status"] == "published"
    rejected = reviewer.post("/marketplace/listings/l-1/reject", {"version": 2, "reason": "Say more."})
    assert (rejected.json["status"], rejected.json["rejected_reason"]) == ("rejected", "Say more.")
    assert slugs(reviewer, "/marketplace/review") == ["l-2"]


def test_what_is_stale_or_out_of_turn_changes_nothing(northwind: Partner, editor: Actor, reviewer: Api) -> None:
    partners.step(partners.listing(northwind, by=editor), Step.SUBMIT, by=editor)
    base = "/marketplace/listings/ledger-bridge"
    for path, body, status, code in (
        ("publish", {"version": 1}, 409, "listing_stale"),
        ("restore", {"version": 2}, 409, "illegal_transition"),
        ("publish", {}, 422, "invalid"),
        ("publish", {"version": "2"}, 422, "invalid"),
        ("publish", {"version": 2, "status": "published"}, 422, "invalid"),
        ("reject", {"version": 2}, 422, "invalid"),
        ("reject", {"version": 2, "reason": ""}, 422, "invalid"),
        ("reject", {"version": 2, "reason": " \n"}, 422, "invalid"),
        ("suspend", {"version": 2, "reason": "r"}, 409, "illegal_transition"),
    ):
        answer = reviewer.post(f"{base}/{path}", body)
        assert (answer.status, answer.code) == (status, code), (path, body)
    assert reviewer.post("/marketplace/listings/nothing/publish", {"version": 1}).status == 404
    assert Listing.objects.get().version == 2


def test_for_reviewers_alone(northwind: Partner, editor: Actor) -> None:
    partners.step(partners.listing(northwind, by=editor), Step.SUBMIT, by=editor)
    others = actors.SCOPES - {actors.Act.LISTINGS}
    key = Api(operations.create_key(organization=None, name="k", scopes=others, actor=CLI)[1])
    for api, status in ((key, 403), (Api(), 401)):
        assert api.get("/marketplace/review").status == status
        assert api.post("/marketplace/listings/ledger-bridge/publish", {"version": 2}).status == status
    assert Listing.objects.get().status == "submitted"
