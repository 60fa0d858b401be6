"""The content security policy of every answer, and what else a browser should not do on our behalf.

Ten lines do what we need of a policy (one for all pages, narrower or wider where a view says so itself), so there is
no package for it.
"""

from __future__ import annotations

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse

from billing.api import problems

# Nothing inline, nothing evaluated, nothing from another host.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
# The admin's theme evaluates the expressions in its markup and styles some elements in place. Only there.
ADMIN_PATH = "/admin/"
ADMIN_POLICY = POLICY.replace("script-src 'self'", "script-src 'self' 'unsafe-eval'").replace(
    "style-src 'self'", "style-src 'self' 'unsafe-inline'"
)
DOCS_PATH = "/api/docs"
PERMISSIONS = "camera=(), geolocation=(), microphone=(), payment=(), usb=()"


class SecurityHeadersMiddleware:
    """Set the headers where the view has not set its own."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        policy = ADMIN_POLICY if request.path.startswith(ADMIN_PATH) else POLICY
        response.headers.setdefault("Content-Security-Policy", policy)
        response.headers.setdefault("Permissions-Policy", PERMISSIONS)
        # What may be kept says so itself. A refusal that is raised within a page comes past what the page's door says.
        response.headers.setdefault("Cache-Control", "no-store")
        return response


class CallsOverTlsMiddleware:
    """A call by plain HTTP is refused where pages are led to TLS: a program that is led on goes on sending its key in
    the clear, and nobody notices. The page about the API is for people and is led on."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        path = request.path
        if settings.SECURE_SSL_REDIRECT and path.startswith("/api/") and path != DOCS_PATH and not request.is_secure():
            return problems.respond(
                request, 403, "https_required", "Call by https:// only, and replace a key that was sent without."
            )
        return self.get_response(request)
