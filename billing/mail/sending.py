"""Sending what waits: claim, send outside of any transaction, write down how it went.

A claim is a conditional update, so of two workers one sends. Whoever dies between sending and writing that down leaves
a message that is sent again once its claim has run out, under the same ``Message-ID``: SMTP knows no exactly once.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from uuid import UUID

from django.db.models import F, Q, QuerySet

from billing.infra import logs
from billing.invoicing import queries as invoicing_queries
from billing.invoicing import settlement
from billing.kernel.errors import BillingError
from billing.mail import backoff, rendering
from billing.mail.kinds import DEMANDS
from billing.models import Mail, MailStatus

# Longer than a server that does not answer is waited for.
CLAIM = timedelta(minutes=5)
SETTLED = "settled"
_ERROR_LENGTH_MAX = 200


def send(*, mail_id: UUID, clock: Callable[[], datetime]) -> bool:
    """Send one message if it is due; returns whether it was handed to the server. ``clock`` tells real time.

    Raises nothing that a mail server or a template does: the message waits and is tried again, and is parked with the
    reason after the last attempt.
    """
    now = clock()
    due = Q(next_attempt_at=None) | Q(next_attempt_at__lte=now)
    claimed = Mail.objects.filter(due, id=mail_id, status=MailStatus.PENDING).update(
        attempts=F("attempts") + 1, next_attempt_at=now + CLAIM
    )
    if not claimed:
        return False
    mail = Mail.objects.select_related("organization", "invoice").get(id=mail_id)
    if _is_settled(mail):
        _own(mail).update(status=MailStatus.SKIPPED, reason=SETTLED, next_attempt_at=None)
        return False
    try:
        rendering.message(mail).send()
    # Whatever a server, a library or a document does wrong must neither stop the others nor lose this one.
    except (OSError, ValueError, LookupError, ArithmeticError, RuntimeError, BillingError) as error:
        _failed(mail, error, now=clock())
        return False
    _own(mail).update(status=MailStatus.SENT, sent_at=clock(), next_attempt_at=None)
    logs.event("mail.sent", organization=mail.organization_id, mail=mail.id, kind=mail.kind)
    return True


def _is_settled(mail: Mail) -> bool:
    if mail.invoice_id is None or mail.kind not in DEMANDS:
        return False
    return settlement.due_minor(invoicing_queries.get_invoice(str(mail.invoice_id))) == 0


def _failed(mail: Mail, error: Exception, *, now: datetime) -> None:
    wait = backoff.delay_after(mail.attempts)
    # The address may stand in what the server said.
    said = logs.redact_text(f"{type(error).__name__}: {error}")[:_ERROR_LENGTH_MAX]
    if wait is None:
        _own(mail).update(status=MailStatus.PARKED, reason=said, next_attempt_at=None)
    else:
        _own(mail).update(reason=said, next_attempt_at=now + wait)
    logs.event(
        "mail.parked" if wait is None else "mail.failed",
        level=logging.ERROR if wait is None else logging.WARNING,
        error=error,
        organization=mail.organization_id,
        mail=mail.id,
        attempts=mail.attempts,
    )


def _own(mail: Mail) -> QuerySet[Mail]:
    """The row as this worker claimed it: one that was taken over meanwhile is another's to write."""
    return Mail.objects.filter(id=mail.id, status=MailStatus.PENDING, attempts=mail.attempts)
