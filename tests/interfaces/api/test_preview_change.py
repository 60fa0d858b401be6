"""What a change of plan would cost, over API and CLI: one document, and nothing written."""

import pytest

from tests.support import cli
from tests.support.api import World, rows


def test_one_document_by_both_doors(world: World) -> None:
    before = rows()
    path = f"/billing/subscriptions/{world.subscription.id}/preview-change"
    answer = world.own.post(path, {"plan_code": "scale"})
    assert answer.status == 200, answer
    shown = answer.json
    assert (shown["plan_before"]["code"], shown["plan"]["code"], shown["when"]) == ("team", "scale", "now")
    assert (shown["takes_effect_at"], shown["due_now"]) == ("2023-11-17T12:00:00Z", None)
    # 16.5 of 30 days are gone: 49.00 × 16.5/30 + 199.00 × 13.5/30, and 30 credits × 13.5/30.
    running = shown["running_period"]
    assert (running["without"]["total"], running["with_change"]["total"]) == ("49.00", "116.50")
    assert [line["amount"] for line in running["with_change"]["lines"]] == ["26.95", "89.55"]
    assert (shown["credits"], shown["next_period"]["credits"]) == ("13.5", "40")
    assert shown["next_period"]["invoice"]["total"] == "199.00"
    assert cli.shown("subscription", "preview", "acme", "--plan", "scale") == shown
    assert "13.5" in cli.run("subscription", "preview", "acme", "--plan", "scale").out
    assert rows() == before
    changed = world.own.post(
        "/billing/organizations/acme/subscription",
        {"plan_code": "scale", "subscription_id": str(world.subscription.id), "version": shown["version"]},
    )
    assert changed.json["plan"]["code"] == "scale"
    again = world.own.post(path, {"plan_code": "free", "version": shown["version"]})
    assert (again.status, again.code) == (409, "stale_subscription")


def test_a_downgrade_says_when(world: World) -> None:
    path = f"/billing/subscriptions/{world.subscription.id}/preview-change"
    shown = world.own.post(path, {"plan_code": "free"}).json
    assert (shown["when"], shown["takes_effect_at"]) == ("period_end", "2023-12-01T00:00:00Z")
    assert shown["next_period"]["invoice"]["total"] == "0.00"
    refused = world.own.post(path, {"plan_code": "free", "when": "now"})
    assert (refused.status, refused.code) == (409, "downgrade_waits")


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"plan_code": "no-such"}, 422, "plan_unknown"),
        ({"plan_code": "hidden"}, 403, "plan_not_on_sale"),
        ({"plan_code": "scale", "when": "later"}, 422, "invalid"),
        ({}, 422, "invalid"),
    ],
)
def test_what_cannot_be_changed_to(world: World, body: dict[str, str], status: int, code: str) -> None:
    answer = world.own.post(f"/billing/subscriptions/{world.subscription.id}/preview-change", body)
    assert (answer.status, answer.code) == (status, code)
