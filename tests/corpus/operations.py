"""The endpoints of the OpenAPI document: what each takes and what it may answer."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from billing.api import schema

METHODS = ("get", "post", "put", "patch", "delete")
JSON = "application/json"


@dataclass(frozen=True)
class Operation:
    """One method of one path. ``bodies`` by media type; ``answers`` by status, the schema of its JSON or None."""

    id: str
    method: str
    path: str
    query: Mapping[str, Any]
    bodies: Mapping[str, Any]
    answers: Mapping[int, Any]
    is_idempotent: bool
    is_public: bool
    required: frozenset[str] = field(default_factory=frozenset)

    @property
    def parameters(self) -> list[str]:
        return re.findall(r"\{(\w+)\}", self.path)

    @property
    def is_write(self) -> bool:
        return self.method != "GET"

    @property
    def is_list(self) -> bool:
        found = self.answers.get(200)
        return not self.is_write and found is not None and "results" in found.get("properties", {})

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


@cache
def document() -> dict[str, Any]:
    read: dict[str, Any] = json.loads(schema.document())
    return read


@cache
def operations() -> Mapping[str, Operation]:
    return {each.id: each for each in _read()}


def _read() -> Iterator[Operation]:
    for path, methods in document()["paths"].items():
        for method, said in methods.items():
            if method not in METHODS:
                continue
            asked = [each for each in said["parameters"] if each["in"] == "query"]
            content = said.get("requestBody", {}).get("content", {})
            yield Operation(
                id=said["operationId"],
                method=method.upper(),
                path=path,
                query={each["name"]: resolved(each["schema"]) for each in asked},
                bodies={media: resolved(each["schema"]) for media, each in content.items()},
                answers={
                    int(status): _of(each.get("content", {}).get(JSON)) for status, each in said["responses"].items()
                },
                is_idempotent=any(each["name"] == "Idempotency-Key" for each in said["parameters"]),
                is_public=not said["security"],
                required=frozenset(each["name"] for each in asked if each["required"]),
            )


def _of(media: Mapping[str, Any] | None) -> Any:
    return None if media is None else _closed(resolved(media["schema"]))


def _closed(part: Any) -> Any:
    """What an answer holds beyond what is documented is a gap in the document."""
    if isinstance(part, list):
        return [_closed(each) for each in part]
    if not isinstance(part, dict):
        return part
    closed = {name: _closed(each) for name, each in part.items()}
    return (
        {"additionalProperties": False, **closed}
        if closed.get("type") == "object" and "properties" in closed
        else closed
    )


def resolved(part: Any) -> Any:
    """A schema with what it refers to in its place; none here refers to itself."""
    if isinstance(part, list):
        return [resolved(each) for each in part]
    if not isinstance(part, dict):
        return part
    if "$ref" in part:
        named = document()["components"]["schemas"][part["$ref"].rpartition("/")[2]]
        return resolved(copy.deepcopy(named)) | {name: resolved(each) for name, each in part.items() if name != "$ref"}
    return {name: resolved(each) for name, each in part.items()}


@cache
def _validator(text: str) -> Any:
    return Draft202012Validator(json.loads(text))


def faults_by(schema_of: Any, value: Any) -> str:
    """What the schema has against the value; empty where it has nothing."""
    fault = next(iter(_validator(json.dumps(schema_of)).iter_errors(value)), None)
    return "" if fault is None else f"{'.'.join(map(str, fault.path))}: {fault.message}"[:300]
