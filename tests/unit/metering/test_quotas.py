"""Admission arithmetic: whole or not at all, split once, each threshold told once."""

from decimal import Decimal

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from billing.metering import quotas


def amounts(least: str = "0", most: str = "1000") -> st.SearchStrategy[Decimal]:
    return st.decimals(Decimal(least), Decimal(most), places=6) | st.integers(int(Decimal(least)) + 1, int(most)).map(
        Decimal
    )


LIMITS = st.none() | amounts()


@given(amounts(), amounts("0.000001"), LIMITS)
def test_it_fits_if_and_only_if_nothing_would_be_over(taken: Decimal, quantity: Decimal, limit: Decimal | None) -> None:
    fits = quotas.fits(taken=taken, quantity=quantity, limit=limit)
    inside, over = quotas.split(taken=taken, quantity=quantity, limit=limit)
    assert fits == (over == 0)
    assert inside + over == quantity
    assert inside >= 0
    assert over >= 0
    assert limit is None or taken + inside <= max(taken, limit)


@given(st.lists(amounts("0.000001"), min_size=1, max_size=12), LIMITS)
def test_splitting_one_by_one_is_splitting_the_sum(quantities: list[Decimal], limit: Decimal | None) -> None:
    taken = inside = over = Decimal(0)
    for quantity in quantities:
        split = quotas.split(taken=taken, quantity=quantity, limit=limit)
        inside, over, taken = inside + split.inside, over + split.over, taken + quantity
    assert (inside, over) == quotas.split(taken=Decimal(0), quantity=taken, limit=limit)


@given(st.lists(amounts("0.000001"), min_size=1, max_size=12), amounts("0.000001"))
def test_each_threshold_is_crossed_once(quantities: list[Decimal], limit: Decimal) -> None:
    taken, crossed = Decimal(0), []
    for quantity in quantities:
        crossed += quotas.crossed(before=taken, after=taken + quantity, limit=limit)
        taken += quantity
    assert crossed == [percent for percent in quotas.THRESHOLDS if taken * 100 >= limit * percent]


@given(amounts(), amounts())
def test_no_limit_and_a_limit_of_none_have_no_thresholds(before: Decimal, step: Decimal) -> None:
    assert quotas.crossed(before=before, after=before + step, limit=None) == []
    assert quotas.crossed(before=before, after=before + step, limit=Decimal(0)) == []


@given(st.integers(0, 10**12), st.decimals(0, 1000, places=6))
def test_whole_units_cost_exactly(units: int, rate: Decimal) -> None:
    assume(units * rate < 10**14)
    assert quotas.credits_for(Decimal(units), rate) == units * rate


@given(amounts(), st.decimals(0, 1000, places=6))
def test_a_fraction_of_a_unit_rounds_by_less_than_a_millionth(inside: Decimal, rate: Decimal) -> None:
    due = quotas.credits_for(inside, rate)
    assert abs(due - inside * rate) <= Decimal("0.0000005")
    assert due >= 0


@pytest.mark.parametrize(
    ("spendable", "told"),
    [
        ("10", []),
        ("2.000001", []),
        ("2", [quotas.LOW]),
        ("0.000001", [quotas.LOW]),
        ("0", [quotas.LOW, quotas.EXHAUSTED]),
    ],
)
def test_credits_are_low_from_their_share_downwards_and_then_out(spendable: str, told: list[int]) -> None:
    assert quotas.notices(spendable=Decimal(spendable), filled=Decimal(10), percent=20) == told


def test_an_account_that_never_had_any_runs_out_of_nothing() -> None:
    assert quotas.notices(spendable=Decimal(0), filled=Decimal(0), percent=20) == []


def test_without_a_share_the_end_is_told_alone_with_being_low() -> None:
    assert quotas.notices(spendable=Decimal("0.000001"), filled=Decimal(1), percent=0) == []
    assert quotas.notices(spendable=Decimal(0), filled=Decimal(1), percent=0) == [quotas.LOW, quotas.EXHAUSTED]


def test_the_lines_of_a_limit_are_four_fifths_and_all() -> None:
    assert quotas.THRESHOLDS == (80, 100)
    hundred = Decimal(100)
    for before, after, told in (
        ("0", "79.999999", []),
        ("79.999999", "80", [80]),
        ("80", "99", []),
        ("0", "100", [80, 100]),
    ):
        assert quotas.crossed(before=Decimal(before), after=Decimal(after), limit=hundred) == told
    assert quotas.crossed(before=hundred, after=Decimal(150), limit=hundred) == []
