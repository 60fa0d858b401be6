"""The modules that are called pure are, and the copy that mutants are made in says the same as they do."""

import subprocess
import sys

import pytest

from tests.mutation import pure, report, workspace

IMPORTS = """
import importlib, sys
for name in sys.argv[1:]:
    importlib.import_module(name)
impure = {"django", "rest_framework", "celery", "redis", "psycopg", "stripe"} & set(sys.modules)
sys.exit(f"they import {sorted(impure)}" if impure else 0)
"""


def test_the_pure_modules_import_no_framework_and_no_driver() -> None:
    names = [pure.module_of(path) for path in pure.list_paths()]
    found = subprocess.run(
        [sys.executable, "-c", IMPORTS, *names], cwd=pure.ROOT, capture_output=True, text=True, check=False
    )
    assert (found.returncode, found.stderr) == (0, "")


def test_each_is_named_once_and_there() -> None:
    paths = pure.list_paths()
    assert len(set(paths)) == len(paths)
    assert [path for path in paths if not (pure.ROOT / path).is_file()] == []


WRITTEN = '''\
class Span:
    @property
    def seconds(self) -> int:
        """Whole seconds."""
        return 1

    @classmethod
    def none(cls) -> "Span":
        return cls()


@lru_cache(maxsize=4)
def window(day: int) -> int:
    return day
'''
BARE = '''\
class Span:
    def seconds_(self) -> int:
        """Whole seconds."""
        return 1
    seconds = property(seconds_)

    @classmethod
    def none(cls) -> "Span":
        return cls()


def window(day: int) -> int:
    return day
'''


def test_properties_and_caches_are_written_as_functions() -> None:
    assert workspace.undecorated(WRITTEN) == BARE


@pytest.mark.parametrize("path", pure.list_paths())
def test_every_pure_module_can_be_copied_so(path: str) -> None:
    copied = workspace.undecorated((pure.ROOT / path).read_text())
    compile(copied, path, "exec")
    assert "@property" not in copied
    assert "cache(" not in copied


def test_every_equivalent_is_of_a_pure_module_and_says_why() -> None:
    starts = tuple(f"{pure.module_of(path)}." for path in pure.list_paths())
    equivalents = report.list_equivalents()
    assert [each for each in equivalents if not each.function.startswith(starts)] == []
    assert all(each.why and each.was != each.now for each in equivalents)
    assert len({each.key for each in equivalents}) == len(equivalents)
