"""Why an invoice is not drafted, issued, settled or voided. Each has a stable code; none leaves anything written."""

from billing.kernel import errors


class InvoiceNotFound(errors.NotFound):
    code = "not_found"

    def __init__(self, message: str = "No such invoice.") -> None:
        super().__init__(message)


class PeriodNotEnded(errors.Conflict):
    """The period still runs: its use is not complete."""

    code = "period_not_ended"


class NoEndedPeriod(errors.Conflict):
    """The subscription's first period still runs, or it never began."""

    code = "no_ended_period"


class NothingToBill(errors.Conflict):
    """A trial, or a period that the subscription did not live to see, without chargeable use has no invoice."""

    code = "nothing_to_bill"


class PeriodNotOfSubscription(errors.Invalid):
    """The period named belongs to another subscription."""

    code = "period_not_found"


class SubscriptionIncomplete(errors.Conflict):
    """A sign-up that was never confirmed owes nothing."""

    code = "subscription_incomplete"


class InvoiceVoid(errors.Conflict):
    """A void invoice stays void."""

    code = "invoice_void"


class PriceMissing(errors.Conflict):
    """Chargeable use that the plan version has no price for in the subscription's currency."""

    code = "price_missing"


class AmountOutOfBounds(errors.Conflict):
    """A line or a total beyond what settled money may be: somebody should look at it."""

    code = "amount_out_of_bounds"


class InvoiceNotIssued(errors.Conflict):
    """A draft is owed by nobody yet."""

    code = "invoice_not_issued"


class InvoicePrepaid(errors.Conflict):
    """An order of credits is issued by being paid in full, and by nothing else."""

    code = "invoice_prepaid"


class InvoicePaid(errors.Conflict):
    """What was paid is never voided or written off: it is credited, and the money goes back."""

    code = "invoice_paid"


class InvoiceWrittenOff(errors.Conflict):
    """An uncollectible invoice can be paid or credited, and nothing else."""

    code = "invoice_uncollectible"


class InvoiceHasPayments(errors.Conflict):
    """Part of it is paid: give that back first, or credit the rest."""

    code = "invoice_has_payments"


class InvoiceHasCreditNotes(errors.Conflict):
    """Part of it is credited: credit the rest."""

    code = "invoice_has_credit_notes"


class CreditExceedsLine(errors.Conflict):
    """More than is left of a line."""

    code = "credit_exceeds_line"


class CreditExceedsInvoice(errors.Conflict):
    """More than is left of the invoice."""

    code = "credit_exceeds_invoice"


class NothingToCredit(errors.Conflict):
    """The credit note would come to nothing, or to less."""

    code = "nothing_to_credit"


class InvoicePeriodClosed(errors.Conflict):
    """An invoice of fees in advance, whose period has its own invoice out already: credit it."""

    code = "invoice_period_closed"


class InvoiceFrozen(errors.Conflict):
    """The invoice is issued: nothing about it changes any more."""

    code = "invoice_frozen"


class InvoiceBillsTwice(errors.Conflict):
    """Other issued invoices carry what this one would bill: a mistake that nobody may issue."""

    code = "invoice_bills_twice"


class BalanceInsufficient(errors.Conflict):
    """More than the customer's balance holds."""

    code = "balance_insufficient"


class CreditNoteNotFound(errors.NotFound):
    code = "not_found"

    def __init__(self) -> None:
        super().__init__("No such credit note.")


class PaymentExceedsDue(errors.Conflict):
    """More than is left to pay."""

    code = "payment_exceeds_due"


class RefundExceedsPaid(errors.Conflict):
    """More than was paid and not given back yet."""

    code = "refund_exceeds_paid"


class PaymentShort(errors.Invalid):
    """An order of credits is paid in full and at once."""

    code = "payment_short"


class PaymentReferenceTaken(errors.Conflict):
    """The provider's reference stands for another payment."""

    code = "payment_reference_taken"


class SettlementInvalid(errors.Invalid):
    """An amount, a time, a reason or a reference that cannot be; ``field`` says which."""

    code = "invalid"
