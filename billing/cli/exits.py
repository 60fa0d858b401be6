"""Exit codes: what a script can tell from a command's end. Chosen here, by the category of the error."""

from __future__ import annotations

from enum import IntEnum

from billing.kernel.errors import (
    BillingError,
    Busy,
    Conflict,
    Forbidden,
    Invalid,
    LimitExceeded,
    NotFound,
    ProviderError,
)


class Exit(IntEnum):
    OK = 0
    REFUSED = 1
    BAD_INPUT = 2
    NOT_FOUND = 3
    CONFLICT = 4
    UNAVAILABLE = 5
    INTERRUPTED = 130


_BY_CATEGORY: tuple[tuple[type[BillingError], Exit], ...] = (
    (NotFound, Exit.NOT_FOUND),
    (Invalid, Exit.BAD_INPUT),
    (Conflict, Exit.CONFLICT),
    (LimitExceeded, Exit.REFUSED),
    (Forbidden, Exit.REFUSED),
    (Busy, Exit.UNAVAILABLE),
    (ProviderError, Exit.UNAVAILABLE),
)


def of(error: BillingError) -> Exit:
    for category, code in _BY_CATEGORY:
        if isinstance(error, category):
            return code
    raise error
