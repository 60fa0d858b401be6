"""Child processes that do not outlive us, and the small things they need: accounts, ports, folders, locks."""

import contextlib
import fcntl
import importlib.util
import json
import os
import pwd
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

LAUNCH = Path(__file__).with_name("launch.py")


class StartError(Exception):
    """A server could not be started; the message is one sentence for the person who tried."""


@dataclass(frozen=True, slots=True)
class Account:
    uid: int
    gid: int


def server_account() -> Account | None:
    """The user that servers run as: None is the current one; root, which PostgreSQL refuses, becomes ``nobody``."""
    if os.geteuid() != 0:
        return None
    entry = pwd.getpwnam("nobody")
    return Account(entry.pw_uid, entry.pw_gid)


def _open_to_all(path: Path) -> bool:
    """Whether every folder above ``path`` lets any user pass."""
    return all(parent.stat().st_mode & 0o001 for parent in path.resolve().parents)


@dataclass(slots=True)
class Child:
    """A running child in a session of its own, so that a Ctrl-C on the terminal reaches only its owner."""

    name: str
    popen: "subprocess.Popen[bytes]"
    stop_signal: signal.Signals
    log: Path

    def log_tail(self) -> str:
        """The last line of its log, for an error message."""
        lines = self.log.read_text(errors="replace").strip().splitlines()
        return lines[-1].strip() if lines else "it said nothing"

    def succeed(self) -> None:
        """Wait for its end. Raises ``StartError`` with the last line of its log when it failed."""
        if self.popen.wait() != 0:
            raise StartError(f"{self.name} failed: {self.log_tail()} (see {self.log})")

    def stop(self, *, timeout_seconds: float = 20) -> None:
        """Ask it to stop, wait, and end whatever is left of its session."""
        self.ask_to_stop()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.popen.wait(timeout_seconds)
        self.end_leftovers()

    def ask_to_stop(self) -> None:
        if self.popen.poll() is None:
            self.popen.send_signal(self.stop_signal)

    def end_leftovers(self) -> None:
        """Kill what remains of the session: the workers of a killed main process go on without it."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.popen.pid, signal.SIGKILL)
        self.popen.wait()


def start(
    command: Sequence[str | Path],
    *,
    name: str,
    log: Path,
    stop_signal: signal.Signals,
    account: Account | None = None,
    reaches: Sequence[Path] = (),
    env: Mapping[str, str] | None = None,
    cwd: Path | str = "/",
    stdin: bytes = b"",
    keep_open: Sequence[int] = (),
) -> Child:
    """Start ``command`` as a child that gets ``stop_signal`` when this process dies, even by ``kill -9``.

    ``account`` changes the user (root only); ``reaches`` are paths which that user must be able to reach.
    ``keep_open`` are file descriptors that the child inherits. Call it from the main thread: the kernel
    sends the signal when the *thread* that started the child ends.
    """
    order = {
        "uid": account.uid if account else None,
        "gid": account.gid if account else None,
        "search": account is not None and not all(_open_to_all(path) for path in reaches),
        "signal": int(stop_signal),
        "parent": os.getpid(),
    }
    with log.open("ab") as output:
        popen = subprocess.Popen(  # a list of our own, no shell # nosec B603
            [sys.executable, "-I", "-S", str(LAUNCH), json.dumps(order), *map(str, command)],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
            cwd=cwd,
            env=None if env is None else dict(env),
            start_new_session=True,
            pass_fds=keep_open,
        )
    assert popen.stdin is not None
    with contextlib.suppress(BrokenPipeError):
        popen.stdin.write(stdin)
        popen.stdin.close()
    return Child(name, popen, stop_signal, log)


def wheel(package: str) -> Path:
    """The folder of an installed package that we use for its programs, found without importing it."""
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise StartError(f"The Python package {package} is not installed: there is no embedded server to start.")
    return Path(spec.origin).parent


def free_port() -> int:
    """A TCP port on the loopback interface that nobody listens on at this moment."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def remembered_secret(path: Path) -> str:
    """The random secret kept in ``path``, readable by its owner only; made at the first call."""
    if path.exists():
        return path.read_text().strip()
    write_private(path, secrets.token_urlsafe(32))
    return path.read_text().strip()


def write_private(path: Path, text: str) -> None:
    """Replace ``path`` by ``text`` at once, with mode 0600."""
    partial = path.with_name(f".{path.name}.partial")
    partial.unlink(missing_ok=True)
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    partial.replace(path)


@contextlib.contextmanager
def folder_lock(path: Path, *, wait_seconds: float, busy: str) -> Iterator[int]:
    """Hold an exclusive lock on ``path`` and yield its descriptor; ``StartError(busy)`` when another holds it.

    The lock lives as long as any process holds the descriptor. Children that inherit it thus keep a
    folder locked until the last of them has stopped, however their parent died.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        deadline = time.monotonic() + wait_seconds
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise StartError(busy) from None
                time.sleep(0.1)
        yield descriptor
    finally:
        os.close(descriptor)
