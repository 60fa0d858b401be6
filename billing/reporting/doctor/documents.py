"""What was issued: each document is as it was on the day."""

from billing.reporting.doctor.invariant import Invariant

DOCUMENTS = (
    Invariant(
        name="issued-documents-equal-their-seals",
        sentence="Every invoice and credit note that was issued is there as it was issued, to the last digit.",
        hint="The document or a line of it was changed behind the triggers: restore it from a backup.",
        sql="""
            SELECT coalesce(issued.document_id, seal.document_id) AS id, issued.number,
                CASE WHEN seal.document_id IS NULL THEN 'never sealed'
                    WHEN issued.document_id IS NULL THEN 'gone' ELSE 'changed' END AS finding
            FROM (
                SELECT invoice.id AS document_id, invoice.number, 'invoice' AS document,
                    billing_invoice_digest(invoice) AS digest
                FROM marketplace_invoices AS invoice
                WHERE :of(invoice) AND invoice.issued_at IS NOT NULL AND :turn(invoice.id)
                UNION ALL
                SELECT note.id, note.number, 'credit_note', billing_credit_note_digest(note)
                FROM marketplace_credit_notes AS note WHERE :of(note) AND :turn(note.id)
            ) AS issued
            FULL JOIN (
                SELECT * FROM billing_document_seals AS seal WHERE :of(seal) AND :turn(seal.document_id)
            ) AS seal ON seal.document_id = issued.document_id AND seal.document = issued.document
            WHERE seal.digest IS DISTINCT FROM issued.digest
        """,
    ),
    Invariant(
        name="sealed-use-is-unchanged",
        sentence="The use of a sealed period is what it was when it was verified and sealed: all of it and no more.",
        hint="An event was changed, removed or inserted behind the triggers: restore it from a backup.",
        sql="""
            SELECT seal.period_id, seal.subscription_id, seal.events AS events_sealed, found.events
            FROM billing_use_seals AS seal
            LEFT JOIN subscription_periods AS period ON period.id = seal.period_id
            LEFT JOIN LATERAL billing_use_digest(period) AS found ON TRUE
            WHERE :of(seal) AND :turn(seal.period_id)
                AND (found.events, found.digest) IS DISTINCT FROM (seal.events, seal.digest)
        """,
    ),
)
