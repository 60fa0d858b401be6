"""Guardrails: debits that wait for somebody, and use by flag."""

from __future__ import annotations

from typing import Annotated, Literal

from django.http import HttpResponse
from msgspec import Meta

from billing.accounts.actors import Act
from billing.api import pagination
from billing.api.endpoint import Answer, ApiView, Call, endpoint
from billing.api.invoices import CSV, file_of, shape_of
from billing.api.pagination import PageQuery, TimeKey
from billing.api.wire import Instant, Nothing, Request
from billing.kernel import ids
from billing.lifecycle import guardrails as lifecycle_guardrails
from billing.lifecycle.reversal import REASON_LENGTH_MAX
from billing.metering import holding
from billing.models import UsageDebitHold
from billing.reporting import guardrails
from billing.reporting.guardrails import DebitHoldDocument, GuardrailReportDocument

TAG = "guardrails"


class HoldsQuery(PageQuery, frozen=True):
    state: Literal["open", "cleared", "rejected"] | None = None


class Decision(Request, frozen=True):
    """Why: it goes into the audit log."""

    reason: Annotated[str, Meta(min_length=1, max_length=REASON_LENGTH_MAX)]


class ReportQuery(Request, frozen=True, rename={"starts_at": "from", "ends_at": "to"}):
    starts_at: Instant
    ends_at: Instant
    format: Literal["json", "csv"] | None = None


class DebitHolds(ApiView):
    @endpoint("List held debits", responses={200: pagination.page_of(DebitHoldDocument)}, act=Act.READ, tag=TAG)
    def get(self, call: Call[Nothing, HoldsQuery], organization_ref: str) -> Answer:
        """Debits that guardrails hold or held, the last first. `booked_id` names the event that debits it."""
        after = pagination.read_cursor(call.query, TimeKey)
        rows = guardrails.list_holds(
            call.organization(organization_ref, Act.READ),
            state=call.query.state,
            before=(after.at, after.id) if after else None,
            limit=call.query.size + 1,
        )
        page = pagination.page(
            call.request,
            call.query,
            rows,
            show=guardrails.hold_as_dict,
            key=lambda row: TimeKey(row.held_at, row.event_id),
        )
        return Answer(200, page)


class ClearDebit(ApiView):
    @endpoint("Clear a held debit", responses={200: DebitHoldDocument}, act=Act.CREDITS, tag=TAG, problems=(402, 409))
    def post(self, call: Call[Decision, Nothing], organization_ref: str, event_id: str) -> Answer:
        """The debit is made, now: credits that are there, the rest on the first invoice that is not out.

        Once: again gives the first answer. 402 where the plan blocks without credits; 409 if it was rejected.
        """
        organization = call.organization(organization_ref, Act.CREDITS)
        hold = _hold(call, organization_ref, event_id)
        lifecycle_guardrails.clear(
            organization=organization, event_id=hold.event_id, actor=call.actor, reason=call.body.reason, now=call.at
        )
        return Answer(200, guardrails.hold_as_dict(_hold(call, organization_ref, event_id)))


class RejectDebit(ApiView):
    @endpoint("Reject a held debit", responses={200: DebitHoldDocument}, act=Act.CREDITS, tag=TAG, problems=(409,))
    def post(self, call: Call[Decision, Nothing], organization_ref: str, event_id: str) -> Answer:
        """The use is taken back and costs nothing. Once: again gives the first answer. 409 if it was cleared."""
        organization = call.organization(organization_ref, Act.CREDITS)
        hold = _hold(call, organization_ref, event_id)
        lifecycle_guardrails.reject(
            organization=organization, event_id=hold.event_id, actor=call.actor, reason=call.body.reason, now=call.at
        )
        return Answer(200, guardrails.hold_as_dict(_hold(call, organization_ref, event_id)))


class GuardrailReport(ApiView):
    @endpoint(
        "Report use by guardrail flag",
        responses={200: GuardrailReportDocument},
        act=Act.READ,
        tag=TAG,
        media={CSV: "text/csv"},
    )
    def get(self, call: Call[Nothing, ReportQuery], organization_ref: str) -> Answer | HttpResponse:
        """Use that occurred in `[from, to)`. `rows` have each use once, by the flags that it bore together, so they add
        up to `totals`; `by_flag` has it under each of its flags. As CSV (`rows`) with `?format=csv` or `Accept`."""
        organization = call.organization(organization_ref, Act.READ)
        found = guardrails.report(organization, starts_at=call.query.starts_at.value, ends_at=call.query.ends_at.value)
        _, shape = shape_of("", call.query.format, call.request.META.get("HTTP_ACCEPT", ""))
        if shape == "csv":
            name = f"guardrails-{organization.slug}-{found.starts_at:%Y-%m-%d}-{found.ends_at:%Y-%m-%d}"
            return file_of(name, guardrails.as_csv(found), f"{CSV}; charset=utf-8", shape)
        return Answer(200, guardrails.as_dict(found))


def _hold(call: Call[Decision, Nothing], organization_ref: str, event_id: str) -> UsageDebitHold:
    wanted = ids.parse_uuid(event_id)
    if wanted is None:
        raise holding.HoldNotFound("No debit of such an event was held.")
    return holding.get_hold(call.find_organization(organization_ref).id, wanted)
