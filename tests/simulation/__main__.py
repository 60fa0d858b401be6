"""``make simulation``: all of it, in as many processes as there are cores, each with a share of the people in a
database of its own.

    python -m tests.simulation [--subscriptions 500] [--years 10] [--seed 1] [--processes 2]
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Any

import django

from tests.support import databases
from tests.support.servers import TestServers

# Summers and winters of ten years, three leap days, and a zone that skips a day on the way.
FIRST_DAY = datetime(2010, 1, 1, tzinfo=UTC)
SHARE = "COUNTINGHOUSE_SIMULATION_SHARE"


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _report_progress(text: str) -> None:
    # The figures go through a pipe to the parent at the end; this is for whoever waits.
    sys.stderr.write(f"share {os.environ[SHARE]}: {text}\n")


def main() -> int:
    arguments = _arguments()
    os.environ["DJANGO_SETTINGS_MODULE"] = "billing_project.settings.test"
    return _share(arguments) if SHARE in os.environ else _all(arguments)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="simulation", description="Years of subscriptions, calculated twice.")
    parser.add_argument("--subscriptions", type=int, default=500)
    parser.add_argument("--years", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    return parser.parse_args()


def _days(years: int) -> int:
    return (date(FIRST_DAY.year + years, 1, 1) - FIRST_DAY.date()).days


def _all(arguments: argparse.Namespace) -> int:
    """Start the shares and add up what they say."""
    began = time.monotonic()
    say(f"seed {arguments.seed}: {arguments.subscriptions} people, {_days(arguments.years)} days")
    with _databases(arguments.processes) as urls:
        processes = [
            subprocess.Popen(
                [sys.executable, "-m", "tests.simulation", *sys.argv[1:]],
                env=os.environ | {"DATABASE_URL": url, SHARE: str(number)},
                stdout=subprocess.PIPE,
                text=True,
            )
            for number, url in enumerate(urls)
        ]
        told = [process.communicate()[0] for process in processes]
    failed = any(process.returncode for process in processes)
    totals: dict[str, int] = {}
    for text in told:
        say(text)
        for line in text.splitlines():
            if line.startswith("total "):
                _, count, name = line.split(" ", 2)
                totals[name] = totals.get(name, 0) + int(count)
    figures = ", ".join(f"{count} {name}" for name, count in totals.items())
    outcome = "FAILED" if failed else "agreed"
    say(f"{outcome}: {_days(arguments.years)} days, {figures}, {time.monotonic() - began:.0f} s")
    return int(failed)


@contextlib.contextmanager
def _databases(count: int) -> Iterator[list[str]]:
    """So many migrated databases on a server of their own."""
    servers = TestServers()
    servers.start()
    try:
        os.environ |= {"DATABASE_URL": servers.database_url, "REDIS_URL": servers.redis_url}
        django.setup()
        template = servers.make_template()
        names = [f"{template}_{number}" for number in range(count)]
        for name in names:
            databases.clone(servers.database_url, template=template, name=name)
        yield [databases.url_of(servers.database_url, name) for name in names]
    finally:
        servers.stop()


def _share(arguments: argparse.Namespace) -> int:
    django.setup()
    logging.getLogger("billing").setLevel(logging.ERROR)
    from tests.simulation import lives, stage

    everybody = lives.settle(seed=arguments.seed, count=arguments.subscriptions, first_day=FIRST_DAY)
    people = everybody[int(os.environ[SHARE]) :: arguments.processes]
    days = _days(arguments.years)
    report = stage.play(people, seed=arguments.seed, first_day=FIRST_DAY, days=days, tell=_report_progress)
    say(report.text())
    totals: dict[str, Any] = report.totals()
    for name, count in totals.items():
        say(f"total {count} {name}")
    return int(not report.findings.is_clean)


if __name__ == "__main__":
    sys.exit(main())
