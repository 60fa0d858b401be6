"""When a failed delivery is tried again, and when no more: 13 attempts over close to three days."""

from __future__ import annotations

from datetime import timedelta

ATTEMPTS_MAX = 13
FIRST = timedelta(seconds=5)
FACTOR = 4
LONGEST = timedelta(hours=12)
# A wait is up to this part shorter or longer, so that endpoints that failed together do not come back together.
JITTER = 0.2


def is_exhausted(failures: int) -> bool:
    return failures >= ATTEMPTS_MAX


def delay_after(failures: int, *, chance: float) -> timedelta:
    """How long to wait after the ``failures``-th failure in a row; ``chance`` in [0, 1) is where in the jitter.

    5 s, 20 s, 80 s, 5 min, 21 min, 85 min, 5.7 h, then 12 h each.
    """
    wait: timedelta = min(FIRST * FACTOR ** min(failures - 1, 10), LONGEST)
    return wait * (1 - JITTER + 2 * JITTER * chance)
