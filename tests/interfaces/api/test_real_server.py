"""The same answers behind the production web server, where bodies come as they come."""

import http.client
import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from billing.models import UsageEvent
from tests.support.api import build
from tests.support.http import HttpServer


@contextmanager
def connected(server: HttpServer) -> Iterator[http.client.HTTPConnection]:
    at = urlsplit(server.url)
    connection = http.client.HTTPConnection(at.hostname or "", at.port, timeout=20)
    yield connection
    connection.close()


def problem(response: http.client.HTTPResponse) -> tuple[int, str]:
    body = json.loads(response.read())
    assert response.getheader("Content-Type") == "application/problem+json"
    assert body["request_id"] == response.getheader("X-Request-ID")
    return response.status, body["code"]


def test_errors_of_every_kind_are_problems(http_server: HttpServer) -> None:
    with connected(http_server) as connection:
        connection.request("GET", "/api/nothing")
        assert problem(connection.getresponse()) == (404, "not_found")
        connection.request("GET", "/api/billing/plans", headers={"Host": "evil.example"})
        assert problem(connection.getresponse()) == (400, "bad_request")
        connection.request("POST", "/api/billing/usage", b"{}", {"Content-Type": "application/json"})
        assert problem(connection.getresponse()) == (401, "not_authenticated")
        connection.request("DELETE", "/api/billing/plans")
        assert problem(connection.getresponse()) == (405, "method_not_allowed")
        connection.request("HEAD", "/api/billing/plans")
        response = connection.getresponse()
        assert (response.status, response.read()) == (200, b"")
    assert "Traceback" not in http_server.log


def test_bodies_however_they_are_sent(http_server: HttpServer) -> None:
    world = build()
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {world.own.key}"}
    body = json.dumps({"meter": "tokens", "quantity": "1"}).encode()
    with connected(http_server) as connection:
        connection.request("POST", "/api/billing/usage", body, headers)
        response = connection.getresponse()
        assert (response.status, json.loads(response.read())["status"]) == (201, "accepted")
        connection.request("POST", "/api/billing/usage", b" " * 1_000_001, headers)
        assert problem(connection.getresponse()) == (413, "too_large")
    with connected(http_server) as connection:
        chunks = iter([body[:10], body[10:]])
        connection.request("POST", "/api/billing/usage", chunks, headers, encode_chunked=True)
        response = connection.getresponse()
        assert (response.status, json.loads(response.read())["status"]) == (201, "accepted")
        connection.request("POST", "/api/billing/usage", iter([body, b" " * 1_000_000]), headers, encode_chunked=True)
        assert problem(connection.getresponse()) == (413, "too_large")
    assert UsageEvent.objects.count() == 2


def test_a_body_in_chunks_is_not_taken_for_none(http_server: HttpServer) -> None:
    """A field that is not read would cancel now what was to be cancelled later."""
    world = build()
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {world.own.key}"}
    cancel = f"/api/billing/subscriptions/{world.subscription.id}/cancel"
    with connected(http_server) as connection:
        connection.request("POST", cancel, iter([b'{"no_such', b'_field": 1}']), headers, encode_chunked=True)
        assert problem(connection.getresponse()) == (422, "invalid")
        connection.request("POST", cancel, iter([b'{"at_period_end":', b" true}"]), headers, encode_chunked=True)
        document = json.loads(connection.getresponse().read())
    assert (document["status"], document["cancel_at_period_end"]) == ("active", True)


def test_an_address_is_unquoted_once(http_server: HttpServer) -> None:
    with connected(http_server) as connection:
        for path, status in (
            ("/%68ealthz", 200),
            ("/%2568ealthz", 404),
            ("/api/billing/pl%61ns", 200),
            ("/%C3%A9%FF", 404),
        ):
            connection.request("GET", path)
            response = connection.getresponse()
            response.read()
            assert response.status == status, path


def test_a_name_that_cannot_be_read_is_not_none(http_server: HttpServer) -> None:
    world = build()
    headers = {
        "Content-Type": "application/json",
        "Authorization": f"Bearer {world.own.key}",
        "Idempotency-Key": "\u00e9",
    }
    with connected(http_server) as connection:
        connection.request("POST", "/api/billing/usage", b'{"meter": "tokens", "quantity": "1"}', headers)
        assert problem(connection.getresponse()) == (422, "invalid")
    assert not UsageEvent.objects.exists()


def test_odd_headers_are_problems(http_server: HttpServer) -> None:
    world = build()
    with connected(http_server) as connection:
        for name, value in (
            ("Idempotency-Key", "\u00e9"),
            ("If-Match", "\u00ff"),
            ("Content-Type", "application/json; charset=\u00ff"),
        ):
            headers = {"Content-Type": "application/json", "Authorization": f"Bearer {world.own.key}", name: value}
            connection.request("POST", "/api/billing/organizations/acme/subscription", b'{"plan_code": "x"}', headers)
            assert problem(connection.getresponse())[0] in (415, 422)
        connection.request("GET", "/api/billing/organizations/acme", headers={"Authorization": "Bearer \u00ff"})
        assert problem(connection.getresponse()) == (401, "authentication_failed")


def test_a_header_with_an_underscore_is_not_the_one_with_a_dash(http_server: HttpServer) -> None:
    with connected(http_server) as connection:
        for name, is_taken in (("X-Request-ID", True), ("X_Request_ID", False)):
            connection.request("GET", "/healthz", headers={name: "told-by-the-client"})
            response = connection.getresponse()
            response.read()
            assert (response.getheader("X-Request-ID") == "told-by-the-client") is is_taken


def test_a_body_that_breaks_off_is_a_problem_with_a_name(http_server: HttpServer) -> None:
    at = urlsplit(http_server.url)
    with socket.create_connection((at.hostname, at.port), timeout=20) as client:
        client.sendall(
            b"POST /api/billing/usage HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
            b"Transfer-Encoding: chunked\r\n\r\nzz\r\n"
        )
        response = http.client.HTTPResponse(client)
        response.begin()
        assert problem(response) == (400, "malformed")
    assert response.getheader("X-Request-ID", "") in http_server.log
