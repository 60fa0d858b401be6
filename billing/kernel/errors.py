"""The one family of expected errors.

Concrete classes live beside what raises them and inherit a category from here. The doors translate: HTTP status is
chosen in ``billing/api/errors.py``, exit codes in ``billing/cli/exits.py``. A broken invariant is *not* a
``BillingError``: no door catches it, and it is loud.
"""

from __future__ import annotations

from typing import Any, ClassVar


class BillingError(Exception):
    """An expected refusal: a stable ``code``, a sentence for a person, and details a program can read."""

    code: ClassVar[str] = "error"

    def __init__(self, message: str, **details: Any) -> None:
        super().__init__(message)
        self.message = message
        self.details = details


class NotFound(BillingError):
    """No such thing, or none that this caller may know of: the two look the same from outside."""

    code = "not_found"


class Invalid(BillingError):
    """The request contradicts a rule whatever the state. ``field`` in the details names the culprit where there is
    one."""

    code = "invalid"


class Conflict(BillingError):
    """The request is sound but the books have moved on or say otherwise."""

    code = "conflict"


class LimitExceeded(BillingError):
    """A plan, quota or credit limit stands in the way."""

    code = "limit_exceeded"


class Forbidden(BillingError):
    """The caller is known and may see the thing, but may not do this to it."""

    code = "forbidden"


class Busy(BillingError):
    """A lock was not had in time; the same request may be tried again."""

    code = "busy"


class ProviderError(BillingError):
    """A payment provider failed or said no."""

    code = "provider_error"


class InvariantViolation(AssertionError):
    """The books contradict themselves. Never caught by a door: the transaction dies and someone is told."""
