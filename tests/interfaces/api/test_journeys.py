"""What is pending, pauses and waiting renewals, over HTTP."""

from tests.support.api import World, rows


def test_a_change_waits_and_can_be_withdrawn(world: World) -> None:
    later = world.own.post("/billing/organizations/acme/subscription", {"plan_code": "scale", "when": "period_end"})
    assert (later.status, later.json["plan"]["code"], later.json["pending_plan"]["code"]) == (200, "team", "scale")
    kept = world.own.post(f"/billing/subscriptions/{world.subscription.id}/reactivate")
    assert (kept.status, kept.json["pending_plan"]) == (200, None)


def test_an_end_waits_and_can_be_withdrawn(world: World) -> None:
    path = f"/billing/subscriptions/{world.subscription.id}"
    ending = world.own.post(f"{path}/cancel", {"at_period_end": True})
    assert (ending.json["status"], ending.json["cancel_at_period_end"]) == ("active", True)
    kept = world.own.post(f"{path}/reactivate", {"version": ending.json["version"]})
    assert (kept.json["status"], kept.json["cancel_at_period_end"]) == ("active", False)
    assert world.own.post(f"{path}/reactivate", {"version": ending.json["version"]}).status == 409


def test_an_operator_pauses_and_resumes(world: World) -> None:
    path = f"/billing/subscriptions/{world.subscription.id}"
    paused = world.platform.post(f"{path}/pause", {"reason": "holidays"})
    assert (paused.json["status"], paused.json["paused_at"] is not None) == ("paused", True)
    refused = world.own.post("/billing/usage", {"meter": "tokens", "quantity": 1})
    assert (refused.status, refused.json["code"]) == (402, "subscription_missing")
    assert world.platform.post(f"{path}/pause").status == 409
    resumed = world.platform.post(f"{path}/resume")
    assert (resumed.json["status"], resumed.json["paused_at"]) == ("active", None)
    assert world.platform.post(f"{path}/resume").status == 409
    assert world.platform.post(f"{path}/release").status == 200


def test_a_customer_leaves_a_paid_plan_when_its_period_ends(world: World) -> None:
    path = f"/billing/subscriptions/{world.subscription.id}/cancel"
    before = rows()
    refused = world.own.post(path, {"at_period_end": False})
    assert (refused.status, refused.code) == (409, "cancel_waits")
    assert rows() == before
    ending = world.own.post(path)
    assert (ending.status, ending.json["status"], ending.json["cancel_at_period_end"]) == (200, "active", True)
    ended = world.platform.post(path)
    assert (ended.status, ended.json["status"]) == (200, "canceled")


def test_a_customer_leaves_a_free_plan_at_once(world: World) -> None:
    world.platform.post("/billing/organizations/acme/subscription", {"plan_code": "free", "when": "now"})
    left = world.own.post(f"/billing/subscriptions/{world.subscription.id}/cancel")
    assert (left.status, left.json["status"]) == (200, "canceled")
