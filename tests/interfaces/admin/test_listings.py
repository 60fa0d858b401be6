"""Listings on the desk: looked at, decided about one by one, edited by nobody."""

import pytest
from django.test import Client

from billing.models import AuditEntry, User
from marketplace.models import Category, Listing, Partner
from marketplace.partners.transitions import Step
from tests.support import partners
from tests.support.staff import act, staff

pytestmark = pytest.mark.django_db
HOSTILE = "=cmd|' /C calc'!A0 <script>alert(1)</script>"


@pytest.fixture
def browser(db: None) -> Client:
    return staff("marketplace")


@pytest.fixture
def waiting() -> Listing:
    partner = partners.partner(name=HOSTILE)
    by = partners.actor(partners.member(partner))
    return partners.step(partners.listing(partner, by=by), Step.SUBMIT, by=by)


def test_what_waits_is_seen_and_decided(browser: Client, waiting: Listing) -> None:
    listed = browser.get("/admin/marketplace/listing/").content.decode()
    assert "Ledger bridge" in listed
    assert "<script>alert" not in listed
    page = browser.get(f"/admin/marketplace/listing/{waiting.id}/change/").content.decode()
    assert "Publish" in page
    assert "<script>alert" not in page
    path = f"/admin/marketplace/listing/{waiting.id}/act/reject/"
    assert 'role="alert"' in act(browser, path, reason="").content.decode()
    assert Listing.objects.get().status == "submitted"
    sent = {"confirmed": "1", "token": browser.get(path).context["form"].initial["token"], "reason": "Say more."}
    for _ in range(2):
        assert browser.post(path, sent).status_code == 302
    row = Listing.objects.get()
    assert (row.status, row.rejected_reason, row.version) == ("rejected", "Say more.", 3)


def test_many_at_once_with_a_result_each(browser: Client, waiting: Listing) -> None:
    by = partners.actor(partners.member(waiting.partner))
    draft = partners.listing(waiting.partner, "draft", by=by)
    chosen = {"action": "publish", "_selected_action": [str(waiting.id), str(draft.id)]}
    asked = browser.post("/admin/marketplace/listing/", chosen).context["form"].initial["token"]
    told = browser.post("/admin/marketplace/listing/", chosen | {"confirmed": "1", "token": asked})
    said = told.content.decode()
    assert "published" in said
    assert "does not allow to publish" in said
    assert {row.slug: row.status for row in Listing.objects.all()} == {"ledger-bridge": "published", "draft": "draft"}


def test_a_partner_is_looked_at_and_not_edited(browser: Client, waiting: Listing) -> None:
    partner = Partner.objects.get()
    page = browser.get(f"/admin/marketplace/partner/{partner.id}/change/").content.decode()
    assert "Ledger bridge" in page
    assert User.objects.get(partner_memberships__partner=partner).email in page
    for path in ("partner/add/", f"partner/{partner.id}/delete/", f"listing/{waiting.id}/delete/", "listing/add/"):
        assert browser.post(f"/admin/marketplace/{path}").status_code == 403
    browser.post(f"/admin/marketplace/partner/{partner.id}/change/", {"name": "x"})
    assert Partner.objects.get().name == HOSTILE


def test_a_partner_is_renamed_with_a_reason(browser: Client, waiting: Listing) -> None:
    partner = Partner.objects.get()
    path = f"/admin/marketplace/partner/{partner.id}/act/rename/"
    assert browser.get(path).context["form"].initial["name"] == HOSTILE
    for bad in ({"name": ""}, {"name": "Northwind", "website": "javascript:alert(1)"}, {"name": "a\x07"}):
        act(browser, path, reason="They asked.", **bad)
        partner.refresh_from_db()
        assert partner.name == HOSTILE
    act(browser, path, name="Northwind", website="https://northwind.example/", reason="They asked.")
    partner.refresh_from_db()
    assert (partner.slug, partner.name, partner.website) == ("northwind", "Northwind", "https://northwind.example/")
    told = AuditEntry.objects.get(act="partner.rename")
    assert (told.reason, told.details["name_was"], told.details["name"]) == ("They asked.", HOSTILE, "Northwind")
    assert "partner.rename" in browser.get(f"/admin/marketplace/partner/{partner.id}/change/").content.decode()
    for stranger in (staff("finance"), staff("support"), Client()):
        assert stranger.get(path).status_code in (302, 403)


def test_a_category_is_renamed_and_keeps_its_code(browser: Client) -> None:
    first, second = Category.objects.all()[:2]
    path = f"/admin/marketplace/category/{first.code}/act/rename/"
    assert "has this name" in act(browser, path, name=second.name, reason="x").content.decode()
    act(browser, path, name="Things to connect", reason="Clearer.")
    assert Category.objects.get(code=first.code).name == "Things to connect"
    assert AuditEntry.objects.get(act="category.rename").details == {"was": first.name, "name": "Things to connect"}
    assert "Categories" in browser.get("/admin/").content.decode()
