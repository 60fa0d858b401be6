"""Guardrail flags: what a service raised while it worked, and what a plan says is to become of the debit."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from enum import StrEnum

FLAGS_MAX = 20
FLAG_LENGTH_MAX = 60
_BETWEEN = re.compile(r"[\s.:/-]+")


class Rule(StrEnum):
    """``ANNOTATE``: the flag stands on the event and changes nothing. ``HOLD``: the use is counted, and what it costs
    waits until somebody clears it. ``WAIVE``: the use is counted and costs nothing."""

    ANNOTATE = "annotate"
    HOLD = "hold"
    WAIVE = "waive"


# Of several flags the one that is best for the customer decides: what is waived has nothing to wait for.
_FIRST = (Rule.WAIVE, Rule.HOLD)


def normalized(flag: str) -> str:
    """One spelling for each flag: ``" Dose-Limit "`` and ``"dose.limit"`` are ``dose_limit``."""
    return _BETWEEN.sub("_", flag.strip().lower())


def in_order(flags: Iterable[str]) -> tuple[str, ...]:
    """Each flag once, in its one spelling, sorted."""
    return tuple(sorted({normalized(flag) for flag in flags}))


def decide(flags: Iterable[str], rules: Mapping[str, Rule]) -> Rule:
    """What becomes of the debit of a use with ``flags``; a flag that the plan does not name annotates."""
    named = {rules.get(normalized(flag)) for flag in flags}
    return next((rule for rule in _FIRST if rule in named), Rule.ANNOTATE)
