"""What there is to choose from at sign-up."""

from __future__ import annotations

from functools import cache
from zoneinfo import available_timezones

from billing.catalog import queries as catalog_queries

_AREAS = frozenset({"Africa", "America", "Antarctica", "Asia", "Atlantic", "Australia", "Europe", "Indian", "Pacific"})


def currencies() -> list[tuple[str, str]]:
    """What plans on sale are sold in; dollars where all of them are free."""
    sold = {price.currency for plan in catalog_queries.list_plans_for_shop() for price in plan.prices.all()}
    return [(code, code) for code in sorted(sold or {"USD"})]


@cache
def zones() -> tuple[tuple[str, str], ...]:
    """Places of the IANA database and UTC, without its abbreviations and old names of whole countries."""
    places = sorted(name for name in available_timezones() if name.partition("/")[0] in _AREAS)
    return ("UTC", "UTC"), *((name, name.replace("_", " ")) for name in places)
