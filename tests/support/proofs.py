"""Long proofs by themselves, outside of a test session: servers of their own, and a migrated database."""

from __future__ import annotations

import contextlib
import logging
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import django

from tests.support import databases
from tests.support.servers import TestServers

# The number of its share, in the environment of a process that works on one.
_SHARE = "COUNTINGHOUSE_PROOF_SHARE"


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


class Told(NamedTuple):
    """What a process wrote to its standard output, and whether it failed."""

    text: str
    is_failed: bool


def run_shares(module: str, arguments: Sequence[str], *, processes: int) -> list[Told]:
    """Run ``python -m module`` in so many processes at once, each with a migrated database of its own on one server.

    Each finds its ``share``; what it writes to standard error is seen at once.
    """
    os.environ["DJANGO_SETTINGS_MODULE"] = "billing_project.settings.test"
    with _databases(processes) as urls:
        started = [
            subprocess.Popen(
                [sys.executable, "-m", module, *arguments],
                env=os.environ | {"DATABASE_URL": url, _SHARE: str(number)},
                stdout=subprocess.PIPE,
                text=True,
            )
            for number, url in enumerate(urls)
        ]
        told = [process.communicate()[0] for process in started]
    return [Told(text, process.returncode != 0) for text, process in zip(told, started, strict=True)]


def share() -> int | None:
    """The number of the share that this process works on; None in the one that starts them."""
    number = os.environ.get(_SHARE)
    return None if number is None else int(number)


def set_up_share() -> None:
    """Django for the share's database, with a log of errors alone."""
    django.setup()
    logging.getLogger("billing").setLevel(logging.ERROR)


def tell_progress(text: str) -> None:
    """For whoever waits; figures go to standard output, at the end."""
    sys.stderr.write(f"share {share()}: {text}\n")


@contextlib.contextmanager
def _databases(count: int) -> Iterator[list[str]]:
    servers = TestServers()
    servers.start()
    try:
        os.environ |= {"DATABASE_URL": servers.database_url, "REDIS_URL": servers.redis_url}
        django.setup()
        template = servers.make_template()
        names = [f"{template}_{number}" for number in range(count)]
        for name in names:
            databases.clone(servers.database_url, template=template, name=name)
        yield [databases.url_of(servers.database_url, name) for name in names]
    finally:
        servers.stop()
