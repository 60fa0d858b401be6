"""``make run`` from outside: it starts, serves, refuses, survives, and leaves nothing behind."""

import os
import signal
import socket
import stat
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from billing_project.embedded import processes
from tests.support.runs import Run


@pytest.fixture(scope="session")
def static_root(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Collected by the first run only."""
    return str(tmp_path_factory.mktemp("collected") / "static")


@pytest.fixture
def run(tmp_path: Path, static_root: str) -> Iterator[Run]:
    run = Run(data=tmp_path / "data", port=processes.free_port(), STATIC_ROOT=static_root)
    yield run
    if run.popen.poll() is None:
        run.end(signal.SIGKILL)
    run.wait_until_gone()


def is_serving(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/healthz", timeout=5) as response:
            return bool(response.status == 200)
    except OSError:
        return False


def assert_one_sentence(errors: str, *parts: str) -> None:
    assert errors.startswith("countinghouse: ")
    assert errors.count("\n") == 1
    for part in parts:
        assert part in errors


def test_it_serves_guards_its_folder_and_port_stops_on_sigterm_and_keeps_its_data(run: Run, static_root: str) -> None:
    facts = run.ready()
    assert set(facts) == {
        *("url", "organization", "api_key", "platform_key", "login", "password", "database_url", "redis_url"),
    }
    assert stat.S_IMODE((run.data / "run.json").stat().st_mode) == 0o600
    assert is_serving(facts["url"])

    assert_one_sentence(Run(data=run.data, port=processes.free_port()).refused(), str(run.data), "in use", "DATA=")
    assert_one_sentence(Run(data=run.data.parent / "other", port=run.port).refused(), str(run.port), "PORT=")
    assert is_serving(facts["url"])

    assert run.end(signal.SIGTERM) == 0
    assert run.processes() == []
    assert not (run.data / "run.json").exists()

    again = Run(data=run.data, port=run.port, STATIC_ROOT=static_root)
    assert again.ready()["api_key"] == facts["api_key"]
    again.end(signal.SIGINT)
    assert again.processes() == []


def test_it_revives_programs_and_nothing_outlives_a_killed_supervisor(run: Run) -> None:
    facts = run.ready()
    # Their main processes: what these leave behind of theirs must be gone before the next one starts.
    before = {each: run.processes(each) for each in ("granian", "billing_project worker ", "billing_project beat ")}
    for victims in before.values():
        os.kill(victims[0], signal.SIGKILL)
    deadline = time.monotonic() + 20
    while any(not run.processes(program) or set(run.processes(program)) & set(before[program]) for program in before):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    deadline = time.monotonic() + 20
    while not is_serving(facts["url"]):
        assert time.monotonic() < deadline
        time.sleep(0.1)

    run.end(signal.SIGKILL)
    run.wait_until_gone()


def test_it_stops_with_a_sentence_when_a_server_of_its_own_ends(run: Run) -> None:
    run.ready()
    os.kill(run.processes("/postgres ")[0], signal.SIGKILL)
    assert_one_sentence(run.refused(), "PostgreSQL has ended", "postgres.log")
    assert run.processes() == []


@pytest.mark.parametrize(
    ("url", "part"),
    [
        ("postgres://ada:hidden-word@127.0.0.1:1/books", "refused"),
        ("mysql://ada:hidden-word@127.0.0.1/books", "postgres://"),
        ("nonsense", "postgres://"),
    ],
)
def test_it_refuses_a_broken_database_url(tmp_path: Path, url: str, part: str) -> None:
    errors = Run(data=tmp_path / "data", port=processes.free_port(), DATABASE_URL=url).refused()
    assert_one_sentence(errors, "DATABASE_URL", part)
    assert "hidden-word" not in errors


def test_it_refuses_a_broken_redis_url(tmp_path: Path) -> None:
    errors = Run(data=tmp_path / "data", port=processes.free_port(), REDIS_URL="redis://127.0.0.1:1/0").refused()
    assert_one_sentence(errors, "REDIS_URL", "refused")


def test_a_port_that_somebody_else_listens_on_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        assert_one_sentence(Run(data=tmp_path / "data", port=port).refused(), str(port))
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("port", [0, 65_536, -1])
def test_a_port_that_there_is_not_is_refused_before_anything_is_made(tmp_path: Path, port: int) -> None:
    assert_one_sentence(Run(data=tmp_path / "data", port=port).refused(), str(port), "65535", "PORT=")
    assert not (tmp_path / "data").exists()
