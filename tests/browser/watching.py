"""What must not happen on any page: every test that opens one ends by asking for it."""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import BrowserContext, ConsoleMessage, Request, Response

# A violation becomes an error on the console, which is watched anyway. (Chromium writes most of them there by itself.)
TELL_VIOLATIONS = """
document.addEventListener("securitypolicyviolation", (event) => console.error(
  `content security policy: ${event.violatedDirective} forbids ${event.blockedURI} in ${event.sourceFile}`));
"""
FAILED_LOAD = re.compile(r"Failed to load resource: the server responded with a status of (\d+)")


class Watch:
    """Problems of all pages of a context, in order: whatever is on the console, what failed, what left the machine."""

    def __init__(self, context: BrowserContext, url: str) -> None:
        self.problems: list[str] = []
        self._host = urlsplit(url).netloc
        self._statuses: set[int] = set()
        context.add_init_script(TELL_VIOLATIONS)
        context.on("console", self._console)
        context.on("weberror", lambda error: self.problems.append(f"uncaught: {error.error}"))
        context.on("request", self._request)
        context.on("requestfailed", self._failed)
        context.on("response", self._response)

    @contextmanager
    def expecting(self, *statuses: int) -> Iterator[None]:
        """Within, a page may answer with one of ``statuses``, which the browser notes on the console."""
        self._statuses |= set(statuses)
        try:
            yield
        finally:
            self._statuses -= set(statuses)

    def _console(self, message: ConsoleMessage) -> None:
        if message.type not in ("error", "warning"):
            return
        failed = FAILED_LOAD.match(message.text)
        if failed is None or int(failed[1]) not in self._statuses:
            self.problems.append(f"console {message.type}: {message.text} ({message.location['url']})")

    def _request(self, request: Request) -> None:
        parts = urlsplit(request.url)
        if parts.scheme in ("http", "https", "ws", "wss") and parts.netloc != self._host:
            self.problems.append(f"asked another host: {request.url}")

    def _failed(self, request: Request) -> None:
        # So the browser calls what it gave up itself: a page that was left, or that turned out to be a file.
        if request.failure != "net::ERR_ABORTED":
            self.problems.append(f"request failed: {request.method} {request.url}: {request.failure}")

    def _response(self, response: Response) -> None:
        is_page = response.request.is_navigation_request()
        if response.status >= 500 or (response.status >= 400 and not is_page):
            self.problems.append(f"{response.status}: {response.request.method} {response.url}")
        elif response.status >= 400 and response.status not in self._statuses:
            self.problems.append(f"{response.status}, which nobody expected: {response.request.method} {response.url}")
