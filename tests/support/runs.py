"""Starting the supervisor as ``make run`` does, and finding what a run started."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

START_SECONDS_MAX = 90
STOP_SECONDS_MAX = 30


class Run:
    """One ``python -m billing_project.supervisor`` with embedded servers."""

    def __init__(self, *, data: Path, port: int, **variables: str) -> None:
        self.data = data
        self.port = port
        env = {name: value for name, value in os.environ.items() if name not in {"DATABASE_URL", "REDIS_URL"}}
        self.popen = subprocess.Popen(
            [sys.executable, "-m", "billing_project.supervisor", "--port", str(port), "--data", str(data)],
            env=env | {"DJANGO_SETTINGS_MODULE": "billing_project.settings.local"} | variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def ready(self) -> dict[str, Any]:
        """Wait for the run and return the facts of its ``run.json``."""
        deadline = time.monotonic() + START_SECONDS_MAX
        while not (self.data / "run.json").exists():
            assert self.popen.poll() is None, self.popen.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.05)
        facts: dict[str, Any] = json.loads((self.data / "run.json").read_text())
        return facts

    def refused(self) -> str:
        """Wait for a run that must not start, and return what it said on standard error."""
        _, errors = self.popen.communicate(timeout=STOP_SECONDS_MAX)
        assert self.popen.returncode == 1
        return errors

    def end(self, number: signal.Signals) -> int:
        """Send a signal and return the exit code."""
        self.popen.send_signal(number)
        self.popen.communicate(timeout=STOP_SECONDS_MAX)
        return self.popen.returncode

    def processes(self, words: str = "") -> list[int]:
        """The ids of living processes of this run, or those with ``words`` in their command line; oldest first.

        They are known by the data folder in their command line, environment or working directory.
        """
        mark = str(self.data).encode()
        found = []  # with their start, as ids begin anew at some point
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                command = (folder / "cmdline").read_bytes()
                environment = (folder / "environ").read_bytes()
                place = os.fsencode((folder / "cwd").readlink())
                started = int((folder / "stat").read_text().rpartition(")")[2].split()[19])
            except OSError:
                continue
            ours = mark in command or b"PROMETHEUS_MULTIPROC_DIR=" + mark in environment or place.startswith(mark)
            if ours and words.encode() in command.replace(b"\0", b" "):
                found.append((started, int(folder.name)))
        return [process for _, process in sorted(found)]

    def wait_until_gone(self) -> None:
        deadline = time.monotonic() + STOP_SECONDS_MAX
        while self.processes():
            assert time.monotonic() < deadline, f"still there: {self.processes()}"
            time.sleep(0.1)
