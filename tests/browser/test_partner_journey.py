"""A partner's listing: submitted, rejected with a reason, mended, published, and found."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from tests.support import pictures

if TYPE_CHECKING:
    from tests.browser.visiting import Visitor

REASON = "Say what it needs access to."
SUMMARY = "Reads temperatures from freezers."


@pytest.mark.parametrize("javascript", [True, False], ids=["scripts", "no-scripts"])
def test_a_listing_until_it_is_found(visit: Callable[..., Visitor], javascript: bool) -> None:
    name = f"Freezer {'watch' if javascript else 'guard'}"
    slug = name.lower().replace(" ", "-")
    # The demo's owner is the demo partner's admin.
    partner = visit("owner", javascript=javascript)
    reviewer = visit("staff-marketplace", javascript=javascript)
    visitor = visit(javascript=javascript)

    partner.open("/partner/northwind/")
    partner.follow("New listing")
    write(partner, name, slug)
    partner.press("Save as a draft")
    assert partner.path == f"/partner/northwind/listings/{slug}/", partner.text
    partner.press("Submit for review")
    assert "Wait" in partner.text or "review" in partner.text
    visitor.open(f"/listings/{slug}", status=404)

    reviewer.open("/review/")
    reviewer.follow(name)
    reviewer.fill("Why it is rejected", REASON)
    reviewer.press("Reject")

    partner.open(f"/partner/northwind/listings/{slug}/")
    assert REASON in partner.text
    partner.follow("Edit")
    assert REASON in partner.text
    partner.page.locator("[name=description]").fill("It needs to read the freezers' log, and nothing else.")
    partner.press("Save as a draft")
    partner.press("Submit for review")

    reviewer.open(f"/review/listings/{slug}/")
    assert "nothing else" in reviewer.text
    reviewer.press("Publish")

    visitor.open("/listings")
    visitor.fill("Search", name.lower())
    visitor.press("Find")
    visitor.follow(name)
    assert visitor.path == f"/listings/{slug}"
    assert SUMMARY in visitor.text
    assert "nothing else" in visitor.text
    picture = visitor.page.locator("main img").first
    assert (
        picture.evaluate("(each) => each.complete && each.naturalWidth") == 32 if javascript else picture.is_visible()
    )


def write(partner: Visitor, name: str, slug: str) -> None:
    fields = partner.page.locator("main form.form")
    fields.locator("[name=name]").fill(name)
    fields.locator("[name=slug]").fill(slug)
    fields.locator("[name=summary]").fill(SUMMARY)
    fields.locator("[name=category]").select_option("integrations")
    fields.locator("input[type=file]").set_input_files(
        {"name": "picture.png", "mimeType": "image/png", "buffer": pictures.png()}
    )
