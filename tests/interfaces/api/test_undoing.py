"""Reversing use, voiding grants and exporting, over HTTP."""

import json
from typing import Any
from uuid import UUID, uuid4

import pytest

from billing.models import CreditGrant, UsageEvent
from tests.support.api import World, balance

MISTAKE = {"reason": "a mistake"}


@pytest.fixture
def event(world: World) -> str:
    used = world.platform.post(
        "/billing/usage", {"organization": "acme", "meter": "tokens", "quantity": "1500", "idempotency_key": "use"}
    )
    assert used.status == 201, used
    return str(used.json["event"]["id"])


def test_a_use_is_reversed_in_parts(world: World, event: str) -> None:
    before = balance(world.subscription)
    part = world.platform.post(f"/billing/usage/{event}/reverse", {**MISTAKE, "quantity": "600"})
    assert part.status == 201, part
    told = {name: part.json[name] for name in ("event", "quantity", "overage", "credits_returned", "left")}
    assert told == {"event": event, "quantity": "600", "overage": "500", "credits_returned": "1", "left": "900"}
    assert balance(world.subscription) == before + 1
    rest = world.platform.post(f"/billing/usage/{event}/reverse", MISTAKE)
    assert (rest.json["quantity"], rest.json["left"]) == ("900", "0")
    more = world.platform.post(f"/billing/usage/{event}/reverse", MISTAKE)
    assert (more.status, more.code) == (409, "reversal_exceeds_event")
    again = world.platform.post(f"/billing/usage/{rest.json['id']}/reverse", MISTAKE)
    assert (again.status, again.code) == (409, "reversal_of_reversal")


@pytest.mark.parametrize("how", ["header", "body"])
def test_the_same_key_is_carried_out_once(world: World, event: str, how: str) -> None:
    body: dict[str, Any] = {**MISTAKE, "quantity": "1"}
    headers = {"idempotency_key": "k"} if how == "header" else {}
    if how == "body":
        body["idempotency_key"] = "k"
    first, second = (world.platform.post(f"/billing/usage/{event}/reverse", body, **headers) for _ in range(2))
    assert (first.status, second.status) == (201, 201 if how == "header" else 200)
    assert first.json == second.json
    assert UsageEvent.objects.filter(reverses_id=UUID(event)).count() == 1
    other = world.platform.post(f"/billing/usage/{event}/reverse", {**body, "quantity": "2"}, **headers)
    assert (other.status, other.code) == (409, "idempotency_conflict")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "reason"),
        ({"reason": "  "}, "reason"),
        ({**MISTAKE, "quantity": "0"}, "quantity"),
        ({**MISTAKE, "quantity": "-1"}, "quantity"),
        ({**MISTAKE, "quantity": "0.0000001"}, "quantity"),
        ({**MISTAKE, "idempotency_key": ""}, "idempotency_key"),
        ({**MISTAKE, "units": 1}, "units"),
    ],
)
def test_what_makes_no_reversal_names_its_field(world: World, event: str, body: Any, field: str) -> None:
    refused = world.platform.post(f"/billing/usage/{event}/reverse", body)
    assert (refused.status, refused.fields) == (422, [field])
    assert not UsageEvent.objects.filter(reverses_id=UUID(event)).exists()


def test_no_customer_erases_its_use(world: World, event: str) -> None:
    path = f"/billing/usage/{event}/reverse"
    assert world.with_scopes("usage", "read").post(path, MISTAKE).status == 403
    assert world.with_scopes("usage", "read", platform=True).post(path, MISTAKE).status == 403
    assert world.with_scopes("credits", platform=True).post(path, MISTAKE).status == 201
    for unknown in (str(uuid4()), "one", "%00"):
        assert world.platform.post(f"/billing/usage/{unknown}/reverse", MISTAKE).status == 404


def test_a_grant_is_voided_once(world: World) -> None:
    path = f"/billing/subscriptions/{world.subscription.id}/credits/grants/{{}}/void"
    grant = CreditGrant.objects.get(account_id=world.subscription.id)
    for unknown in (uuid4(), "one", CreditGrant.objects.exclude(id=grant.id).values_list("id", flat=True).first()):
        assert world.platform.post(path.format(unknown), MISTAKE).status == 404
    assert world.with_scopes("usage", "read").post(path.format(grant.id), MISTAKE).status == 403
    voided = world.platform.post(path.format(grant.id), MISTAKE)
    assert (voided.status, voided.json["remaining"], voided.json["voided"]) == (200, "0", "10"), voided
    assert voided.json["voided_at"] is not None
    assert world.platform.post(path.format(grant.id), MISTAKE).json == voided.json
    assert balance(world.subscription) == 0


def test_exports_are_streamed(world: World, event: str) -> None:
    response = world.platform.client.get(
        "/api/billing/organizations/acme/exports/ledger?format=jsonl",
        headers={"Authorization": f"Bearer {world.platform.key}"},
    )
    assert response.streaming
    assert response["Content-Type"] == "application/jsonl; charset=utf-8"
    assert response["Content-Disposition"] == 'attachment; filename="acme-ledger.jsonl"'
    rows = [json.loads(line) for line in b"".join(response).splitlines()]
    assert [row["kind"] for row in rows] == ["grant", "debit"]
    assert rows[1]["event"] == event


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("acme/exports/windows", 200),
        ("acme/exports/events?format=csv&from=2023-11-01T00:00:00Z&to=2023-12-01T00:00:00Z", 200),
        ("acme/exports/invoices", 404),
        ("nobody/exports/ledger", 404),
        ("acme/exports/ledger?format=xml", 422),
        ("acme/exports/ledger?from=yesterday", 422),
        ("acme/exports/ledger?since=2023-11-01T00:00:00Z", 422),
    ],
)
def test_what_can_be_exported(world: World, path: str, status: int) -> None:
    key = world.with_scopes("read").key
    response = world.platform.client.get(
        f"/api/billing/organizations/{path}", headers={"Authorization": f"Bearer {key}"}
    )
    assert response.status_code == status


def test_others_are_not_exported(world: World) -> None:
    key = world.with_scopes("read").key
    response = world.platform.client.get(
        "/api/billing/organizations/other/exports/ledger", headers={"Authorization": f"Bearer {key}"}
    )
    assert response.status_code == 404
