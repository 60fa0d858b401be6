"""What became of issued invoices: money, credit notes and the customer's balance tell one story."""

from billing.reporting.doctor.invariant import Invariant

SETTLEMENT = (
    Invariant(
        name="paid-means-nothing-due",
        sentence="An invoice is paid if and only if nothing of it is due; none is overpaid or paid before its issue.",
        hint="Compare the invoice's payments with the provider's; book what is missing, refund what is too much.",
        sql="""
            SELECT settled.* FROM (
                SELECT invoice.id, invoice.number, invoice.status, invoice.total_minor,
                    coalesce(money.paid, 0) AS paid_minor, coalesce(notes.credited, 0) AS credited_minor,
                    invoice.total_minor - coalesce(money.paid, 0) - coalesce(notes.credited, 0) AS due_minor
                FROM marketplace_invoices AS invoice
                LEFT JOIN (
                    SELECT payment.invoice_id, sum(
                        CASE payment.kind WHEN 'payment' THEN payment.amount_minor ELSE -payment.amount_minor END
                    ) AS paid
                    FROM marketplace_payments AS payment WHERE :of(payment) GROUP BY payment.invoice_id
                ) AS money ON money.invoice_id = invoice.id
                LEFT JOIN (
                    SELECT note.invoice_id, sum(note.total_minor) AS credited
                    FROM marketplace_credit_notes AS note WHERE :of(note) GROUP BY note.invoice_id
                ) AS notes ON notes.invoice_id = invoice.id
                WHERE :of(invoice)
            ) AS settled
            WHERE CASE
                WHEN status IN ('draft', 'void') THEN paid_minor <> 0 OR credited_minor <> 0
                ELSE due_minor < 0 OR paid_minor < least(total_minor, 0) OR (status = 'paid') <> (due_minor = 0) END
        """,
    ),
    Invariant(
        name="credit-notes-fit-their-lines",
        sentence="A credit note is the sum of its lines, and no more of a line is credited than it has.",
        hint="A credit note or a line of it was changed behind the triggers: restore it from a backup.",
        sql="""
            SELECT note.id AS id, note.number, note.total_minor,
                coalesce(sum(line.amount_minor + CASE WHEN line.tax_included THEN 0 ELSE line.tax_minor END), 0)
                    AS lines_minor
            FROM marketplace_credit_notes AS note
            LEFT JOIN marketplace_credit_note_lines AS line ON line.credit_note_id = note.id
            WHERE :of(note)
            GROUP BY note.id
            HAVING note.tax_minor <> coalesce(sum(line.tax_minor), 0) OR note.total_minor <>
                coalesce(sum(line.amount_minor + CASE WHEN line.tax_included THEN 0 ELSE line.tax_minor END), 0)
            UNION ALL
            SELECT invoice.id, invoice.number, line.amount_minor, sum(credit.amount_minor)
            FROM marketplace_credit_note_lines AS credit
            JOIN marketplace_invoice_lines AS line ON line.id = credit.invoice_line_id
            JOIN marketplace_invoices AS invoice ON invoice.id = line.invoice_id
            WHERE :of(credit)
            GROUP BY invoice.id, line.id
            HAVING abs(sum(credit.amount_minor)) > abs(line.amount_minor)
                OR abs(sum(credit.tax_minor)) > abs(line.tax_minor)
        """,
    ),
    Invariant(
        name="balance-entries-follow",
        sentence="Each entry of a money balance follows from the one before, and is the other side of its payment.",
        hint="The entries are the evidence: find the one that was removed or changed behind the triggers.",
        sql="""
            SELECT followed.id, followed.sequence, followed.amount_minor, followed.balance_after_minor,
                before + followed.amount_minor AS balance_expected, payment.id AS payment_id
            FROM (
                SELECT entry.id, entry.sequence, entry.amount_minor, entry.balance_after_minor, entry.kind,
                    entry.payment_id, lag(entry.balance_after_minor, 1, 0::bigint) OVER ledger AS before,
                    row_number() OVER ledger AS place
                FROM billing_balance_entries AS entry
                WHERE :of(entry)
                WINDOW ledger AS (PARTITION BY entry.organization_id, entry.currency ORDER BY entry.sequence)
            ) AS followed
            LEFT JOIN marketplace_payments AS payment ON payment.id = followed.payment_id
            WHERE followed.sequence <> place OR followed.balance_after_minor <> before + followed.amount_minor
                OR (followed.kind NOT IN ('payout', 'received') AND followed.amount_minor IS DISTINCT FROM
                    CASE payment.kind WHEN 'refund' THEN payment.amount_minor ELSE -payment.amount_minor END)
            UNION ALL
            SELECT NULL, NULL, payment.amount_minor, NULL, NULL, payment.id
            FROM marketplace_payments AS payment
            LEFT JOIN billing_balance_entries AS entry ON entry.payment_id = payment.id
            WHERE :of(payment) AND (payment.provider = 'balance') <> (entry.id IS NOT NULL)
        """,
    ),
    Invariant(
        name="credit-note-numbers-are-gapless",
        sentence="The numbers of credit notes run from 1 to the counter without a gap, by issuer, year and series.",
        hint="A credit note was removed or its number changed behind the triggers: restore it from a backup.",
        is_global=True,
        sql="""
            SELECT coalesce(counter.series, given.series) AS series, coalesce(counter.year, given.year) AS year,
                counter.last, given.notes, given.highest
            FROM (SELECT * FROM billing_document_counters WHERE document = 'credit_note') AS counter
            FULL JOIN (
                SELECT parts[2] AS series, parts[3]::int AS year, count(*) AS notes, max(parts[4]::bigint) AS highest
                FROM (
                    SELECT regexp_match(note.number, '^CN(-SBX-|)(.*)-([0-9]{4})-([0-9]+)$') AS parts
                    FROM marketplace_credit_notes AS note
                ) AS numbered
                GROUP BY parts[2], parts[3]
            ) AS given ON given.series = counter.series AND given.year = counter.year
            WHERE (counter.last, counter.last) IS DISTINCT FROM (given.notes, given.highest)
        """,
    ),
)
