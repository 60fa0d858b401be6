"""The document of credits that wait for a second person."""

from __future__ import annotations

from datetime import datetime
from typing import TypedDict

from billing.credits import requests
from billing.kernel.decimals import plain
from billing.models import CreditRequest
from billing.reporting.representations import instant


class CreditRequestDocument(TypedDict):
    """Credits asked for by one hand. ``state``: waiting, approved, rejected or lapsed."""

    id: str
    organization: str
    subscription: str
    credits: str
    kind: str
    expires_at: str | None
    reason: str
    state: str
    requested_by: str
    requested_at: str
    lapses_at: str
    decided_by: str | None
    decided_at: str | None
    decision: str


def credit_request(request: CreditRequest, now: datetime) -> CreditRequestDocument:
    """``now`` is the organization's: it tells whether the request still waits."""
    return {
        "id": str(request.id),
        "organization": str(request.organization_id),
        "subscription": str(request.subscription_id),
        "credits": plain(request.credits),
        "kind": request.kind,
        "expires_at": instant(request.expires_at) if request.expires_at else None,
        "reason": request.reason,
        "state": requests.state_of(request, now),
        "requested_by": request.requested_by,
        "requested_at": instant(request.requested_at),
        "lapses_at": instant(request.lapses_at),
        "decided_by": request.decided_by or None,
        "decided_at": instant(request.decided_at) if request.decided_at else None,
        "decision": request.decision,
    }
