"""Families of cases about all that surrounds a body: path, query, headers, who calls, and proof of who sent it."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from tests.corpus import edges, oddities, signing, values
from tests.corpus.cases import Case, Subject, encode_query

FOREIGN = ("own", "theirs", "reader", "nobody", "forged", "revoked", "expired", "member", "owner without a token")
_BAD_KEYS = ("", " ", "a b", "\t", "é", "k" * 201, "k" * 5000, "\x7f", "a\u0000b", "\u200b", "a\nb")


def framing(subject: Subject) -> Case:
    """Headers, methods and addresses that are odd, in a request that is otherwise sound."""
    chance = subject.chance
    form = chance.randrange(6)
    if form == 0:
        return subject.case("framing", method=chance.choice(oddities.METHODS))
    if form == 1:
        return subject.case("framing", target=_bent(subject))
    if form == 2 and subject.operation.is_write:
        raw = None if subject.base.body is not None else b"{}"
        return subject.case("framing", raw=raw, headers={"Content-Type": chance.choice(oddities.TYPES) or None})
    chosen = [
        (name, chance.choice(said)) for name, said in chance.sample(oddities.HEADERS, chance.choice([1, 1, 2, 3]))
    ]
    if form == 3:
        chosen.append((values.text(chance, 8).strip().replace(":", "") or "X", values.hostile(chance)))
    if form == 4 and chosen[0][0] != "Content-Length":
        chosen.append((chosen[0][0], chosen[0][1] + "x"))
    return subject.case("framing", headers=[(name, value) for name, value in chosen if _can_be_sent(name, value)])


def _can_be_sent(name: str, value: str) -> bool:
    """A server hands over no line breaks; what it makes of them is asked over a socket."""
    return name.isascii() and name.isprintable() and not set("\r\n\x00") & set(name + value)


def _bent(subject: Subject) -> str:
    path = subject.operation.path
    for name in subject.operation.parameters:
        path = path.replace(f"{{{name}}}", subject.path_names[name])
    form = subject.chance.randrange(9)
    at = subject.chance.randrange(5, len(path))
    bent = (
        path + "/",
        path.replace("/", "//", subject.chance.randrange(1, 4)),
        path.upper() if "<<" not in path else path + "%2f",
        "/." + path,
        path + "/..",
        path + ";a=b",
        path + ".json",
        path + subject.chance.choice(["%00", "%ff", "%20", "%0d%0a", "%E2%80%AE", "?", "%3f", "%25"]),
        path[:at] if "<<" not in path else path + "/" + values.text(subject.chance, 6),
    )
    return quote(bent[form], safe="/<>%;?:=")


def query(subject: Subject) -> Case:
    """Parameters at their edges, twice, unknown, badly encoded; cursors that nobody gave out."""
    chance, asked = subject.chance, dict(subject.base.query)
    named = subject.operation.query
    form = chance.randrange(8)
    if form <= 2 and named:
        for name in chance.sample(sorted(named), min(len(named), chance.choice([1, 1, 2]))):
            asked[name] = parameter(subject, name)
        return subject.case("query", query=asked)
    if form == 3 and named:
        name = chance.choice(sorted(named))
        twice = [(name, asked.get(name, "1")), (name, parameter(subject, name))]
        return subject.case("query", query="&".join(encode_query({each: value}) for each, value in twice))
    if form == 4:
        name = chance.choice([*named, "x", "limit", "filter[a]", "$top", "fields", "order_by", "offset", "page"])
        return subject.case(
            "query", query={**asked, chance.choice([f"{name}[]", f"{name}__gt", name.upper(), f" {name}"]): "1"}
        )
    if form == 5:
        broken = chance.choice(
            ["%", "%z", "%ff=1", "a=%ff", "%00=1", "a=%00", "&&&", "=", "=1", "a", "a=1;b=2", "?", "#", "+"]
        )
        return subject.case("query", query=f"{encode_query(asked)}&{broken}{chance.randrange(99)}" if asked else broken)
    if form == 6:
        many = {values.text(chance, 5) + str(n): "1" for n in range(chance.choice([1, 49, 50, 51, 200]))}
        return subject.case("query", query=asked | many)
    return subject.case("query", query=asked | {values.hostile(chance): values.hostile(chance)})


def parameter(subject: Subject, name: str) -> str:
    """A value for a parameter of the query, sound or not."""
    if name == "cursor":
        return cursor(subject)
    chance = subject.chance
    form = chance.randrange(4)
    if form == 0:
        return values.hostile(chance)
    value = edges.edge(chance, subject.operation.query[name], None) if form < 3 else values.of_another_type(chance)
    return value if isinstance(value, str) else json.dumps(value)


_KEYS: tuple[Any, ...] = (
    ["2023-12-01T00:00:00Z", "<<own.subscription_id>>"],
    ["2023-12-01T00:00:00", "<<own.subscription_id>>"],
    ["0001-01-01T00:00:00Z", "0190a1b2-0000-7000-8000-000000000000"],
    ["9999-12-31T23:59:59.999999Z", "ffffffff-ffff-ffff-ffff-ffffffffffff"],
    ["2199-12-31T23:59:59-23:59", "0190a1b2-0000-7000-8000-000000000000"],
    [0],
    [1],
    [-1],
    [2**63 - 1],
    [2**63],
    [1.5],
    ["1"],
    [None],
    [True],
    [[]],
    [],
    [1, 2],
    {},
    {"number": 1},
    None,
    "x",
    ["SPRING"],
    ["\x00"],
    ["a\x00b"],
    ["\ud800"],
    ["'; --"],
    ["z" * 60],
    ["z" * 61],
    ["", ""],
    ["a", "bridge"],
    ["\x00", "\x00"],
    ["a", "\ud800"],
    ["\uffff", "z" * 120],
    ["a" * 150, "b"],
    ["ﬀ", "x"],
    ["%", "_"],
)


def cursor(subject: Subject) -> str:
    """Where a list goes on, as nobody was told."""
    chance = subject.chance
    raw = json.dumps(chance.choice(_KEYS)).encode()
    form = chance.randrange(7)
    if form == 0:
        raw = raw[: chance.randrange(len(raw))]
    elif form == 1:
        raw = bytes(chance.randrange(256) for _ in range(chance.randrange(40)))
    elif form == 2:
        return values.hostile(chance)
    told = base64.urlsafe_b64encode(raw).decode()
    # A mark cannot be filled in once it is encoded: it is a text like another.
    return told.rstrip("=") if form == 3 else told + "=" * (form == 4)


def injection(subject: Subject) -> Case:
    """Attacks in a text of the body, in a part of the path, in the query or in a header."""
    chance, operation = subject.chance, subject.operation
    attack = values.hostile(chance)
    places: list[tuple[str, Any]] = []
    document = subject.document
    if isinstance(document, dict | list) and document:
        texts = [spot for spot, schema in edges.places(document, subject.schema) if spot and _takes_text(schema)]
        texts = texts or [spot for spot, _ in edges.places(document, subject.schema) if spot]
        places += [("body", spot) for spot in texts] * 2
    places += [("path", name) for name in operation.parameters]
    places += [("query", name) for name in operation.query]
    places += [("header", name) for name in ("X-Request-ID", "Idempotency-Key", "Authorization", "If-Match")][
        : 1 + (chance.random() < 0.3) * 3
    ]
    where, what = chance.choice(places)
    if where == "body":
        return subject.case("injection", document=edges.put(document, what, attack))
    if where == "path":
        return subject.case("injection", path={str(what): attack or " "})
    if where == "query":
        return subject.case("injection", query={**subject.base.query, str(what): attack})
    if not _can_be_sent(str(what), attack):
        return subject.case("injection", query={**subject.base.query, "x": attack})
    return subject.case("injection", headers={str(what): attack})


def _takes_text(schema: Any) -> bool:
    return any(each.get("type") == "string" for each in edges.options(schema))


def identity(subject: Subject) -> Case:
    """Another's things by one's own key, one's own by another's key or by none, and ids that are nobody's."""
    chance = subject.chance
    form = chance.randrange(5)
    caller = chance.choice(FOREIGN)
    path, document, asked = subject.path_names, subject.document, dict(subject.base.query)
    if form == 0:
        return subject.case("identity", caller=caller)
    if form in (1, 2):
        side = "other" if form == 1 or caller in ("theirs", "nobody") else "missing"
        caller = "own" if form == 1 and chance.random() < 0.6 else caller
        swapped = {name: value.replace("<<own.", f"<<{side}.") for name, value in path.items()}
        chosen = {name: swapped[name] for name in path if chance.random() < 0.7} or swapped
        if document is not None and chance.random() < 0.7:
            document = json.loads(json.dumps(document).replace("<<own.", f"<<{side}."))
        if chance.random() < 0.7:
            asked = {name: value.replace("<<own.", f"<<{side}.") for name, value in asked.items()}
        given: dict[str, Any] = {"document": document} if document is not None else {}
        return subject.case("identity", caller=caller, path=chosen, query=asked, **given)
    names = [name for name in path if name.endswith(("_id", "_ref", "_reference"))]
    if form == 3 and names:
        name = chance.choice(names)
        forged = values.identifier(chance, chance.choice([path[name], f"<<other.{name}>>", f"<<missing.{name}>>"]))
        return subject.case("identity", caller=chance.choice(["platform", "own", caller]), path={name: forged})
    return subject.case("identity", caller=caller, headers=_bad_authority(subject))


def _bad_authority(subject: Subject) -> Mapping[str, str]:
    chance = subject.chance
    secret = "chk_live_" + "".join(
        chance.choice("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789") for _ in range(43)
    )
    said = chance.choice(
        [
            f"Bearer {secret}",
            f"bearer {secret}",
            f"Bearer {secret[:-1]}",
            f"Bearer {secret} x",
            secret,
            f"Basic {secret}",
            f"Bearer\t{secret}",
            "Bearer null",
            f"Bearer {secret.upper()}",
            f"Bearer {secret}, Bearer {secret}",
            "Bearer é",
        ]
    )
    return {"Authorization": said}


def idempotency(subject: Subject) -> Case:
    """Keys that are none, and sound ones: what was answered under those is asked again (``keeping``)."""
    chance = subject.chance
    key = (
        chance.choice(_BAD_KEYS) if chance.random() < 0.5 else values.text(chance, chance.choice([1, 8, 199, 200, 201]))
    )
    if chance.random() < 0.4:
        key = f"corpus-{chance.randrange(10**9)}"
    if not _can_be_sent("K", key):
        key = "é"
    headers = [("Idempotency-Key", key)] * chance.choice([1, 1, 1, 2])
    if chance.random() < 0.3:
        headers.append(("idempotency-key", f"{key}x"))
    caller = chance.choice(["", "", "own", "owner"])
    return subject.case("idempotency-header", headers=headers, caller=caller)


def signature(subject: Subject) -> Case:
    """Deliveries that prove who sent them not at all, nearly, or rightly with nonsense in them."""
    chance = subject.chance
    provider = subject.base.headers["X-Sign-As"]
    headers: dict[str, str | None] = {"X-Sign-As": f"{provider} {chance.choice(sorted(signing.WAYS))}"}
    form = chance.randrange(3)
    if form == 0:
        return subject.case("signature", headers=headers)
    document = subject.document
    found = [each for each in edges.places(document, subject.schema) if each[0]]
    spot = chance.choice([*(spot for spot, _ in found), *_all_spots(document)])
    value = values.of_another_type(chance) if form == 1 else values.hostile(chance)
    headers = headers if chance.random() < 0.2 else {"X-Sign-As": f"{provider} rightly"}
    return subject.case("signature", headers=headers, document=edges.put(document, spot, value))


def _all_spots(document: Any, at: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    items = (
        document.items() if isinstance(document, dict) else enumerate(document) if isinstance(document, list) else ()
    )
    return [spot for name, value in items for spot in [(*at, name), *_all_spots(value, (*at, name))]]
