"""The frame of every call: who calls, what is said, one handler, its answer.

A handler is annotated with ``Call[Body, Query]``; the two structs are what is validated and what is documented. The
frame is Django REST framework's ``APIView`` by name and by its OpenAPI tools, but does without its request, parser,
negotiation and renderer objects, which cost more than the rest of a request.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar, Generic, TypeVar, get_args, get_type_hints

import msgspec
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils import timezone
from rest_framework.views import APIView

from billing.accounts import actors
from billing.accounts import queries as accounts_queries
from billing.accounts.actors import Act, Actor
from billing.api import authentication, body, errors, throttle, wire
from billing.api.authentication import Caller
from billing.api.problems import Refused
from billing.infra import idempotency, logs
from billing.infra.idempotency import Kept
from billing.kernel import ids
from billing.models import Organization, Subscription
from billing.subscriptions import queries as subscriptions_queries

BodyT_co = TypeVar("BodyT_co", covariant=True)
QueryT_co = TypeVar("QueryT_co", covariant=True)
Handler = TypeVar("Handler", bound=Callable[..., "HttpResponseBase | Answer"])

_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
NO_CALLER = Caller(actors.ANONYMOUS)
# What staff do by hand: on pages and here alike an open session is not yet a person.
_MOVES_MONEY = frozenset({Act.CREDITS, Act.INVOICES})
_SPEC = "_endpoint_spec"
_encode = msgspec.json.Encoder().encode
_encode_sorted = msgspec.json.Encoder(order="sorted").encode

# Which struct a body is, by its media type and content.
Choose = Callable[[str, Any], type]


@dataclass(frozen=True, slots=True)
class Answer:
    """A status, a JSON body of plain values, and headers."""

    status: int
    body: Any
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Spec:
    """What ``endpoint`` says of a handler. ``bodies`` are the accepted structs by media type."""

    summary: str
    responses: Mapping[int, Any]
    bodies: Mapping[str, tuple[type, ...]]
    query: type
    choose: Choose | None
    act: Act | None
    idempotent: bool
    public: bool
    tag: str
    problems: tuple[int, ...]
    media: Mapping[str, str]

    @property
    def body_optional(self) -> bool:
        return all(not f.required for kinds in self.bodies.values() for k in kinds for f in _fields(k))


@dataclass(frozen=True, slots=True)
class Call(Generic[BodyT_co, QueryT_co]):
    """One authenticated, validated request. ``at`` is real time when it arrived."""

    request: HttpRequest
    caller: Caller
    at: datetime
    body: BodyT_co
    query: QueryT_co

    @property
    def actor(self) -> Actor:
        return self.caller.actor

    def find_organization(self, reference: str) -> Organization:
        """The organization of ``reference``, for a key of an organization only its own, and no other query for that."""
        own = self.caller.organization
        found = accounts_queries.find_organization(reference) if own is None else own
        if found is None or (own is not None and not accounts_queries.is_named(own, reference)):
            raise actors.no_organization()
        return found

    def organization(self, reference: str, act: Act) -> Organization:
        """As ``find_organization``, and the actor may do ``act`` to it."""
        organization = self.find_organization(reference)
        self.require(act, organization)
        return organization

    def subscription(self, subscription_id: str, act: Act) -> Subscription:
        """The subscription of this id, to do ``act`` to; one that is not the actor's to know of is not there."""
        wanted = ids.parse_uuid(subscription_id)
        found = None if wanted is None else subscriptions_queries.find_subscription(wanted)
        if found is None or not actors.is_visible(self.actor, found.organization):
            raise subscriptions_queries.SubscriptionNotFound("No such subscription.")
        self.require(act, found.organization)
        return found

    def require(self, act: Act, organization: Organization | None) -> None:
        if organization is not None:
            logs.organization.set(str(organization.id))
        actors.require(self.actor, act, organization)
        if act in _MOVES_MONEY and not self.caller.is_key and self.request.method != "GET":
            authentication.require_fresh(self.request)

    def now(self, organization: Organization) -> datetime:
        return accounts_queries.now_for(organization, self.at)

    @property
    def idempotency_key(self) -> str | None:
        """The ``Idempotency-Key`` header, checked."""
        key = self.request.META.get("HTTP_IDEMPOTENCY_KEY")
        return None if key is None else idempotency.check_key(key)


def endpoint(
    summary: str,
    *,
    responses: Mapping[int, Any],
    act: Act | None = None,
    idempotent: bool = False,
    public: bool = False,
    tag: str,
    problems: Sequence[int] = (),
    bodies: Mapping[str, tuple[type, ...]] | None = None,
    choose: Choose | None = None,
    media: Mapping[str, str] | None = None,
) -> Callable[[Handler], Handler]:
    """Mark a handler and say what the frame needs to know.

    ``responses`` maps statuses to the shape of their body, a tuple for one of several; ``problems`` names further
    errors beyond the usual ones, ``act`` is what the caller must be allowed. ``idempotent`` handlers honour
    ``Idempotency-Key``. ``bodies`` with ``choose`` replace the one JSON body of the annotation where several are
    understood; ``media`` names the media type of a response that is not JSON.
    """

    def mark(handler: Handler) -> Handler:
        body_kind, query_kind = _annotated(handler)
        spec = Spec(
            summary=summary,
            responses=responses,
            bodies=bodies or {body.JSON: (body_kind,)},
            query=query_kind,
            choose=choose,
            act=act,
            idempotent=idempotent,
            public=public,
            tag=tag,
            problems=tuple(problems),
            media=media or {},
        )
        setattr(handler, _SPEC, spec)
        return handler

    return mark


def spec_of(handler: object) -> Spec:
    spec: Spec = getattr(handler, _SPEC)
    return spec


class ApiView(APIView):
    """Base of every REST endpoint: one class per path, one marked handler per method."""

    handlers: ClassVar[dict[str, tuple[Callable[..., HttpResponseBase | Answer], Spec]]] = {}

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.handlers = {
            method: (handler, spec_of(handler))
            for method in _METHODS
            if (handler := cls.__dict__.get(method.lower())) is not None
        }

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        try:
            response = self._answer(request, kwargs)
        except errors.EXPECTED as error:
            response = errors.respond_to(error, request)
        return throttle.tell(request, response)

    def _answer(self, request: HttpRequest, path: dict[str, Any]) -> HttpResponseBase:
        method = "GET" if request.method == "HEAD" else request.method or ""
        if method not in self.handlers:
            allowed = ", ".join([*self.handlers, *(["HEAD"] if "GET" in self.handlers else [])])
            raise Refused(
                405, "method_not_allowed", "This method is not one of those in Allow.", headers={"Allow": allowed}
            )
        handler, spec = self.handlers[method]
        at = timezone.now()
        caller = throttle.admit(
            request,
            lambda: NO_CALLER if spec.public else authentication.authenticate(request, at),
            is_public=spec.public,
        )
        query: Any = wire.convert_query(request.META.get("QUERY_STRING", ""), spec.query)
        media_type, document = _document(request, spec)
        call = Call(request, caller, at, _body(spec, media_type, document), query)

        def act() -> HttpResponseBase:
            answer = handler(self, call, **path)
            return answer if isinstance(answer, HttpResponseBase) else render(answer)

        key = call.idempotency_key if spec.idempotent else None
        if key is None:
            return act()
        fingerprint = _fingerprint(request, media_type, document)
        return _replay(
            idempotency.once(caller=caller.actor.name, key=key, fingerprint=fingerprint, act=lambda: _keep(act()))
        )


def _document(request: HttpRequest, spec: Spec) -> tuple[str, Any]:
    """The media type and JSON document of a body. No body at all stands for an empty object where one will do."""
    if request.method in ("GET", "HEAD"):
        return "", None
    raw = body.read(request)
    if not raw and spec.body_optional:
        return body.JSON, {}
    media_type = body.content_type(request)
    if media_type not in spec.bodies:
        accepted = ", ".join(spec.bodies)
        raise Refused(
            415, "unsupported_media_type", f"Content-Type is one of: {accepted}.", headers={"Accept": accepted}
        )
    return media_type, body.parse(raw)


def _body(spec: Spec, media_type: str, document: Any) -> Any:
    if not media_type:
        return wire.Nothing()
    kind = spec.choose(media_type, document) if spec.choose else spec.bodies[media_type][0]
    return wire.convert(document, kind)


def _fingerprint(request: HttpRequest, media_type: str, document: Any) -> bytes:
    """The same request whatever the order of its keys and the blanks between them."""
    said = [request.method, request.path, request.META.get("HTTP_IF_MATCH"), media_type, document]
    return hashlib.sha256(_encode_sorted(said)).digest()


def render(answer: Answer) -> HttpResponse:
    """The response that says ``answer``."""
    response = HttpResponse(
        _encode(answer.body), status=answer.status, content_type="application/json", headers=dict(answer.headers)
    )
    response.headers.setdefault("Cache-Control", "no-store")
    return response


def _keep(response: HttpResponseBase) -> Kept:
    if not isinstance(response, HttpResponse):
        raise TypeError("a stream cannot be kept for a second answer")
    return Kept(response.status_code, response.content.decode(), dict(response.headers))


def _replay(kept: Kept) -> HttpResponse:
    return HttpResponse(kept.content, status=kept.status, headers=dict(kept.headers))


def _annotated(handler: Callable[..., Any]) -> tuple[type, type]:
    body_kind, query_kind = get_args(get_type_hints(handler)["call"])
    return body_kind, query_kind


def _fields(kind: Any) -> Sequence[msgspec.structs.FieldInfo]:
    """A body that is no struct (a batch is a bare list) has none."""
    return msgspec.structs.fields(kind) if isinstance(kind, type) and issubclass(kind, msgspec.Struct) else ()
