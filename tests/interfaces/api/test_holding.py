"""Drafts through the API: they say when they issue themselves, and are held, released, parked and found."""

import pytest

from billing.models import Invoice
from tests.support.api import World, rows


@pytest.fixture
def draft(world: World) -> str:
    """The path of a draft that is due on 2 December."""
    world.own.post("/billing/organizations/acme/clock/advance", {"to": "2023-12-01T06:00:00Z"})
    (found,) = world.own.get(f"/billing/subscriptions/{world.subscription.id}/invoices").json["results"]
    assert (found["status"], found["kind"], found["issue_due_at"]) == ("draft", "cycle", "2023-12-02T00:00:00Z")
    assert (found["held_at"], found["parked"]) == (None, None)
    return f"/billing/invoices/{found['id']}"


def advance(world: World, to: str) -> None:
    assert world.own.post("/billing/organizations/acme/clock/advance", {"to": to}).status == 200


def test_held_until_it_is_released(world: World, draft: str) -> None:
    held = world.platform.post(f"{draft}/hold", {"reason": "a question"})
    assert (held.status, held.json["held_at"], held.json["issue_due_at"]) == (200, "2023-12-01T06:00:00Z", None)
    assert world.platform.post(f"{draft}/hold", {"reason": "again"}).json == held.json
    advance(world, "2023-12-09T00:00:00Z")
    assert world.own.get(draft).json["status"] == "draft"
    released = world.platform.post(f"{draft}/release")
    assert (released.json["held_at"], released.json["issue_due_at"]) == (None, "2023-12-09T00:00:00Z")
    advance(world, "2023-12-09T00:00:01Z")
    issued = world.own.get(draft).json
    assert (issued["status"], issued["issue_due_at"], issued["held_at"]) == ("issued", None, None)
    for act, body in (("hold", {"reason": "late"}), ("release", None)):
        refused = world.platform.post(f"{draft}/{act}", body)
        assert (refused.status, refused.code) == (409, "invoice_frozen")


def test_a_hold_says_why(world: World, draft: str) -> None:
    before = rows()
    for body in ({}, {"reason": ""}, {"reason": "  "}, {"reason": "x" * 501}):
        refused = world.platform.post(f"{draft}/hold", body)
        assert (refused.status, refused.fields) == (422, ["reason"])
    assert rows() == before


def test_what_waits_is_found(world: World, draft: str) -> None:
    invoices = f"/billing/subscriptions/{world.subscription.id}/invoices"

    def found(path: str, status: str) -> int:
        api = world.platform if path == "/billing/invoices" else world.own
        return len(api.get(f"{path}?status={status}").json["results"])

    assert [found(path, status) for path in (invoices, "/billing/invoices") for status in ("held", "parked")] == [0] * 4
    world.platform.post(f"{draft}/hold", {"reason": "a question"})
    assert [found(path, "held") for path in (invoices, "/billing/invoices")] == [1, 1]
    Invoice.objects.update(held_at=None, parked_at="2023-12-02T00:00:00Z", parked_reason="odd")
    assert [found(path, "parked") for path in (invoices, "/billing/invoices")] == [1, 1]
    assert found("/billing/invoices", "held") == 0
    assert world.own.get(draft).json["parked"] == {"at": "2023-12-02T00:00:00Z", "reason": "odd"}
    # What a draft waited for is no part of what it became.
    world.platform.post(f"{draft}/void", {"reason": "wrong"})
    assert world.own.get(draft).json["parked"] is None
    assert found("/billing/invoices", "parked") == 0


def test_everybodys_invoices_are_for_platform_keys_of_finance(world: World) -> None:
    assert world.own.get("/billing/invoices").status == 403
    assert world.nobody.get("/billing/invoices").status == 401
    assert world.with_scopes("read", platform=True).get("/billing/invoices").status == 403
    assert world.with_scopes("invoices", platform=True).get("/billing/invoices").status == 200
