"""What an invariant is: a name, a sentence, a hint, and one question that returns the rows that break it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

# Sealed history is compared with its digests in so many turns: each piece of it once a day by an hourly verification.
TURNS = 24

_OF = re.compile(r":of\((\w+)\)")
_OPEN = re.compile(r":open\((\w+)\)")
_EVENTS = re.compile(r":events\((\w+)\)")
_TURN = re.compile(r":turn\(([\w.]+)\)")
# One index range per subscription, however much lies before it: without OFFSET the planner may choose to read all.
_OPEN_EVENTS = """(
    SELECT used.* FROM billing_open_use AS open_use
    CROSS JOIN LATERAL (
        SELECT * FROM marketplace_usage_events AS told
        WHERE told.subscription_id = open_use.subscription_id AND told.occurred_at >= open_use.since_at OFFSET 0
    ) AS used
) AS \\1"""
_OPEN_ROWS = (
    r"EXISTS (SELECT FROM billing_open_use WHERE billing_open_use.subscription_id = \1.subscription_id"
    r" AND \1.starts_at >= billing_open_use.since_at)"
)


@dataclass(frozen=True, slots=True)
class Scope:
    """What is asked about: one organization's books or (None) all, whole or what is open of them, and whose ``turn`` it
    is to be compared with its digest."""

    organization_id: UUID | None = None
    is_whole: bool = True
    turn: int = 0

    @property
    def parameters(self) -> dict[str, UUID | int | None]:
        return {"organization_id": self.organization_id, "turn": self.turn, "turns": TURNS}


@dataclass(frozen=True, slots=True)
class Invariant:
    """``sql`` selects the offending rows and nothing else.

    Terms in it say what is asked about:

    - ``:of(alias)``: rows of the organization in question, so that one organization is looked at through its indexes,
      and all of them by one pass over each table;
    - ``:events(alias)``: the usage events, or those that stand behind what is sealed of their subscription;
    - ``:open(alias)``: whether a row (with ``subscription_id`` and ``starts_at``) begins behind that;
    - ``:turn(column)``: whether it is this one's turn among what is compared with digests.

    One statement sees one snapshot, and every operation commits whole, so work going on meanwhile raises no false
    alarm. It takes no lock that a writer waits for.
    """

    name: str
    sentence: str
    hint: str
    sql: str
    # Numbers run across organizations, so there is nothing to say about one alone.
    is_global: bool = False
    # Only all of history answers it; what is open is held to it by another one.
    is_whole_only: bool = False

    def query(self, scope: Scope) -> str:
        of = "TRUE" if scope.organization_id is None else r"\1.organization_id = %(organization_id)s"
        sql = _OF.sub(of, self.sql)
        sql = _EVENTS.sub(r"marketplace_usage_events AS \1" if scope.is_whole else _OPEN_EVENTS, sql)
        sql = _OPEN.sub("TRUE" if scope.is_whole else _OPEN_ROWS, sql)
        turn = "TRUE" if scope.is_whole else r"abs(hashtext(\1::text)::bigint) %% %(turns)s = %(turn)s"
        return _TURN.sub(turn, sql)


@dataclass(frozen=True, slots=True)
class Check:
    """An invariant that takes more than one query: ``find`` yields the offending rows, over all books."""

    name: str
    sentence: str
    hint: str
    find: Callable[[], Iterable[Mapping[str, Any]]]
    is_global: bool = True
    is_whole_only: bool = False
