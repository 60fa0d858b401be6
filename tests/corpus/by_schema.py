"""``make schemathesis``: Schemathesis with all its checks and phases against the server, by the schema it gives out.

python -m tests.corpus.by_schema [--examples 50] [--seed 1] [--only PATTERN] [--phases coverage,stateful]

Two checks are told what else this product says (docs/reliability.md); none is left out.
"""

from __future__ import annotations

import argparse
import json
import logging
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.support import databases, proofs

if TYPE_CHECKING:
    from tests.corpus.stage import Stage

# A schema says what is well formed. What the books, the plans or the clock say to it comes after: an unknown meter, a
# time too long ago, a contradiction of two fields (422), a limit (402), what is there already (409).
WELL_FORMED = ["2xx", "304", "401", "402", "403", "404", "409", "422"]
# What no provider signed is malformed, whatever it says.
DELIVERIES = "/api/billing/providers/{provider}/webhook"
NOT_WELL_FORMED = ["400", "401", "403", "404", "405", "413", "414", "415", "422", "431"]
# How often a parameter is the id of something that is there.
KNOWN = 0.7
BANNER = re.compile(r"=+ .* in [0-9.]+s =+")
MORE_NAMES = {"organization": "own.organization_ref", "case": "own.case_id", "code": "own.coupon_code"}


def main() -> int:
    parser = argparse.ArgumentParser(prog="schemathesis", description="Schemathesis against the product.")
    parser.add_argument("--examples", type=int, default=50, help="of each endpoint in the phases that draw")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="", help="paths by a pattern")
    parser.add_argument("--phases", default="examples,coverage,fuzzing,stateful")
    arguments = parser.parse_args()
    with proofs.on_own_servers(level=logging.CRITICAL) as (servers, name):
        from tests.corpus import operations, stage
        from tests.support.http import HttpServer

        with databases.pointed_at(name), stage.settled(), tempfile.TemporaryDirectory() as folder:
            built = stage.build()
            config = Path(folder, "schemathesis.toml")
            named = {each for operation in operations.operations().values() for each in operation.parameters}
            config.write_text(_config(built, sorted(named), arguments, folder))
            url = databases.url_of(servers.database_url, name)
            with HttpServer.running(database_url=url, redis_url=servers.redis_url, **stage.ENVIRONMENT) as server:
                return _run(config, server.url, arguments)


def _run(config: Path, url: str, arguments: Any) -> int:
    program = Path(sys.executable).with_name("schemathesis")
    command = [str(program), "--config-file", str(config), "run", f"{url}/api/schema", "--phases", arguments.phases]
    command += ["--include-path-regex", arguments.only] if arguments.only else []
    cases = ""
    with subprocess.Popen(command, cwd=config.parent, stdout=subprocess.PIPE, encoding="utf-8") as process:
        for line in process.stdout or ():
            # Its banner at the end reads like that of a test runner that ran nothing.
            if not BANNER.fullmatch(line.strip()):
                sys.stdout.write(line)
                sys.stdout.flush()
            if " generated, " in line:
                cases = line.strip()
    sys.stdout.write(f"Schemathesis, seed {arguments.seed}: {cases or 'no case was generated'}\n")
    return process.returncode if cases else process.returncode or 1


def _config(built: Stage, parameters: list[str], arguments: Any, folder: str) -> str:
    known = {name: built.names[f"own.{name}"] for name in parameters if f"own.{name}" in built.names}
    known |= {name: built.names[mark] for name, mark in MORE_NAMES.items()}
    key = built.callers["platform"]["Authorization"].removeprefix("Bearer ")
    lines = [
        f"seed = {arguments.seed}",
        "color = false",
        "continue-on-failure = true",
        "[generation]",
        f"max-examples = {arguments.examples}",
        f"database = {json.dumps(f'{folder}/examples')}",
        "[auth.openapi.apiKey]",
        f"bearer = {json.dumps(key)}",
        "[checks.positive_data_acceptance]",
        f"expected-statuses = {json.dumps(WELL_FORMED)}",
        "[checks.negative_data_rejection]",
        f"expected-statuses = {json.dumps(NOT_WELL_FORMED)}",
        "[parameters]",
        *(f"{name} = {{ dictionary = {json.dumps(name)}, probability = {KNOWN} }}" for name in known),
        *_dictionaries(known),
        "[[operations]]",
        f"include-path = {json.dumps(DELIVERIES)}",
        "[operations.checks.positive_data_acceptance]",
        f"expected-statuses = {json.dumps(['400', *WELL_FORMED])}",
    ]
    return "".join(f"{line}\n" for line in lines)


def _dictionaries(known: Mapping[str, str]) -> list[str]:
    return [
        line for name, value in known.items() for line in (f"[dictionaries.{name}]", f"values = [{json.dumps(value)}]")
    ]


if __name__ == "__main__":
    sys.exit(main())
