"""Offers that could not be stored as they are, are refused before any book is opened."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from billing.metering.flaws import OWN_SOURCES, find_claim, find_flaw, is_storable
from billing.metering.offers import Offer
from billing.models import Organization

AT = datetime(2026, 3, 10, 12, tzinfo=UTC)
SOUND = Offer(Organization(slug="org"), "jobs", Decimal("1.5"), "key", occurred_at=AT)


def nested(depth: int) -> dict[str, Any]:
    inner: dict[str, Any] = {}
    for _ in range(depth - 1):
        inner = {"in": inner}
    return inner


def lists(depth: int) -> list[Any]:
    inner: list[Any] = []
    for _ in range(depth - 1):
        inner = [inner]
    return inner


@pytest.mark.parametrize(
    "fields",
    [
        {"key": "k" * 200},
        {"key": "ключ 鍵 🔑 \u202e\u0301"},
        {"key": " "},
        {"source": "https://example.org/a?b=c"},
        {"quantity": Decimal("0.000001")},
        {"quantity": Decimal("1000000000000")},
        {"quantity": Decimal("1E+3")},
        {"quantity": Decimal("1.0000000")},
        {"payload": {"a": [1, -2.5, True, None, "text", {"b": []}]}},
        {"payload": {}},
        {"payload": nested(60)},
        {"payload": {"a": lists(59)}},
        {"payload": {"a": 2**1024 - 1, "b": 1 - 2**1024, "c": ("a", 1)}},
        {"occurred_at": AT.astimezone(timezone(timedelta(hours=-7)))},
        {"guardrail_flags": ("pii", "x" * 60)},
        {"service": "x" * 60},
    ],
)
def test_what_can_be_stored_is_taken(fields: dict[str, Any]) -> None:
    assert find_flaw(replace(SOUND, **fields)) is None


@pytest.mark.parametrize(
    ("code", "fields"),
    [
        ("key_invalid", {"key": ""}),
        ("key_invalid", {"key": "k" * 201}),
        ("key_invalid", {"key": "a\0b"}),
        ("key_invalid", {"key": "\ud83d"}),
        ("source_invalid", {"source": ""}),
        ("source_invalid", {"source": "s" * 201}),
        ("source_invalid", {"source": "\0"}),
        ("service_invalid", {"service": "s" * 61}),
        ("service_invalid", {"service": "\0"}),
        ("guardrail_flags_invalid", {"guardrail_flags": ("fine", "f" * 61)}),
        ("guardrail_flags_invalid", {"guardrail_flags": ("",)}),
        ("meter_undeclared", {"meter": "\0"}),
        ("meter_undeclared", {"meter": "m" * 61}),
        ("quantity_invalid", {"quantity": Decimal(0)}),
        ("quantity_invalid", {"quantity": Decimal("-0.000001")}),
        ("quantity_invalid", {"quantity": Decimal("0.0000001")}),
        ("quantity_invalid", {"quantity": Decimal("1.0000005")}),
        ("quantity_invalid", {"quantity": Decimal("1000000000000.000001")}),
        ("quantity_invalid", {"quantity": Decimal("1E+400")}),
        ("quantity_invalid", {"quantity": Decimal("NaN")}),
        ("quantity_invalid", {"quantity": Decimal("sNaN")}),
        ("quantity_invalid", {"quantity": Decimal("Infinity")}),
        ("occurred_at_invalid", {"occurred_at": AT.replace(tzinfo=None)}),
        ("payload_invalid", {"payload": [1]}),
        ("payload_invalid", {"payload": {"a": float("nan")}}),
        ("payload_invalid", {"payload": {"a": float("inf")}}),
        ("payload_invalid", {"payload": {"a": object()}}),
        ("payload_invalid", {"payload": {"a": Decimal(1)}}),
        ("payload_invalid", {"payload": {"a": AT}}),
        ("payload_invalid", {"payload": {"a": "\0"}}),
        ("payload_invalid", {"payload": {"\ud800": 1}}),
        ("payload_invalid", {"payload": {"a": {1: 2}}}),
        ("payload_invalid", {"payload": {"a": 10**400}}),
        ("payload_invalid", {"payload": nested(61)}),
        ("payload_invalid", {"payload": {"a": lists(60)}}),
        ("payload_invalid", {"payload": {"a": 2**1024}}),
        ("payload_invalid", {"payload": {"a": -(2**1024)}}),
        ("payload_invalid", {"payload": {"a": ["b", "\0"]}}),
        ("payload_invalid", {"payload": {"\0": 1}}),
    ],
)
def test_what_cannot_be_stored_is_refused_by_field(code: str, fields: dict[str, Any]) -> None:
    flaw = find_flaw(replace(SOUND, **fields))
    assert flaw is not None
    assert flaw.code == code
    assert flaw.note == f"billing:error:{code.replace('_', '-')}"


def test_a_preview_needs_no_key() -> None:
    assert find_flaw(replace(SOUND, key=""), is_preview=True) is None


def test_an_instant_is_the_same_content_with_any_offset() -> None:
    elsewhere = replace(SOUND, occurred_at=AT.astimezone(timezone(timedelta(hours=5, minutes=30))))
    assert elsewhere.fingerprint() == SOUND.fingerprint()
    assert replace(SOUND, occurred_at=AT + timedelta(microseconds=1)).fingerprint() != SOUND.fingerprint()


@given(st.text(max_size=210))
def test_what_is_called_storable_can_be_encoded(text: str) -> None:
    if is_storable(text, 200):
        assert len(text) <= 200
        assert text.encode().decode() == text
        assert b"\0" not in text.encode()


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=50)
@given(st.dictionaries(st.text(max_size=3), VALUES, max_size=3))
def test_a_payload_without_a_flaw_has_one_fingerprint(payload: dict[str, Any]) -> None:
    offer = replace(SOUND, payload=payload)
    if find_flaw(offer) is None:
        assert offer.fingerprint() == replace(SOUND, payload=dict(reversed(payload.items()))).fingerprint()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"key": ""}, "key must have 1 to 200 characters, without NUL or half a character."),
        ({"source": ""}, "source must have 1 to 200 characters, without NUL or half a character."),
        ({"guardrail_flags": ("",)}, "guardrail_flags must have 1 to 60 characters, without NUL or half a character."),
        ({"meter": "\0"}, "No such event is declared."),
        ({"service": "\0"}, "service has at most 60 characters, without NUL or half a character."),
        ({"quantity": Decimal("NaN")}, "The quantity is not a finite number."),
        ({"quantity": Decimal("0.0000001")}, "The quantity has more than 6 decimal places."),
        ({"quantity": Decimal(0)}, "The quantity must be more than 0."),
        ({"occurred_at": AT.replace(tzinfo=None)}, "occurred_at needs an offset."),
        ({"payload": [1]}, "The payload must be a JSON object: text, finite numbers, true, false, null."),
    ],
)
def test_a_refusal_says_why(fields: dict[str, Any], message: str) -> None:
    flaw = find_flaw(replace(SOUND, **fields))
    assert flaw is not None
    assert flaw.message == message


def test_what_is_our_own_comes_from_nowhere_else() -> None:
    assert {"reservation", "guardrail"} == OWN_SOURCES
    for source in OWN_SOURCES:
        claim = find_claim(replace(SOUND, source=source))
        assert claim == (
            "source_invalid",
            "billing:error:source-invalid",
            f"The source {source!r} is our own.",
            "",
            0,
            "",
        )
    assert find_claim(SOUND) is None
