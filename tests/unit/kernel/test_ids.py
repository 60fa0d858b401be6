"""Identifiers: version 7 UUIDs of the millisecond they were made in, and one spelling of each."""

import time
from itertools import islice, pairwise
from uuid import RFC_4122, UUID, SafeUUID

import pytest

from billing.kernel.ids import new_id, new_ids, parse_uuid

KNOWN = UUID("019b76da-a800-7c4e-8f00-aabbccddeeff")


def millisecond_of(made: UUID) -> int:
    return made.int >> 80


def test_it_is_a_version_7_uuid_of_its_millisecond() -> None:
    for _ in range(100):
        before = time.time_ns() // 1_000_000
        made = new_id()
        assert (made.version, made.variant) == (7, RFC_4122)
        assert before <= millisecond_of(made) <= time.time_ns() // 1_000_000


def test_all_other_bits_are_drawn() -> None:
    fixed = 0xF << 76 | 0x3 << 62
    drawn = ((1 << 80) - 1) & ~fixed
    ever, never = 0, 0
    for _ in range(200):
        bits = new_id().int
        ever |= bits
        never |= ~bits
    assert ever & drawn == drawn
    assert never & drawn == drawn


@pytest.mark.parametrize("about", [1, 7])
def test_each_of_many_is_drawn_anew_to_its_last_bit(about: int) -> None:
    fixed = 0xF << 76 | 0x3 << 62
    drawn = ((1 << 80) - 1) & ~fixed
    ids = [each.int for each in islice(new_ids(about), 40 * about)]
    for first in range(about):
        # Of each place in what is drawn at once.
        ever, never = 0, 0
        for bits in ids[first::about]:
            ever |= bits
            never |= ~bits
        assert ever & drawn == never & drawn == drawn
    # The end of one is not the beginning of the next.
    low = (1 << 54) - 1
    assert not any(one & low == other >> 8 & low for one, other in pairwise(ids))


def test_no_two_are_alike() -> None:
    assert len({new_id() for _ in range(1000)}) == 1000


def test_many_are_as_one_by_one_and_go_on_beyond_what_was_said() -> None:
    before = time.time_ns() // 1_000_000
    made = list(islice(new_ids(7), 100))
    assert len(set(made)) == 100
    assert {(each.version, each.variant, each.is_safe) for each in made} == {(7, RFC_4122, SafeUUID.unknown)}
    assert all(before <= millisecond_of(each) <= time.time_ns() // 1_000_000 for each in made)


def test_each_of_many_is_of_the_millisecond_that_it_is_asked_for_in() -> None:
    ids = new_ids(100)
    for _ in range(3):
        before = time.time_ns() // 1_000_000
        assert before <= millisecond_of(next(ids)) <= time.time_ns() // 1_000_000
        time.sleep(0.003)


@pytest.mark.parametrize("spelled", [str(KNOWN), str(KNOWN).upper(), "f47ac10b-58cc-4372-a567-0e02b2c3d479"])
def test_the_canonical_form_is_read_in_either_case(spelled: str) -> None:
    found = parse_uuid(spelled)
    assert found is not None
    assert str(found) == spelled.lower()


@pytest.mark.parametrize(
    "spelled", ["", "0", "nobody", KNOWN.hex, f"{{{KNOWN}}}", f"urn:uuid:{KNOWN}", f" {KNOWN}", str(KNOWN)[:-1]]
)
def test_no_other_spelling_is(spelled: str) -> None:
    assert parse_uuid(spelled) is None
