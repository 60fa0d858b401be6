"""``make model``: fifty thousand steps, on servers of its own.

python -m tests.model [--steps 50000] [--seed 1]
"""

from __future__ import annotations

import argparse
import sys

from tests.support import databases, proofs


def main() -> int:
    parser = argparse.ArgumentParser(prog="model", description="The product against a model of it, step by step.")
    parser.add_argument("--steps", type=int, default=50_000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    with proofs.on_own_servers() as (_, name):
        from tests.model import walk

        with databases.pointed_at(name):
            report = walk.walk(steps=arguments.steps, seed=arguments.seed, tell=_tell)
    sys.stdout.write(f"{report.text()}\n")
    return int(bool(report.divergences))


def _tell(text: str) -> None:
    sys.stderr.write(f"{text}\n")


if __name__ == "__main__":
    sys.exit(main())
