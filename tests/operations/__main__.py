"""``make restore-drill``: a backup is what was restored from it.

On servers of its own: roles and database as docs/operations.md makes them, migrations by the owner, the demo by the
runtime role, a dump, the database gone, a restore under another name, the doctor, and work that goes on. Prints its
figures; ends with 0 if the doctor is silent before and after and every table has its rows.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import psycopg

from bench.servers import Servers
from tests.operations import backup
from tests.support.databases import url_of

ROLES = Path(__file__).resolve().parents[2] / "config" / "operations" / "roles.sql"
OWNER, RUNTIME = "countinghouse_owner", "countinghouse_runtime"
# Of a server that lives for minutes and listens on the loopback interface.
PASSWORDS = {"OWNER_PASSWORD": "of-the-owner", "RUNTIME_PASSWORD": "of-the-runtime"}
SECRET = "vJ9-2mQx_7RkT4wLz8pHn3BcYf6sDgE1aUoVi5XyNtKq0WrMhZ"
# What the runtime role may not do, whatever the code asks for.
FORBIDDEN = (
    "CREATE TABLE public.mine (id int)",
    "CREATE TEMPORARY TABLE mine (id int)",
    "ALTER TABLE marketplace_credit_ledger DISABLE TRIGGER ALL",
    "TRUNCATE marketplace_usage_events CASCADE",
    "DROP TABLE billing_audit_log",
    "DELETE FROM marketplace_usage_events",
)


class Drill:
    def __init__(self, servers: Servers) -> None:
        self._servers = servers
        self.wrong: list[str] = []

    def make(self, database: str) -> None:
        url = self._servers.database.superuser_url
        backup.run("psql", "-q", "-v", f"database={database}", "-f", str(ROLES), url=url, env=PASSWORDS)

    def url(self, database: str, role: str) -> str:
        password = PASSWORDS["OWNER_PASSWORD" if role == OWNER else "RUNTIME_PASSWORD"]
        place = self._servers.database.url.rpartition("@")[2]
        return url_of(f"postgresql://{role}:{password}@{place}", database)

    def python(self, url: str, *arguments: str) -> str:
        """Run a program of the product in production's settings. What it wrote; what failed is noted."""
        told = subprocess.run(
            [sys.executable, *arguments], env=self._environment(url), capture_output=True, text=True, check=False
        )
        if told.returncode:
            self.wrong.append(f"{' '.join(arguments)}: {(told.stdout + told.stderr).strip()[-600:]}")
        return told.stdout

    def verify(self, url: str) -> None:
        if said := self.python(url, *MCPCTL, "verify"):
            self.wrong.append(f"the doctor says: {said}")

    def refused(self, url: str) -> int:
        """How many of the forbidden statements are refused."""
        for statement in FORBIDDEN:
            with psycopg.connect(url) as connection:
                try:
                    connection.execute(statement)
                except psycopg.Error:
                    continue
                connection.rollback()
                self.wrong.append(f"the runtime role may: {statement}")
        return len(FORBIDDEN)

    def _environment(self, url: str) -> Mapping[str, str]:
        return self._servers.environment(settings="billing_project.settings.production") | {
            "DATABASE_URL": url,
            "SECRET_KEY": SECRET,
            "ALLOWED_HOSTS": "billing.example.com",
            # The demo is made of the sandbox's catalog.
            "BILLING_ENVIRONMENT": "sandbox",
        }


MCPCTL = (str(Path(sys.executable).with_name("mcpctl")), "billing")
USE = (*MCPCTL, "usage", "record", "demo", "case_created", "--quantity", "1")


def main() -> int:
    with Servers() as servers:
        drill = Drill(servers)
        say(f"PostgreSQL {servers.major}, settings of production")
        drill.make("live")
        owner, runtime = drill.url("live", OWNER), drill.url("live", RUNTIME)
        with timed("migrated by the owner"):
            drill.python(owner, "manage.py", "migrate", "--noinput", "--verbosity", "0")
        with timed("demo loaded and used by the runtime role"):
            drill.python(runtime, "-m", "billing_project.supervisor.bootstrap", str(servers.folder / "demo.json"))
            drill.python(runtime, *USE)
        say(f"refused to the runtime role: {drill.refused(runtime)} of {len(FORBIDDEN)} statements")
        with timed("verified"):
            drill.verify(runtime)

        before = backup.count_rows(owner)
        file = servers.folder / "countinghouse.dump"
        with timed("dumped"):
            backup.dump(owner, file)
        with psycopg.connect(servers.database.superuser_url, autocommit=True) as connection:
            connection.execute("DROP DATABASE live WITH (FORCE)")
        drill.make("restored")
        owner, runtime = drill.url("restored", OWNER), drill.url("restored", RUNTIME)
        with timed("restored under another name"):
            backup.restore(owner, file)
        after = backup.count_rows(owner)
        say(f"{len(before)} tables, {sum(before.values())} rows, a dump of {file.stat().st_size / 1e6:.2f} MB")
        drill.wrong += [f"{table}: {rows} rows became {after.get(table)}" for table, rows in before.items()
                        if rows != after.get(table)]  # fmt: skip
        with timed("verified as restored"):
            drill.verify(runtime)
        with timed("used again and verified"):
            drill.python(runtime, *USE)
            drill.verify(runtime)
        drill.refused(runtime)
    for each in drill.wrong:
        say(f"WRONG: {each}")
    say("The drill failed." if drill.wrong else "The doctor is silent: the backup is good.")
    return int(bool(drill.wrong))


@contextlib.contextmanager
def timed(what: str) -> Iterator[None]:
    began = time.monotonic()
    yield
    say(f"{what} in {time.monotonic() - began:.1f} s")


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
