"""Reading credits that somebody asked for."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from django.db.models import F, Q, QuerySet
from django.db.models.functions import Coalesce

from billing.kernel import ids
from billing.kernel.errors import NotFound
from billing.models import CreditRequest, RequestStatus

LAPSED = "lapsed"
STATES = (*RequestStatus.values, LAPSED)


class RequestNotFound(NotFound):
    """No such request, or none that the caller may know of."""

    def __init__(self) -> None:
        super().__init__("No such credit request.")


def state_of(request: CreditRequest, now: datetime) -> str:
    """One of ``STATES``: a request that nobody decided in time is lapsed."""
    if request.status == RequestStatus.WAITING and request.lapses_at <= now:
        return LAPSED
    return str(request.status)


def in_state(rows: QuerySet[CreditRequest], state: str, now: datetime) -> QuerySet[CreditRequest]:
    """Those in one of ``STATES`` at ``now``, which is real time: a sandbox's own clock replaces it."""
    at = Coalesce(F("organization__clock_at"), now)
    if state == LAPSED:
        return rows.filter(status=RequestStatus.WAITING, lapses_at__lte=at)
    if state == RequestStatus.WAITING:
        return rows.filter(status=RequestStatus.WAITING, lapses_at__gt=at)
    return rows.filter(status=state)


def get_request(reference: str) -> CreditRequest:
    """The request of this id, with organization and subscription. Raises ``RequestNotFound``."""
    wanted = ids.parse_uuid(reference)
    found = None if wanted is None else _requests().filter(id=wanted).first()
    if found is None:
        raise RequestNotFound
    return found


def list_requests(
    *,
    organization_id: UUID | None = None,
    state: str | None = None,
    now: datetime,
    before: tuple[datetime, UUID] | None = None,
    limit: int = 50,
) -> list[CreditRequest]:
    """Of one organization or of all, the last asked for first; ``before`` is the last row of the page before."""
    rows = _requests().order_by("-requested_at", "-id")
    if organization_id is not None:
        rows = rows.filter(organization_id=organization_id)
    if state is not None:
        rows = in_state(rows, state, now)
    if before is not None:
        at, request_id = before
        rows = rows.filter(Q(requested_at__lt=at) | Q(requested_at=at, id__lt=request_id))
    return list(rows[:limit])


def _requests() -> QuerySet[CreditRequest]:
    return CreditRequest.objects.select_related("organization", "subscription")
