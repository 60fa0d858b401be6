"""Figures as a visitor's browser asks for them, and never a figure that is another one in another country."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from django.http import HttpResponse
from django.test import RequestFactory
from django.utils import translation

from marketplace import locales, wording

NBSP = "\xa0"


@contextmanager
def visitor(accepts: str) -> Iterator[None]:
    """As inside a request whose browser sends ``Accept-Language: accepts``."""
    token = locales._accepted.set(accepts)
    try:
        yield
    finally:
        locales._accepted.reset(token)


@pytest.mark.parametrize(
    ("accepts", "code"),
    [
        ("", "en"),
        ("de", "de"),
        ("de-AT,de;q=0.9,en;q=0.8", "de"),
        ("de-CH", "de-ch"),
        ("xx,fr;q=0.5,de;q=0.7", "de"),
        ("xx", "en"),
        ("*", "en"),
        ("*;q=0.1,fr", "fr"),
        ("de;q=0,fr;q=0.1", "fr"),
        ("fr;q=bad", "en"),
        ("\x00,<b>", "en"),
        ("a" * 5000, "en"),
    ],
)
def test_the_locale_is_the_first_wished_one_that_is_known(accepts: str, code: str) -> None:
    with visitor(accepts):
        assert locales.current().code == code


@pytest.mark.parametrize(
    ("accepts", "number", "euros", "yen", "dinars"),
    [
        ("en-US", "1,234,567.5", "€1,234.56", "¥7,500", f"KWD{NBSP}445.500"),
        ("de", "1.234.567,5", f"1.234,56{NBSP}€", f"7.500{NBSP}¥", f"445,500{NBSP}KWD"),
        ("fr", f"1{NBSP}234{NBSP}567,5", f"1{NBSP}234,56{NBSP}€", f"7{NBSP}500{NBSP}¥", f"445,500{NBSP}KWD"),
        ("nl", "1.234.567,5", f"€{NBSP}1.234,56", f"¥{NBSP}7.500", f"KWD{NBSP}445,500"),
    ],
)
def test_numbers_and_money(accepts: str, number: str, euros: str, yen: str, dinars: str) -> None:
    with visitor(accepts):
        assert wording.number(Decimal("1234567.500000")) == number
        assert wording.price(123456, "EUR") == euros
        assert wording.price(7500, "JPY") == yen
        assert wording.price(445500, "KWD") == dinars
        assert wording.money(123456, "EUR") == euros.replace("€", "").strip(NBSP)


def test_signs_stand_before_everything() -> None:
    assert wording.price(-123456, "EUR") == "−€1,234.56"
    assert wording.signed(Decimal("-0.5")) == "−0.5"
    assert wording.signed(Decimal(5)) == "+5"
    with visitor("de"):
        assert wording.price(-123456, "EUR") == f"−1.234,56{NBSP}€"
        assert wording.signed(Decimal("1000.5")) == "+1.000,5"


@pytest.mark.parametrize(
    ("value", "currency", "text"),
    [
        ("2", "EUR", "€2.00"),
        ("0.5", "EUR", "€0.50"),
        ("0.000015", "EUR", "€0.000015"),
        ("52.5", "JPY", "¥52.5"),
        ("42", "JPY", "¥42"),
        ("0.1075", "KWD", f"KWD{NBSP}0.1075"),
        ("1234.5", "USD", "$1,234.50"),
        ("0", "USD", "$0.00"),
    ],
)
def test_a_price_of_one_unit_has_all_its_digits(value: str, currency: str, text: str) -> None:
    assert wording.rate(Decimal(value), currency) == text


@pytest.mark.parametrize(
    ("accepts", "text"),
    [("en", "2 Mar 2026"), ("en-GB", "2 Mar 2026"), ("de", "2. Mär 2026"), ("fr", "2 Mar 2026")],
)
def test_days(accepts: str, text: str) -> None:
    with visitor(accepts):
        shown = wording.on(date(2026, 3, 2))
    assert shown == text


def test_instants_are_in_the_organization_s_zone_and_the_visitor_s_locale() -> None:
    at = datetime(2026, 1, 1, 2, 30, tzinfo=UTC)
    with visitor("de"):
        moment = wording.moment(at, ZoneInfo("America/New_York"))
    assert (moment.iso, moment.text) == ("2026-01-01T02:30:00Z", "31. Dez 2025, 21:30")


def test_the_language_of_texts_stays_what_it_was() -> None:
    with visitor("de"), translation.override("en"):
        wording.on(date(2026, 3, 2))
        assert translation.get_language() == "en"
        assert wording.status("past_due").text == "Past due"


def test_the_middleware_forgets_the_visitor() -> None:
    def page(_: object) -> HttpResponse:
        return HttpResponse(wording.number(Decimal("0.5")))

    asked = RequestFactory().get("/", headers={"Accept-Language": "de"})
    assert locales.VisitorLocaleMiddleware(page)(asked).content == b"0,5"
    assert wording.number(Decimal("0.5")) == "0.5"


@pytest.mark.parametrize("code", locales.LOCALES)
def test_every_locale_writes_figures_that_cannot_be_mistaken(code: str) -> None:
    locale = locales.of(code)
    assert locale.decimal in (",", ".")
    assert locale.thousands != locale.decimal
    assert len(locale.thousands) == 1
    with visitor(code):
        assert wording.on(date(2026, 3, 2)).count("2026") == 1
