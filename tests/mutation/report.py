"""What became of each mutant, by module; survivors as the lines that they changed."""

from __future__ import annotations

import contextlib
import json
import sys
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

EQUIVALENTS = Path(__file__).with_name("equivalents.toml")
FOUND = ("killed", "timeout")


class Mutant(NamedTuple):
    """``was`` and ``now`` are the changed lines without their indentation, one blank between them."""

    name: str
    module: str
    function: str
    outcome: str
    was: str = ""
    now: str = ""

    @property
    def key(self) -> tuple[str, str, str]:
        return f"{self.module}.{self.function}", self.was, self.now


class Equivalent(NamedTuple):
    """A mutant that no test can find, since it does the same, and why."""

    function: str
    was: str
    now: str
    why: str

    @property
    def key(self) -> tuple[str, str, str]:
        return self.function, self.was, self.now


def tell(place: Path, modules: Iterable[str], *, floor: float, seconds: float | None = None) -> int:
    """Write the table and the survivors. 1 where too few were found or the list of equivalents is wrong, else 0."""
    mutants = list(_mutants(place, list(modules)))
    survivors = [mutant for mutant in mutants if mutant.outcome not in FOUND]
    same = {each.key for each in list_equivalents()}
    for mutant in survivors:
        if mutant.key not in same:
            sys.stdout.write(f"{mutant.outcome}  {mutant.name}\n    - {mutant.was}\n    + {mutant.now}\n")
    sys.stdout.write(f"\n{'module':44}{'mutants':>9}{'found':>7}{'left':>6}{'same':>6}{'per cent':>10}\n")
    for module in sorted({mutant.module for mutant in mutants}):
        _tell_row(module, [mutant for mutant in mutants if mutant.module == module], same)
    score = _tell_row("all", mutants, same)
    reached = {mutant.module for mutant in mutants}
    stale = same_of(reached) - {mutant.key for mutant in survivors}
    for function, was, now in sorted(stale):
        sys.stdout.write(f"equivalents.toml: no survivor of {function} any more: {was!r} to {now!r}\n")
    outcomes = Counter(mutant.outcome for mutant in mutants)
    told = ", ".join(f"{count} {outcome}" for outcome, count in sorted(outcomes.items()))
    took = "" if seconds is None else f"; {seconds:.0f} s"
    sys.stdout.write(f"{told}; {score:.1f} per cent of the meaningful ones found, {floor:g} asked{took}\n")
    return int(bool(stale) or score < floor)


def list_equivalents() -> list[Equivalent]:
    read = tomllib.loads(EQUIVALENTS.read_text())
    return [Equivalent(**each) for each in read.get("equivalent", [])]


def same_of(modules: Iterable[str]) -> set[tuple[str, str, str]]:
    starts = tuple(f"{module}." for module in modules)
    return {each.key for each in list_equivalents() if each.function.startswith(starts)}


def _tell_row(name: str, mutants: list[Mutant], same: set[tuple[str, str, str]]) -> float:
    found = sum(mutant.outcome in FOUND for mutant in mutants)
    equal = sum(mutant.key in same for mutant in mutants if mutant.outcome not in FOUND)
    score = 100 * found / max(1, len(mutants) - equal)
    left = len(mutants) - found - equal
    sys.stdout.write(f"{name:44}{len(mutants):>9}{found:>7}{left:>6}{equal:>6}{score:>10.1f}\n")
    return score


def _mutants(place: Path, modules: list[str]) -> Iterator[Mutant]:
    with contextlib.chdir(place):
        # It reads its settings from the working directory, and when it is imported.
        from mutmut.mutation.diff_apply import get_diff_for_mutant
        from mutmut.stats import status_by_exit_code

        for module in modules:
            path = Path(module.replace(".", "/")).with_suffix(".py")
            meta = Path("mutants") / f"{path}.meta"
            if not meta.exists():
                continue
            for name, code in json.loads(meta.read_text())["exit_code_by_key"].items():
                mutant = Mutant(name, module, _function_of(name, module), status_by_exit_code[code])
                if mutant.outcome not in FOUND:
                    diff = get_diff_for_mutant(name, path=path).splitlines()[2:]
                    mutant = mutant._replace(was=_lines(diff, "-"), now=_lines(diff, "+"))
                yield mutant


def _function_of(name: str, module: str) -> str:
    """``x_fees__mutmut_3`` is of ``fees``, and ``xǁSpanǁseconds___mutmut_1`` of the property ``Span.seconds``."""
    mangled = name.removeprefix(f"{module}.").rpartition("__mutmut_")[0]
    return mangled.removeprefix("x_").removeprefix("xǁ").replace("ǁ", ".")


def _lines(diff: Iterable[str], sign: str) -> str:
    return " ".join(line[1:].strip() for line in diff if line.startswith(sign))
