"""What an API key looks like: ``chk_live_`` (``chk_test_`` for a sandbox), 48 random characters, six of checksum.

48 characters out of 62 are 285 bits; the five that are shown afterwards leave 256. The checksum lets a typing error,
or a scanner's false find, be told without a look into the database.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import zlib

LIVE = "chk_live_"
TEST = "chk_test_"
PREFIX_LENGTH = len(LIVE) + 5
_RANDOM_LENGTH = 48
_CHECKSUM_LENGTH = 6
_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_SHAPE = re.compile(rf"chk_(?:live|test)_[0-9A-Za-z]{{{_RANDOM_LENGTH + _CHECKSUM_LENGTH}}}", re.ASCII)


def new(*, is_sandbox: bool) -> str:
    """A new key's text, from the system's randomness."""
    return _written("".join(secrets.choice(_ALPHABET) for _ in range(_RANDOM_LENGTH)), is_sandbox=is_sandbox)


def derived(seed: str, *, secret: str, is_sandbox: bool) -> str:
    """The one key's text that ``seed`` stands for; nobody without ``secret`` makes it from the seed."""
    number = int.from_bytes(hmac.digest(secret.encode(), b"api-key:" + seed.encode(), "sha512"))
    letters = []
    for _ in range(_RANDOM_LENGTH):
        number, letter = divmod(number, len(_ALPHABET))
        letters.append(_ALPHABET[letter])
    return _written("".join(letters), is_sandbox=is_sandbox)


def _written(letters: str, *, is_sandbox: bool) -> str:
    body = (TEST if is_sandbox else LIVE) + letters
    return body + _checksum(body)


def is_well_formed(text: str) -> bool:
    """Whether ``text`` has the shape and checksum of a key."""
    return _SHAPE.fullmatch(text) is not None and _checksum(text[:-_CHECKSUM_LENGTH]) == text[-_CHECKSUM_LENGTH:]


def digest(text: str) -> bytes:
    """What is stored of a key: its SHA-256."""
    return hashlib.sha256(text.encode()).digest()


def _checksum(body: str) -> str:
    number = zlib.crc32(body.encode())
    digits = []
    for _ in range(_CHECKSUM_LENGTH):
        number, digit = divmod(number, len(_ALPHABET))
        digits.append(_ALPHABET[digit])
    return "".join(reversed(digits))
