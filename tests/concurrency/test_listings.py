"""Listings under true concurrency: one decision, one step a version, one picture."""

from collections import Counter
from dataclasses import replace

import pytest

from billing.accounts import actors
from billing.accounts.actors import Actor
from marketplace.models import Listing, ListingImage, ListingTransition, Partner, PartnerMember, PartnerRole
from marketplace.partners import membership, operations
from marketplace.partners.operations import ListingExists, ListingStale
from marketplace.partners.rights import PartnerNotFound
from marketplace.partners.transitions import IllegalStep, Step
from tests.concurrency.test_exact_quota import in_threads
from tests.support import partners
from tests.support.partners import NOW, TEXT
from tests.support.pictures import png


@pytest.fixture
def northwind(real_db: str) -> Partner:
    return partners.partner()


@pytest.fixture
def editor(northwind: Partner) -> Actor:
    return partners.actor(partners.member(northwind))


def test_two_reviewers_at_once_make_one_decision(northwind: Partner, editor: Actor) -> None:
    row = partners.step(partners.listing(northwind, by=editor), Step.SUBMIT, by=editor)

    def decide(number: int) -> str:
        step = Step.PUBLISH if number % 2 else Step.REJECT
        try:
            operations.take(
                listing=row,
                step=step,
                actor=actors.operator(f"reviewer {number}"),
                now=NOW,
                expected_version=row.version,
                reason=f"by {number}",
            )
        except ListingStale:
            return "stale"
        return step.value

    said = Counter(in_threads(8, decide))
    assert said["stale"] == 7
    now = Listing.objects.get()
    assert now.version == row.version + 1
    (last,) = ListingTransition.objects.filter(version=now.version)
    assert said[last.step] == 1
    assert now.status == ("published" if last.step == "publish" else "rejected")
    assert last.reason == now.rejected_reason


def test_without_a_version_one_of_them_finds_it_decided(northwind: Partner, editor: Actor) -> None:
    row = partners.step(partners.listing(northwind, by=editor), Step.SUBMIT, by=editor)

    def decide(number: int) -> str:
        try:
            operations.take(listing=row, step=Step.PUBLISH, actor=actors.operator(f"{number}"), now=NOW, reason="r")
        except IllegalStep:
            return "too late"
        return "published"

    assert Counter(in_threads(6, decide)) == {"published": 1, "too late": 5}


def test_one_address_is_given_once(northwind: Partner) -> None:
    people = [partners.actor(partners.member(northwind)) for _ in range(6)]

    def begin(number: int) -> str:
        try:
            partners.listing(northwind, by=people[number], image=png())
        except ListingExists:
            return "taken"
        return "made"

    assert Counter(in_threads(6, begin)) == {"made": 1, "taken": 5}
    assert (Listing.objects.count(), ListingImage.objects.count()) == (1, 1)


def test_twins_of_one_edit_are_saved_once(northwind: Partner, editor: Actor) -> None:
    row = partners.listing(northwind, by=editor)

    def save(number: int) -> int:
        text = replace(TEXT, name="Same for all")
        return operations.edit(listing=row, text=text, actor=editor, now=NOW, expected_version=1).version

    assert set(in_threads(6, save)) == {2}


def test_of_admins_who_remove_each_other_one_stays(northwind: Partner) -> None:
    admins = [partners.member(northwind, PartnerRole.ADMIN) for _ in range(2)]

    def remove(number: int) -> str:
        by = partners.actor(admins[number])
        try:
            membership.remove_member(partner=northwind, user_id=admins[1 - number].id, actor=by)
        except PartnerNotFound:
            return "is one no more"
        return "removed"

    assert Counter(in_threads(2, remove)) == {"removed": 1, "is one no more": 1}
    assert PartnerMember.objects.count() == 1
