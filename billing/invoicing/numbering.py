"""Numbers of documents: gapless per issuer, kind of document and year, and per sandbox in a series of its own."""

from __future__ import annotations

from datetime import date, datetime
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db import OperationalError, connection

from billing.infra import locks
from billing.models import Organization

INVOICE = "invoice"
CREDIT_NOTE = "credit_note"
# One installation, one issuer. Not its name: a company that renames itself goes on counting.
ISSUER = "main"

# Counts and locks in one: who issues next waits for this transaction's end, and a rollback gives the number back.
_NEXT = """
    INSERT INTO billing_document_counters (issuer, document, year, series, last) VALUES (%s, %s, %s, %s, 1)
    ON CONFLICT (issuer, document, year, series) DO UPDATE SET last = billing_document_counters.last + 1
    RETURNING last
"""


def issue_date(now: datetime) -> date:
    """The day of ``now`` where the issuer is."""
    return now.astimezone(ZoneInfo(settings.BILLING_ISSUER["timezone"])).date()


def series_of(organization: Organization) -> str:
    """Empty for the real books; a sandbox numbers under its slug, so that it takes no real number."""
    return organization.slug if organization.is_sandbox else ""


def prefix(*, series: str, year: int, document: str = INVOICE) -> str:
    """``INV-2026-`` or ``CN-2026-``; ``SBX-<slug>-2026-`` or ``CN-SBX-<slug>-2026-`` in a sandbox's series."""
    if document == CREDIT_NOTE:
        return f"CN-SBX-{series}-{year:04d}-" if series else f"CN-{year:04d}-"
    return f"SBX-{series}-{year:04d}-" if series else f"INV-{year:04d}-"


def next_number(*, series: str, year: int, document: str = INVOICE) -> str:
    """Take the next number. Keeps the counter locked until the transaction ends: take it last.

    Raises ``Busy`` if another transaction holds the counter for longer than ``lock_timeout``.
    """
    try:
        with connection.cursor() as cursor:
            cursor.execute(_NEXT, [ISSUER, document, year, series])
            (last,) = cursor.fetchone()
    except OperationalError as error:
        if locks.is_lock_timeout(error):
            raise locks.BooksBusy(
                "Another document is being numbered; try again.", note="billing:error:busy"
            ) from error
        raise
    return f"{prefix(series=series, year=year, document=document)}{last:06d}"
