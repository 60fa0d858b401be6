"""The Flask service of ``examples/model_proxy``, run as its first lines say, against the real server."""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from billing.accounts import actors
from billing.accounts import operations as accounts_operations
from billing.accounts.actors import Act
from billing.catalog import operations as catalog_operations
from billing.catalog import parsing
from billing.lifecycle import onboard
from billing.models import UsageEvent, UsageReservation
from billing.reporting.doctor import verify
from tests.support import factories
from tests.support.http import HttpServer

FOLDER = Path(__file__).parents[2] / "examples" / "model_proxy"
OPERATOR = actors.operator("test")
CATALOG = """
default_plan: free
events:
  llm_generated_tokens: [tokens]
plans:
  free:
    entitlements:
      tokens: {limit: 1000, cadence: billing_period, on_limit: block}
"""


@pytest.fixture
def proxy(http_server: HttpServer) -> Iterator[str]:
    now = timezone.now()
    catalog_operations.sync(spec=parsing.load(CATALOG, name="test"), actor="test", now=now)
    acme = factories.organization()
    onboard.subscribe(organization=acme, plan_code="free", actor=OPERATOR, now=now)
    scopes = [Act.READ, Act.USAGE]
    _, secret = accounts_operations.create_key(organization=acme, name="proxy", scopes=scopes, actor=OPERATOR)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {
        **os.environ,
        "BILLING_URL": http_server.url,
        "BILLING_KEY": secret,
        "BILLING_ORGANIZATION": acme.slug,
    }
    command = [sys.executable, "-m", "flask", "--app", "app", "run", "--port", str(port), "--with-threads"]
    process = subprocess.Popen(command, cwd=FOLDER, env=environment, stderr=subprocess.DEVNULL)
    try:
        for _ in range(200):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}/answers"
    finally:
        process.kill()
        process.wait()


def ask(url: str, prompt: str, **headers: str) -> tuple[int, Any]:
    body = json.dumps({"prompt": prompt}).encode()
    call = urllib.request.Request(url, body, {"Content-Type": "application/json", **headers})
    try:
        with urllib.request.urlopen(call, timeout=30) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as refused:
        return refused.code, json.load(refused)


def test_it_reserves_before_the_call_and_settles_what_it_took(proxy: str) -> None:
    status, answer = ask(proxy, "are you how", **{"X-Request-Id": "one"})
    assert (status, answer["text"], answer["tokens"]) == (200, "how you are", 11)
    assert ask(proxy, "are you how", **{"X-Request-Id": "one"})[1] == answer
    assert ask(proxy, "please fail")[0] == 502
    assert {row.status: row.settled_quantity for row in UsageReservation.objects.all()} == {
        "settled": 11,
        "released": None,
    }
    assert str(UsageEvent.objects.get().id) == answer["usage_event"]


def test_never_over_the_limit(proxy: str) -> None:
    """Twelve at once, each of which keeps 500 of the 1000 while it runs and takes 300."""
    with ThreadPoolExecutor(12) as pool:
        statuses = list(pool.map(lambda _: ask(proxy, "x" * 300)[0], range(12)))
    assert set(statuses) <= {200, 402}
    used = sum(event.quantity for event in UsageEvent.objects.all())
    assert used == 300 * statuses.count(200) <= 1000
    assert not UsageReservation.objects.filter(status="open").exists()
    status, refused = ask(proxy, "x" * 300) if used > 500 else (402, {"error": "plan_limit_exceeded"})
    assert (status, refused["error"]) == (402, "plan_limit_exceeded")
    assert verify() == []


def test_the_readme_shows_the_very_file() -> None:
    shown = (FOLDER.parents[1] / "README.md").read_text()
    assert f"```python\n{(FOLDER / 'app.py').read_text()}```" in shown
