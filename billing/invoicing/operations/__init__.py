"""Drafting, issuing, reading, settling and voiding invoices.

Each act asks for the right to it before its transaction begins (a refusal leaves a row in the audit log that must not
roll back), takes the organization's lock, and loads the invoice again. A draft is derived anew from the books, so
drafting twice, from two places, or after a crash gives one invoice with the same lines.
"""

from billing.invoicing.operations.automatic import ISSUING, hold, issue_due, release
from billing.invoicing.operations.balancing import pay_out, read_balance
from billing.invoicing.operations.crediting import credit, read_credit_note, read_credit_notes
from billing.invoicing.operations.drafting import (
    Drafted,
    Preview,
    draft,
    draft_change,
    draft_finals,
    draft_many,
    preview,
)
from billing.invoicing.operations.issuing import issue
from billing.invoicing.operations.ordering import order, pay, quote, withdraw
from billing.invoicing.operations.paying import read_payments, refund
from billing.invoicing.operations.reading import read_invoice, read_invoices, refresh
from billing.invoicing.operations.receiving import give_back, is_given_back, keep, receive
from billing.invoicing.operations.voiding import mark_uncollectible, void

__all__ = [
    "ISSUING",
    "Drafted",
    "Preview",
    "credit",
    "draft",
    "draft_change",
    "draft_finals",
    "draft_many",
    "give_back",
    "hold",
    "is_given_back",
    "issue",
    "issue_due",
    "keep",
    "mark_uncollectible",
    "order",
    "pay",
    "pay_out",
    "preview",
    "quote",
    "read_balance",
    "read_credit_note",
    "read_credit_notes",
    "read_invoice",
    "read_invoices",
    "read_payments",
    "receive",
    "refresh",
    "refund",
    "release",
    "void",
    "withdraw",
]
