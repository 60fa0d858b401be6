"""Three other ways to draft the invoices of ended periods: row by row, with ``bulk_create``, and as one statement."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal

from django.db import connection, transaction
from django.utils import timezone

from bench.references.models import DraftedInvoice, DraftedLine
from billing.models import EntitlementPrice, PlanPrice, Subscription, SubscriptionPeriod, UsageCharge


def _minor(amount: Decimal) -> int:
    return int((amount * 100).quantize(Decimal(1), ROUND_HALF_UP))


def naive() -> int:
    """One ORM call for each thing to know and each row to write, a transaction for each invoice."""
    now, drafted = timezone.now(), 0
    # As the product's sweep, which leaves sandboxes to their own clocks.
    due = Subscription.objects.filter(periods__ends_at__lte=now, organization__is_sandbox=False)
    for subscription in due.select_related("plan"):
        with transaction.atomic():
            period = SubscriptionPeriod.objects.get(subscription=subscription, ends_at__lte=now)
            price = PlanPrice.objects.get(plan=subscription.plan, currency=subscription.currency)
            invoice = DraftedInvoice.objects.create(
                way="naive",
                subscription_id=subscription.id,
                period_id=period.id,
                currency=subscription.currency,
                starts_at=period.starts_at,
                ends_at=period.ends_at,
                drafted_at=now,
            )
            base = _line(invoice, period, 1, "base", None, Decimal(1), Decimal(price.base_fee_minor) / 100)
            base.save()
            total = base.amount_minor
            for position, charge in enumerate(UsageCharge.objects.filter(billed_period=period), start=2):
                rate = EntitlementPrice.objects.get(
                    entitlement__plan=subscription.plan,
                    entitlement__meters__contains=[charge.meter_id],
                    currency=subscription.currency,
                ).rate
                assert rate is not None  # noqa: S101 - prices by the unit, as the catalog of the benchmark says
                line = _line(invoice, period, position, "overage", charge.meter_id, charge.overage, rate)
                line.save()
                total += line.amount_minor
            invoice.subtotal_minor = invoice.total_minor = total
            invoice.save()
            drafted += 1
    return drafted


def bulk() -> int:
    """Everything read at once, priced in Python, written by ``bulk_create``; a transaction for all."""
    now = timezone.now()
    due = SubscriptionPeriod.objects.filter(ends_at__lte=now, organization__is_sandbox=False)
    periods = list(due.select_related("subscription"))
    fees = {(price.plan_id, price.currency): price.base_fee_minor for price in PlanPrice.objects.all()}
    rates = {
        (price.entitlement.plan_id, price.entitlement.meters[0], price.currency): price.rate
        for price in EntitlementPrice.objects.select_related("entitlement")
    }
    charges: dict[object, list[UsageCharge]] = {}
    for charge in UsageCharge.objects.filter(billed_period__in=[period.id for period in periods]):
        charges.setdefault(charge.billed_period_id, []).append(charge)
    invoices, lines = [], []
    for period in periods:
        subscription = period.subscription
        invoice = DraftedInvoice(
            way="bulk",
            subscription_id=subscription.id,
            period_id=period.id,
            currency=subscription.currency,
            starts_at=period.starts_at,
            ends_at=period.ends_at,
            drafted_at=now,
        )
        fee = Decimal(fees[subscription.plan_id, subscription.currency]) / 100
        own = [_line(invoice, period, 1, "base", None, Decimal(1), fee)]
        for position, charge in enumerate(charges.get(period.id, []), start=2):
            rate = rates[subscription.plan_id, charge.meter_id, subscription.currency]
            assert rate is not None  # noqa: S101 - prices by the unit
            own.append(_line(invoice, period, position, "overage", charge.meter_id, charge.overage, rate))
        invoice.subtotal_minor = invoice.total_minor = sum(line.amount_minor for line in own)
        invoices.append(invoice)
        lines += own
    with transaction.atomic():
        DraftedInvoice.objects.bulk_create(invoices, batch_size=1000)
        DraftedLine.objects.bulk_create(lines, batch_size=1000)
    return len(invoices)


_STATEMENT = """
WITH due AS (
    SELECT period.id AS period_id, period.starts_at, period.ends_at,
           subscription.id AS subscription_id, subscription.plan_id, subscription.currency
    FROM subscription_periods period JOIN organization_subscriptions subscription
      ON subscription.id = period.subscription_id
    JOIN organizations organization ON organization.id = period.organization_id AND NOT organization.is_sandbox
    WHERE period.ends_at <= now()
), priced AS (
    SELECT due.period_id, 1 AS position, 'base' AS charge, NULL::text AS meter, 1::numeric AS quantity,
           price.base_fee_minor / 100.0 AS rate, price.base_fee_minor AS amount_minor
    FROM due JOIN billing_plan_prices price USING (plan_id, currency)
    UNION ALL
    SELECT due.period_id, (1 + row_number() OVER (PARTITION BY due.period_id ORDER BY used.meter))::int, 'overage',
           used.meter, used.overage, price.rate, round(used.overage * price.rate * 100)::bigint
    FROM due JOIN billing_usage_charges used ON used.billed_period_id = due.period_id
    JOIN billing_plan_entitlements entitlement
      ON entitlement.plan_id = due.plan_id AND used.meter = ANY (entitlement.meters) AND entitlement.kind = 'metered'
    JOIN billing_entitlement_prices price
      ON price.entitlement_id = entitlement.id AND price.currency = due.currency
), invoices AS (
    INSERT INTO references_draftedinvoice (way, subscription_id, period_id, currency, starts_at, ends_at,
           subtotal_minor, tax_minor, total_minor, drafted_at)
    SELECT 'statement', due.subscription_id, due.period_id, due.currency, due.starts_at, due.ends_at,
           total.minor, 0, total.minor, now()
    FROM due JOIN (SELECT period_id, sum(amount_minor) AS minor FROM priced GROUP BY period_id) total USING (period_id)
    RETURNING id, period_id, starts_at, ends_at
), lines AS (
    INSERT INTO references_draftedline (invoice_id, position, charge, description, meter, starts_at, ends_at, quantity,
           rate, per, amount_minor, details)
    SELECT invoices.id, position, charge, charge, meter, invoices.starts_at, invoices.ends_at, quantity,
           rate, 1, amount_minor, '{}'
    FROM priced JOIN invoices USING (period_id)
    RETURNING 1
)
SELECT count(*) FROM invoices
"""


def statement() -> int:
    """One statement that reads, prices and writes."""
    with connection.cursor() as cursor:
        cursor.execute(_STATEMENT)
        return int(cursor.fetchone()[0])


def _line(
    invoice: DraftedInvoice,
    period: SubscriptionPeriod,
    position: int,
    charge: str,
    meter: str | None,
    quantity: Decimal,
    rate: Decimal,
) -> DraftedLine:
    return DraftedLine(
        invoice=invoice,
        position=position,
        charge=charge,
        description=charge,
        meter=meter,
        starts_at=period.starts_at,
        ends_at=period.ends_at,
        quantity=quantity,
        rate=rate,
        amount_minor=_minor(quantity * rate),
    )
