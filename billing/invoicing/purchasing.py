"""The line of an order of credits: how many, at the price that the plan asks for one, rounded once. Pure."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from billing.invoicing import rating, tax, wording
from billing.invoicing.books import LineDraft, PlanTerms
from billing.invoicing.errors import PriceMissing
from billing.invoicing.rating import ONE
from billing.invoicing.tax import TaxTerms
from billing.kernel import money
from billing.kernel.decimals import plain


def line(*, credits: Decimal, terms: PlanTerms, currency: str, at: datetime, taxed: TaxTerms) -> LineDraft:
    """``credits`` at ``terms.credit_rate``, with tax. It is of no stretch of time, so it ends in the instant ``at`` in
    which it starts. Raises ``PriceMissing`` and ``AmountOutOfBounds``."""
    if terms.credit_rate is None:
        raise PriceMissing(f"Plan {terms.label} has no price for a credit in {currency}.", plan=terms.label)
    amount = rating.per_unit(credits, rate=terms.credit_rate, per=ONE)
    ordered = LineDraft(
        charge="purchase",
        description=f"{wording.short(terms.name)}, prepaid credits",
        plan_id=terms.id,
        plan_code=terms.code,
        plan_version=terms.version,
        meter_id=None,
        starts_at=at,
        ends_at=at,
        quantity=credits,
        rate=terms.credit_rate,
        per=ONE,
        amount_minor=rating.bounded(money.to_minor(amount, currency), currency),
        details={
            "unit": "credit",
            "plan": terms.label,
            "quantity": plain(credits),
            "rate": plain(terms.credit_rate),
            "per": "1",
            "unrounded": plain(amount),
        },
    )
    (levied,) = tax.levied([ordered], taxed)
    return levied
