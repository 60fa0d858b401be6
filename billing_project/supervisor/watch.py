"""Keeps the programs of a run alive, and ends the run when that is not possible."""

import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import NoReturn

from billing_project.embedded.processes import Child, StartError

INTERVAL_SECONDS = 0.2
RESTARTS_MAX = 5
RESTARTS_WINDOW_SECONDS = 60.0


class Program:
    """A program without state of its own (web server, worker, beat): when it dies, another one takes its place."""

    def __init__(self, start: Callable[[], Child]) -> None:
        self._start = start
        self._restarted_at: deque[float] = deque(maxlen=RESTARTS_MAX)
        self.child = start()

    def revive(self, *, now_seconds: float) -> bool:
        """Restart it if it has died; whether it had. Raises ``StartError`` when it keeps dying."""
        if self.child.popen.poll() is None:
            return False
        self.child.end_leftovers()
        oldest = self._restarted_at[0] if len(self._restarted_at) == RESTARTS_MAX else None
        if oldest is not None and now_seconds - oldest < RESTARTS_WINDOW_SECONDS:
            raise StartError(f"The {self.child.name} keeps ending: {self.child.log_tail()} (see {self.child.log})")
        self._restarted_at.append(now_seconds)
        self.child = self._start()
        return True


def stop_all(programs: Sequence[Program]) -> None:
    """Ask all of them at once, then wait for each."""
    for program in programs:
        program.child.ask_to_stop()
    for program in programs:
        program.child.stop()


def watch(*, servers: Sequence[Child], programs: Sequence[Program], say: Callable[[str], None]) -> NoReturn:
    """Watch for ever. Raises ``StartError`` when a server has ended: its data deserve a look before it runs again."""
    while True:
        for server in servers:
            if server.popen.poll() is not None:
                raise StartError(f"{server.name} has ended: {server.log_tail()} (see {server.log})")
        for program in programs:
            if program.revive(now_seconds=time.monotonic()):
                say(f"The {program.child.name} had ended; it was started again (see {program.child.log}).")
        time.sleep(INTERVAL_SECONDS)
