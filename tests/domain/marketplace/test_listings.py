"""Listings from draft to the public and back: who may take which step, and what it leaves behind."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from billing.accounts.actors import ANONYMOUS, Actor, NotAllowed
from billing.kernel.errors import BillingError, Forbidden, Invalid
from billing.models import AuditEntry
from marketplace.models import Listing, ListingImage, ListingRevision, ListingTransition, Partner
from marketplace.partners import operations, queries, rights
from marketplace.partners.operations import ListingExists, ListingStale, TooManyListings
from marketplace.partners.transitions import PARTNER_STEPS, REVIEW_STEPS, IllegalStep, Step
from tests.support import catalogs, partners
from tests.support.partners import NOW, OPERATOR, TEXT
from tests.support.pictures import png

pytestmark = pytest.mark.django_db
LATER = NOW + timedelta(hours=1)


@pytest.fixture
def northwind() -> Partner:
    return partners.partner()


@pytest.fixture
def editor(northwind: Partner) -> Actor:
    return partners.actor(partners.member(northwind))


@pytest.fixture
def draft(northwind: Partner, editor: Actor) -> Listing:
    return partners.listing(northwind, by=editor)


def test_from_draft_to_the_public_and_what_it_leaves(draft: Listing, editor: Actor) -> None:
    assert queries.list_published(limit=9) == []
    waiting = operations.take(listing=draft, step=Step.SUBMIT, actor=editor, now=NOW, expected_version=1)
    assert (waiting.submitted_at, queries.count_waiting()) == (NOW, 1)
    shown = operations.take(listing=draft, step=Step.PUBLISH, actor=OPERATOR, now=LATER, expected_version=2)
    assert (shown.state, shown.version, shown.submitted_at, shown.published_at) == (("published", ""), 3, None, LATER)
    assert [row.slug for row in queries.list_published(limit=9)] == ["ledger-bridge"]
    assert queries.count_waiting() == 0
    history = [(row.version, row.step, row.from_status, row.to_status) for row in queries.list_history(draft, limit=9)]
    assert history == [
        (3, "publish", "submitted", "published"),
        (2, "submit", "draft", "submitted"),
        (1, "", "", "draft"),
    ]
    audited = AuditEntry.objects.filter(object_type="listing", object_id=str(draft.id)).order_by("recorded_at", "id")
    assert [(row.act, row.actor) for row in audited] == [
        ("listing.create", editor.name),
        ("listing.submit", editor.name),
        ("listing.publish", OPERATOR.name),
    ]


def test_rejected_with_a_reason_and_submitted_again(draft: Listing, editor: Actor) -> None:
    partners.step(draft, Step.SUBMIT, by=editor)
    for empty in ("", "  \n "):
        with pytest.raises(Invalid) as refusal:
            operations.take(listing=draft, step=Step.REJECT, actor=OPERATOR, now=NOW, reason=empty)
        assert refusal.value.details["field"] == "reason"
    said = operations.take(listing=draft, step=Step.REJECT, actor=OPERATOR, now=NOW, reason="Say\n what it costs.")
    assert (said.status, said.rejected_reason) == ("rejected", "Say what it costs.")
    edited = operations.edit(
        listing=draft, text=replace(TEXT, summary="Costs 5 USD."), actor=editor, now=NOW, expected_version=said.version
    )
    # Whoever writes it anew reads there what was wrong with it.
    assert (edited.status, edited.rejected_reason) == ("draft", "Say what it costs.")
    assert partners.step(draft, Step.SUBMIT, by=editor).rejected_reason == ""
    assert partners.step(draft, Step.PUBLISH, by=editor).published == ListingRevision.objects.get(number=2)


def test_the_public_reads_what_was_reviewed_until_the_change_was(draft: Listing, editor: Actor) -> None:
    shown = partners.step(draft, Step.SUBMIT, Step.PUBLISH, by=editor)
    changed = operations.edit(
        listing=draft, text=replace(TEXT, name="Better"), actor=editor, now=NOW, expected_version=shown.version
    )
    assert changed.state == ("published", "draft")

    def public() -> str:
        found = queries.get_published("ledger-bridge").published
        assert found is not None
        return found.name

    assert public() == "Ledger bridge"
    partners.step(draft, Step.SUBMIT, by=editor)
    assert (public(), queries.count_waiting()) == ("Ledger bridge", 1)
    partners.step(draft, Step.REJECT, by=editor, reason="no")
    assert public() == "Ledger bridge"
    partners.step(draft, Step.SUBMIT, Step.PUBLISH, by=editor)
    assert public() == "Better"


def test_a_change_is_thrown_away(draft: Listing, editor: Actor) -> None:
    shown = partners.step(draft, Step.SUBMIT, Step.PUBLISH, by=editor)
    operations.edit(
        listing=draft, text=replace(TEXT, name="Worse"), actor=editor, now=NOW, expected_version=shown.version
    )
    gone = partners.step(draft, Step.DISCARD, by=editor)
    assert (gone.state, gone.latest_id) == (("published", ""), shown.published_id)
    # The next text is a third one: what was thrown away stays what it was.
    again = operations.edit(
        listing=draft, text=replace(TEXT, name="Other"), actor=editor, now=NOW, expected_version=gone.version
    )
    assert again.latest.number == 3


def test_suspended_is_off_the_pages_and_comes_back(draft: Listing, editor: Actor) -> None:
    partners.step(draft, Step.SUBMIT, Step.PUBLISH, by=editor)
    off = partners.step(draft, Step.SUSPEND, by=editor, reason="The link is dead.")
    assert (off.status, off.suspended_reason) == ("suspended", "The link is dead.")
    with pytest.raises(queries.ListingNotFound):
        queries.get_published("ledger-bridge")
    back = partners.step(draft, Step.RESTORE, by=editor)
    assert (back.status, back.suspended_reason, back.published_at) == ("published", "", NOW)
    assert queries.get_published("ledger-bridge").id == draft.id


def test_a_suspended_one_is_mended_and_passes_review(draft: Listing, editor: Actor) -> None:
    partners.step(draft, Step.SUBMIT, Step.PUBLISH, by=editor)
    off = partners.step(draft, Step.SUSPEND, by=editor, reason="The link is dead.")
    operations.edit(
        listing=draft, text=replace(TEXT, name="Mended"), actor=editor, now=NOW, expected_version=off.version
    )
    mended = partners.step(draft, Step.SUBMIT, by=editor)
    assert (mended.state, mended.suspended_reason) == (("suspended", "submitted"), "The link is dead.")
    shown = partners.step(draft, Step.PUBLISH, by=editor)
    assert (shown.state, shown.suspended_reason) == (("published", ""), "")


def test_a_withdrawn_one_is_reviewed_anew(draft: Listing, editor: Actor) -> None:
    shown = partners.step(draft, Step.SUBMIT, Step.PUBLISH, by=editor)
    gone = partners.step(draft, Step.WITHDRAW, by=editor)
    assert (gone.status, gone.published, gone.published_at) == ("withdrawn", None, None)
    # The same text is one to begin with again, too.
    again = operations.edit(listing=draft, text=TEXT, actor=editor, now=NOW, expected_version=gone.version)
    assert (again.status, again.latest.number) == ("draft", shown.latest.number + 1)


@pytest.mark.parametrize("step", sorted(PARTNER_STEPS - {Step.EDIT}))
def test_only_members_take_a_partner_s_steps(draft: Listing, step: Step) -> None:
    stranger, reviewer = partners.actor(partners.user()), partners.actor(partners.reviewer())
    elsewhere = partners.actor(partners.member(partners.partner("elsewhere")))
    for who in (stranger, elsewhere, ANONYMOUS):
        with pytest.raises(rights.PartnerNotFound):
            operations.take(listing=draft, step=step, actor=who, now=NOW)
    for who in (reviewer, OPERATOR):
        with pytest.raises(Forbidden):
            operations.take(listing=draft, step=step, actor=who, now=NOW)
    assert Listing.objects.get().version == 1


@pytest.mark.parametrize("step", sorted(REVIEW_STEPS))
def test_only_reviewers_take_a_reviewer_s_steps(draft: Listing, editor: Actor, step: Step) -> None:
    partners.step(draft, Step.SUBMIT, by=editor)
    for who in (editor, partners.actor(partners.user(is_staff=True)), ANONYMOUS):
        with pytest.raises(NotAllowed):
            operations.take(listing=draft, step=step, actor=who, now=NOW, reason="r")
    assert Listing.objects.get().version == 2


def test_only_members_write(draft: Listing, northwind: Partner) -> None:
    for who, refusal in ((partners.actor(partners.user()), rights.PartnerNotFound), (OPERATOR, Forbidden)):
        with pytest.raises(refusal):
            operations.edit(listing=draft, text=replace(TEXT, name="x"), actor=who, now=NOW, expected_version=1)
        with pytest.raises(refusal):
            partners.listing(northwind, "another", by=who)
    assert ListingRevision.objects.count() == 1


def test_a_stale_page_changes_nothing(draft: Listing, editor: Actor) -> None:
    second = partners.actor(partners.member(draft.partner))
    operations.edit(listing=draft, text=replace(TEXT, name="One"), actor=editor, now=NOW, expected_version=1)
    with pytest.raises(ListingStale):
        operations.edit(listing=draft, text=replace(TEXT, name="Two"), actor=second, now=NOW, expected_version=1)
    with pytest.raises(ListingStale):
        operations.take(listing=draft, step=Step.SUBMIT, actor=second, now=NOW, expected_version=1)
    # A reviewer who reads what was taken back and written anew meanwhile.
    partners.step(draft, Step.SUBMIT, Step.RECALL, by=editor)
    row = Listing.objects.get()
    operations.edit(listing=row, text=replace(TEXT, name="Bait"), actor=editor, now=NOW, expected_version=row.version)
    partners.step(draft, Step.SUBMIT, by=editor)
    with pytest.raises(ListingStale):
        operations.take(listing=draft, step=Step.PUBLISH, actor=OPERATOR, now=NOW, expected_version=3)
    assert Listing.objects.get().status == "submitted"


def test_twice_is_once(northwind: Partner, editor: Actor) -> None:
    first, second = (partners.listing(northwind, by=editor, image=png()) for _ in range(2))
    assert first.id == second.id
    for _ in range(2):
        operations.edit(
            listing=first, text=replace(TEXT, name="New"), actor=editor, now=NOW, expected_version=1, image=png()
        )
    for step, who in ((Step.SUBMIT, editor), (Step.PUBLISH, OPERATOR)):
        version = Listing.objects.get().version
        for _ in range(2):
            operations.take(listing=first, step=step, actor=who, now=NOW, expected_version=version)
    row = Listing.objects.get()
    assert (row.status, row.version) == ("published", 4)
    assert (ListingTransition.objects.count(), ListingRevision.objects.count(), ListingImage.objects.count()) == (
        4,
        2,
        1,
    )


def test_a_second_person_s_same_step_is_no_second_click(draft: Listing, editor: Actor) -> None:
    partners.step(draft, Step.SUBMIT, by=editor)
    operations.take(listing=draft, step=Step.PUBLISH, actor=OPERATOR, now=NOW, expected_version=2)
    with pytest.raises(ListingStale):
        operations.take(
            listing=draft, step=Step.PUBLISH, actor=partners.actor(partners.reviewer()), now=NOW, expected_version=2
        )


def test_steps_out_of_turn(draft: Listing, editor: Actor) -> None:
    for step in (Step.RECALL, Step.DISCARD, Step.PUBLISH, Step.REJECT, Step.SUSPEND, Step.RESTORE):
        with pytest.raises(IllegalStep):
            partners.step(draft, step, by=editor, reason="r")
    partners.step(draft, Step.SUBMIT, by=editor)
    with pytest.raises(IllegalStep):
        operations.edit(listing=draft, text=replace(TEXT, name="x"), actor=editor, now=NOW, expected_version=2)


def test_addresses_are_taken_once(northwind: Partner, draft: Listing, editor: Actor) -> None:
    other = partners.partner("other")
    with pytest.raises(ListingExists):
        partners.listing(other, by=partners.actor(partners.member(other)))
    with pytest.raises(ListingExists):
        partners.listing(northwind, text=replace(TEXT, name="Another"), by=editor)


def test_listings_are_bounded(northwind: Partner, editor: Actor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operations, "LISTINGS_MAX", 2)
    for number in range(2):
        partners.listing(northwind, f"l-{number}", by=editor)
    with pytest.raises(TooManyListings):
        partners.listing(northwind, "l-2", by=editor)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", ""),
        ("name", " \t "),
        ("name", "a" * 81),
        ("name", "two\nlines"),
        ("name", "nul\x00"),
        ("name", "turned \u202e around"),
        ("summary", ""),
        ("summary", "a" * 201),
        ("description", "a" * 5001),
        ("description", "bell \x07"),
        ("description", "turned \u2067 around"),
        ("category", ""),
        ("category", "no-such"),
        ("category", "x\x00"),
        ("website", "javascript:alert(1)"),
        ("website", "data:text/html,x"),
        ("website", "ftp://example.com/"),
        ("website", "//example.com/"),
        ("website", "https://user:secret@example.com/"),
        ("website", "https://bank.example@evil.example/"),
        ("website", "https://exa mple.com/"),
        ("website", "https://example.com/\njavascript:"),
        ("website", "https://example.com/" + "a" * 300),
        ("plan_code", "no-such"),
        ("plan_code", "x\x00"),
    ],
)
def test_what_is_no_text_is_refused_by_field(northwind: Partner, editor: Actor, field: str, value: str) -> None:
    with pytest.raises(Invalid) as refusal:
        partners.listing(northwind, text=replace(TEXT, **{field: value}), by=editor)
    assert refusal.value.details["field"] == field
    assert not Listing.objects.exists()


@pytest.mark.parametrize(
    ("field", "value", "kept"),
    [
        ("name", "  Ünïon\u200d ", "Ünïon\u200d"),
        ("name", "e\u0301", "é"),
        ("name", "a" * 80, "a" * 80),
        ("summary", "<script>=1+1</script>", "<script>=1+1</script>"),
        ("description", "", ""),
        ("description", "one\r\ntwo\rthree\n\n", "one\ntwo\nthree"),
        ("website", " http://example.com/a?b=c ", "http://example.com/a?b=c"),
        ("plan_code", "team", "team"),
    ],
)
def test_what_is_text_is_kept(northwind: Partner, editor: Actor, field: str, value: str, kept: str) -> None:
    catalogs.sync()
    row = partners.listing(northwind, text=replace(TEXT, **{field: value}), by=editor)
    assert getattr(Listing.objects.get(id=row.id).latest, field) == kept


def test_pictures_are_checked_replaced_and_dropped(northwind: Partner, editor: Actor) -> None:
    with pytest.raises(Invalid) as refusal:
        partners.listing(northwind, by=editor, image=b"<svg/>")
    assert refusal.value.details["field"] == "image"
    row = partners.listing(northwind, by=editor, image=png())
    assert row.latest.image is not None

    def edit(**fields: Any) -> ListingImage | None:
        nonlocal row
        given: dict[str, Any] = {"listing": row, "text": TEXT, "actor": editor, "now": NOW} | fields
        row = operations.edit(expected_version=row.version, **given)
        return Listing.objects.get(id=row.id).latest.image

    first = row.latest.image
    assert edit(text=replace(TEXT, name="kept")) == first
    assert edit(image=png(colour=(1, 2, 3))) not in (first, None)
    assert edit(drops_image=True) is None
    assert edit(image=png()) == first


def test_a_refusal_names_no_other_partner(draft: Listing) -> None:
    with pytest.raises(BillingError) as refusal:
        queries.find_image("ledger-bridge", draft.id, ANONYMOUS)
    with pytest.raises(BillingError) as nothing:
        queries.find_image("nothing", draft.id, ANONYMOUS)
    assert refusal.value.message == nothing.value.message
