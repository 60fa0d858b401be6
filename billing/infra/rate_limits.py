"""How often somebody may call: counted in Redis, exactly, in one round trip for all limits of a call.

At most ``quota`` calls are admitted within any ``seconds``, however many come at once and to however many processes. A
call that any of its limits refuses counts against none. What was refused until a certain moment is refused by this
process alone until then: nothing can be admitted before, so that a flood costs neither Redis nor the database anything.

Without Redis every call is admitted. These limits keep load away; what must be exact (quotas, credits) is decided in
PostgreSQL.
"""

from __future__ import annotations

import hashlib
import ipaddress
import logging
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from django.conf import settings
from redis import ConnectionPool
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as ConnectionLost
from redis.exceptions import NoScriptError, RedisError
from redis.exceptions import TimeoutError as TimedOut
from redis.retry import Retry

from billing.infra import logs

SECONDS_BY_UNIT = {"s": 1, "m": 60, "h": 3600}
NO_LIMIT = "none"
# A window moves on in so many steps: it forgets a call that much of itself too late, and never too early.
SLOTS = 60
# What one customer of a network provider is given: counting single addresses of it would count nothing.
IPV6_PREFIX = 64
# Redis is near; whoever waits longer for it is better served without.
TIMEOUT_SECONDS = 0.25
# How long nobody asks a Redis that was away a moment ago.
AWAY_SECONDS = 2.0
REFUSALS_REMEMBERED_MAX = 10_000
PREFIX = "countinghouse:limit"

# Each limit is a hash: calls by slot, "u" all of those, "s" the slot it was last tidied in, "o" the oldest with calls.
# A slot is left out when all of it is older than the window. Redis' own clock is the only one asked.
_SCRIPT = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local slots = tonumber(ARGV[1])
local answer, states, is_refused = {0}, {}, false
for i, key in ipairs(KEYS) do
  local quota, width = tonumber(ARGV[2 * i]), tonumber(ARGV[2 * i + 1]) / slots
  local slot = math.floor(now / width)
  local known = redis.call('HMGET', key, 's', 'u', 'o')
  local last, used, oldest = tonumber(known[1]) or -1, tonumber(known[2]) or 0, tonumber(known[3]) or slot
  if last < slot then
    used, oldest = 0, slot
    local gone, all = {}, redis.call('HGETALL', key)
    for each = 1, #all, 2 do
      local number = tonumber(all[each])
      if number and number < slot - slots then
        gone[#gone + 1] = all[each]
      elseif number then
        used = used + all[each + 1]
        oldest = math.min(oldest, number)
      end
    end
    if #gone > 0 then redis.call('HDEL', key, unpack(gone)) end
  else
    slot = last
  end
  local wait = math.ceil((oldest + slots + 1) * width - now)
  states[i] = {slot, used, oldest, wait, width}
  answer[2 * i], answer[2 * i + 1] = quota - used, wait
  if used >= quota then is_refused = true end
end
if is_refused then return answer end
answer[1] = 1
for i, key in ipairs(KEYS) do
  local slot, used, oldest, width = states[i][1], states[i][2], states[i][3], states[i][5]
  redis.call('HINCRBY', key, slot, 1)
  redis.call('HSET', key, 's', slot, 'u', used + 1, 'o', oldest)
  redis.call('PEXPIRE', key, math.ceil((slots + 2) * width))
  answer[2 * i] = answer[2 * i] - 1
end
return answer
"""
_SHA = hashlib.sha1(_SCRIPT.encode(), usedforsecurity=False).hexdigest()


@dataclass(frozen=True, slots=True)
class Limit:
    """``quota`` calls in any ``seconds``; ``name`` says of what."""

    name: str
    quota: int
    seconds: int


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a caller stands: ``remaining`` calls, and in ``reset_seconds`` some of those made are forgotten."""

    limit: Limit
    remaining: int
    reset_seconds: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """``is_admitted``, and the standing that says most: the tightest, of a refused call the one to wait for longest."""

    is_admitted: bool
    standing: Standing | None = None


ADMITTED = Verdict(is_admitted=True)


@cache
def parse(name: str, text: str) -> Limit | None:
    """The limit that a setting says: "20/m", per second ``s``, minute ``m`` or hour ``h``; None for "none"."""
    if text.strip().lower() == NO_LIMIT:
        return None
    quota, _, unit = text.strip().lower().partition("/")
    if not (quota.isascii() and quota.isdigit() and int(quota) and unit in SECONDS_BY_UNIT):
        raise ValueError(f"a rate limit is like 20/m (per s, m or h) or {NO_LIMIT}, not {text!r}")
    return Limit(name, int(quota), SECONDS_BY_UNIT[unit])


def neighbourhood(address: str) -> str:
    """What of ``address`` to count by: an IPv4 address whole, of an IPv6 one its network."""
    if ":" not in address:
        return address
    return str(ipaddress.IPv6Network((address, IPV6_PREFIX), strict=False))


class Counter:
    """The counts of one Redis, and what this process knows of them."""

    def __init__(self, url: str) -> None:
        self._connections = ConnectionPool.from_url(
            url, socket_connect_timeout=TIMEOUT_SECONDS, socket_timeout=TIMEOUT_SECONDS, retry=Retry(NoBackoff(), 0)
        )
        # One connection a thread, for as long as the thread lives: the client's own way through its pool takes twice
        # the time of the whole question, and every use that is recorded asks it.
        self._of_thread = threading.local()
        self._away_until = 0.0
        # By the name of a count: until when nothing is admitted there. Threads at worst forget what another wrote.
        self._refused_until: dict[str, tuple[float, Limit]] = {}

    def find_refusal(self, subjects: Sequence[tuple[Limit, str]]) -> Verdict | None:
        """The refusal of which this process already knows; None says nothing yet."""
        now = time.monotonic()
        for limit, identity in subjects:
            known = self._refused_until.get(_name(limit, identity))
            if known is not None and known[1] == limit and known[0] > now:
                return Verdict(is_admitted=False, standing=Standing(limit, 0, known[0] - now))
        return None

    def take(self, subjects: Sequence[tuple[Limit, str]]) -> Verdict:
        """Count one call against each limit for whom it is of, or against none where one of them refuses."""
        if not subjects or time.monotonic() < self._away_until:
            return ADMITTED
        known = self.find_refusal(subjects)
        if known is not None:
            return known
        names = [_name(limit, identity) for limit, identity in subjects]
        figures = [figure for limit, _ in subjects for figure in (limit.quota, limit.seconds * 1000)]
        try:
            answer = self._ask(names, figures)
        except (RedisError, OSError) as error:
            self._away_until = time.monotonic() + AWAY_SECONDS
            logs.event("limits.uncounted", level=logging.WARNING, error=error)
            return ADMITTED
        standings = [
            Standing(limit, max(0, answer[2 * i + 1]), answer[2 * i + 2] / 1000)
            for i, (limit, _) in enumerate(subjects)
        ]
        if answer[0]:
            return Verdict(is_admitted=True, standing=min(standings, key=lambda each: each.remaining))
        spent = [(name, each) for name, each in zip(names, standings, strict=True) if each.remaining == 0]
        self._remember(spent)
        return Verdict(
            is_admitted=False, standing=max((each for _, each in spent), key=lambda each: each.reset_seconds)
        )

    def _ask(self, names: list[str], figures: list[int]) -> list[int]:
        arguments: list[str | int] = [len(names), *names, SLOTS, *figures]
        try:
            return self._send("EVALSHA", _SHA, *arguments)
        except NoScriptError:
            return self._send("EVAL", _SCRIPT, *arguments)
        except ConnectionLost:
            # Closed from the other end since the last call; a Redis that is away says so again.
            return self._send("EVAL", _SCRIPT, *arguments)

    def _send(self, *command: str | int) -> list[int]:
        connection = getattr(self._of_thread, "connection", None)
        if connection is None:
            connection = self._of_thread.connection = self._connections.make_connection()
        try:
            connection.send_command(*command, check_health=False)
            answer: list[int] = connection.read_response()
        except (ConnectionLost, TimedOut, OSError):
            # A late answer would be taken for that of the next call.
            connection.disconnect()
            raise
        return answer

    def _remember(self, spent: list[tuple[str, Standing]]) -> None:
        now = time.monotonic()
        if len(self._refused_until) >= REFUSALS_REMEMBERED_MAX:
            self._refused_until = {name: known for name, known in list(self._refused_until.items()) if known[0] > now}
        if len(self._refused_until) < REFUSALS_REMEMBERED_MAX:
            for name, standing in spent:
                self._refused_until[name] = (now + standing.reset_seconds, standing.limit)


def counter() -> Counter:
    """The counts in this installation's Redis."""
    return _counter(settings.REDIS_URL)


@cache
def _counter(url: str) -> Counter:
    return Counter(url)


def _name(limit: Limit, identity: str) -> str:
    return f"{PREFIX}:{limit.name}:{limit.seconds}:{identity}"
