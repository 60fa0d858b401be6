"""The embedded servers: whose data they touch, and when they end."""

import subprocess
import sys
import time
from pathlib import Path

import psycopg
import pytest

from billing_project.embedded import postgres, processes
from billing_project.embedded.processes import StartError

# Starts a server, says where it is, and dies without a chance to clean up.
START_AND_DIE = """
import os, pathlib, sys
from billing_project.embedded import postgres
print(postgres.start(pathlib.Path(sys.argv[1]), durable=False).url, flush=True)
os.kill(os.getpid(), 9)
"""


def answers(url: str) -> bool:
    try:
        psycopg.connect(url).close()
    except psycopg.OperationalError:
        return False
    return True


def test_postgres_refuses_a_folder_of_another_major_version(tmp_path: Path) -> None:
    (tmp_path / "cluster").mkdir()
    (tmp_path / "cluster" / "PG_VERSION").write_text("16\n")
    with pytest.raises(StartError, match=r"belongs to PostgreSQL 16, and this run uses 18.*POSTGRES_MAJOR=16"):
        postgres.start(tmp_path, major=18)


def test_postgres_major_is_one_that_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSTGRES_MAJOR", "17")
    with pytest.raises(StartError, match="16 and 18"):
        postgres.major_from_environment()


def test_postgres_ends_with_a_killed_parent_and_its_folder_starts_again_at_once(tmp_path: Path) -> None:
    # Closed to the user that servers of root's run as: no folder of the caller's is opened for it.
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    died = subprocess.run(
        [sys.executable, "-c", START_AND_DIE, closed / "postgres"], stdout=subprocess.PIPE, text=True, check=False
    )
    assert died.returncode == -9
    server = postgres.start(closed / "postgres", durable=False)
    try:
        assert closed.stat().st_mode & 0o777 == 0o700
        with psycopg.connect(server.url) as connection:
            assert connection.execute("SELECT current_setting('is_superuser')").fetchone() == ("off",)
        deadline = time.monotonic() + 10
        while answers(died.stdout.strip()):
            assert time.monotonic() < deadline
            time.sleep(0.1)
    finally:
        server.child.stop()
    assert not answers(server.url)


def test_a_folder_lock_is_held_until_the_last_child_that_inherited_it_ends(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    with processes.folder_lock(lock, wait_seconds=0, busy="busy") as descriptor:
        child = subprocess.Popen(["sleep", "60"], pass_fds=[descriptor])
    try:
        with pytest.raises(StartError, match="busy"), processes.folder_lock(lock, wait_seconds=0, busy="busy"):
            pass
    finally:
        child.kill()
        child.wait()
    with processes.folder_lock(lock, wait_seconds=0, busy="busy"):
        pass


def test_secrets_are_made_once_and_private(tmp_path: Path) -> None:
    first = processes.remembered_secret(tmp_path / "secret")
    assert len(first) >= 40
    assert processes.remembered_secret(tmp_path / "secret") == first
    assert (tmp_path / "secret").stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [tmp_path / "secret"]
