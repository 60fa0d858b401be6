"""What a payment provider is to us: a protocol, so that one is chosen by a setting and tests use one that works."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal, Protocol
from uuid import UUID

from billing.kernel.errors import NotFound, ProviderError
from billing.models import Invoice, Organization, Subscription
from billing.payments.events import ProviderEvent

# Why a charge failed. Whatever else a provider says is passed on as it is.
NO_PAYMENT_METHOD = "no_payment_method"
CARD_DECLINED = "card_declined"
INSUFFICIENT_FUNDS = "insufficient_funds"


class ProviderUnavailable(ProviderError):
    """The provider cannot be reached, took too long, or answered with an error of its own: try again later.

    A charge that ends so may or may not have happened: it is asked again under the same key.
    """

    code = "provider_unavailable"


class ProviderRefused(ProviderError):
    """The provider understood and said no: a wrong key, an unknown customer, a request that it does not take."""

    code = "provider_refused"


class ProviderUnknown(NotFound):
    """No provider of this code is set up."""

    code = "provider_not_found"


class SignatureInvalid(Exception):
    """A delivery that does not prove that the provider sent it, just now. The sentence is safe to show."""


@dataclass(frozen=True, slots=True)
class ChargeRequest:
    """``idempotency_key`` names the charge: asked again under it, nothing is charged twice.

    ``customer_reference`` is the provider's name for the organization, "" where it has none yet.
    """

    organization_id: UUID
    invoice_id: UUID
    invoice_number: str
    amount_minor: int
    currency: str
    idempotency_key: str
    customer_reference: str
    sandbox: bool


@dataclass(frozen=True, slots=True)
class ChargeResult:
    """``reference`` is the provider's name for the payment; ``pending`` is told by a webhook later. ``code`` says why
    it failed."""

    status: Literal["succeeded", "failed", "pending"]
    reference: str
    code: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True)
class VerifiedEvent:
    """A delivery whose signature is right. ``id`` is the provider's, ``created_at`` by its clock, in whole seconds."""

    provider: str
    id: str
    type: str
    created_at: datetime
    payload: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ReportedUsage:
    """What the provider counted of one meter in ``[starts_at, ends_at)``."""

    meter: str
    quantity: Decimal
    starts_at: datetime
    ends_at: datetime


class Provider(Protocol):
    """Every method that may use the network is called through ``payments.calls``, which refuses inside a
    transaction."""

    code: str

    def create_customer(self, *, organization: Organization) -> str:
        """The provider's reference for ``organization``, the same when asked again. Raises as ``charge`` does."""
        ...

    def charge(self, request: ChargeRequest) -> ChargeResult:
        """Collect money now. Idempotent by ``request.idempotency_key``. Raises ``ProviderUnavailable`` and
        ``ProviderRefused``."""
        ...

    def portal_url(self, *, organization: Organization, customer_reference: str, return_url: str) -> str:
        """Where the customer manages means of payment. Raises as ``charge`` does."""
        ...

    def checkout_url(self, *, subscription: Subscription, customer_reference: str, return_url: str) -> str:
        """Where the customer confirms an incomplete sign-up. Raises as ``charge`` does."""
        ...

    def payment_url(self, *, invoice: Invoice, customer_reference: str, return_url: str) -> str:
        """Where the customer pays an order in full; the payment is told with the invoice's id. Raises as ``charge``
        does."""
        ...

    def verify(self, *, body: bytes, headers: Mapping[str, str], now: datetime) -> VerifiedEvent:
        """The event of a delivery. Raises ``SignatureInvalid``; uses no network."""
        ...

    def read(self, body: bytes) -> VerifiedEvent:
        """As ``verify``, of a delivery that was verified when it was stored."""
        ...

    def interpret(self, event: VerifiedEvent) -> Sequence[ProviderEvent]:
        """What an event means; nothing for a type that is unknown or of no interest. Pure.

        Raises ``EventUnreadable`` for one of a known type that lacks what the type must have.
        """
        ...

    def reported_usage(
        self, *, organization: Organization, customer_reference: str, starts_at: datetime, ends_at: datetime
    ) -> Sequence[ReportedUsage]:
        """What it metered in ``[starts_at, ends_at)``, by meter. Raises as ``charge`` does."""
        ...


class EventUnreadable(ValueError):
    """An event of a known type whose payload is not of the shape that the type has."""
