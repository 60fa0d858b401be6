"""Finding and starting a real browser."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, NoReturn

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
# The machine may be busy with the other tests.
PATIENCE_MS = 30_000


@contextmanager
def running() -> Iterator[Browser]:
    """A headless Chromium that reaches nothing but this machine. Skips where there is none, unless it is required."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        _without("playwright is not installed here: `make browser` installs it.")
    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if program is None:
        _without(f"No Chromium here: none of {', '.join(PROGRAMS)} is on the path.")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=program,
            args=[
                *("--headless", "--no-sandbox", "--disable-gpu"),
                "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
            ],
            timeout=2 * PATIENCE_MS,
        )
        try:
            yield browser
        finally:
            browser.close()


def _without(reason: str) -> NoReturn:
    if os.environ.get("BROWSER") == "required":
        pytest.fail(reason)
    pytest.skip(reason)
