"""An organization whose invoices are collected: by the stub's test means of payment, or by hand."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from billing.accounts import actors
from billing.invoicing import operations as invoicing_operations
from billing.invoicing import queries as invoicing_queries
from billing.lifecycle import clock, onboard
from billing.lifecycle.happenings import Happening
from billing.models import BillingProfile, ChargeAttempt, Collection, Invoice, Mail, Organization, Subscription
from billing.payments import stub
from tests.support import factories
from tests.support.factories import at

OPERATOR = actors.operator("ada")
# Subscribed then, and the first month's invoice is issued a day after its end.
START, ISSUED = at("2026-01-01"), at("2026-02-02")


def collected(*, method: str = "automatic", means: str = "", is_sandbox: bool = True, **fields: Any) -> Organization:
    """``means`` is a test means of payment of the stub, "" for none on file."""
    given: dict[str, Any] = {"billing_email": "money@acme.example", "name": "Acme", **fields}
    made = factories.sandbox(clock_at=START, **given) if is_sandbox else factories.organization(**given)
    BillingProfile.objects.create(organization=made, collection=method, updated_at=START)
    if means:
        stub.choose(made, means, now=START)
    return made


def subscribed(organization: Organization, plan: str = "team") -> Subscription:
    return onboard.subscribe(organization=organization, plan_code=plan, actor=OPERATOR, now=START)


def advance(organization: Organization, to: datetime) -> list[Happening]:
    organization.refresh_from_db()
    return clock.advance(organization=organization, to=to, actor=OPERATOR)


def first_invoice(organization: Organization) -> Invoice:
    first = Invoice.objects.filter(organization=organization).exclude(status="draft").order_by("issued_at").first()
    assert first is not None
    return invoicing_queries.get_invoice(str(first.id))


def collection_of(invoice: Invoice) -> Collection:
    return Collection.objects.filter(invoice=invoice).order_by("-started_at", "-id")[0]


def attempts_of(invoice: Invoice) -> list[tuple[int | None, str, str]]:
    return list(
        ChargeAttempt.objects.filter(invoice=invoice).order_by("started_at", "id").values_list("step", "status", "code")
    )


def mails_of(organization: Organization) -> list[tuple[str, datetime]]:
    written = Mail.objects.filter(organization=organization).order_by("created_at", "id")
    return list(written.values_list("kind", "created_at"))


def topics(happenings: Sequence[Happening]) -> list[str]:
    return [each.topic for each in happenings]


def pay(invoice: Invoice, *, now: datetime, amount_minor: int | None = None, reference: str = "by hand") -> None:
    current = invoicing_queries.get_invoice(str(invoice.id))
    due = current.total_minor - sum(each.amount_minor for each in current.payments.all())
    invoicing_operations.pay(
        invoice=current,
        amount_minor=due if amount_minor is None else amount_minor,
        reference=f"{reference} {invoice.id}",
        actor=OPERATOR,
        now=now,
    )
