"""Somebody at the screen."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.conf import settings

from billing.models import User
from tests.browser import chromium, stage
from tests.browser.serving import Product
from tests.browser.watching import Watch

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page


@dataclass(frozen=True, slots=True)
class Visitor:
    page: Page
    watch: Watch
    product: Product

    def is_signed_in_as(self, user: User) -> None:
        cookie = {"name": settings.SESSION_COOKIE_NAME, "value": stage.session_of(user), "url": self.product.url}
        self.page.context.add_cookies([cookie])  # type: ignore[list-item]  # a TypedDict

    def open(self, path: str, *, status: int = 200) -> None:
        """Go to ``path``, which answers ``status``."""
        with self.watch.expecting(*([status] if status >= 400 else [])):
            response = self.page.goto(path)
        assert response is not None
        assert response.status == status, (response.status, self.page.url)

    @property
    def path(self) -> str:
        return self.page.url.removeprefix(self.product.url)

    @property
    def text(self) -> str:
        """What the page says, blanks made one."""
        assert self.page.locator("main, .desk").count(), self.page.content()
        return " ".join(self.page.locator("main, .desk").first.inner_text().split())

    def press(self, name: str) -> None:
        """Press the button, which leads to a page."""
        self.click(self.page.get_by_role("button", name=name, exact=True))

    def follow(self, name: str) -> None:
        self.click(self.page.get_by_role("link", name=name, exact=True).first)

    def click(self, what: Locator) -> None:
        """Whatever it is, it leads to a page."""
        with self.page.expect_navigation():
            what.click()

    def fill(self, label: str, value: str) -> None:
        self.page.get_by_label(label, exact=True).fill(value)

    def wait_for(self, path: str, text: str) -> None:
        """Look at ``path`` again until it says ``text``: what a worker does takes its time."""
        deadline = time.monotonic() + chromium.PATIENCE_MS / 1000
        self.open(path)
        while text not in self.text:
            assert time.monotonic() < deadline, self.text
            self.page.wait_for_timeout(200)
            self.page.reload()
