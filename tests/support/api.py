"""A client of the REST API that checks every answer against the OpenAPI document."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cache
from typing import Any

from django.test import Client
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from billing.accounts import actors, operations
from billing.accounts.actors import ORGANIZATION_KEY_ACTS, SCOPES
from billing.api import schema
from billing.lifecycle import onboard
from billing.models import (
    ApiKey,
    AuditEntry,
    Coupon,
    CreditEntry,
    IdempotentRequest,
    Invitation,
    Invoice,
    Membership,
    Organization,
    Subscription,
    SubscriptionDiscount,
    UsageEvent,
    User,
)
from tests.support import catalogs
from tests.support.factories import at

CLI = actors.operator("ada")
START, NOW = at("2023-11-01T00:00:00Z"), at("2023-11-17T12:00:00Z")
EVIDENCE = (
    ApiKey,
    AuditEntry,
    Coupon,
    CreditEntry,
    IdempotentRequest,
    Invitation,
    Invoice,
    Membership,
    Organization,
    Subscription,
    SubscriptionDiscount,
    UsageEvent,
    User,
)


class Answer:
    """A response, its JSON, and for an error its problem details."""

    def __init__(self, response: Any) -> None:
        self.status: int = response.status_code
        self.headers = response.headers
        self.content: bytes = response.content
        is_json = "json" in response.headers.get("Content-Type", "")
        self.json: Any = json.loads(self.content) if is_json and self.content else None

    @property
    def code(self) -> str:
        return str(self.json["code"])

    @property
    def fields(self) -> list[str]:
        return [error["field"] for error in self.json.get("errors", [])]

    def __repr__(self) -> str:
        return f"{self.status} {self.content.decode()}"

    @property
    def but_request_id(self) -> bytes:
        """The body without what differs between any two answers."""
        return re.sub(rb'"request_id":"[^"]*"', b"", self.content)


@dataclass
class Api:
    """Calls under ``/api`` with one key; ``key`` empty is nobody."""

    key: str = ""
    client: Client = field(default_factory=Client)

    def get(self, path: str, **headers: str) -> Answer:
        return self.call("GET", path, headers=headers)

    def delete(self, path: str, **headers: str) -> Answer:
        return self.call("DELETE", path, headers=headers)

    def post(self, path: str, body: Any = None, *, content_type: str = "application/json", **headers: str) -> Answer:
        raw = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        return self.call("POST", path, raw, content_type=content_type, headers=headers)

    def put(self, path: str, body: Any, **headers: str) -> Answer:
        return self.call("PUT", path, json.dumps(body).encode(), headers=headers)

    def call(
        self,
        method: str,
        path: str,
        raw: bytes = b"",
        *,
        content_type: str = "application/json",
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        sent = {name.replace("_", "-"): value for name, value in (headers or {}).items()}
        if self.key:
            sent["Authorization"] = f"Bearer {self.key}"
        response = self.client.generic(method, f"/api{path}", raw, content_type=content_type, headers=sent)
        answer = Answer(response)
        check(method, f"/api{path}".partition("?")[0], answer)
        return answer


@dataclass(frozen=True)
class World:
    """Two sandbox organizations on the plan "team", and keys."""

    acme: Organization
    other: Organization
    subscription: Subscription
    foreign: Subscription
    own: Api
    theirs: Api
    platform: Api
    nobody: Api

    def with_scopes(self, *scopes: str, platform: bool = False) -> Api:
        organization = None if platform else self.acme
        return Api(operations.create_key(organization=organization, name="k", scopes=scopes, actor=CLI)[1])


def build() -> World:
    catalogs.sync()
    acme, other = (
        operations.create_organization(
            slug=name, name=name.title(), external_id=f"crm:{name}", is_sandbox=True, clock_at=NOW, actor=CLI
        )
        for name in ("acme", "other")
    )
    subscription, foreign = (
        onboard.subscribe(organization=each, plan_code="team", actor=CLI, now=NOW, starts_at=START)
        for each in (acme, other)
    )
    own, theirs = (
        Api(operations.create_key(organization=each, name="k", scopes=ORGANIZATION_KEY_ACTS, actor=CLI)[1])
        for each in (acme, other)
    )
    platform = Api(operations.create_key(organization=None, name="p", scopes=SCOPES, actor=CLI)[1])
    return World(acme, other, subscription, foreign, own, theirs, platform, Api())


def rows() -> dict[str, int]:
    """How much has been written, everywhere that a call could write."""
    return {model.__name__: model._default_manager.count() for model in EVIDENCE}


def balance(subscription: Subscription) -> Decimal:
    """Of the credit account, which must equal the sum of its ledger."""
    account = Subscription.objects.get(id=subscription.id).marketplace
    entries = sum((entry.amount for entry in CreditEntry.objects.filter(account=account)), Decimal(0))
    assert account.credit_balance == entries
    return entries


def check(method: str, path: str, answer: Answer) -> None:
    """Assert that the status is one that the document names, and the body what it says there."""
    assert answer.headers["X-Request-ID"]
    if answer.status >= 400:
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert answer.json["status"] == answer.status
        assert answer.json["request_id"] == answer.headers["X-Request-ID"]
        assert {"type", "title", "detail", "code"} <= answer.json.keys()
        for leak in (b"Traceback", b"psycopg", b"SELECT ", b"/work/", b".py", b"<html"):
            assert leak not in answer.content
    operation = _operation(method, path)
    if operation is None:
        assert answer.status in (404, 405)
        return
    documented = operation["responses"].get(str(answer.status))
    assert documented is not None, f"{method} {path}: {answer.status} is not documented: {answer.content!r}"
    media = answer.headers["Content-Type"].partition(";")[0]
    if media.endswith("json"):
        _validator(json.dumps(documented["content"][media]["schema"])).validate(answer.json)


@cache
def document() -> dict[str, Any]:
    read: dict[str, Any] = json.loads(schema.document())
    # What an answer holds beyond what is documented is a gap in the document.
    for component in read["components"]["schemas"].values():
        if component.get("type") == "object":
            component.setdefault("additionalProperties", False)
    return read


def _operation(method: str, path: str) -> dict[str, Any] | None:
    for template, methods in document()["paths"].items():
        if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", template), path) and method.lower() in methods:
            found: dict[str, Any] = methods[method.lower()]
            return found
    return None


@cache
def _validator(text: str) -> Any:
    return Draft202012Validator({**json.loads(text), "components": document()["components"]})
