"""What is written to customers. Each kind has a template ``billing/mail/<kind>.txt`` and ``.html``, and a subject."""

from __future__ import annotations

from enum import StrEnum


class Kind(StrEnum):
    INVOICE_ISSUED = "invoice_issued"
    PAYMENT_FAILED = "payment_failed"
    INVOICE_OVERDUE = "invoice_overdue"
    REMINDER = "reminder"
    PAST_DUE = "past_due"
    RECOVERED = "recovered"


# ``str.format`` over the facts of the message and the issuer's name; no fact is ever a format itself.
SUBJECTS = {
    Kind.INVOICE_ISSUED: "Invoice {number} from {issuer}",
    Kind.PAYMENT_FAILED: "Payment of invoice {number} failed",
    Kind.INVOICE_OVERDUE: "Invoice {number} is overdue",
    Kind.REMINDER: "Reminder {step} of {steps}: invoice {number} is unpaid",
    Kind.PAST_DUE: "Service is stopped: invoice {number} is unpaid",
    Kind.RECOVERED: "Thank you: service goes on",
}
# These ask for money: whoever has paid meanwhile is not asked.
DEMANDS = frozenset({Kind.PAYMENT_FAILED, Kind.INVOICE_OVERDUE, Kind.REMINDER, Kind.PAST_DUE})
ATTACHED = frozenset({Kind.INVOICE_ISSUED, Kind.INVOICE_OVERDUE, Kind.REMINDER})
