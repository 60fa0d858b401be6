"""Families of cases about what a body says: syntax, structure, type, boundary, presence, extra fields."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from django.apps import apps

from tests.corpus import edges, values
from tests.corpus.cases import Case, Spot, Subject, encoded

_JUNK = (
    b"\x00", b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xef\xbb\xbf", b"\x1f", b"{", b"}", b"[", b"]",
    b",", b":", b'"', b"'", b"\\", b"\\u", b"\\ud800", b"\\x41", b"//", b"/**/", b"#", b"NaN", b"-", b"+1", b"01",
    b"1.", b".5", b"1e", b"0x1", b"True", b"None", b"undefined", b"\xc2\xa0", b"\xe2\x80\xa8", b"\n", b"\x0b", b";",
)  # fmt: skip
_WHOLE = (
    b"", b" ", b"\n", b"null", b"true", b"0", b'""', b"[]", b"[[]]", b"[{}]", b"{}{}", b"{},", b",{}", b"{'a': 1}",
    b"{a: 1}", b"{]", b"<xml/>", b"a=1&b=2", b"--x\r\nContent-Disposition: form-data; name=a\r\n\r\n1\r\n--x--\r\n",
    b"[" * 40, b"[" * 100_000, b'{"a":' * 40 + b"1" + b"}" * 40, b'{"a":' * 50_000, b"9" * 10_000, b'"' + b"\\" * 999,
    b"\xff\xfe{\x00}\x00", b"\x00{\x00}", b"\x80\x81", b"{\"a\":\x00}", b"\x1f\x8b\x08\x00",
    b'{"a":1}' + b" " * 999_994,
    b'{"a":"' + b"x" * 999_993 + b'"}', b'{"":""}', b'{"a":1,"a":2}', b"-0", b"1e1000", b"PK\x03\x04",
)  # fmt: skip


def syntax(subject: Subject) -> Case:
    """The sound body with bytes lost, changed, put in or there twice; or something else altogether."""
    chance, sound = subject.chance, encoded(subject.base.body if subject.base.body is not None else {})
    form = chance.randrange(9)
    at = chance.randrange(len(sound) + 1)
    if form == 0:
        raw = sound[:at]
    elif form == 1:
        raw = sound[:at] + chance.choice(_JUNK) + sound[at:]
    elif form == 2:
        raw = sound[:at] + bytes([chance.randrange(256)]) + sound[at + 1 :]
    elif form == 3:
        raw = sound[at:]
    elif form == 4:
        raw = sound[:at] + sound[at + chance.randrange(1, 4) :]
    elif form == 5:
        raw = sound + chance.choice(_JUNK)
    elif form == 6:
        raw = sound.decode().encode(chance.choice(["utf-16", "utf-16-le", "utf-32", "utf-8-sig", "utf-7"]))
    elif form == 7:
        raw = _twice(subject, sound)
    else:
        raw = chance.choice(_WHOLE)
    return subject.case("syntax", raw=raw)


def _twice(subject: Subject, sound: bytes) -> bytes:
    """A key that is there twice, with the same or with another value."""
    document = subject.base.body
    if not isinstance(document, dict) or not document:
        return b'{"a":1,"a":1}'
    name = subject.chance.choice(sorted(document))
    value = document[name] if subject.chance.random() < 0.5 else values.of_another_type(subject.chance)
    pair = json.dumps(name).encode() + b":" + encoded(value)
    return b"{" + pair + b"," + sound[1:] if subject.chance.random() < 0.5 else sound[:-1] + b"," + pair + b"}"


def structure(subject: Subject) -> Case:
    """Parts of the body wrapped, unwrapped, swapped or put elsewhere."""
    chance, document = subject.chance, subject.document
    spots = [spot for spot, _ in edges.places(document, subject.schema)] if document is not None else [()]
    spot = chance.choice(spots)
    held = edges.get(document, spot) if spots != [()] or document is not None else {}
    form = chance.randrange(8)
    wrapped: Any
    if form == 0:
        wrapped = [held]
    elif form == 1:
        wrapped = {chance.choice(["value", "data", "0", ""]): held}
    elif form == 2:
        wrapped = held[0] if isinstance(held, list) and held else [[held]]
    elif form == 3:
        wrapped = next(iter(held.values()), None) if isinstance(held, dict) else json.dumps(held)
    elif form == 4:
        wrapped = [held, held]
    elif form == 5:
        wrapped = encoded(held).decode("latin-1")
    elif form == 6 and isinstance(held, dict):
        names = list(held)
        chance.shuffle(names)
        wrapped = dict(zip(names, held.values(), strict=True))
    else:
        wrapped = {"a": {"b": [held] * chance.randrange(1, 4)}}
    return subject.case("structure", document=edges.put(document, spot, wrapped))


def types(subject: Subject) -> Case:
    """Something of another type in the place of a value."""
    document, spot = _spot(subject)
    return subject.case("type", document=edges.put(document, spot, values.of_another_type(subject.chance)))


def boundary(subject: Subject) -> Case:
    """Values about the edges of what the document allows, in one place or two."""
    document = subject.document
    if not isinstance(document, dict | list) or not document:
        document = _with_one_more(subject, document)
    for _ in range(subject.chance.choice([1, 1, 1, 2])):
        found = [each for each in edges.places(document, subject.schema) if each[0]]
        if not found:
            break
        spot, schema = subject.chance.choice(found)
        document = edges.put(document, spot, edges.edge(subject.chance, schema, edges.get(document, spot)))
    if subject.chance.random() < 0.2:
        document = _with_one_more(subject, document)
    return subject.case("boundary", document=document)


def _with_one_more(subject: Subject, document: Any) -> Any:
    """Another field that there may be, at its edge."""
    held = document if isinstance(document, dict) else {}
    names = edges.missing(held, subject.schema)
    if names:
        name = subject.chance.choice(names)
        held[name] = edges.edge(subject.chance, edges.field_schema(subject.schema, name), None)
    return held


def presence(subject: Subject) -> Case:
    """Fields left out, null, or there though they need not be; no body at all."""
    chance, document = subject.chance, subject.document
    form = chance.randrange(5)
    if form == 0 or not isinstance(document, dict | list):
        raw = chance.choice([b"", b"null", b"{}", b"[]", b'""'])
        odd: list[dict[str, str | None]] = [{}, {"Content-Type": None}, {"Content-Length": "0"}]
        headers = chance.choice(odd) if not raw else {}
        return subject.case("presence", raw=raw, headers=headers)
    spots = [spot for spot, _ in edges.places(document, subject.schema) if spot]
    for _ in range(chance.randrange(1, 4)):
        live = [spot for spot in spots if _is_there(document, spot)]
        if not live:
            break
        spot = chance.choice(live)
        document = edges.put(document, spot, None) if form == 1 else edges.drop(document, spot)
    return subject.case("presence", document=_with_one_more(subject, document) if form == 2 else document)


def _is_there(document: Any, spot: Spot) -> bool:
    try:
        edges.get(document, spot)
    except (KeyError, IndexError, TypeError):
        return False
    return True


def extra_fields(subject: Subject) -> Case:
    """Fields that nobody asked for: columns of the tables, what other endpoints take, the language's own words."""
    chance, document = subject.chance, subject.document
    holders = [()] if not isinstance(document, dict | list) else [
        spot for spot, _ in edges.places(document, subject.schema) if isinstance(edges.get(document, spot), dict)
    ]  # fmt: skip
    document = {} if document is None else document
    spot = chance.choice(holders or [()])
    holder = edges.get(document, spot) if holders else {}
    for _ in range(chance.choice([1, 1, 2, 30])):
        name = chance.choice(columns()) if chance.random() < 0.7 else values.hostile(chance)
        if name not in holder:
            holder[name] = values.of_another_type(chance)
    return subject.case("extra-field", document=document)


@cache
def columns() -> tuple[str, ...]:
    found = {field.attname for model in apps.get_models() for field in model._meta.concrete_fields}
    spelled = {"__proto__", "__class__", "constructor", "$where", "@type", "_method", "csrfmiddlewaretoken", "pk"}
    return tuple(sorted(found | spelled | {name.upper() for name in list(found)[:5]}))


def _spot(subject: Subject) -> tuple[Any, Spot]:
    document = subject.document
    if not isinstance(document, dict | list):
        return document, ()
    return document, subject.chance.choice([spot for spot, _ in edges.places(document, subject.schema)])
