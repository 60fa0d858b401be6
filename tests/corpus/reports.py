"""What was sent and what was found, as one process tells another: nothing here needs Django."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

# What is promised: no crash; nothing of what is inside; nothing written by a refusal; whole problem details; nothing of
# another organization, and nothing for a stranger; only what is documented, either way; what was sent is what is kept;
# and a request that is sent again is answered again.
KINDS = ("5xx", "leak", "changed", "problem", "foreign", "stranger", "undocumented", "accepted", "kept", "twice")
# Their sound requests are refused by the plans of the tests, which do not list the event.
NEVER_SUCCEED = frozenset({"postMoveCase"})


@dataclass
class Report:
    """What was sent and found. ``told`` are findings of each kind and endpoint once, shortened."""

    seed: int
    families: Counter[str] = field(default_factory=Counter)
    statuses: Counter[str] = field(default_factory=Counter)
    # What was sent byte by byte, by status, "closed" without one.
    sockets: Counter[str] = field(default_factory=Counter)
    endpoints: Counter[str] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    compared: int = 0
    # Sound requests that did not succeed.
    refused: list[str] = field(default_factory=list)
    told: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def cases(self) -> int:
        return self.families.total() + self.sockets.total()


@dataclass
class Outcome:
    """What became of the requests of one server: ``answers`` by status, or "closed"."""

    answers: Counter[str] = field(default_factory=Counter)
    endpoints: Counter[str] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    told: list[str] = field(default_factory=list)


def merge(reports: Sequence[Report]) -> Report:
    """As if one had done it all."""
    whole = Report(reports[0].seed)
    for each in reports:
        for name in ("families", "statuses", "endpoints", "kinds"):
            getattr(whole, name).update(getattr(each, name))
        whole.told += each.told
        whole.compared += each.compared
        whole.refused += each.refused
    return whole


def figures(report: Report) -> str:
    """The last lines of a run."""
    families = ", ".join(f"{name} {count}" for name, count in report.families.most_common())
    classes = Counter[str]()
    for status, count in report.statuses.items():
        classes[f"{status[0]}xx"] += count
    answers = ", ".join(f"{name} {count}" for name, count in sorted(classes.items()) if name != "5xx")
    found = ", ".join(f"{kind} {report.kinds[kind]}" for kind in KINDS)
    sockets = ", ".join(f"{name} {count}" for name, count in sorted(report.sockets.items())) or "none"
    return (
        f"families: {families}\nanswers: {answers}\nbyte by byte: {sockets}\n"
        f"seed {report.seed}: {report.cases} cases, {len(report.endpoints)} endpoints, {found}, {report.seconds:.0f} s"
    )
