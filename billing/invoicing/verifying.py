"""An issued invoice, rated once more: its use summed from the raw events, not from what invoicing kept of them, and its
tax by the profile that was frozen with it. Line by line it must say the same, to the cent.

Fees in advance were billed before their time was lived, so they are priced again for the stretches that the invoice
names; what became of those stretches is on later invoices, and re-rated there. Credits that were bought are priced
again for the quantity that was ordered.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db.models import F, Sum

from billing.accounts import actors
from billing.accounts.actors import Act, Actor
from billing.invoicing import drafts, loading, purchasing, queries, terms
from billing.invoicing.books import LINE_SAYS, BilledFee, Life, LineDraft, PeriodBooks, PlanStretch
from billing.invoicing.errors import InvoiceNotIssued
from billing.invoicing.loading import Claim, Target
from billing.invoicing.tax import TaxTerms
from billing.kernel.decimals import ZERO, plain
from billing.kernel.errors import BillingError, InvariantViolation
from billing.kernel.money import format_minor
from billing.kernel.periods import Span
from billing.models import (
    CreditPurchase,
    Invoice,
    InvoiceKind,
    InvoiceLine,
    InvoiceStatus,
    UsageCharge,
    UsageEvent,
)


@dataclass(frozen=True, slots=True)
class Difference:
    """What a line (0: the whole invoice) says, and what the events and the catalog say."""

    line: int
    field: str
    stored: str
    rated: str


@dataclass(frozen=True, slots=True)
class Verification:
    """``events`` is how many raw events the use was summed from; ``total_minor`` what they come to now."""

    invoice: Invoice
    events: int
    lines: int
    total_minor: int
    differences: tuple[Difference, ...]
    # Numbers of earlier invoices that were voided since: this one was rated against them.
    voided_since: tuple[str, ...]

    @property
    def agrees(self) -> bool:
        return not self.differences


def verify(*, invoice: Invoice, actor: Actor) -> Verification:
    """Rate an issued invoice again and compare. Writes nothing. Raises ``InvoiceNotIssued`` for a draft."""
    actors.require(actor, Act.PREVIEW, invoice.organization)
    stored = queries.get_invoice(str(invoice.id))
    if stored.issued_at is None:
        raise InvoiceNotIssued("Only an issued invoice can be rated again: a draft always is.")
    lines, events = sorted(stored.lines.all(), key=lambda line: line.position), 0
    try:
        if stored.kind == InvoiceKind.PURCHASE:
            rated: tuple[LineDraft, ...] = (_ordered(stored, lines),)
        else:
            events, target = _target(stored)
            rated = drafts.derive(_as_issued(target, stored, lines)).lines
    except BillingError as refusal:
        unrated = Difference(0, "rating", stored.number or "", f"{refusal.code}: {refusal.message}")
        return Verification(stored, events, len(lines), 0, (unrated,), _voided_since(stored))
    differences = [*_compared(lines, rated)]
    net, tax = sum(line.net_minor for line in rated), sum(line.tax_minor for line in rated)
    for name, amount_minor in (("subtotal", net), ("tax", tax), ("total", net + tax)):
        amounts = (getattr(stored, f"{name}_minor"), amount_minor)
        if amounts[0] != amounts[1]:
            was, now = (format_minor(each, stored.currency) for each in amounts)
            differences.append(Difference(0, name, was, now))
    voided = _voided_since(stored) if differences else ()
    return Verification(stored, events, len(lines), net + tax, tuple(differences), voided)


def _target(stored: Invoice) -> tuple[int, Target]:
    """The books behind an invoice of a period, and how many events its use was summed from."""
    if stored.period_id is None:
        raise InvariantViolation(f"invoice {stored.id} bills no period")
    events, charges = (0, []) if stored.kind == InvoiceKind.CHANGE else _raw_use(stored)
    claim = Claim(stored.period_id, InvoiceKind(stored.kind), stored.id)
    (target,) = loading.load([claim], charges=charges)
    return events, target


def _ordered(stored: Invoice, lines: Iterable[InvoiceLine]) -> LineDraft:
    """What was ordered, at the price of the plan version that it was ordered on."""
    purchase = CreditPurchase.objects.get(invoice=stored)
    (wanted,) = {(line.plan_id, stored.currency) for line in lines}
    return purchasing.line(
        credits=purchase.credits,
        terms=terms.prices([wanted])[wanted],
        currency=stored.currency,
        at=purchase.ordered_at,
        taxed=_taxed(stored),
    )


def as_dict(checked: Verification) -> dict[str, Any]:
    """For the wire: amounts as decimal strings."""
    invoice = checked.invoice
    return {
        "invoice": str(invoice.id),
        "number": invoice.number,
        "agrees": checked.agrees,
        "events": checked.events,
        "lines": checked.lines,
        "total": format_minor(invoice.total_minor, invoice.currency),
        "rated_total": format_minor(checked.total_minor, invoice.currency),
        "currency": invoice.currency,
        "differences": [asdict(each) for each in checked.differences],
        "voided_since": list(checked.voided_since),
    }


def _raw_use(invoice: Invoice) -> tuple[int, list[UsageCharge]]:
    """Chargeable use billed by the invoice's period, from the events alone: how many there are, and their sums.

    A final invoice bills what came after the ones before it, so what later ones carry is left to them.
    """
    events = UsageEvent.objects.filter(subscription_id=invoice.subscription_id, billed_period_id=invoice.period_id)
    sums = (
        events.values("period_id", "plan_id", "meter_id")
        .annotate(overage_sum=Sum("overage"), deficit_sum=Sum(F("credits_due") - F("credits_paid")))
        .order_by()
    )
    later = _later_units(invoice)
    periods = {period.id: period for period in invoice.subscription.periods.all()}
    billed = next(period for period in periods.values() if period.id == invoice.period_id)
    charges = []
    for row in sums:
        service = periods[row["period_id"]]
        charges.append(
            UsageCharge(
                organization_id=invoice.organization_id,
                subscription_id=invoice.subscription_id,
                billed_period=billed,
                service_period=service,
                plan_id=row["plan_id"],
                meter_id=row["meter_id"],
                overage=row["overage_sum"]
                - later.pop(("overage", service.starts_at, row["plan_id"], row["meter_id"]), ZERO),
                # Credits have one line for all meters: what is left to later invoices is taken off the first.
                credit_deficit=row["deficit_sum"]
                - later.pop(("credits", service.starts_at, row["plan_id"], None), ZERO),
            )
        )
    return events.count(), charges


def _later_units(invoice: Invoice) -> dict[tuple[str, datetime, UUID, str | None], Decimal]:
    found: dict[tuple[str, datetime, UUID, str | None], Decimal] = defaultdict(lambda: ZERO)
    others = (
        Invoice.objects.filter(period_id=invoice.period_id, kind__in=[InvoiceKind.CYCLE, InvoiceKind.FINAL])
        .exclude(status=InvoiceStatus.VOID)
        .exclude(id=invoice.id)
    )
    for other in others:
        is_before = other.issued_at is not None and (other.issued_at, other.number) < (
            invoice.issued_at,
            invoice.number,
        )
        if not is_before:
            for line in other.lines.filter(charge__in=["overage", "credits"]):
                found[line.charge, line.starts_at, line.plan_id, line.meter_id] += line.quantity
    return found


def _as_issued(target: Target, invoice: Invoice, lines: Iterable[InvoiceLine]) -> Target:
    books = target.books
    fees = [line for line in lines if line.charge in ("base", "discount")]
    discounts = tuple(each for each in books.discounts if _counted(each.redeemed_at, each.code, invoice, lines))
    if books.only_advance:
        life = _as_billed(books, books.life, fees)
        books = replace(books, served=life.served, stretches=life.stretches)
    elif books.ahead is not None:
        of_ahead = [line for line in fees if line.starts_at >= books.ahead.service.starts_at]
        books = replace(books, ahead=_as_billed(books, books.ahead, of_ahead) if of_ahead else None)
    return replace(target, books=replace(books, discounts=discounts), tax=_taxed(invoice))


def _taxed(invoice: Invoice) -> TaxTerms:
    tax = invoice.customer.get("tax", {})
    return TaxTerms(tax.get("treatment", "none"), Decimal(tax.get("rate", "0")), tax.get("label", ""))


def _counted(redeemed_at: datetime, code: str, invoice: Invoice, lines: Iterable[InvoiceLine]) -> bool:
    """Whether a coupon was there when the invoice was issued. In a sandbox both may bear one instant."""
    if invoice.issued_at is None or redeemed_at != invoice.issued_at:
        return invoice.issued_at is not None and redeemed_at < invoice.issued_at
    return any(line.details.get("coupon") == code for line in lines)


def _as_billed(books: PeriodBooks, life: Life, lines: Iterable[InvoiceLine]) -> Life:
    """The stretches that fee lines of a time not lived yet were made for: their seconds, and those billed before."""
    before: dict[tuple[str, int, datetime, Decimal], BilledFee] = {
        (part.plan_code, part.plan_version, part.fee.starts_at, part.fee.rate): part.fee
        for part in books.billed
        if part.fee is not None and part.ordinal == life.service.ordinal
    }
    stretches = []
    for line in lines:
        if line.charge != "base":
            continue
        terms = next(each for each in books.plans.values() if each.id == line.plan_id)
        billed = before.pop((terms.code, terms.version, line.starts_at, line.rate), None)
        seconds = int(line.details["seconds"]) + (billed.seconds if billed else 0)
        if seconds:
            ends_at = line.starts_at + timedelta(seconds=seconds)
            stretches.append(PlanStretch(terms, line.starts_at, ends_at, _is_paused(line, terms.base_fee_minor)))
    for (code, version, starts_at, rate), fee in before.items():
        terms = books.plans[code, version]
        is_paused = not rate and bool(terms.base_fee_minor)
        stretches.append(PlanStretch(terms, starts_at, starts_at + timedelta(seconds=fee.seconds), is_paused))
    # The days that a discount names are those of the period as it then was.
    named = [Span(line.starts_at, line.ends_at) for line in lines if line.charge == "discount"]
    served = named[0] if named else life.service.nominal
    service = replace(life.service, ends_at=life.service.nominal_ends_at)
    return replace(life, service=service, served=served, stretches=tuple(stretches))


def _is_paused(line: InvoiceLine, fee_minor: int | None) -> bool:
    return not line.rate and bool(fee_minor)


def _compared(stored: list[InvoiceLine], rated: tuple[LineDraft, ...]) -> Iterable[Difference]:
    for position in range(max(len(stored), len(rated))):
        if position >= len(stored) or position >= len(rated):
            was = stored[position].description if position < len(stored) else ""
            now = rated[position].description if position < len(rated) else ""
            yield Difference(position + 1, "line", was, now)
            continue
        for name in LINE_SAYS:
            was, now = getattr(stored[position], name), getattr(rated[position], name)
            if was != now:
                yield Difference(position + 1, name.removesuffix("_id"), _text(was), _text(now))


def _text(value: object) -> str:
    return plain(value) if isinstance(value, Decimal) else str(value)


def _voided_since(invoice: Invoice) -> tuple[str, ...]:
    earlier = Invoice.objects.filter(
        subscription_id=invoice.subscription_id, status=InvoiceStatus.VOID, issued_at__lte=invoice.issued_at
    )
    return tuple(number for number in earlier.order_by("number").values_list("number", flat=True) if number)
