"""Links to a provider's pages: where a customer manages means of payment, confirms a sign-up, and pays an order."""

from __future__ import annotations

from datetime import datetime
from urllib.parse import urlsplit

from billing.accounts import actors
from billing.accounts.actors import Act, Actor
from billing.invoicing import settlement
from billing.kernel.errors import Conflict, Invalid
from billing.models import Invoice, Organization, Status, Subscription
from billing.payments import calls, customers

RETURN_URL_LENGTH_MAX = 500


class ReturnUrlInvalid(Invalid):
    """Not an address of the web."""

    code = "return_url_invalid"


class NothingToConfirm(Conflict):
    """The subscription is confirmed already, or has ended."""

    code = "nothing_to_confirm"


class NothingToPay(Conflict):
    """The order was paid or withdrawn."""

    code = "nothing_to_pay"


def portal(*, organization: Organization, return_url: str, actor: Actor, now: datetime) -> str:
    """Where the organization manages its means of payment; short-lived. Not inside a transaction.

    ``now`` is real time. Raises ``ReturnUrlInvalid``, ``ProviderUnavailable``, ``ProviderRefused``.
    """
    actors.require(actor, Act.SUBSCRIBE, organization)
    checked = _checked(return_url)
    reference = customers.ensure(organization, now=now)
    return calls.portal_url(organization=organization, customer_reference=reference, return_url=checked)


def checkout(*, subscription: Subscription, return_url: str, actor: Actor, now: datetime) -> str:
    """Where payment is vouched for: of a sign-up, a trial that nobody pays for yet, or a plan free of charge before a
    change to one that is not. As ``portal``, and ``NothingToConfirm``."""
    actors.require(actor, Act.SUBSCRIBE, subscription.organization)
    checked = _checked(return_url)
    waits = subscription.status == Status.INCOMPLETE or (
        subscription.status in (Status.TRIALING, Status.ACTIVE) and subscription.confirmed_at is None
    )
    if not waits:
        raise NothingToConfirm(f"A subscription that is {subscription.status} has nothing to confirm.")
    reference = customers.ensure(subscription.organization, now=now)
    return calls.checkout_url(subscription=subscription, customer_reference=reference, return_url=checked)


def payment(*, invoice: Invoice, return_url: str, actor: Actor, now: datetime) -> str:
    """Where an order is paid. As ``portal``, and ``NothingToPay``."""
    actors.require(actor, Act.SUBSCRIBE, invoice.organization)
    checked = _checked(return_url)
    if not settlement.is_open_order(invoice):
        raise NothingToPay("This order was paid or withdrawn.")
    reference = customers.ensure(invoice.organization, now=now)
    return calls.payment_url(invoice=invoice, customer_reference=reference, return_url=checked)


def no_address() -> ReturnUrlInvalid:
    return ReturnUrlInvalid("An http or https address.", field="return_url")


def _checked(return_url: str) -> str:
    """An address of the web, and nothing that a browser would run."""
    if len(return_url) > RETURN_URL_LENGTH_MAX or not return_url.isprintable() or "\\" in return_url:
        raise no_address()
    try:
        parts = urlsplit(return_url)
        is_web = parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        is_web = False
    if not is_web:
        raise no_address()
    return return_url
