"""``make coverage``: every branch of the pure modules is taken by a test that needs no server.

python -m tests.mutation.coverage
"""

from __future__ import annotations

import subprocess
import sys

from tests.mutation import pure


def main() -> int:
    coverage = [sys.executable, "-m", "coverage"]
    included = f"--include={','.join(pure.list_paths())}"
    tests = [*coverage, "run", "--branch", included, "-m", "pytest", "-q", pure.TESTS, *sys.argv[1:]]
    failed = subprocess.run(tests, cwd=pure.ROOT, env=pure.environment(), check=False).returncode
    report = [*coverage, "report", "--show-missing", "--skip-covered", "--fail-under=100"]
    return failed or subprocess.run(report, cwd=pure.ROOT, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
