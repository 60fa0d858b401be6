"""``make model``: fifty thousand steps, in as many processes as there are cores, each with a share of the organizations
in a database of its own.

python -m tests.model [--steps 50000] [--seed 1] [--processes 2] [--minutes 8]

With ``--minutes`` it stops early where the machine is slow, and says how far it came.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time

from tests.support import proofs


def main() -> int:
    parser = argparse.ArgumentParser(prog="model", description="The product against a model of it, step by step.")
    parser.add_argument("--steps", type=int, default=50_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--minutes", type=float)
    arguments, number = parser.parse_args(), proofs.share()
    return _all(arguments) if number is None else _share(arguments, number)


def _all(arguments: argparse.Namespace) -> int:
    from tests.model.report import Report

    began = time.monotonic()
    told = proofs.run_shares("tests.model", sys.argv[1:], processes=arguments.processes)
    whole = Report(arguments.seed)
    for text, _ in told:
        for line in text.splitlines():
            whole.add(Report(**json.loads(line)))
    whole.seconds = time.monotonic() - began
    sys.stdout.write(f"{whole.text()}\n")
    return int(bool(whole.divergences) or any(each.is_failed for each in told))


def _share(arguments: argparse.Namespace, number: int) -> int:
    proofs.set_up_share()
    from tests.model import walk

    report = walk.walk(
        steps=arguments.steps,
        seed=arguments.seed,
        share=walk.Share(number, arguments.processes),
        tell=proofs.tell_progress,
        seconds=None if arguments.minutes is None else arguments.minutes * 60,
    )
    sys.stdout.write(f"{report.as_json()}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
