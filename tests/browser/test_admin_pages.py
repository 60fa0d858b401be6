"""The desk's pages: the start page, and of each kind of row its list, one of them, and what an act asks."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from django.contrib import admin
from django.db.models import Model

from tests.browser import examining

if TYPE_CHECKING:
    from tests.browser.stage import Stage
    from tests.browser.visiting import Visitor

MODELS = sorted(admin.site._registry, key=lambda model: model._meta.label_lower)


@pytest.mark.parametrize("who", ["superuser", "staff-finance", "staff-support", "staff-catalog", "staff-marketplace"])
def test_the_start_page(visit: Callable[..., Visitor], who: str) -> None:
    check(visit, "/admin/", who)


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model._meta.label_lower)
def test_a_list_and_one_of_its_rows(visit: Callable[..., Visitor], stage: Stage, model: type[Model]) -> None:
    base = f"/admin/{model._meta.app_label}/{model._meta.model_name}/"
    check(visit, base)
    row = model._default_manager.first()
    if row is not None:
        check(visit, f"{base}{row.pk}/change/")


@pytest.mark.parametrize("act", ["issue", "credit"])
def test_what_an_act_asks(visit: Callable[..., Visitor], stage: Stage, act: str) -> None:
    invoice = stage.names["draft_id" if act == "issue" else "invoice_id"]
    check(visit, f"/admin/billing/invoice/{invoice}/act/{act}/")


def test_what_opens(visit: Callable[..., Visitor]) -> None:
    """Menus and the filters, by keys alone."""
    found = []
    for theme in ("light", "dark"):
        visitor = visit("superuser", dark=theme == "dark")
        page = visitor.page
        visitor.open("/admin/billing/invoice/")
        for width, names in ((1280, ("What can be done", "Filters")), (360, ("Menu",))):
            page.set_viewport_size({"width": width, "height": 900})
            for name in names:
                page.get_by_role("button", name=name, exact=True).first.press("Enter")
                page.evaluate(examining.SETTLED)
                found += [f"{name}, {theme}: {each}" for each in examining.faults(page, width)]
                page.keyboard.press("Escape")
        page.set_viewport_size({"width": 1280, "height": 900})
        page.locator(".desk-account summary").press("Enter")
        page.get_by_role("button", name="Dark").press("Enter")
        page.evaluate(examining.SETTLED)
        assert page.locator("html").get_attribute("class") == "dark"
        found += [f"account, {theme}: {each}" for each in examining.faults(page, 1280)]
    assert not found, "\n".join(found)


def check(visit: Callable[..., Visitor], path: str, who: str = "superuser") -> None:
    """The theme is chosen by a script when the page is loaded, so light and dark are a visit each."""
    found = []
    for theme in ("light", "dark"):
        visitor = visit(who, dark=theme == "dark")
        visitor.open(path)
        for width in examining.WIDTHS:
            visitor.page.set_viewport_size({"width": width, "height": 900})
            visitor.page.evaluate(examining.SETTLED)
            faults = examining.faults(visitor.page, width)
            found += [f"{width} px, {theme}: {each}" for each in faults]
        visitor.page.context.close()
    assert not found, "\n".join(found)
