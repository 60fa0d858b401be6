"""``make mutation``: each pure module is changed in every way that mutmut knows, and the tests have to notice.

python -m tests.mutation [--only billing.invoicing] [--processes 1] [--floor 95] [--again]

``--again`` tells what is known of all of them by now, with the equivalents of now.

Fails where fewer than ``--floor`` per cent of the meaningful mutants are found, or where equivalents.toml names one
that is no mutant any more, or that was found.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time

from tests.mutation import pure, report, workspace

PLACE = pure.ROOT / ".mutation"


def main() -> int:
    parser = argparse.ArgumentParser(prog="mutation", description="Mutants of the pure modules, and who finds them.")
    parser.add_argument("--only", default="", help="modules whose dotted name begins so; of others the last run stands")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--floor", type=float, default=95, help="per cent of the meaningful mutants")
    parser.add_argument(
        "--again", action="store_true", help="tell the outcome of the last run, with today's equivalents"
    )
    asked = parser.parse_args()
    modules = [name for name in map(pure.module_of, pure.list_paths()) if name.startswith(asked.only)]
    began = time.monotonic()
    if asked.again:
        return report.tell(PLACE, modules, floor=asked.floor)
    workspace.make(PLACE, anew=not asked.only)
    command = [sys.executable, "-m", "mutmut", "run", "--max-children", str(asked.processes)]
    patterns = [f"{module}.*" for module in modules] if asked.only else []
    with (PLACE / "mutmut.log").open("w") as log:
        run = subprocess.run(
            [*command, *patterns], cwd=PLACE, env=pure.environment(), stdout=log, stderr=subprocess.STDOUT, check=False
        )
    if run.returncode:
        sys.stdout.write((PLACE / "mutmut.log").read_text()[-4000:])
        return run.returncode
    return report.tell(PLACE, modules, floor=asked.floor, seconds=time.monotonic() - began)


if __name__ == "__main__":
    sys.exit(main())
