"""``mcpctl billing coupons``: something off, for whoever knows the code."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

import click
from django.utils import timezone

from billing.cli import environment, output
from billing.cli.output import Answer, answers
from billing.cli.parameters import CODE, INSTANT, QUANTITY, Text
from billing.lifecycle import coupons
from billing.models import Coupon
from billing.reporting import representations

_count = click.IntRange(1, coupons.COUNT_MAX)
_code = click.argument("code", type=CODE)


@click.group("coupons")
def command() -> None:
    """Create, list and retire coupons.

    `subscription discount` redeems them.
    """


@command.command("create")
@_code
@click.option("--name", type=Text(coupons.NAME_LENGTH_MAX), required=True, help="What the invoice calls it.")
@click.option("--percent", type=QUANTITY, help="Per cent off, up to 100.")
@click.option("--amount", type=QUANTITY, help="Amount off each period, with --currency.")
@click.option("--currency", type=CODE)
@click.option("--periods", type=_count, help="For so many billing periods. [default: for ever]")
@click.option("--until", "redeem_until", type=INSTANT, help="Nobody redeems it from then on.")
@click.option("--redemptions", "redemptions_max", type=_count, help="So many organizations at most.")
@answers()
def create(
    code: str,
    *,
    name: str,
    percent: Decimal | None,
    amount: Decimal | None,
    currency: str | None,
    periods: int | None,
    redeem_until: datetime | None,
    redemptions_max: int | None,
) -> Answer:
    """Make a coupon of --percent or --amount off. Once made, it only changes by being retired."""
    if (amount is None) != (currency is None):
        raise click.UsageError("--amount and --currency go together.")
    made = coupons.create(
        code=code,
        name=name,
        actor=environment.actor(),
        now=timezone.now(),
        percent=percent,
        amount_minor=None if amount is None else coupons.read_amount(amount, currency or ""),
        currency=currency or "",
        periods=periods,
        redeem_until=redeem_until,
        redemptions_max=redemptions_max,
    )
    return _show(made)


@command.command("list")
@click.option("--after", type=CODE, help="Go on behind this code.")
@click.option("--limit", type=click.IntRange(1, 200), default=50, show_default=True)
@answers()
def list_coupons(*, after: str | None, limit: int) -> Answer:
    """Coupons by code, retired ones too."""
    found = coupons.list_coupons(actor=environment.actor(), after=coupons.normal(after or ""), limit=limit)
    rows = [
        (
            coupon.code,
            coupon.name,
            coupons.off(coupon),
            coupon.periods or "for ever",
            coupon.redeem_until,
            f"{coupon.redemptions} of {coupon.redemptions_max}" if coupon.redemptions_max else coupon.redemptions,
            "on offer" if coupon.is_active else "retired",
        )
        for coupon in found
    ]
    header = ("coupon", "name", "off", "periods", "until", "redeemed", "state")
    text = output.table(header, rows) if rows else "No coupons."
    return Answer({"results": [representations.coupon(each) for each in found]}, text)


@command.command("retire")
@_code
@answers()
def retire(code: str) -> Answer:
    """Nobody can redeem it any more; whoever did keeps it."""
    return _show(coupons.retire(code=code, actor=environment.actor()))


def _show(coupon: Coupon) -> Answer:
    rows: list[tuple[str, object]] = [
        ("coupon", coupon.code),
        ("name", coupon.name),
        ("off", coupons.off(coupon)),
        ("periods", coupon.periods or "for ever"),
        ("until", coupon.redeem_until),
        ("redeemed", coupon.redemptions),
        ("at most", coupon.redemptions_max),
        ("state", "on offer" if coupon.is_active else "retired"),
    ]
    return Answer(representations.coupon(coupon), output.pairs(rows))
