"""Reading typed values out of a tree. Every misfit becomes a problem with its line, and reading goes on."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterator
from decimal import Decimal

from billing.catalog.problems import Problems
from billing.catalog.tree import Mapping, Node, Scalar, Sequence
from billing.kernel import money
from billing.kernel.decimals import QUANTITY_PLACES, parse_decimal

# A file of nothing but unknown keys is refused as fast as any other.
UNKNOWN_SHOWN_MAX = 50
CODE = re.compile(r"[a-z][a-z0-9_]{0,59}")
_FOUND = {"text": "text", "integer": "an integer", "number": "a number", "boolean": "true or false", "null": "nothing"}


def describe(node: Node) -> str:
    if isinstance(node, Mapping):
        return "a mapping"
    if isinstance(node, Sequence):
        return "a list"
    return _FOUND.get(node.kind, "nothing")


def is_null(node: Node) -> bool:
    return isinstance(node, Scalar) and node.kind == "null"


class Reader:
    """Turns single nodes into values; None means that it was a misfit, which is then already among the problems."""

    def __init__(self, problems: Problems) -> None:
        self.problems = problems

    def misfit(self, node: Node, label: str, wanted: str) -> None:
        if not (isinstance(node, Scalar) and node.kind == "refused"):
            self.problems.add(node.line, f"{label} must be {wanted}, not {describe(node)}")

    def text(self, node: Node, label: str, *, length_max: int) -> str | None:
        if not isinstance(node, Scalar) or node.kind != "text":
            wanted = "text"
            if isinstance(node, Scalar) and node.kind in ("integer", "number", "boolean"):
                wanted = f'text in quotes ("{node.text}")'
            self.misfit(node, label, wanted)
            return None
        if len(node.text) > length_max:
            self.problems.add(node.line, f"{label} is longer than {length_max} characters")
            return None
        return node.text

    def code(self, node: Node, label: str) -> str | None:
        if not isinstance(node, Scalar) or node.kind != "text":
            self.misfit(node, label, "a code")
            return None
        return node.text if self.is_code(node.text, node.line, label) else None

    def is_code(self, text: str, line: int, label: str) -> bool:
        if CODE.fullmatch(text):
            return True
        shown = text if len(text) <= 70 else f"{text[:60]}…"
        self.problems.add(
            line, f"{label} {shown!r} must be 1 to 60 lower-case letters, digits or '_', with a letter first"
        )
        return False

    def flag(self, node: Node, label: str) -> bool | None:
        if not isinstance(node, Scalar) or node.kind != "boolean":
            self.misfit(node, label, "true or false")
            return None
        return node.text.lower() == "true"

    def whole(self, node: Node, label: str, *, high: int) -> int | None:
        if not isinstance(node, Scalar) or node.kind != "integer":
            self.misfit(node, label, f"an integer from 0 to {high}")
            return None
        if node.text.startswith("-"):
            self.problems.add(node.line, f"{label} must not be negative")
        elif len(node.text) > len(str(high)) or int(node.text) > high:
            self.problems.add(node.line, f"{label} must be at most {high}")
        else:
            return int(node.text)
        return None

    def decimal(self, node: Node, label: str, *, places: int = QUANTITY_PLACES) -> Decimal | None:
        """A plain integer or a decimal in quotes, not negative, at most ``places`` decimals."""
        if isinstance(node, Scalar) and node.kind == "number":
            reason = f'{label} must be written in quotes ("{node.text}"): an unquoted decimal is inexact'
            self.problems.add(node.line, reason)
            return None
        if not isinstance(node, Scalar) or node.kind not in ("integer", "text"):
            self.misfit(node, label, "an integer or a decimal in quotes")
            return None
        try:
            value = parse_decimal(node.text, places=places)
        except ValueError as error:
            self.problems.add(node.line, f"{label} {error}")
            return None
        if value < 0:
            self.problems.add(node.line, f"{label} must not be negative")
            return None
        return abs(value)

    def choice(self, node: Node, label: str, options: Collection[str]) -> str | None:
        if isinstance(node, Scalar) and node.kind == "text" and node.text in options:
            return node.text
        if isinstance(node, Scalar) and node.kind == "text":
            self.problems.add(node.line, f"{label} must be one of {', '.join(options)}, not {node.text[:60]!r}")
        else:
            self.misfit(node, label, f"one of {', '.join(options)}")
        return None

    def mapping(self, node: Node, label: str) -> Mapping | None:
        if isinstance(node, Mapping):
            return node
        self.misfit(node, label, "a mapping")
        return None

    def sequence(self, node: Node, label: str, *, length_max: int) -> list[Node]:
        if not isinstance(node, Sequence):
            self.misfit(node, label, "a list")
            return []
        if len(node.items) > length_max:
            self.problems.add(node.line, f"{label} has more than {length_max} entries")
            return []
        return node.items

    def per_currency(self, node: Node, label: str) -> Iterator[tuple[str, int, Node]]:
        """Currency, line and node of a mapping by ISO 4217 code; unknown codes are problems and left out."""
        mapping = self.mapping(node, label)
        for currency, entry in (mapping.entries if mapping else {}).items():
            if money.is_currency(currency):
                yield currency, entry.line, entry.value
            else:
                self.problems.add(entry.line, f"{label}: {currency[:20]!r} is not a currency of ISO 4217")


class Fields:
    """The keys of one mapping, taken one by one; ``finish`` reports whatever nobody asked for."""

    def __init__(self, mapping: Mapping, where: str, problems: Problems) -> None:
        self.mapping = mapping
        self.where = where
        self.problems = problems
        self.reader = Reader(problems)
        self.asked: list[str] = []

    @property
    def line(self) -> int:
        return self.mapping.line

    def label(self, key: str) -> str:
        return f"{self.where}: {key}" if self.where else key

    def node(self, key: str) -> Node | None:
        self.asked.append(key)
        entry = self.mapping.entries.get(key)
        return entry.value if entry else None

    def line_of(self, key: str) -> int:
        entry = self.mapping.entries.get(key)
        return entry.line if entry else self.line

    def text(self, key: str, *, default: str = "", length_max: int) -> str:
        node = self.node(key)
        value = self.reader.text(node, self.label(key), length_max=length_max) if node else None
        return default if value is None else value

    def code(self, key: str, *, default: str) -> str:
        node = self.node(key)
        return (self.reader.code(node, self.label(key)) if node else None) or default

    def flag(self, key: str, *, default: bool) -> bool:
        node = self.node(key)
        value = self.reader.flag(node, self.label(key)) if node else None
        return default if value is None else value

    def whole(self, key: str, *, high: int) -> int:
        node = self.node(key)
        return (self.reader.whole(node, self.label(key), high=high) if node else None) or 0

    def decimal(self, key: str, *, places: int = QUANTITY_PLACES) -> Decimal:
        node = self.node(key)
        return (self.reader.decimal(node, self.label(key), places=places) if node else None) or Decimal(0)

    def choice(self, key: str, options: Collection[str], *, default: str) -> str:
        node = self.node(key)
        return (self.reader.choice(node, self.label(key), options) if node else None) or default

    def finish(self) -> None:
        where = f" in {self.where}" if self.where else ""
        unknown = [key for key in self.mapping.entries if key not in self.asked]
        for key in unknown[:UNKNOWN_SHOWN_MAX]:
            near = difflib.get_close_matches(key[:60], self.asked, n=1)
            hint = f", did you mean {near[0]!r}?" if near else ""
            self.problems.add(self.line_of(key), f"unknown key {key[:60]!r}{where}{hint}")
        if len(unknown) > UNKNOWN_SHOWN_MAX:
            self.problems.add(self.line, f"{len(unknown) - UNKNOWN_SHOWN_MAX} more unknown keys{where}")
