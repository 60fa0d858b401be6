"""``Idempotency-Key``: a request that named one is carried out once, and its first answer given again.

The key is claimed in the transaction of what it answers for, so there is no moment at which one exists without the
other. A twin that arrives meanwhile waits at the unique constraint until the first commits (then it gets the first
answer) or rolls back (then it does the work). Only success is kept: after a refusal the same key may be tried again.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from django.db import OperationalError, connection
from django.db.transaction import atomic

from billing.infra import locks
from billing.kernel.errors import Conflict, Invalid
from billing.models import IdempotentRequest

HEADER = "Idempotency-Key"
# Visible ASCII, as RFC 9110 has it for tokens and more; no blank, so that nothing depends on trimming.
_KEY = re.compile(r"[\x21-\x7e]{1,200}", re.ASCII)

_CLAIM = """
    INSERT INTO billing_idempotent_requests (caller, key, fingerprint, status, body, created_at)
    VALUES (%s, %s, %s, 0, '{}', now())
    ON CONFLICT (caller, key) DO NOTHING
    RETURNING id
"""


class KeyReused(Conflict):
    """The key stood for another request before."""

    code = "idempotency_conflict"


@dataclass(frozen=True, slots=True)
class Kept:
    """An answer as it is kept. ``content`` is the encoded body: the second answer equals the first byte by byte."""

    status: int
    content: str
    headers: Mapping[str, str] = field(default_factory=dict)


def check_key(key: str) -> str:
    """``key`` if it is 1 to 200 visible ASCII characters; else ``Invalid`` naming the header."""
    if not _KEY.fullmatch(key):
        raise Invalid(f"{HEADER} is 1 to 200 visible ASCII characters.", field=HEADER)
    return key


@atomic
def once(*, caller: str, key: str, fingerprint: bytes, act: Callable[[], Kept]) -> Kept:
    """Run ``act`` and keep its answer, or give the answer that ``(caller, key)`` got before.

    ``fingerprint`` is a digest of the request. Raises ``KeyReused`` where the key stood for another one, and ``Busy``
    where a twin takes longer than ``lock_timeout``. Whatever ``act`` raises rolls the claim back with all else.
    """
    row_id = _claim(caller, key, fingerprint)
    if row_id is None:
        return _first_answer(caller, key, fingerprint)
    kept = act()
    IdempotentRequest.objects.filter(id=row_id).update(
        status=kept.status, body={"content": kept.content, "headers": dict(kept.headers)}
    )
    return kept


def _claim(caller: str, key: str, fingerprint: bytes) -> int | None:
    try:
        with connection.cursor() as cursor:
            cursor.execute(_CLAIM, [caller, key, fingerprint])
            row = cursor.fetchone()
    except OperationalError as error:
        if locks.is_lock_timeout(error):
            raise locks.BooksBusy("The first request with this key is still at work; try again.") from error
        raise
    return None if row is None else int(row[0])


def _first_answer(caller: str, key: str, fingerprint: bytes) -> Kept:
    first = IdempotentRequest.objects.get(caller=caller, key=key)
    if bytes(first.fingerprint) != fingerprint:
        raise KeyReused(f"This {HEADER} stood for another request before.", field=HEADER)
    return Kept(first.status, first.body["content"], first.body["headers"])
