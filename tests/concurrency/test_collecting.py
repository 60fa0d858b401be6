"""Charging, dunning and mailing by several workers at once, and by workers that are killed."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from django.core import mail as django_mail
from django.db import transaction
from django.utils import timezone
from pytest_django.fixtures import Settings

from billing.accounts import actors
from billing.invoicing import operations as invoicing_operations
from billing.kernel.errors import Conflict, InvariantViolation
from billing.lifecycle.collecting import operations, queries
from billing.lifecycle.collecting.errors import ChargeUnderWay
from billing.mail import queries as mail_queries
from billing.mail import sending
from billing.models import (
    BillingProfile,
    ChargeAttempt,
    Collection,
    Invoice,
    Mail,
    OutboxEvent,
    Payment,
    Subscription,
)
from billing.reporting.doctor import verify
from tests.concurrency.test_exact_quota import in_threads
from tests.support import factories, providers
from tests.support.factories import at
from tests.support.invoicing import customer, team_plan
from tests.support.providers import DECLINES, DIES, SILENT, Folder

OPERATOR = actors.operator("ada")
APRIL = at("2026-04-01")
DAY = timedelta(days=1)

RUN = """
import os, sys, uuid, datetime, django
django.setup()
from django.conf import settings
from tests.support import providers
providers.install()
settings.BILLING_PROVIDER = providers.CODE
from billing.lifecycle.collecting import operations
operations.run(organization_id=uuid.UUID(sys.argv[1]), now=datetime.datetime.fromisoformat(sys.argv[2]))
"""


@pytest.fixture
def folder(tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Folder]:
    with providers.chosen(tmp_path, settings, monkeypatch) as made:
        yield made


@pytest.fixture
def invoice(real_db: str, folder: Folder) -> Invoice:
    """Issued on 1 April, to be charged then."""
    acme = customer(team_plan(), organization=factories.organization(billing_email="money@acme.example"))
    BillingProfile.objects.create(organization=acme.organization, collection="automatic", updated_at=APRIL)
    draft = invoicing_operations.draft(subscription=acme.subscription, actor=OPERATOR, now=APRIL)
    return invoicing_operations.issue(invoice=draft, actor=OPERATOR, now=APRIL)


def sweep(invoice: Invoice, now: datetime = APRIL) -> None:
    operations.run(organization_id=invoice.organization_id, now=now)


def pay(invoice: Invoice, now: datetime) -> None:
    invoicing_operations.pay(
        invoice=invoice,
        amount_minor=4900,
        reference="bank",
        actor=OPERATOR,
        now=now,
    )


def test_sweeps_at_once_charge_once(invoice: Invoice, folder: Folder) -> None:
    in_threads(8, lambda _: sweep(invoice))
    assert folder.taken() == [4900]
    assert (ChargeAttempt.objects.count(), Payment.objects.count()) == (1, 1)
    assert Invoice.objects.get().status == "paid"
    assert verify() == []


def test_sweeps_at_once_take_a_step_once(invoice: Invoice, folder: Folder) -> None:
    folder.say(DECLINES)
    in_threads(8, lambda _: sweep(invoice))
    in_threads(8, lambda _: sweep(invoice, APRIL + DAY))
    assert list(ChargeAttempt.objects.order_by("step").values_list("step", "status")) == [(0, "failed"), (1, "failed")]
    assert sorted(Mail.objects.values_list("kind", flat=True)) == ["invoice_issued", "payment_failed", "reminder"]
    assert OutboxEvent.objects.filter(topic="dunning.opened").count() == 1
    assert OutboxEvent.objects.filter(topic="dunning.step").count() == 1


def test_a_sweep_that_comes_three_days_late_charges_once_and_does_not_catch_up(
    invoice: Invoice, folder: Folder
) -> None:
    folder.say(DECLINES)
    sweep(invoice)
    for _ in range(2):
        sweep(invoice, APRIL + 4 * DAY)
    assert list(ChargeAttempt.objects.order_by("step").values_list("step", flat=True)) == [0, 2]
    assert Collection.objects.get().next_at == APRIL + 5 * DAY


def test_a_worker_killed_between_charge_and_booking_leaves_one_charge_and_one_payment(
    invoice: Invoice, folder: Folder, real_db: str
) -> None:
    folder.say(DIES)
    killed = subprocess.run(
        [sys.executable, "-c", RUN, str(invoice.organization_id), APRIL.isoformat()],
        env=os.environ
        | {"DATABASE_URL": real_db, "DJANGO_SETTINGS_MODULE": "billing_project.settings.test", "PYTHONPATH": "."},
        check=False,
        timeout=120,
    )
    assert killed.returncode == -signal.SIGKILL
    assert (folder.taken(), Payment.objects.count()) == ([4900], 0)
    assert ChargeAttempt.objects.get().status == "started"

    sweep(invoice, APRIL + timedelta(minutes=5) - timedelta(seconds=1))
    assert Payment.objects.count() == 0
    sweep(invoice, APRIL + timedelta(minutes=5))
    assert (folder.taken(), Payment.objects.get().amount_minor) == ([4900], 4900)
    assert ChargeAttempt.objects.get().status == "succeeded"
    assert verify() == []


def test_an_answer_that_is_lost_is_asked_for_again_under_the_same_key(invoice: Invoice, folder: Folder) -> None:
    folder.say(SILENT)
    sweep(invoice)
    assert (folder.taken(), Payment.objects.count()) == ([4900], 0)
    folder.say(SILENT, on=False)
    in_threads(4, lambda _: sweep(invoice, APRIL + timedelta(minutes=5)))
    assert (folder.taken(), Payment.objects.count()) == ([4900], 1)


def test_a_report_that_comes_before_the_answer_books_the_same_payment(invoice: Invoice, folder: Folder) -> None:
    folder.say(SILENT)
    sweep(invoice)
    attempt = ChargeAttempt.objects.get()
    operations.payment_succeeded(
        invoice=invoice,
        provider=providers.CODE,
        reference=f"ch-{attempt.key}",
        amount_minor=4900,
        actor=OPERATOR,
        now=APRIL,
    )
    folder.say(SILENT, on=False)
    sweep(invoice, APRIL + timedelta(minutes=5))
    attempt.refresh_from_db()
    assert (attempt.status, Payment.objects.count(), folder.taken()) == ("succeeded", 1, [4900])
    assert verify() == []


def test_an_invoice_is_not_voided_under_a_charge(invoice: Invoice, folder: Folder) -> None:
    folder.say(SILENT)
    sweep(invoice)
    with pytest.raises(ChargeUnderWay):
        invoicing_operations.void(invoice=invoice, actor=OPERATOR, reason="wrong", now=APRIL)
    assert Invoice.objects.get().status == "issued"


def test_retries_by_hand_at_once_charge_once(invoice: Invoice, folder: Folder) -> None:
    folder.say(DECLINES)
    sweep(invoice)
    folder.say(DECLINES, on=False)
    collection = Collection.objects.get()

    def act(_: int) -> str:
        try:
            operations.retry(collection=collection, actor=OPERATOR, now=APRIL)
        except Conflict as refusal:
            return refusal.code
        return "charged"

    met = in_threads(6, act)
    assert met.count("charged") == 1
    assert folder.taken() == [4900]
    assert set(met) <= {"charged", "charge_under_way", "dunning_closed"}


@pytest.mark.parametrize("round_", range(4))
def test_a_payment_racing_the_end_of_grace_leaves_it_in_service(invoice: Invoice, folder: Folder, round_: int) -> None:
    folder.say(DECLINES)
    sweep(invoice)
    now = APRIL + 14 * DAY
    in_threads(4, lambda number: (pay if number == round_ else sweep)(invoice, now))
    assert Subscription.objects.get().status == "active"
    assert queries.next_due(invoice.organization_id) is None
    assert verify() == []


def test_no_provider_is_called_inside_a_transaction(invoice: Invoice, folder: Folder) -> None:
    with pytest.raises(InvariantViolation), transaction.atomic():
        sweep(invoice)
    assert folder.taken() == []


def test_two_workers_send_a_message_once(invoice: Invoice) -> None:
    (mail_id,) = mail_queries.list_due(now=timezone.now(), limit=10)
    sent = in_threads(6, lambda _: sending.send(mail_id=mail_id, clock=timezone.now))
    assert sorted(sent) == [False] * 5 + [True]
    assert [each.to for each in django_mail.outbox] == [["money@acme.example"]]
