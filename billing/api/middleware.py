"""No HTML under ``/api``: whatever answers an error there, it is answered as problem details."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

from billing.api import problems

_PREFIX = "/api/"
_WORDS = {
    400: ("bad_request", "The request cannot be read."),
    403: ("forbidden", "The request is refused."),
    404: ("not_found", "There is nothing here."),
    405: ("method_not_allowed", "This method is not one of those in Allow."),
    406: ("not_acceptable", "None of the types in Accept can be given."),
    413: ("too_large", "The request is too large."),
    414: ("too_long", "The URL is too long."),
    500: ("internal_error", "Something is wrong on our side; the request id finds it in the log."),
    503: ("unavailable", "The database cannot be reached; try again."),
}
# Said of the page that was there. All else stays: what is allowed, when to come again, what a browser must not.
_OF_THE_PAGE = frozenset(
    {"content-type", "content-length", "content-language", "expires", "etag", "last-modified", "vary"}
)


class ProblemMiddleware:
    """Turn errors that Django itself answered (unknown URL, bad host, unreadable request, a defect) into problems."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        if response.status_code < 400 or not (request.path.startswith(_PREFIX) or request.path == "/api"):
            return response
        if response.get("Content-Type") == problems.CONTENT_TYPE:
            return response
        status = response.status_code
        code, detail = _WORDS.get(status, ("internal_error", "") if status >= 500 else ("bad_request", ""))
        headers = {name: value for name, value in response.items() if name.lower() not in _OF_THE_PAGE}
        return problems.respond(
            request, status, code, detail or _WORDS[500 if status >= 500 else 400][1], headers=headers
        )
