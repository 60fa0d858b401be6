"""Flags in one spelling, and the rule that several of them come to."""

import pytest

from billing.kernel import guardrails
from billing.kernel.guardrails import Rule

RULES = {"drift": Rule.ANNOTATE, "dose_limit": Rule.HOLD, "calibration": Rule.WAIVE}


@pytest.mark.parametrize(
    "spelling", ["dose_limit", "Dose-Limit", " DOSE LIMIT ", "dose.limit", "dose::limit", "dose/limit"]
)
def test_a_flag_has_one_spelling(spelling: str) -> None:
    assert guardrails.normalized(spelling) == "dose_limit"
    assert guardrails.decide([spelling], RULES) is Rule.HOLD


def test_flags_are_kept_once_and_sorted() -> None:
    assert guardrails.in_order(["b", "A", "a ", "B"]) == ("a", "b")


@pytest.mark.parametrize(
    ("flags", "rule"),
    [
        ([], Rule.ANNOTATE),
        (["unknown"], Rule.ANNOTATE),
        (["drift"], Rule.ANNOTATE),
        (["drift", "dose_limit"], Rule.HOLD),
        (["dose_limit", "calibration"], Rule.WAIVE),
        (["calibration", "drift", "unknown"], Rule.WAIVE),
    ],
)
def test_what_is_best_for_the_customer_decides(flags: list[str], rule: Rule) -> None:
    assert guardrails.decide(flags, RULES) is rule
    assert guardrails.decide(reversed(flags), RULES) is rule
