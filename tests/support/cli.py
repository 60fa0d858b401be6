"""Running ``mcpctl`` as an operator does: in this process on its database, or as a process of its own."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

from click.testing import CliRunner

from billing.cli.application import mcpctl


@dataclass(frozen=True)
class Ran:
    """How a command ended, and what it said."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """Standard output as JSON."""
        return json.loads(self.out)

    @property
    def problem(self) -> Any:
        """Standard error as JSON: all of it, or this raises."""
        return json.loads(self.err)


def run(*arguments: object) -> Ran:
    """``mcpctl billing …`` in this process."""
    result = CliRunner().invoke(mcpctl, ["billing", *map(str, arguments)], catch_exceptions=False)
    return Ran(result.exit_code, result.stdout, result.stderr)


def shown(*arguments: object) -> Any:
    """The ``--json`` document of a command that must succeed."""
    ran = run(*arguments, "--json")
    assert ran.code == 0, ran
    return ran.document


def start(*arguments: object, stderr: int = subprocess.PIPE, **variables: str) -> subprocess.Popen[str]:
    """``mcpctl billing …`` as a process, with ``variables`` in its environment; one that is empty is left out."""
    env = os.environ | {"DJANGO_SETTINGS_MODULE": "billing_project.settings.test"} | variables
    return subprocess.Popen(
        [sys.executable, "-c", "from billing.cli import main; main()", "billing", *map(str, arguments)],
        env={name: value for name, value in env.items() if value},
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
    )


def run_process(*arguments: object, **variables: str) -> Ran:
    """As ``start``, waiting for the end."""
    process = start(*arguments, stderr=subprocess.PIPE, **variables)
    out, err = process.communicate(timeout=120)
    return Ran(process.returncode, out, err)
