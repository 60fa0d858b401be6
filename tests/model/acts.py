"""What can be done to an organization, as data: a history of it can be told again, and shortened."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True, slots=True)
class Act:
    """``name`` says what. ``seconds`` is a length of time: of an advance, of a reservation, and of a use how long ago
    it was (below zero: ahead of the clock; None: not said). ``number`` picks one of many, ``items`` are of a batch."""

    name: str
    plan: str = ""
    meter: str = ""
    quantity: str = "0"
    most: str = "0"
    key: str = ""
    seconds: float | None = None
    number: int = 0
    items: tuple[Act, ...] = ()

    def __str__(self) -> str:
        said = {name: getattr(self, name) for name in self.__slots__[1:]}
        told = ", ".join(f"{name}={value!r}" for name, value in said.items() if value not in ("", "0", None, 0, ()))
        return f"{self.name}({told})"


class Answer(NamedTuple):
    """``accepted``, ``duplicate``, ``conflict`` or ``refused`` with a code, and the figures that came with it."""

    status: str
    code: str = ""
    figures: tuple[object, ...] = ()

    def __str__(self) -> str:
        return " ".join(filter(None, (self.status, self.code, ", ".join(map(str, self.figures)))))


ACCEPTED = Answer("accepted")


def refused(code: str) -> Answer:
    return Answer("refused", code)
