"""Counting calls: exactly, in one step, whoever asks."""

import socket
import threading
import time
from collections import Counter as Tally
from concurrent.futures import ThreadPoolExecutor

import pytest
import redis
from hypothesis import given, settings
from hypothesis import strategies as st

from billing.infra import rate_limits
from billing.infra.rate_limits import Counter, Limit
from billing_project.embedded import processes

KEY, ORGANIZATION = Limit("key", 20, 60), Limit("organization", 30, 60)


@pytest.fixture
def store(redis_url: str) -> redis.Redis:
    client = redis.Redis.from_url(redis_url)
    client.flushdb()
    return client


def admitted(counter: Counter, *subjects: tuple[Limit, str]) -> bool:
    return counter.take(subjects).is_admitted


def test_of_320_at_once_exactly_20_pass(store: redis.Redis, redis_url: str) -> None:
    """Four processes' worth of counters, thirty-two threads, one moment."""
    counters = [Counter(redis_url) for _ in range(4)]
    start = threading.Barrier(32)

    def act(number: int) -> int:
        start.wait()
        return sum(admitted(counters[number % 4], (KEY, "k"), (ORGANIZATION, "o")) for _ in range(10))

    with ThreadPoolExecutor(32) as pool:
        assert sum(pool.map(act, range(32))) == 20
    # What the key's limit refused did not count against the organization.
    assert store.hget("countinghouse:limit:organization:60:o", "u") == b"20"


@pytest.mark.parametrize("quota", [1, 2, 20])
def test_the_last_of_a_quota_is_admitted_and_the_next_is_not(store: redis.Redis, redis_url: str, quota: int) -> None:
    counter, limit = Counter(redis_url), Limit("key", quota, 60)
    for left in reversed(range(quota)):
        verdict = counter.take([(limit, "k")])
        assert verdict.is_admitted
        assert verdict.standing
        assert verdict.standing.remaining == left
    refused = counter.take([(limit, "k")])
    assert not refused.is_admitted
    assert refused.standing
    assert refused.standing.limit == limit
    assert 58 < refused.standing.reset_seconds <= 61
    assert admitted(counter, (limit, "another"))


def test_no_second_holds_more_than_its_quota_wherever_it_begins(store: redis.Redis, redis_url: str) -> None:
    """Three seconds of a limit of 50 a second, asked without pause by two processes: every window of one second holds
    at most 50, and hardly less is admitted than may be."""
    limit, moments, lock = Limit("key", 50, 1), list[float](), threading.Lock()

    def act(_: int) -> None:
        counter, end = Counter(redis_url), time.monotonic() + 3
        while time.monotonic() < end:
            before = time.monotonic()
            if admitted(counter, (limit, "k")):
                with lock:
                    moments.append(before)
            else:
                time.sleep(0.002)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(act, range(2)))
    moments.sort()
    # An admission was counted some time after ``before``: what was within a second then spread at most by that.
    most = max(sum(1 for each in moments if began <= each < began + 0.95) for began in moments)
    assert most <= 50
    assert len(moments) >= 120


@settings(max_examples=25, deadline=None)
@given(
    calls=st.lists(st.sampled_from(["a", "b", "c"]), max_size=60),
    quota=st.integers(1, 12),
    all_quota=st.integers(1, 30),
)
def test_as_a_plain_count_would_decide(redis_url: str, calls: list[str], quota: int, all_quota: int) -> None:
    redis.Redis.from_url(redis_url).flushdb()
    counter = Counter(redis_url)
    used = Tally[str]()
    for who in calls:
        may = used[who] < quota and used.total() < all_quota
        assert admitted(counter, (Limit("key", quota, 3600), who), (Limit("organization", all_quota, 3600), "o")) == may
        used[who] += may


def test_a_refusal_is_remembered_until_it_ends_and_costs_no_round_trip(store: redis.Redis, redis_url: str) -> None:
    counter, limit = Counter(redis_url), Limit("key", 1, 1)
    assert admitted(counter, (limit, "k"))
    assert not admitted(counter, (limit, "k"))
    asked = store.info("commandstats")["cmdstat_evalsha"]["calls"]
    assert [admitted(counter, (limit, "k")) for _ in range(100)] == [False] * 100
    assert store.info("commandstats")["cmdstat_evalsha"]["calls"] == asked
    verdict = counter.find_refusal([(limit, "k")])
    assert verdict
    assert verdict.standing
    time.sleep(verdict.standing.reset_seconds + 0.02)
    assert counter.find_refusal([(limit, "k")]) is None
    assert admitted(counter, (limit, "k"))


def test_a_wider_limit_takes_effect_at_once(store: redis.Redis, redis_url: str) -> None:
    counter = Counter(redis_url)
    assert [admitted(counter, (Limit("key", 1, 60), "k")) for _ in range(2)] == [True, False]
    assert admitted(counter, (Limit("key", 2, 60), "k"))


def test_counts_leave_nothing_behind(store: redis.Redis, redis_url: str) -> None:
    assert admitted(Counter(redis_url), (Limit("key", 5, 1), "k"))
    (name,) = store.keys("countinghouse:limit:key:1:*")
    assert 0 < store.pttl(name) <= 1100


def test_the_script_is_sent_again_where_redis_forgot_it(store: redis.Redis, redis_url: str) -> None:
    counter = Counter(redis_url)
    assert admitted(counter, (KEY, "k"))
    store.script_flush()
    assert admitted(counter, (KEY, "k"))
    assert store.hget("countinghouse:limit:key:60:k", "u") == b"2"


def test_a_connection_that_was_closed_meanwhile_is_made_anew(store: redis.Redis, redis_url: str) -> None:
    counter = Counter(redis_url)
    assert admitted(counter, (KEY, "k"))
    store.client_kill_filter(_type="normal", skipme=True)
    assert admitted(counter, (KEY, "k"))
    assert store.hget("countinghouse:limit:key:60:k", "u") == b"2"


def test_without_redis_everybody_passes_and_hardly_anybody_waits() -> None:
    counter = Counter(f"redis://127.0.0.1:{processes.free_port()}/0")
    began = time.monotonic()
    assert [admitted(counter, (Limit("key", 1, 60), "k")) for _ in range(200)] == [True] * 200
    assert time.monotonic() - began < 1


def test_a_redis_that_does_not_answer_is_waited_for_once() -> None:
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen()
        counter = Counter(f"redis://127.0.0.1:{deaf.getsockname()[1]}/0")
        began = time.monotonic()
        assert [admitted(counter, (KEY, "k")) for _ in range(50)] == [True] * 50
        assert time.monotonic() - began < 1


def test_what_a_setting_says() -> None:
    assert rate_limits.parse("key", "20/m") == Limit("key", 20, 60)
    assert rate_limits.parse("key", " 5000/S ") == Limit("key", 5000, 1)
    assert rate_limits.parse("key", "7/h") == Limit("key", 7, 3600)
    assert rate_limits.parse("key", "none") is None
    for wrong in ("", "20", "0/m", "-1/m", "20/d", "x/m", "²/m", "20/m/ip"):
        with pytest.raises(ValueError, match="rate limit"):
            rate_limits.parse("key", wrong)


def test_addresses_of_one_network_count_together() -> None:
    near = rate_limits.neighbourhood
    assert near("203.0.113.7") == "203.0.113.7"
    assert near("") == ""
    assert near("2001:db8:1:2:3:4:5:6") == near("2001:db8:1:2::1") == "2001:db8:1:2::/64"
    assert near("2001:db8:1:3::1") != near("2001:db8:1:2::1")
