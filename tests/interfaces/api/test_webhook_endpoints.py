"""Webhook endpoints over the API: from making one to replaying what it got, and everything that is refused."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.utils import timezone
from pytest_django import Settings

from billing import tasks
from billing.models import OutboxEvent, WebhookDelivery, WebhookEndpoint, WebhookSecret
from billing_project.celery import app
from tests.support import receivers, webhooks
from tests.support.api import Answer, Api, World
from tests.support.receivers import Receiver

PATH = "/billing/organizations/acme/webhook-endpoints"
URL = "https://hooks.example.com/"


@pytest.fixture
def receiver(settings: Settings) -> Iterator[Receiver]:
    settings.BILLING_WEBHOOKS_ALLOW_LOCAL = True
    app.conf.update(task_always_eager=True, task_eager_propagates=True)
    with receivers.receiver() as made:
        yield made
    app.conf.update(task_always_eager=False)


def owner(world: World) -> Api:
    return world.with_scopes("webhooks", platform=True)


def make(world: World, **fields: Any) -> Any:
    answer = owner(world).post(PATH, {"url": URL, **fields})
    assert answer.status == 201, answer
    return answer.json


def patch(api: Api, path: str, body: Any) -> Answer:
    return api.call("PATCH", path, json.dumps(body).encode())


def drain() -> None:
    """What happened before the test is not its matter."""
    OutboxEvent.objects.filter(processed_at=None).update(processed_at=timezone.now())


def test_from_making_one_to_replaying_what_it_got(world: World, receiver: Receiver) -> None:
    drain()
    api = owner(world)
    made = make(world, url=receiver.url, topics=["credits.*"], description="ours")
    path = f"{PATH}/{made['id']}"
    assert (made["status"], made["waiting"], made["topics"]) == ("active", 0, ["credits.*"])
    assert made["secret"].startswith("whsec_")
    (listed,) = api.get(PATH).json["results"]
    assert listed == {name: value for name, value in made.items() if name != "secret"}

    adjusted = world.platform.post(
        f"/billing/subscriptions/{world.subscription.id}/credits/adjust", {"credits": "2.5", "reason": "goodwill"}
    )
    assert adjusted.status == 201
    assert tasks.deliver_due_webhooks() == 1
    assert tasks.deliver_due_webhooks() == 0
    (received,) = receiver.received
    told = json.loads(received.body)
    assert (told["type"], told["data"]["credits"]) == ("credits.adjusted", "2.5")
    assert told["data"]["organization_id"] == str(world.acme.id)
    assert webhooks.is_signed(received, made["secret"])

    (delivery,) = api.get(f"{path}/deliveries").json["results"]
    assert (delivery["id"], delivery["topic"], delivery["status"]) == (received.id, "credits.adjusted", "delivered")
    assert api.get(f"{path}/deliveries?status=pending").json["results"] == []
    detail = api.get(f"{path}/deliveries/{received.id}").json
    assert detail["payload"] == told
    assert [(row["number"], row["status_code"], row["error"]) for row in detail["log"]] == [(1, 204, "")]

    replayed = api.post(f"{path}/deliveries/{received.id}/replay")
    assert (replayed.status, replayed.json["status"]) == (202, "pending")
    tasks.deliver_due_webhooks()
    assert receiver.ids == [received.id] * 2
    ranged = api.post(f"{path}/replay", {"since": "2023-11-01T00:00:00Z", "until": "2024-01-01T00:00:00Z"})
    assert (ranged.status, ranged.json) == (202, {"queued": 1})

    tested = api.post(f"{path}/test")
    assert (tested.status, tested.json["topic"]) == (202, "webhook.test")
    tasks.deliver_due_webhooks()
    assert receiver.ids[2:] == [received.id, tested.json["id"]]


def test_pausing_resuming_and_skipping(world: World, receiver: Receiver) -> None:
    drain()
    api = owner(world)
    made = make(world, url=receiver.url)
    path = f"{PATH}/{made['id']}"
    first, second = (api.post(f"{path}/test").json["id"] for _ in range(2))
    paused = api.post(f"{path}/pause")
    assert (paused.json["status"], paused.json["pause_reason"], paused.json["waiting"]) == ("paused", "manual", 2)
    assert api.post(f"{path}/test").code == "webhook_endpoint_paused"
    assert tasks.deliver_due_webhooks() == 0
    assert api.post(f"{path}/deliveries/{first}/skip").json["status"] == "skipped"
    again = api.post(f"{path}/deliveries/{first}/skip")
    assert (again.status, again.code) == (409, "webhook_delivery_finished")
    assert api.post(f"{path}/resume").json["status"] == "active"
    tasks.deliver_due_webhooks()
    assert receiver.ids == [second]


def test_an_endpoint_that_fails_is_shown_as_failing(world: World, receiver: Receiver) -> None:
    drain()
    made = make(world, url=receiver.url)
    receiver.answers = [500]
    owner(world).post(f"{PATH}/{made['id']}/test")
    tasks.deliver_due_webhooks()
    shown = owner(world).get(f"{PATH}/{made['id']}").json
    assert (shown["waiting"], shown["failures"], shown["last_delivered_at"]) == (1, 1, None)
    assert shown["next_attempt_at"] > shown["last_failed_at"]


def test_rotation_gives_another_secret_once(world: World) -> None:
    made = make(world)
    rotated = owner(world).post(f"{PATH}/{made['id']}/rotate", {"grace_hours": 1})
    assert rotated.status == 200
    assert rotated.json["secret"] != made["secret"]
    assert WebhookSecret.objects.filter(endpoint_id=made["id"]).count() == 2
    for text in (made["secret"], rotated.json["secret"]):
        assert text not in owner(world).get(PATH).content.decode()


def test_only_what_is_given_changes(world: World) -> None:
    made = make(world, topics=["a.*"], description="one")
    path = f"{PATH}/{made['id']}"
    changed = patch(owner(world), path, {"description": ""})
    assert (changed.status, changed.json["description"], changed.json["topics"]) == (200, "", ["a.*"])
    changed = patch(owner(world), path, {"url": URL + "new", "topics": ["b"], "description": None})
    assert (changed.json["url"], changed.json["topics"], changed.json["description"]) == (URL + "new", ["b"], "")
    assert patch(owner(world), path, {}).json == changed.json


def test_a_deleted_one_is_gone(world: World) -> None:
    made = make(world)
    path = f"{PATH}/{made['id']}"
    assert owner(world).delete(path).status == 200
    assert owner(world).delete(path).status == 404
    assert owner(world).get(path).status == 404
    assert owner(world).get(PATH).json["results"] == []


BAD: dict[str, tuple[Any, str]] = {
    "no url": ({}, "url"),
    "url of another type": ({"url": 1}, "url"),
    "empty": ({"url": ""}, "url"),
    "plain http": ({"url": "http://hooks.example.com/"}, "url"),
    "loopback": ({"url": "https://127.0.0.1/"}, "url"),
    "loopback by name": ({"url": "https://localhost./"}, "url"),
    "odd spelling": ({"url": "https://0x7f000001/"}, "url"),
    "metadata": ({"url": "https://169.254.169.254/latest"}, "url"),
    "mapped": ({"url": "https://[::ffff:169.254.169.254]/"}, "url"),
    "user": ({"url": "https://a:b@hooks.example.com/"}, "url"),
    "port": ({"url": "https://hooks.example.com:25/"}, "url"),
    "line break": ({"url": "https://hooks.example.com/\r\nX-A: b"}, "url"),
    "unicode": ({"url": "https://hööks.example.com/"}, "url"),
    "too long": ({"url": URL + "a" * 2000}, "url"),
    "no topics": ({"url": URL, "topics": []}, "topics"),
    "null topics": ({"url": URL, "topics": None}, "topics"),
    "topic of another type": ({"url": URL, "topics": [1]}, "topics[0]"),
    "bad topic": ({"url": URL, "topics": ["a b"]}, "topics"),
    "too many topics": ({"url": URL, "topics": ["a"] * 51}, "topics"),
    "description": ({"url": URL, "description": "a\nb"}, "description"),
    "unknown field": ({"url": URL, "secret": "whsec_x"}, "secret"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_names_its_field_and_writes_nothing(world: World, name: str) -> None:
    body, field = BAD[name]
    answer = owner(world).post(PATH, body)
    assert (answer.status, answer.fields) == (422, [field])
    assert not WebhookEndpoint.objects.exists()


def test_bad_input_of_the_others(world: World) -> None:
    api = owner(world)
    path = f"{PATH}/{make(world)['id']}"
    assert patch(api, path, {"url": "https://10.0.0.1/"}).fields == ["url"]
    assert patch(api, path, {"paused": True}).fields == ["paused"]
    for hours in (-1, 169, 1.5, "1", None):
        assert api.post(f"{path}/rotate", {"grace_hours": hours}).fields == ["grace_hours"]
    for since, until in (("2026-01-01", None), ("2026-01-01T00:00:00", None), ("2026-01-01T00:00:00Z",) * 2):
        assert api.post(f"{path}/replay", {"since": since, "until": until}).status == 422
    assert api.post(f"{path}/replay", {}).fields == ["since"]
    assert api.get(f"{path}/deliveries?status=lost").fields == ["status"]
    assert api.get(f"{path}/deliveries?cursor=x").fields == ["cursor"]
    for name in ("x", "00000000-0000-0000-0000-000000000000", path.rpartition("/")[2]):
        assert api.get(f"{path}/deliveries/{name}").status == 404
        assert api.post(f"{path}/deliveries/{name}/replay").status == 404
        assert api.post(f"{path}/deliveries/{name}/skip").status == 404
        if name != path.rpartition("/")[2]:
            assert api.get(f"{PATH}/{name}").status == 404


def test_another_organizations_endpoint_looks_like_none(world: World) -> None:
    api = owner(world)
    made = make(world)
    message = api.post(f"{PATH}/{made['id']}/test").json["id"]
    foreign = f"/billing/organizations/other/webhook-endpoints/{made['id']}"
    before = list(WebhookDelivery.objects.values())
    answers = [
        api.get(foreign),
        patch(api, foreign, {"description": "x"}),
        api.delete(foreign),
        *(api.post(f"{foreign}/{act}") for act in ("rotate", "pause", "resume", "test")),
        api.post(f"{foreign}/replay", {"since": "2023-11-01T00:00:00Z"}),
        api.get(f"{foreign}/deliveries"),
        api.get(f"{foreign}/deliveries/{message}"),
        api.post(f"{foreign}/deliveries/{message}/replay"),
        api.post(f"{foreign}/deliveries/{message}/skip"),
    ]
    assert {answer.status for answer in answers} == {404}
    assert list(WebhookDelivery.objects.values()) == before
    row = WebhookEndpoint.objects.get()
    assert (row.paused_at, row.description, row.disabled_at) == (None, "", None)


def test_deliveries_come_in_pages(world: World) -> None:
    api = owner(world)
    path = f"{PATH}/{make(world)['id']}"
    sent = [api.post(f"{path}/test").json["id"] for _ in range(5)]
    seen: list[str] = []
    following = f"{path}/deliveries?limit=2"
    while following:
        page = api.get(following).json
        seen += [row["id"] for row in page["results"]]
        following = (page["next"] or "").partition("/api")[2]
    assert seen == sent[::-1]
