"""``make corpus``: every endpoint's cases, in two processes with servers of their own.

python -m tests.corpus [--cases 2000] [--seed 1] [--only PATTERN[:NUMBER]] [--sockets] [--processes 2]
"""

from __future__ import annotations

import argparse
import gc
import logging
import pickle
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.corpus import reports
from tests.corpus.reports import Outcome, Report
from tests.support import databases, proofs

if TYPE_CHECKING:
    from tests.corpus.operations import Operation
    from tests.corpus.stage import Stage

Parts = tuple[Report, Outcome]


def main() -> int:
    arguments = _arguments()
    if arguments.out:
        Path(arguments.out).write_bytes(pickle.dumps(_share(arguments)))
        return 0
    began = time.monotonic()
    parts = [_share(arguments)] if arguments.only else _in_processes(arguments)
    return _tell(parts, time.monotonic() - began)


def _arguments() -> Any:
    parser = argparse.ArgumentParser(prog="corpus", description="Bad input for every endpoint.")
    parser.add_argument("--cases", type=int, default=0, help="of each endpoint that writes or lists (2000)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="", help="endpoints by a pattern of their id; with :NUMBER one case")
    parser.add_argument("--sockets", action="store_true", help="only what is sent byte by byte")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--share", default="0/1", help=argparse.SUPPRESS)
    parser.add_argument("--out", default="", help=argparse.SUPPRESS)
    return parser.parse_args()


def _in_processes(arguments: Any) -> list[Parts]:
    """Each with a share of the endpoints."""
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder, str(number)) for number in range(arguments.processes)]
        command = [sys.executable, "-m", "tests.corpus", "--cases", str(arguments.cases), "--seed", str(arguments.seed)]
        command += ["--sockets"] * arguments.sockets
        running = [
            subprocess.Popen([*command, "--share", f"{number}/{len(files)}", "--out", str(file)])
            for number, file in enumerate(files)
        ]
        codes = [each.wait() for each in running]
        if any(codes):
            raise SystemExit("a share was not finished")
        return [pickle.loads(file.read_bytes()) for file in files]  # noqa: S301 - our own, of a moment ago


def _share(arguments: Any) -> Parts:
    with proofs.on_own_servers(level=logging.CRITICAL) as (servers, name):
        # Each refusal would be told by Django as well.
        logging.disable(logging.CRITICAL)
        from tests.corpus import framing, operations, stage
        from tests.support.http import HttpServer

        pattern, _, number = arguments.only.partition(":")
        share, _, of = arguments.share.partition("/")
        chosen = [each for each in operations.operations().values() if re.search(pattern, each.id)][
            int(share) :: int(of)
        ]
        with databases.pointed_at(name), stage.settled():
            built = stage.build()
            report, outcome = Report(arguments.seed), Outcome()
            if not arguments.sockets:
                report = _cases(built, chosen, arguments, number)
            if arguments.sockets or not arguments.only:
                url = databases.url_of(servers.database_url, name)
                variables = stage.ENVIRONMENT | framing.ENVIRONMENT
                with HttpServer.running(database_url=url, redis_url=servers.redis_url, **variables) as server:
                    count = framing.OF_EACH if not arguments.cases else max(4, arguments.cases // 33)
                    outcome = framing.run(server, built, chosen, seed=arguments.seed, count=count)
            return report, outcome


def _cases(built: Stage, chosen: Sequence[Operation], arguments: Any, number: str) -> Report:
    from tests.corpus import drawing, running

    # What the product is made of is no garbage, as the door knows too.
    gc.collect()
    gc.freeze()
    with running.Runner(built, arguments.seed) as runner:
        for operation in chosen:
            if number:
                runner.run(operation, [drawing.draw(operation, arguments.seed, int(number))])
                continue
            most = drawing.OF_A_WRITE_OR_LIST if operation.is_write or operation.is_list else drawing.OF_A_READ
            count = most if not arguments.cases else max(1, arguments.cases * most // drawing.OF_A_WRITE_OR_LIST)
            runner.run(operation, [*drawing.sound(operation), *drawing.cases(operation, arguments.seed, count)])
            sys.stderr.write(f"{operation}: {count}, {runner.report.seconds:.0f} s\n")
    return runner.report


def _tell(parts: Sequence[Parts], seconds: float) -> int:
    report = reports.merge([part for part, _ in parts])
    report.seconds = seconds
    for _, outcome in parts:
        report.told += outcome.told
        report.kinds += outcome.kinds
        report.sockets += outcome.answers
        report.endpoints += outcome.endpoints
    refused = set(report.refused) - reports.NEVER_SUCCEED
    sys.stdout.write("".join(f"the sound request of {each} is refused\n" for each in sorted(refused)))
    sys.stdout.write("".join(f"FOUND  {each}\n\n" for each in report.told))
    sys.stdout.write(f"{reports.figures(report)}\n")
    return int(report.kinds.total() > 0 or bool(refused))


if __name__ == "__main__":
    sys.exit(main())
