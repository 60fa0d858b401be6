"""The product as ``make run`` starts it, with an organization and its key."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from urllib.parse import urlsplit

from billing.models import UsageEvent
from billing.reporting.doctor import verify
from tests.frontdoor import attacks, siege
from tests.frontdoor.siege import Outcome
from tests.frontdoor.sockets import Target
from tests.support.api import build
from tests.support.http import HttpServer

SLOW_CLIENTS, QUICK_CLIENTS = 200, 16


def run(server: HttpServer, *, seconds: float, together: bool) -> list[Outcome]:
    """Every attack for so long, one after the other or all ``together``; first nobody's, to compare with."""
    world = build()
    place = urlsplit(server.url)
    target = Target(place.hostname or "", place.port or 80, world.own.key)
    plans: list[tuple[str, list[attacks.Client]]] = [("nobody", [])]
    if together:
        slow = [each for each in attacks.SLOW for _ in range(SLOW_CLIENTS // len(attacks.SLOW))]
        plans += [("slow clients", [*slow]), ("the others", [*attacks.QUICK])]
    else:
        plans += [(each.__name__.replace("_", " "), [each] * SLOW_CLIENTS) for each in attacks.SLOW]
        plans += [(each.__name__.replace("_", " "), [each] * QUICK_CLIENTS) for each in attacks.QUICK]

    def pids() -> Sequence[int]:
        return siege.family_of(server.child.popen.pid)

    async def all_of_them() -> list[Outcome]:
        return [
            await siege.besiege(target, name, clients, seconds=seconds, pids=lambda: list(pids()))
            for name, clients in plans
        ]

    return asyncio.run(all_of_them())


def faults_of(outcomes: Sequence[Outcome]) -> list[str]:
    """What should not have been: lost or failed healthy calls, answers 5xx, memory, and use that nobody meant."""
    found = [f"{outcome.name}: {each}" for outcome in outcomes for each in outcome.wrong]
    meant = sum(outcome.health.recorded for outcome in outcomes)
    if (recorded := UsageEvent.objects.filter(meter_id="tokens").count()) != meant:
        found.append(f"{recorded} uses are recorded where {meant} were meant")
    return found + [str(each) for each in verify()]
