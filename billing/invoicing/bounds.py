"""What keeps an invoice from going out by itself: it bills something twice, or is far above all before it.

The first is asked of the stored lines and of the books, not of what derived them: it is there for the day that the
derivation is wrong. Use that was taken back, which an open period is still to give back, stands until then.
"""

from __future__ import annotations

from django.conf import settings
from django.db import connection

from billing.kernel.money import format_minor
from billing.models import Invoice, InvoiceStatus

# How many invoices make a history, and how far back it is looked at.
HISTORY_MIN, HISTORY_MAX = 3, 6
_UNCOUNTED = (InvoiceStatus.DRAFT, InvoiceStatus.VOID)

_DOUBLED = """
WITH standing AS (
    SELECT line.charge, line.meter, line.quantity, line.starts_at, line.invoice_id,
        (line.details ->> 'seconds')::bigint AS seconds
    FROM marketplace_invoices AS invoice
    JOIN marketplace_invoice_lines AS line ON line.invoice_id = invoice.id
    WHERE invoice.subscription_id = %(subscription)s
        AND (invoice.id = %(invoice)s OR invoice.status NOT IN ('draft', 'void'))
        AND line.charge IN ('base', 'overage')
), touched AS (
    SELECT period.* FROM subscription_periods AS period
    WHERE period.subscription_id = %(subscription)s AND EXISTS (
        SELECT FROM standing WHERE standing.invoice_id = %(invoice)s
        AND standing.starts_at >= period.starts_at AND standing.starts_at < period.ends_at)
)
SELECT touched.ordinal, NULL AS meter
FROM touched JOIN standing ON standing.charge = 'base'
    AND standing.starts_at >= touched.starts_at AND standing.starts_at < touched.ends_at
GROUP BY touched.id, touched.ordinal, touched.starts_at, touched.nominal_ends_at
HAVING sum(standing.seconds) > extract(epoch FROM touched.nominal_ends_at - touched.starts_at)
UNION ALL
SELECT touched.ordinal, standing.meter
FROM touched JOIN standing ON standing.charge = 'overage'
    AND standing.starts_at >= touched.starts_at AND standing.starts_at < touched.ends_at
GROUP BY touched.id, touched.ordinal, standing.meter
HAVING sum(standing.quantity) > (
    SELECT coalesce(sum(charge.overage), 0) FROM billing_usage_charges AS charge
    JOIN subscription_periods AS billed ON billed.id = charge.billed_period_id
    WHERE charge.service_period_id = touched.id AND charge.meter = standing.meter
        AND (charge.overage > 0 OR billed.closed_at IS NOT NULL OR billed.id = %(period)s))
ORDER BY 1, 2 LIMIT 1
"""


def doubled(invoice: Invoice) -> str | None:
    """What of ``invoice``, as stored, is more than was lived or used, counting all issued invoices; None if nothing."""
    with connection.cursor() as cursor:
        cursor.execute(
            _DOUBLED, {"subscription": invoice.subscription_id, "invoice": invoice.id, "period": invoice.period_id}
        )
        row = cursor.fetchone()
    if row is None:
        return None
    ordinal, meter = row
    what = "The base fee" if meter is None else f"Use of {meter}"
    return f"{what} of period {ordinal} would be billed twice."


def jumped(invoice: Invoice) -> str | None:
    """Why the total is beyond belief: far above the highest of the subscription's last invoices; None if it is not, or
    where there are too few to tell."""
    before = list(
        Invoice.objects.filter(subscription_id=invoice.subscription_id, kind=invoice.kind, total_minor__gt=0)
        .exclude(status__in=_UNCOUNTED)
        .order_by("-issued_at", "-id")
        .values_list("total_minor", flat=True)[:HISTORY_MAX]
    )
    factor = int(settings.BILLING_JUMP_FACTOR)
    if len(before) < HISTORY_MIN or invoice.total_minor <= factor * max(before):
        return None
    total, highest = (format_minor(each, invoice.currency) for each in (invoice.total_minor, max(before)))
    return f"{total} {invoice.currency} is more than {factor} times the highest of the last invoices, {highest}."
