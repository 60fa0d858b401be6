"""Problem details (RFC 9457): the only shape that an error under ``/api`` has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus

import msgspec
from django.http import HttpRequest, HttpResponse

CONTENT_TYPE = "application/problem+json"
# What a caller sent may be named back to them, but not at any length.
ECHO_LENGTH_MAX = 200

_encode = msgspec.json.Encoder().encode


class FieldError(msgspec.Struct, frozen=True):
    """One culprit: ``field`` is its path ("events[3].quantity") or the name of a header or query parameter."""

    field: str
    code: str
    message: str


class Problem(msgspec.Struct, frozen=True, omit_defaults=True):
    """The body of an error. ``code`` is stable; ``title`` and ``detail`` are for people."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    request_id: str
    errors: list[FieldError] | None = None
    # "billing:quota-exceeded:<key>" and the like, where a guard said no.
    notes: list[str] | None = None
    # "plan_limit_exceeded", beside the code, where a plan refused what a host product was to do.
    error: str | None = None


class Refused(Exception):
    """A request refused for how it is framed, before any domain call sees it."""

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        errors: Sequence[FieldError] = (),
        notes: Sequence[str] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.errors = tuple(errors)
        self.notes = tuple(notes)
        self.headers = headers or {}


def invalid_field(field: str, code: str, message: str) -> Refused:
    """422 about one field of the body, the query or the headers."""
    shown = field[:ECHO_LENGTH_MAX]
    detail = f"{shown}: {message}" if shown else message
    return Refused(422, "invalid", detail, errors=[FieldError(shown, code, message)])


def respond(
    request: HttpRequest,
    status: int,
    code: str,
    detail: str,
    *,
    errors: Sequence[FieldError] = (),
    notes: Sequence[str] = (),
    error: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> HttpResponse:
    """The answer for an error of ``status``."""
    problem = Problem(
        type=f"urn:countinghouse:problem:{code}",
        title=HTTPStatus(status).phrase,
        status=status,
        detail=detail,
        code=code,
        errors=list(errors) or None,
        notes=list(notes) or None,
        error=error,
        request_id=getattr(request, "request_id", ""),
    )
    response = HttpResponse(_encode(problem), status=status, content_type=CONTENT_TYPE, headers=dict(headers or {}))
    response["Cache-Control"] = "no-store"
    # The request's one line is logged already; Django's own would add the path, which may hold what a person typed.
    response._has_been_logged = True  # type: ignore[attr-defined]  # noqa: SLF001
    return response
