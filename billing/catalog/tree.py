"""YAML text → a tree of nodes that know their line.

Built from PyYAML's events rather than its loader: values stay as they were written (a loader would already have made
a float of ``0.10`` and a boolean of ``no``), nothing is constructed, duplicate keys are seen, and neither aliases nor
depth can blow up. Plain scalars are read by the core schema of YAML 1.2.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

import yaml

from billing.catalog.problems import Problems

SIZE_MAX_BYTES = 1_000_000
DEPTH_MAX = 12

Kind = Literal["text", "integer", "number", "boolean", "null", "refused"]

# libyaml's scanner is 10 times faster than the one in Python; both yield the same events.
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]*)")
_NUMBER = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:e[-+]?[0-9]+)?|[-+]?\.(?:inf|nan)", re.IGNORECASE)
_BOOLEAN = frozenset(("true", "True", "TRUE", "false", "False", "FALSE"))
_NULL = frozenset(("", "~", "null", "Null", "NULL"))
# What YAML 1.2 calls non-printable, and lone surrogates.
_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(slots=True)
class Scalar:
    """``number`` is any number that is not a plain decimal integer: exactness needs it written as quoted text."""

    line: int
    kind: Kind
    text: str


@dataclass(slots=True)
class Sequence:
    line: int
    items: list[Node] = field(default_factory=list)


@dataclass(slots=True)
class Entry:
    line: int
    value: Node


@dataclass(slots=True)
class Mapping:
    line: int
    entries: dict[str, Entry] = field(default_factory=dict)


Node = Scalar | Sequence | Mapping


def read(source: bytes, problems: Problems) -> Node | None:
    """Return the document's root, or None where no tree could be made; every reason goes to ``problems``."""
    if len(source) > SIZE_MAX_BYTES:
        problems.add(0, f"is larger than {SIZE_MAX_BYTES} bytes")
        return None
    try:
        text = source.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        problems.add(source.count(b"\n", 0, error.start) + 1, f"is not UTF-8: {error.reason}")
        return None
    if unprintable := _UNPRINTABLE.search(text):
        line = text.count("\n", 0, unprintable.start()) + 1
        problems.add(line, f"contains the unprintable character U+{ord(unprintable[0]):04X}")
        return None
    try:
        return _Builder(problems).document(yaml.parse(text, Loader=_LOADER))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        reason = ", ".join(part for part in (error.context, error.problem) if part)
        problems.add(mark.line + 1 if mark else 0, f"is not YAML: {reason}")
    except yaml.YAMLError as error:
        problems.add(0, f"is not YAML: {error}")
    return None


class _Builder:
    def __init__(self, problems: Problems) -> None:
        self.problems = problems

    def document(self, events: Iterator[yaml.Event]) -> Node | None:
        root: Node | None = None
        for event in events:
            if isinstance(event, yaml.NodeEvent):
                if root is not None:
                    self.problems.add(_line(event), "starts a second document; a catalog is one")
                    return root
                root = self._node(event, events, depth=1)
                if root is None:
                    return None
        if root is None:
            self.problems.add(0, "is empty")
        return root

    def _node(self, event: yaml.Event, events: Iterator[yaml.Event], *, depth: int) -> Node | None:
        """Build the node that ``event`` starts; None once the nesting is too deep to go on."""
        line = _line(event)
        if depth > DEPTH_MAX:
            self.problems.add(line, f"is nested more than {DEPTH_MAX} deep")
            return None
        if isinstance(event, yaml.AliasEvent):
            self.problems.add(line, f"alias *{event.anchor}: aliases are not accepted, write the value out")
            return Scalar(line, "refused", "")
        assert isinstance(event, yaml.ScalarEvent | yaml.CollectionStartEvent)  # noqa: S101 - the grammar of events
        self._refuse_extras(event.anchor, event.tag, line)
        if isinstance(event, yaml.ScalarEvent):
            return Scalar(line, _kind(event), event.value)
        if isinstance(event, yaml.SequenceStartEvent):
            return self._sequence(line, events, depth)
        return self._mapping(line, events, depth)

    def _refuse_extras(self, anchor: str | None, tag: str | None, line: int) -> None:
        if anchor is not None:
            self.problems.add(line, f"anchor &{anchor}: anchors are not accepted, write the value out")
        if tag is not None:
            self.problems.add(line, f"tag {tag}: tags are not accepted")

    def _sequence(self, line: int, events: Iterator[yaml.Event], depth: int) -> Sequence | None:
        sequence = Sequence(line)
        for event in events:
            if isinstance(event, yaml.SequenceEndEvent):
                break
            item = self._node(event, events, depth=depth + 1)
            if item is None:
                return None
            sequence.items.append(item)
        return sequence

    def _mapping(self, line: int, events: Iterator[yaml.Event], depth: int) -> Mapping | None:
        mapping = Mapping(line)
        for event in events:
            if isinstance(event, yaml.MappingEndEvent):
                break
            key = self._node(event, events, depth=depth + 1)
            value = self._node(next(events), events, depth=depth + 1) if key is not None else None
            if key is None or value is None:
                return None
            if not isinstance(key, Scalar):
                self.problems.add(key.line, "has a list or mapping as a key")
            elif key.kind in ("boolean", "null"):
                self.problems.add(key.line, f"key {key.text!r} means {key.kind} in YAML; write it in quotes")
            elif key.text in mapping.entries:
                first = mapping.entries[key.text].line
                self.problems.add(key.line, f"duplicate key {key.text[:60]!r}, first given on line {first}")
            elif key.kind == "refused":
                continue
            else:
                mapping.entries[key.text] = Entry(key.line, value)
        return mapping


def _line(event: yaml.Event) -> int:
    return event.start_mark.line + 1 if event.start_mark else 0


def _kind(event: yaml.ScalarEvent) -> Kind:
    text = event.value
    if not event.implicit[0]:
        return "text"
    if text in _NULL:
        return "null"
    if text in _BOOLEAN:
        return "boolean"
    if _INTEGER.fullmatch(text):
        return "integer"
    return "number" if _NUMBER.fullmatch(text) else "text"
