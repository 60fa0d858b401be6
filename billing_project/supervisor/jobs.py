"""Background work: a Celery worker, and beat, which wakes the sweeps."""

import signal
import sys
from collections.abc import Mapping
from pathlib import Path

from billing_project.embedded import processes
from billing_project.embedded.processes import Child

CONCURRENCY = 2


def worker_command(*, concurrency: int) -> list[str]:
    # Gossip and mingle are talk between workers that nothing here listens to.
    return [*_celery(), "worker", "--concurrency", str(concurrency), "--without-gossip", "--without-mingle"]


def beat_command(*, schedule: Path) -> list[str]:
    return [*_celery(), "beat", "--schedule", str(schedule), "--pidfile="]


def start_worker(*, log: Path, env: Mapping[str, str], keep_open: tuple[int, ...]) -> Child:
    return processes.start(
        worker_command(concurrency=CONCURRENCY),
        name="Celery worker",
        log=log,
        stop_signal=signal.SIGTERM,
        env=env,
        keep_open=keep_open,
    )


def start_beat(*, log: Path, env: Mapping[str, str], schedule: Path, keep_open: tuple[int, ...]) -> Child:
    return processes.start(
        beat_command(schedule=schedule),
        name="Celery beat",
        log=log,
        stop_signal=signal.SIGTERM,
        env=env,
        keep_open=keep_open,
    )


def _celery() -> list[str]:
    return [sys.executable, "-m", "celery", "--app", "billing_project"]
