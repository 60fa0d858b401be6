"""Messages: written once, sent once, tried again, parked; and what is in them."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from django.core import mail as django_mail
from django.core.mail import EmailMultiAlternatives
from django.core.mail.backends.base import BaseEmailBackend
from django.db import connection, transaction
from django.test import override_settings
from pytest_django.fixtures import Settings

from billing.accounts.actors import Actor
from billing.invoicing import operations as invoicing_operations
from billing.kernel.errors import Forbidden
from billing.lifecycle.collecting import operations as collecting_operations
from billing.mail import operations, queries, rendering, sending
from billing.mail.errors import MailNotFound, MailWaits, NoRecipient
from billing.mail.kinds import SUBJECTS, Kind
from billing.models import AuditEntry, Invoice, Mail, Organization
from tests.support import factories
from tests.support.collecting import OPERATOR, pay
from tests.support.factories import at
from tests.support.invoicing import customer, team_plan

pytestmark = pytest.mark.django_db
NOW = at("2026-04-01")
DAY = timedelta(days=1)


class BrokenBackend(BaseEmailBackend):
    """A mail server that refuses everything."""

    def send_messages(self, email_messages: Any) -> int:
        raise ConnectionRefusedError("no mail today for money@acme.example")


BROKEN = f"{__name__}.BrokenBackend"


def issued(**fields: Any) -> Invoice:
    """Issued on 1 April 2026 to an organization with a billing address."""
    given = {"billing_email": "money@acme.example", "name": "Acme", **fields}
    acme = customer(team_plan(), organization=factories.organization(**given))
    draft = invoicing_operations.draft(subscription=acme.subscription, actor=OPERATOR, now=NOW)
    return invoicing_operations.issue(invoice=draft, actor=OPERATOR, now=NOW)


def clock(now: datetime = NOW) -> Callable[[], datetime]:
    return lambda: now


def send_due(now: datetime = NOW) -> list[bool]:
    return [sending.send(mail_id=each, clock=clock(now)) for each in queries.list_due(now=now, limit=100)]


def only() -> Mail:
    return Mail.objects.get()


def test_an_issued_invoice_is_sent_with_its_document() -> None:
    invoice = issued()
    assert send_due() == [True]
    (sent,) = django_mail.outbox
    assert isinstance(sent, EmailMultiAlternatives)
    assert (sent.to, sent.subject) == (["money@acme.example"], f"Invoice {invoice.number} from Countinghouse")
    assert "Please pay it by 15 Apr 2026" in str(sent.body)
    assert "49.00 USD" in str(sent.body)
    ((name, content, kind),) = [tuple(each) for each in sent.attachments]
    assert (name, kind, bytes(content)[:5]) == (f"{invoice.number}.pdf", "application/pdf", b"%PDF-")
    ((html, html_kind),) = [tuple(each) for each in sent.alternatives]
    assert html_kind == "text/html"
    assert str(invoice.number) in str(html)
    mail = only()
    assert (mail.status, mail.sent_at, mail.attempts) == ("sent", NOW, 1)
    assert sent.message()["Message-ID"] == f"<{mail.id}@localhost>"
    assert sent.message()["Auto-Submitted"] == "auto-generated"
    assert send_due(NOW + DAY) == []


def test_issuing_twice_writes_once() -> None:
    invoice = issued()
    invoicing_operations.issue(invoice=invoice, actor=OPERATOR, now=NOW)
    assert Mail.objects.count() == 1


def test_a_message_is_written_in_its_causes_transaction_or_not_at_all() -> None:
    acme = factories.organization(billing_email="money@acme.example")
    with transaction.atomic():
        operations.write(organization=acme, kind=Kind.RECOVERED, about="x", facts={}, invoice=None, now=NOW)
        transaction.set_rollback(True)
    assert Mail.objects.count() == 0


@pytest.mark.parametrize(
    ("fields", "configured", "reason"),
    [
        ({"billing_email": ""}, True, "no_recipient"),
        ({"is_sandbox": True, "clock_at": NOW}, True, "sandbox"),
        ({}, False, "no_mail_server"),
    ],
)
def test_what_nobody_is_sent_is_kept_with_the_reason(
    fields: dict[str, Any], configured: bool, reason: str, settings: Settings
) -> None:
    settings.BILLING_MAIL_ENABLED = configured
    issued(**fields)
    assert (only().status, only().reason) == ("skipped", reason)
    assert (send_due(), django_mail.outbox) == ([], [])


@override_settings(BILLING_MAIL_SANDBOX=True)
def test_a_sandbox_is_written_to_where_the_installation_says_so() -> None:
    # Its clock may be years ahead: what it is sent waits for no clock.
    issued(is_sandbox=True, clock_at=NOW + 900 * DAY)
    assert send_due(NOW) == [True]


def test_a_server_that_refuses_is_tried_again_and_then_no_more(settings: Settings) -> None:
    issued()
    settings.EMAIL_BACKEND = BROKEN
    now, waits = NOW, []
    for _ in range(7):
        assert send_due(now) == [False]
        following = only().next_attempt_at
        assert following is not None
        waits.append(following - now)
        assert send_due(following - timedelta(seconds=1)) == []
        now = following
    assert [int(wait.total_seconds() // 60) for wait in waits] == [1, 5, 30, 120, 360, 720, 720]
    assert send_due(now) == [False]
    parked = only()
    assert (parked.status, parked.attempts, parked.next_attempt_at) == ("parked", 8, None)
    assert parked.reason.startswith("ConnectionRefusedError")
    assert "acme.example" not in parked.reason
    assert send_due(now + 30 * DAY) == []


def test_a_parked_message_is_sent_again_on_demand_to_the_address_of_now(settings: Settings) -> None:
    invoice = issued()
    Mail.objects.update(status="parked", reason="x", attempts=8)
    Organization.objects.filter(id=invoice.organization_id).update(billing_email="new@acme.example")
    again = operations.resend(mail=queries.get_mail(str(only().id), actor=OPERATOR), actor=OPERATOR, now=NOW)
    assert (again.status, again.to, again.attempts) == ("pending", "new@acme.example", 0)
    with pytest.raises(MailWaits):
        operations.resend(mail=again, actor=OPERATOR, now=NOW)
    assert send_due() == [True]
    assert django_mail.outbox[0].to == ["new@acme.example"]
    assert AuditEntry.objects.filter(act="mail.resend").count() == 1


def test_who_may_not_know_of_a_message_or_resend_it() -> None:
    issued()
    stranger = Actor(name="key:other", organization_id=UUID(int=1), scopes=frozenset({"read"}))
    with pytest.raises(MailNotFound):
        queries.get_mail(str(only().id), actor=stranger)
    own = Actor(name="key:own", organization_id=only().organization_id, scopes=frozenset({"read"}))
    with pytest.raises(Forbidden):
        operations.resend(mail=queries.get_mail(str(only().id), actor=own), actor=own, now=NOW)


def test_without_an_address_nothing_is_sent_again() -> None:
    issued(billing_email="")
    with pytest.raises(NoRecipient):
        operations.resend(mail=queries.get_mail(str(only().id), actor=OPERATOR), actor=OPERATOR, now=NOW)


def test_a_worker_that_died_leaves_a_message_that_is_sent_once_its_claim_has_run_out() -> None:
    issued()
    Mail.objects.update(attempts=1, next_attempt_at=NOW + sending.CLAIM)
    assert send_due(NOW + sending.CLAIM - timedelta(seconds=1)) == []
    assert send_due(NOW + sending.CLAIM) == [True]


def test_who_has_paid_meanwhile_is_not_asked_for_money() -> None:
    invoice = issued()
    for days in (15, 16):
        collecting_operations.run(organization_id=invoice.organization_id, now=NOW + days * DAY)
    assert list(Mail.objects.order_by("created_at").values_list("kind", flat=True)) == [
        "invoice_issued", "invoice_overdue", "reminder",
    ]  # fmt: skip
    pay(invoice, now=NOW + 16 * DAY)
    send_due(NOW + 16 * DAY)
    assert [each.subject for each in django_mail.outbox] == [f"Invoice {invoice.number} from Countinghouse"]
    assert set(Mail.objects.exclude(kind="invoice_issued").values_list("status", "reason")) == {("skipped", "settled")}


NASTY = "Ev\r\nBcc: all@example.com\n<script>alert(1)</script> {issuer.__class__} {{ x }}"


@pytest.mark.parametrize("kind", list(Kind))
def test_every_kind_can_be_rendered_and_nothing_a_customer_wrote_is_run(kind: Kind) -> None:
    facts = {
        "customer": NASTY, "number": NASTY, "plan": NASTY, "why": NASTY, "currency": "USD", "total": "1.00",
        "due": "1.00", "due_on": "1 Apr 2026", "step": 1, "steps": 4, "next_on": "2 Apr 2026",
        "grace_on": "15 Apr 2026", "is_automatic": True, "is_settled": False,
    }  # fmt: skip
    acme = factories.organization()
    mail = Mail(organization=acme, kind=kind.value, about="x", to="money@acme.example", facts=facts, created_at=NOW)
    made = rendering.message(mail)
    headers = made.message()
    assert headers["Bcc"] is None
    assert "\n" not in made.subject
    assert made.recipients() == ["money@acme.example"]
    html = str(made.alternatives[0][0])
    assert "<script>" not in html
    assert "&lt;script&gt;" in html
    assert "&lt;" not in str(made.body)
    assert "{issuer.__class__}" in str(made.body)
    assert kind in SUBJECTS


def test_a_recipient_that_is_two_is_refused_by_the_header(settings: Settings) -> None:
    invoice = issued()
    Mail.objects.update(to="a@acme.example\nBcc: b@example.com")
    assert send_due() == [False]
    assert (django_mail.outbox, only().status) == ([], "pending")
    assert invoice.status == "issued"


def test_a_message_cannot_be_deleted() -> None:
    issued()
    with pytest.raises(Exception, match="append-only"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("DELETE FROM billing_mails")
