"""How answers are shown: a document for machines, text for people, and the decorator that chooses."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, ParamSpec
from uuid import UUID

import click

from billing.cli import environment
from billing.cli.exits import Exit
from billing.kernel.decimals import plain
from billing.reporting import representations

P = ParamSpec("P")
NONE = "–"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command says: ``document`` with ``--json``, else ``text`` (nothing where it is empty)."""

    document: Any
    text: str
    exit: Exit = Exit.OK


def answers(*, needs_database: bool = True) -> Callable[[Callable[P, Answer]], Callable[..., None]]:
    """Make a command of a function that returns an ``Answer``: adds ``--json``, shows it, and ends with its code."""

    def wrap(function: Callable[P, Answer]) -> Callable[..., None]:
        @click.option("--json", "as_json", is_flag=True, help="Show a JSON document.")
        @functools.wraps(function)
        def run(*args: P.args, **kwargs: P.kwargs) -> None:
            as_json = kwargs.pop("as_json", False)
            if needs_database:
                environment.require_database(_data_folder())
            answer = function(*args, **kwargs)
            if as_json:
                click.echo(json.dumps(answer.document, indent=2, ensure_ascii=False, default=_wire))
            elif answer.text:
                click.echo(answer.text)
            if answer.exit is not Exit.OK:
                raise click.exceptions.Exit(answer.exit)

        return run

    return wrap


def table(header: Sequence[str], rows: Iterable[Sequence[object]], *, right: Iterable[str] = ()) -> str:
    """Columns under ``header``; those named in ``right`` are aligned to the right."""
    cells = [[cell(value) for value in row] for row in rows]
    widths = [max(len(line[index]) for line in [list(header), *cells]) for index in range(len(header))]
    aligned = [name in set(right) for name in header]
    return "\n".join(
        "  ".join(
            text.rjust(width) if is_right else text.ljust(width)
            for text, width, is_right in zip(line, widths, aligned, strict=True)
        ).rstrip()
        for line in [list(header), *cells]
    )


def pairs(rows: Iterable[tuple[str, object]]) -> str:
    """A name and a value a line, the values under each other."""
    shown = list(rows)
    width = max((len(name) for name, _ in shown), default=0)
    return "\n".join(f"{name.ljust(width)}  {cell(value)}".rstrip() for name, value in shown)


def cell(value: object) -> str:
    """One value for a person. What a terminal might obey is not handed to it."""
    if value is None or value == "":
        return NONE
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Decimal | int):
        return figure(value)
    if isinstance(value, datetime):
        return instant(value)
    return "".join(character if character.isprintable() else "?" for character in str(value))


def figure(value: Decimal | int) -> str:
    """With thousands marked: ``18,059,974`` and ``0.154104``."""
    whole, point, fraction = plain(Decimal(value)).partition(".")
    return f"{int(whole):,}{point}{fraction}" if whole not in ("-0",) else f"-0{point}{fraction}"


def instant(at: datetime) -> str:
    """In UTC: ``2023-11-17 00:00:00Z``."""
    return representations.instant(at).replace("T", " ")


def _wire(value: object) -> str:
    if isinstance(value, datetime):
        return representations.instant(value)
    if isinstance(value, Decimal):
        return plain(value)
    if isinstance(value, UUID):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no place in a document")


def _data_folder() -> Path:
    context: click.Context | None = click.get_current_context()
    while context is not None:
        if "data" in context.params:
            return Path(context.params["data"])
        context = context.parent
    raise AssertionError("every command is below `billing`, which has --data")
