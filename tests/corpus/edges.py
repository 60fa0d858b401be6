"""Values about the edges of what a schema takes: the last that does and the first that does not."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

from tests.corpus import values
from tests.corpus.cases import Bare, Spot


def options(schema: Any) -> list[Any]:
    """The single schemas that a value may be of."""
    for word in ("anyOf", "oneOf"):
        if word in schema:
            return [found for each in schema[word] for found in options(each)]
    return [schema]


def places(document: Any, schema: Any, at: Spot = ()) -> Iterator[tuple[Spot, Any]]:
    """Every place of a document with the schema of what stands there; the root too."""
    yield at, schema
    for each in options(schema):
        if isinstance(document, dict) and each.get("type") == "object":
            for name, part in each.get("properties", {}).items():
                if name in document:
                    yield from places(document[name], part, (*at, name))
        if isinstance(document, list) and each.get("type") == "array":
            for index, item in enumerate(document):
                yield from places(item, each.get("items", {}), (*at, index))


def missing(document: Any, schema: Any) -> list[str]:
    """Fields that the root could have and has not."""
    named = {name for each in options(schema) for name in each.get("properties", {})}
    return sorted(named - document.keys()) if isinstance(document, dict) else []


def field_schema(schema: Any, name: str) -> Any:
    return next((each["properties"][name] for each in options(schema) if name in each.get("properties", {})), {})


def put(document: Any, spot: Spot, value: Any) -> Any:
    if not spot:
        return value
    holder = document
    for step in spot[:-1]:
        holder = holder[step]
    holder[spot[-1]] = value
    return document


def drop(document: Any, spot: Spot) -> Any:
    holder = document
    for step in spot[:-1]:
        holder = holder[step]
    del holder[spot[-1]]
    return document


def get(document: Any, spot: Spot) -> Any:
    for step in spot:
        document = document[step]
    return document


def edge(chance: random.Random, schema: Any, value: Any) -> Any:
    """Something about an edge of ``schema``; ``value`` is what stood there."""
    one = chance.choice(options(schema))
    kind = one.get("type")
    if "enum" in one:
        known = chance.choice([each for each in one["enum"] if each is not None])
        return chance.choice([known, str(known).upper(), f"{known} ", f" {known}", str(known)[:-1], f"{known}\x00", ""])
    if kind == "string":
        return _text(chance, one)
    if kind == "integer":
        edges = [one[name] for name in ("minimum", "maximum") if name in one] or [0]
        near = chance.choice(edges) + chance.choice([-1, 0, 1])
        return chance.choice([near, near, Bare(chance.choice(values.NUMBERS)), f"{near}", float(near)])
    if kind == "number":
        return Bare(chance.choice(values.NUMBERS))
    if kind == "boolean":
        return chance.choice([True, False, 0, 1, "true", "false", None])
    if kind == "array":
        return _array(chance, one, value)
    if kind == "object":
        return _deep(chance)
    return chance.choice([None, Bare(chance.choice(values.NUMBERS))])


def _text(chance: random.Random, one: Any) -> str:
    if one.get("format") == "date-time":
        return chance.choice(values.TIMES)
    if one.get("format") == "date":
        return chance.choice(values.DAYS)
    if one.get("format") == "uuid":
        return values.identifier(chance, "<<own.subscription_id>>")
    if one.get("pattern", "").startswith("^"):
        return chance.choice(values.DECIMALS)
    lengths = [one.get("minLength", 0), one.get("maxLength", 300)]
    length = max(0, chance.choice(lengths) + chance.choice([-1, 0, 1]))
    # Letters that take more bytes than characters, and some that take more characters than one sees.
    return chance.choice(["x", "é", "漢", "🙂", "e\u0301", " "]) * length if length else ""


def _array(chance: random.Random, one: Any, value: Any) -> Any:
    items = value if isinstance(value, list) and value else ["a"]
    wanted = max(0, chance.choice([one.get("minItems", 0), one.get("maxItems", 50)]) + chance.choice([-1, 0, 1]))
    return (items * (wanted // len(items) + 1))[:wanted]


def _deep(chance: random.Random) -> Any:
    depth = chance.choice([1, 28, 29, 30, 31, 32, 33, 200])
    found: Any = {}
    for _ in range(depth):
        found = {"a": found} if chance.random() < 0.5 else [found]
    return found
