"""Collecting: who owes is asked, who does not is left alone, and service follows from it."""

from billing.models import LIVE
from billing.reporting.doctor.invariant import Invariant

_LIVE = ", ".join(f"'{status.value}'" for status in LIVE)

COLLECTING = (
    Invariant(
        name="past-due-means-unpaid",
        sentence="A subscription is past due if and only if a dunning beyond its grace, or its provider, keeps it so.",
        hint="Set its status by `subscription set`, or stop the dunning: both let go of it properly.",
        sql=f"""
            SELECT subscription.id, subscription.status, holding.id AS dunning_id, holding.invoice_id
            FROM organization_subscriptions AS subscription
            LEFT JOIN LATERAL (
                SELECT collection.id, collection.invoice_id FROM billing_collections AS collection
                WHERE collection.subscription_id = subscription.id AND collection.past_due_at IS NOT NULL
                    AND collection.lifted_at IS NULL
                LIMIT 1
            ) AS holding ON true
            WHERE :of(subscription) AND subscription.status IN ({_LIVE}) AND CASE subscription.status
                WHEN 'past_due' THEN holding.id IS NULL AND subscription.provider_reference = ''
                ELSE holding.id IS NOT NULL END
        """,  # noqa: S608 - the statuses are our own
    ),
    Invariant(
        name="unpaid-invoices-are-collected",
        sentence=(
            "An invoice is collected if and only if it is issued and something of it is due, or that was stopped; a "
            "purchase of credits never is."
        ),
        hint="Look at the invoice's dunning (`dunning show`): a status was changed behind the operations.",
        sql="""
            SELECT invoice.id, invoice.number, invoice.status, collection.id AS collection_id
            FROM marketplace_invoices AS invoice
            LEFT JOIN billing_collections AS collection
                ON collection.invoice_id = invoice.id AND collection.closed_at IS NULL
            WHERE :of(invoice)
                AND (invoice.status = 'issued' AND invoice.kind <> 'purchase') <> (collection.id IS NOT NULL)
                AND NOT EXISTS (
                    SELECT FROM billing_collections AS stopped
                    WHERE stopped.invoice_id = invoice.id AND stopped.closed_because = 'stopped'
                )
        """,
    ),
    Invariant(
        name="charges-are-booked",
        sentence="A charge that succeeded has its payment, under the provider's reference.",
        hint="The customer has paid: book the payment by that reference (`invoices pay`).",
        sql="""
            SELECT attempt.id, attempt.invoice_id, attempt.provider, attempt.reference, attempt.amount_minor
            FROM billing_charge_attempts AS attempt
            LEFT JOIN marketplace_payments AS payment
                ON payment.provider = attempt.provider AND payment.reference = attempt.reference
                AND payment.invoice_id = attempt.invoice_id AND payment.kind = 'payment'
            WHERE :of(attempt) AND attempt.status = 'succeeded' AND payment.id IS NULL
        """,
    ),
    Invariant(
        name="issued-invoices-are-mailed",
        sentence="Every invoice that was issued has a message to its customer, or the reason why there is none.",
        hint="Issue through the operations: the message is written in the same transaction.",
        sql="""
            SELECT invoice.id, invoice.number, invoice.status
            FROM marketplace_invoices AS invoice
            WHERE :of(invoice) AND invoice.issued_at IS NOT NULL AND NOT EXISTS (
                SELECT FROM billing_mails AS mail
                WHERE mail.organization_id = invoice.organization_id AND mail.kind = 'invoice_issued'
                    AND mail.about = invoice.id::text
            )
        """,
    ),
)
