from collections.abc import Callable

import pytest
from django.db import connection
from django.test import Client
from pytest_django import Settings

from billing.infra import logs


def test_healthz_asks_no_database(client: Client) -> None:
    response = client.get("/healthz")
    assert (response.status_code, response.json()) == (200, {"status": "alive"})
    assert "no-store" in response["Cache-Control"]


@pytest.mark.django_db
def test_ready(client: Client) -> None:
    response = client.get("/readyz")
    assert response.status_code == 200
    assert response.json() == {"status": "ready", "checks": {"database": "ok", "migrations": "ok", "redis": "ok"}}


@pytest.mark.django_db
def test_ready_but_degraded_without_redis(client: Client, settings: Settings) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    response = client.get("/readyz")
    assert response.status_code == 200
    assert response.json()["status"] == "degraded"
    assert response.json()["checks"]["redis"] == "unreachable"


@pytest.mark.django_db
def test_not_ready_while_a_migration_waits(client: Client) -> None:
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM django_migrations WHERE app = 'billing' AND name = '0002_evidence'")
    response = client.get("/readyz")
    assert response.status_code == 503
    assert response.json()["checks"]["migrations"] == "1 not applied"


def test_not_ready_without_the_database(
    client: Client, real_db: str, monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    connection.close()
    monkeypatch.setitem(connection.settings_dict, "PORT", 1)
    response = client.get("/readyz")
    assert response.status_code == 503
    assert response.json()["status"] == "unavailable"
    assert response.json()["checks"]["database"] == "unreachable"
    assert client.get("/healthz").status_code == 200
    metrics = client.get("/internal/metrics")
    assert metrics.status_code == 200
    assert b"billing_books_readable 0.0" in metrics.content


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/internal/metrics"])
@pytest.mark.parametrize("method", ["post", "put", "patch", "delete"])
def test_nothing_is_written_here(client: Client, path: str, method: str) -> None:
    send: Callable[[str], object] = getattr(client, method)
    assert getattr(send(path), "status_code", 0) == 405


@pytest.mark.parametrize(
    ("offered", "kept"),
    [("abc-1.2_3", True), ("a" * 64, True), ("a" * 65, False), ("", False), ("x y", False), ('x","level":"', False)],
)
def test_request_id_is_taken_if_sound_and_answered(client: Client, offered: str, kept: bool) -> None:
    answered = client.get("/healthz", headers={"x-request-id": offered})["X-Request-ID"]
    assert (answered == offered) == kept
    assert answered
    assert logs.request_id.get() == ""


def test_one_line_per_request_names_the_route_and_not_the_path(
    client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO", logger="billing"):
        client.get("/no/such/page/of-ada@example.org", headers={"x-request-id": "r-1"})
        client.get("/healthz")
    lines = [record for record in caplog.records if record.getMessage() == "http.request"]
    assert len(lines) == 1
    fields = lines[0].__dict__["fields"]
    assert (fields["method"], fields["route"], fields["status"]) == ("GET", "", 404)


def test_every_answer_carries_the_policy(client: Client) -> None:
    response = client.get("/healthz")
    assert "default-src 'none'" in response["Content-Security-Policy"]
    assert "unsafe" not in response["Content-Security-Policy"]
    assert response["X-Content-Type-Options"] == "nosniff"
