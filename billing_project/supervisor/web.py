"""The web server: Granian, which serves Django from a few processes.

It reads headers by itself, within a time; bodies are awaited at our own door (``billing_project.door``), so that
whoever sends or reads slowly holds no thread.
"""

import signal
import socket
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path

from billing_project.embedded import processes
from billing_project.embedded.processes import Child, StartError

HOST = "127.0.0.1"
PORT_MAX = 65_535
WORKERS = 2
READY_SECONDS_MAX = 60
_LIMITS = (
    # What stands before us speaks HTTP/1.1; the other protocol has attacks of its own.
    *("--http", "1"),
    # Slow headers, and connections that say nothing more, end after so many milliseconds.
    *("--http1-header-read-timeout", "10000"),
    *("--http1-buffer-size", "65536"),
    # Connections at once, a worker.
    *("--backlog", "2048", "--backpressure", "1000"),
)


def refuse_port(port: int) -> None:
    """Raise ``StartError`` when there is no such port or it is not free: Granian would silently share it with another
    Granian, and for 0 take one that nobody knows."""
    if not 1 <= port <= PORT_MAX:
        raise StartError(f"Port {port} cannot be used (ports are 1 to {PORT_MAX}): choose another with PORT=…")
    with socket.socket() as listener:
        # Connections of an earlier run that are still closing do not make the port taken.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((HOST, port))
            listener.listen()
        except OSError as error:
            raise StartError(f"Port {port} cannot be used ({error.strerror}): choose another with PORT=…") from None


def command(*, host: str, port: int, workers: int) -> list[str | Path]:
    """The server as a program; nothing but the arguments differs between a laptop and an installation."""
    return [
        Path(sys.executable).with_name("granian"),
        *("--interface", "rsgi", "--host", host, "--port", str(port), "--no-ws", "--no-access-log"),
        *("--workers", str(workers), "--respawn-failed-workers", *_LIMITS),
        # A worker that is told to stop while it still loads never does; without a limit that was ten minutes.
        *("--workers-kill-timeout", "5"),
        "billing_project.door:application",
    ]


def start(*, port: int, log: Path, env: Mapping[str, str], keep_open: tuple[int, ...] = ()) -> Child:
    return processes.start(
        command(host=HOST, port=port, workers=WORKERS),
        name="web server",
        log=log,
        stop_signal=signal.SIGTERM,
        env=env,
        keep_open=keep_open,
    )


def wait_until_ready(child: Child, *, port: int) -> None:
    """Wait until the server answers, with whatever status. Raises ``StartError`` when it ended or took too long."""
    deadline = time.monotonic() + READY_SECONDS_MAX
    while not _answers(port):
        if child.popen.poll() is not None:
            raise StartError(f"The web server ended while starting: {child.log_tail()} (see {child.log})")
        if time.monotonic() > deadline:
            raise StartError(f"The web server did not answer within {READY_SECONDS_MAX} s (see {child.log})")
        time.sleep(0.05)


def _answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://{HOST}:{port}/healthz", timeout=5):  # our own # nosec B310
            return True
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
