"""The product as it is served: settings of a first run with the staff's second factor asked for, mail in a folder."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings

from billing_project.embedded import processes
from billing_project.supervisor import jobs, static, web


@dataclass(frozen=True, slots=True)
class Product:
    """``url`` has no slash at its end; ``mail`` is a folder of letters as they were sent."""

    url: str
    mail: Path

    def code_sent_to(self, email: str) -> str:
        """The code in the newest letter to ``email``."""
        letters = "".join(
            path.read_text() for path in sorted(self.mail.iterdir(), key=lambda each: each.stat().st_mtime)
        )
        to_them = letters.rpartition(f"To: {email}\n")[2]
        found = re.search(r"^[A-Z0-9-]{6,}$", to_them, re.MULTILINE)
        assert found, letters
        return found[0]


@contextmanager
def running(folder: Path, *, database_url: str, redis_url: str) -> Iterator[Product]:
    """Web server and worker over what is in the database. No sweeps: what happens is what somebody does."""
    mail, metrics = folder / "mail", folder / "metrics"
    for each in (mail, metrics):
        each.mkdir()
    env = os.environ | {
        "DJANGO_SETTINGS_MODULE": "billing_project.settings.local",
        # As in this process, which signs people in.
        "SECRET_KEY": settings.SECRET_KEY,
        "BILLING_STAFF_SECOND_FACTOR": "true",
        "BILLING_WEBHOOKS_ALLOW_LOCAL": "true",
        "DATABASE_URL": database_url,
        "REDIS_URL": redis_url,
        "EMAIL_URL": f"filemail://{mail}",
        "STATIC_ROOT": str(folder / "static"),
        "PROMETHEUS_MULTIPROC_DIR": str(metrics),
    }
    collection = static.Collection(folder / "static", log=folder / "static.log", env=env)
    collection.finish()
    port = processes.free_port()
    served = web.start(port=port, log=folder / "web.log", env=env)
    worker = jobs.start_worker(log=folder / "worker.log", env=env, keep_open=())
    try:
        web.wait_until_ready(served, port=port)
        yield Product(f"http://{web.HOST}:{port}", mail)
    finally:
        # Not asked first: there is nothing to save.
        for child in (worker, served):
            child.end_leftovers()
