"""Many events at once: lists over HTTP, lists in process, and a file, next to what PostgreSQL takes in raw."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from bench.contests import Claim, Contest
from bench.loading import Request
from bench.measures.http import CONNECTIONS, Recorder
from bench.ratios import Goal
from bench.raw import Raw
from bench.stage import PRODUCT, Stage

LIST = '{"organization": "@ORG", "events": @EVENTS}'
PER_REQUEST = 100
# One hour of real requests, where it lies beside the clone; else rows made like it.
TRAFFIC = Path(__file__).resolve().parents[3] / "shared" / "data" / "llm_inference_code.csv"


@contextlib.contextmanager
def lists(stage: Stage) -> Iterator[list[Contest]]:
    scale = stage.scale
    request = Request("POST", "/api/billing/usage", LIST, stage.key, scale.organizations, batch=PER_REQUEST)
    with stage.web(PRODUCT) as product:
        books, raw = stage.books(), Raw(stage.servers)
        ours = Recorder(stage, product, books)
        environment = stage.servers.environment(settings=PRODUCT)

        def in_process() -> float:
            told = json.loads(
                stage.servers.python("bench.inprocess", "batches", str(scale.seconds), environment=environment)
            )
            books.told += told["events"]
            books.asked += told["events"]
            return float(told["events"] / told["seconds"])

        yield [
            Contest(
                "batches",
                "events/s",
                {
                    "lists of 100 over HTTP": lambda: ours.load(request, connections=CONNECTIONS).rate * PER_REQUEST,
                    "raw limit, two writers": lambda: raw.rate(writers=2, seconds=scale.seconds),
                    "lists of 1,000 in process": in_process,
                    "raw limit, one writer": lambda: raw.rate(writers=1, seconds=scale.seconds),
                },
                [
                    Claim(
                        "batch of 100 over HTTP / raw limit",
                        "lists of 100 over HTTP",
                        "raw limit, two writers",
                        Goal(0.40, 0.50),
                    ),
                    Claim(
                        "batch of 1,000 in process / raw limit",
                        "lists of 1,000 in process",
                        "raw limit, one writer",
                        Goal(0.50, 0.65),
                    ),
                ],
                books.check,
            )
        ]


@contextlib.contextmanager
def files(stage: Stage) -> Iterator[list[Contest]]:
    """The traffic file, read by the shell command; its start-up is that of a file of one row."""
    environment = stage.servers.environment(settings=PRODUCT)
    _ = stage.key
    file = TRAFFIC if TRAFFIC.exists() else _made(stage.servers.folder / "traffic.csv")
    lines = file.read_text().splitlines()
    single = stage.servers.folder / "row.csv"
    single.write_text("\n".join(lines[:2]) + "\n")
    names = lines[0].split(",")
    events = (len(lines) - 1) * 2
    began = datetime(2023, 11, 1, tzinfo=UTC)
    stage.servers.python("bench.populate", "sandbox", began.isoformat(), environment=environment)
    runs = iter(range(1_000_000))

    def seconds(path: Path) -> float:
        start = time.monotonic()
        stage.servers.run(
            *stage.mcpctl("usage", "import", str(path), "--organization", "traffic", "--time-column", names[0]),
            *("--map", f"{names[1]}=calls", "--map", f"{names[2]}=lookups", "--source", f"run-{next(runs)}", "--json"),
            environment=environment,
        )
        return time.monotonic() - start

    yield [
        Contest(
            "import of a file",
            "events/s",
            {"after start-up": lambda: events / (seconds(file) - seconds(single)), "one": lambda: 1.0},
            [Claim("events a second, imported from a file", "after start-up", "one", Goal(20_000, 40_000))],
        )
    ]


def _made(path: Path) -> Path:
    start = datetime(2023, 11, 16, 18, tzinfo=UTC)
    rows = [
        f"{start + timedelta(milliseconds=400 * each):%Y-%m-%d %H:%M:%S.%f},{each % 5000 + 1},{each % 30 + 1}"
        for each in range(8_800)
    ]
    path.write_text("\n".join(["TIMESTAMP,ContextTokens,GeneratedTokens", *rows]) + "\n")
    return path
