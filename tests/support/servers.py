"""The PostgreSQL and Valkey servers of a test session."""

import contextlib
import os
import shutil
import tempfile
import uuid
from pathlib import Path

import psycopg

from billing_project.embedded import postgres, processes, valkey
from tests.support import databases

TMPFS = Path("/dev/shm")
TMPFS_FREE_MIN_BYTES = 1_500_000_000
PREFIX = "countinghouse-test-"


class TestServers:
    """Servers given by ``DATABASE_URL`` and ``REDIS_URL``, or else disposable ones in memory."""

    __test__ = False

    def __init__(self) -> None:
        self.database_url = os.environ.get("DATABASE_URL", "")
        self.redis_url = os.environ.get("REDIS_URL", "")
        self._exit = contextlib.ExitStack()

    def start(self) -> None:
        if self.database_url and self.redis_url:
            return
        folder = self._make_folder()
        if not self.database_url:
            server = postgres.start(folder / "postgres", major=postgres.major_from_environment(), durable=False)
            self._exit.callback(server.child.stop)
            self.database_url = server.url
            os.environ[databases.RUNTIME_VARIABLE] = server.runtime_url
            self._exit.callback(os.environ.pop, databases.RUNTIME_VARIABLE, None)
            with psycopg.connect(server.superuser_url, autocommit=True) as connection:
                # So that a test can show that the append-only triggers fire in replica mode as well.
                connection.execute(f"GRANT SET ON PARAMETER session_replication_role TO {postgres.NAME}")
        if not self.redis_url:
            broker = valkey.start(folder / "valkey", durable=False)
            self._exit.callback(broker.child.stop)
            self.redis_url = broker.url

    def make_template(self) -> str:
        """Migrate a new database, once for the session, and return its name."""
        name = f"test_template_{uuid.uuid4().hex[:8]}"
        databases.create_empty(self.database_url, name)
        self._exit.callback(databases.drop, self.database_url, name)
        databases.migrate(name)
        return name

    def stop(self) -> None:
        self._exit.close()

    def _make_folder(self) -> Path:
        # Containers often come with a memory disk of 64 MB.
        is_roomy = os.access(TMPFS, os.W_OK) and shutil.disk_usage(TMPFS).free >= TMPFS_FREE_MIN_BYTES
        parent = TMPFS if is_roomy else Path(tempfile.gettempdir())
        for stale in parent.glob(f"{PREFIX}*"):
            self._remove_if_abandoned(stale)
        folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
        folder.chmod(0o711)
        self._exit.callback(shutil.rmtree, folder, ignore_errors=True)
        self._exit.enter_context(processes.folder_lock(folder / "lock", wait_seconds=0, busy="a new folder is locked"))
        return folder

    @staticmethod
    def _remove_if_abandoned(folder: Path) -> None:
        """Remove what a killed session left in memory; the lock of a living one holds."""
        with (
            contextlib.suppress(processes.StartError, OSError),
            processes.folder_lock(folder / "lock", wait_seconds=0, busy="in use"),
        ):
            shutil.rmtree(folder, ignore_errors=True)
