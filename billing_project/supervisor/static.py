"""Collects the static files into the data folder, when they are not there yet or have changed."""

import hashlib
import signal
import sys
from collections.abc import Mapping
from pathlib import Path

from billing_project.embedded import processes
from billing_project.embedded.processes import Child

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ("static", "billing/static", "marketplace/static")


class Collection:
    """A collectstatic that runs beside the rest of the start; it takes seconds, so only when it is needed."""

    def __init__(self, folder: Path, *, log: Path, env: Mapping[str, str]) -> None:
        self._stamp = folder.with_suffix(".stamp")
        self._digest = _digest()
        self._child: Child | None = None
        if not folder.exists() or not self._stamp.exists() or self._stamp.read_text() != self._digest:
            self._child = processes.start(
                [sys.executable, ROOT / "manage.py", "collectstatic", "--noinput", "--clear", "--verbosity", "0"],
                name="collectstatic",
                log=log,
                stop_signal=signal.SIGKILL,
                env=env,
            )

    def finish(self) -> None:
        """Wait for the end. Raises ``StartError`` when it failed."""
        if self._child:
            self._child.succeed()
            self._stamp.write_text(self._digest)

    def cancel(self) -> None:
        if self._child:
            self._child.end_leftovers()


def _digest() -> str:
    """Changes when a static file of ours or the version of any package does."""
    digest = hashlib.sha256((ROOT / "requirements" / "runtime.txt").read_bytes())
    for source in SOURCES:
        for path in sorted((ROOT / source).rglob("*")):
            state = path.stat()
            digest.update(f"{path.relative_to(ROOT)} {state.st_size} {state.st_mtime_ns}\n".encode())
    return digest.hexdigest()
