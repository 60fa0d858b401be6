"""The least of a case that still shows what was found."""

from __future__ import annotations

import copy
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from tests.corpus.cases import Case, encoded

SECONDS = 5.0


def shortened(case: Case, is_found: Callable[[Case], bool]) -> Case:
    """Leaves out headers, parameters, fields and letters for as long as it is still found."""
    until = time.monotonic() + SECONDS
    changed = True
    while changed and time.monotonic() < until:
        changed = False
        for smaller in _smaller(case):
            if time.monotonic() > until:
                break
            if is_found(smaller):
                case, changed = smaller, True
                break
    return case


def _smaller(case: Case) -> Iterator[Case]:
    for index in range(len(case.headers)):
        yield replace(case, headers=case.headers[:index] + case.headers[index + 1 :])
    pairs = case.query.split("&") if case.query else []
    for index in range(len(pairs)):
        yield replace(case, query="&".join(pairs[:index] + pairs[index + 1 :]))
    if not case.body:
        return
    yield replace(case, body=b"")
    try:
        document = json.loads(case.body)
    except (ValueError, RecursionError):
        yield from _fewer_bytes(case)
        return
    for less in _less(document):
        raw = encoded(less)
        if len(raw) < len(case.body):
            yield replace(case, body=raw)


def _fewer_bytes(case: Case) -> Iterator[Case]:
    size = len(case.body) // 2
    while size:
        for start in range(0, len(case.body), size):
            yield replace(case, body=case.body[:start] + case.body[start + size :])
        size //= 4


def _less(value: Any) -> Iterator[Any]:
    """The same document with one thing less in it."""
    if isinstance(value, dict):
        for name in value:
            yield {each: held for each, held in value.items() if each != name}
        for name, held in value.items():
            for less in _less(held):
                smaller = copy.copy(value)
                smaller[name] = less
                yield smaller
    elif isinstance(value, list):
        for index, held in enumerate(value):
            yield value[:index] + value[index + 1 :]
            for less in _less(held):
                yield [*value[:index], less, *value[index + 1 :]]
    elif isinstance(value, str) and len(value) > 1:
        yield value[: len(value) // 2]
        yield value[len(value) // 2 :]
        yield value[1:]
        yield value[:-1]
