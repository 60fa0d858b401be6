"""Long proofs by themselves, outside of a test session: servers of their own, and a migrated database."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterator

import django

from tests.support.servers import TestServers


@contextlib.contextmanager
def on_own_servers(*, level: int = logging.ERROR) -> Iterator[tuple[TestServers, str]]:
    """Servers with Django set up for them, and the name of a migrated database, until the proof is over. Of the
    product's log what is below ``level`` is left out."""
    os.environ["DJANGO_SETTINGS_MODULE"] = "billing_project.settings.test"
    servers = TestServers()
    servers.start()
    try:
        os.environ |= {"DATABASE_URL": servers.database_url, "REDIS_URL": servers.redis_url}
        django.setup()
        logging.getLogger("billing").setLevel(level)
        yield servers, servers.make_template()
    finally:
        servers.stop()
