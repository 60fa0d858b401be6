"""The visitor's locale: how numbers, money and dates are written on a page.

It is apart from the language of the texts, which is Django's active one: a page in English shows a German visitor
1.234,56 €. So figures in JSON, CSV, admin and the coordinates of a drawing cannot change with a browser's headers:
only what goes through ``marketplace.wording`` asks here.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from functools import lru_cache

from django.http import HttpRequest, HttpResponse
from django.utils import formats
from django.utils.translation.trans_real import parse_accept_lang_header

# As Django names them; the first is the site's own. Django knows the formats of many more.
LOCALES = ("en", "en-gb", "de", "de-ch", "fr", "es", "it", "nl", "pl", "pt", "pt-br", "sv", "da", "cs")
_HEADER_LENGTH_MAX = 200
_accepted: ContextVar[str] = ContextVar("accepted_languages", default="")
# Where the sign of a currency stands before the amount. Elsewhere it follows, as ISO 4217 codes do everywhere.
_SIGN_FIRST = {"en": "", "en-gb": "", "nl": "\xa0", "pt-br": "\xa0", "de-ch": "\xa0"}


@dataclass(frozen=True, slots=True)
class Locale:
    """``code`` is as Django names it. ``sign_gap`` stands between a currency's sign and the amount after it; None
    where the sign follows the amount."""

    code: str
    decimal: str
    thousands: str
    day: str
    sign_gap: str | None


class VisitorLocaleMiddleware:
    """Keep what the browser accepts at hand for the page that is made for it."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        token = _accepted.set(request.META.get("HTTP_ACCEPT_LANGUAGE", "")[:_HEADER_LENGTH_MAX])
        try:
            return self.get_response(request)
        finally:
            _accepted.reset(token)


def current() -> Locale:
    """The visitor's; the site's own outside a request, or where none of the wished ones is known."""
    return of(_choose(_accepted.get()))


@lru_cache(maxsize=1024)
def _choose(accepted: str) -> str:
    for wished, _ in parse_accept_lang_header(accepted.lower()):
        for code in (wished, wished.partition("-")[0]):
            if code in LOCALES:
                return code
        if wished == "*":
            break
    return LOCALES[0]


@lru_cache(maxsize=64)
def of(code: str) -> Locale:
    # The long form of a date with the month cut short: it says the order without doubt and fits into a table.
    day = str(formats.get_format("DATE_FORMAT", code)).replace("F", "M") if code != "en" else "j M Y"
    return Locale(
        code=code,
        decimal=str(formats.get_format("DECIMAL_SEPARATOR", code)),
        thousands=str(formats.get_format("THOUSAND_SEPARATOR", code)),
        day=day,
        sign_gap=_SIGN_FIRST.get(code),
    )
