"""Bugs in how requests are answered, and the promise of the corpus that each of them breaks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from django.http import HttpRequest, HttpResponse

from billing.accounts import actors
from billing.accounts import queries as accounts_queries
from billing.api import body, errors, problems, wire
from billing.infra import audit, idempotency
from billing.kernel.errors import BillingError
from billing.models import ApiKey
from billing.payments import signatures

Patch = pytest.MonkeyPatch


@dataclass(frozen=True)
class DoorBug:
    """``operation`` is asked, by cases of ``families``, until one is found to break the promise ``kind``."""

    name: str
    plant: Callable[[Patch], None]
    operation: str
    kind: str
    families: frozenset[str]


def text_that_no_column_takes(patch: Patch) -> None:
    patch.setattr(body, "_check", lambda value, path, *, values: None)


def an_error_in_its_own_words(patch: Patch) -> None:
    def told(error: BillingError, request: HttpRequest) -> HttpResponse:
        return problems.respond(request, errors.status_of(error), error.code, f"{type(error).__name__}: {error}")

    patch.setattr(errors, "_billing_error", told)


def a_refusal_without_its_code(patch: Patch) -> None:
    def encode(problem: problems.Problem) -> bytes:
        told = msgspec.to_builtins(problem)
        del told["code"]
        return msgspec.json.encode(told)

    patch.setattr(problems, "_encode", encode)


def a_key_that_outlives_the_refusal(patch: Patch) -> None:
    """The key is claimed, and the refusal does not take that back."""
    patch.setattr(idempotency, "once", idempotency.once.__wrapped__)  # type: ignore[attr-defined]


def a_read_that_writes(patch: Patch) -> None:
    honest = accounts_queries.list_keys

    def list_keys(organization: Any) -> Any:
        audit.record(actor="x", act="key.list", object_type="k", object_id="k", organization_id=organization.id)
        return honest(organization)

    patch.setattr(accounts_queries, "list_keys", list_keys)


def everybody_may_everything(patch: Patch) -> None:
    patch.setattr(actors, "is_visible", lambda actor, organization: True)
    patch.setattr(actors, "may", lambda actor, act, organization: True)


def a_key_that_is_not_revoked(patch: Patch) -> None:
    patch.setattr(ApiKey, "is_usable_at", lambda self, at: True)


def a_delivery_of_any_age(patch: Patch) -> None:
    patch.setattr(signatures, "TOLERANCE_SECONDS", 10**12)


def another_status(patch: Patch) -> None:
    patch.setattr(errors, "status_of", lambda error: 418)


def fields_that_nobody_looks_at(patch: Patch) -> None:
    honest = wire.convert

    def convert(document: Any, kind: Any) -> Any:
        if isinstance(document, dict) and isinstance(kind, type) and issubclass(kind, msgspec.Struct):
            known = {field.encode_name for field in msgspec.structs.fields(kind)}
            document = {name: value for name, value in document.items() if name in known}
        return honest(document, kind)

    patch.setattr(wire, "convert", convert)


def quantities_rounded(patch: Patch) -> None:
    honest = wire._DECODERS[wire.Quantity]

    def read(value: object) -> wire.Quantity:
        return wire.Quantity(max(Decimal("0.01"), round(honest(value).value, 2)))

    patch.setitem(wire._DECODERS, wire.Quantity, read)


def the_second_time_anew(patch: Patch) -> None:
    patch.setattr(idempotency, "once", lambda *, caller, key, fingerprint, act: act())


def _bug(plant: Callable[[Patch], None], operation: str, kind: str, *families: str) -> DoorBug:
    return DoorBug(plant.__name__.replace("_", " "), plant, operation, kind, frozenset(families))


DOOR_BUGS = (
    _bug(text_that_no_column_takes, "postCases", "5xx", "injection"),
    _bug(an_error_in_its_own_words, "readOrganizationDetail", "leak", "identity"),
    _bug(a_refusal_without_its_code, "postCoupons", "problem", "type"),
    _bug(a_key_that_outlives_the_refusal, "postOrganizations", "changed", "idempotency-header"),
    _bug(a_read_that_writes, "readKeys", "changed", "query", "framing", "identity"),
    _bug(everybody_may_everything, "readSubscriptionDetail", "foreign", "identity"),
    _bug(a_key_that_is_not_revoked, "readOrganizationDetail", "stranger", "identity"),
    _bug(a_delivery_of_any_age, "postProviderWebhook", "stranger", "signature"),
    _bug(another_status, "readOrganizationDetail", "undocumented", "identity"),
    _bug(fields_that_nobody_looks_at, "postCases", "accepted", "extra-field"),
    _bug(quantities_rounded, "postUsage", "kept", "idempotency-header"),
    _bug(the_second_time_anew, "postAdjustCredits", "twice", "idempotency-header"),
)
