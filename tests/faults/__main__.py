"""Faults on purpose, on servers of their own.

``make faults``, rounds of traffic and faults on the whole product:
python -m tests.faults rounds [--rounds 25] [--seed 1] [--only 7] [--fault PATTERN] [--keep FOLDER]

``make ordeal``, two thousand subscriptions billed by workers that are killed:
python -m tests.faults ordeal [--subscriptions 2000] [--kills 12] [--seed 1]
"""

from __future__ import annotations

import argparse
import logging
import os
import re
import signal
import sys
import tempfile
from pathlib import Path

import django

from tests.faults import inside
from tests.support import databases, proofs

# What this process has to see as the product does.
SHARED = ("REDIS_URL", "BILLING_WEBHOOKS_ALLOW_LOCAL")


def main() -> int:
    parser = argparse.ArgumentParser(prog="faults", description="Faults on purpose.")
    chosen = parser.add_subparsers(required=True)
    rounds = chosen.add_parser("rounds", help="traffic and faults on the whole product")
    rounds.add_argument("--rounds", type=int, default=25)
    rounds.add_argument("--seed", type=int, default=1)
    rounds.add_argument("--only", type=int, help="this round alone, as it was in a run of all")
    rounds.add_argument("--fault", default="", help="faults whose name has this pattern, and no others")
    rounds.add_argument("--keep", default="", help="a folder for journals and logs")
    rounds.set_defaults(run=_rounds)
    rounds.add_argument("--bug", default="", help="one that is planted into the product")
    ordeal = chosen.add_parser("ordeal", help="workers killed at random while they bill")
    ordeal.add_argument("--subscriptions", type=int, default=2000)
    ordeal.add_argument("--kills", type=int, default=12)
    ordeal.add_argument("--seed", type=int, default=1)
    ordeal.add_argument("--bug", default="", help="one that is planted into the workers")
    ordeal.set_defaults(run=_ordeal)
    arguments = parser.parse_args()
    # A run that is told to end puts away what it started and made.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("told to end"))
    run: int = arguments.run(arguments)
    return run


def _rounds(arguments: argparse.Namespace) -> int:
    from tests.faults.system import Disk, System, scratch

    with scratch() as folder:
        place = folder / "disk"
        place.mkdir()
        # Before anything runs that has to see it.
        disk = Disk.mounted(place)
        os.environ["DJANGO_SETTINGS_MODULE"] = "billing_project.settings.test"
        system = System(folder, disk=disk, variables=_planted(arguments.bug))
        try:
            os.environ |= {name: system.env[name] for name in SHARED} | {"DATABASE_URL": system.database_url}
            django.setup()
            logging.getLogger("billing").setLevel(logging.CRITICAL)
            return _suffer(system, folder, arguments)
        finally:
            system.stop()
            if disk is not None:
                disk.unmount()


def _suffer(system: object, folder: Path, arguments: argparse.Namespace) -> int:
    from django.core.management import call_command

    from tests.faults import faults, rounds
    from tests.faults.system import System
    from tests.support.receivers import receiver

    assert isinstance(system, System)
    call_command("migrate", verbosity=0, interactive=False)
    system.start()
    with receiver() as listening:
        chosen = [each for each in faults.possible(system) if re.search(arguments.fault, each.name)]
        run = rounds.Run(system, listening, folder, arguments.seed, chosen, say=_say)
        numbers = range(arguments.rounds) if arguments.only is None else [arguments.only]
        report = run.rounds(list(numbers))
    _say(report.figures())
    if arguments.keep:
        rounds.keep(folder, arguments.keep)
    return int(bool(report.wrong))


def _ordeal(arguments: argparse.Namespace) -> int:
    with proofs.on_own_servers() as (servers, name):
        from tests.faults import ordeal

        with databases.pointed_at(name), tempfile.TemporaryDirectory() as folder:
            report = ordeal.suffer(
                subscriptions=arguments.subscriptions,
                kills=arguments.kills,
                seed=arguments.seed,
                folder=Path(folder),
                env=os.environ
                | {"DATABASE_URL": databases.url_of(servers.database_url, name)}
                | _planted(arguments.bug),
                pause=(1.0, 8.0),
            )
    _say(report.text())
    return int(bool(report.wrong))


def _planted(bug: str) -> dict[str, str]:
    """Variables of the product's processes that plant a bug into them."""
    return {"DJANGO_SETTINGS_MODULE": "tests.faults.settings", inside.BUG: bug} if bug else {}


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
