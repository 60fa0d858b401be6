"""Some of the corpus, and that it sees what is planted for it; ``make corpus`` sends all of it."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator

import pytest
from django.db import connection
from pytest_django.plugin import DjangoDbBlocker

from tests.corpus import drawing, framing, operations, proving, reports, running, shortening, stage
from tests.corpus.cases import Case
from tests.corpus.sending import Answer
from tests.corpus.stage import Stage
from tests.planted.bugs_of_doors import DOOR_BUGS, DoorBug
from tests.support import databases


@pytest.fixture(scope="module")
def built(database_server_url: str, django_db_blocker: DjangoDbBlocker) -> Iterator[Stage]:
    """One stage for all: whatever a case does is undone."""
    with django_db_blocker.unblock(), databases.cloned(database_server_url), stage.settled():
        logging.disable(logging.CRITICAL)
        yield stage.build()
        logging.disable(logging.NOTSET)


def test_sound_requests_and_one_that_is_not_of_each_endpoint(built: Stage) -> None:
    with running.Runner(built, seed=7) as runner:
        for operation in operations.operations().values():
            runner.run(operation, [*drawing.sound(operation), *drawing.cases(operation, 7, 1)])
    report = runner.report
    assert not report.told, "\n\n".join(report.told)
    assert set(report.refused) == reports.NEVER_SUCCEED
    assert report.cases > 250
    assert not connection.in_atomic_block


@pytest.mark.parametrize("bug", DOOR_BUGS, ids=lambda bug: bug.name)
def test_a_bug_is_seen(built: Stage, bug: DoorBug, monkeypatch: pytest.MonkeyPatch) -> None:
    bug.plant(monkeypatch)
    assert proving.broken(built, bug.operation, bug.families, kind=bug.kind)


def test_a_seed_draws_the_same_again_and_no_case_twice() -> None:
    operation = operations.operations()["postCoupons"]
    first, again, other = (list(drawing.cases(operation, seed, 200)) for seed in (3, 3, 4))
    assert first == again != other
    assert len({case.identity for case in first}) == 200


def test_the_least_of_a_case_is_told() -> None:
    case = Case(
        "x", "type", 0, "own", "POST", "/x", "a=1&b=2", (("A", "1"), ("B", "2")),
        json.dumps({"a": [1, {"b": "needle in hay"}], "c": 2}).encode(),
    )  # fmt: skip
    least = shortening.shortened(case, lambda tried: b"needle" in tried.body)
    assert (least.query, least.headers) == ("", ())
    assert json.loads(least.body) == {"a": [{"b": "needle"}]}


@pytest.mark.parametrize(
    ("status", "content", "changed", "kinds"),
    [
        (500, b"oops", [], ["5xx"]),
        (400, b"", [], []),
        (400, b"<h1>Bad</h1>", [], ["problem"]),
        (404, b"", [], ["problem"]),
        (200, b"{}", ["users"], ["changed"]),
        (422, b"", ["users"], ["changed", "problem"]),
    ],
)
def test_what_a_socket_may_not_hear(
    built: Stage, status: int, content: bytes, changed: list[str], kinds: list[str]
) -> None:
    read = operations.operations()["readOrganizationDetail"]
    answer = Answer(status, {"content-type": "text/html"}, content, "")
    found = framing.judged(read, b"GET /api/x HTTP/1.1\r\n", answer, changed)
    assert [each.kind for each in found] == kinds


def test_an_answer_is_read_from_its_bytes() -> None:
    answer = framing.read(b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\nX-A: b\r\n\r\n{}HTTP/1.1 200 OK\r\n")
    assert answer is not None
    assert (answer.status, answer.content, answer.headers["x-a"]) == (404, b"{}", "b")
    assert framing.read(b"") is None
