"""A copy of the product for mutmut to work on, in which no function has a decorator that would hide it.

mutmut leaves decorated functions alone. A property is the same written as ``name = property(function)``; and a cache,
filled before a mutant is chosen, would answer in its place, so the copy has none.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import libcst

from tests.mutation import pure

COPIED = ("billing", "billing_project", "config", "docs", "examples", "marketplace", "static", "templates", "tests")
CACHES = ("cache", "lru_cache")


class _Undecorated(libcst.CSTTransformer):
    def leave_FunctionDef(  # noqa: N802 - libcst's name
        self, original_node: libcst.FunctionDef, updated_node: libcst.FunctionDef
    ) -> libcst.FunctionDef | libcst.FlattenSentinel[libcst.BaseStatement]:
        if len(updated_node.decorators) != 1:
            return updated_node
        decorator = updated_node.decorators[0].decorator
        name = decorator.func if isinstance(decorator, libcst.Call) else decorator
        bare = updated_node.with_changes(decorators=[])
        match name:
            case libcst.Name("property"):
                own = updated_node.name.value
                function = bare.with_changes(name=libcst.Name(f"{own}_"))
                return libcst.FlattenSentinel([function, libcst.parse_statement(f"{own} = property({own}_)\n")])
            case libcst.Name(cache) if cache in CACHES:
                return bare
        return updated_node


def undecorated(source: str) -> str:
    return libcst.parse_module(source).visit(_Undecorated()).code


def make(target: Path, *, anew: bool) -> None:
    """Fill ``target``. Files that say what they said stay untouched, and with them what is known of their mutants,
    unless it is made ``anew``."""
    if anew:
        shutil.rmtree(target, ignore_errors=True)
    shutil.rmtree(target / "mutants" / "tests", ignore_errors=True)
    pure_paths = set(pure.list_paths())
    wanted = {Path("pyproject.toml"): (pure.ROOT / "pyproject.toml").read_bytes()}
    for folder in COPIED:
        for path in sorted((pure.ROOT / folder).rglob("*")):
            relative = path.relative_to(pure.ROOT)
            if path.is_file() and "__pycache__" not in path.parts:
                is_pure = str(relative) in pure_paths
                wanted[relative] = undecorated(path.read_text()).encode() if is_pure else path.read_bytes()
    for relative, content in wanted.items():
        _put(target / relative, content)
    for folder in COPIED:
        for path in (target / folder).rglob("*"):
            if path.is_file() and path.relative_to(target) not in wanted:
                path.unlink()


def _put(path: Path, content: bytes) -> None:
    if not path.is_file() or path.read_bytes() != content:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
