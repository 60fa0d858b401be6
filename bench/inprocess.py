"""What runs in a process of its own, with the product's settings, and tells one line of JSON:

python -m bench.inprocess batches SECONDS | drafts WAY
"""

from __future__ import annotations

import json
import random
import sys
import time
import uuid
from collections.abc import Callable
from decimal import Decimal
from itertools import islice
from typing import Any

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

    ways: dict[str, Callable[[], int]] = {
        "product": _draft,
        "naive": drafting.naive,
        "bulk": drafting.bulk,
        "statement": drafting.statement,
    }
    began = time.monotonic()
    drafted = ways[way]()
    return {"invoices": drafted, "seconds": time.monotonic() - began}


def _draft() -> int:
    from django.utils import timezone

    from billing.accounts import actors
    from billing.invoicing import operations, queries
    from billing.tasks import DRAFT_CHUNK

    now, actor, drafted = timezone.now(), actors.system("draft"), 0
    due = queries.iterate_due(now)
    while chunk := list(islice(due, DRAFT_CHUNK)):
        drafted += sum(each.refusal is None for each in operations.draft_many(period_ids=chunk, actor=actor, now=now))
    return drafted


if __name__ == "__main__":
    django.setup()
    what, argument = sys.argv[1:]
    told = batches(float(argument)) if what == "batches" else drafts(argument)
    sys.stdout.write(f"{json.dumps(told)}\n")
