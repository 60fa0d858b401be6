"""The pure modules, and an environment in which their tests run without any server."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path

from tests.support.plugin import TEMPLATE_VARIABLE

ROOT = Path(__file__).resolve().parents[2]
TESTS = "tests/unit"


def list_paths() -> tuple[str, ...]:
    """The modules as files below the root, as pyproject.toml names them."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    return tuple(sorted(settings["tool"]["mutmut"]["only_mutate"]))


def module_of(path: str) -> str:
    return path.removesuffix(".py").replace("/", ".")


def environment() -> Mapping[str, str]:
    """Of a process whose tests find no PostgreSQL and no Valkey: one that turned to them would fail."""
    return {
        **os.environ,
        TEMPLATE_VARIABLE: "none",
        "DATABASE_URL": "postgres://nobody@127.0.0.1:1/none",
        "REDIS_URL": "redis://127.0.0.1:1/0",
        "PYTHONHASHSEED": "0",
    }
