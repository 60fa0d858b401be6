"""Progress of long work, for a person who watches."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click


@contextmanager
def bar(label: str, length: int) -> Iterator[Callable[[int], None]]:
    """A bar on standard error, where a person watches it; else nothing."""
    if not sys.stderr.isatty():
        yield lambda steps: None
        return
    with click.progressbar(
        length=length, label=label, file=sys.stderr, update_min_steps=max(1, length // 200)
    ) as shown:
        yield shown.update
