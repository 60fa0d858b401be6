"""One program of an installation: ``python -m billing_project.program web``, ``worker`` or ``beat``.

It becomes the very command that ``make run`` starts, so that systemd units and containers have none of their own. The
environment says where: ``HOST`` and ``PORT``, ``WEB_WORKERS``, ``WORKER_PROCESSES``, ``BEAT_SCHEDULE`` (a file).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from billing_project.supervisor import jobs, web

Environment = Mapping[str, str]


def _web(env: Environment) -> Sequence[str | Path]:
    return web.command(
        host=env.get("HOST", web.HOST),
        port=int(env.get("PORT", "8000")),
        workers=int(env.get("WEB_WORKERS", str(web.WORKERS))),
    )


def _worker(env: Environment) -> Sequence[str | Path]:
    return jobs.worker_command(concurrency=int(env.get("WORKER_PROCESSES", str(jobs.CONCURRENCY))))


def _beat(env: Environment) -> Sequence[str | Path]:
    return jobs.beat_command(schedule=Path(env.get("BEAT_SCHEDULE", "beat")))


PROGRAMS: Mapping[str, Callable[[Environment], Sequence[str | Path]]] = MappingProxyType(
    {"web": _web, "worker": _worker, "beat": _beat}
)


def command(name: str, env: Environment) -> list[str]:
    """What ``name`` runs. Raises ``ValueError`` for a number that is none, ``KeyError`` for a name that is unknown."""
    return [str(part) for part in PROGRAMS[name](env)]


def main(arguments: Sequence[str]) -> None:
    if len(arguments) != 1 or arguments[0] not in PROGRAMS:
        sys.exit(f"usage: python -m billing_project.program {'|'.join(PROGRAMS)}")
    program = command(arguments[0], os.environ)
    # This process becomes the program: signals of a service manager reach it without a go-between.
    os.execv(program[0], program)  # a list of our own, no shell # noqa: S606 # nosec B606


if __name__ == "__main__":
    main(sys.argv[1:])
