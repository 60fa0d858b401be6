"""What runs in a process of its own, with the product's settings, and tells one line of JSON:

python -m bench.inprocess batches SECONDS | drafts WAY, where the product's is ``workers`` or ``one worker``
"""

from __future__ import annotations

import json
import random
import sys
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from decimal import Decimal
from itertools import islice
from multiprocessing import get_context
from typing import Any
from uuid import UUID

import django

BATCH = 1000


def batches(seconds: float) -> dict[str, Any]:
    """Batches of 1,000 events through ``BillingService``, each of one organization."""
    from billing.metering.offers import Offer
    from billing.models import Organization
    from billing.service import BillingService

    organizations = list(Organization.objects.filter(slug__startswith="load-")[:200])
    run = uuid.uuid4().hex[:12]
    began, told = time.monotonic(), 0
    while time.monotonic() < began + seconds:
        organization = random.choice(organizations)  # noqa: S311 - spreads load # nosec B311
        offers = [Offer(organization, "calls", Decimal(1), f"{run}-{told + each}") for each in range(BATCH)]
        outcomes = BillingService.record_usage(offers)
        told += sum(outcome.status == "accepted" for outcome in outcomes)
    return {"events": told, "seconds": time.monotonic() - began}


def drafts(way: str) -> dict[str, Any]:
    """All ended periods, drafted the product's way in chunks as its sweep hands them out, or one of the others."""
    from bench.references import drafting
    from billing_project.supervisor import jobs

    ways: dict[str, Callable[[], int]] = {
        "workers": lambda: _draft(processes=jobs.CONCURRENCY),
        "one worker": lambda: _draft(processes=1),
        "naive": drafting.naive,
        "bulk": drafting.bulk,
        "statement": drafting.statement,
    }
    began = time.monotonic()
    drafted = ways[way]()
    return {"invoices": drafted, "seconds": time.monotonic() - began}


def _draft(*, processes: int) -> int:
    """The chunks that the sweep hands out, by processes that a worker has forked, as Celery's are."""
    from django.db import connections
    from django.utils import timezone

    from billing.invoicing import queries
    from billing.tasks import DRAFT_CHUNK

    due = queries.iterate_due(timezone.now())
    chunks = list(iter(lambda: list(islice(due, DRAFT_CHUNK)), []))
    connections.close_all()
    if processes == 1:
        return sum(map(_draft_chunk, chunks))
    with ProcessPoolExecutor(processes, mp_context=get_context("fork")) as pool:
        return sum(pool.map(_draft_chunk, chunks))


def _draft_chunk(period_ids: list[UUID]) -> int:
    from django.utils import timezone

    from billing.accounts import actors
    from billing.invoicing import operations

    drafted = operations.draft_many(period_ids=period_ids, actor=actors.system("draft"), now=timezone.now())
    return sum(each.refusal is None for each in drafted)


if __name__ == "__main__":
    django.setup()
    what, argument = sys.argv[1:]
    told = batches(float(argument)) if what == "batches" else drafts(argument)
    sys.stdout.write(f"{json.dumps(told)}\n")
