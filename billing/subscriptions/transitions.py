"""Which status may follow which: the only table that says so. Pure."""

from __future__ import annotations

from billing.kernel.errors import Conflict

TRANSITIONS: dict[str, frozenset[str]] = {
    # Waiting for a provider or an operator to confirm; given up on, it expires.
    "incomplete": frozenset({"active", "expired", "canceled"}),
    "trialing": frozenset({"active", "expired", "canceled"}),
    "active": frozenset({"past_due", "paused", "canceled", "expired"}),
    "past_due": frozenset({"active", "canceled", "expired"}),
    "paused": frozenset({"active", "canceled", "expired"}),
    # Ended is ended: a customer who comes back gets a new subscription.
    "canceled": frozenset(),
    "expired": frozenset(),
}


class IllegalTransition(Conflict):
    """The subscription's status does not lead there."""

    code = "illegal_transition"


def is_allowed(before: str, after: str) -> bool:
    return after in TRANSITIONS[before]


def check(before: str, after: str) -> None:
    """Raise ``IllegalTransition`` unless ``after`` may follow ``before``."""
    if not is_allowed(before, after):
        raise IllegalTransition(f"A subscription that is {before} cannot become {after}.", before=before, after=after)
