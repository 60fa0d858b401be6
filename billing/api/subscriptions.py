"""Subscriptions: the current one, history, provisioning, change of plan, cancellation."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Literal, TypedDict
from uuid import UUID

from msgspec import Meta

from billing.accounts.actors import Act
from billing.api import pagination
from billing.api.endpoint import Answer, ApiView, Call, endpoint
from billing.api.pagination import PageQuery, TimeKey
from billing.api.problems import invalid_field
from billing.api.wire import Id, Instant, Nothing, Request
from billing.infra import client_address
from billing.kernel import ids
from billing.lifecycle import cancel, change_preview, onboard, sla
from billing.models import Subscription
from billing.reporting import representations
from billing.reporting.shapes import InvoiceDocument, PlanReference, SubscriptionDocument
from billing.service import BillingService
from billing.subscriptions import queries as subscriptions_queries

Code = Annotated[str, Meta(min_length=1, max_length=60)]
Version = Annotated[int, Meta(ge=1, le=2_147_483_647)]
_ETAG = re.compile(r'"([0-9a-f-]{36})[.]([1-9][0-9]{0,9})"', re.ASCII)


class AcceptSla(Request, frozen=True):
    version: Annotated[str, Meta(min_length=1, max_length=40)]


class ChangePlan(Request, frozen=True):
    plan_code: Code
    when: Literal["now", "period_end"] | None = None
    subscription_id: Id | None = None
    version: Version | None = None
    currency: Code | None = None
    starts_at: Instant | None = None
    status: Code | None = None
    sla_acceptance: AcceptSla | None = None


class PreviewChange(Request, frozen=True):
    plan_code: Code
    when: Literal["now", "period_end"] | None = None
    version: Version | None = None


class Provision(Request, frozen=True):
    plan_code: Code
    currency: Code | None = None
    starts_at: Instant | None = None
    sla_acceptance: AcceptSla | None = None


class Cancel(Request, frozen=True):
    at_period_end: bool | None = None
    reason: Annotated[str, Meta(max_length=500)] = ""
    version: Version | None = None


class Activate(Request, frozen=True):
    version: Version | None = None


class RunningDocument(TypedDict):
    """The running period's invoice as it would be."""

    without: InvoiceDocument
    with_change: InvoiceDocument


class FollowingDocument(TypedDict):
    """The period after the running one: its invoice without use, and the allowance at its start."""

    starts_at: str
    ends_at: str
    invoice: InvoiceDocument
    credits: str


class ChangePreviewDocument(TypedDict):
    """``due_now`` is the invoice of fees in advance that the change asks for at once; ``credits`` what it adds."""

    plan_before: PlanReference
    plan: PlanReference
    when: str
    takes_effect_at: str
    status: str
    # Of the subscription that was looked at: send it along to change just that.
    version: int
    due_now: InvoiceDocument | None
    running_period: RunningDocument | None
    credits: str
    next_period: FollowingDocument | None


class CurrentSubscription(ApiView):
    @endpoint(
        "Read the current subscription",
        responses={200: SubscriptionDocument},
        act=Act.READ,
        tag="subscriptions",
        problems=(404,),
    )
    def get(self, call: Call[Nothing, Nothing], organization_ref: str) -> Answer:
        """The organization's live subscription with the period it is in, whatever its status; 404 if there is none.

        ``ETag`` names the subscription and its version: send it back as ``If-Match`` to change what was read.
        """
        organization = call.organization(organization_ref, Act.READ)
        subscription = subscriptions_queries.find_live(organization)
        if subscription is None:
            raise subscriptions_queries.SubscriptionNotFound("There is no live subscription.")
        return answer(call, subscription)

    @endpoint(
        "Subscribe or change plan",
        responses={200: SubscriptionDocument},
        act=Act.SUBSCRIBE,
        idempotent=True,
        tag="subscriptions",
        problems=(402, 409),
    )
    def post(self, call: Call[ChangePlan, Nothing], organization_ref: str) -> Answer:
        """Onboards an organization without a live subscription, else changes its plan.

        Without ``when``, a customer's change to a cheaper plan, or to one that bills by other periods, waits for the
        period's end, and any other is made now.

        ``If-Match``, or ``subscription_id`` and ``version``, say what is believed current: stale is 409 and changes
        nothing. ``status``, ``starts_at`` and plans that are not on sale are for operators.

        ``sla_acceptance`` keeps that the plan's terms were accepted: by whom, when and from where. A version that the
        plan no longer has is 409 ``sla_version_stale``.
        """
        body = call.body
        organization = call.organization(organization_ref, Act.SUBSCRIBE)
        if body.status is not None or body.starts_at is not None:
            call.require(Act.SUBSCRIPTIONS, organization)
        expected_id, expected_version = _expected(call)
        subscription = BillingService.upsert_subscription(
            organization,
            body.plan_code,
            actor=call.actor,
            expected_subscription_id=expected_id,
            expected_version=expected_version,
            currency=body.currency,
            starts_at=body.starts_at.value if body.starts_at else None,
            status=body.status,
            at_period_end=None if body.when is None else body.when == "period_end",
            accepted=_accepted(call, body.sla_acceptance),
            now=call.now(organization),
        )
        return answer(call, subscription)


class Subscriptions(ApiView):
    @endpoint(
        "List subscriptions",
        responses={200: pagination.page_of(SubscriptionDocument)},
        act=Act.READ,
        tag="subscriptions",
    )
    def get(self, call: Call[Nothing, PageQuery], organization_ref: str) -> Answer:
        """All subscriptions the organization ever had, newest first."""
        organization = call.organization(organization_ref, Act.READ)
        after = pagination.read_cursor(call.query, TimeKey)
        rows = subscriptions_queries.list_history(
            organization, before=(after.at, after.id) if after else None, limit=call.query.size + 1
        )
        now = call.now(organization)
        periods = subscriptions_queries.find_periods(rows, now)
        return Answer(
            200,
            pagination.page(
                call.request,
                call.query,
                rows,
                show=lambda row: representations.subscription(row, periods.get(row.id)),
                key=lambda row: TimeKey(row.created_at, row.id),
            ),
        )

    @endpoint(
        "Provision a subscription",
        responses={201: SubscriptionDocument},
        act=Act.SUBSCRIBE,
        idempotent=True,
        tag="subscriptions",
        problems=(402, 409),
    )
    def post(self, call: Call[Provision, Nothing], organization_ref: str) -> Answer:
        """A new subscription with its first credits. 409 if a live one of the product exists.

        ``sla_acceptance`` is kept as at the change of plan.
        """
        body = call.body
        organization = call.organization(organization_ref, Act.SUBSCRIBE)
        if body.starts_at is not None:
            call.require(Act.SUBSCRIPTIONS, organization)
        subscription = onboard.subscribe(
            organization=organization,
            plan_code=body.plan_code,
            actor=call.actor,
            now=call.now(organization),
            currency=body.currency,
            starts_at=body.starts_at.value if body.starts_at else None,
            accepted=_accepted(call, body.sla_acceptance),
        )
        return answer(call, subscription, status=201)


class SubscriptionDetail(ApiView):
    @endpoint("Read a subscription", responses={200: SubscriptionDocument}, act=Act.READ, tag="subscriptions")
    def get(self, call: Call[Nothing, Nothing], subscription_id: str) -> Answer:
        return answer(call, call.subscription(subscription_id, Act.READ))


class PreviewChangeOfPlan(ApiView):
    @endpoint(
        "Preview a change of plan",
        responses={200: ChangePreviewDocument},
        act=Act.SUBSCRIBE,
        tag="subscriptions",
        problems=(402, 409),
    )
    def post(self, call: Call[PreviewChange, Nothing], subscription_id: str) -> Answer:
        """What a change would cost today and in the next period, and what it would do to the credits. Writes nothing.

        The change itself is rehearsed and taken back, so the two agree, and it is refused as the change would be.
        ``when`` is decided as there.
        """
        found = call.subscription(subscription_id, Act.SUBSCRIBE)
        preview = change_preview.preview_change(
            subscription=found,
            plan_code=call.body.plan_code,
            actor=call.actor,
            now=call.now(found.organization),
            at_period_end=None if call.body.when is None else call.body.when == "period_end",
            expected_version=expected_of(call, found, call.body.version),
        )
        return Answer(200, change_preview.as_dict(preview))


class CancelSubscription(ApiView):
    @endpoint(
        "Cancel",
        responses={200: SubscriptionDocument},
        act=Act.SUBSCRIBE,
        idempotent=True,
        tag="subscriptions",
        problems=(409,),
    )
    def post(self, call: Call[Cancel, Nothing], subscription_id: str) -> Answer:
        """Ends the subscription at once, or when its period ends. What was bought comes along if they return.

        Without ``at_period_end`` a customer's end of a paid plan waits for the period's end, and any other comes at
        once. A customer who asks for such an end at once is refused: ``cancel_waits``.
        """
        found = call.subscription(subscription_id, Act.SUBSCRIBE)
        subscription = cancel.cancel(
            subscription=found,
            actor=call.actor,
            now=call.now(found.organization),
            at_period_end=call.body.at_period_end,
            reason=call.body.reason,
            expected_version=expected_of(call, found, call.body.version),
        )
        return answer(call, subscription)


class ActivateSubscription(ApiView):
    @endpoint(
        "Confirm an incomplete subscription",
        responses={200: SubscriptionDocument},
        act=Act.SUBSCRIPTIONS,
        idempotent=True,
        tag="subscriptions",
        problems=(409,),
    )
    def post(self, call: Call[Activate, Nothing], subscription_id: str) -> Answer:
        """For operators: the service that was signed up for begins now, with its first credits."""
        found = call.subscription(subscription_id, Act.SUBSCRIPTIONS)
        subscription = onboard.activate(
            subscription=found,
            actor=call.actor,
            now=call.now(found.organization),
            expected_version=expected_of(call, found, call.body.version),
        )
        return answer(call, subscription)


def answer(call: Call[object, object], subscription: Subscription, *, status: int = 200) -> Answer:
    organization = subscription.organization
    period = subscriptions_queries.find_period(subscription, call.now(organization))
    return Answer(status, representations.subscription(subscription, period), headers=_etag(subscription))


def _accepted(call: Call[object, object], accepted: AcceptSla | None) -> sla.Acceptance | None:
    return None if accepted is None else sla.Acceptance(accepted.version, client_address.of(call.request.META))


def _etag(subscription: Subscription) -> Mapping[str, str]:
    return {"ETag": f'"{subscription.id}.{subscription.version}"'}


def _expected(call: Call[ChangePlan, Nothing]) -> tuple[UUID | None, int | None]:
    """What the caller believes current, from the body or ``If-Match``; the two may not contradict each other."""
    body = call.body
    if body.version is not None and body.subscription_id is None:
        raise invalid_field("subscription_id", "missing", "is needed with version")
    named = body.subscription_id.value if body.subscription_id else None
    tagged = _if_match(call)
    if tagged is None:
        return named, body.version
    if (named, body.version) not in ((None, None), tagged, (tagged[0], None)):
        raise invalid_field("If-Match", "contradiction", "names another subscription or version than the body")
    return tagged


def expected_of(call: Call[object, object], subscription: Subscription, version: int | None) -> int | None:
    tagged = _if_match(call)
    if tagged is None:
        return version
    if tagged[0] != subscription.id or version not in (None, tagged[1]):
        raise invalid_field("If-Match", "contradiction", "names another subscription or version than the request")
    return tagged[1]


def _if_match(call: Call[object, object]) -> tuple[UUID, int] | None:
    header = call.request.META.get("HTTP_IF_MATCH")
    if header is None or header.strip() == "*":
        return None
    match = _ETAG.fullmatch(header.strip().removeprefix("W/"))
    subscription_id = ids.parse_uuid(match[1]) if match else None
    if match is None or subscription_id is None:
        raise invalid_field("If-Match", "invalid", "is not an ETag of a subscription")
    return subscription_id, int(match[2])
