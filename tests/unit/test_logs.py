"""One line of JSON each, with who asked, and without what must not be there."""

import json
import logging
from collections.abc import Iterator
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from billing.infra import logs

KEY = "chk_9fQ2mX7aLw0ZtR4uVbN8cYhKe3Js6PdG"


class Lines(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(logs.JsonFormatter())
        self.written: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.written.append(self.format(record))

    @property
    def last(self) -> dict[str, object]:
        line: dict[str, object] = json.loads(self.written[-1])
        return line


@pytest.fixture
def lines() -> Iterator[Lines]:
    handler = Lines()
    root = logging.getLogger()
    level, root.level = root.level, logging.DEBUG
    root.addHandler(handler)
    yield handler
    root.removeHandler(handler)
    root.level = level


def test_an_event_is_one_line_with_its_fields(lines: Lines) -> None:
    organization = UUID("01890000-0000-7000-8000-000000000001")
    with logs.context(request="abc", organization_id=organization):
        logs.event("usage.recorded", meter="llm_tokens", quantity=Decimal("1.50"), flags=("a", "b"), note="two\nlines")
    assert "\n" not in lines.written[-1]
    line = lines.last
    assert str(line.pop("time")).endswith("Z")
    assert line == {
        "level": "info",
        "logger": "billing",
        "event": "usage.recorded",
        "component": "billing",
        "request_id": "abc",
        "organization": str(organization),
        "meter": "llm_tokens",
        "quantity": "1.50",
        "flags": ["a", "b"],
        "note": "two\nlines",
    }


def test_the_context_ends_with_its_block(lines: Lines) -> None:
    with pytest.raises(KeyError), logs.context(request="abc", organization_id="x"):
        raise KeyError
    logs.event("later")
    assert "request_id" not in lines.last
    assert "organization" not in lines.last


@pytest.mark.parametrize(
    "name",
    [
        "authorization",
        "Authorization",
        "api_key",
        "apiKey",
        "X-API-Key",
        "secret",
        "client_secret",
        "password",
        "email",
        "billing_email",
        "reset_token",
        "csrftoken",
        "Set-Cookie",
        "platform_key",
        "private_key",
        "signature",
    ],
)
def test_fields_with_secret_names_are_redacted_at_any_depth(lines: Lines, name: str) -> None:
    fields: Any = {name: "plain", "inner": [{name: {"deep": 1}}]}
    logs.event("x", **fields)
    assert lines.last[name] == logs.REDACTED
    assert lines.last["inner"] == [{name: logs.REDACTED}]


@pytest.mark.parametrize("name", ["llm_tokens", "idempotency_key", "key", "monkey", "author", "emailed_count_total"])
def test_names_that_only_resemble_secrets_are_kept(lines: Lines, name: str) -> None:
    fields: Any = {name: 5}
    logs.event("x", **fields)
    assert lines.last[name] == 5


@pytest.mark.parametrize(
    "text",
    [
        KEY,
        f"got {KEY}, refused",
        f"Bearer {KEY}",
        "authorization: Basic dXNlcjpwYXNzd29yZA==",
        "postgres://ada:hunter22@db.internal:5432/books",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhZGEifQ.c2lnbmF0dXJl",
        "written to ada.lovelace+x@mail.example.org today",
    ],
)
def test_values_that_look_secret_are_redacted_wherever_they_stand(lines: Lines, text: str) -> None:
    logs.event("x", note=text)
    logging.getLogger("some.library").warning("it said %s", text)
    for written in lines.written:
        assert logs.REDACTED in written
        for secret in (KEY, "dXNlcjpwYXNzd29yZA", "hunter22", "eyJhbGci", "lovelace"):
            assert secret not in written


@pytest.mark.parametrize(
    "text",
    ["billing:quota-exceeded:max_evaluations_per_month", "01890000-0000-7000-8000-000000000001", "/api/billing/plans"],
)
def test_ordinary_values_are_left_alone(lines: Lines, text: str) -> None:
    logs.event("x", note=text)
    assert lines.last["note"] == text


def test_an_exception_is_one_field_without_values_of_variables(lines: Lines) -> None:
    def fail(visible: str) -> None:
        hidden = "value-of-a-local-" + visible
        raise ValueError(f"bad input from ada@example.org of {len(hidden)} letters\nDETAIL:  Key (x)=(row value)")

    try:
        try:
            fail("of-an-argument")
        except ValueError as error:
            raise RuntimeError("wrapped") from error
    except RuntimeError as error:
        logs.event("failed", level=logging.ERROR, error=error)
    written = lines.written[-1]
    text = str(lines.last["exception"])
    assert text.index("RuntimeError: wrapped") < text.index("caused by ValueError: bad input")
    assert "test_logs.py" in text
    for leaked in ("value-of-a-local", "of-an-argument", "ada@example.org", "row value"):
        assert leaked not in written


def test_what_a_library_hangs_on_a_record_is_not_written(lines: Lines) -> None:
    logging.getLogger("django.db").warning(
        "slow", extra={"params": ("ada",), "sql": "SELECT 'ada'", "status_code": 500}
    )
    assert lines.last["status"] == 500
    assert "ada" not in lines.written[-1]


def test_a_field_cannot_forge_the_line_s_own(lines: Lines) -> None:
    logs.event("x", time="1970", request_id="forged", exception="none")
    assert str(lines.last["time"]) > "2000"
    assert "request_id" not in lines.last
    assert lines.last["request_id_"] == "forged"


def test_any_value_ends_up_as_bounded_json(lines: Lines) -> None:
    endless: list[object] = []
    endless.append(endless)
    logs.event(
        "x", number=float("nan"), text="a" * 100_000, cycle=endless, thing=object(), many=range(3), lone="\ud800"
    )
    assert len(lines.written[-1]) < 6_000
    assert lines.last["number"] == "nan"
    assert lines.last["thing"] == "object"


@pytest.mark.parametrize("text", ["Müller", "a\u2028b", "a\u0085b", "\u009b31m", "\u202e", "\ud800", "字"])
def test_whatever_is_said_the_line_is_one_and_ascii(lines: Lines, text: str) -> None:
    logs.event("odd.said", what=text, huge=2**200)
    written = lines.written[-1]
    assert written.isascii()
    assert len(written.splitlines()) == 1
    assert (lines.last["what"], lines.last["huge"]) == (text, 2**200)
