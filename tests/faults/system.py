"""The whole product, as ``make run`` starts it: database, broker, web server, worker, beat. Each of them may die."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import redis

from billing_project.embedded import postgres, processes, valkey
from billing_project.embedded.postgres import Postgres
from billing_project.embedded.processes import Child
from billing_project.embedded.valkey import Valkey
from billing_project.supervisor import jobs, web
from tests.faults import inside
from tests.support import clusters, databases

RECOVERY_SECONDS_MAX = 90.0
# Short, so that a pause that shows it need not be long.
SILENCE_SECONDS = 1.5
DISK_BYTES = 6_000_000_000
_CLONE_NEWNS = 0x00020000
_MNT_DETACH = 2
_MS_REMOUNT, _MS_REC, _MS_PRIVATE = 0x20, 0x4000, 0x40000


class Disk:
    """A disk in memory whose size can be changed, seen by this process and those it starts alone."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def mounted(cls, path: Path) -> Disk | None:
        """None where nothing may be mounted."""
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.unshare(_CLONE_NEWNS) or libc.mount(b"none", b"/", None, _MS_REC | _MS_PRIVATE, None):
            return None
        disk = cls(path)
        return disk if disk._mount(DISK_BYTES, 0) else None

    def fill(self) -> None:
        """Leave nothing free. What is written meanwhile is tried with a little more."""
        for spare in range(0, 2_000_000, 50_000):
            state = os.statvfs(self.path)
            if self._mount((state.f_blocks - state.f_bfree) * state.f_frsize + spare, _MS_REMOUNT):
                return
        raise AssertionError("the disk cannot be made small")

    def make_room(self) -> None:
        assert self._mount(DISK_BYTES, _MS_REMOUNT), "the disk cannot be made large"

    def unmount(self) -> None:
        ctypes.CDLL(None, use_errno=True).umount2(os.fsencode(self.path), _MNT_DETACH)

    def _mount(self, size: int, flags: int) -> bool:
        libc = ctypes.CDLL(None, use_errno=True)
        return not libc.mount(b"tmpfs", os.fsencode(self.path), b"tmpfs", flags, f"size={size},mode=0711".encode())


class System:
    """``database_url`` is a migrated database of somebody else's server; without it there is a cluster of its own, on
    ``disk`` if there is one. ``variables`` are for the product's processes."""

    def __init__(
        self,
        folder: Path,
        *,
        database_url: str = "",
        disk: Disk | None = None,
        variables: Mapping[str, str] | None = None,
    ) -> None:
        self.folder = folder
        self.disk = disk
        self._clock = folder / "clock"
        self.set_clock(0)
        self.cluster: Postgres | None = None
        if not database_url:
            self.cluster = postgres.start(self._cluster_folder, major=postgres.major_from_environment())
            database_url = self.cluster.url
        # As its owner, who migrates; the product is served as another role.
        self.database_url = database_url
        self.served_url = self.cluster.runtime_url if self.cluster else databases.as_runtime(database_url)
        self.valkey: Valkey = valkey.start(folder / "valkey")
        self.port = processes.free_port()
        metrics = folder / "metrics"
        metrics.mkdir()
        self.env = os.environ | {
            "DJANGO_SETTINGS_MODULE": "tests.faults.settings",
            inside.CLOCK: str(self._clock),
            "DATABASE_URL": self.served_url,
            "REDIS_URL": self.valkey.url,
            "PROMETHEUS_MULTIPROC_DIR": str(metrics),
            "BILLING_WEBHOOKS_ALLOW_LOCAL": "true",
            "BILLING_SILENCE_SECONDS": str(SILENCE_SECONDS),
            **(variables or {}),
        }
        self.programs: dict[str, Child] = {}
        # How each is started, and so started again by ``tend``.
        self.starts: dict[str, Callable[[], Child]] = {}
        self.revived = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def _cluster_folder(self) -> Path:
        return (self.disk.path if self.disk else self.folder) / "postgres"

    def start(self) -> None:
        """The programs; the database has to be migrated by now."""
        log = self.folder
        self.starts["web"] = lambda: web.start(port=self.port, log=log / "web.log", env=self.env)
        self.starts["worker"] = lambda: jobs.start_worker(log=log / "worker.log", env=self.env, keep_open=())
        self.starts["beat"] = lambda: self._beat("beat")
        for name, start in self.starts.items():
            self.programs[name] = start()
        web.wait_until_ready(self.programs["web"], port=self.port)

    def stop(self) -> None:
        self.resume()
        for child in self.programs.values():
            child.end_leftovers()
        self.valkey.child.end_leftovers()
        if self.cluster is not None:
            # Asked: killed, it leaves shared memory behind.
            self.cluster.child.stop()

    def tend(self) -> None:
        """Start again what has died, as ``make run`` does with programs and a service manager with servers."""
        for name, child in self.programs.items():
            if child.popen.poll() is not None:
                child.end_leftovers()
                self.programs[name] = self.starts[name]()
                self.revived += 1

    def wait(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self.tend()
            time.sleep(0.02)

    def set_clock(self, seconds: int) -> None:
        """Have the product's processes misread the time by so much."""
        self._clock.write_text(str(seconds))

    def add_beat(self) -> None:
        """One too many."""
        self.starts["second beat"] = lambda: self._beat("second-beat")
        self.programs["second beat"] = self.starts["second beat"]()

    def web_workers(self) -> list[int]:
        return clusters.children(self.programs["web"].popen.pid)

    def pool(self) -> list[int]:
        return clusters.children(self.programs["worker"].popen.pid)

    @property
    def database(self) -> Postgres:
        assert self.cluster is not None, "this fault takes a cluster of its own"
        return self.cluster

    def restart_database(self) -> None:
        port = urlsplit(self.database_url).port
        self.database.child.end_leftovers()
        # What a point had changed: a server that waited for a standby would not get through its own start.
        (self._cluster_folder / "cluster" / "postgresql.auto.conf").write_text("")
        self.cluster = postgres.start(self._cluster_folder, major=postgres.major_from_environment(), port=port)

    def restart_valkey(self) -> None:
        self.valkey.child.end_leftovers()
        self.valkey = valkey.start(self.folder / "valkey", port=urlsplit(self.valkey.url).port)

    @contextlib.contextmanager
    def superuser(self) -> Iterator[psycopg.Connection]:
        with psycopg.connect(self.database.superuser_url, autocommit=True, connect_timeout=10) as connection:
            yield connection

    @contextlib.contextmanager
    def broker(self) -> Iterator[redis.Redis]:
        with contextlib.closing(redis.Redis.from_url(self.valkey.url, socket_timeout=5)) as client:
            yield client

    def resume(self) -> None:
        """Let whatever is paused go on."""
        for child in (*self.programs.values(), self.valkey.child, *([self.cluster.child] if self.cluster else [])):
            clusters.signal_all(child, signal.SIGCONT)

    def recover(self) -> None:
        """Everything runs, and says so. Raises ``AssertionError`` where it does not get there."""
        self.resume()
        self.set_clock(0)
        if self.disk is not None:
            self.disk.make_room()
        if extra := self.programs.pop("second beat", None):
            extra.end_leftovers()
        if self.cluster is not None and self.cluster.child.popen.poll() is not None:
            self.restart_database()
        if self.valkey.child.popen.poll() is not None:
            self.restart_valkey()
        deadline = time.monotonic() + RECOVERY_SECONDS_MAX
        while not (
            self._is_ready() and len(self.pool()) >= jobs.CONCURRENCY and len(self.web_workers()) >= web.WORKERS
        ):
            assert time.monotonic() < deadline, self.tails()
            self.tend()
            time.sleep(0.1)

    def tails(self) -> dict[str, str]:
        return {name: child.log_tail() for name, child in self.programs.items()}

    def _is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/readyz", timeout=20) as response:
                return b'"ready"' in response.read()
        except OSError:
            return False

    def _beat(self, name: str) -> Child:
        return jobs.start_beat(log=self.folder / f"{name}.log", env=self.env, schedule=self.folder / name, keep_open=())


@contextlib.contextmanager
def scratch() -> Iterator[Path]:
    """A folder for one run, in memory where there is room, that servers of another user may enter."""
    shared = Path("/dev/shm")
    parent = shared if os.access(shared, os.W_OK) else Path(tempfile.gettempdir())
    with tempfile.TemporaryDirectory(prefix="countinghouse-faults-", dir=parent, ignore_cleanup_errors=True) as name:
        Path(name).chmod(0o711)
        yield Path(name)
