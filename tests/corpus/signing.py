"""Proving that a provider sent a body, truly or nearly so. A case says how in a header, for proofs are of a moment."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

from django.utils import timezone

from billing.payments import stub
from tests.support import stripe_payloads

# ``X-Sign-As: stub`` or ``X-Sign-As: stripe <how>``.
HEADER = "x-sign-as"
Pairs = list[tuple[str, str]]
_NAMES = {"stub": stub.SIGNATURE_HEADER, "stripe": stripe_payloads.HEADER}


def signed(said: Pairs, body: bytes) -> Pairs:
    """The headers with the proof in the place of how it is to be made."""
    asked = next((value for name, value in said if name.lower() == HEADER), None)
    if asked is None:
        return said
    provider, _, how = asked.partition(" ")
    others = [pair for pair in said if pair[0].lower() != HEADER]
    return [*others, *WAYS.get(how or "rightly", _rightly)(provider, body)]


def _value(provider: str, body: bytes, at: datetime | None = None) -> str:
    at = at or timezone.now()
    if provider == "stub":
        return str(stub.sign(body, at=at)[stub.SIGNATURE_HEADER])
    return stripe_payloads.header(body, at=at)


def _rightly(provider: str, body: bytes) -> Pairs:
    return [(_NAMES[provider], _value(provider, body))]


def _aged(seconds: int) -> Callable[[str, bytes], Pairs]:
    return lambda provider, body: [
        (_NAMES[provider], _value(provider, body, timezone.now() - timedelta(seconds=seconds)))
    ]


def _changed(change: Callable[[str], str]) -> Callable[[str, bytes], Pairs]:
    return lambda provider, body: [(_NAMES[provider], change(_value(provider, body)))]


def _by_a_stranger(provider: str, body: bytes) -> Pairs:
    stamp = int(timezone.now().timestamp())
    digest = hmac.new(b"whsec_guessed", b"%d." % stamp + body, hashlib.sha256).hexdigest()
    return [(_NAMES[provider], f"t={stamp},v1={digest}")]


WAYS: Mapping[str, Callable[[str, bytes], Pairs]] = {
    "rightly": _rightly,
    "not at all": lambda provider, body: [],
    "too old": _aged(301),
    "in the future": _aged(-310),
    "ages ago": _aged(10**9),
    "by a stranger": _by_a_stranger,
    "another body": lambda provider, body: _rightly(provider, body + b" "),
    "by the other provider": lambda provider, body: [
        (_NAMES[provider], _value("stub" if provider == "stripe" else "stripe", body))
    ],
    "under the other name": lambda provider, body: [
        (_NAMES["stub" if provider == "stripe" else "stripe"], _value(provider, body))
    ],
    "twice": lambda provider, body: _rightly(provider, body) * 2,
    "in capitals": _changed(str.upper),
    "cut short": _changed(lambda text: text[:-1]),
    "lengthened": _changed(lambda text: f"{text}0"),
    "with two times": _changed(lambda text: f"t=1,{text}"),
    "without a time": _changed(lambda text: text.partition(",")[2]),
    "with a time that is none": _changed(lambda text: "t=now," + text.partition(",")[2]),
    "with a long time": _changed(lambda text: "t=" + "9" * 400 + "," + text.partition(",")[2]),
    "with a full-width time": _changed(lambda text: "t=\uff11," + text.partition(",")[2]),
    "as another scheme": _changed(lambda text: text.replace("v1=", "v0=")),
    "after many others": _changed(lambda text: text + ",v1=" + "0" * 64 + ",v9=x" * 50),
    "without a value": _changed(lambda text: "t=,v1="),
    "as text": _changed(lambda text: "signed, yours truly"),
    "with blanks": _changed(lambda text: text.replace(",", ", ")),
    "at great length": _changed(lambda text: text + ",v1=" + "0" * 64 + (",v0=" + "a" * 64) * 80),
    "with letters that are none": _changed(lambda text: text[:-1] + "\u0660"),
    "by nothing": _changed(lambda text: text.partition("v1=")[0] + "v1=" + "0" * 64),
}
# Those that prove it all the same.
GOOD = frozenset({"rightly", "after many others"})
