"""One request that is out of the ordinary, and the sound one that it departs from."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from tests.corpus.operations import JSON, Operation

Pairs = tuple[tuple[str, str], ...]
LEFT_OUT = object()
# Where in a document something stands: keys of objects and indexes of lists.
Spot = tuple[str | int, ...]


class Bare(str):
    """Stands in a document for a number written just so, as no Python number would be."""

    __slots__ = ()


@dataclass(frozen=True)
class Base:
    """A sound request. ``before`` are requests that bring it about that it succeeds, by path and body."""

    body: Any = None
    query: Mapping[str, str] = field(default_factory=dict)
    path: Mapping[str, str] = field(default_factory=dict)
    before: tuple[tuple[str, Any], ...] = ()
    media: str = JSON
    caller: str = "platform"
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Case:
    """A request as it is sent, but for marks that stand for names of the stage."""

    operation: str
    family: str
    number: int
    caller: str
    method: str
    path: str
    query: str
    headers: Pairs
    body: bytes
    address: str = "203.0.113.7"

    @property
    def identity(self) -> tuple[object, ...]:
        return self.method, self.path, self.query, self.headers, self.body, self.caller

    def __str__(self) -> str:
        target = self.path + (f"?{self.query}" if self.query else "")
        lines = [
            f"{self.operation}:{self.number} ({self.family}), called by {self.caller}",
            f"  {self.method} {_shown(target)}",
            *(f"  {name}: {_shown(value)}" for name, value in self.headers),
        ]
        return "\n".join([*lines, f"  {_shown(self.body.decode('utf-8', 'backslashreplace'))}"] if self.body else lines)


def _shown(text: str) -> str:
    printable = text.encode("unicode_escape").decode()
    return printable if len(printable) <= 1500 else f"{printable[:1000]}… ({len(printable)} characters)"


class Subject:
    """One operation with a sound request to depart from, and chance."""

    def __init__(self, operation: Operation, base: Base, chance: random.Random, number: int) -> None:
        self.operation, self.base, self.chance, self.number = operation, base, chance, number

    @property
    def document(self) -> Any:
        """The sound body, to be changed."""
        return copy.deepcopy(self.base.body)

    @property
    def schema(self) -> Any:
        return self.operation.bodies.get(self.base.media, {"type": "object", "properties": {}})

    @property
    def path_names(self) -> dict[str, str]:
        return {name: f"<<own.{name}>>" for name in self.operation.parameters} | dict(self.base.path)

    def case(
        self,
        family: str,
        *,
        document: Any = LEFT_OUT,
        raw: bytes | None = None,
        query: str | Mapping[str, str] | None = None,
        path: Mapping[str, str] | None = None,
        headers: Mapping[str, str | None] | Sequence[tuple[str, str | None]] = (),
        caller: str = "",
        method: str = "",
        target: str = "",
    ) -> Case:
        """The sound request with this in the place of its own. ``path`` are values, quoted here; ``target`` a whole
        path that is taken as it is; ``headers`` replace those of their name, None takes one away."""
        if raw is None:
            body = self.base.body if document is LEFT_OUT else document
            raw = b"" if body is None and document is LEFT_OUT else encoded(body)
        names = self.path_names | dict(path or {})
        filled = target or self.operation.path
        for name in [] if target else self.operation.parameters:
            filled = filled.replace(f"{{{name}}}", quote(names[name], safe="<>", errors="surrogatepass"))
        given = tuple(headers.items()) if isinstance(headers, Mapping) else tuple(headers)
        replaced = {name.lower() for name, _ in given}
        usual = {"Content-Type": self.base.media} if raw or self.operation.is_write else {}
        usual |= dict(self.base.headers)
        asked = self.base.query if query is None else query
        return Case(
            operation=self.operation.id,
            family=family,
            number=self.number,
            caller=caller or self.base.caller,
            method=method or self.operation.method,
            path=filled,
            query=asked if isinstance(asked, str) else encode_query(asked),
            headers=tuple((name, value) for name, value in usual.items() if name.lower() not in replaced)
            + tuple((name, value) for name, value in given if value is not None),
            body=raw,
            # A limit of failures counts by address; it is not what is asked about here.
            address=f"10.{self.chance.randrange(256)}.{self.chance.randrange(256)}.{self.chance.randrange(1, 255)}",
        )


def encoded(document: Any) -> bytes:
    """JSON that may hold what no sound client sends: lone surrogates, which come out as escapes, and bare numbers."""
    bare: list[Bare] = []
    raw = json.dumps(_with_places(document, bare), separators=(",", ":")).encode()
    for index, number in enumerate(bare):
        raw = raw.replace(f'"@bare {index}@"'.encode(), number.encode())
    return raw


def _with_places(value: Any, bare: list[Bare]) -> Any:
    if isinstance(value, Bare):
        bare.append(value)
        return f"@bare {len(bare) - 1}@"
    if isinstance(value, dict):
        return {name: _with_places(item, bare) for name, item in value.items()}
    return [_with_places(item, bare) for item in value] if isinstance(value, list) else value


def encode_query(query: Mapping[str, str]) -> str:
    return "&".join(f"{_quoted(name)}={_quoted(value)}" for name, value in query.items())


def _quoted(text: str) -> str:
    return quote(text, safe="<>", errors="surrogatepass")
