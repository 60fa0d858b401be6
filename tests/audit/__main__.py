"""``make audit``: known holes in every package that the product installs, by pip-audit.

Ends with 0 where none is known, 1 where one is, and 3 where no database of advisories could be reached, which it says:
an audit that did not take place is not one that found nothing.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

REQUIREMENTS = Path(__file__).resolve().parents[2] / "requirements"
# Asked one after the other until one answers.
SERVICES = ("pypi", "osv")
FOUND, UNREACHED = 1, 3
SECONDS_MAX = 60


def main() -> int:
    outcomes = {name: audit(REQUIREMENTS / name) for name in ("runtime.txt", "dev.txt")}
    return max(outcomes.values())


def audit(requirements: Path) -> int:
    program = str(Path(sys.executable).with_name("pip-audit"))
    for service in SERVICES:
        command = [program, "-s", service, "-r", str(requirements), "--require-hashes", "--disable-pip", "-f", "json"]
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
        report = json.loads(told.stdout) if told.stdout.startswith("{") else {"dependencies": []}
        audited = [each for each in report["dependencies"] if "vulns" in each]
        holes = [f"{each['name']} {each['version']}: {hole['id']}" for each in audited for hole in each["vulns"]]
        if holes:
            sys.stdout.write("".join(f"{requirements.name}, by {service}: {hole}\n" for hole in holes))
            return FOUND
        # A mirror without advisories answers that it knows none of the packages, and pip-audit calls that a success.
        if audited:
            sys.stdout.write(f"{requirements.name}: {service} knows of no hole in {len(audited)} packages.\n")
            return 0
        sys.stdout.write(f"{requirements.name}: {service} has no advisories for us, or cannot be reached.\n")
    sys.stdout.write(f"{requirements.name}: NOT audited, no database of advisories could be reached.\n")
    return UNREACHED


if __name__ == "__main__":
    sys.exit(main())
