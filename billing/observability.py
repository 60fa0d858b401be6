"""What operators and their machines look at: metrics, liveness, readiness, and the request's name in every log line."""

from __future__ import annotations

import hmac
import ipaddress
import logging
import os
import re
import time
from collections.abc import Callable
from functools import cache
from uuid import uuid4

import redis
from django.conf import settings
from django.db import Error, connection
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder
from django.http import HttpRequest, HttpResponse, HttpResponseForbidden, JsonResponse
from django.urls import path
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, generate_latest, multiprocess
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from billing.infra import logs, second_wall
from billing.reporting import metrics as books

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)
# Set by every proxy worth the name. Their presence says that the socket's other end is not the client.
_FORWARDED = ("HTTP_X_FORWARDED_FOR", "HTTP_FORWARDED", "HTTP_X_REAL_IP", "HTTP_VIA")
# Probes and scrapes come every few seconds and say nothing.
_UNLOGGED = frozenset({"/healthz", "/readyz", "/internal/metrics"})

GetResponse = Callable[[HttpRequest], HttpResponse]


class RequestContextMiddleware:
    """Name the request: take a sound ``X-Request-ID`` or make one, show it in logs and answer, log one line at the end.

    The line carries the route and not the path, which may hold what a person typed.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        offered = request.META.get("HTTP_X_REQUEST_ID", "")
        name = offered if _REQUEST_ID.fullmatch(offered) else uuid4().hex
        request.request_id = name  # type: ignore[attr-defined]
        began = time.perf_counter()
        # The request before on this thread may have ended behind the wall.
        second_wall.widen()
        with logs.context(request=name, organization_id=""):
            response = self.get_response(request)
            response["X-Request-ID"] = name
            if request.path not in _UNLOGGED:
                logs.event(
                    "http.request",
                    level=logging.WARNING if response.status_code >= 500 else logging.INFO,
                    method=request.method or "",
                    route=request.resolver_match.route if request.resolver_match else "",
                    status=response.status_code,
                    milliseconds=round((time.perf_counter() - began) * 1000, 1),
                )
        return response


@require_safe
@never_cache
def metrics(request: HttpRequest) -> HttpResponse:
    """All processes' counters and the figures of the books, for a bearer of ``METRICS_TOKEN`` or from this machine."""
    if not (_bears_token(request) or _is_local(request)):
        return HttpResponseForbidden("Metrics are for a bearer of the metrics token, or from this machine.\n")
    try:
        families = books.list_families(timezone.now())
        readable = 1
    except Error as error:
        # The process's own figures are most wanted just when the database is gone.
        logs.event("metrics.books_unreadable", level=logging.WARNING, error=error)
        families, readable = [], 0
    families.append(
        GaugeMetricFamily("billing_books_readable", "Whether the figures of the books could be read.", value=readable)
    )
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Families(families))
    return HttpResponse(_of_processes() + generate_latest(registry), content_type=CONTENT_TYPE_LATEST)


@require_safe
@never_cache
def healthz(request: HttpRequest) -> HttpResponse:
    """The process answers. Asks nobody else, so that a lost database does not get the web server restarted."""
    return JsonResponse({"status": "alive"})


@require_safe
@never_cache
def readyz(request: HttpRequest) -> HttpResponse:
    """Whether to send requests here: 200 with the database there and migrated, else 503.

    A lost Redis is stated and not fatal: no decision depends on it.
    """
    checks = {"database": "ok", "migrations": "ok", "redis": "ok"}
    try:
        if missing := _expected_migrations() - MigrationRecorder(connection).applied_migrations().keys():
            checks["migrations"] = f"{len(missing)} not applied"
    except Error as error:
        logs.event("readiness.database_lost", level=logging.WARNING, error=error)
        checks |= {"database": "unreachable", "migrations": "unknown"}
    try:
        with redis.Redis.from_url(settings.REDIS_URL, socket_connect_timeout=0.5, socket_timeout=0.5) as client:
            client.ping()
    except (redis.RedisError, OSError) as error:
        logs.event("readiness.redis_lost", level=logging.WARNING, error=error)
        checks["redis"] = "unreachable"
    if checks["database"] != "ok" or checks["migrations"] != "ok":
        return JsonResponse({"status": "unavailable", "checks": checks}, status=503)
    return JsonResponse({"status": "ready" if checks["redis"] == "ok" else "degraded", "checks": checks})


class _Families(Collector):
    def __init__(self, families: list[Metric]) -> None:
        self.families = families

    def collect(self) -> list[Metric]:
        return self.families


def _of_processes() -> bytes:
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        return generate_latest(REGISTRY)
    registry = CollectorRegistry()
    multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return generate_latest(registry)


def _bears_token(request: HttpRequest) -> bool:
    token: str = settings.METRICS_TOKEN
    scheme, _, offered = request.headers.get("Authorization", "").partition(" ")
    return bool(token) and scheme.lower() == "bearer" and hmac.compare_digest(offered.strip().encode(), token.encode())


def _is_local(request: HttpRequest) -> bool:
    """From the socket's own address. Behind a proxy on this machine every client would look local, so a request that
    says it was forwarded is not; saying so falsely only loses."""
    if any(header in request.META for header in _FORWARDED):
        return False
    try:
        address = ipaddress.ip_address(request.META.get("REMOTE_ADDR", ""))
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback


@cache
def _expected_migrations() -> frozenset[tuple[str, str]]:
    """Those that this code brings, read from disk once: they cannot change under a running process."""
    loader = MigrationLoader(None)
    return frozenset(loader.disk_migrations)


urlpatterns = [
    path("internal/metrics", metrics, name="metrics"),
    path("healthz", healthz, name="healthz"),
    path("readyz", readyz, name="readyz"),
]
