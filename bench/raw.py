"""The raw limit: what PostgreSQL itself takes in with rows as wide as ours, by its own ``pgbench``.

A thousand events a transaction into a table with our columns and nothing but a primary key, and one counter; no
identity is checked, no limit asked, no ledger kept.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import psycopg

from bench.servers import Servers

ROWS = 1000
_TPS = re.compile(r"tps = ([0-9.]+)")


class Raw:
    def __init__(self, servers: Servers) -> None:
        self._url = servers.database.url
        self._pgbench = servers.program("pgbench")
        self._script = servers.folder / "raw.sql"
        self._prepare(self._script)

    def rate(self, *, writers: int, seconds: float) -> float:
        """Events a second."""
        told = subprocess.run(  # a fixed program # nosec B603
            [
                *(str(self._pgbench), "--no-vacuum", "--protocol=prepared", f"--file={self._script}"),
                *(f"--client={writers}", f"--jobs={writers}", f"--time={max(1, round(seconds))}", self._url),
            ],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        found = _TPS.search(told)
        assert found is not None, told  # noqa: S101 - what pgbench always says
        return float(found[1]) * ROWS

    def _prepare(self, script: Path) -> None:
        with psycopg.connect(self._url, autocommit=True) as connection:
            connection.execute("DROP TABLE IF EXISTS bench_raw_events, bench_raw_event, bench_raw_counters")
            connection.execute("CREATE TABLE bench_raw_events (LIKE marketplace_usage_events, PRIMARY KEY (id))")
            connection.execute("CREATE TABLE bench_raw_event AS SELECT * FROM marketplace_usage_events LIMIT 1")
            connection.execute("CREATE TABLE bench_raw_counters (id int PRIMARY KEY, used bigint)")
            connection.execute("INSERT INTO bench_raw_counters SELECT n, 0 FROM generate_series(1, 1000) n")
            columns = [
                name
                for (name,) in connection.execute(
                    "SELECT column_name FROM information_schema.columns WHERE table_name = 'bench_raw_event' "
                    "ORDER BY ordinal_position"
                )
            ]
            (version,) = connection.execute("SHOW server_version_num").fetchone() or ("0",)
            connection.execute("ANALYZE")
        identity = "uuidv7()" if int(version) >= 180000 else "gen_random_uuid()"
        values = ", ".join(identity if name == "id" else f'event."{name}"' for name in columns)
        script.write_text(
            f"\\set counter random(1, 1000)\nBEGIN;\n"
            f"INSERT INTO bench_raw_events SELECT {values} FROM bench_raw_event event, generate_series(1, {ROWS});\n"
            f"UPDATE bench_raw_counters SET used = used + {ROWS} WHERE id = :counter;\nCOMMIT;\n"
        )
