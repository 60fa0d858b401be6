"""Twins of one request, sent at the same moment over connections of their own."""

import json
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connections
from django.test import Client

from billing.models import CreditEntry, IdempotentRequest, Plan
from tests.support.api import World, balance, build

pytestmark = pytest.mark.usefixtures("real_db")


def at_once(twins: int, act: Callable[[], Any]) -> list[Any]:
    barrier = threading.Barrier(twins)

    def run(_: int) -> Any:
        try:
            barrier.wait(30)
            return act()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(twins) as pool:
        return list(pool.map(run, range(twins)))


def adjuster(world: World, **headers: str) -> Callable[[], tuple[int, bytes]]:
    path = f"/api/billing/subscriptions/{world.subscription.id}/credits/adjust"

    def send() -> tuple[int, bytes]:
        response = Client().post(
            path,
            json.dumps({"credits": "5", "reason": "race"}),
            content_type="application/json",
            headers={"Authorization": f"Bearer {world.platform.key}", **headers},
        )
        return response.status_code, response.content

    return send


def test_twins_with_one_key_act_once_and_get_one_answer() -> None:
    world = build()
    answers = at_once(8, adjuster(world, **{"Idempotency-Key": "race"}))
    # Whoever waited for longer than the lock's time-out is told to try again, and then gets the same answer.
    told = Counter(status for status, _ in answers)
    assert set(told) <= {201, 503}
    again = adjuster(world, **{"Idempotency-Key": "race"})()
    assert {content for status, content in [*answers, again] if status == 201} == {again[1]}
    assert balance(world.subscription) == 15
    assert CreditEntry.objects.filter(reason="race").count() == IdempotentRequest.objects.count() == 1


def test_twins_without_a_key_each_act() -> None:
    world = build()
    answers = at_once(4, adjuster(world))
    assert {status for status, _ in answers} == {201}
    assert balance(world.subscription) == 30


def test_the_first_look_at_an_empty_sandbox_makes_one_plan() -> None:
    answers = at_once(32, lambda: Client().get("/api/billing/plans").json())
    assert [[plan["name"] for plan in answer["results"]] for answer in answers] == [["Lab Standard"]] * 32
    assert Plan.objects.count() == 1
