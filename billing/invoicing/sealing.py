"""Sealing documents: a digest of each as it was issued, in the transaction that issues it.

Triggers refuse changes to what was issued. The digest shows a change by somebody who could switch them off; the doctor
compares both (``issued-documents-equal-their-seals``).
"""

from __future__ import annotations

from django.db import connection

from billing.models import CreditNote, Invoice

_INVOICE = """
    INSERT INTO billing_document_seals (document_id, organization_id, document, digest)
    SELECT invoice.id, invoice.organization_id, 'invoice', billing_invoice_digest(invoice)
    FROM marketplace_invoices AS invoice WHERE invoice.id = %s
"""
_CREDIT_NOTE = """
    INSERT INTO billing_document_seals (document_id, organization_id, document, digest)
    SELECT note.id, note.organization_id, 'credit_note', billing_credit_note_digest(note)
    FROM marketplace_credit_notes AS note WHERE note.id = %s
"""


def seal_invoice(invoice: Invoice) -> None:
    """Once for each: a second seal violates the key of the first."""
    with connection.cursor() as cursor:
        cursor.execute(_INVOICE, [invoice.id])


def seal_credit_note(note: CreditNote) -> None:
    """After its lines are written, which it covers."""
    with connection.cursor() as cursor:
        cursor.execute(_CREDIT_NOTE, [note.id])
