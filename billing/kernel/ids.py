"""Identifiers.

Rows carry version 7 UUIDs (RFC 9562): 48 bits of milliseconds first, so that inserts land at the right edge of an
index (about 1.5 kB of WAL per insert after a checkpoint, against 3–4 kB for random keys).
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from uuid import UUID, SafeUUID

_RANDOM_BYTES = 10
# Of the 80 bits behind the time, those that are free, and version 7 and the variant in the others.
_FIXED = 0x7 << 76 | 0x2 << 62
_FREE = (1 << 80) - 1 & ~(0xF << 76 | 0x3 << 62)


def new_id() -> UUID:
    """Return a version 7 UUID for this millisecond of the real clock."""
    return UUID(int=_fixed() | int.from_bytes(os.urandom(_RANDOM_BYTES)) & _FREE)


def new_ids(about: int) -> Iterator[UUID]:
    """As ``new_id`` any number of times, each of the millisecond that it is asked for in, by which the doctor tells the
    events of a list apart. ``about`` so many cost less than one by one."""
    while True:
        random = os.urandom(_RANDOM_BYTES * about)
        for start in range(0, len(random), _RANDOM_BYTES):
            # As one comes out of a pickle: what its own constructor would check is so by construction.
            made = _blank(UUID)
            _set(made, "int", _fixed() | int.from_bytes(random[start : start + _RANDOM_BYTES]) & _FREE)
            _set(made, "is_safe", SafeUUID.unknown)
            yield made


_blank, _set = UUID.__new__, object.__setattr__


def _fixed() -> int:
    return time.time_ns() // 1_000_000 << 80 | _FIXED


def parse_uuid(text: str) -> UUID | None:
    """Return the UUID that ``text`` spells in its canonical 36-character form, else None.

    ``uuid.UUID`` also takes braces, ``urn:uuid:`` and 32 bare digits; a path segment gets one spelling.
    """
    try:
        value = UUID(text)
    except ValueError:
        return None
    return value if str(value) == text.lower() else None
