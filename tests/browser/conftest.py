"""The product, a browser, and what both need. Everything is made once for the session; pages get a context each."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest
from pytest_django.plugin import DjangoDbBlocker

from tests.browser import chromium, serving
from tests.browser.serving import Product
from tests.browser.watching import Watch
from tests.support import databases
from tests.support.plugin import TEMPLATE_VARIABLE

if TYPE_CHECKING:
    from playwright.sync_api import Browser

    from tests.browser.stage import Stage
    from tests.browser.visiting import Visitor

# playwright keeps an event loop in the thread of the tests; Django asks the database there all the same.
os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with chromium.running() as browser:
        yield browser


@pytest.fixture(scope="session")
def database(
    browser: Browser, database_server_url: str, django_db_blocker: DjangoDbBlocker, cache_of_this_worker: None
) -> Iterator[str]:
    """A migrated database for all browser tests of the session; without a browser it is not made."""
    name = f"test_browser_{uuid.uuid4().hex[:8]}"
    databases.clone(database_server_url, template=os.environ[TEMPLATE_VARIABLE], name=name)
    with django_db_blocker.unblock(), databases.pointed_at(name):
        yield databases.url_of(database_server_url, name)
    databases.drop(database_server_url, name)


@pytest.fixture(scope="session")
def stage(database: str) -> Stage:
    from tests.browser import stage

    return stage.set_up()


@pytest.fixture(scope="session")
def product(stage: Stage, database: str, redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    with serving.running(tmp_path_factory.mktemp("product"), database_url=database, redis_url=redis_url) as product:
        yield product


@pytest.fixture
def visit(browser: Browser, product: Product, stage: Stage) -> Iterator[Callable[..., Visitor]]:
    """Come to the product as somebody, or as nobody. Each visitor's pages are watched until the test ends."""
    from tests.browser.visiting import Visitor

    with ExitStack() as leave:
        watches: list[Watch] = []

        def come(
            who: str = "nobody", *, javascript: bool = True, width: int = 1280, height: int = 900, dark: bool = False
        ) -> Visitor:
            context = browser.new_context(
                base_url=product.url,
                viewport={"width": width, "height": height},
                color_scheme="dark" if dark else "light",
                java_script_enabled=javascript,
                locale="en-GB",
                timezone_id="UTC",
            )
            leave.callback(context.close)
            context.set_default_timeout(chromium.PATIENCE_MS)
            watches.append(Watch(context, product.url))
            visitor = Visitor(context.new_page(), watches[-1], product)
            if who != "nobody":
                visitor.is_signed_in_as(stage.people[who])
            return visitor

        yield come
        assert [problem for watch in watches for problem in watch.problems] == []
