"""The OpenAPI 3.1 document, made from the structs that validate."""

from __future__ import annotations

import json
import re
from functools import cache
from typing import Any

import msgspec
from django.conf import settings
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.plumbing import ComponentRegistry, ResolvedComponent

from billing.accounts import actors
from billing.api import problems, wire
from billing.api.endpoint import ApiView, Spec
from billing.api.problems import Problem
from billing.infra import idempotency

_REF = "#/components/schemas/{name}"
_PARAMETER = re.compile(r"\{(\w+)\}")
_PATH_PARAMETERS = {
    "organization_ref": "The organization's id, slug or external id.",
    "subscription_id": "The subscription's id.",
    "invoice_id": "The invoice's id or number; `.csv` after it asks for CSV.",
    "credit_note_id": "The credit note's id or number; `.csv` after it asks for CSV.",
    "key_id": "The key's id.",
    "event_id": "The usage event's id.",
    "grant_id": "The grant's id.",
    "export": "`windows`, `ledger` or `events`.",
    "coupon_code": "The coupon's code.",
    "dunning_id": "The dunning's id, or the id or number of its invoice.",
    "reservation_id": "The reservation's id.",
    "mail_id": "The mail's id.",
    "purchase_id": "The credit purchase's id.",
    "plan_code": "The plan's code.",
    "decision_id": "The decision's id.",
    "endpoint_id": "The webhook endpoint's id.",
    "provider": "The provider's code: `stub` or `stripe`.",
    "event_reference": "The event's id, ours or the provider's.",
    "message_id": "The message's id, which its receiver knows as `webhook-id`.",
}
_SECURITY = {
    "apiKey": {"type": "http", "scheme": "bearer", "description": "An API key: `Authorization: Bearer chk_live_…`"},
    "session": {
        "type": "apiKey",
        "in": "cookie",
        "name": settings.SESSION_COOKIE_NAME,
        "description": "With `X-CSRFToken` to write.",
    },
}
# Any call may meet these; 404 and 403 wherever there is somebody to be authorized.
_ALWAYS = (400, 422, 429, 503)
_PHRASES = {
    200: "Done",
    201: "Created",
    202: "Accepted",
    304: "What If-None-Match names still holds",
    400: "Malformed request",
    401: "Not authenticated",
    402: "A plan, quota or credit limit",
    403: "Not allowed",
    404: "Not there, or not yours",
    409: "Conflict",
    413: "Body too large",
    415: "Wrong content type",
    422: "Invalid, naming the field",
    429: "Too many calls or failures: wait",
    502: "The payment provider does not answer, or says no",
    503: "Busy or unavailable: try again",
}


class StructSchema(AutoSchema):
    """drf-spectacular's view inspector, reading ``endpoint`` specs in place of serializers."""

    def get_operation(
        self, path: str, path_regex: str, path_prefix: str, method: str, registry: ComponentRegistry
    ) -> dict[str, Any] | None:
        view: Any = self.view
        if not isinstance(view, ApiView):
            return None
        _, spec = view.handlers[method.upper()]
        handler = getattr(view, method.lower())
        operation: dict[str, Any] = {
            "operationId": _operation_id(type(view).__name__, method),
            "summary": spec.summary,
            "tags": [spec.tag],
            "parameters": [*_path_parameters(path), *_query_parameters(spec, registry), *_header_parameters(spec)],
            "responses": _responses(spec, method, registry),
            "security": [] if spec.public else [{name: []} for name in _SECURITY],
        }
        description = _description(handler.__doc__ or "", spec)
        if description:
            operation["description"] = description
        content = {
            media: {"schema": _one_of([_schema(kind, registry) for kind in kinds])}
            for media, kinds in spec.bodies.items()
            if kinds != (wire.Nothing,)
        }
        if method.upper() != "GET" and content:
            operation["requestBody"] = {"required": not spec.body_optional, "content": content}
        return operation


def _operation_id(view: str, method: str) -> str:
    return {"get": "read", "post": "post", "patch": "change", "put": "put", "delete": "delete"}[method.lower()] + view


def _description(doc: str, spec: Spec) -> str:
    text = re.sub(r"\n\s*\n\s*", "\n\n", re.sub(r"\n {2,}(?=\S)", "\n", doc.strip())).replace("``", "`")
    scope = f"Scope: `{actors.scope_of(spec.act)}`." if spec.act else ""
    return "\n\n".join(part for part in (text, scope) if part)


def _path_parameters(path: str) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "in": "path",
            "required": True,
            "schema": {"type": "string"},
            # What a host product on this frame calls its own parameters says enough.
            "description": _PATH_PARAMETERS.get(name, f"The {name.replace('_id', '')}."),
        }
        for name in _PARAMETER.findall(path)
    ]


def _query_parameters(spec: Spec, registry: ComponentRegistry) -> list[dict[str, Any]]:
    return [
        {
            "name": field.encode_name,
            "in": "query",
            "required": field.required,
            "schema": _without_null(_schema(field.type, registry)),
        }
        for field in msgspec.structs.fields(spec.query)
    ]


def _header_parameters(spec: Spec) -> list[dict[str, Any]]:
    if not spec.idempotent:
        return []
    return [
        {
            "name": idempotency.HEADER,
            "in": "header",
            "required": False,
            "schema": {"type": "string", "minLength": 1, "maxLength": 200},
            "description": "Names this request: sent again, it gets the first answer again.",
        }
    ]


def _responses(spec: Spec, method: str, registry: ComponentRegistry) -> dict[str, Any]:
    answers: dict[str, Any] = {}
    for status, kind in spec.responses.items():
        kinds = kind if isinstance(kind, tuple) else (kind,)
        content: dict[str, Any] = {}
        if kind is not None:
            content["application/json"] = {"schema": _one_of([_schema(k, registry) for k in kinds])}
        content |= {media: {"schema": {"type": "string"}} for media in spec.media}
        answers[str(status)] = {"description": _PHRASES[status], "content": content}
    statuses = {*_ALWAYS, *spec.problems}
    if not spec.public:
        statuses |= {401, 403, 404}
    if method.upper() != "GET":
        statuses |= {413, 415} | ({409} if spec.idempotent else set())
    problem = {"content": {problems.CONTENT_TYPE: {"schema": _schema(Problem, registry)}}}
    return answers | {str(status): {"description": _PHRASES[status], **problem} for status in sorted(statuses)}


def _schema(kind: Any, registry: ComponentRegistry) -> dict[str, Any]:
    """The JSON schema of ``kind``, with every named part of it among the document's components."""
    (schema,), parts = msgspec.json.schema_components([kind], schema_hook=wire.schema_hook, ref_template=_REF)
    for name, part in parts.items():
        component: Any = ResolvedComponent(  # type: ignore[no-untyped-call]
            name=name, type=ResolvedComponent.SCHEMA, schema=part, object=name
        )
        if component not in registry:
            registry.register(component)
        elif registry[component].schema != part:
            raise TypeError(f"two shapes are called {name}: the document could only tell of one of them")
    return schema


def _one_of(schemas: list[dict[str, Any]]) -> dict[str, Any]:
    return schemas[0] if len(schemas) == 1 else {"oneOf": schemas}


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """A parameter that may be left out is not one that may be null."""
    schema = {name: value for name, value in schema.items() if name != "default" or value is not None}
    if "anyOf" in schema:
        schema["anyOf"] = [each for each in schema["anyOf"] if each != {"type": "null"}]
    if "enum" in schema:
        schema["enum"] = [each for each in schema["enum"] if each is not None]
    return schema


@cache
def document() -> bytes:
    """The whole document: the same for everyone and for as long as the process runs."""
    generated: dict[str, Any] = SchemaGenerator().get_schema(request=None, public=True)  # type: ignore[no-untyped-call]
    generated["components"]["securitySchemes"] = _SECURITY
    return json.dumps(generated, ensure_ascii=False, separators=(",", ":")).encode()
