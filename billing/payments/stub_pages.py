"""What the stub's own pages show and do: the portal, and the checkout of a sign-up. Reached by links that expire."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db.transaction import atomic

from billing.catalog import queries as catalog_queries
from billing.kernel.money import format_minor
from billing.models import LIVE, Organization, ProviderCustomer, Status, StubCharge, Subscription
from billing.payments import inbox, registry, stub
from billing.payments.stub import METHODS, LinkExpired, MethodUnknown, TestMethod


@dataclass(frozen=True, slots=True)
class ChargeRow:
    id: str
    at: datetime
    amount: str
    method: str
    status: str
    code: str


@dataclass(frozen=True, slots=True)
class PortalPage:
    organization: str
    methods: Sequence[TestMethod]
    chosen: str
    charges: Sequence[ChargeRow]
    return_url: str


@dataclass(frozen=True, slots=True)
class CheckoutPage:
    """``state`` is ``open``, ``confirmed`` (the books are told) or ``over`` (it lapsed or was left). ``price`` is ""
    for a plan free of charge, whose customer puts a means of payment on file for another one."""

    organization: str
    plan: str
    price: str
    period: str
    methods: Sequence[TestMethod]
    state: str
    return_url: str


def portal_page(token: str) -> PortalPage:
    """Raises ``LinkExpired``."""
    organization, return_url = _organization(token)
    customer = ProviderCustomer.objects.filter(organization=organization, provider=registry.STUB).first()
    return PortalPage(
        organization=organization.name,
        methods=tuple(METHODS.values()),
        chosen=customer.payment_method if customer else "",
        charges=tuple(_row(charge) for charge in stub.list_charges(organization.id)),
        return_url=return_url,
    )


def choose(token: str, method: str, *, now: datetime) -> None:
    """Have charges go to ``method`` from now on. Raises ``LinkExpired``, ``MethodUnknown``."""
    stub.choose(_organization(token)[0], method, now=now)


def decide(token: str, charge_id: UUID, *, is_paid: bool, now: datetime) -> UUID | None:
    """Answer a charge that is pending, and tell of it as a provider does; the new event's row, None if it was decided.

    Raises ``LinkExpired``.
    """
    organization, _ = _organization(token)
    status, code = ("succeeded", "") if is_paid else ("failed", "debit_returned")
    with atomic():
        decided = StubCharge.objects.filter(id=charge_id, organization=organization, status="pending").update(
            status=status, code=code
        )
        if not decided:
            return None
        return tell_charge(StubCharge.objects.get(id=charge_id), now=now)


def checkout_page(token: str) -> CheckoutPage:
    """Raises ``LinkExpired``."""
    subscription, return_url = _subscription(token)
    plan = subscription.plan
    fee = catalog_queries.base_fee_minor(plan, subscription.currency)
    return CheckoutPage(
        organization=subscription.organization.name,
        plan=plan.name,
        price=f"{format_minor(fee, subscription.currency)} {subscription.currency}" if fee else "",
        period=str(plan.billing_period),
        methods=tuple(METHODS.values()),
        state=_state(subscription),
        return_url=return_url,
    )


def confirm(token: str, method: str, *, now: datetime) -> UUID | None:
    """Go through with a sign-up: put ``method`` on file and tell of it. The event's row, None if it was told before.

    A card that would be declined confirms nothing: raises ``MethodDeclined``; else ``LinkExpired``, ``MethodUnknown``.
    """
    subscription, _ = _subscription(token)
    accepted(method)
    stub.choose(subscription.organization, method, now=now)
    told = {
        "subscription_id": str(subscription.id),
        "customer": stub.reference_of(subscription.organization_id),
    }
    return _tell("signup.confirmed", told, event_id=f"evt_signup_{subscription.id.hex}", now=now)


def accepted(method: str) -> TestMethod:
    """Raises ``MethodUnknown`` and ``MethodDeclined``."""
    chosen = METHODS.get(method)
    if chosen is None:
        raise MethodUnknown("Choose one of the test means of payment.", field="payment_method")
    if chosen.status not in ("succeeded", "pending"):
        raise MethodDeclined(f"{chosen.label}: declined. Choose another one.", field="payment_method")
    return chosen


def tell_charge(charge: StubCharge, *, now: datetime) -> UUID | None:
    """Tell how a charge ended. The event's row, None if it was told before."""
    told = {
        "payment": str(charge.id),
        "invoice_id": str(charge.invoice_id),
        "customer": stub.reference_of(charge.organization_id),
        "amount": charge.amount_minor,
        "currency": charge.currency,
        "code": charge.code,
    }
    return _tell(f"payment.{charge.status}", told, event_id=f"evt_{charge.id.hex}", now=now)


class MethodDeclined(MethodUnknown):
    """The test means of payment was declined."""

    code = "payment_method_declined"


def _state(subscription: Subscription) -> str:
    if subscription.status not in LIVE:
        return "over"
    is_open = subscription.status == Status.INCOMPLETE or subscription.confirmed_at is None
    return "open" if is_open else "confirmed"


def _tell(kind: str, data: Mapping[str, object], *, event_id: str, now: datetime) -> UUID | None:
    """Through the door that every provider's deliveries come by."""
    body = stub.event(kind, data, at=now, event_id=event_id)
    return inbox.receive(provider=registry.STUB, body=body, headers=stub.sign(body, at=now), now=now)


def _organization(token: str) -> tuple[Organization, str]:
    organization_id, return_url = stub.read_link(token, salt=stub.PORTAL_SALT)
    organization = Organization.objects.filter(id=organization_id).first()
    if organization is None:
        raise LinkExpired("This link leads nowhere any more.")
    return organization, return_url


def _subscription(token: str) -> tuple[Subscription, str]:
    subscription_id, return_url = stub.read_link(token, salt=stub.CHECKOUT_SALT)
    found = Subscription.objects.select_related("organization", "plan").filter(id=subscription_id).first()
    if found is None:
        raise LinkExpired("This link leads nowhere any more.")
    return found, return_url


def _row(charge: StubCharge) -> ChargeRow:
    method = METHODS.get(charge.payment_method)
    return ChargeRow(
        id=str(charge.id),
        at=charge.created_at,
        amount=f"{format_minor(charge.amount_minor, charge.currency)} {charge.currency}",
        method=method.label if method else "No means of payment",
        status=charge.status,
        code=charge.code.replace("_", " "),
    )
