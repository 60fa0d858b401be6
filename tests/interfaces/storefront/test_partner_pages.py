"""Partners write, submit and withdraw; reviewers decide; neither can do the other's, and nothing is done twice."""

import re
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from billing.models import AuditEntry, User
from marketplace.models import Listing, ListingImage, ListingRevision, Partner, PartnerMember, PartnerRole
from marketplace.partners.transitions import Step
from tests.support import factories, partners
from tests.support.partners import OPERATOR
from tests.support.pictures import png

pytestmark = pytest.mark.django_db
FIELDS = {"name": "Ledger bridge", "summary": "Posts invoices.", "category": "integrations", "version": "0"}
HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>"


@pytest.fixture
def northwind() -> Partner:
    return partners.partner(name="Northwind")


@pytest.fixture
def editor(northwind: Partner) -> User:
    return partners.member(northwind)


@pytest.fixture
def browser(editor: User) -> Client:
    return signed_in(editor)


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def post(client: Client, path: str, **fields: Any) -> tuple[int, str]:
    """The status, and the page that is shown in the end."""
    answer = client.post(path, fields)
    if answer.status_code == 302:
        return 302, client.get(answer.headers["Location"]).content.decode()
    return answer.status_code, answer.content.decode()


def errors(page: str) -> list[str]:
    found = re.findall(r'<ul class="errorlist[^>]*>(.*?)</ul>', page, re.DOTALL)
    return [re.sub(r"<[^>]+>", "", each).strip() for each in found]


def form_of(page: str) -> dict[str, str]:
    """Hidden fields, as a browser would send them along."""
    return dict(re.findall(r'<input type="hidden" name="(version|step)" value="(\w+)"', page))


def test_the_whole_way(browser: Client, northwind: Partner) -> None:
    reviewer = signed_in(partners.reviewer())
    status, page = post(browser, "/partner/northwind/new", slug="bridge", image=upload(), **FIELDS)
    assert (status, "Saved as a draft" in page) == (302, True)
    path = "/partner/northwind/listings/bridge/"
    assert "Submitted" in post(browser, path, step="submit", **form_of(page))[1]
    queue = reviewer.get("/review/").content.decode()
    assert "Ledger bridge" in queue
    assert "1 waits for a decision" in queue
    decide = "/review/listings/bridge/"
    version = form_of(reviewer.get(decide).content.decode())["version"]
    status, page = post(reviewer, decide, step="reject", version=version, reason="")
    assert (status, errors(page)) == (422, ["A reason is needed."])
    assert post(reviewer, decide, step="reject", version=version, reason="Which ledger? " + HOSTILE)[0] == 302
    page = browser.get(path).content.decode()
    assert "Which ledger?" in page
    assert "<script>alert" not in page
    version = form_version(browser, path + "edit")
    changed = FIELDS | {"summary": "Posts invoices to any ledger.", "version": version}
    status, page = post(browser, path + "edit", **changed)
    assert status == 302
    assert "Which ledger?" in page
    post(browser, path, step="submit", **form_of(page))
    version = form_of(reviewer.get(decide).content.decode())["version"]
    assert post(reviewer, decide, step="publish", version=version)[0] == 302
    assert "Posts invoices to any ledger." in Client().get("/listings").content.decode()
    assert [row.act for row in AuditEntry.objects.filter(object_type="listing").order_by("recorded_at", "id")] == [
        "listing.create",
        "listing.submit",
        "listing.reject",
        "listing.edit",
        "listing.submit",
        "listing.publish",
    ]


def upload(content: bytes = png(), name: str = "logo.png", kind: str = "image/png") -> SimpleUploadedFile:
    return SimpleUploadedFile(name, content, kind)


def form_version(client: Client, path: str) -> str:
    found = re.search(r'name="version" value="(\d+)"', client.get(path).content.decode())
    assert found
    return found[1]


def test_a_double_click_is_one(browser: Client, northwind: Partner) -> None:
    for _ in range(2):
        assert post(browser, "/partner/northwind/new", slug="bridge", image=upload(), **FIELDS)[0] == 302
    path = "/partner/northwind/listings/bridge/"
    for _ in range(2):
        assert "Submitted." in post(browser, path, step="submit", version="1")[1]
    row = Listing.objects.get()
    assert (row.status, row.version, ListingImage.objects.count()) == ("submitted", 2, 1)


def test_a_stale_tab_is_told_and_changes_nothing(browser: Client, northwind: Partner, editor: User) -> None:
    by = partners.actor(editor)
    partners.listing(northwind, "bridge", by=by)
    path = "/partner/northwind/listings/bridge/"
    assert post(browser, path + "edit", **FIELDS | {"name": "First", "version": "1"})[0] == 302
    status, page = post(browser, path + "edit", **FIELDS | {"name": "Second", "version": "1"})
    assert status == 409
    assert errors(page) == ["This listing has changed since you saw it: look at it again."]
    # What was typed is not lost.
    assert 'value="Second"' in page
    assert "has changed since you saw it" in post(browser, path, step="withdraw", version="1")[1]
    row = Listing.objects.select_related("latest").get()
    assert (row.status, row.latest.name) == ("draft", "First")


def test_a_reviewer_with_a_stale_page_reads_the_new_one(browser: Client, northwind: Partner, editor: User) -> None:
    row = partners.step(
        partners.listing(northwind, "bridge", by=partners.actor(editor)), Step.SUBMIT, by=partners.actor(editor)
    )
    reviewer = signed_in(partners.reviewer())
    partners.step(row, Step.RECALL, Step.SUBMIT, by=partners.actor(editor))
    status, page = post(reviewer, "/review/listings/bridge/", step="publish", version=str(row.version))
    assert (status, errors(page)) == (409, ["This listing has changed since you saw it: look at it again."])
    assert form_of(page)["version"] == "4"
    assert Listing.objects.get().status == "submitted"


@pytest.mark.parametrize(
    ("content", "name", "kind"),
    [
        (b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>", "logo.png", "image/png"),
        (b"<html><script>alert(1)</script>", "logo.jpg", "image/jpeg"),
        (png()[:-20], "logo.png", "image/png"),
        (b"MZ\x90", "logo.png", "image/png"),
        (png(8, 8), "logo.png", "image/png"),
        (png(2001, 16), "logo.png", "image/png"),
        (b"", "logo.png", "image/png"),
        (png(behind=b"x" * 500_000), "logo.png", "image/png"),
        (b"x" * 1_100_000, "logo.png", "image/png"),
    ],
    ids=["svg", "html", "cut", "program", "small", "wide", "empty", "much", "too much"],
)
def test_an_upload_that_is_no_picture(
    browser: Client, northwind: Partner, content: bytes, name: str, kind: str
) -> None:
    answer = browser.post("/partner/northwind/new", FIELDS | {"slug": "bridge", "image": upload(content, name, kind)})
    assert answer.status_code == 422
    page = answer.content.decode()
    assert len(errors(page)) == 1, page
    assert 'value="Ledger bridge"' in page
    assert (Listing.objects.count(), ListingImage.objects.count()) == (0, 0)


def test_what_a_picture_says_of_itself_does_not_count(browser: Client, northwind: Partner) -> None:
    odd = upload(png(), "../../<script>.svg", "image/svg+xml")
    assert post(browser, "/partner/northwind/new", slug="bridge", image=odd, **FIELDS)[0] == 302
    assert ListingImage.objects.get().media_type == "image/png"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", "nul\x00"),
        ("name", "a" * 81),
        ("name", ""),
        ("slug", "Not A Slug"),
        ("slug", "taken"),
        ("summary", "two\nlines"),
        ("category", "no-such"),
        ("website", "javascript:alert(1)"),
        ("plan_code", "no-such"),
        ("version", "x"),
    ],
)
def test_bad_fields_are_named_and_nothing_is_saved(
    browser: Client, northwind: Partner, editor: User, field: str, value: str
) -> None:
    partners.listing(northwind, "taken", by=partners.actor(editor))
    status, page = post(browser, "/partner/northwind/new", **{"slug": "bridge"} | FIELDS | {field: value})
    assert status in (409, 422)
    assert errors(page)
    assert Listing.objects.count() == 1


def test_the_picture_is_kept_replaced_or_taken_off(browser: Client, northwind: Partner) -> None:
    post(browser, "/partner/northwind/new", slug="bridge", image=upload(), **FIELDS)
    path = "/partner/northwind/listings/bridge/edit"

    def edit(**fields: Any) -> bool:
        assert post(browser, path, **FIELDS | {"version": form_version(browser, path)} | fields)[0] == 302
        return ListingRevision.objects.order_by("-number")[0].image_id is not None

    assert edit(name="Kept")
    assert not edit(drops_image="on")
    assert edit(image=upload())


def test_a_forged_partner_is_not_there(browser: Client, northwind: Partner, editor: User) -> None:
    other = partners.partner("other")
    theirs = partners.actor(partners.member(other))
    partners.listing(other, "theirs", by=theirs)
    before = AuditEntry.objects.count()
    for path in (
        "/partner/other/",
        "/partner/other/new",
        "/partner/other/members",
        "/partner/other/listings/theirs/",
        "/partner/other/listings/theirs/edit",
        # Under one's own partner's name it is not there either.
        "/partner/northwind/listings/theirs/",
        "/partner/northwind/listings/theirs/edit",
    ):
        assert browser.get(path).status_code == 404, path
        assert browser.post(path, FIELDS | {"slug": "x", "step": "withdraw", "version": "1"}).status_code in (404, 405)
    assert browser.get("/review/").status_code == 403
    assert browser.post("/review/listings/theirs/", {"step": "publish", "version": "1"}).status_code == 403
    assert AuditEntry.objects.count() == before


@pytest.mark.parametrize("step", ["publish", "reject", "suspend", "restore", "edit", "", "x" * 500])
def test_a_partner_takes_no_step_of_a_reviewer(browser: Client, northwind: Partner, editor: User, step: str) -> None:
    partners.step(
        partners.listing(northwind, "bridge", by=partners.actor(editor)), Step.SUBMIT, by=partners.actor(editor)
    )
    page = post(browser, "/partner/northwind/listings/bridge/", step=step, version="2", reason="r")[1]
    assert "This is no step of a partner&#x27;s." in page
    assert Listing.objects.get().version == 2


@pytest.mark.parametrize("step", ["submit", "withdraw", "recall", "discard", "edit", ""])
def test_a_reviewer_takes_no_step_of_a_partner(northwind: Partner, editor: User, step: str) -> None:
    partners.step(
        partners.listing(northwind, "bridge", by=partners.actor(editor)), Step.SUBMIT, by=partners.actor(editor)
    )
    page = post(signed_in(partners.reviewer()), "/review/listings/bridge/", step=step, version="2")[1]
    assert "This is no step of a reviewer&#x27;s." in page
    assert Listing.objects.get().version == 2


def test_without_a_token_nothing_is_done(northwind: Partner, editor: User) -> None:
    partners.listing(northwind, "bridge", by=partners.actor(editor))
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(editor)
    answer = strict.post("/partner/northwind/listings/bridge/", {"step": "submit", "version": "1"})
    assert answer.status_code == 403
    assert Listing.objects.get().status == "draft"


def test_staff_make_a_partner_and_its_admin_asks_others_in() -> None:
    reviewer = signed_in(partners.reviewer())
    made = {"name": "Northwind", "slug": "northwind", "website": ""}
    assert post(reviewer, "/review/partners", **made)[0] == 302
    status, page = post(reviewer, "/review/partners", **made)
    assert (status, errors(page)) == (409, ["Another partner has this slug."])
    admin, colleague = partners.user(), partners.user()
    members = "/partner/northwind/members"
    assert post(reviewer, members, email=admin.email, role="admin")[0] == 302
    browser = signed_in(admin)
    assert post(browser, members, email=colleague.email, role="editor")[0] == 302
    status, page = post(browser, members, email="nobody@example.com", role="editor")
    assert (status, len(errors(page))) == (422, 1)
    page = post(browser, members, remove=str(admin.id))[1]
    assert "This is the partner&#x27;s last admin." in page
    for _ in range(2):
        assert post(browser, members, remove=str(colleague.id))[0] == 302
    post(browser, members, remove="x")
    assert [row.user_id for row in PartnerMember.objects.all()] == [admin.id]
    assert post(signed_in(colleague), members, email=colleague.email, role="admin")[0] == 404


def test_an_editor_sees_members_and_changes_none(browser: Client, northwind: Partner, editor: User) -> None:
    assert editor.email in browser.get("/partner/northwind/members").content.decode()
    for fields in ({"email": editor.email, "role": "admin"}, {"remove": str(editor.id)}):
        assert browser.post("/partner/northwind/members", fields).status_code == 403
    assert PartnerMember.objects.get().role == PartnerRole.EDITOR


def test_reviewers_see_what_differs_and_who_did_what(northwind: Partner, editor: User) -> None:
    by = partners.actor(editor)
    partners.published(northwind, "bridge", by=by)
    browser, reviewer = signed_in(editor), signed_in(partners.reviewer())
    path = "/partner/northwind/listings/bridge/"
    post(
        browser,
        path + "edit",
        **FIELDS | {"summary": "Now <b>better</b>", "version": "3", "description": "Every night."},
    )
    post(browser, path, step="submit", version="4")
    page = reviewer.get("/review/listings/bridge/").content.decode()
    rows = re.findall(r'<th scope="row">(\w+)</th>', page)
    assert rows == ["Summary"]
    assert "Now &lt;b&gt;better&lt;/b&gt;" in page
    assert editor.email in page
    # To its partner a reviewer has no name.
    said = browser.get(path).content.decode()
    assert "The marketplace" in said
    assert OPERATOR.name not in said


def test_reviewers_see_a_partner_and_write_nothing_for_it(northwind: Partner, editor: User) -> None:
    partners.listing(northwind, "bridge", by=partners.actor(editor))
    reviewer = signed_in(partners.reviewer())
    page = reviewer.get("/partner/northwind/listings/bridge/")
    assert page.status_code == 200
    assert "Submit for review" not in page.content.decode()
    assert reviewer.get("/partner/northwind/listings/bridge/edit").status_code == 403
    assert reviewer.post("/partner/northwind/listings/bridge/", {"step": "submit", "version": "1"}).status_code == 403


def test_lists_where_there_is_nothing(northwind: Partner) -> None:
    browser = signed_in(partners.user())
    assert "You are no member of a partner." in browser.get("/partner/").content.decode()
    member = signed_in(partners.member(northwind))
    assert "Northwind" in member.get("/partner/").content.decode()
    assert "No listings yet." in member.get("/partner/northwind/").content.decode()
    reviewer = signed_in(partners.reviewer())
    assert "Nothing waits." in reviewer.get("/review/").content.decode()
    assert "None." in reviewer.get("/review/?show=suspended").content.decode()
    assert "Nothing waits." in reviewer.get("/review/?show=x&page=0").content.decode()


@pytest.mark.parametrize("count", [5, 100])
def test_queries_do_not_grow_with_rows(
    northwind: Partner, editor: User, django_assert_max_num_queries: Any, count: int
) -> None:
    by = partners.actor(editor)
    for number in range(count):
        partners.step(partners.listing(northwind, f"l-{number}", by=by, image=png()), Step.SUBMIT, by=by)
    row = Listing.objects.get(slug="l-0")
    for _ in range(count // 2):
        partners.step(row, Step.RECALL, Step.SUBMIT, by=by)
    browser, reviewer = signed_in(editor), signed_in(partners.reviewer())
    for client, path in (
        (browser, "/partner/"),
        (browser, "/partner/northwind/"),
        (browser, "/partner/northwind/members"),
        (browser, "/partner/northwind/new"),
        (browser, "/partner/northwind/listings/l-0/"),
        (browser, "/partner/northwind/listings/l-0/edit"),
        (reviewer, "/review/"),
        (reviewer, "/review/partners"),
        (reviewer, "/review/listings/l-0/"),
    ):
        with django_assert_max_num_queries(15):
            assert client.get(path).status_code == 200


def test_reviewers_find_the_queue_on_a_dashboard(northwind: Partner, editor: User) -> None:
    factories.organization(slug="acme", residency_region="eu")
    by = partners.actor(editor)
    partners.step(partners.listing(northwind, by=by), Step.SUBMIT, by=by)
    both = partners.reviewer("support")
    User.objects.filter(id=both.id).update(cleared_regions=["eu"])
    page = signed_in(both).get("/dashboard/acme/").content.decode()
    assert 'href="/review/"' in page
    assert "1 waits for review" in page
    alone = partners.user(is_staff=True, cleared_regions=["eu"])
    alone.groups.add(Group.objects.get(name="support"))
    assert 'href="/review/"' not in signed_in(alone).get("/dashboard/acme/").content.decode()
