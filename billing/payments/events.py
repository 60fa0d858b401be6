"""What providers report, in our words. Pure.

An event is about one object of the provider (``subject``, for example ``subscription:sub_123``) and says what was true
of it at ``at``, by the provider's clock, in whole seconds. Deliveries come in any order and more than once, so no event
may be read as "next": who applies them looks at all that is known of the subject.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderEvent:
    """``customer_reference`` is the provider's name for the organization, "" where it names none. Of two events of one
    second the one of the higher ``rank`` is the later."""

    subject: str
    at: datetime
    customer_reference: str = ""
    rank: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscriptionConfirmed(ProviderEvent):
    """The customer went through with a sign-up of ours: a means of payment is on file, or money has come."""

    subscription_id: UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscriptionChanged(ProviderEvent):
    """A subscription as the provider has it. ``status`` is one of ours; "" changes none, and so does no plan.

    ``organization`` names the organization by id, slug or external id; ``subscription_id`` is ours, where it was told.
    """

    reference: str
    organization: str = ""
    subscription_id: UUID | None = None
    plan_code: str = ""
    status: str = ""
    currency: str = ""
    cancel_at_period_end: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscriptionDeleted(ProviderEvent):
    """The provider ended a subscription. Nothing that it reports of it afterwards brings it back."""

    reference: str
    organization: str = ""
    subscription_id: UUID | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentSucceeded(ProviderEvent):
    """Money has come. ``reference`` is the provider's name for the payment; ``invoice_id`` is ours, where it was told.

    ``organization`` and ``subscription_id`` say whose it is where no invoice is named.
    """

    reference: str
    amount_minor: int
    currency: str
    invoice_id: UUID | None = None
    organization: str = ""
    subscription_id: UUID | None = None
    method: str = "card"


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentFailed(ProviderEvent):
    """An attempt to collect an invoice failed. ``code`` says why: ``card_declined``, ``insufficient_funds``, …"""

    reference: str
    invoice_id: UUID | None = None
    organization: str = ""
    code: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RefundReported(ProviderEvent):
    """Money went back: ``amount_minor`` of the payment ``payment_reference``; what a dispute takes is one too.

    ``is_undone``: it failed or the dispute was won, so the money is here again, and that is the end of it.
    """

    reference: str
    payment_reference: str
    amount_minor: int
    currency: str
    reason: str = ""
    is_undone: bool = False
