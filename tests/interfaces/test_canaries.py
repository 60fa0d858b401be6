"""Secrets sent to every endpoint, in every place that a caller could put them, are found nowhere afterwards."""

from __future__ import annotations

import io
import json
import logging
import re
from collections.abc import Iterator
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from celery.signals import before_task_publish
from django.core.cache import cache
from django.test import Client
from pytest_django import Settings

from billing.api import schema
from billing.infra.logs import JsonFormatter
from billing.models import AuditEntry, OutboxEvent
from tests.support import people
from tests.support.api import Api, World, build

pytestmark = pytest.mark.django_db
CANARIES = {
    "api_key": "chk_live_Canary1aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "password": "Canary2-password-of-somebody",
    "secret": "whsec_Canary3AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
    "stripe_key": "sk_live_Canary4bbbbbbbbbbbbbbbbbbbbbbbb",
    "stripe_signature": "t=1,v1=Canary5cccccccccccccccccccccccccccccccc",
    "totp_code": "Canary6-730194",
    "session": "Canary7dddddddddddddddddddddddd",
}
TRACE = re.compile("canary[1-7]", re.IGNORECASE)


class Watch:
    """Log lines as production writes them, answers, and what was handed to workers."""

    def __init__(self) -> None:
        self.lines = io.StringIO()
        self.answers: list[tuple[str, str]] = []
        self.tasks: list[str] = []

    def published(self, body: Any = None, headers: Any = None, **_: Any) -> None:
        self.tasks.append(f"{body} {headers}")

    def told(self, what: str, response: Any) -> None:
        self.answers.append((what, f"{response.headers} {response.content.decode()}"))


@pytest.fixture
def watch() -> Iterator[Watch]:
    found = Watch()
    handler = logging.StreamHandler(found.lines)
    handler.setFormatter(JsonFormatter())
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    before_task_publish.connect(found.published)
    yield found
    before_task_publish.disconnect(found.published)
    root.setLevel(level)
    root.removeHandler(handler)


@pytest.fixture
def world(db: None) -> World:
    cache.clear()
    return build()


def addresses(world: World) -> list[tuple[str, str]]:
    """Method and path of every endpoint, about what is there where that can be."""
    known = {"organization_ref": "acme", "subscription_id": str(world.subscription.id), "provider": "stub"}
    document = json.loads(schema.document())
    return [
        (method.upper(), re.sub(r"\{(\w+)\}", lambda part: known.get(part[1], CANARIES["password"]), path))
        for path, methods in document["paths"].items()
        for method in methods
        if method in ("get", "post", "put", "patch", "delete")
    ]


def places(watch: Watch) -> dict[str, str]:
    """Everything that somebody else could read."""
    metrics = Client().get("/internal/metrics", REMOTE_ADDR="127.0.0.1").content.decode()
    audit = [{**each, "details": each["details"]} for each in AuditEntry.objects.values()]
    return {
        "logs": watch.lines.getvalue(),
        "tasks": "\n".join(watch.tasks),
        "metrics": metrics,
        "audit": str(audit),
        "outbox": str(list(OutboxEvent.objects.values())),
    }


def assert_nowhere(watch: Watch) -> None:
    for place, text in places(watch).items():
        assert not (found := TRACE.search(text)), f"{place}: {text[max(0, found.start() - 200) : found.end() + 100]}"


def test_the_watch_sees_what_is_written(watch: Watch, world: World) -> None:
    """A test of these tests: a secret that a defect logs is found."""
    logging.getLogger("billing").info("a defect wrote %s", CANARIES["password"])
    with pytest.raises(AssertionError, match="logs"):
        assert_nowhere(watch)


def test_no_endpoint_tells_of_the_secrets_it_was_sent(watch: Watch, world: World) -> None:
    headers = {
        "Idempotency-Key": "k",
        "X-Api-Key": CANARIES["api_key"],
        "Stripe-Signature": CANARIES["stripe_signature"],
        "X-CSRFToken": CANARIES["session"],
        "Cookie": f"sessionid={CANARIES['session']}",
    }
    called = addresses(world)
    for method, path in called:
        for key in (CANARIES["api_key"], world.platform.key):
            sent = headers | {"Authorization": f"Bearer {key}"}
            body = json.dumps(CANARIES).encode() if method != "GET" else b""
            query = f"?token={CANARIES['secret']}&limit={CANARIES['totp_code']}" if method == "GET" else ""
            answer = Client().generic(method, path + query, body, content_type="application/json", headers=sent)
            assert answer.status_code < 500, (method, path, answer.content)
            watch.told(f"{method} {path}", answer)
    assert len(called) > 80
    assert_nowhere(watch)
    # Nor does an error give back what was sent; the names of fields it may.
    for what, text in watch.answers:
        assert not (found := TRACE.search(text)), (what, text[max(0, found.start() - 200) : found.end() + 50])


def test_no_page_of_the_account_tells_of_them(watch: Watch, world: World, settings: Settings) -> None:
    user = people.person()
    people.app(user)
    browser = Client()
    for path, given in (
        ("/account/login/", {"login": user.email, "password": CANARIES["password"]}),
        ("/account/signup/", {"email": "x", "password1": CANARIES["password"]}),
        ("/account/password/reset/", {"email": CANARIES["password"]}),
        ("/admin/login/", {"login": user.email, "password": CANARIES["password"]}),
    ):
        watch.told(path, browser.post(path, given))
    people.sign_in(browser, user)
    watch.told("code", browser.post("/account/2fa/authenticate/", {"code": CANARIES["totp_code"]}))
    assert_nowhere(watch)
    assert not TRACE.search(str(list(Authenticator.objects.values())))


def test_a_key_and_a_webhook_s_secret_are_told_once(watch: Watch, world: World) -> None:
    """What the product itself makes and shows to who asked is in that one answer and nowhere else."""
    key = world.platform.post("/billing/organizations/acme/keys", {"name": "n", "scopes": ["read"]}).json["key"]
    made = world.platform.post(
        "/billing/organizations/acme/webhook-endpoints",
        {"url": "https://93.184.216.34/in?token=Canary3", "topics": ["*"]},
    )
    assert made.status == 201, made
    Api(key).get("/billing/organizations/acme")
    assert_nowhere(watch)
    for place, text in places(watch).items():
        assert key not in text, place
        assert made.json["secret"] not in text, place
