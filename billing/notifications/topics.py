"""What an endpoint subscribes to: topics by name, all below a prefix (``invoice.*``), or all (``*``)."""

from __future__ import annotations

import re
from collections.abc import Iterable

from billing.kernel.errors import Invalid

ALL = "*"
# Told to one endpoint on request, whatever it subscribed to.
TEST = "webhook.test"
PATTERNS_MAX = 50
LENGTH_MAX = 60
# Whether a topic is one of an endpoint's, in SQL: there it is asked, of many at once.
MATCH = """EXISTS (
    SELECT FROM unnest({patterns}) AS pattern
    WHERE pattern IN ('*', {topic}) OR (right(pattern, 2) = '.*' AND starts_with({topic}, left(pattern, -1)))
)"""
_PATTERN = re.compile(r"\*|[a-z0-9_]+(?:\.[a-z0-9_]+)*(?:\.\*)?", re.ASCII)


class InvalidTopics(Invalid):
    """Not a list of topics and patterns."""

    code = "invalid_topics"


def check(patterns: Iterable[str]) -> list[str]:
    """``patterns`` sorted and each once. Raises ``InvalidTopics``."""
    wanted = sorted(set(patterns))
    if not 1 <= len(wanted) <= PATTERNS_MAX:
        raise InvalidTopics(f"1 to {PATTERNS_MAX} topics; {ALL} for all.", field="topics")
    if any(len(each) > LENGTH_MAX or not _PATTERN.fullmatch(each) for each in wanted):
        raise InvalidTopics('A topic is like "invoice.issued", "invoice.*" or "*".', field="topics")
    return wanted
