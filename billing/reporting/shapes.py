"""What the documents of ``representations`` hold: the API's OpenAPI document is made from these.

Money, rates, quantities and credits are decimal strings, times RFC 3339 in UTC with ``Z``.
"""

from __future__ import annotations

from typing import Any, TypedDict


class SpanDocument(TypedDict):
    starts_at: str
    ends_at: str


class PlanPriceDocument(TypedDict):
    currency: str
    base_fee: str
    credit_price: str | None
    minimum: str | None


class TierDocument(TypedDict):
    """``up_to`` null: open-ended. ``flat`` falls due once the tier is reached."""

    up_to: str | None
    rate: str
    flat: str


class OveragePriceDocument(TypedDict):
    """``model``: per_unit, graduated, volume, package or percentage (a rate per 100). A tiered one has no rate."""

    currency: str
    model: str
    rate: str | None
    per: str
    tiers: list[TierDocument]


class EntitlementDocument(TypedDict):
    key: str
    kind: str
    meters: list[str]
    enabled: bool
    limit: str | None
    cadence: str
    on_limit: str
    credits_per_unit: str
    guardrails: dict[str, str]
    overage_prices: list[OveragePriceDocument]


class SlaDocument(TypedDict):
    tier: str
    version: str
    terms: str


class PlanDocument(TypedDict):
    code: str
    version: int
    product: str
    name: str
    description: str
    tagline: str
    billing_period: str
    base_fee_timing: str
    prices: list[PlanPriceDocument]
    trial_days: int
    trial_credits: str
    credit_allowance: str
    allowance_every: str
    entitlements: list[EntitlementDocument]
    features: list[dict[str, Any]]
    sla: SlaDocument
    bundle: dict[str, Any]


class PlanReference(TypedDict):
    code: str
    version: int
    name: str


class PeriodDocument(TypedDict):
    id: str
    ordinal: int
    kind: str
    starts_at: str
    ends_at: str
    closed_at: str | None


class ParkedDocument(TypedDict):
    at: str
    reason: str


class DiscountDocument(TypedDict):
    """A coupon redeemed: per cent or an amount off all that each period from the one to the other comes to before tax;
    ``until_period`` null is for ever. Periods are named by their ordinal."""

    code: str
    name: str
    percent: str | None
    amount: str | None
    currency: str | None
    from_period: int
    until_period: int | None
    redeemed_at: str
    removed_at: str | None


class CouponDocument(TypedDict):
    """``periods`` and ``redemptions_max`` null: no end."""

    code: str
    name: str
    percent: str | None
    amount: str | None
    currency: str | None
    periods: int | None
    redeem_until: str | None
    redemptions: int
    redemptions_max: int | None
    is_active: bool
    created_at: str


# The keys are those of the stored acceptance; "from" is a word of the language, hence this form.
SlaAcceptanceDocument = TypedDict(
    "SlaAcceptanceDocument",
    {
        "plan": str,
        "plan_version": int,
        "sla_tier": str,
        "sla_version": str,
        "accepted_by": str,
        "accepted_at": str,
        "from": str,
    },
)


class SubscriptionDocument(TypedDict):
    id: str
    organization: str
    product: str
    plan: PlanReference
    status: str
    currency: str
    starts_at: str
    trial: SpanDocument | None
    current_period: PeriodDocument | None
    # What happens at the end of the current period, and renewals that wait for an operator.
    pending_plan: PlanReference | None
    cancel_at_period_end: bool
    paused_at: str | None
    past_due_at: str | None
    held_at: str | None
    parked: ParkedDocument | None
    ended_at: str | None
    # The one in force, or the one that begins with the first regular period.
    discount: DiscountDocument | None
    sla_acceptance: SlaAcceptanceDocument | None
    credit_balance: str
    version: int


class GrantDocument(TypedDict):
    id: str
    kind: str
    priority: int
    starts_at: str
    expires_at: str | None
    granted: str
    consumed: str
    expired: str
    voided: str
    remaining: str
    voided_at: str | None
    reason: str


class CreditsDocument(TypedDict):
    subscription: str
    balance: str
    spendable: str
    grants: list[GrantDocument]


class EntryDocument(TypedDict):
    id: str
    sequence: int
    kind: str
    amount: str
    balance_after: str
    grant: str
    event: str | None
    actor: str
    reason: str
    booked_at: str


class UsageEventDocument(TypedDict):
    id: str
    subscription: str
    overage: str
    credits_due: str
    credits_paid: str
    credit_deficit: str
    occurred_at: str
    recorded_at: str


class ReversalDocument(TypedDict):
    """What a reversal took back. ``credits_lapsed`` is the part of ``credits_returned`` that expired or voided grants
    could not keep; ``left`` is what can still be taken back of the event."""

    id: str
    event: str
    subscription: str
    meter: str
    quantity: str
    overage: str
    credits_returned: str
    credits_lapsed: str
    credit_deficit: str
    left: str
    key: str
    occurred_at: str
    recorded_at: str


class UsageOutcomeDocument(TypedDict):
    status: str
    code: str
    message: str
    notes: list[str]
    meter: str
    quantity: str
    source: str
    key: str
    event: UsageEventDocument | None


class CounterDocument(TypedDict):
    meter: str
    total: str
    month: str
    month_starts_at: str


class UsageDayDocument(TypedDict):
    meter: str
    day: str
    quantity: str
    overage: str
    events: int


class QuotaDocument(TypedDict):
    """What ``BillingQuotaOutcome.as_dict`` gives. ``limit`` and ``remaining`` null mean unlimited."""

    allowed: bool
    notes: list[str]
    code: str
    message: str
    entitlement: str
    meter: str
    quantity: str
    limit: str | None
    used: str
    reserved: str
    remaining: str | None
    cadence: str
    window: SpanDocument | None
    resets_at: str | None
    remedies: list[dict[str, str]]
    recorded: bool
    duplicate: bool
    event_id: str | None


class ReceiptDocument(TypedDict):
    """Credits kept of one grant."""

    grant: str
    credits: str


class ReservationDocument(TypedDict):
    """What ``representations.reservation`` gives. ``status``: open, settled, released or expired."""

    id: str
    organization: str
    subscription: str
    event: str
    status: str
    quantity: str
    quantity_max: str
    credits: list[ReceiptDocument]
    reserved_at: str
    expires_at: str
    settled_quantity: str | None
    usage_event: str | None


class HappeningDocument(TypedDict):
    at: str
    topic: str
    subscription: str
    details: dict[str, Any]


class OrganizationDocument(TypedDict):
    id: str
    slug: str
    external_id: str | None
    name: str
    residency_region: str
    zone: str
    currency: str
    billing_email: str
    is_sandbox: bool
    clock_at: str | None


class KeyDocument(TypedDict):
    id: str
    organization: str | None
    name: str
    prefix: str
    scopes: list[str]
    created_at: str
    expires_at: str | None
    revoked_at: str | None


class NewKeyDocument(KeyDocument):
    key: str


class InvoicePlanDocument(TypedDict):
    code: str
    version: int


class InvoiceLineDocument(TypedDict):
    position: int
    charge: str
    description: str
    meter: str | None
    plan: InvoicePlanDocument
    # Null for credits that were bought.
    period: SpanDocument | None
    quantity: str
    rate: str
    per: str
    amount: str
    tax_rate: str
    tax_included: bool
    tax: str
    details: dict[str, Any]


class InvoiceTaxDocument(TypedDict):
    """The tax of one rate (per cent), with the net amount that it is on."""

    treatment: str
    label: str
    rate: str
    net: str
    tax: str


class InvoiceDocument(TypedDict):
    """What ``invoicing.documents.as_dict`` gives. ``id`` is null for a preview.

    ``paid`` is net of refunds, ``from_balance`` its part that the customer's balance paid; ``due`` is what is left to
    pay, nothing before issue or once it is void.
    """

    id: str | None
    number: str | None
    status: str
    kind: str
    organization: str
    subscription: str
    currency: str
    # Null for a purchase of credits.
    period: SpanDocument | None
    lines: list[InvoiceLineDocument]
    subtotal: str
    taxes: list[InvoiceTaxDocument]
    tax: str
    total: str
    paid: str
    credited: str
    due: str
    from_balance: str
    credit_notes: list[str]
    drafted_at: str | None
    # Of drafts only: when it issues itself, or why it waits for a human.
    issue_due_at: str | None
    held_at: str | None
    parked: ParkedDocument | None
    issued_at: str | None
    due_on: str | None
    issuer: dict[str, Any]
    customer: dict[str, Any]


class DifferenceDocument(TypedDict):
    """What a line (0: the invoice as a whole) says, and what the raw events come to."""

    line: int
    field: str
    stored: str
    rated: str


class VerificationDocument(TypedDict):
    """What ``invoicing.verifying.as_dict`` gives. ``voided_since``: earlier invoices that it was rated against."""

    invoice: str
    number: str
    agrees: bool
    events: int
    lines: int
    total: str
    rated_total: str
    currency: str
    differences: list[DifferenceDocument]
    voided_since: list[str]


class PaymentDocument(TypedDict):
    """Money received for an invoice (``payment``) or given back (``refund``); ``amount`` is positive either way."""

    id: str
    invoice: str
    kind: str
    amount: str
    currency: str
    provider: str
    method: str
    reference: str
    reason: str
    received_at: str
    booked_at: str


class NamedInvoiceDocument(TypedDict):
    id: str
    number: str | None


class CreditNoteLineDocument(TypedDict):
    position: int
    invoice_position: int
    description: str
    amount: str
    tax_rate: str
    tax_included: bool
    tax: str


class CreditNoteDocument(TypedDict):
    """What ``invoicing.documents.credit_note_as_dict`` gives; amounts are what is taken back of the invoice."""

    id: str
    number: str
    organization: str
    invoice: NamedInvoiceDocument
    currency: str
    lines: list[CreditNoteLineDocument]
    subtotal: str
    tax: str
    total: str
    reason: str
    issued_at: str
    issuer: dict[str, Any]
    customer: dict[str, Any]


class BalanceEntryDocument(TypedDict):
    """A movement of the customer's money balance: positive is owed to the customer."""

    sequence: int
    kind: str
    amount: str
    balance_after: str
    currency: str
    invoice: NamedInvoiceDocument | None
    reference: str | None
    reason: str
    booked_at: str


class TaxDocument(TypedDict):
    """``rate`` is per cent."""

    treatment: str
    rate: str
    label: str
    note: str


class ProfileDocument(TypedDict):
    """What ``accounts.profiles.as_dict`` gives."""

    legal_name: str
    address: list[str]
    country: str
    vat_number: str
    purchase_order: str
    tax: TaxDocument
    payment_terms_days: int | None
    collection: str


class LimitDocument(TypedDict):
    """A guard as it stood before the decision. ``limit`` null: unlimited; ``window`` null: for life, or a yes or no."""

    entitlement: str
    enabled: bool
    limit: str | None
    used: str
    reserved: str
    cadence: str
    window: SpanDocument | None


class DecidedPlan(TypedDict):
    code: str
    version: int


class RequirementDocument(TypedDict):
    """What was asked, the answer, what it was judged by, and what would have made it pass."""

    event: str
    entitlement: str
    quantity: str
    allowed: bool
    code: str
    note: str
    message: str
    subscription: str | None
    plan: DecidedPlan | None
    limits: list[LimitDocument]
    usage_event: str | None
    duplicate: bool
    remedies: list[dict[str, str]]


class DecisionDocument(TypedDict):
    """``organization`` is null where nothing could be read at all. ``records``: the use was counted, if allowed."""

    id: str
    organization: str | None
    allowed: bool
    notes: list[str]
    evaluation_required: bool
    governance_required: bool
    records: bool
    requirements: list[RequirementDocument]
    decided_at: str


class TenantStateDocument(TypedDict):
    """``limits`` by entitlement: true or false, a decimal string, or null for no limit."""

    tenant_id: str
    plan_code: str | None
    plan_version: int | None
    subscription_status: str
    renewal_date: str | None
    limits: dict[str, bool | str | None]


class EventCounterDocument(TypedDict):
    total: str
    months: dict[str, str]


class TenantUsageDocument(TypedDict):
    """``usage_counters`` by event: the total, and calendar months of the organization's zone (``2026-01``)."""

    tenant_id: str
    usage_counters: dict[str, EventCounterDocument]
