"""``make planted``: every bug is planted, and the table says which proofs saw it.

python -m tests.planted [--only PATTERN]

Fails where a bug is not caught by a proof that has to, a proof finds something without a bug, or an invariant has no
bug.
"""

from __future__ import annotations

import argparse
import logging
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import pytest

from tests.support import databases, proofs
from tests.support.plugin import TEMPLATE_VARIABLE

Row = tuple[str, str, list[str], bool]
WIDTH = 62
NO_BUG = "(none"


def main() -> int:
    parser = argparse.ArgumentParser(prog="planted", description="Bugs planted on purpose, and who sees them.")
    parser.add_argument("--only", default="", help="bugs whose name has this pattern")
    wanted = re.compile(parser.parse_args().only).search
    began = time.monotonic()
    with proofs.on_own_servers(level=logging.CRITICAL) as (servers, name):
        os.environ[TEMPLATE_VARIABLE] = name
        rows = []
        for plant in (data_bugs, code_bugs, mistakes, process_bugs, door_bugs):
            for row in plant(servers.database_url, wanted):
                tell(row)
                rows.append(row)
        missing = without_a_bug()
    outcomes = [is_caught for _, name, _, is_caught in rows if not name.startswith(NO_BUG)]
    is_silent = all(is_caught for _, name, _, is_caught in rows if name.startswith(NO_BUG))
    sys.stdout.write(
        f"\n{len(outcomes)} bugs planted, {sum(outcomes)} caught, {len(missing)} invariants without a bug,"
        f" {'silence' if is_silent else 'NO SILENCE'} without one; {time.monotonic() - began:.0f} s\n"
    )
    for name in sorted(missing):
        sys.stdout.write(f"no bug is planted for {name}\n")
    return int(bool(missing) or not all(outcomes) or not is_silent)


def tell(row: Row) -> None:
    where, name, proofs, is_caught = row
    sys.stdout.write(f"{where}  {name:{WIDTH}}  {', '.join(proofs) if is_caught else 'NOT CAUGHT'}\n")
    sys.stdout.flush()


def data_bugs(server_url: str, wanted: Callable[[str], object]) -> Iterator[Row]:
    """Those in rows, all in the same books, each rolled back."""
    from billing.reporting import doctor
    from tests.planted import books
    from tests.planted.planting import planted
    from tests.planted.registry import DATA_BUGS
    from tests.support import factories

    with databases.cloned(server_url):
        books.make_plans()
        factories.organization(slug="elsewhere")
        books.make_rich_books()
        yield "data", f"{NO_BUG})", ["silence"], doctor.verify() == []
        for bug in filter(lambda bug: wanted(bug.name), DATA_BUGS):
            with planted(bug) as caught:
                yield "data", bug.name, sorted(caught.violations), caught.violations.keys() >= bug.found_by


def code_bugs(server_url: str, wanted: Callable[[str], object]) -> Iterator[Row]:
    """Those in functions: each proof on a database of its own."""
    from tests.planted.code_bugs import CODE_BUGS, caught
    from tests.planted.scenarios import findings

    chosen = [bug for bug in CODE_BUGS if wanted(bug.name)]
    for proof in dict.fromkeys(proof for bug in chosen for proof in bug.proofs):
        with databases.cloned(server_url):
            yield "code", f"{NO_BUG}, {proof.__name__})", ["silence"], findings(proof) == []
    for bug in chosen:
        seen: list[str] = []
        is_caught = True
        for proof in bug.proofs:
            with databases.cloned(server_url), pytest.MonkeyPatch.context() as patch:
                bug.plant(patch)
                found = findings(proof)
            is_caught = is_caught and caught(bug, found)
            seen += [f"{proof.__name__}: {each}" for each in found if re.search(bug.says, each)]
        yield "code", bug.name, seen, is_caught


def mistakes(server_url: str, wanted: Callable[[str], object]) -> Iterator[Row]:
    """Those in sums of money and in calendars, which only a second calculator sees."""
    from tests.simulation.test_simulation import MISTAKES, play

    for mistake, some in MISTAKES:
        name = mistake.__name__.replace("_", " ")
        if not wanted(name):
            continue
        with databases.cloned(server_url), pytest.MonkeyPatch.context() as patch:
            mistake(patch)
            found = play(seed=3, days=70, some=some, uses_per_day=0.8).findings
        seen = [f"simulation: {len(found.differences)} differences"] if found.differences else []
        yield "code", name, seen, bool(found.differences)


def process_bugs(server_url: str, wanted: Callable[[str], object]) -> Iterator[Row]:
    """Those in running servers and workers, each proof in a process of its own, on servers of its own."""
    del server_url
    from tests.faults.bugs import PROCESS_BUGS

    chosen = [bug for bug in PROCESS_BUGS if wanted(bug.name)]
    for proof in dict.fromkeys(bug.run for bug in chosen):
        code, _ = _faults(*proof)
        yield "live", f"{NO_BUG}, {' '.join(proof)})"[:WIDTH], ["silence"], code == 0
    for bug in chosen:
        code, said = _faults(*bug.run, "--bug", bug.name)
        seen = sorted({each[0][:WIDTH] for line in said.splitlines() if (each := re.search(f"({bug.says}).*", line))})
        yield "live", bug.name, [f"{bug.run[0]}: {each}" for each in seen[:2]], code == 1 and bool(seen)


def _faults(*arguments: str) -> tuple[int, str]:
    env = {name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "REDIS_URL")}
    done = subprocess.run(
        [sys.executable, "-m", "tests.faults", *arguments], env=env, stdout=subprocess.PIPE, text=True, check=False
    )
    return done.returncode, done.stdout


def door_bugs(server_url: str, wanted: Callable[[str], object]) -> Iterator[Row]:
    """Those in how requests are answered, all on one stage, each undone."""
    from tests.corpus import proving, stage
    from tests.planted.bugs_of_doors import DOOR_BUGS

    chosen = [bug for bug in DOOR_BUGS if wanted(bug.name)]
    if not chosen:
        return
    logging.getLogger("django.request").setLevel(logging.CRITICAL)
    with databases.cloned(server_url), stage.settled():
        built = stage.build()
        for bug in chosen:
            with pytest.MonkeyPatch.context() as patch:
                bug.plant(patch)
                found = proving.broken(built, bug.operation, bug.families, kind=bug.kind)
            yield "door", bug.name, [f"corpus: {bug.kind}"] * bool(found), bool(found)


def without_a_bug() -> set[str]:
    from billing.reporting import doctor
    from tests.planted.registry import DATA_BUGS

    return {invariant.name for invariant in doctor.INVARIANTS} - {name for bug in DATA_BUGS for name in bug.found_by}


if __name__ == "__main__":
    sys.exit(main())
