"""Webhook endpoints on pages: made once however often the form is sent, their log, and the API's acts by buttons."""

import json
import re
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from billing.accounts import actors
from billing.infra import outbox
from billing.kernel.ids import new_id
from billing.models import (
    AuditEntry,
    DeliveryStatus,
    Organization,
    Role,
    WebhookAttempt,
    WebhookDelivery,
    WebhookEndpoint,
    WebhookSecret,
)
from billing.notifications import dispatch, keeping, operations
from tests.support import factories, pages

pytestmark = pytest.mark.django_db
OPERATOR = actors.operator("test")
URL = "https://hooks.example.com/a"


@pytest.fixture
def organization() -> Organization:
    return factories.organization(slug="acme")


@pytest.fixture
def endpoint(organization: Organization) -> WebhookEndpoint:
    made, _ = operations.create(organization=organization, url=URL, actor=OPERATOR, now=timezone.now())
    return made


def form(**fields: str) -> dict[str, str]:
    return {"url": URL, "topics": "invoice.*, credits.low", "description": "", "key": str(new_id())} | fields


def tell(organization: Organization, endpoint: WebhookEndpoint, count: int) -> list[WebhookDelivery]:
    for number in range(count):
        outbox.emit(
            organization_id=organization.id, topic=f"invoice.n{number}", payload={"n": number}, now=timezone.now()
        )
    dispatch.distribute(now=timezone.now())
    return list(WebhookDelivery.objects.filter(endpoint=endpoint).order_by("position"))


def attempt(delivery: WebhookDelivery, *, status_code: int, excerpt: str = "") -> None:
    WebhookAttempt.objects.create(
        organization_id=delivery.organization_id,
        delivery=delivery,
        number=delivery.attempts + 1,
        started_at=timezone.now(),
        duration_ms=231,
        status_code=status_code,
        error="" if status_code < 300 else "status",
        excerpt=excerpt,
    )
    is_good = status_code < 300
    WebhookDelivery.objects.filter(pk=delivery.pk).update(
        attempts=delivery.attempts + 1,
        failures=0 if is_good else 1,
        status=DeliveryStatus.DELIVERED if is_good else DeliveryStatus.PENDING,
        next_attempt_at=None if is_good else timezone.now() + timedelta(minutes=5),
        finished_at=timezone.now() if is_good else None,
    )


def test_an_endpoint_is_made_and_its_secret_shown_once(client: Client, organization: Organization) -> None:
    pages.sign_in(client, organization)
    answer = client.post("/dashboard/acme/webhooks/", form())
    made = WebhookEndpoint.objects.get()
    assert (answer.status_code, answer["Location"]) == (302, f"/dashboard/acme/webhooks/{made.id}/")
    assert made.topics == ["credits.low", "invoice.*"]
    secret = keeping.reveal(WebhookSecret.objects.get().text)
    waiting = json.dumps(dict(client.session))
    assert "webhook_secret" in waiting
    assert secret not in waiting
    assert secret in client.get(answer["Location"]).content.decode()
    assert secret not in client.get(answer["Location"]).content.decode()
    assert AuditEntry.objects.filter(object_id=str(made.id)).count() == 1


def test_a_form_sent_twice_makes_one(client: Client, organization: Organization) -> None:
    pages.sign_in(client, organization)
    page = client.get("/dashboard/acme/webhooks/").content.decode()
    found = re.search(r'name="key" value="([^"]+)"', page)
    assert found is not None
    for _ in range(2):
        answer = client.post("/dashboard/acme/webhooks/", form(key=found[1]))
        assert answer["Location"] == f"/dashboard/acme/webhooks/{found[1]}/"
    assert WebhookEndpoint.objects.count() == 1


@pytest.mark.parametrize(
    "fields",
    [
        {"url": "http://hooks.example.com/"},
        {"url": "https://127.0.0.1/"},
        {"url": "javascript:alert(1)"},
        {"url": ""},
        {"url": "https://a.example/\x00"},
        {"topics": ""},
        {"topics": "<script>"},
        {"description": "x" * 201},
        {"key": "nothing"},
    ],
)
def test_what_is_no_endpoint_is_said_and_nothing_made(
    client: Client, organization: Organization, fields: dict[str, str]
) -> None:
    pages.sign_in(client, organization)
    answer = client.post("/dashboard/acme/webhooks/", form(**fields))
    assert answer.status_code == 422
    assert "<script>" not in answer.content.decode()
    assert 'class="errorlist' in answer.content.decode()
    assert not WebhookEndpoint.objects.exists()


def test_the_key_of_another_organization_s_endpoint_opens_nothing(
    client: Client, organization: Organization, endpoint: WebhookEndpoint
) -> None:
    pages.sign_in(client, factories.organization(slug="other"))
    answer = client.post("/dashboard/other/webhooks/", form(key=str(endpoint.id)))
    assert client.get(answer["Location"]).status_code == 404


def test_the_log_tells_how_each_delivery_went(
    client: Client, organization: Organization, endpoint: WebhookEndpoint
) -> None:
    first, second, _ = tell(organization, endpoint, 3)
    attempt(first, status_code=200)
    attempt(second, status_code=503, excerpt="<b>out</b>")
    pages.sign_in(client, organization, Role.ADMIN)
    answer = client.get(f"/dashboard/acme/webhooks/{endpoint.id}/")
    rows = pages.rows(answer, 'id="log"')
    assert [row[0] for row in rows] == ["invoice.n2", "invoice.n1", "invoice.n0"]
    assert [row[1] for row in rows] == ["Waiting", "Failing", "Delivered"]
    assert [row[2] for row in rows] == ["0", "1", "1"]
    assert rows[1][5] == "503 after 231 ms <b>out</b>"
    assert rows[2][5] == "200 after 231 ms"
    assert "<b>" not in answer.content.decode()
    listed = pages.rows(client.get("/dashboard/acme/webhooks/"), 'id="endpoints"')
    assert listed[0][3] == "2"


def test_the_log_in_pages(client: Client, organization: Organization, endpoint: WebhookEndpoint) -> None:
    tell(organization, endpoint, 30)
    pages.sign_in(client, organization)
    path = f"/dashboard/acme/webhooks/{endpoint.id}/"
    first = client.get(path)
    older = re.search(r'rel="next" href="([^"]+)"', first.content.decode())
    assert older is not None
    second = client.get(path + older[1])
    assert [len(pages.rows(each, 'id="log"')) for each in (first, second)] == [25, 5]
    newer = re.search(r'rel="prev" href="([^"]+)"', second.content.decode())
    assert newer is not None
    assert pages.rows(client.get(path + newer[1]), 'id="log"') == pages.rows(first, 'id="log"')


def test_buttons_do_what_the_api_does(client: Client, organization: Organization, endpoint: WebhookEndpoint) -> None:
    done, waiting = tell(organization, endpoint, 2)
    attempt(done, status_code=200)
    pages.sign_in(client, organization)
    path = f"/dashboard/acme/webhooks/{endpoint.id}"

    def press(act: str) -> Any:
        answer = client.post(f"{path}/{act}/")
        assert answer.status_code == 302, answer.content
        return answer

    def is_paused() -> bool:
        return WebhookEndpoint.objects.filter(id=endpoint.id, paused_at__isnull=False).exists()

    press("pause")
    press("pause")
    assert is_paused()
    press("resume")
    assert not is_paused()
    press("test")
    assert WebhookDelivery.objects.filter(endpoint=endpoint).count() == 3
    press(f"messages/{done.event_id}/redeliver")
    done.refresh_from_db()
    assert done.status == DeliveryStatus.PENDING
    assert done.position > waiting.position
    press(f"messages/{waiting.event_id}/skip")
    waiting.refresh_from_db()
    assert waiting.status == DeliveryStatus.SKIPPED
    refused = client.post(f"{path}/messages/{waiting.event_id}/skip/", follow=True)
    assert 'class="notice error' in refused.content.decode() or 'class="notice bad' in refused.content.decode()
    press("delete")
    assert WebhookEndpoint.objects.get(id=endpoint.id).disabled_at is not None
    assert client.get(f"{path}/").status_code == 404
    assert client.get(f"{path}/delete/").status_code == 405


@pytest.mark.parametrize("role", [Role.MEMBER, Role.FINANCE])
def test_not_for_those_who_do_not_manage_them(
    client: Client, organization: Organization, endpoint: WebhookEndpoint, role: str
) -> None:
    pages.sign_in(client, organization, role)
    assert client.get("/dashboard/acme/webhooks/").status_code == 403
    assert client.get(f"/dashboard/acme/webhooks/{endpoint.id}/").status_code == 403
    assert client.post(f"/dashboard/acme/webhooks/{endpoint.id}/pause/").status_code == 403
    assert "Webhooks" not in pages.text(client.get("/dashboard/acme/"))


def test_statements_do_not_grow(client: Client, organization: Organization, endpoint: WebhookEndpoint) -> None:
    pages.sign_in(client, organization)
    counts = []
    for size in (2, 20):
        for delivery in tell(organization, endpoint, size):
            if not delivery.attempts:
                attempt(delivery, status_code=200)
        for path in ("", f"{endpoint.id}/"):
            with CaptureQueriesContext(connection) as queries:
                assert client.get(f"/dashboard/acme/webhooks/{path}").status_code == 200
            counts.append(len(queries))
        if size == 2:
            for number in range(5):
                operations.create(organization=organization, url=f"{URL}{number}", actor=OPERATOR, now=timezone.now())
    assert counts[:2] == counts[2:]
    assert max(counts) <= 15
