"""Ratios that can be believed: medians over rounds, and none where the rounds disagree."""

import pytest

from bench.contests import Claim, Contest, Spoiled, hold
from bench.ratios import Goal, Verdict, ratio_of

AT_LEAST = Goal(0.9, 1.2)
AT_MOST = Goal(3, 2, more_is_better=False)


@pytest.mark.parametrize(
    ("goal", "rounds", "expected"),
    [
        (AT_LEAST, (1.2, 1.3, 1.1), Verdict.MOONSHOT),
        (AT_LEAST, (1.19, 1.3, 1.1), Verdict.MET),
        (AT_LEAST, (0.9,), Verdict.MET),
        (AT_LEAST, (0.8999, 0.8999, 1.2), Verdict.MISSED),
        (AT_MOST, (2.0, 1.5, 2.5), Verdict.MOONSHOT),
        (AT_MOST, (3.0,), Verdict.MET),
        (AT_MOST, (3.01,), Verdict.MISSED),
        # Twofold is still believed, more is not, however good the median.
        (AT_LEAST, (1.0, 2.0), Verdict.MOONSHOT),
        (AT_LEAST, (1.0, 2.001), Verdict.MISSING),
        (AT_LEAST, (0.0, 1.0), Verdict.MISSING),
    ],
)
def test_verdicts(goal: Goal, rounds: tuple[float, ...], expected: Verdict) -> None:
    ratio = ratio_of("r", goal, rounds, [1.0] * len(rounds))
    assert ratio.verdict is expected
    assert ratio.is_failed == (expected in (Verdict.MISSED, Verdict.MISSING))


def test_rounds_are_divided_one_by_one() -> None:
    ratio = ratio_of("r", AT_LEAST, [10, 30, 8], [10, 10, 10])
    assert list(ratio.rounds) == [1, 3, 0.8]
    assert ratio.median == 1
    assert ratio.range == (0.8, 3)


def test_no_ratio_of_nothing_or_of_unequal_rounds() -> None:
    with pytest.raises(ValueError, match="at least one round"):
        ratio_of("r", AT_LEAST, [], [])
    with pytest.raises(ValueError, match="zip"):
        ratio_of("r", AT_LEAST, [1, 2], [1])


def test_each_round_starts_with_another_side() -> None:
    ran: list[str] = []

    def side(name: str, figure: float) -> float:
        ran.append(name)
        return figure

    contest = Contest(
        "c",
        "u",
        {"a": lambda: side("a", 2), "b": lambda: side("b", 1)},
        [Claim("a / b", "a", "b", AT_LEAST)],
        lambda: ran.append("check"),
    )
    result = hold(contest, rounds=3, tell=lambda _: None)
    assert ran == ["a", "b", "check", "b", "a", "check", "a", "b", "check"]
    assert [ratio.rounds for ratio in result.ratios()] == [(2, 2, 2)]


def test_a_spoiled_contest_has_no_ratio() -> None:
    def check() -> None:
        raise Spoiled("books disagree")

    contest = Contest("c", "u", {"a": lambda: 1.0}, [Claim("a / a", "a", "a", AT_LEAST)], check)
    result = hold(contest, rounds=3, tell=lambda _: None)
    assert result.failure == "books disagree"
    assert result.figures == {"a": [1.0]}
    assert result.ratios() == []
