"""The programs of an installation are those of ``make run``, with what the environment says."""

import subprocess
import sys
from pathlib import Path

import pytest

from billing_project import program
from billing_project.supervisor import jobs, web


@pytest.mark.parametrize(
    ("name", "env", "expected"),
    [
        ("web", {}, web.command(host=web.HOST, port=8000, workers=web.WORKERS)),
        (
            "web",
            {"HOST": "10.0.0.7", "PORT": "8100", "WEB_WORKERS": "5"},
            web.command(host="10.0.0.7", port=8100, workers=5),
        ),
        ("worker", {}, jobs.worker_command(concurrency=jobs.CONCURRENCY)),
        ("worker", {"WORKER_PROCESSES": "8"}, jobs.worker_command(concurrency=8)),
        ("beat", {"BEAT_SCHEDULE": "/var/lib/x/beat"}, jobs.beat_command(schedule=Path("/var/lib/x/beat"))),
    ],
    ids=["web", "web-told", "worker", "worker-told", "beat"],
)
def test_the_environment_says_where(name: str, env: dict[str, str], expected: list[str | Path]) -> None:
    assert program.command(name, env) == [str(part) for part in expected]


def test_it_becomes_the_program() -> None:
    # A port that there is not: only the server itself can say so.
    told = run("web", PORT="70000")
    assert told.returncode != 0
    assert "granian" in told.stdout + told.stderr


def test_another_name_is_refused_with_those_that_there_are() -> None:
    told = run("server")
    assert (told.returncode, told.stderr) == (1, "usage: python -m billing_project.program web|worker|beat\n")


def run(name: str, **env: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "billing_project.program", name]
    return subprocess.run(command, capture_output=True, text=True, env=env, timeout=60, check=False)
