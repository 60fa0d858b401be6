"""Pages of the shop as kept bytes: whole for visitors without a session, and what is the same for all others inside the
frame that is their own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.utils.cache import patch_vary_headers
from django.utils.safestring import mark_safe
from django.utils.translation import get_language

from billing.infra import kept
from billing.reporting.shop import Shop
from marketplace import locales

_VARY = ("Accept-Language", "Cookie")
_HTML = "text/html; charset=utf-8"
# A page for each currency, billing period and locale that anybody asks for, and each as a whole and as its main part.
_pages = kept.Shelf(entries_max=400)


@dataclass(frozen=True, slots=True)
class Shown:
    """A page to show: ``key`` says which one among those of a shop, None that it is made anew each time."""

    template: str
    title: str
    description: str
    key: tuple[str, ...] | None
    make: Callable[[], object]


def show(request: HttpRequest, shop: Shop, shown: Shown) -> HttpResponse:
    """The page, from memory where it was made before from the same state of the catalog."""
    base = None
    if shop.stamp and shown.key is not None:
        base = (shop.stamp, locales.current().code, get_language(), shown.template, *shown.key)

    def main() -> bytes:
        return render_to_string(shown.template, {"page": shown.make()}).encode()

    def framed() -> HttpResponse:
        part = _pages.get(base and ("main", *base), main).body.decode()
        # Markup of our own template, in which what the catalog says was escaped.
        safe = mark_safe(part)  # noqa: S308 - see above # nosec B308, B703
        context = {"title": shown.title, "description": shown.description, "main": safe}
        return render(request, "marketplace/storefront/page.html", context)

    if _is_nobody(request):
        whole = _pages.get(base and ("whole", *base), lambda: framed().content)
        # Anybody may keep it, and asks each time whether it still holds: a sync is seen at once.
        return kept.answer(request, whole, content_type=_HTML, cache_control="public, no-cache", vary=", ".join(_VARY))
    response = framed()
    response.headers["Cache-Control"] = "private, no-cache"
    patch_vary_headers(response, _VARY)
    return response


def _is_nobody(request: HttpRequest) -> bool:
    """Nothing on the page can be this visitor's own: there is no session, where messages wait too."""
    return settings.SESSION_COOKIE_NAME not in request.COOKIES
