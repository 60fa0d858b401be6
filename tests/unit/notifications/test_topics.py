import pytest

from billing.notifications import topics
from billing.notifications.topics import InvalidTopics


def test_topics_are_sorted_and_each_once() -> None:
    assert topics.check(["quota.*", "invoice.issued", "quota.*"]) == ["invoice.issued", "quota.*"]
    assert topics.check(["*"]) == ["*"]


@pytest.mark.parametrize(
    "patterns",
    [
        [],
        [""],
        ["**"],
        ["invoice*"],
        ["*.issued"],
        ["invoice.*.x"],
        ["invoice."],
        [".issued"],
        ["Invoice.issued"],
        ["invoice issued"],
        ["invoice.issued\n"],
        ["a" * 61],
        ["ınvoice.issued"],
        [f"t{number}" for number in range(51)],
    ],
    ids=repr,
)
def test_anything_else_is_refused_and_names_the_field(patterns: list[str]) -> None:
    with pytest.raises(InvalidTopics) as refusal:
        topics.check(patterns)
    assert refusal.value.details["field"] == "topics"
