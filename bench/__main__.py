"""``make bench``: every measure, its sides in turns, a table and a JSON file at the end.

python -m bench [--only NAME …] [--rounds 5] [--seconds 5] [--organizations 10000] [--json FILE] [--folder FOLDER]
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import platform
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

from bench import loading, reporting
from bench.contests import Contest, Result, hold
from bench.measures import batches, drafting, growth, http, reading
from bench.servers import Servers
from bench.stage import Scale, Stage

Measure = Callable[[Stage], AbstractContextManager[list[Contest]]]
MEASURES: dict[str, Measure] = {
    "single": http.single,
    "checks": http.checks,
    "shop": http.shop,
    "batches": batches.lists,
    "import": batches.files,
    "drafting": drafting.drafting,
    "ledger": reading.ledger,
}
# Takes its time, so only who asks for it gets it.
ON_DEMAND: dict[str, Measure] = {"growth": growth.growth}


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main() -> int:
    arguments = _arguments()
    scale = Scale(**{field.name: getattr(arguments, field.name) for field in dataclasses.fields(Scale)})
    if not loading.WRK:
        say("wrk is not installed: a client of ours asks instead, which is slower, so that all ratios are nearer to 1.")
    began = time.monotonic()
    results: list[Result] = []
    with Servers(arguments.folder) as servers:
        stage = Stage(servers, scale)
        # In this order, whatever was asked for first: the ledger's five million entries are not counted by their
        # account, so that nothing can be recorded on it any more.
        for name, measure in (MEASURES | ON_DEMAND).items():
            if name not in (arguments.only or MEASURES):
                continue
            with measure(stage) as contests:
                for contest in contests:
                    results.append(hold(contest, rounds=scale.rounds, tell=say))
    facts = {
        "machine": platform.machine(),
        "cores": str(reporting.cores()),
        "seconds": f"{time.monotonic() - began:.0f}",
    }
    say(reporting.table(results))
    if arguments.json:
        arguments.json.write_text(json.dumps(reporting.document(results, scale, facts), indent=2))
    return int(reporting.is_failed(results))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench", description="The product next to what this machine allows.")
    parser.add_argument(
        "--only", nargs="+", choices=[*MEASURES, *ON_DEMAND], metavar="NAME", help=", ".join([*MEASURES, *ON_DEMAND])
    )
    parser.add_argument("--json", type=Path)
    parser.add_argument("--folder", type=Path, help="where the data lie; a temporary folder if left out")
    for field in dataclasses.fields(Scale):
        parser.add_argument(f"--{field.name}", type=type(field.default), default=field.default)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
