"""Drafting, issuing and reading invoices.

Each act asks for the right to it before its transaction begins (a refusal leaves a row in the audit log that must not
roll back), takes the organization's lock, and derives the draft anew from the books. So drafting twice, from two
places, or after a crash gives one invoice with the same lines.
"""

from billing.invoicing.operations.drafting import Drafted, Preview, draft, draft_many, preview
from billing.invoicing.operations.issuing import issue
from billing.invoicing.operations.reading import read_invoice, read_invoices, refresh

__all__ = ["Drafted", "Preview", "draft", "draft_many", "issue", "preview", "read_invoice", "read_invoices", "refresh"]
