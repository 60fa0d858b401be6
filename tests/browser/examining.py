"""What holds on every page in every look."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from axe_playwright_python.base import AXE_SCRIPT

if TYPE_CHECKING:
    from playwright.sync_api import Page

WIDTHS = (1280, 360)
LOOKS = [(width, theme) for width in WIDTHS for theme in ("light", "dark")]
# All rules of axe-core, its best practices included. Only what it objects to is brought back.
RUN = """
(without) => Promise.race([
  new Promise((_, give_up) => setTimeout(() => give_up(new Error("axe did not come to an end")), 60000)),
  axe.run(document, {
    resultTypes: ["violations"], rules: Object.fromEntries(without.map((rule) => [rule, {enabled: false}]))
  }).then((results) => results.violations.flatMap((violation) => violation.nodes.map((node) => ({
    rule: violation.id, target: node.target.flat().join(" "), html: node.html, why: node.failureSummary}))))
])
"""
# Colours of the other theme are drawn, and have faded in. A browser that draws no frames is not waited for.
SETTLED = """
Promise.race([
  new Promise((done) => setTimeout(done, 5000)),
  new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))
    .then(() => Promise.allSettled(document.getAnimations().map((each) => each.finished)))
]).then(() => true)
"""
WIDEST = """
(width) => [...document.querySelectorAll("body *")].filter((each) => each.getBoundingClientRect().right > width + 1)
  .slice(0, 5).map((each) => each.tagName + "." + each.className).join(", ")
"""


def examine(page: Page) -> list[str]:
    """Faults of one of our pages as it stands, in every look."""
    found = []
    for width, theme in LOOKS:
        page.set_viewport_size({"width": width, "height": 900})
        page.emulate_media(color_scheme="dark" if theme == "dark" else "light")
        page.evaluate(SETTLED)
        found += [f"{width} px, {theme}: {fault}" for fault in faults(page, width)]
    return found


def faults(page: Page, width: int, *, without: Collection[str] = ()) -> list[str]:
    """Faults of the page as it stands at ``width``; ``without`` these of axe-core's rules."""
    found = wide(page, width) + violations(page, without=without)
    headings = page.locator("h1").count()
    return found if headings == 1 else [*found, f"{headings} h1"]


def wide(page: Page, width: int) -> list[str]:
    """That the page, made for ``width``, scrolls sideways, and what for."""
    shown = page.evaluate("document.documentElement.scrollWidth")
    return [f"{shown} px wide: {page.evaluate(WIDEST, width)}"] if shown > width else []


def violations(page: Page, *, without: Collection[str] = ()) -> list[str]:
    """What axe-core finds on the page, ``without`` these of its rules."""
    if not page.evaluate("'axe' in window"):
        page.evaluate(AXE_SCRIPT)
    return [
        f"{found['rule']} at {found['target']}: {found['html'][:160]} {found['why'][:300]}"
        for found in page.evaluate(RUN, list(without))
    ]
