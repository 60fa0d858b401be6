"""The product behind its real web server, for tests that need true concurrency or true HTTP."""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from billing_project.embedded import processes
from billing_project.embedded.processes import Child
from billing_project.supervisor import web
from tests.support import databases


@dataclass(frozen=True, slots=True)
class HttpServer:
    """A running server: ``url`` has no slash at its end; ``log`` is what the server wrote so far."""

    url: str
    database_url: str
    child: Child

    @property
    def log(self) -> str:
        return self.child.log.read_text()

    @classmethod
    @contextlib.contextmanager
    def running(cls, *, database_url: str, redis_url: str, **variables: str) -> Iterator[Self]:
        with tempfile.TemporaryDirectory() as folder:
            port = processes.free_port()
            metrics = Path(folder, "metrics")
            metrics.mkdir()
            child = web.start(
                port=port,
                log=Path(folder, "web.log"),
                env=os.environ
                | {
                    "DJANGO_SETTINGS_MODULE": "billing_project.settings.test",
                    "DATABASE_URL": databases.as_runtime(database_url),
                    "REDIS_URL": redis_url,
                    "PROMETHEUS_MULTIPROC_DIR": str(metrics),
                }
                | variables,
            )
            try:
                web.wait_until_ready(child, port=port)
                yield cls(f"http://127.0.0.1:{port}", database_url, child)
            finally:
                # Not asked first: a worker that still loads would take seconds, and there is nothing to save.
                child.end_leftovers()
