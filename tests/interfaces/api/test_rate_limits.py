"""How many calls pass, and what the others are told."""

from __future__ import annotations

import logging
import time

import pytest
from django.test import Client
from prometheus_client import REGISTRY
from pytest_django import Settings

from billing.infra import rate_limits
from billing_project.embedded import processes
from tests.support.api import Answer, Api, World

PLANS, ME = "/billing/plans", "/billing/organizations/acme"


@pytest.fixture(autouse=True)
def nothing_counted_yet(redis_url: str) -> None:
    """Counts are not rolled back with a test."""
    from django.core.cache import cache

    cache.clear()
    rate_limits._counter.cache_clear()


def statuses(api: Api, path: str, times: int, **headers: str) -> list[int]:
    return [api.get(path, **headers).status for _ in range(times)]


def refusals(by: str) -> float:
    return REGISTRY.get_sample_value("billing_calls_limited_total", {"by": by}) or 0


def test_a_key_has_its_quota_and_no_more(world: World, settings: Settings) -> None:
    settings.BILLING_RATE_LIMIT_KEY = "3/m"
    before = refusals("key")
    assert statuses(world.own, ME, 3) == [200] * 3
    refused = world.own.get(ME)
    assert (refused.status, refused.code) == (429, "too_many_requests")
    assert refused.headers["RateLimit-Policy"] == '"key";q=3;w=60'
    wait = int(refused.headers["Retry-After"])
    assert 55 < wait <= 61
    assert refused.headers["RateLimit"] == f'"key";r=0;t={wait}'
    assert (refused.headers["RateLimit-Limit"], refused.headers["RateLimit-Remaining"]) == ("3", "0")
    assert refused.headers["RateLimit-Reset"] == str(wait)
    assert refusals("key") == before + 1
    assert statuses(world.theirs, ME.replace("acme", "other"), 3) == [200] * 3


def test_an_answer_says_where_one_stands(world: World, settings: Settings) -> None:
    settings.BILLING_RATE_LIMIT_KEY = "30/m"
    settings.BILLING_RATE_LIMIT_ORGANIZATION = "3/m"
    answer = world.own.get(ME)
    assert answer.headers["RateLimit"].startswith('"organization";r=2;t=')
    assert "Retry-After" not in answer.headers
    missing = world.own.get("/billing/organizations/nobody")
    assert (missing.status, missing.headers["RateLimit-Remaining"]) == (404, "1")


def test_more_keys_are_no_more_calls_of_an_organization(world: World, settings: Settings) -> None:
    settings.BILLING_RATE_LIMIT_ORGANIZATION = "4/m"
    keys = [world.with_scopes("read") for _ in range(5)]
    assert [key.get(ME).status for key in keys] == [200] * 4 + [429]
    # The platform's keys are no organization's.
    assert statuses(world.platform, ME, 5) == [200] * 5


@pytest.mark.parametrize("api", ["own", "nobody"])
def test_an_address_is_one_whatever_it_says_of_itself(world: World, settings: Settings, api: str) -> None:
    settings.BILLING_RATE_LIMIT_ADDRESS = "20/m"
    caller: Api = getattr(world, api)
    sent = [
        caller.get(ME if api == "own" else PLANS, X_Forwarded_For=f"198.51.100.{n}", X_Real_IP=f"198.51.100.{n}").status
        for n in range(32)
    ]
    assert sent == [200] * 20 + [429] * 12


def test_behind_a_proxy_of_ours_the_address_is_what_it_saw(world: World, settings: Settings) -> None:
    settings.BILLING_RATE_LIMIT_ADDRESS = "2/m"
    settings.BILLING_TRUSTED_PROXIES = 1
    forged = [world.own.get(ME, X_Forwarded_For=f"198.51.100.{n}, 203.0.113.7").status for n in range(4)]
    assert forged == [200, 200, 429, 429]
    assert world.own.get(ME, X_Forwarded_For="203.0.113.7, 203.0.113.8").status == 200


def test_guesses_at_keys_are_few_and_hold_up_no_key(world: World, settings: Settings) -> None:
    settings.BILLING_RATE_LIMIT_KEYLESS = "5/m"
    # One character more than the key itself: whichever it ends in, none of them is by chance the key.
    guesses = [Api(f"{world.own.key}{n}").get(ME).status for n in range(8)]
    assert guesses == [401] * 5 + [429] * 3
    assert statuses(world.nobody, ME, 2) == [429, 429]
    assert statuses(world.own, ME, 3) == [200] * 3
    assert world.nobody.get(PLANS).status == 200


def test_a_refused_call_did_nothing(world: World, settings: Settings) -> None:
    settings.BILLING_RATE_LIMIT_KEY = "1/m"
    use = {"meter": "tokens", "quantity": "1", "idempotency_key": "a"}
    assert world.own.post("/billing/usage", use).status == 201
    assert world.own.post("/billing/usage", use | {"idempotency_key": "b"}).status == 429
    settings.BILLING_RATE_LIMIT_KEY = "none"
    assert world.own.post("/billing/usage", use | {"idempotency_key": "b"}).status == 201


def test_an_answer_given_again_tells_of_now(world: World, settings: Settings) -> None:
    settings.BILLING_RATE_LIMIT_KEY = "9/m"
    told = [
        world.own.post(
            f"/billing/subscriptions/{world.subscription.id}/cancel", {"at_period_end": True}, Idempotency_Key="k"
        )
        for _ in range(2)
    ]
    assert [(each.status, each.headers["RateLimit-Remaining"]) for each in told] == [(200, "8"), (200, "7")]


def test_while_redis_is_away_everybody_passes(
    world: World, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    settings.BILLING_RATE_LIMIT_KEY = "1/m"
    settings.REDIS_URL = f"redis://127.0.0.1:{processes.free_port()}/0"
    began = time.monotonic()
    with caplog.at_level(logging.WARNING):
        answers: list[Answer] = [world.own.get(ME) for _ in range(10)]
    assert {answer.status for answer in answers} == {200}
    assert "RateLimit" not in answers[0].headers
    assert time.monotonic() - began < 3
    assert [record.getMessage() for record in caplog.records].count("limits.uncounted") <= 2


def test_a_browser_s_session_counts_without_a_key(world: World, settings: Settings) -> None:
    from tests.support.people import person

    settings.BILLING_RATE_LIMIT_KEYLESS = "2/m"
    client = Client()
    client.force_login(person())
    assert [client.get("/api/billing/organizations/nobody").status_code for _ in range(3)] == [404, 404, 429]
