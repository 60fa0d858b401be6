"""The one place from which a provider is called: never inside a transaction.

A provider takes up to seconds and may fail after it did what it was asked. So the intent is committed with its key,
then comes the call, then the outcome is committed; a sweep finds intents without one.

A sandbox organization lives wholly in our own database: its charges are simulated by the stub's rules, with no network
and nothing outside of the transaction, so that ``clock/advance`` stays one transaction.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from django.db import connection

from billing.kernel.errors import InvariantViolation
from billing.models import Invoice, Organization, Subscription
from billing.payments import registry
from billing.payments.protocol import ChargeRequest, ChargeResult, Provider, ReportedUsage


def create_customer(organization: Organization) -> str:
    return _provider(is_sandbox=organization.is_sandbox).create_customer(organization=organization)


def charge(request: ChargeRequest) -> ChargeResult:
    """Raises ``ProviderUnavailable`` (ask again under the same key) and ``ProviderRefused``."""
    return _provider(is_sandbox=request.sandbox).charge(request)


def portal_url(*, organization: Organization, customer_reference: str, return_url: str) -> str:
    chosen = _provider(is_sandbox=organization.is_sandbox)
    return chosen.portal_url(organization=organization, customer_reference=customer_reference, return_url=return_url)


def checkout_url(*, subscription: Subscription, customer_reference: str, return_url: str) -> str:
    chosen = _provider(is_sandbox=subscription.organization.is_sandbox)
    return chosen.checkout_url(subscription=subscription, customer_reference=customer_reference, return_url=return_url)


def payment_url(*, invoice: Invoice, customer_reference: str, return_url: str) -> str:
    chosen = _provider(is_sandbox=invoice.organization.is_sandbox)
    return chosen.payment_url(invoice=invoice, customer_reference=customer_reference, return_url=return_url)


def reported_usage(
    *, organization: Organization, customer_reference: str, starts_at: datetime, ends_at: datetime
) -> Sequence[ReportedUsage]:
    chosen = _provider(is_sandbox=organization.is_sandbox)
    return chosen.reported_usage(
        organization=organization, customer_reference=customer_reference, starts_at=starts_at, ends_at=ends_at
    )


def _provider(*, is_sandbox: bool) -> Provider:
    if is_sandbox:
        return registry.get(registry.STUB)
    if connection.in_atomic_block:
        raise InvariantViolation("a provider is called inside a transaction")
    return registry.provider()
