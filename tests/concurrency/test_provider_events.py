"""Providers' events with real transactions: twins, workers that meet, one that dies, books that are busy."""

import os
import random
import signal
import subprocess
import sys
import textwrap
import threading
from datetime import timedelta
from pathlib import Path

import pytest
from django.db import transaction
from pytest_django import Settings

from billing.accounts import actors
from billing.infra import locks
from billing.invoicing import operations as invoicing_operations
from billing.kernel.errors import InvariantViolation
from billing.lifecycle import provider_events
from billing.models import Invoice, Organization, Payment, ProviderInboxEvent
from billing.payments import calls, inbox
from billing.payments.protocol import ChargeRequest
from billing.reporting import doctor
from tests.support import catalogs, factories, invoicing, provider_inbox, stripe_payloads
from tests.support.factories import at
from tests.support.threads import at_once

NOW = at("2026-05-10 12:00:00")
FINANCE = actors.operator("ada")
DICE = random.Random(2026)  # noqa: S311 - a test's dice


@pytest.fixture(autouse=True)
def stripe_is_the_provider(settings: Settings) -> None:
    settings.BILLING_PROVIDER = "stripe"
    settings.BILLING_STRIPE_WEBHOOK_SECRETS = [stripe_payloads.SECRET]


@pytest.fixture
def invoice(real_db: str) -> Invoice:
    acme = invoicing.customer(invoicing.team_plan())
    draft = invoicing_operations.draft(subscription=acme.subscription, actor=FINANCE, now=at("2026-04-02"))
    return invoicing_operations.issue(invoice=draft, actor=FINANCE, now=at("2026-04-02"))


def told(number: int, kind: str, source: dict[str, object]) -> bytes:
    return stripe_payloads.event(kind, source, at=NOW + timedelta(seconds=number), event_id=f"evt_{number}")


def paid(invoice: Invoice, number: int = 1, amount: int = 4900) -> bytes:
    intent = stripe_payloads.payment_intent(f"pi_{number}", amount=amount, metadata={"invoice": str(invoice.id)})
    return told(number, "payment_intent.succeeded", intent)


def test_twins_are_stored_once_and_applied_once(invoice: Invoice) -> None:
    body = paid(invoice)
    at_once([lambda: provider_inbox.receive(body, now=NOW)] * 8)
    row = ProviderInboxEvent.objects.get()
    statuses = at_once([lambda: provider_events.process(event_id=row.id, now=NOW)] * 8)
    assert [str(each) for each in statuses if each is not None] == ["applied"]
    assert Payment.objects.count() == 1
    assert Invoice.objects.get().status == "paid"


def test_random_interleavings_end_the_same(real_db: str) -> None:
    """Four workers take the same events in orders of their own, while deliveries still arrive."""
    catalogs.sync()
    organizations = [factories.organization(slug=f"org-of-{number}") for number in range(6)]
    bodies = [body for organization in organizations for body in _history(organization)]

    def worker() -> None:
        mine = DICE.sample(bodies, len(bodies))
        for place, body in enumerate(mine):
            provider_inbox.receive(body, now=NOW)
            if place % 3 == 0:
                for event_id in DICE.sample(due := list(inbox.list_due(now=NOW, limit=1000)), len(due)):
                    provider_events.process(event_id=event_id, now=NOW)

    at_once([worker] * 4)
    provider_inbox.run_due(NOW)
    provider_inbox.settle(NOW)
    assert ProviderInboxEvent.objects.count() == len(bodies)
    for organization in organizations:
        stands = provider_inbox.standing(organization)
        assert (stands["live"], stands["balances"], stands["inbox"]) == ([], {"USD": 3900}, [])
        assert doctor.verify(organization=organization) == []


def _history(organization: Organization) -> list[bytes]:
    named, name = {"organization": organization.slug}, organization.slug
    sub, cus, pay = f"sub_{name}", f"cus_{name}", f"pi_{name}"

    def event(number: int, kind: str, source: dict[str, object]) -> bytes:
        when = NOW - timedelta(hours=1, seconds=-number)
        return stripe_payloads.event(kind, source, at=when, event_id=f"evt_{name}_{number}")

    def subscription(status: str, plan: str) -> dict[str, object]:
        return stripe_payloads.subscription(sub, status=status, plan=plan, metadata=named, customer=cus)

    return [
        event(0, "customer.subscription.created", subscription("incomplete", "team")),
        event(1, "customer.subscription.updated", subscription("active", "team")),
        # Neither names the organization but by its customer, or its payment.
        event(2, "payment_intent.succeeded", stripe_payloads.payment_intent(pay, amount=4900, customer=cus)),
        event(3, "refund.created", stripe_payloads.refund(f"re_{name}", amount=1000, payment=pay)),
        event(4, "customer.subscription.updated", subscription("active", "scale")),
        event(5, "customer.subscription.deleted", subscription("canceled", "scale")),
    ]


def test_a_worker_that_dies_in_the_middle_loses_and_doubles_nothing(
    invoice: Invoice, real_db: str, tmp_path: Path
) -> None:
    provider_inbox.receive(paid(invoice), now=NOW)
    row = ProviderInboxEvent.objects.get()
    for moment in ("receive", "finish"):
        _die_while_processing(row, real_db, moment)
        row.refresh_from_db()
        assert (row.status, Payment.objects.count()) == ("waiting", 0)
    provider_inbox.run_due(NOW)
    row.refresh_from_db()
    assert (row.status, Payment.objects.count()) == ("applied", 1)


def _die_while_processing(row: ProviderInboxEvent, real_db: str, moment: str) -> None:
    """In a process of its own, killed before the payment is booked, or after it and before the commit."""
    script = f"""
        import os, signal, django
        django.setup()
        from django.conf import settings
        settings.BILLING_PROVIDER = "stripe"
        from datetime import datetime, UTC
        from uuid import UUID
        from billing.invoicing.operations import paying
        from billing.lifecycle import provider_events
        from billing.payments import inbox
        def die(*_, **__):
            os.kill(os.getpid(), signal.SIGKILL)
        if {moment!r} == "finish":
            inbox.finish = die
        else:
            paying.pay = die
            import billing.invoicing.operations as operations
            operations.pay = die
        provider_events.process(event_id=UUID({str(row.id)!r}), now=datetime(2026, 5, 10, 12, tzinfo=UTC))
    """
    environment = os.environ | {"DATABASE_URL": real_db, "DJANGO_SETTINGS_MODULE": "billing_project.settings.test"}
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], env=environment, timeout=60, check=False, capture_output=True
    )
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()


def test_busy_books_cost_an_event_no_try(invoice: Invoice) -> None:
    provider_inbox.receive(paid(invoice), now=NOW)
    row = ProviderInboxEvent.objects.get()
    held, free = threading.Event(), threading.Event()

    def hold() -> None:
        with transaction.atomic():
            locks.lock_organization(invoice.organization_id)
            held.set()
            free.wait(20)

    def process() -> object:
        held.wait(10)
        try:
            return provider_events.process(event_id=row.id, now=NOW)
        finally:
            free.set()

    assert at_once([hold, process])[1] is None
    row.refresh_from_db()
    assert (row.status, row.attempts) == ("waiting", 0)
    provider_inbox.run_due(NOW)
    assert Payment.objects.count() == 1


def test_no_provider_is_called_inside_a_transaction(invoice: Invoice) -> None:
    request = ChargeRequest(
        organization_id=invoice.organization_id,
        invoice_id=invoice.id,
        invoice_number="INV-1",
        amount_minor=100,
        currency="USD",
        idempotency_key="k",
        customer_reference="",
        sandbox=False,
    )
    assert calls.charge(request).code == "no_payment_method"
    with transaction.atomic(), pytest.raises(InvariantViolation, match="inside a transaction"):
        calls.charge(request)
