"""What is sold in the simulation: one table, told to the product as a catalog file and to the calculator as it is."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from tests.support.second_calculator import MINOR_DIGITS, Model

CURRENCIES = ("USD", "JPY", "KWD")
_WORTH = {"USD": Decimal(1), "JPY": Decimal("113.7"), "KWD": Decimal("0.3071")}
METERS = ("calls", "tokens", "scans", "exports", "sales", "runs")


@dataclass(frozen=True)
class Guard:
    """How a plan guards a meter: ``included`` units in each window (None: no limit), the units beyond at ``price``,
    or none where there is neither a price nor credits."""

    included: str | None
    cadence: str
    price: Mapping[str, Model] = field(default_factory=dict)
    credits_per_unit: str = "0"


@dataclass(frozen=True)
class Plan:
    code: str
    version: int
    interval: str
    fee: Mapping[str, str]
    meters: Mapping[str, Guard]
    credit_price: Mapping[str, str] = field(default_factory=dict)
    minimum: Mapping[str, str] = field(default_factory=dict)
    allowance: str = "0"
    allowance_every: str = "period"
    trial_days: int = 0
    trial_credits: str = "0"
    in_advance: bool = False


@dataclass(frozen=True)
class Coupon:
    """So much off whatever each of ``periods`` billing periods (None: for ever) comes to before tax."""

    code: str
    percent: str | None = None
    amount: str | None = None
    currency: str = ""
    periods: int | None = None


COUPONS = (
    Coupon("THIRD", percent="33.333", periods=3),
    Coupon("WELCOME", percent="100", periods=1),
    Coupon("LOYAL", percent="7.5"),
    Coupon("DOLLARS", amount="9.49", currency="USD", periods=6),
    Coupon("YEN", amount="1001", currency="JPY", periods=2),
    Coupon("DINARS", amount="2.915", currency="KWD"),
)


def _fee(dollars: str) -> dict[str, str]:
    return {
        currency: str((Decimal(dollars) * worth).quantize(Decimal(1).scaleb(-MINOR_DIGITS[currency])))
        for currency, worth in _WORTH.items()
    }


def _rate(dollars: str) -> dict[str, str]:
    return {
        currency: str((Decimal(dollars) * worth).quantize(Decimal(1).scaleb(-12)).normalize())
        for currency, worth in _WORTH.items()
    }


def _simple(dollars: str, per: str) -> dict[str, Model]:
    return {currency: Model("per_unit", rate, per) for currency, rate in _rate(dollars).items()}


def _package(dollars: str, per: str) -> dict[str, Model]:
    return {currency: Model("package", rate, per) for currency, rate in _rate(dollars).items()}


def _tiers(name: str, per: str, *tiers: tuple[str | None, str, str]) -> dict[str, Model]:
    return {
        currency: Model(
            name, "0", per, tuple((end, _rate(rate)[currency], _fee(flat)[currency]) for end, rate, flat in tiers)
        )
        for currency in CURRENCIES
    }


def _share(percent: str) -> dict[str, Model]:
    return {currency: Model("percentage", percent) for currency in CURRENCIES}


_GRADUATED = _tiers("graduated", "100", ("400", "0.4999", "1.25"), ("1500", "0.3333", "0"), (None, "0.271", "2.40"))
_VOLUME = _tiers("volume", "1", ("10", "0.999", "0"), ("40", "0.777777777777", "3.10"), (None, "0.5", "0"))

SOLD = (
    Plan("free", 1, "month", {}, {"calls": Guard("50", "monthly"), "scans": Guard("3", "weekly")}),
    Plan(
        "basic",
        1,
        "month",
        _fee("19.99"),
        {
            "calls": Guard("100", "billing_period", _simple("0.0137", "1")),
            "scans": Guard("4", "weekly", _VOLUME),
            "exports": Guard("2", "daily", _package("1.115", "3")),
        },
    ),
    Plan(
        "team",
        1,
        "month",
        _fee("49.00"),
        {
            "calls": Guard("150", "daily", _simple("0.333333333333", "10")),
            "tokens": Guard("900", "monthly", _GRADUATED, credits_per_unit="0.01"),
            "sales": Guard("5000", "never", _share("1.375")),
            "runs": Guard(None, "billing_period", credits_per_unit="0.5"),
        },
        credit_price=_rate("0.8725"),
        minimum=_fee("61.37"),
        allowance="12.5",
    ),
    Plan(
        "scale",
        1,
        "month",
        _fee("199.95"),
        {
            "calls": Guard("2000", "billing_period", _simple("0.005", "1")),
            "tokens": Guard("1500", "billing_period", _GRADUATED, credits_per_unit="0.004"),
            "scans": Guard("20", "monthly", _VOLUME),
            "sales": Guard("100", "billing_period", _share("0.9")),
            "runs": Guard(None, "never", credits_per_unit="0.25"),
        },
        credit_price=_rate("0.7"),
        allowance="40",
    ),
    Plan(
        "starter",
        1,
        "month",
        _fee("9.50"),
        {
            "calls": Guard("80", "monthly", _package("2.505", "25")),
            "tokens": Guard("200", "monthly", _simple("0.075", "10"), credits_per_unit="0.02"),
        },
        credit_price=_rate("1.1"),
        minimum=_fee("12.00"),
        allowance="5",
        trial_days=14,
        trial_credits="2",
    ),
    Plan(
        "quarterly",
        1,
        "quarter",
        _fee("131.13"),
        {
            "calls": Guard("700", "billing_period", _VOLUME),
            "tokens": Guard("2000", "monthly", _GRADUATED, credits_per_unit="0.003"),
            "exports": Guard("1", "weekly", _package("0.7777", "2.5")),
            "runs": Guard(None, "billing_period", credits_per_unit="0.4"),
        },
        credit_price=_rate("0.9"),
        minimum=_fee("150.01"),
        allowance="30",
    ),
    Plan(
        "quarterly_plus",
        1,
        "quarter",
        _fee("311.07"),
        {
            "calls": Guard("3000", "billing_period", _GRADUATED),
            "tokens": Guard("3000", "billing_period", _simple("0.19", "7"), credits_per_unit="0.003"),
            "sales": Guard("1000", "monthly", _share("0.55")),
            "runs": Guard(None, "billing_period", credits_per_unit="0.2"),
        },
        credit_price=_rate("0.65"),
        allowance="55.25",
        trial_days=30,
        trial_credits="5",
    ),
    Plan(
        "yearly",
        1,
        "year",
        _fee("490.00"),
        {
            "calls": Guard("4000", "billing_period", _simple("0.011", "1")),
            "tokens": Guard("400", "monthly", _GRADUATED, credits_per_unit="0.01"),
            "scans": Guard("6", "monthly", _VOLUME),
            "runs": Guard(None, "billing_period", credits_per_unit="0.5"),
        },
        credit_price=_rate("0.95"),
        minimum=_fee("600.00"),
        allowance="10",
        allowance_every="month",
    ),
    Plan(
        "yearly_plus",
        1,
        "year",
        _fee("1999.99"),
        {
            "calls": Guard("9000", "billing_period", _VOLUME),
            "sales": Guard("9000", "billing_period", _share("0.333")),
            "exports": Guard("0", "daily", _package("0.99", "4")),
            "runs": Guard(None, "billing_period", credits_per_unit="0.3"),
        },
        credit_price=_rate("0.6"),
        allowance="120",
        allowance_every="month",
    ),
    Plan(
        "decade",
        1,
        "year",
        _fee("1234.56"),
        {"calls": Guard("5000", "billing_period", _GRADUATED), "runs": Guard(None, "never", credits_per_unit="0.5")},
        credit_price=_rate("0.5"),
        allowance="250",
    ),
    Plan(
        "ahead",
        1,
        "month",
        _fee("29.99"),
        {
            "calls": Guard("120", "billing_period", _simple("0.0173", "1")),
            "tokens": Guard("600", "weekly", _GRADUATED, credits_per_unit="0.01"),
        },
        credit_price=_rate("0.77"),
        minimum=_fee("35.00"),
        allowance="8",
        in_advance=True,
    ),
    Plan(
        "ahead_plus",
        1,
        "month",
        _fee("89.95"),
        {
            "calls": Guard("900", "billing_period", _VOLUME),
            "scans": Guard("10", "monthly", _package("0.33", "7")),
            "runs": Guard(None, "never", credits_per_unit="0.3"),
        },
        credit_price=_rate("0.6"),
        allowance="22",
        trial_days=10,
        trial_credits="1.5",
        in_advance=True,
    ),
    Plan(
        "ahead_quarter",
        1,
        "quarter",
        _fee("240.00"),
        {"calls": Guard("2500", "billing_period", _GRADUATED), "sales": Guard("0", "daily", _share("0.25"))},
        in_advance=True,
    ),
    Plan(
        "ahead_year",
        1,
        "year",
        _fee("899.01"),
        {"calls": Guard("400", "monthly", _simple("0.009", "1")), "runs": Guard(None, "never", credits_per_unit="0.5")},
        credit_price=_rate("0.5"),
        minimum=_fee("950.00"),
        allowance="15",
        allowance_every="month",
        in_advance=True,
    ),
)
# Some years on, two plans cost otherwise: whoever subscribes or changes then gets these; the others stay on theirs.
_TEAM, _YEARLY = (
    next(each for each in SOLD if each.code == "team"),
    next(each for each in SOLD if each.code == "yearly"),
)
LATER = (
    Plan("team", 2, "month", _fee("54.50"), _TEAM.meters, _TEAM.credit_price, _fee("70.00"), allowance="15"),
    Plan(
        "yearly",
        2,
        "year",
        _fee("545.01"),
        _YEARLY.meters,
        _YEARLY.credit_price,
        _YEARLY.minimum,
        allowance="11.000001",
        allowance_every="month",
    ),
)
CODES = tuple(each.code for each in SOLD)


def on_sale(is_later: bool) -> dict[str, Plan]:
    """The current version of each plan, by code."""
    return {each.code: each for each in (*SOLD, *(LATER if is_later else ()))}


def catalog(is_later: bool) -> str:
    """The catalog file. JSON is YAML."""
    return json.dumps(
        {
            "default_plan": "free",
            "events": {meter: [f"{meter}_included"] for meter in METERS},
            "plans": {code: _written(plan) for code, plan in on_sale(is_later).items()},
        }
    )


def _written(plan: Plan) -> dict[str, Any]:
    told: dict[str, Any] = {
        "billing_period": plan.interval,
        "trial_days": plan.trial_days,
        "trial_credits": plan.trial_credits,
        "credit_allowance": plan.allowance,
        "allowance_every": plan.allowance_every,
        "base_fee": "advance" if plan.in_advance else "arrears",
        "entitlements": {f"{meter}_included": _guard(guard) for meter, guard in plan.meters.items()},
    }
    prices = {"price": plan.fee, "credit_price": plan.credit_price, "minimum": plan.minimum}
    return told | {name: dict(price) for name, price in prices.items() if price}


def _guard(guard: Guard) -> dict[str, Any]:
    told: dict[str, Any] = {
        "limit": guard.included,
        "cadence": guard.cadence,
        "credits_per_unit": guard.credits_per_unit,
    }
    if guard.price:
        told["overage_price"] = {currency: _model(model) for currency, model in guard.price.items()}
    if guard.price or guard.credits_per_unit != "0":
        told["on_limit"] = "overage"
    return told


def _model(model: Model) -> dict[str, Any]:
    if model.name == "percentage":
        return {"model": model.name, "percent": model.rate}
    if not model.tiers:
        return {"model": model.name, "rate": model.rate, "per": model.per}
    tiers = [
        {"rate": rate} | ({"flat": flat} if Decimal(flat) else {}) | ({} if end is None else {"up_to": end})
        for end, rate, flat in model.tiers
    ]
    return {"model": model.name, "per": model.per, "tiers": tiers}
