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


def make(target: Path) -> None:
    """Fill ``target``, and lose what was there."""
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir()
    for folder in COPIED:
        shutil.copytree(pure.ROOT / folder, target / folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy2(pure.ROOT / "pyproject.toml", target)
    for path in pure.list_paths():
        (target / path).write_text(undecorated((pure.ROOT / path).read_text()))
