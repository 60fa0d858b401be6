"""What is wrong is refused with its field named, and nothing is written; never a 500."""

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.api import Answer, World, rows

ACME = "/billing/organizations/acme"
Target = tuple[Callable[[World], str], dict[str, Any]]

USAGE: Target = (lambda world: "/billing/usage", {"organization": "acme", "meter": "tokens", "quantity": "1"})
CHECK: Target = (lambda world: f"{ACME}/quotas/check", {"event": "tokens", "quantity": "1", "record_usage": True})
ADJUST: Target = (
    lambda world: f"/billing/subscriptions/{world.subscription.id}/credits/adjust",
    {"credits": "1", "reason": "because"},
)
PLAN: Target = (lambda world: f"{ACME}/subscription", {"plan_code": "scale"})
TARGETS: dict[str, Target] = {
    "usage": USAGE,
    "batch": (lambda world: "/billing/usage", {"organization": "acme", "events": [{"meter": "tokens", "quantity": 1}]}),
    "check": CHECK,
    "adjust": ADJUST,
    "plan": PLAN,
    "provision": (lambda world: f"{ACME}/subscriptions", {"plan_code": "scale"}),
    "cancel": (lambda world: f"/billing/subscriptions/{world.subscription.id}/cancel", {}),
    "activate": (lambda world: f"/billing/subscriptions/{world.subscription.id}/activate", {}),
    "draft": (lambda world: f"/billing/subscriptions/{world.subscription.id}/invoices/draft", {}),
    "clock": (lambda world: f"{ACME}/clock/advance", {"to": "2023-12-01T00:00:00Z"}),
    "organization": (lambda world: "/billing/organizations", {"slug": "fresh", "name": "Fresh"}),
    "key": (lambda world: f"{ACME}/keys", {"name": "k", "scopes": ["read"]}),
    "coupon": (lambda world: "/billing/coupons", {"code": "SPRING", "name": "Spring", "percent": "10"}),
    "redeem": (lambda world: f"/billing/subscriptions/{world.subscription.id}/discount", {"code": "SPRING"}),
}
# Each of these has a field that takes text, to put bad text into.
TEXT_FIELD = {
    "usage": "meter",
    "check": "event",
    "adjust": "reason",
    "plan": "plan_code",
    "provision": "plan_code",
    "cancel": "reason",
    "organization": "name",
    "key": "name",
    "coupon": "name",
    "redeem": "code",
    "clock": "to",
    "draft": "period",
}


def refused(world: World, name: str, raw: bytes, **options: str) -> Answer:
    """What the platform's key, which may do everything, is answered; nothing is written."""
    before = rows()
    answer = world.platform.post(TARGETS[name][0](world), raw, **options)
    assert 400 <= answer.status < 500, answer
    assert rows() == before
    return answer


def with_text(name: str, raw_value: str) -> bytes:
    """The valid body with a raw JSON value in its text field."""
    body = {**TARGETS[name][1], TEXT_FIELD[name]: "@"}
    return json.dumps(body).replace('"@"', raw_value).encode("utf-8", "surrogatepass")


@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"{", 400),
        (b"{}}", 400),
        (b"'a'", 400),
        (b"{'a': 1}", 400),
        (b"\xff\xfe", 400),
        (b'{"a": "\xed\xa0\x80"}', 400),
        (b"\xef\xbb\xbf{}", 400),
        (b'{"a": "\x00"}', 400),
        (b'{"a": 1, "a": 1}', 400),
        (b'{"x": ' + b"[" * 33 + b"]" * 33 + b"}", 400),
        (b"[" * 100_000, 400),
        (b'{"x":' * 50_000, 400),
        (b"[]", 422),
        (b"null", 422),
        (b"1", 422),
        (b'"text"', 422),
        (b'{"no_such_field": 1}', 422),
        (b'{"\\u0000": 1}', 422),
        (b'{"\\ud800": 1}', 422),
        (b'{"a": NaN}', 422),
        (b'{"a": 1e999999}', 422),
        (b'{"a": ' + b"9" * 5000 + b"}", 422),
        (b'{"a": "' + b"x" * 1_000_001 + b'"}', 413),
    ],
)
def test_what_is_no_such_request_at_all(world: World, name: str, raw: bytes, status: int) -> None:
    assert refused(world, name, raw).status == status


@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/x-www-form-urlencoded", "", "application/json; charset=latin-1"]
)
def test_another_content_type(world: World, name: str, content_type: str) -> None:
    raw = json.dumps({**TARGETS[name][1], "a": 1}).encode()
    assert refused(world, name, raw, content_type=content_type).status == 415


@pytest.mark.parametrize("name", TEXT_FIELD)
@pytest.mark.parametrize("value", [r'"a\u0000b"', r'"\ud800"', r'"\udc00\ud800"', "1", "true", "[]", "{}", "1.5"])
def test_text_that_is_none(world: World, name: str, value: str) -> None:
    answer = refused(world, name, with_text(name, value))
    assert (answer.status, answer.fields) == (422, [TEXT_FIELD[name]])


@pytest.mark.parametrize("name", [name for name in TARGETS if TARGETS[name][1]])
def test_each_missing_field(world: World, name: str) -> None:
    for field in TARGETS[name][1].keys() - {"organization", "record_usage"}:
        body = {key: value for key, value in TARGETS[name][1].items() if key != field}
        if (name, field) in {("check", "quantity"), ("batch", "events")}:
            continue
        answer = refused(world, name, json.dumps(body).encode())
        assert answer.status == 422
        assert answer.fields == [{"event": "entitlement"}.get(field, field)]


QUANTITIES = [
    "-1", "0", "0.0000001", "1000000000001", "1" + "0" * 30, "NaN", "Infinity", "-Infinity", "1_0", "\uff11\uff10",
    " 1", "1 ", "+1", "1e3", "1E3", "0x10", "1,5", "", ".5", "5.", "--1", "1" * 400, "\u0661",
]  # fmt: skip


@pytest.mark.parametrize("name", ["usage", "check"])
def test_a_quantity_that_got_lost(world: World, name: str) -> None:
    answer = refused(world, name, json.dumps({**TARGETS[name][1], "quantity": None}).encode())
    assert (answer.status, answer.fields) == (422, ["quantity"])


@pytest.mark.parametrize("text", QUANTITIES)
@pytest.mark.parametrize("name", ["usage", "check"])
def test_a_quantity_as_text(world: World, name: str, text: str) -> None:
    answer = refused(world, name, json.dumps({**TARGETS[name][1], "quantity": text}).encode())
    assert (answer.status, answer.fields) == (422, ["quantity"])


@pytest.mark.parametrize("text", [each for each in QUANTITIES if each != "-1"])
def test_credits_as_text(world: World, text: str) -> None:
    answer = refused(world, "adjust", json.dumps({**ADJUST[1], "credits": text}).encode())
    assert (answer.status, answer.fields) == (422, ["credits"])


@pytest.mark.parametrize(
    "number",
    ["-1", "0", "0.0", "-0.0", "1e3", "1E+2", "1e-7", "0.0000001", "1000000000001", "NaN", "Infinity", "-Infinity",
     "1e999999999", "9" * 5000, "0." + "9" * 5000, "true", "null", "[]", "{}"],
)  # fmt: skip
def test_a_quantity_as_a_number(world: World, number: str) -> None:
    body = json.dumps({**USAGE[1], "quantity": "@"}).replace('"@"', number).encode()
    answer = refused(world, "usage", body)
    assert (answer.status, answer.fields) == (422, ["quantity"])
    batch = json.dumps({"organization": "acme", "events": [{"meter": "tokens", "quantity": 1}, json.loads("0")]})
    raw = batch.replace(", 0]", ', {"meter": "tokens", "quantity": ' + number + "}]").encode()
    answer = refused(world, "batch", raw)
    assert (answer.status, answer.fields) == (422, ["events[1].quantity"])


@pytest.mark.parametrize(
    "time",
    [
        "2023-11-17T10:00:00", "2023-11-17", "2023-11-17 10:00:00Z", "2023-13-01T00:00:00Z", "2023-02-29T00:00:00Z",
        "2023-11-17T24:00:00Z", "2023-11-17T10:00:60Z", "2023-11-17T10:00Z", "2023-11-17T10:00:00+24:00",
        "2023-11-17T10:00:00+0100", "2023-11-17T10:00:00.Z", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z",
        "\uff12023-11-17T10:00:00Z", "1700000000", "now", "", "1969-12-31T23:59:59Z", "2023-11-17T10:00:00 Z",
    ],
)  # fmt: skip
@pytest.mark.parametrize(("name", "field"), [("usage", "occurred_at"), ("clock", "to"), ("plan", "starts_at")])
def test_a_time(world: World, name: str, field: str, time: str) -> None:
    answer = refused(world, name, json.dumps({**TARGETS[name][1], field: time}).encode())
    assert (answer.status, answer.fields) == (422, [field])


@pytest.mark.parametrize(
    ("name", "changes", "status", "field"),
    [
        ("usage", {"meter": "undeclared"}, 422, "meter"),
        ("usage", {"meter": ""}, 422, "meter"),
        ("usage", {"meter": "m" * 61}, 422, "meter"),
        ("usage", {"occurred_at": "2023-10-13T11:59:59Z"}, 422, "occurred_at"),
        ("usage", {"occurred_at": "2023-11-17T12:05:01Z"}, 422, "occurred_at"),
        ("usage", {"organization": None}, 422, "organization"),
        ("usage", {"organization": ""}, 422, "organization"),
        ("usage", {"idempotency_key": ""}, 422, "idempotency_key"),
        ("usage", {"idempotency_key": "k" * 201}, 422, "idempotency_key"),
        ("usage", {"source": ""}, 422, "source"),
        ("usage", {"service": "s" * 61}, 422, "service"),
        ("usage", {"guardrail_flags": "flag"}, 422, "guardrail_flags"),
        ("usage", {"guardrail_flags": ["f"] * 21}, 422, "guardrail_flags"),
        ("usage", {"guardrail_flags": [1]}, 422, "guardrail_flags[0]"),
        ("usage", {"payload": []}, 422, "payload"),
        ("usage", {"payload": {"a": {"b": ["x", "\x00"]}}}, 422, "payload.a.b[1]"),
        ("batch", {"events": []}, 422, "events"),
        ("batch", {"events": {}}, 422, "events"),
        ("batch", {"events": [{"meter": "tokens", "quantity": 1}] * 1001}, 422, "events"),
        ("batch", {"events": [{"meter": "tokens", "quantity": 1}, {"quantity": 1}]}, 422, "events[1].meter"),
        ("batch", {"events": [{"meter": "tokens", "quantity": 1, "x": 1}]}, 422, "events[0].x"),
        ("batch", {"organization": None}, 422, "organization"),
        ("check", {"entitlement": "max_cases"}, 422, "event"),
        ("check", {"event": "undeclared"}, 422, "event"),
        ("check", {"event": ""}, 422, "event"),
        ("check", {"record_usage": "yes"}, 422, "record_usage"),
        ("check", {"record_usage": 1}, 422, "record_usage"),
        ("adjust", {"credits": 1e13}, 422, "credits"),
        ("adjust", {"reason": ""}, 422, "reason"),
        ("adjust", {"reason": "   "}, 422, "reason"),
        ("adjust", {"reason": "r" * 501}, 422, "reason"),
        ("adjust", {"kind": "allowance"}, 422, "kind"),
        ("adjust", {"credits": "-1", "kind": "purchase"}, 422, "kind"),
        ("adjust", {"expires_at": "2023-11-17T12:00:00Z"}, 422, "expires_at"),
        ("adjust", {"credits": "-1", "expires_at": "2024-01-01T00:00:00Z"}, 422, "expires_at"),
        ("adjust", {"credits": "-1000"}, 402, None),
        ("plan", {"plan_code": "no-such-plan"}, 422, "plan_code"),
        ("plan", {"plan_code": "p" * 61}, 422, "plan_code"),
        ("plan", {"version": 1}, 422, "subscription_id"),
        ("plan", {"version": 0, "subscription_id": "x"}, 422, None),
        ("plan", {"subscription_id": "x"}, 422, "subscription_id"),
        ("plan", {"subscription_id": "{0190a1b2-0000-7000-8000-000000000000}"}, 422, "subscription_id"),
        ("plan", {"status": "emperor"}, 409, None),
        ("cancel", {"version": "1"}, 422, "version"),
        ("cancel", {"version": 2**70}, 422, "version"),
        ("cancel", {"version": 99}, 409, None),
        ("draft", {"period": "0190a1b2-0000-7000-8000-000000000000"}, 422, "period"),
        ("activate", {"version": True}, 422, "version"),
        ("clock", {"to": "2023-11-17T11:59:59Z"}, 422, "to"),
        ("clock", {"to": "2023-11-17T12:00:00Z"}, 422, "to"),
        ("clock", {"to": "2100-01-01T00:00:00Z"}, 422, "to"),
        ("organization", {"slug": "Fresh"}, 422, "slug"),
        ("organization", {"slug": "acme"}, 409, "slug"),
        ("organization", {"external_id": "crm:acme"}, 409, "external_id"),
        ("organization", {"zone": "Mars/Olympus"}, 422, "zone"),
        ("organization", {"currency": "XXX"}, 422, "currency"),
        ("organization", {"residency_region": "EU"}, 422, "residency_region"),
        ("organization", {"billing_email": "x"}, 422, "billing_email"),
        ("organization", {"is_sandbox": True}, 422, "clock_at"),
        ("organization", {"clock_at": "2023-01-01T00:00:00Z"}, 422, "clock_at"),
        ("organization", {"name": "n" * 255}, 422, "name"),
        ("key", {"scopes": []}, 422, "scopes"),
        ("key", {"scopes": ["credits"]}, 422, "scopes"),
        ("key", {"scopes": ["read", 1]}, 422, "scopes[1]"),
        ("key", {"scopes": "read"}, 422, "scopes"),
        ("key", {"expires_at": "2020-01-01T00:00:00Z"}, 422, "expires_at"),
    ],
)
def test_a_field(world: World, name: str, changes: dict[str, Any], status: int, field: str | None) -> None:
    answer = refused(world, name, json.dumps({**TARGETS[name][1], **changes}).encode())
    assert answer.status == status, answer
    assert field is None or answer.fields == [field]


LISTS = {
    "subscriptions": lambda world: f"{ACME}/subscriptions",
    "ledger": lambda world: f"/billing/subscriptions/{world.subscription.id}/credits/ledger",
    "invoices": lambda world: f"/billing/subscriptions/{world.subscription.id}/invoices",
}


@pytest.mark.parametrize("name", LISTS)
@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=foo", "limit"),
        ("limit=0", "limit"),
        ("limit=-1", "limit"),
        ("limit=201", "limit"),
        ("limit=1_0", "limit"),
        ("limit=%EF%BC%91", "limit"),
        ("limit=1e1", "limit"),
        ("limit=", "limit"),
        ("limit=1&limit=2", "limit"),
        ("cursor=x", "cursor"),
        ("cursor=%00", None),
        ("cursor=bnVsbA==", "cursor"),
        ("cursor=WzFd WzJd", "cursor"),
        ("cursor=WyIyMDIzLTAxLTAxVDAwOjAwOjAwIiwiMSJd", "cursor"),
        ("cursor=%E2%82%AC", "cursor"),
        ("cursor=" + "W1tb" * 60, "cursor"),
        ("cursor=" + "a" * 301, "cursor"),
        ("offset=5", "offset"),
        ("%00=1", None),
        ("%ff=1", None),
        ("a=1&" * 60, None),
    ],
)
def test_a_query(world: World, name: str, query: str, field: str | None) -> None:
    answer = world.own.get(f"{LISTS[name](world)}?{query}")
    assert answer.status in (400, 422), answer
    assert field is None or answer.fields == [field]


@pytest.mark.parametrize("reference", ["nobody", "%00", "%ff", "a" * 5000, "..%2Facme", "%F0%9F%92%A9", "ACME"])
def test_an_unknown_organization(world: World, reference: str) -> None:
    for tail in ("", "/subscription", "/subscriptions", "/keys", "/usage"):
        answer = world.platform.get(f"/billing/organizations/{reference}{tail}")
        assert (answer.status, answer.code) == (404, "not_found")
    assert world.platform.post("/billing/usage", {**USAGE[1], "organization": "nobody"}).status == 404


@pytest.mark.parametrize("reference", ["x", "%00", "1", "0190a1b2-0000-7000-8000-000000000000", "%ff", "a" * 3000])
def test_an_unknown_id(world: World, reference: str) -> None:
    for tail in ("", "/invoices", "/invoices/preview", "/credits", "/credits/ledger"):
        assert world.platform.get(f"/billing/subscriptions/{reference}{tail}").status == 404
    for tail in ("/cancel", "/activate", "/invoices/draft"):
        assert world.platform.post(f"/billing/subscriptions/{reference}{tail}").status == 404
    assert world.platform.get(f"/billing/invoices/{reference}").status == 404
    assert world.platform.post(f"/billing/invoices/{reference}/issue").status == 404
    assert world.platform.delete(f"{ACME}/keys/{reference}").status == 404


@pytest.mark.parametrize(
    "header",
    ["x", '"1"', '"x.1"', '"0190a1b2-0000-7000-8000-000000000000.0"', '"0190a1b2-0000-7000-8000-000000000000"'],
)
def test_an_if_match_that_is_no_etag(world: World, header: str) -> None:
    answer = world.own.post(f"{ACME}/subscription", {"plan_code": "scale"}, if_match=header)
    assert (answer.status, answer.fields) == (422, ["If-Match"])


@pytest.mark.parametrize("key", ["", " ", "a b", "k" * 201, "\u00e9", "a\tb"])
def test_an_idempotency_key_that_is_none(world: World, key: str) -> None:
    before = rows()
    answer = world.own.post("/billing/usage", {"meter": "tokens", "quantity": 1}, idempotency_key=key)
    assert (answer.status, answer.fields) == (422, ["Idempotency-Key"])
    answer = world.own.post(f"{ACME}/subscription", {"plan_code": "scale"}, idempotency_key=key)
    assert (answer.status, answer.fields) == (422, ["Idempotency-Key"])
    assert rows() == before


def test_a_body_of_exactly_the_limit_is_read(world: World) -> None:
    body = {"meter": "free_form", "quantity": "1", "payload": {"text": ""}}
    room = 1_000_000 - len(json.dumps(body))
    body["payload"] = {"text": "x" * room}
    raw = json.dumps(body).encode()
    assert len(raw) == 1_000_000
    assert world.own.post("/billing/usage", raw).status == 201
    assert world.own.post("/billing/usage", raw + b" ").status == 413


def test_a_batch_of_exactly_the_limit_is_read(world: World) -> None:
    events = [{"meter": "free_form", "quantity": "1", "idempotency_key": str(n)} for n in range(1000)]
    answer = world.own.post("/billing/usage", {"events": events})
    assert answer.status == 200
    assert {each["status"] for each in answer.json["results"]} == {"accepted"}


def test_nesting_of_exactly_the_limit_is_read(world: World) -> None:
    nested = b"[" * 30 + b"]" * 30
    raw = b'{"meter": "free_form", "quantity": 1, "payload": {"x": ' + nested + b"}}"
    assert world.own.post("/billing/usage", raw).status == 201
    assert world.own.post("/billing/usage", raw.replace(b"[]", b"[[]]")).status == 400


def test_a_cursor_of_a_zone_that_is_nowhere_is_an_instant_all_the_same(world: World) -> None:
    # PostgreSQL knows no zone a day away. All was asked for before then, so everything is listed.
    key = b'["2199-12-31T23:59:59-23:59","0190a1b2-0000-7000-8000-000000000000"]'
    answer = world.platform.get(f"/billing/invoices?cursor={base64.urlsafe_b64encode(key).decode()}")
    assert answer.status == 200, answer.json
