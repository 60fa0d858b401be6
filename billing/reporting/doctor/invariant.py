"""What an invariant is: a name, a sentence, a hint, and one query that returns the rows that break it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from uuid import UUID

_OF = re.compile(r":of\((\w+)\)")


@dataclass(frozen=True, slots=True)
class Invariant:
    """``sql`` selects the offending rows and nothing else.

    ``:of(alias)`` in it stands for "rows of the organization in question", so that one organization is looked at
    through its indexes, and all of them by one pass over each table. One statement sees one snapshot, and every
    operation commits whole, so work going on meanwhile raises no false alarm.
    """

    name: str
    sentence: str
    hint: str
    sql: str
    # Numbers run across organizations, so there is nothing to say about one alone.
    is_global: bool = False

    def query(self, organization_id: UUID | None) -> str:
        term = "TRUE" if organization_id is None else r"\1.organization_id = %(organization_id)s"
        return _OF.sub(term, self.sql)
