"""Webhook endpoints from the shell."""

from django.utils import timezone

from billing.models import AuditEntry, WebhookSecret
from billing.notifications import dispatch, keeping
from tests.support import cli, factories, receivers, webhooks

URL = "https://hooks.example.com/"


def test_make_show_rotate_pause_and_delete(real_db: str) -> None:
    organization = factories.organization(slug="acme")
    assert cli.run("webhooks", "list", "acme").out == "No webhook endpoints.\n"
    made = cli.shown("webhooks", "create", "acme", "--url", URL, "--topic", "invoice.*", "--topic", "quota.exhausted")
    assert made["secret"].startswith("whsec_")
    assert (made["organization"], made["topics"]) == (str(organization.id), ["invoice.*", "quota.exhausted"])
    assert cli.shown("webhooks", "list", "acme")["results"][0]["id"] == made["id"]
    rotated = cli.shown("webhooks", "rotate", made["id"], "--grace", "1h")
    kept = {keeping.reveal(each.text) for each in WebhookSecret.objects.all()}
    assert kept == {made["secret"], rotated["secret"]}
    assert cli.shown("webhooks", "pause", made["id"])["status"] == "paused"
    for command in (("list", "acme"), ("show", made["id"])):
        shown = cli.run("webhooks", *command).out
        assert "paused (manual)" in shown
        assert made["secret"] not in shown
        assert rotated["secret"] not in shown
    assert cli.run("webhooks", "test", made["id"]).code == 4
    assert cli.shown("webhooks", "resume", made["id"])["status"] == "active"
    assert cli.run("webhooks", "delete", made["id"]).code == 0
    assert cli.run("webhooks", "show", made["id"]).code == 3
    assert AuditEntry.objects.filter(object_id=made["id"], actor__startswith="cli:").count() == 5


def test_the_log_skipping_and_replaying(real_db: str) -> None:
    clock = webhooks.Clock()
    with receivers.receiver() as receiver:
        receiver.answers, receiver.body = [500], b"try \x1b[31mlater"
        endpoint, _ = webhooks.endpoint()
        type(endpoint).objects.filter(id=endpoint.id).update(url=receiver.url)
        first, second = webhooks.emit(endpoint.organization, "a", "b")
        webhooks.deliver(endpoint, clock)
        told = cli.shown("webhooks", "delivery", endpoint.id, first)
        assert [(row["status_code"], row["error"]) for row in told["log"]] == [(500, "status")]
        text = cli.run("webhooks", "delivery", endpoint.id, first).out
        assert "try ?[31mlater" in text
        assert cli.shown("webhooks", "skip", endpoint.id, first)["status"] == "skipped"
        webhooks.deliver(endpoint, clock)
        assert cli.shown("webhooks", "replay", endpoint.id, first)["status"] == "pending"
        assert cli.shown("webhooks", "replay", endpoint.id, "--since", "2026-03-01", "--until", "2026-03-02") == {
            "queued": 1
        }
        clock.now = timezone.now()
        webhooks.deliver(endpoint, clock)
        assert receiver.ids == [first, second, first, second]
    listed = cli.shown("webhooks", "deliveries", endpoint.id)["results"]
    assert [(row["id"], row["attempts"]) for row in listed] == [(second, 2), (first, 2)]
    assert first in cli.run("webhooks", "deliveries", endpoint.id).out
    tested = cli.shown("webhooks", "test", endpoint.id)["id"]
    assert cli.shown("webhooks", "deliveries", endpoint.id, "--status", "pending")["results"][0]["id"] == tested
    assert dispatch.distribute(now=clock.now) == 0


def test_bad_input(real_db: str) -> None:
    factories.organization(slug="acme")
    refused = cli.run("webhooks", "create", "acme", "--url", "http://127.0.0.1/", "--json")
    assert (refused.code, refused.problem["errors"][0]["field"]) == (2, "url")
    made = cli.shown("webhooks", "create", "acme", "--url", URL)["id"]
    assert cli.run("webhooks", "show", "nonsense").code == 3
    assert cli.run("webhooks", "rotate", made, "--grace", "8d").code == 2
    assert cli.run("webhooks", "rotate", made, "--grace", "soon").code == 2
    assert cli.run("webhooks", "replay", made).code == 2
    assert cli.run("webhooks", "replay", made, made, "--since", "2026-01-01").code == 2
    assert cli.run("webhooks", "replay", made, made).code == 3
    assert cli.run("webhooks", "replay", made, "--since", "2026-01-02", "--until", "2026-01-01").code == 2
