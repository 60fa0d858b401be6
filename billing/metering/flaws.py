"""What no offer may be, whatever the books say: pure. The books hold exactly what was offered, or nothing of it."""

from __future__ import annotations

import math
from typing import Any

from billing.kernel.decimals import ZERO, bounded
from billing.metering.offers import Offer, Refusal

# The widths of the columns that keep them.
KEY_LENGTH_MAX = 200
NAME_LENGTH_MAX = 60
# Deeper and larger than anything that is meant; text beyond it would not come back from the database as it went in.
PAYLOAD_DEPTH_MAX = 60
_INTEGER_MAX = 2**1024

# Where events come from whose keys are ids of ours: settled reservations and debits that were held.
OWN_SOURCES = frozenset({"reservation", "guardrail"})


def find_flaw(offer: Offer, *, is_preview: bool = False) -> Refusal | None:
    """The refusal of an offer that could not be stored as it is; None if it could. A preview needs no key."""
    refusal = None if _is_usual(offer) else _find_unstorable(offer, is_preview=is_preview)
    if refusal is not None:
        return refusal
    try:
        quantity = bounded(offer.quantity)
    except ValueError as error:
        return _refusal("quantity", f"The quantity {error}.")
    if quantity <= ZERO:
        return _refusal("quantity", "The quantity must be more than 0.")
    if offer.occurred_at is not None and offer.occurred_at.tzinfo is None:
        return _refusal("occurred_at", "occurred_at needs an offset.")
    if offer.payload is not None and not (isinstance(offer.payload, dict) and _is_json(offer.payload, 1)):
        return _refusal("payload", "The payload must be a JSON object: text, finite numbers, true, false, null.")
    return None


def _is_usual(offer: Offer) -> bool:
    """Whether all of an offer's texts are short and plain ASCII: most are, and need no closer look."""
    if not (offer.key and offer.source) or offer.guardrail_flags:
        return False
    texts = offer.key + offer.source + offer.meter + offer.service
    return (
        texts.isascii()
        and "\0" not in texts
        and len(offer.key) <= KEY_LENGTH_MAX
        and len(offer.source) <= KEY_LENGTH_MAX
        and len(offer.meter) <= NAME_LENGTH_MAX
        and len(offer.service) <= NAME_LENGTH_MAX
    )


def _find_unstorable(offer: Offer, *, is_preview: bool) -> Refusal | None:
    if not is_preview and not _is_name(offer.key, KEY_LENGTH_MAX):
        return _unnamed("key", KEY_LENGTH_MAX)
    if not _is_name(offer.source, KEY_LENGTH_MAX):
        return _unnamed("source", KEY_LENGTH_MAX)
    if not all(_is_name(flag, NAME_LENGTH_MAX) for flag in offer.guardrail_flags):
        return _unnamed("guardrail_flags", NAME_LENGTH_MAX)
    if not is_storable(offer.meter, NAME_LENGTH_MAX):
        return Refusal("meter_undeclared", "billing:error:meter-undeclared", "No such event is declared.")
    if not is_storable(offer.service, NAME_LENGTH_MAX):
        return _refusal(
            "service", f"service has at most {NAME_LENGTH_MAX} characters, without NUL or half a character."
        )
    return None


def find_claim(offer: Offer) -> Refusal | None:
    """What is wrong with an offer that comes from outside: the keys of these sources name what was reserved or held,
    and taken by somebody else it could never be settled."""
    return _refusal("source", f"The source {offer.source!r} is our own.") if offer.source in OWN_SOURCES else None


def is_storable(text: str, length_max: int) -> bool:
    """Whether PostgreSQL takes ``text`` into a column of that width: no NUL, no half of a surrogate pair."""
    if len(text) > length_max or "\0" in text:
        return False
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_name(text: str, length_max: int) -> bool:
    return bool(text) and is_storable(text, length_max)


def _unnamed(name: str, length_max: int) -> Refusal:
    return _refusal(name, f"{name} must have 1 to {length_max} characters, without NUL or half a character.")


def _is_json(value: Any, depth: int) -> bool:
    if isinstance(value, str):
        return is_storable(value, len(value))
    if isinstance(value, bool) or value is None:
        return True
    if isinstance(value, int):
        return abs(value) < _INTEGER_MAX
    if isinstance(value, float):
        return math.isfinite(value)
    if depth > PAYLOAD_DEPTH_MAX:
        return False
    if isinstance(value, dict):
        return all(isinstance(key, str) and is_storable(key, len(key)) for key in value) and all(
            _is_json(item, depth + 1) for item in value.values()
        )
    return isinstance(value, list | tuple) and all(_is_json(item, depth + 1) for item in value)


def _refusal(field: str, message: str) -> Refusal:
    return Refusal(f"{field}_invalid", f"billing:error:{field.replace('_', '-')}-invalid", message)
