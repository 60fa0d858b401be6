"""Coupons: something off for whoever knows the code. They never change once made; they are only retired."""

from __future__ import annotations

import re
from datetime import datetime
from decimal import Decimal

from django.db import IntegrityError
from django.db.transaction import atomic

from billing.accounts import actors
from billing.accounts.actors import Act, Actor
from billing.infra import audit
from billing.kernel import money
from billing.kernel.decimals import EXACT, plain
from billing.kernel.errors import Conflict, Invalid, NotFound
from billing.models import Coupon

_CODE = re.compile(r"[A-Z0-9][A-Z0-9_-]{1,59}", re.ASCII)
NAME_LENGTH_MAX = 120
PERCENT_MAX, PERCENT_PLACES = Decimal(100), 3
COUNT_MAX = 1_000_000


class CouponNotFound(NotFound):
    """No such coupon."""


class CouponInvalid(Invalid):
    """A coupon that cannot be; ``field`` says what is wrong."""

    code = "coupon_invalid"


class CouponTaken(Conflict):
    """There is, or was, another coupon of this code."""

    code = "coupon_taken"


def create(
    *,
    code: str,
    name: str,
    actor: Actor,
    now: datetime,
    percent: Decimal | None = None,
    amount_minor: int | None = None,
    currency: str = "",
    periods: int | None = None,
    redeem_until: datetime | None = None,
    redemptions_max: int | None = None,
) -> Coupon:
    """Make a coupon of ``percent`` off (up to 100, three decimals) or of an amount off in ``currency``, for so many
    billing periods (None: for ever). Codes do not tell capitals from small letters. For whoever keeps the catalog.

    Raises ``CouponInvalid``, ``CouponTaken``.
    """
    actors.require(actor, Act.CATALOG, None)
    coupon = Coupon(
        code=_checked_code(code),
        name=_checked_name(name),
        currency=currency,
        periods=_counted(periods, "periods"),
        redemptions_max=_counted(redemptions_max, "redemptions_max"),
        redeem_until=redeem_until,
        created_at=now,
    )
    if (percent is None) == (amount_minor is None):
        raise CouponInvalid("Either a percentage or an amount is taken off.", field="percent")
    if percent is not None:
        coupon.percent = _checked_percent(percent)
        if currency:
            raise CouponInvalid("A percentage has no currency.", field="currency")
    else:
        coupon.amount_minor = _checked_amount(amount_minor or 0, currency)
    if redeem_until is not None and redeem_until <= now:
        raise CouponInvalid("It could never be redeemed.", field="redeem_until")
    try:
        with atomic():
            coupon.save(force_insert=True)
            _audit(coupon, "coupon.create", actor)
    except IntegrityError as error:
        raise CouponTaken(f"There is a coupon {coupon.code} already.", field="code") from error
    return coupon


def retire(*, code: str, actor: Actor) -> Coupon:
    """Nobody can redeem it any more; whoever did keeps it. Twice is once. Raises ``CouponNotFound``."""
    actors.require(actor, Act.CATALOG, None)
    with atomic():
        coupon = lock(code)
        if coupon.is_active:
            coupon.is_active = False
            coupon.save(update_fields=["is_active"])
            _audit(coupon, "coupon.retire", actor)
    return coupon


def list_coupons(*, actor: Actor, after: str = "", limit: int = 50) -> list[Coupon]:
    """By code; ``after`` is the last of the page before."""
    actors.require(actor, Act.CATALOG, None)
    return list(Coupon.objects.filter(code__gt=after).order_by("code")[:limit])


def lock(code: str) -> Coupon:
    """The coupon, its row locked until the transaction ends: so that it is not redeemed more often than it may be."""
    coupon = Coupon.objects.select_for_update().filter(code=normal(code)).first()
    if coupon is None:
        raise CouponNotFound("No such coupon.", field="coupon")
    return coupon


def read_amount(amount: Decimal, currency: str) -> int:
    """``amount`` (major units) in minor units. Raises ``CouponInvalid`` for one that the currency does not have."""
    if not money.is_currency(currency):
        raise CouponInvalid(f"{currency!r} is not a currency.", field="currency")
    try:
        return money.to_minor_exact(amount, currency)
    except ValueError as error:
        raise CouponInvalid(f"Amount {error}.", field="amount") from error


def normal(code: str) -> str:
    return "" if "\x00" in code else code.strip().upper()


def off(coupon: Coupon) -> str:
    """What it takes off, in words."""
    if coupon.percent is not None:
        return f"{plain(coupon.percent)} per cent"
    return f"{money.format_minor(coupon.amount_minor or 0, coupon.currency)} {coupon.currency}"


def _checked_code(code: str) -> str:
    if not _CODE.fullmatch(normal(code)):
        raise CouponInvalid("2 to 60 of A-Z, 0-9 and _ -, the first a letter or digit.", field="code")
    return normal(code)


def _checked_name(name: str) -> str:
    text = name.strip()
    if not text or len(text) > NAME_LENGTH_MAX or not text.isprintable():
        raise CouponInvalid(f"A name of 1 to {NAME_LENGTH_MAX} printable characters is needed.", field="name")
    return text


def _checked_percent(percent: Decimal) -> Decimal:
    if not 0 < percent <= PERCENT_MAX or percent != percent.quantize(Decimal(1).scaleb(-PERCENT_PLACES), context=EXACT):
        raise CouponInvalid("More than 0 and up to 100, with three decimals at most.", field="percent")
    return percent


def _checked_amount(amount_minor: int, currency: str) -> int:
    if not money.is_currency(currency):
        raise CouponInvalid(f"{currency!r} is not a currency.", field="currency")
    if not 0 < amount_minor <= money.AMOUNT_MAX_MINOR:
        raise CouponInvalid("An amount is more than nothing and within bounds.", field="amount")
    return amount_minor


def _counted(count: int | None, field: str) -> int | None:
    if count is not None and not 0 < count <= COUNT_MAX:
        raise CouponInvalid(f"From 1 to {COUNT_MAX}.", field=field)
    return count


def _audit(coupon: Coupon, act: str, actor: Actor) -> None:
    audit.record(
        actor=actor.name,
        act=act,
        object_type="coupon",
        object_id=coupon.code,
        organization_id=None,
        details={"off": off(coupon), "periods": coupon.periods},
    )
