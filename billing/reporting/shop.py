"""The plans on sale as every shop window shows them: one frozen reading of the catalog for each state of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass

from billing.catalog import queries as catalog_queries
from billing.reporting import representations
from billing.reporting.shapes import PlanDocument

_READINGS_MAX = 5


@dataclass(frozen=True, slots=True)
class MeterFacts:
    unit: str
    description: str


@dataclass(frozen=True, slots=True)
class Shop:
    """``plans`` are the documents of ``GET /api/billing/plans``, in the shop's order. Whatever is made of a shop may be
    kept under its ``stamp``; an empty one says that nothing may be kept."""

    stamp: str
    plans: tuple[PlanDocument, ...]
    meters: Mapping[str, MeterFacts]


_latest: Shop | None = None


def read() -> Shop:
    """The shop as the catalog is now, from this process's memory if it has not changed: one statement then.

    A sync may commit between the statements that read a changed catalog. It writes the stamp too, so a reading that
    finds the same stamp before and after is of one state; another one is thrown away.
    """
    # Replaced whole: where a thread puts back an older one, its stamp tells.
    global _latest
    stamp, latest = catalog_queries.catalog_stamp(), _latest
    if latest is not None and latest.stamp == stamp:
        return latest
    for _ in range(_READINGS_MAX):
        found = _read(stamp)
        after = catalog_queries.catalog_stamp()
        if after == stamp:
            if stamp:
                _latest = found
            return found
        stamp = after
    return dataclasses.replace(found, stamp="")


def _read(stamp: str) -> Shop:
    plans = tuple(representations.plan(plan) for plan in catalog_queries.list_plans_for_shop())
    meters = {each.code: MeterFacts(each.unit, each.description) for each in catalog_queries.list_meters()}
    return Shop(stamp, plans, meters)
