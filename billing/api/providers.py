"""Payment providers: their deliveries, their pages, and the inbox for operators."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypedDict

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils import timezone
from msgspec import Meta

from billing import tasks
from billing.accounts.actors import Act
from billing.api import body, endpoint, pagination, throttle
from billing.api.endpoint import Answer, ApiView, Call
from billing.api.pagination import PageQuery, TimeKey
from billing.api.problems import Refused
from billing.api.wire import Nothing, Request
from billing.models import ProviderInboxEvent
from billing.payments import documents, inbox, links
from billing.payments.documents import ProviderEventDetailDocument, ProviderEventDocument
from billing.payments.protocol import SignatureInvalid

TAG = "providers"
# Deliveries with a wrong signature that one address may send in a minute before it is told to stop.
INVALID_MAX = 60
Url = Annotated[str, Meta(min_length=1, max_length=links.RETURN_URL_LENGTH_MAX)]
Reason = Annotated[str, Meta(min_length=1, max_length=inbox.REASON_LENGTH_MAX)]


class ReturnTo(Request, frozen=True):
    """Where the provider's page leads back to: an address, or a path of this site."""

    return_url: Url = "/dashboard/"


class Replay(Request, frozen=True):
    reason: Reason


class EventsQuery(PageQuery, frozen=True):
    provider: Annotated[str, Meta(max_length=40)] | None = None
    status: Literal["waiting", "applied", "ignored", "parked"] | None = None


class ReceivedDocument(TypedDict):
    """``is_duplicate``: the event was here before; either way it need not be sent again."""

    received: bool
    is_duplicate: bool


class LinkDocument(TypedDict):
    url: str


class ProviderWebhook(ApiView):
    @endpoint.endpoint(
        "Deliver a provider's event",
        responses={200: ReceivedDocument},
        public=True,
        tag=TAG,
        problems=(404, 429),
        bodies={body.JSON: (dict[str, Any],)},
    )
    def post(self, call: Call[Nothing, Nothing], provider: str) -> Answer:
        """For providers: signed as each signs (`Stripe-Signature`), at most 256,000 bytes. The event is stored once
        and answered at once; what it means is worked out by a worker. 400 for whatever does not prove that the
        provider sent it within the last five minutes."""
        raw = body.read(call.request)
        if len(raw) > inbox.BODY_BYTES_MAX:
            raise Refused(413, "too_large", f"An event has at most {inbox.BODY_BYTES_MAX} bytes.")
        headers = {name.lower(): value for name, value in call.request.headers.items()}
        try:
            stored = inbox.receive(provider=provider, body=raw, headers=headers, now=call.at)
        except SignatureInvalid as error:
            throttle.count_failure(call.request, "provider-webhook", limit=INVALID_MAX)
            raise Refused(400, "signature_invalid", str(error)) from error
        if stored is not None:
            tasks.send(tasks.process_provider_event, str(stored))
        return Answer(200, {"received": True, "is_duplicate": stored is None})

    def _answer(self, request: HttpRequest, path: dict[str, Any]) -> HttpResponseBase:
        """The frame without credentials and without reading the body as ours: what is signed is its bytes."""
        if request.method != "POST":
            return super()._answer(request, path)
        return endpoint.render(
            self.post(Call(request, endpoint.NO_CALLER, timezone.now(), Nothing(), Nothing()), **path)
        )


class Portal(ApiView):
    @endpoint.endpoint(
        "Link to the payment portal",
        responses={200: LinkDocument},
        act=Act.SUBSCRIBE,
        tag=TAG,
        problems=(409, 502),
    )
    def post(self, call: Call[ReturnTo, Nothing], organization_ref: str) -> Answer:
        """Where the organization manages its means of payment. The link works for a short time."""
        url = links.portal(
            organization=call.organization(organization_ref, Act.SUBSCRIBE),
            return_url=return_address(call.request, call.body.return_url),
            actor=call.actor,
            now=call.at,
        )
        return Answer(200, {"url": call.request.build_absolute_uri(url)})


class Checkout(ApiView):
    @endpoint.endpoint(
        "Link to confirm a sign-up",
        responses={200: LinkDocument},
        act=Act.SUBSCRIBE,
        tag=TAG,
        problems=(409, 502),
    )
    def post(self, call: Call[ReturnTo, Nothing], subscription_id: str) -> Answer:
        """Where the customer pays for an incomplete subscription, or for a trial that is not paid for yet, or puts a
        means of payment on file before a free plan is left for one that costs. It counts once the provider has told.
        """
        url = links.checkout(
            subscription=call.subscription(subscription_id, Act.SUBSCRIBE),
            return_url=return_address(call.request, call.body.return_url),
            actor=call.actor,
            now=call.at,
        )
        return Answer(200, {"url": call.request.build_absolute_uri(url)})


class ProviderEvents(ApiView):
    @endpoint.endpoint(
        "List providers' events",
        responses={200: pagination.page_of(ProviderEventDocument)},
        act=Act.PROVIDERS,
        tag=TAG,
    )
    def get(self, call: Call[Nothing, EventsQuery]) -> Answer:
        """Last received first; `status=parked` are those that somebody has to look at."""
        call.require(Act.PROVIDERS, None)
        after = pagination.read_cursor(call.query, TimeKey)
        rows = inbox.list_events(
            provider=call.query.provider,
            status=call.query.status,
            before_id=after.id if after else None,
            limit=call.query.size + 1,
        )
        return Answer(
            200,
            pagination.page(
                call.request, call.query, rows, show=documents.event, key=lambda row: TimeKey(row.received_at, row.id)
            ),
        )


class ProviderEventDetail(ApiView):
    @endpoint.endpoint(
        "Read a provider's event", responses={200: ProviderEventDetailDocument}, act=Act.PROVIDERS, tag=TAG
    )
    def get(self, call: Call[Nothing, Nothing], event_reference: str) -> Answer:
        """With what the provider sent, which is kept for 90 days after it was dealt with."""
        return Answer(200, documents.event_detail(_find(call, event_reference)))


class ReplayProviderEvent(ApiView):
    @endpoint.endpoint(
        "Replay a provider's event",
        responses={202: ProviderEventDocument},
        act=Act.PROVIDERS,
        tag=TAG,
        problems=(409,),
    )
    def post(self, call: Call[Replay, Nothing], event_reference: str) -> Answer:
        """Tries it again with all tries ahead. Applying an event again changes nothing that is applied already."""
        found = _find(call, event_reference)
        replayed = inbox.replay(event=found, actor=call.actor, reason=call.body.reason, now=call.at)
        tasks.send(tasks.process_provider_event, str(replayed.id))
        return Answer(202, documents.event(replayed))


def return_address(request: HttpRequest, return_url: str) -> str:
    """Where ``return_url`` leads to, seen from here. Raises ``ReturnUrlInvalid`` for what is no address at all."""
    try:
        return request.build_absolute_uri(return_url)
    except ValueError:
        raise links.no_address() from None


def _find(call: Call[Any, Any], reference: str) -> ProviderInboxEvent:
    call.require(Act.PROVIDERS, None)
    return inbox.get_event(reference)
