"""``make model``: fifty thousand steps, on servers of its own.

python -m tests.model [--steps 50000] [--seed 1]
"""

from __future__ import annotations

import argparse
import logging
import os
import sys

import django

from tests.support import databases
from tests.support.servers import TestServers


def main() -> int:
    parser = argparse.ArgumentParser(prog="model", description="The product against a model of it, step by step.")
    parser.add_argument("--steps", type=int, default=50_000)
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
        from tests.model import walk

        with databases.pointed_at(name):
            report = walk.walk(steps=arguments.steps, seed=arguments.seed, tell=_tell)
    finally:
        servers.stop()
    sys.stdout.write(f"{report.text()}\n")
    return int(bool(report.divergences))


def _tell(text: str) -> None:
    sys.stderr.write(f"{text}\n")


if __name__ == "__main__":
    sys.exit(main())
