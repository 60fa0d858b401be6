"""Recording use: one event, a batch, or CloudEvents 1.0."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Annotated, Any, Literal, NamedTuple, TypedDict
from uuid import uuid4
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Meta

from billing.accounts import actors
from billing.accounts import queries as accounts_queries
from billing.accounts.actors import Act
from billing.api import body, wire
from billing.api.endpoint import Answer, ApiView, Call, endpoint
from billing.api.problems import FieldError, Refused, invalid_field
from billing.api.wire import Day, Instant, Nothing, Quantity, Request
from billing.infra import idempotency
from billing.kernel.guardrails import FLAGS_MAX
from billing.metering import days, flagging
from billing.metering import queries as metering_queries
from billing.metering.flagging import Guardrail
from billing.metering.offers import Offer, Outcome
from billing.models import Organization
from billing.reporting import representations
from billing.reporting.shapes import CounterDocument, UsageDayDocument, UsageOutcomeDocument
from billing.service import BillingService

BATCH_MAX = 1000
KEY_LENGTH_MAX = 200
CLOUD_EVENT = "application/cloudevents+json"
CLOUD_EVENTS = "application/cloudevents-batch+json"

Reference = Annotated[str, Meta(min_length=1, max_length=120)]
Code = Annotated[str, Meta(min_length=1, max_length=60)]
Key = Annotated[str, Meta(min_length=1, max_length=KEY_LENGTH_MAX)]
Flags = Annotated[list[Code], Meta(max_length=FLAGS_MAX)]
Guardrails = Annotated[list[Guardrail], Meta(max_length=FLAGS_MAX)]


class UsageItem(Request, frozen=True):
    """One use of a meter. ``idempotency_key`` names the event within ``source``, for ever."""

    meter: Code
    quantity: Quantity
    organization: Reference | None = None
    idempotency_key: Key | None = None
    source: Key = "api"
    occurred_at: Instant | None = None
    service: Annotated[str, Meta(max_length=60)] = ""
    guardrail_flags: Flags = []
    guardrails: Guardrails = []
    payload: dict[str, Any] | None = None


class UsageBatch(Request, frozen=True):
    """Up to 1,000 events; ``organization`` stands for those that name none."""

    events: Annotated[list[UsageItem], Meta(min_length=1, max_length=BATCH_MAX)]
    organization: Reference | None = None


class CloudEventData(Request, frozen=True):
    quantity: Quantity
    service: Annotated[str, Meta(max_length=60)] = ""
    guardrail_flags: Flags = []
    guardrails: Guardrails = []
    payload: dict[str, Any] | None = None


class CloudEvent(msgspec.Struct, frozen=True):
    """CloudEvents 1.0 in JSON: ``type`` is the meter, ``source`` and ``id`` the identity. Extensions are ignored.

    For a platform key ``subject`` names the organization; a key of an organization implies it.
    """

    specversion: Literal["1.0"]
    id: Key
    source: Key
    type: Code
    data: CloudEventData
    subject: Annotated[str, Meta(max_length=200)] | None = None
    time: Instant | None = None


CloudEventBatch = Annotated[list[CloudEvent], Meta(max_length=BATCH_MAX)]
UsageRequest = UsageItem | UsageBatch | CloudEvent | list[CloudEvent]


class BatchDocument(TypedDict):
    results: list[UsageOutcomeDocument]


class CountersDocument(TypedDict):
    results: list[CounterDocument]


class _Item(NamedTuple):
    """One event of a request, however it was written. ``path`` is where errors say it stands."""

    path: str
    reference: str | None
    reference_field: str
    meter: str
    quantity: Quantity
    source: str
    key: str | None
    occurred_at: Instant | None
    service: str
    guardrail_flags: Sequence[str]
    payload: dict[str, Any] | None


def _choose(media_type: str, document: Any) -> Any:
    if media_type == CLOUD_EVENT:
        return CloudEvent
    if media_type == CLOUD_EVENTS:
        return CloudEventBatch
    return UsageBatch if isinstance(document, dict) and "events" in document else UsageItem


class Usage(ApiView):
    @endpoint(
        "Record usage",
        responses={201: UsageOutcomeDocument, 200: (UsageOutcomeDocument, BatchDocument)},
        act=Act.USAGE,
        tag="usage",
        problems=(402, 409),
        bodies={
            body.JSON: (UsageItem, UsageBatch),
            CLOUD_EVENT: (CloudEvent,),
            CLOUD_EVENTS: (CloudEventBatch,),
        },
        choose=_choose,
    )
    def post(self, call: Call[UsageRequest, Nothing]) -> Answer:
        """One event: 201 counted, 200 counted before, 402 refused, 409 the key stands for another event, 422 not valid.

        Several: 200 with a status and code for each, in order; a refused one does not stop the others. An event's key
        is its ``idempotency_key``, or the header ``Idempotency-Key`` (in a batch with ``:<index>`` added), or made.
        """
        items = _items(call.body)
        is_single = isinstance(call.body, UsageItem | CloudEvent)
        organizations = _organizations(call, items)
        outcomes = BillingService.record_usage(
            [
                _offer(item, organization, _key(call, item, index, is_single=is_single))
                for index, (item, organization) in enumerate(zip(items, organizations, strict=True))
            ],
            now=call.at,
        )
        if is_single:
            return _single(outcomes[0])
        return Answer(200, {"results": [representations.usage_outcome(outcome) for outcome in outcomes]})


class UsageCounters(ApiView):
    @endpoint("Read usage counters", responses={200: CountersDocument}, act=Act.READ, tag="usage")
    def get(self, call: Call[Nothing, Nothing], organization_ref: str) -> Answer:
        """For each meter that was used: the total, and the calendar month's in the organization's zone."""
        organization = call.organization(organization_ref, Act.READ)
        counters = metering_queries.list_counters(organization, now=call.at)
        return Answer(200, {"results": [representations.counter(each) for each in counters]})


class DaysQuery(Request, frozen=True, rename={"since": "from", "until": "to"}):
    since: Day | None = None
    until: Day | None = None
    meter: Code | None = None


# ``from`` is no name that Python would take in a class.
UsageDaysDocument = TypedDict(
    "UsageDaysDocument", {"zone": str, "from": str, "to": str, "results": list[UsageDayDocument]}
)


class UsageDays(ApiView):
    @endpoint("Read use by day", responses={200: UsageDaysDocument}, act=Act.READ, tag="usage", problems=(422,))
    def get(self, call: Call[Nothing, DaysQuery], organization_ref: str) -> Answer:
        """Use on each day of `[from, to)`, in the organization's zone, by meter and day; days without use are left out.
        By default from the first of this month to the end of today; at most 366 days."""
        organization = call.organization(organization_ref, Act.READ)
        today = call.now(organization).astimezone(ZoneInfo(organization.zone)).date()
        since = call.query.since.value if call.query.since else today.replace(day=1)
        until = call.query.until.value if call.query.until else today + timedelta(days=1)
        found = days.list_days(organization, since=since, until=until, meter=call.query.meter)
        document: UsageDaysDocument = {
            "zone": organization.zone,
            "from": since.isoformat(),
            "to": until.isoformat(),
            "results": [representations.usage_day(each) for each in found],
        }
        return Answer(200, document)


def _items(request: UsageRequest) -> list[_Item]:
    if isinstance(request, UsageItem):
        return [_plain(request, "", request.organization, "organization")]
    if isinstance(request, UsageBatch):
        return [
            _plain(item, f"events[{index}].", item.organization, f"events[{index}].organization")
            if item.organization is not None
            else _plain(item, f"events[{index}].", request.organization, "organization")
            for index, item in enumerate(request.events)
        ]
    if isinstance(request, CloudEvent):
        return [_cloud(request, "")]
    return [_cloud(event, f"[{index}].") for index, event in enumerate(request)]


def _plain(item: UsageItem, path: str, reference: str | None, reference_field: str) -> _Item:
    return _Item(
        path=path,
        reference=reference,
        reference_field=reference_field,
        meter=item.meter,
        quantity=item.quantity,
        source=item.source,
        key=item.idempotency_key,
        occurred_at=item.occurred_at,
        service=item.service,
        **_annotated(item, path),
    )


def _cloud(event: CloudEvent, path: str) -> _Item:
    return _Item(
        path=path,
        reference=event.subject,
        reference_field=f"{path}subject",
        meter=event.type,
        quantity=event.data.quantity,
        source=event.source,
        key=event.id,
        occurred_at=event.time,
        service=event.data.service,
        **_annotated(event.data, f"{path}data."),
    )


class _Annotated(TypedDict):
    guardrail_flags: Sequence[str]
    payload: dict[str, Any] | None


def _annotated(item: UsageItem | CloudEventData, path: str) -> _Annotated:
    """The flags by themselves and those of annotations, which are kept in the payload beside what else is in it."""
    payload = wire.free_form(item.payload, f"{path}payload")
    if not item.guardrails:
        return {"guardrail_flags": item.guardrail_flags, "payload": payload}
    raised = flagging.read(item.guardrails, path=f"{path}guardrails")
    if payload is not None and flagging.PAYLOAD_KEY in payload:
        raise invalid_field(
            f"{path}payload.guardrails", "contradiction", "is where guardrails are kept: give one of them"
        )
    flags = {*item.guardrail_flags, *flagging.flags_of(raised)}
    if len(flags) > FLAGS_MAX:
        raise invalid_field(f"{path}guardrails", "too_long", f"are more than {FLAGS_MAX} flags together")
    return {"guardrail_flags": sorted(flags), "payload": (payload or {}) | (flagging.payload_of(raised) or {})}


def _organizations(call: Call[UsageRequest, Nothing], items: Sequence[_Item]) -> list[Organization]:
    """The organization of each item, all of them the caller's to record for, before anything is written."""
    own = call.caller.organization
    if own is not None:
        is_cloud = not isinstance(call.body, UsageItem | UsageBatch)
        for item in items:
            # A CloudEvent's subject may be anything of the caller's own; a body's organization means just that.
            if item.reference is not None and not is_cloud and not accounts_queries.is_named(own, item.reference):
                raise actors.no_organization()
        call.require(Act.USAGE, own)
        return [own] * len(items)
    for item in items:
        if item.reference is None:
            raise invalid_field(item.reference_field, "missing", "is missing: this key could mean any organization")
    found = accounts_queries.find_organizations({item.reference for item in items if item.reference is not None})
    organizations = []
    for item in items:
        organization = found.get(item.reference or "")
        if organization is None:
            raise actors.no_organization()
        organizations.append(organization)
    for organization in {each.id: each for each in organizations}.values():
        call.require(Act.USAGE, organization)
    return organizations


def _key(call: Call[UsageRequest, Nothing], item: _Item, index: int, *, is_single: bool) -> str:
    """The event's key: its own, or made from the header, which names the request; or a fresh one."""
    if item.key is not None:
        return item.key
    header = call.idempotency_key
    if header is None:
        return str(uuid4())
    key = header if is_single else f"{header}:{index}"
    if len(key) > KEY_LENGTH_MAX:
        raise invalid_field(idempotency.HEADER, "too_long", f"is too long to name {index + 1} events")
    return key


def _offer(item: _Item, organization: Organization, key: str) -> Offer:
    return Offer(
        organization=organization,
        meter=item.meter,
        quantity=item.quantity.value,
        key=key,
        source=item.source,
        occurred_at=item.occurred_at.value if item.occurred_at else None,
        service=item.service,
        guardrail_flags=tuple(item.guardrail_flags),
        payload=item.payload,
    )


# Refusals of the event itself, whatever the plan; the others are the plan's, and answered 402.
_FIELD_BY_CODE = {
    "meter_undeclared": "meter",
    "quantity_invalid": "quantity",
    "occurred_at_too_old": "occurred_at",
    "occurred_at_in_future": "occurred_at",
}


def _single(outcome: Outcome) -> Answer:
    if outcome.status == "conflict":
        raise Refused(409, outcome.code, outcome.message, notes=outcome.notes)
    if outcome.status == "refused":
        field = _FIELD_BY_CODE.get(outcome.code)
        errors = [FieldError(field, outcome.code, outcome.message)] if field else []
        raise Refused(422 if field else 402, outcome.code, outcome.message, errors=errors, notes=outcome.notes)
    return Answer(201 if outcome.status == "accepted" else 200, representations.usage_outcome(outcome))
