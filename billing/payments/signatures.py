"""The header that signs a delivery: ``t=<unix seconds>,v1=<hex>[,v1=<hex>…]``. Pure.

Read more strictly than libraries do: one timestamp, within the window on both sides, and signatures that can be one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime

from billing.payments.protocol import SignatureInvalid

TOLERANCE_SECONDS = 300
HEADER_LENGTH_MAX = 4000
_TIMESTAMP = re.compile(r"[0-9]{1,12}", re.ASCII)
_SIGNATURE = re.compile(r"[0-9a-f]{64}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Signed:
    timestamp: int
    signatures: tuple[str, ...]


def read(header: str | None, *, now: datetime) -> Signed:
    """Raises ``SignatureInvalid`` for a header that is missing, malformed, stale or from the future.

    Two headers of the name arrive as one, joined by a comma: two timestamps, and so refused. Schemes other than
    ``v1`` are passed over.
    """
    if not header:
        raise SignatureInvalid("The signature header is missing.")
    if len(header) > HEADER_LENGTH_MAX or not header.isascii():
        raise SignatureInvalid("The signature header is malformed.")
    pairs = [item.partition("=") for item in header.split(",")]
    if any(not separator for _, separator, _ in pairs):
        raise SignatureInvalid("The signature header is malformed.")
    timestamps = [value for name, _, value in pairs if name == "t"]
    signatures = tuple(value for name, _, value in pairs if name == "v1")
    if len(timestamps) != 1 or not _TIMESTAMP.fullmatch(timestamps[0]):
        raise SignatureInvalid("The signature header has to have one timestamp.")
    if not signatures or not all(_SIGNATURE.fullmatch(each) for each in signatures):
        raise SignatureInvalid("The signature header has to have signatures of the scheme v1.")
    timestamp = int(timestamps[0])
    if abs(now.timestamp() - timestamp) > TOLERANCE_SECONDS:
        raise SignatureInvalid("The signature is too old, or from the future.")
    return Signed(timestamp, signatures)
