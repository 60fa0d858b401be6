"""Credits that wait for a second person."""

from __future__ import annotations

from typing import Any, Literal, TypedDict

from billing.accounts import actors
from billing.accounts.actors import Act
from billing.api import pagination
from billing.api.endpoint import Answer, ApiView, Call, endpoint
from billing.api.pagination import PageQuery, TimeKey
from billing.api.settlement import Why
from billing.api.wire import Nothing
from billing.credits import requests
from billing.lifecycle import approving
from billing.models import CreditRequest, Organization
from billing.reporting import approvals, representations
from billing.reporting.approvals import CreditRequestDocument
from billing.reporting.shapes import EntryDocument

TAG = "credits"


class RequestsQuery(PageQuery, frozen=True):
    state: Literal["waiting", "approved", "rejected", "lapsed"] | None = None


class ApprovedDocument(TypedDict):
    """The request, and the ledger entries that it made."""

    request: CreditRequestDocument
    results: list[EntryDocument]


class AllCreditRequests(ApiView):
    @endpoint(
        "List everybody's credit requests",
        responses={200: pagination.page_of(CreditRequestDocument)},
        act=Act.CREDITS,
        tag=TAG,
    )
    def get(self, call: Call[Nothing, RequestsQuery]) -> Answer:
        """For platform keys; the last asked for first."""
        call.require(Act.CREDITS, None)
        return _page(call, None)


class CreditRequests(ApiView):
    @endpoint(
        "List credit requests",
        responses={200: pagination.page_of(CreditRequestDocument)},
        act=Act.CREDITS,
        tag=TAG,
    )
    def get(self, call: Call[Nothing, RequestsQuery], organization_ref: str) -> Answer:
        """Of one organization, the last asked for first."""
        return _page(call, call.organization(organization_ref, Act.CREDITS))


class CreditRequestDetail(ApiView):
    @endpoint("Read a credit request", responses={200: CreditRequestDocument}, act=Act.CREDITS, tag=TAG)
    def get(self, call: Call[Nothing, Nothing], request_id: str) -> Answer:
        return Answer(200, _document(call, _find(call, request_id)))


class ApproveCredits(ApiView):
    @endpoint(
        "Approve a credit request",
        responses={201: ApprovedDocument},
        act=Act.CREDITS,
        idempotent=True,
        tag=TAG,
        problems=(402, 409),
    )
    def post(self, call: Call[Nothing, Nothing], request_id: str) -> Answer:
        """Books it, once. 403 (`second_person_needed`) for whoever asked and for keys that they made; 409 where it is
        decided or has lapsed."""
        found = _find(call, request_id)
        approved = approving.approve(request=found, actor=call.actor, now=call.now(found.organization))
        return Answer(
            201,
            {
                "request": _document(call, approved.request or found),
                "results": [representations.entry(entry) for entry in approved.entries],
            },
        )


class RejectCredits(ApiView):
    @endpoint(
        "Reject a credit request",
        responses={200: CreditRequestDocument},
        act=Act.CREDITS,
        idempotent=True,
        tag=TAG,
        problems=(409,),
    )
    def post(self, call: Call[Why, Nothing], request_id: str) -> Answer:
        """Nothing is booked; whoever asked takes it back so. 409 where it is decided or has lapsed."""
        found = _find(call, request_id)
        rejected = approving.reject(
            request=found, actor=call.actor, reason=call.body.reason, now=call.now(found.organization)
        )
        return Answer(200, _document(call, rejected))


def _page(call: Call[Nothing, RequestsQuery], organization: Organization | None) -> Answer:
    after = pagination.read_cursor(call.query, TimeKey)
    rows = requests.list_requests(
        organization_id=None if organization is None else organization.id,
        state=call.query.state,
        now=call.at,
        before=(after.at, after.id) if after else None,
        limit=call.query.size + 1,
    )
    return Answer(
        200,
        pagination.page(
            call.request,
            call.query,
            rows,
            show=lambda row: _document(call, row),
            key=lambda row: TimeKey(row.requested_at, row.id),
        ),
    )


def _find(call: Call[Any, Any], request_id: str) -> CreditRequest:
    found = requests.get_request(request_id)
    if not actors.is_visible(call.actor, found.organization):
        raise requests.RequestNotFound
    call.require(Act.CREDITS, found.organization)
    return found


def _document(call: Call[Any, Any], request: CreditRequest) -> CreditRequestDocument:
    return approvals.credit_request(request, call.now(request.organization))
