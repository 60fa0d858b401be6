"""What guardrails raised has one shape; anything else is refused by name."""

from types import MappingProxyType
from typing import Any

import pytest

from billing.metering import flagging
from billing.metering.flagging import Guardrail, GuardrailInvalid


def test_codes_and_annotations_become_flags_and_a_payload() -> None:
    raised = flagging.read(
        [
            "Dose-Limit",
            {"code": "drift", "severity": "high", "subject": "probe 7", "detail": "0.3 K above"},
            Guardrail("drift", subject="probe 8"),
        ]
    )
    assert flagging.flags_of(raised) == ("dose_limit", "drift")
    assert flagging.payload_of(raised) == {
        "guardrails": [
            {"code": "dose_limit"},
            {"code": "drift", "severity": "high", "subject": "probe 7", "detail": "0.3 K above"},
            {"code": "drift", "subject": "probe 8"},
        ]
    }


def test_nothing_raised_leaves_nothing() -> None:
    assert (flagging.flags_of(()), flagging.payload_of(())) == ((), None)


@pytest.mark.parametrize(
    ("raised", "field"),
    [
        ([{"severity": "high"}], "guardrails[0]"),
        ([{"code": "a", "colour": "red"}], "guardrails[0]"),
        (["fine", {"code": "a", "severity": "terrible"}], "guardrails[1]"),
        ([{"code": 7}], "guardrails[0]"),
        ([{"code": "a", "subject": "x" * 201}], "guardrails[0]"),
        ([{"code": "a", "detail": "x" * 501}], "guardrails[0]"),
        ([{"code": "a", "detail": "\0"}], "guardrails[0].detail"),
        ([{"code": "a", "subject": "\ud800"}], "guardrails[0].subject"),
        ([""], "guardrails[0]"),
        (["x" * 61], "guardrails[0]"),
        (["7up"], "guardrails[0].code"),
        (["größe"], "guardrails[0].code"),
        ([7], "guardrails[0]"),
        ([None], "guardrails[0]"),
        ([["a"]], "guardrails[0]"),
        (["a"] * 21, "guardrails"),
    ],
)
def test_any_other_shape_is_refused(raised: list[Any], field: str) -> None:
    with pytest.raises(GuardrailInvalid) as refused:
        flagging.read(raised)
    assert (refused.value.code, refused.value.details["field"]) == ("guardrail_invalid", field)


def test_as_many_as_fit() -> None:
    assert len(flagging.flags_of(flagging.read([f"flag_{number}" for number in range(20)]))) == 20


def test_any_mapping_will_do_and_what_was_built_unchecked_is_checked() -> None:
    assert flagging.read([MappingProxyType({"code": "Drift"})]) == (Guardrail("drift"),)
    for unsound in (Guardrail("a", detail="x" * 501), Guardrail(7)):  # type: ignore[arg-type]
        with pytest.raises(GuardrailInvalid):
            flagging.read([unsound])


@pytest.mark.parametrize(
    ("raised", "message"),
    [
        (["a"] * 21, "At most 20 guardrails fit an event."),
        (["a", 7], "flags[1]: Expected `object`, got `int`"),
        (["7up"], "flags[0].code: must be letters of a to z, digits and '_', with a letter first"),
        ([{"code": "a", "detail": "\0"}], "flags[0].detail has a NUL or half a character"),
    ],
)
def test_it_says_what_is_wrong_and_where(raised: list[Any], message: str) -> None:
    with pytest.raises(GuardrailInvalid) as refused:
        flagging.read(raised, path="flags")
    assert refused.value.message == message


def test_a_code_has_sixty_characters_at_most() -> None:
    assert flagging.flags_of(flagging.read(["x" * 60])) == ("x" * 60,)
