"""docs/security.md: each requirement once, with a test that is there, a reason, or what is missing."""

import re
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "security.md").read_text()
ROWS = re.findall(r"^\| (\d[\d., ]*) \| (\S+) \| (.+) \|$", PAGE, re.MULTILINE)
# How many requirements of levels 1 and 2 each section has; a chapter that is not ours at all stands as one line.
COUNTS = {
    "1.1": 2, "1.2": 9, "1.3": 11, "1.4": 3, "1.5": 2, "2.1": 3, "2.2": 3, "2.3": 4, "2.4": 1, "3.2": 2, "3.3": 4,
    "3.4": 6, "3.5": 5, "3.7": 2, "4.1": 3, "4.2": 1, "4.3": 2, "4.4": 4, "5.1": 1, "5.2": 3, "5.3": 2, "5.4": 3,
    "6.1": 3, "6.2": 12, "6.3": 4, "6.4": 4, "6.5": 5, "6.6": 3, "6.8": 4, "7.1": 3, "7.2": 4, "7.3": 2, "7.4": 5,
    "7.5": 2, "7.6": 2, "8.1": 2, "8.2": 3, "8.3": 1, "8.4": 1, "9.1": 3, "9.2": 4, "11.1": 2, "11.2": 3, "11.3": 3,
    "11.4": 4, "11.5": 1, "11.6": 1, "12.1": 3, "12.2": 2, "12.3": 4, "13.1": 1, "13.2": 5, "13.3": 2, "13.4": 5,
    "14.1": 2, "14.2": 4, "14.3": 3, "15.1": 3, "15.2": 3, "15.3": 7, "16.1": 1, "16.2": 5, "16.3": 4, "16.4": 3,
    "16.5": 3,
}  # fmt: skip
WHOLE = {"10", "17"}
STATES = {"held", "part", "open", "n/a"}


def test_each_requirement_stands_there_once() -> None:
    numbers = [number for listed, _, _ in ROWS for number in listed.split(", ")]
    assert [number for number, count in Counter(numbers).items() if count > 1] == []
    assert {number for number in numbers if "." not in number} == WHOLE
    found = Counter(number.rpartition(".")[0] for number in numbers if "." in number)
    assert found == COUNTS


@pytest.mark.parametrize(("listed", "state", "text"), ROWS, ids=[listed for listed, _, _ in ROWS])
def test_what_it_says_is_there(listed: str, state: str, text: str) -> None:
    assert state in STATES
    tests = re.findall(r"`([\w/]+\.py)::(\w+)`", text)
    assert tests or state != "held", "a line that is held names its test"
    assert len(re.sub(r"`[^`]*`", "", text)) > 5 or state == "held", "a line says why, or what is missing"
    for file, name in tests:
        assert f"def {name}(" in (ROOT / "tests" / file).read_text(), f"{file} has no {name}"
