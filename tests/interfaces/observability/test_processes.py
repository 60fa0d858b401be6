"""The real web server: several processes, one set of figures; the socket's address, not a header's."""

import re
import urllib.error
import urllib.request

from tests.support.http import HttpServer


def get(url: str, **headers: str) -> tuple[int, str]:
    request = urllib.request.Request(url, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=10) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_counters_of_all_processes_agree(http_server: HttpServer) -> None:
    # One connection each, so that the kernel spreads them over the workers.
    before = probes(http_server)
    for _ in range(40):
        assert get(f"{http_server.url}/healthz")[0] == 200
    seen = {probes(http_server) - before for _ in range(10)}
    assert seen == {40}


def test_a_forged_forwarding_header_does_not_help_and_loopback_does(http_server: HttpServer) -> None:
    assert get(f"{http_server.url}/internal/metrics")[0] == 200
    assert get(f"{http_server.url}/internal/metrics", **{"X-Forwarded-For": "127.0.0.1"})[0] == 403
    assert get(f"{http_server.url}/readyz")[0] == 200


def probes(server: HttpServer) -> int:
    status, text = get(f"{server.url}/internal/metrics")
    assert status == 200
    found = re.search(
        r'^django_http_requests_latency_seconds_by_view_method_count\{method="GET",view="healthz"\} ([0-9.]+)$',
        text,
        re.MULTILINE,
    )
    return int(float(found[1])) if found else 0
