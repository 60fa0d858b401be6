"""What is wrong with a catalog file: every problem with its line, and the one error that carries them all."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from billing.kernel.errors import Invalid

_SHOWN_MAX = 20


class Problem(NamedTuple):
    """``line`` counts from 1; 0 is the file as a whole."""

    file: str
    line: int
    reason: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.reason}" if self.line else f"{self.file}: {self.reason}"

    def as_dict(self) -> dict[str, str | int]:
        return {"file": self.file, "line": self.line, "reason": self.reason}


class CatalogInvalid(Invalid):
    """The file is refused whole; ``problems`` says why, in order of line. The running catalog is untouched."""

    code = "catalog_invalid"

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = sorted(problems, key=lambda problem: problem.line)
        lines = [str(problem) for problem in self.problems[:_SHOWN_MAX]]
        if len(self.problems) > _SHOWN_MAX:
            lines.append(f"… and {len(self.problems) - _SHOWN_MAX} more")
        super().__init__("\n".join(lines), problems=[problem.as_dict() for problem in self.problems])


class Problems:
    """Collects problems of one file, so that one run shows all of them."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.found: list[Problem] = []

    def add(self, line: int, reason: str) -> None:
        self.found.append(Problem(self.file, line, reason))

    def raise_any(self) -> None:
        if self.found:
            raise CatalogInvalid(self.found)
