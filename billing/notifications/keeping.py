"""Signing secrets as the database keeps them: encrypted, so that a copy of it forges no message."""

from __future__ import annotations

from billing.infra import encryption
from billing.models import WebhookSecret

PURPOSE = "webhook signing"


def close(secret: str) -> str:
    """What is stored of ``secret``."""
    return encryption.encrypt(secret, purpose=PURPOSE)


def reveal(stored: str) -> str:
    """The secret of which ``stored`` is kept; one from before they were encrypted is itself. Raises
    ``encryption.UnreadableSecret`` where no key opens it: that endpoint needs a new secret."""
    return encryption.decrypt(stored, purpose=PURPOSE) if encryption.is_encrypted(stored) else stored


def close_rest() -> int:
    """Encrypt what is left from before; returns how many there were. Not while code that cannot read them still runs,
    so no migration does it."""
    closed = 0
    for row in WebhookSecret.objects.exclude(text__startswith=encryption.PREFIX):
        closed += WebhookSecret.objects.filter(pk=row.pk, text=row.text).update(text=close(row.text))
    return closed
