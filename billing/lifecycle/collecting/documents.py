"""Plain dictionaries of dunnings: the same over the API and with ``--json``."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TypedDict

from billing.invoicing import settlement
from billing.kernel.money import format_minor
from billing.models import ChargeAttempt, Collection


class ChargeAttemptDocument(TypedDict):
    """``step`` is null where a person asked for it; ``reference`` is the provider's name for the charge."""

    id: str
    step: int | None
    provider: str
    amount: str
    status: str
    reference: str
    code: str
    message: str
    asked: int
    started_at: str
    ask_at: str | None
    finished_at: str | None


class DunningDocument(TypedDict):
    """``step`` steps of the schedule are behind it, the next is at ``next_at``. The subscription is past due because of
    it from ``past_due_at`` to ``lifted_at``."""

    id: str
    organization: str
    subscription: str
    invoice: str
    invoice_number: str | None
    invoice_status: str
    due: str
    currency: str
    method: str
    started_at: str
    dunning_at: str | None
    step: int
    next_at: str | None
    grace_ends_at: str | None
    past_due_at: str | None
    lifted_at: str | None
    cancels_at: str | None
    closed_at: str | None
    closed_because: str
    attempts: list[ChargeAttemptDocument]


def dunning(row: Collection) -> DunningDocument:
    """As ``queries.with_all`` loads it."""
    return {
        "id": str(row.id),
        "organization": str(row.organization_id),
        "subscription": str(row.subscription_id),
        "invoice": str(row.invoice_id),
        "invoice_number": row.invoice.number,
        "invoice_status": row.invoice.status,
        "due": format_minor(settlement.due_minor(row.invoice), row.invoice.currency),
        "currency": row.invoice.currency,
        "method": row.method,
        "started_at": _instant(row.started_at) or "",
        "dunning_at": _instant(row.dunning_at),
        "step": row.step,
        "next_at": _instant(row.next_at),
        "grace_ends_at": _instant(row.grace_ends_at),
        "past_due_at": _instant(row.past_due_at),
        "lifted_at": _instant(row.lifted_at),
        "cancels_at": _instant(row.cancels_at),
        "closed_at": _instant(row.closed_at),
        "closed_because": row.closed_because,
        "attempts": [_attempt(each, row.invoice.currency) for each in row.attempts.all()],
    }


def _attempt(row: ChargeAttempt, currency: str) -> ChargeAttemptDocument:
    return {
        "id": str(row.id),
        "step": row.step,
        "provider": row.provider,
        "amount": format_minor(row.amount_minor, currency),
        "status": row.status,
        "reference": row.reference,
        "code": row.code,
        "message": row.message,
        "asked": row.asked,
        "started_at": _instant(row.started_at) or "",
        "ask_at": _instant(row.ask_at),
        "finished_at": _instant(row.finished_at),
    }


def _instant(at: datetime | None) -> str | None:
    return None if at is None else at.astimezone(UTC).isoformat().replace("+00:00", "Z")
