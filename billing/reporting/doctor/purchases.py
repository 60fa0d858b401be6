"""Credits that were bought: what was paid for is what was granted, once."""

from billing.reporting.doctor.invariant import Invariant

PURCHASES = (
    Invariant(
        name="purchases-are-granted",
        sentence=(
            "Every order of credits that was paid in full has one grant of as many credits as were ordered and "
            "invoiced, no other order has one, and no such grant is without its order."
        ),
        hint="Compare the order, its invoice's line, its payments and its grant; void what was granted for nothing.",
        sql="""
            SELECT purchase.id AS purchase_id, invoice.id AS invoice_id, invoice.number, invoice.status,
                purchase.credits, line.quantity AS invoiced, invoice.total_minor, paid.minor AS paid_minor,
                granted.grants, granted.credits AS granted
            FROM marketplace_credit_purchases AS purchase
            FULL JOIN (
                SELECT * FROM marketplace_invoices AS invoice WHERE :of(invoice) AND invoice.kind = 'purchase'
            ) AS invoice ON invoice.id = purchase.invoice_id
            FULL JOIN (
                SELECT credit.organization_id, credit.cause, count(*) AS grants, sum(credit.granted) AS credits,
                    bool_and(credit.kind = 'purchase') AS are_bought
                FROM marketplace_credit_grants AS credit
                WHERE :of(credit) AND starts_with(credit.cause, 'purchase:')
                GROUP BY credit.organization_id, credit.cause
            ) AS granted ON granted.organization_id = purchase.organization_id
                AND granted.cause = 'purchase:' || purchase.id
            LEFT JOIN LATERAL (
                SELECT sum(line.quantity) AS quantity FROM marketplace_invoice_lines AS line
                WHERE line.invoice_id = invoice.id AND line.charge = 'purchase'
            ) AS line ON TRUE
            LEFT JOIN LATERAL (
                SELECT coalesce(sum(payment.amount_minor), 0) AS minor FROM marketplace_payments AS payment
                WHERE payment.invoice_id = invoice.id AND payment.kind = 'payment'
            ) AS paid ON TRUE
            WHERE (purchase.id IS NULL OR :of(purchase)) AND NOT coalesce(
                purchase.organization_id = invoice.organization_id AND line.quantity = purchase.credits
                AND (purchase.lapses_at IS NOT NULL) = (invoice.status = 'draft') AND CASE
                    WHEN invoice.status IN ('draft', 'void')
                        THEN granted.grants IS NULL AND invoice.issued_at IS NULL
                    ELSE granted.grants = 1 AND granted.are_bought AND granted.credits = purchase.credits
                        AND paid.minor >= invoice.total_minor END, FALSE)
        """,
    ),
)
