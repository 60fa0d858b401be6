"""The billing profile through the API: read, replaced, refused."""

from typing import Any

import pytest

from tests.support.api import Answer, World

PATH = "/billing/organizations/acme/billing-profile"
PROFILE: dict[str, Any] = {
    "legal_name": "Acme GmbH",
    "address": ["Hauptstr. 1"],
    "country": "de",
    "vat_number": "DE123456789",
    "tax": {"treatment": "exclusive", "rate": "19", "label": "VAT"},
    "payment_terms_days": 30,
    "collection": "automatic",
}


def put(world: World, body: Any) -> Answer:
    return world.platform.put(PATH, body)


def test_replaced_as_a_whole_and_on_the_next_document(world: World) -> None:
    assert world.own.get(PATH).json["tax"]["treatment"] == "none"
    stored = put(world, PROFILE)
    assert (stored.status, stored.json["country"]) == (200, "DE"), stored
    assert world.own.get(PATH).json == stored.json
    preview = world.own.get(f"/billing/subscriptions/{world.subscription.id}/invoices/preview").json
    assert (preview["subtotal"], preview["tax"], preview["total"]) == ("49.00", "9.31", "58.31")
    assert preview["taxes"][0]["label"] == "VAT"
    assert put(world, {}).json["legal_name"] == ""


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"country": "Germany"}, "country"),
        ({"tax": {"treatment": "exclusive"}}, "tax.rate"),
        ({"tax": {"treatment": "exclusive", "rate": "101"}}, "tax.rate"),
        ({"tax": {"treatment": "sometimes"}}, "tax.treatment"),
        ({"tax": {"treatment": "exempt"}}, "tax.note"),
        ({"payment_terms_days": -1}, "payment_terms_days"),
        ({"address": ["x"] * 7}, "address"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_what_is_wrong_is_named(world: World, changes: dict[str, Any], field: str) -> None:
    answer = put(world, {**PROFILE, **changes})
    assert (answer.status, answer.fields) == (422, [field]), answer
    assert world.own.get(PATH).json["legal_name"] == ""
