"""The words on an invoice's lines. Plain English; days are the organization's."""

from __future__ import annotations

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from billing.invoicing.books import OveragePrice
from billing.invoicing.rating import Part
from billing.kernel.decimals import ZERO, plain
from billing.kernel.periods import Span
from billing.kernel.pricing import PricingModel

# Not strftime's: those depend on the locale of the process.
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
# Half of the line's column each, with room for the words and dates between.
NAME_LENGTH_MAX = 100


def day(at: datetime, zone: ZoneInfo) -> str:
    local = at.astimezone(zone)
    return f"{local.day} {_MONTHS[local.month - 1]} {local.year}"


def days(span: Span, zone: ZoneInfo) -> str:
    """First and last day that ``span`` touches, both included: ``1 Nov 2023 – 30 Nov 2023``."""
    first, last = day(span.starts_at, zone), day(span.ends_at - timedelta(microseconds=1), zone)
    return first if first == last else f"{first} – {last}"


def short(name: str) -> str:
    return name if len(name) <= NAME_LENGTH_MAX else name[: NAME_LENGTH_MAX - 1] + "…"


def bounds(price: OveragePrice, tier: int) -> tuple[str, str]:
    """Where a tier begins and ends, in units beyond the included ones; an open end is empty."""
    below = price.tiers[tier - 2].up_to if tier > 1 else ZERO
    up_to = price.tiers[tier - 1].up_to
    return plain(below or ZERO), "" if up_to is None else plain(up_to)


def tier(price: OveragePrice, part: Part) -> str:
    """What a line of overage adds of its price: empty for one rate for all."""
    if price.model == PricingModel.PERCENTAGE and price.rate is not None:
        return f", {plain(price.rate)} per cent"
    if price.model == PricingModel.PACKAGE:
        return f", in packages of {plain(price.per)}"
    if not part.tier:
        return ""
    reach = _reach(*bounds(price, part.tier))
    if part.charge == "flat":
        return f", flat fee for {reach}"
    if price.model == PricingModel.VOLUME:
        return f", all at the rate for {reach}"
    return f", {reach}"


def _reach(above: str, up_to: str) -> str:
    if above == "0":
        return f"up to {up_to}" if up_to else "any"
    return f"above {above} up to {up_to}" if up_to else f"above {above}"
