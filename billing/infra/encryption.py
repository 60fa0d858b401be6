"""Secrets that have to be read again, such as the key of an authenticator app, as the database keeps them: encrypted.

Whoever has a copy of the database, and not the keys, has none of them. Fernet (AES in CBC mode, authenticated by HMAC),
with a key derived for each purpose, so that what was stored for one is not read as another.
"""

from __future__ import annotations

import base64
from functools import cache

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings

# No text that was stored before holds a colon.
PREFIX = "sealed:"


class UnreadableSecret(Exception):
    """None of the keys opens it: the key that closed it is not among the settings any more."""


def encrypt(text: str, *, purpose: str) -> str:
    """``text`` closed with the first key."""
    return PREFIX + _box(_keys(), purpose).encrypt(text.encode()).decode()


def decrypt(stored: str, *, purpose: str) -> str:
    """What ``encrypt`` was given, by whichever key closed it. Raises ``UnreadableSecret``."""
    if not is_encrypted(stored):
        raise UnreadableSecret(f"a secret for {purpose} is not encrypted")
    try:
        return _box(_keys(), purpose).decrypt(stored.removeprefix(PREFIX)).decode()
    except (InvalidToken, ValueError):
        raise UnreadableSecret(f"no key opens a secret for {purpose}") from None


def is_encrypted(stored: str) -> bool:
    return stored.startswith(PREFIX)


def _keys() -> tuple[str, ...]:
    return tuple(settings.BILLING_ENCRYPTION_KEYS) or (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)


@cache
def _box(keys: tuple[str, ...], purpose: str) -> MultiFernet:
    return MultiFernet([Fernet(base64.urlsafe_b64encode(_derive(key, purpose))) for key in keys])


def _derive(key: str, purpose: str) -> bytes:
    return HKDF(SHA256(), length=32, salt=None, info=f"countinghouse {purpose}".encode()).derive(key.encode())
