"""``make coverage``: every branch of the pure modules is taken by a test that needs no server.

python -m tests.mutation.coverage
"""

from __future__ import annotations

import subprocess
import sys

from tests.mutation import pure


def main() -> int:
    coverage = [sys.executable, "-m", "coverage"]
    # Of all that is in the packages, so that a module which no test imports is seen.
    tests = [*coverage, "run", "--branch", "--source=billing,marketplace", "-m", "pytest", "-q", pure.TESTS]
    failed = subprocess.run(tests, cwd=pure.ROOT, env=pure.environment(), check=False).returncode
    included = f"--include={','.join(pure.list_paths())}"
    report = [*coverage, "report", included, "--show-missing", "--skip-covered", "--fail-under=100"]
    return failed or subprocess.run(report, cwd=pure.ROOT, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
