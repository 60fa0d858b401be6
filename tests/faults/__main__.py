"""``make ordeal``: two thousand subscriptions, a dozen kills, on servers of its own.

python -m tests.faults [--subscriptions 2000] [--kills 12] [--seed 1]
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import tempfile
from pathlib import Path

import django

from tests.support import databases
from tests.support.servers import TestServers


def main() -> int:
    parser = argparse.ArgumentParser(prog="ordeal", description="Workers killed at random.")
    parser.add_argument("--subscriptions", type=int, default=2000)
    parser.add_argument("--kills", type=int, default=12)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    os.environ["DJANGO_SETTINGS_MODULE"] = "billing_project.settings.test"
    servers = TestServers()
    servers.start()
    try:
        os.environ |= {"DATABASE_URL": servers.database_url, "REDIS_URL": servers.redis_url}
        django.setup()
        logging.getLogger("billing").setLevel(logging.ERROR)
        name = servers.make_template()
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
    finally:
        servers.stop()
    sys.stdout.write(f"{report.text()}\n")
    return int(bool(report.wrong))


if __name__ == "__main__":
    sys.exit(main())
