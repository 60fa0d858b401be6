"""A PostgreSQL that is treated badly: killed or paused with all its processes."""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path

from billing_project.embedded.processes import Child


def signal_all(server: Child, number: signal.Signals) -> None:
    """Send it to every process of the server: each of them is in a session of its own."""
    told: set[int] = set()
    while missing := set(family(server)) - told:
        for pid in missing:
            told.add(pid)
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)


def family(server: Child) -> list[int]:
    """A process and its children."""
    return [server.popen.pid, *children(server.popen.pid)]


def children(pid: int) -> list[int]:
    """The processes that ``pid`` started, on whichever of its threads; none of one that is gone."""
    found: list[int] = []
    for thread in Path(f"/proc/{pid}/task").glob("*"):
        with contextlib.suppress(OSError):
            found += map(int, (thread / "children").read_text().split())
    return found
