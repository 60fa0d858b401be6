"""``make audit``: known holes in every package that the product installs, by pip-audit.

Ends with 0 where none is known, 1 where one is, and 3 where no database of advisories could be reached, which it says:
an audit that did not take place is not one that found nothing.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

REQUIREMENTS = Path(__file__).resolve().parents[2] / "requirements"
# Asked one after the other until one answers.
SERVICES = ("pypi", "osv")
FOUND, UNREACHED = 1, 3
SECONDS_MAX = 300


def main() -> int:
    outcomes = {name: audit(REQUIREMENTS / name) for name in ("runtime.txt", "dev.txt")}
    return max(outcomes.values())


def audit(requirements: Path) -> int:
    program = Path(sys.executable).with_name("pip-audit")
    for service in SERVICES:
        command = [program, "-s", service, "-r", requirements, "--require-hashes", "--disable-pip"]
        try:
            told = subprocess.run(
                [*command, "--progress-spinner", "off"],
                capture_output=True,
                text=True,
                timeout=SECONDS_MAX,
                check=False,
            )
        except subprocess.TimeoutExpired:
            sys.stdout.write(f"{requirements.name}: {service} did not answer within {SECONDS_MAX} s.\n")
            continue
        if "No known vulnerabilities found" in told.stderr:
            sys.stdout.write(f"{requirements.name}: {service} knows of no hole.\n")
            return 0
        if told.stdout.strip():
            sys.stdout.write(f"{requirements.name}, by {service}:\n{told.stdout}\n")
            return FOUND
        sys.stdout.write(f"{requirements.name}: {service} cannot be reached: {told.stderr.strip().splitlines()[-1]}\n")
    sys.stdout.write(f"{requirements.name}: NOT audited, no database of advisories could be reached.\n")
    return UNREACHED


if __name__ == "__main__":
    sys.exit(main())
