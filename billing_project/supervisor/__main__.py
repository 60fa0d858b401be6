"""``make run``: start everything, say where it is, watch it, and stop it again."""

import argparse
import contextlib
import json
import os
import shutil
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import NoReturn

from billing_project.embedded import launch, processes
from billing_project.embedded.processes import StartError
from billing_project.supervisor import jobs, servers, static, watch, web
from billing_project.supervisor.facts import Facts
from billing_project.supervisor.watch import Program

# What a killed run leaves behind needs a moment to end; another run would hold the folder for longer.
LEFTOVERS_SECONDS_MAX = 20


class Stopped(BaseException):
    """Somebody asked for the end: Ctrl-C, SIGTERM, or a closed terminal."""


def main() -> int:
    arguments = _arguments()
    if arguments.stop_with_parent:
        launch.end_with_parent(signal.SIGTERM, os.getppid())
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _stop)
    try:
        run(port=arguments.port, data=arguments.data.resolve())
    except Stopped:
        return 0
    except StartError as error:
        print(f"countinghouse: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"countinghouse: {error.strerror}: {error.filename}", file=sys.stderr)
        return 1


def run(*, port: int, data: Path) -> NoReturn:
    """Start and watch; it ends only by an exception. Whatever it started is stopped on the way out."""
    web.refuse_port(port)
    # Logs, queue and secrets are the owner's alone, but a server of root's runs as another user and has to pass.
    os.umask(0o077)
    if not data.exists():
        data.mkdir(parents=True)
        data.chmod(0o711)
    with contextlib.ExitStack() as stop:
        keep_open = _lock(data, stop)
        facts_file = data / "run.json"
        facts_file.unlink(missing_ok=True)
        logs = data / "logs"
        logs.mkdir(exist_ok=True)
        # Of an earlier run's processes: their counts would be added to the new ones.
        metrics = data / "metrics"
        shutil.rmtree(metrics, ignore_errors=True)
        metrics.mkdir()

        _say("Starting …")
        found = servers.start(data, stop=stop, keep_open=keep_open)
        env = {
            "DJANGO_SETTINGS_MODULE": "billing_project.settings.local",
            "SECRET_KEY": processes.remembered_secret(data / "secret_key"),
            "STATIC_ROOT": str(data / "static"),
            **os.environ,
            "DATABASE_URL": found.database_url,
            "REDIS_URL": found.redis_url,
            "PROMETHEUS_MULTIPROC_DIR": str(metrics),
        }
        collection = static.Collection(Path(env["STATIC_ROOT"]), log=logs / "collectstatic.log", env=env)
        stop.callback(collection.cancel)
        demo_file = data / "demo.json"
        owners = {**env, "DATABASE_URL": found.owner_url}
        _bootstrap(demo_file, log=logs / "bootstrap.log", env=owners, stop=stop)
        collection.finish()

        programs: list[Program] = []
        stop.callback(watch.stop_all, programs)
        programs.append(Program(lambda: web.start(port=port, log=logs / "web.log", env=env, keep_open=keep_open)))
        web.wait_until_ready(programs[0].child, port=port)
        # After the web server: starting all at once makes the first page wait for the two that nobody waits for.
        programs.append(Program(lambda: jobs.start_worker(log=logs / "worker.log", env=env, keep_open=keep_open)))
        programs.append(
            Program(
                lambda: jobs.start_beat(log=logs / "beat.log", env=env, schedule=data / "beat", keep_open=keep_open)
            )
        )

        facts = Facts(
            url=f"http://{web.HOST}:{port}",
            database_url=found.database_url,
            redis_url=found.redis_url,
            **json.loads(demo_file.read_text()),
        )
        facts.write(facts_file)
        stop.callback(facts_file.unlink, missing_ok=True)
        _say(facts.as_text(facts_file))
        watch.watch(servers=found.children, programs=programs, say=_say)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="countinghouse", description=__doc__)
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--data", type=Path, default=Path(".data"), help="the folder that keeps everything")
    parser.add_argument("--stop-with-parent", action="store_true", help="end as well when the parent process is killed")
    return parser.parse_args()


def _lock(data: Path, stop: contextlib.ExitStack) -> tuple[int, ...]:
    """Hold the data folder: one lock of ours, and one that every child holds too, for as long as any of them lives."""
    busy = f"The data folder {data} is in use by another run: stop that one, or choose another with DATA=…"
    stop.enter_context(processes.folder_lock(data / "run.lock", wait_seconds=0, busy=busy))
    children_lock = data / "children.lock"
    return (stop.enter_context(processes.folder_lock(children_lock, wait_seconds=LEFTOVERS_SECONDS_MAX, busy=busy)),)


def _bootstrap(demo_file: Path, *, log: Path, env: dict[str, str], stop: contextlib.ExitStack) -> None:
    child = processes.start(
        [sys.executable, "-m", "billing_project.supervisor.bootstrap", demo_file],
        name="Preparing the database",
        log=log,
        stop_signal=signal.SIGTERM,
        env=env,
    )
    stop.callback(child.end_leftovers)
    child.succeed()


def _say(text: str) -> None:
    print(text, flush=True)


def _stop(number: int, frame: FrameType | None) -> NoReturn:
    # Once is enough: a second Ctrl-C must not interrupt the stopping.
    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, signal.SIG_IGN)
    raise Stopped


if __name__ == "__main__":
    sys.exit(main())
