"""What guardrails raised has one shape; anything else is refused by name."""

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
