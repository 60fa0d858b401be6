"""What is counted of requests: how long each view took, and what it answered. By django-prometheus, whose names these
are; of its two middlewares, which count sixteen things of each request, the part that an alert or a dashboard shows."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from time import perf_counter
from typing import Any

from django.http import HttpRequest, HttpResponse
from django_prometheus.middleware import Metrics

_UNNAMED = "<unnamed view>"
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"})
# Views, methods and statuses: some hundreds of each kind of count.
_CHILDREN_MAX = 4096


class RequestMetricsMiddleware:
    """Counts whatever is answered further in, with all the time that it takes there."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response
        self._metrics = Metrics.get_instance()

    def __call__(self, request: HttpRequest) -> HttpResponse:
        began = perf_counter()
        response = self.get_response(request)
        method = request.method if request.method in _METHODS else "<invalid method>"
        view, status = _view_name(request), str(response.status_code)
        _child(self._metrics.requests_latency_by_view_method, view=view, method=method).observe(perf_counter() - began)
        _child(self._metrics.responses_by_status, status=status).inc()
        _child(self._metrics.responses_by_status_view_method, status=status, view=view, method=method).inc()
        return response

    def process_exception(self, request: HttpRequest, exception: Exception) -> None:
        _child(self._metrics.exceptions_by_type, type=type(exception).__name__).inc()
        _child(self._metrics.exceptions_by_view, view=_view_name(request)).inc()


def _view_name(request: HttpRequest) -> str:
    return (request.resolver_match and request.resolver_match.view_name) or _UNNAMED


@lru_cache(maxsize=_CHILDREN_MAX)
def _child(metric: Any, **labels: str) -> Any:
    return metric.labels(**labels)
