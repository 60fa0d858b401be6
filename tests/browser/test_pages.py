"""Every page: nothing for axe-core to find, one heading, no sideways scrolling, in both themes and widths."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from tests.browser import examining
from tests.browser.pages import ELSEWHERE, NO_PAGE, ROWS, Row
from tests.support import rights

if TYPE_CHECKING:
    from tests.browser.stage import Stage
    from tests.browser.visiting import Visitor


def test_every_url_has_a_row() -> None:
    routed = {route.path for route in rights.list_routes() if not ELSEWHERE.match(route.path)}
    assert sorted(routed - {row.path for row in ROWS}) == [], "URLs without a row"
    assert sorted({row.path for row in ROWS} - routed) == [], "rows without a URL"


@pytest.mark.parametrize("row", [row for row in ROWS if row.who not in NO_PAGE], ids=str)
def test_a_page(visit: Callable[..., Visitor], stage: Stage, row: Row) -> None:
    visitor = visit(row.who)
    visitor.open(row.url(stage.names), status=row.status)
    assert visitor.path.partition("?")[0] == row.url(stage.names).partition("?")[0], "led elsewhere"
    found = examining.examine(visitor.page)
    assert not found, "\n".join(found)


# What Swagger UI draws in a call that is opened: its responses are a landmark each, its examples scroll and no key
# reaches them, and a choice among fixed values has its name beside it only.
SWAGGER = ("landmark-unique", "scrollable-region-focusable", "select-name")


def test_the_calls_of_the_api(visit: Callable[..., Visitor]) -> None:
    visitor = visit()
    visitor.open("/api/docs")
    page = visitor.page
    page.locator(".opblock-tag").first.wait_for()
    found = examining.examine(page)
    page.emulate_media(color_scheme="light")
    page.set_viewport_size({"width": 1280, "height": 900})
    page.locator("[data-tag=invoices] button").press("Enter")
    page.locator(".opblock-summary-control").first.press("Enter")
    page.get_by_text("Responses", exact=True).first.wait_for()
    found += examining.faults(page, 1280, without=SWAGGER)
    assert not found, "\n".join(found)


# Pages that answer a form: who opens what, the button, and the status. Forms are sent as they are, empty ones too, as a
# browser without their hints would.
ANSWERS = [
    ("owner", "/dashboard/demo-free/plan/", "Preview the change to Solo", 200),
    ("staff-finance", "/dashboard/demo-sandbox/desk/", "Preview the open period", 200),
    ("owner", "/dashboard/demo-sandbox/keys/", "Make the key", 422),
    ("owner", "/dashboard/demo-sandbox/webhooks/", "Add", 422),
    ("owner", "/partner/northwind/new", "Save as a draft", 422),
    ("nobody", "/account/signup/", "Create account", 200),
    ("nobody", "/account/login/", "Sign in", 200),
]


@pytest.mark.parametrize(("who", "path", "button", "status"), ANSWERS, ids=lambda value: str(value))
def test_an_answer(visit: Callable[..., Visitor], who: str, path: str, button: str, status: int) -> None:
    visitor = visit(who)
    visitor.open(path)
    visitor.page.evaluate("document.querySelectorAll('form').forEach((form) => { form.noValidate = true; })")
    with visitor.watch.expecting(*([status] if status >= 400 else [])):
        visitor.press(button)
    found = examining.examine(visitor.page)
    assert not found, "\n".join(found)
