"""Invoices: they add up, they bill what was used, and their numbers have no gap."""

from billing.reporting.doctor.invariant import Invariant

INVOICES = (
    Invariant(
        name="invoice-lines-add-up",
        sentence="An invoice's subtotal is the sum of its lines net of tax, its tax that of theirs, its total both.",
        hint="A draft is mended by drafting it again; an issued one was changed behind the triggers.",
        sql="""
            SELECT invoice.id, invoice.number, invoice.status, invoice.subtotal_minor, invoice.total_minor,
                coalesce(lines.net_minor, 0) AS lines_minor, coalesce(lines.tax_minor, 0) AS lines_tax_minor
            FROM marketplace_invoices AS invoice
            LEFT JOIN (
                SELECT line.invoice_id, sum(line.tax_minor) AS tax_minor,
                    sum(line.amount_minor - CASE WHEN line.tax_included THEN line.tax_minor ELSE 0 END) AS net_minor
                FROM marketplace_invoice_lines AS line WHERE :of(line) GROUP BY line.invoice_id
            ) AS lines ON lines.invoice_id = invoice.id
            WHERE :of(invoice) AND (
                invoice.subtotal_minor <> coalesce(lines.net_minor, 0)
                OR invoice.tax_minor <> coalesce(lines.tax_minor, 0)
                OR invoice.total_minor <> invoice.subtotal_minor + invoice.tax_minor)
        """,
    ),
    Invariant(
        name="invoices-bill-all-charges",
        sentence="A period's issued invoices bill each of its usage charges, in equal quantity, and nothing else.",
        hint="Bill what is missing on the next invoice, or credit what is too much.",
        sql="""
            WITH issued AS (
                -- Of an ended subscription, the draft of a final invoice bills what was told late.
                SELECT invoice.id, invoice.period_id FROM marketplace_invoices AS invoice
                JOIN subscription_periods AS period ON period.id = invoice.period_id AND period.closed_at IS NOT NULL
                WHERE :of(invoice) AND invoice.status <> 'void'
                    AND (invoice.kind = 'final' OR invoice.kind = 'cycle' AND invoice.status <> 'draft')
            ), closed AS (
                SELECT DISTINCT period_id FROM issued
            ), charged AS (
                SELECT closed.period_id, kind.charge, charge.plan_id,
                    CASE kind.charge WHEN 'overage' THEN charge.meter END AS meter, period.starts_at,
                    sum(CASE kind.charge WHEN 'overage' THEN charge.overage ELSE charge.credit_deficit END) AS quantity
                FROM closed
                JOIN billing_usage_charges AS charge ON charge.billed_period_id = closed.period_id
                JOIN subscription_periods AS period ON period.id = charge.service_period_id
                CROSS JOIN (VALUES ('overage'), ('credits')) AS kind (charge)
                GROUP BY 1, 2, 3, 4, 5
            ), billed AS (
                SELECT issued.period_id, line.charge, line.plan_id, line.meter, line.starts_at,
                    sum(line.quantity) AS quantity
                FROM issued JOIN marketplace_invoice_lines AS line ON line.invoice_id = issued.id
                WHERE line.charge IN ('overage', 'credits')
                GROUP BY 1, 2, 3, 4, 5
            )
            SELECT coalesce(charged.period_id, billed.period_id) AS period_id,
                coalesce(charged.charge, billed.charge) AS charge,
                coalesce(charged.plan_id, billed.plan_id) AS plan_id, coalesce(charged.meter, billed.meter) AS meter,
                coalesce(charged.starts_at, billed.starts_at) AS starts_at,
                charged.quantity AS charged, billed.quantity AS billed
            FROM charged
            FULL JOIN billed ON billed.period_id = charged.period_id AND billed.charge = charged.charge
                AND billed.plan_id = charged.plan_id AND coalesce(billed.meter, '') = coalesce(charged.meter, '')
                AND billed.starts_at = charged.starts_at
            WHERE coalesce(charged.quantity, 0) <> coalesce(billed.quantity, 0)
        """,
    ),
    Invariant(
        name="base-fees-stay-within-their-periods",
        sentence="The issued base fees of a period stand for no more seconds than the period has.",
        hint="A stretch of time is billed twice: credit the later line.",
        sql="""
            SELECT period.id AS period_id, period.subscription_id, period.ordinal,
                sum((line.details ->> 'seconds')::bigint) AS billed_seconds
            FROM marketplace_invoices AS invoice
            JOIN marketplace_invoice_lines AS line ON line.invoice_id = invoice.id AND line.charge = 'base'
            JOIN subscription_periods AS period ON period.subscription_id = invoice.subscription_id
                AND line.starts_at >= period.starts_at AND line.starts_at < period.ends_at
            WHERE :of(invoice) AND invoice.status NOT IN ('draft', 'void')
            GROUP BY period.id
            -- A fee for another length, billed before the rhythm changed in the first instant, is given back by the
            -- invoice of the period.
            HAVING sum((line.details ->> 'seconds')::bigint) FILTER (
                WHERE period.closed_at IS NOT NULL OR (line.details ->> 'of_seconds')::bigint
                    = extract(epoch FROM period.nominal_ends_at - period.starts_at)
            ) > extract(epoch FROM period.nominal_ends_at - period.starts_at)
        """,
    ),
    Invariant(
        name="discounts-stay-within-charges",
        sentence="Issued invoices take no more off a period than they charge for it, and never less than nothing.",
        hint="Credit or bill the difference: the discount was taken off twice, or off something that is not billed.",
        sql="""
            SELECT period.id AS period_id, period.subscription_id, period.ordinal,
                sum(line.amount_minor) FILTER (WHERE line.charge = 'discount') AS discounts_minor,
                sum(line.amount_minor) FILTER (WHERE line.charge <> 'discount') AS charges_minor
            FROM marketplace_invoices AS invoice
            JOIN marketplace_invoice_lines AS line ON line.invoice_id = invoice.id
            JOIN subscription_periods AS period ON period.subscription_id = invoice.subscription_id
                AND line.starts_at >= period.starts_at AND line.starts_at < period.ends_at
            WHERE :of(invoice) AND invoice.status NOT IN ('draft', 'void') AND invoice.period_id IS NOT NULL
            GROUP BY period.id
            HAVING NOT coalesce(sum(line.amount_minor) FILTER (WHERE line.charge = 'discount'), 0)
                BETWEEN -greatest(coalesce(sum(line.amount_minor) FILTER (WHERE line.charge <> 'discount'), 0), 0) AND 0
        """,
    ),
    Invariant(
        name="closed-periods-are-invoiced",
        sentence="A period is closed if and only if its cycle invoice is issued.",
        hint="Reopen a period that was closed without an invoice, or close the one whose invoice went out.",
        sql="""
            SELECT period.id, period.subscription_id, period.ordinal, period.closed_at, count(invoice.id) AS issued
            FROM subscription_periods AS period
            LEFT JOIN marketplace_invoices AS invoice ON invoice.period_id = period.id AND invoice.kind = 'cycle'
                AND invoice.status NOT IN ('draft', 'void')
            WHERE :of(period)
            GROUP BY period.id
            HAVING (period.closed_at IS NOT NULL) <> (count(invoice.id) > 0)
        """,
    ),
    Invariant(
        name="one-invoice-per-period",
        sentence="A period has at most one cycle invoice that is not void.",
        hint="Void the one that was not sent, or credit it: both bill the same fee.",
        sql="""
            SELECT invoice.period_id, invoice.subscription_id, count(*) AS invoices
            FROM marketplace_invoices AS invoice
            WHERE :of(invoice) AND invoice.kind = 'cycle' AND invoice.status <> 'void'
            GROUP BY invoice.period_id, invoice.subscription_id HAVING count(*) > 1
        """,
    ),
    Invariant(
        name="invoice-numbers-are-gapless",
        sentence="The numbers of each issuer, year and series run from 1 to the counter without a gap.",
        hint="An issued invoice was removed or its number changed behind the triggers: restore it from a backup.",
        is_global=True,
        sql="""
            SELECT coalesce(counter.series, given.series) AS series, coalesce(counter.year, given.year) AS year,
                counter.last, given.invoices, given.highest
            FROM (SELECT * FROM billing_document_counters WHERE document = 'invoice') AS counter
            FULL JOIN (
                SELECT parts[2] AS series, parts[3]::int AS year, count(*) AS invoices, max(parts[4]::bigint) AS highest
                FROM (
                    SELECT regexp_match(invoice.number, '^(INV|SBX-)(.*)-([0-9]{4})-([0-9]+)$') AS parts
                    FROM marketplace_invoices AS invoice WHERE invoice.number IS NOT NULL
                ) AS numbered
                GROUP BY parts[2], parts[3]
            ) AS given ON given.series = counter.series AND given.year = counter.year
            WHERE (counter.last, counter.last) IS DISTINCT FROM (given.invoices, given.highest)
        """,
    ),
)
