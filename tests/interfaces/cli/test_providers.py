"""Payment providers from the shell."""

from django.utils import timezone

from billing.accounts import actors
from billing.lifecycle import onboard
from billing.models import AuditEntry, UsageEvent
from billing.payments import inbox, stub
from tests.support import catalogs, cli, factories, provider_inbox

WINDOW = ("--from", "2026-05-09", "--to", "2026-05-10")


def test_events_are_listed_shown_and_replayed(real_db: str) -> None:
    assert cli.run("providers", "events", "list").out == "No events.\n"
    acme = factories.organization(slug="acme")
    told = {"payment": "pay_1", "amount": 4900, "currency": "USD", "customer": stub.reference_of(acme.id)}
    now = timezone.now()
    body = stub.event("payment.succeeded", told, at=now, event_id="evt_1")
    inbox.receive(provider="stub", body=body, headers=stub.sign(body, at=now), now=now)
    provider_inbox.settle(now)
    (parked,) = cli.shown("providers", "events", "list", "--status", "parked")["results"]
    assert parked["reason"].startswith("It names no organization that is known")
    assert cli.run("providers", "test-method", "acme", "card_ok").code == 0
    assert cli.run("providers", "events", "replay", "evt_1").code == 2
    replayed = cli.shown("providers", "events", "replay", "evt_1", "--reason", "the customer is known now")
    assert (replayed["status"], replayed["organization_id"]) == ("applied", str(acme.id))
    assert provider_inbox.standing(acme)["balances"] == {"USD": 4900}
    assert cli.shown("providers", "events", "show", parked["id"])["payload"]["data"] == told
    assert "Kept on the customer's balance." in cli.run("providers", "events", "show", "evt_1").out
    assert cli.run("providers", "events", "show", "evt_2").code == 3
    assert AuditEntry.objects.get(act="provider_event.replay").actor.startswith("cli:")


def test_use_is_reconciled(real_db: str) -> None:
    catalogs.sync()
    now = factories.at("2026-05-10 12:00:00")
    acme = factories.sandbox(slug="acme", clock_at=now)
    start = factories.at("2026-05-01")
    onboard.subscribe(organization=acme, plan_code="team", actor=actors.operator("ada"), now=now, starts_at=start)
    assert cli.run("providers", "test-reading", "acme", "case_created", "3", *WINDOW).code == 0
    (booked,) = cli.shown("providers", "reconcile", "acme", *WINDOW)["results"]
    assert (booked["ours"], booked["reported"], booked["outcome"]) == ("0", "3", "booked")
    assert cli.shown("providers", "reconcile", "acme", *WINDOW)["results"][0]["outcome"] == "equal"
    assert UsageEvent.objects.get().quantity == 3
