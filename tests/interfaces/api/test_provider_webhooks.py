"""The inbox's door: what proves that the provider sent it is stored once and answered at once, all else is refused."""

import gzip
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.core.cache import cache
from django.utils import timezone
from pytest_django import Settings

from billing.models import AuditEntry, ProviderInboxEvent
from billing.payments import inbox, stub
from tests.support import provider_inbox, stripe_payloads
from tests.support.api import Answer, Api, World

PATH = "/billing/providers/stripe/webhook"
OLD_SECRET = "whsec_before_the_rotation"


@pytest.fixture(autouse=True)
def stripe_is_the_provider(settings: Settings) -> None:
    cache.clear()
    settings.BILLING_PROVIDER = "stripe"
    settings.BILLING_STRIPE_WEBHOOK_SECRETS = [stripe_payloads.SECRET, OLD_SECRET]


@pytest.fixture
def nobody(world: World) -> Api:
    return world.nobody


def body(kind: str = "customer.created", source: Any = None, event_id: str = "evt_1") -> bytes:
    return stripe_payloads.event(kind, source or {"id": "cus_1"}, at=timezone.now(), event_id=event_id)


def send(api: Api, raw: bytes, header: str | None = None, path: str = PATH) -> Answer:
    signed = stripe_payloads.header(raw, at=timezone.now()) if header is None else header
    return api.call("POST", path, raw, headers={"Stripe-Signature": signed} if signed else {})


def test_an_event_is_stored_once_and_answered_alike(nobody: Api) -> None:
    raw = body()
    first, again = send(nobody, raw), send(nobody, raw)
    assert (first.status, first.json) == (200, {"received": True, "is_duplicate": False})
    assert (again.status, again.json) == (200, {"received": True, "is_duplicate": True})
    row = ProviderInboxEvent.objects.get()
    assert (row.event_id, row.type, bytes(row.body or b"")) == ("evt_1", "customer.created", raw)


def test_unknown_types_are_stored_and_ignored(nobody: Api) -> None:
    send(nobody, body("climate.order.created"))
    provider_inbox.run_due(timezone.now())
    assert ProviderInboxEvent.objects.values_list("status", "reason").get() == ("ignored", "Of no interest here.")


def _header(raw: bytes, *, shift: float = 0, secrets: tuple[str, ...] = (stripe_payloads.SECRET,)) -> str:
    return stripe_payloads.header(raw, at=timezone.now() + timedelta(seconds=shift), secrets=secrets)


GOOD: dict[str, Callable[[bytes], str]] = {
    "plain": _header,
    "almost stale": lambda raw: _header(raw, shift=-290),
    "clock a little ahead": lambda raw: _header(raw, shift=290),
    "several signatures": lambda raw: _header(raw, secrets=("whsec_other", stripe_payloads.SECRET)),
    "signed with the secret before": lambda raw: _header(raw, secrets=(OLD_SECRET,)),
    "other schemes too": lambda raw: f"{_header(raw)},v0={'0' * 64}",
}
BAD: dict[str, Callable[[bytes], str]] = {
    "none": lambda _: "",
    "blank": lambda _: " ",
    "stale": lambda raw: _header(raw, shift=-310),
    "from the future": lambda raw: _header(raw, shift=310),
    "of another secret": lambda raw: _header(raw, secrets=("whsec_other",)),
    "of another body": lambda raw: _header(raw + b" "),
    "no timestamp": lambda raw: _header(raw).partition(",")[2],
    "no signature": lambda raw: _header(raw).partition(",")[0],
    "only an old scheme": lambda raw: _header(raw).replace("v1=", "v0="),
    "blanks": lambda raw: _header(raw).replace(",", ", "),
    "two timestamps": lambda raw: f"t={int(timezone.now().timestamp())},{_header(raw)}",
    "two headers": lambda raw: f"{_header(raw)},{_header(raw)}",
    "timestamp no number": lambda raw: "t=now," + _header(raw).partition(",")[2],
    "timestamp negative": lambda raw: "t=-1," + _header(raw).partition(",")[2],
    "timestamp in full-width digits": lambda raw: "t=１７００," + _header(raw).partition(",")[2],
    "timestamp enormous": lambda raw: "t=" + "9" * 400 + "," + _header(raw).partition(",")[2],
    "timestamp with a fraction": lambda raw: _header(raw).replace(",", ".5,", 1),
    "signature cut": lambda raw: _header(raw)[:-1],
    "signature in capitals": lambda raw: _header(raw).upper().replace("T=", "t=").replace("V1=", "v1="),
    "signature not hexadecimal": lambda raw: _header(raw)[:-1] + "g",
    "no equals sign": lambda _: "t,v1",
    "empty items": lambda raw: f",,{_header(raw)}",
    "very long": lambda raw: _header(raw) + ",v1=" + "0" * 5000,
    "json": lambda _: '{"t": 1}',
    "latin-1": lambda raw: f"{_header(raw)},é=1",
}


@pytest.mark.parametrize("name", GOOD)
def test_signatures_that_hold(nobody: Api, name: str) -> None:
    raw = body()
    assert send(nobody, raw, GOOD[name](raw)).status == 200


@pytest.mark.parametrize("name", BAD)
def test_signatures_that_do_not(nobody: Api, name: str) -> None:
    raw = body()
    refused = send(nobody, raw, BAD[name](raw))
    assert (refused.status, refused.code) == (400, "signature_invalid")
    assert not ProviderInboxEvent.objects.exists()


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"not json",
        b"[]",
        b"null",
        b"{}",
        b'{"id": "evt_1"',
        b"\xff\xfe{}",
        '{"id": "evt_1", "type": "x", "created": 1}'.encode("utf-16"),
        gzip.compress(b'{"id": "evt_1", "type": "x", "created": 1}', mtime=0),
        b'{"id": 1, "type": "x", "created": 1}',
        b'{"id": "", "type": "x", "created": 1}',
        b'{"id": "evt_1", "created": 1}',
        b'{"id": "evt_1", "type": "x"}',
        b'{"id": "evt_1", "type": "x", "created": "2026-01-01T00:00:00Z"}',
        b'{"id": "evt_1", "type": "x", "created": true}',
        b'{"id": "evt_1", "type": "x", "created": 1e999}',
        b'{"id": "evt_1", "type": "x", "created": 99999999999999}',
        b'{"id": "evt\\u0000", "type": "x", "created": 1}',
        b'{"id": "evt_\\ud800", "type": "x", "created": 1}',
        b'{"id": "' + b"e" * 300 + b'", "type": "x", "created": 1}',
        b"[" * 100_000,
    ],
)
def test_bodies_that_are_no_event_though_they_are_signed(nobody: Api, raw: bytes) -> None:
    refused = send(nobody, raw, _header(raw))
    assert (refused.status, refused.code) == (400, "signature_invalid")
    assert not ProviderInboxEvent.objects.exists()


def test_text_that_no_column_takes_is_kept_as_it_came_and_parked(nobody: Api) -> None:
    """NUL in a name is no reason to refuse what the provider will then send for days."""
    source = stripe_payloads.payment_intent("pi_\x00", amount=100)
    assert send(nobody, body("payment_intent.succeeded", source)).status == 200
    provider_inbox.settle(timezone.now())
    row = ProviderInboxEvent.objects.get()
    assert (row.status, row.attempts) == ("parked", inbox.ATTEMPTS_MAX)
    assert row.reason == "EventUnreadable: data.object.id is not a short printable text"


def test_sizes_are_bounded(nobody: Api) -> None:
    filler = "x" * (inbox.BODY_BYTES_MAX - len(body(source={"x": ""})))
    fits = body(source={"x": filler})
    assert len(fits) == inbox.BODY_BYTES_MAX
    assert send(nobody, fits).status == 200
    assert send(nobody, body(source={"x": f"{filler}y"})).status == 413
    assert send(nobody, b"x" * 2_000_000, "t=1,v1=0").status == 413


def test_only_providers_that_are_set_up_have_a_door(nobody: Api) -> None:
    raw = body()
    for provider in ("paypal", "STRIPE", "stripe%00"):
        assert send(nobody, raw, path=f"/billing/providers/{provider}/webhook").status == 404
    # The stub's is there for sandboxes, under its own signature.
    assert send(nobody, raw, path="/billing/providers/stub/webhook").status == 400
    told = stub.event("weather.changed", {}, at=timezone.now())
    answer = nobody.call("POST", "/billing/providers/stub/webhook", told, headers=stub.sign(told, at=timezone.now()))
    assert answer.status == 200
    assert nobody.get(PATH).status == 405


def test_who_keeps_failing_is_told_to_wait_and_who_signs_never_is(nobody: Api) -> None:
    raw = body()
    answers = [send(nobody, raw, "t=1,v1=0") for _ in range(62)]
    assert {answer.status for answer in answers[:60]} == {400}
    assert {answer.status for answer in answers[60:]} == {429}
    # Until the first of them is a minute old, to the slot of a second that it was counted in.
    assert 50 <= int(answers[-1].headers["Retry-After"]) <= 61
    assert send(nobody, raw).status == 200


def test_operators_see_what_is_parked_and_replay_it(world: World) -> None:
    raw = body(
        "customer.subscription.updated",
        stripe_payloads.subscription(plan="of_nobody", metadata={"organization": "acme"}),
    )
    send(world.nobody, raw)
    for number in range(3):
        send(world.nobody, body(event_id=f"evt_{number + 10}"))
    provider_inbox.settle(timezone.now())
    parked = world.platform.get("/billing/provider-events?status=parked").json["results"]
    assert [(each["event_id"], each["attempts"]) for each in parked] == [("evt_1", inbox.ATTEMPTS_MAX)]
    assert "of_nobody" in parked[0]["reason"]
    shown = world.platform.get("/billing/provider-events/evt_1")
    assert shown.json["payload"] == json.loads(raw)

    page = world.platform.get("/billing/provider-events?limit=2&status=ignored").json
    following = world.platform.get(page["next"].partition("/api")[2]).json
    listed = [each["event_id"] for each in (*page["results"], *following["results"])]
    assert (listed, following["next"]) == (["evt_12", "evt_11", "evt_10"], None)

    replay = f"/billing/provider-events/{parked[0]['id']}/replay"
    assert world.platform.post(replay, {}).fields == ["reason"]
    replayed = world.platform.post(replay, {"reason": "the plan is there now"})
    assert (replayed.status, replayed.json["status"], replayed.json["attempts"]) == (202, "waiting", 0)
    assert AuditEntry.objects.get(act="provider_event.replay").reason == "the plan is there now"
    assert world.platform.get("/billing/provider-events/evt_none").status == 404
    for api in (world.own, world.with_scopes("invoices", "subscriptions", platform=True)):
        assert api.get("/billing/provider-events").status == 403
        assert api.post(replay, {"reason": "x"}).status == 403


def test_links_to_the_providers_pages(world: World) -> None:
    """Sandboxes have the stub's, whatever the setting."""
    answer = world.own.post("/billing/organizations/acme/portal", {"return_url": "/dashboard/acme/"})
    assert answer.status == 200
    assert answer.json["url"].startswith("http://testserver/payments/portal/")
    assert world.own.post("/billing/organizations/acme/portal", {"return_url": "javascript:alert(1)"}).status in (
        200,
        422,
    )
    assert world.theirs.post("/billing/organizations/acme/portal", {}).status == 404
    assert world.with_scopes("read").post("/billing/organizations/acme/portal", {}).status == 403
    nothing = world.own.post(f"/billing/subscriptions/{world.subscription.id}/checkout", {})
    assert (nothing.status, nothing.code) == (409, "nothing_to_confirm")
