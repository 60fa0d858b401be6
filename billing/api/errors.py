"""The one place that chooses an HTTP status for an error."""

from __future__ import annotations

from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse
from psycopg import errors as pg_errors

from billing.api import problems
from billing.api.problems import FieldError, Refused
from billing.infra import logs
from billing.kernel.errors import (
    BillingError,
    Busy,
    Conflict,
    Forbidden,
    Invalid,
    LimitExceeded,
    NotFound,
    ProviderError,
)
from billing.lifecycle.quota import PlanLimitError

STATUS_BY_CATEGORY: tuple[tuple[type[BillingError], int], ...] = (
    (NotFound, 404),
    (Invalid, 422),
    (Conflict, 409),
    (LimitExceeded, 402),
    (Forbidden, 403),
    (Busy, 503),
    (ProviderError, 502),
)
RETRY_AFTER_SECONDS = "1"
DATABASE_GONE_RETRY_SECONDS = "5"
_TRY_AGAIN = (pg_errors.LockNotAvailable, pg_errors.DeadlockDetected, pg_errors.SerializationFailure)

# Everything that ``respond_to`` answers; anything else is a defect and goes on to Django's handler for 500s.
EXPECTED = (BillingError, Refused, OperationalError, InterfaceError)


def respond_to(error: Exception, request: HttpRequest) -> HttpResponse:
    """The problem details for one of ``EXPECTED``."""
    if isinstance(error, Refused):
        return problems.respond(
            request,
            error.status,
            error.code,
            error.detail,
            errors=error.errors,
            notes=error.notes,
            headers=error.headers,
        )
    if isinstance(error, BillingError):
        return _billing_error(error, request)
    if isinstance(error.__cause__, _TRY_AGAIN):
        return problems.respond(
            request,
            503,
            Busy.code,
            "The books are in use by another request; try again.",
            headers={"Retry-After": RETRY_AFTER_SECONDS},
        )
    logs.event("api.database_unavailable", error=error)
    return problems.respond(
        request,
        503,
        "unavailable",
        "The database cannot be reached; try again.",
        headers={"Retry-After": DATABASE_GONE_RETRY_SECONDS},
    )


def status_of(error: BillingError) -> int:
    for category, status in STATUS_BY_CATEGORY:
        if isinstance(error, category):
            return status
    raise error


def _billing_error(error: BillingError, request: HttpRequest) -> HttpResponse:
    field = error.details.get("field")
    errors = [FieldError(str(field), error.code, error.message)] if field else []
    headers = {"Retry-After": RETRY_AFTER_SECONDS} if isinstance(error, Busy) else None
    refused = error if isinstance(error, PlanLimitError) else None
    return problems.respond(
        request,
        status_of(error),
        error.code,
        error.message,
        errors=errors,
        notes=refused.outcome.notes if refused else (),
        error=refused.code if refused else None,
        headers=headers,
    )
