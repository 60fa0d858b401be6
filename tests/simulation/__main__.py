"""``make simulation``: all of it, in as many processes as there are cores, each with a share of the people in a
database of its own.

    python -m tests.simulation [--subscriptions 500] [--years 10] [--seed 1] [--processes 2]
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from datetime import UTC, date, datetime
from typing import Any

from tests.support import proofs

# Summers and winters of ten years, three leap days, and a zone that skips a day on the way.
FIRST_DAY = datetime(2010, 1, 1, tzinfo=UTC)


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main() -> int:
    arguments, number = _arguments(), proofs.share()
    return _all(arguments) if number is None else _share(arguments, number)


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
    told = proofs.run_shares("tests.simulation", sys.argv[1:], processes=arguments.processes)
    totals: dict[str, int] = {}
    for text, _ in told:
        say(text)
        for line in text.splitlines():
            if line.startswith("total "):
                _, count, name = line.split(" ", 2)
                totals[name] = totals.get(name, 0) + int(count)
    figures = ", ".join(f"{count} {name}" for name, count in totals.items())
    failed = any(each.is_failed for each in told)
    outcome = "FAILED" if failed else "agreed"
    say(f"{outcome}: {_days(arguments.years)} days, {figures}, {time.monotonic() - began:.0f} s")
    return int(failed)


def _share(arguments: argparse.Namespace, number: int) -> int:
    proofs.set_up_share()
    from tests.simulation import lives, stage

    everybody = lives.settle(seed=arguments.seed, count=arguments.subscriptions, first_day=FIRST_DAY)
    people = everybody[number :: arguments.processes]
    days = _days(arguments.years)
    report = stage.play(people, seed=arguments.seed, first_day=FIRST_DAY, days=days, tell=proofs.tell_progress)
    say(report.text())
    totals: dict[str, Any] = report.totals()
    for name, count in totals.items():
        say(f"total {count} {name}")
    return int(not report.findings.is_clean)


if __name__ == "__main__":
    sys.exit(main())
