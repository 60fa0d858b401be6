"""What is done inside of the product's processes: their clock misread, and bugs planted into them."""

from __future__ import annotations

import os
import time
from datetime import datetime, timedelta
from pathlib import Path

from django.apps import AppConfig
from django.utils import timezone

# A file with the seconds by which every process misreads the time.
CLOCK = "COUNTINGHOUSE_TEST_CLOCK"
# The name of a bug, of those in ``bugs``.
BUG = "COUNTINGHOUSE_TEST_BUG"
READ_AGAIN_SECONDS = 0.2


class Inside(AppConfig):
    name = "tests.faults.inside"

    def ready(self) -> None:
        if CLOCK in os.environ:
            clock = _Clock(Path(os.environ[CLOCK]), timezone.now)
            # Where every door takes its now from.
            timezone.now = clock
        if BUG in os.environ:
            from tests.faults import bugs

            bugs.plant(os.environ[BUG])


class _Clock:
    def __init__(self, file: Path, honest: object) -> None:
        self._file = file
        self._honest = honest
        self._read_at = 0.0
        self._off = timedelta()

    def __call__(self) -> datetime:
        if time.monotonic() > self._read_at + READ_AGAIN_SECONDS:
            self._read_at = time.monotonic()
            self._off = timedelta(seconds=float(self._file.read_text() or 0))
        now: datetime = self._honest()  # type: ignore[operator]
        return now + self._off
