"""``make ordeal``: two thousand subscriptions, a dozen kills, on servers of its own.

python -m tests.faults [--subscriptions 2000] [--kills 12] [--seed 1]
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

from tests.support import databases, proofs


def main() -> int:
    parser = argparse.ArgumentParser(prog="ordeal", description="Workers killed at random.")
    parser.add_argument("--subscriptions", type=int, default=2000)
    parser.add_argument("--kills", type=int, default=12)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    with proofs.on_own_servers() as (servers, name):
        from tests.faults import ordeal

        with databases.pointed_at(name), tempfile.TemporaryDirectory() as folder:
            report = ordeal.suffer(
                subscriptions=arguments.subscriptions,
                kills=arguments.kills,
                seed=arguments.seed,
                folder=Path(folder),
                env=os.environ | {"DATABASE_URL": databases.url_of(servers.database_url, name)},
                pause=(1.0, 8.0),
            )
    sys.stdout.write(f"{report.text()}\n")
    return int(bool(report.wrong))


if __name__ == "__main__":
    sys.exit(main())
