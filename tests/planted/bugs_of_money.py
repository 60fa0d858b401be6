"""Bugs in credits, invoices, payments, collecting and documents."""

from tests.planted.planting import bug, one

ACCOUNTS = "marketplace_subscriptions"
LEDGER = "marketplace_credit_ledger"
GRANTS = "marketplace_credit_grants"
INVOICES = "marketplace_invoices"
LINES = "marketplace_invoice_lines"
COUNTERS = "billing_document_counters"
PURCHASES = "marketplace_credit_purchases"
ITS_PERIOD = f"(SELECT period_id FROM {INVOICES} WHERE id = invoice_id)"
PAID_LINE = (
    f"id = (SELECT line.id FROM {LINES} AS line JOIN {INVOICES} AS invoice ON invoice.id = line.invoice_id"
    " WHERE invoice.status = 'paid' AND line.charge {} ORDER BY line.id LIMIT 1)"
)
BUSIEST = f"subscription_id = (SELECT subscription_id FROM {ACCOUNTS} ORDER BY entries DESC, subscription_id LIMIT 1)"

BUGS_OF_MONEY = (
    # --- Credits ---
    bug(
        "a balance with a credit too many",
        ACCOUNTS,
        f"UPDATE {ACCOUNTS} SET credit_balance = credit_balance + 1 WHERE {BUSIEST} RETURNING subscription_id",
        "credit-balance-is-ledger",
        "credit-balance-is-grants",
        column="subscription_id",
    ),
    bug(
        "an account that counts an entry too many",
        ACCOUNTS,
        f"UPDATE {ACCOUNTS} SET entries = entries + 1 WHERE {BUSIEST} RETURNING subscription_id",
        "credit-balance-is-ledger",
        column="subscription_id",
    ),
    bug(
        "a balance after that does not follow",
        LEDGER,
        f"UPDATE {LEDGER} SET balance_after = balance_after + 1 WHERE {one(LEDGER, 'TRUE')} RETURNING id",
        "ledger-follows",
        "ledger-chain-whole",
    ),
    bug(
        "a broken chain link",
        "marketplace_credit_seals",
        "UPDATE marketplace_credit_seals SET digest = sha256(digest) WHERE id = (SELECT min(id) + 1 FROM"
        " marketplace_credit_seals) RETURNING subscription_id",
        "ledger-chain-whole",
        column="subscription_id",
    ),
    bug(
        "a debit without a cause",
        LEDGER,
        f"""UPDATE {LEDGER} SET event_id = gen_random_uuid() WHERE {one(LEDGER, "kind = 'debit'")} RETURNING id""",
        "credit-movements-name-their-cause",
        "debits-pay-events",
        "ledger-chain-whole",
    ),
    bug(
        "an adjustment that says nothing",
        LEDGER,
        f"""UPDATE {LEDGER} SET reason = '' WHERE {one(LEDGER, "kind = 'adjustment'")} RETURNING id""",
        "credit-movements-name-their-cause",
        "ledger-chain-whole",
    ),
    bug(
        "an event that was debited by half",
        "marketplace_usage_events",
        "UPDATE marketplace_usage_events SET credits_paid = credits_paid / 2 WHERE "
        + one("marketplace_usage_events", "credits_paid > 1 AND credits_paid = credits_due AND reverses_id IS NULL")
        + " RETURNING id",
        "debits-pay-events",
        column="event_id",
    ),
    bug(
        "a skipped expiry",
        GRANTS,
        f"""
        WITH lapsed AS (
            UPDATE {GRANTS} SET remaining = remaining + expired, expired = 0
            WHERE {one(GRANTS, "expired > 0 AND kind = 'allowance'")} RETURNING id
        )
        SELECT id FROM lapsed
        """,
        "lapsed-credits-are-booked",
        "grants-equal-movements",
        "credit-balance-is-grants",
    ),
    bug(
        "an expiry booked as consumption",
        GRANTS,
        f"UPDATE {GRANTS} SET expired = expired - 1, consumed = consumed + 1 WHERE {one(GRANTS, 'expired > 1')}"
        " RETURNING id",
        "grants-equal-movements",
    ),
    bug(
        "a reversal that repays somebody else",
        LEDGER,
        f"UPDATE {LEDGER} SET grant_id = (SELECT id FROM {GRANTS} WHERE kind = 'purchase' ORDER BY id LIMIT 1)"
        f""" WHERE {one(LEDGER, "kind = 'reversal'")} RETURNING grant_id""",
        "reversals-repay-payers",
        "grants-equal-movements",
        column="grant_id",
    ),
    bug(
        "a voided grant that can still be spent",
        GRANTS,
        f"UPDATE {GRANTS} SET voided_at = now() WHERE {one(GRANTS, 'remaining > 0')} RETURNING id",
        "voided-grants-stay-void",
        "mutations-are-audited-once",
    ),
    bug(
        "credits bought without an order",
        GRANTS,
        f"""
        WITH torn AS (
            UPDATE {GRANTS} SET cause = 'purchase:' || gen_random_uuid()
            WHERE {one(GRANTS, "cause LIKE 'purchase:%'")} RETURNING id
        )
        SELECT purchase.id FROM {PURCHASES} AS purchase JOIN {INVOICES} AS invoice ON invoice.id = purchase.invoice_id
        WHERE invoice.status = 'paid' AND EXISTS (SELECT FROM torn)
        """,
        "purchases-are-granted",
        column="purchase_id",
    ),
    bug(
        "more credits granted than were ordered",
        PURCHASES,
        f"UPDATE {PURCHASES} SET credits = credits - 1 WHERE "
        + one(PURCHASES, "lapses_at IS NULL AND credits = 6")
        + " RETURNING id",
        "purchases-are-granted",
        column="purchase_id",
    ),
    bug(
        "an order that is withdrawn though it was paid",
        PURCHASES,
        f"UPDATE {PURCHASES} SET lapses_at = now() WHERE {one(PURCHASES, 'credits = 6')} RETURNING id",
        "purchases-are-granted",
        column="purchase_id",
    ),
    # --- Invoices ---
    bug(
        "an invoice that does not add up",
        INVOICES,
        f"""UPDATE {INVOICES} SET total_minor = total_minor + 1 WHERE {one(INVOICES, "status = 'paid'")}
        RETURNING id""",
        "invoice-lines-add-up",
        "paid-means-nothing-due",
        "issued-documents-equal-their-seals",
    ),
    bug(
        "a doctored invoice line",
        LINES,
        f"""UPDATE {LINES} SET description = description || '.' WHERE {PAID_LINE.format("= 'base'")}
        RETURNING invoice_id""",
        "issued-documents-equal-their-seals",
    ),
    bug(
        "a line that bills a unit too many",
        LINES,
        f"""UPDATE {LINES} SET quantity = quantity + 1 WHERE {PAID_LINE.format("<> 'base'")} RETURNING {ITS_PERIOD}""",
        "invoices-bill-all-charges",
        "issued-documents-equal-their-seals",
        column="period_id",
    ),
    bug(
        "a fee for more time than there was",
        LINES,
        f"""UPDATE {LINES} SET details = details || '{{"seconds": "9999999"}}' WHERE {PAID_LINE.format("= 'base'")}
        RETURNING {ITS_PERIOD}""",
        "base-fees-stay-within-their-periods",
        column="period_id",
    ),
    bug(
        "a discount that adds",
        LINES,
        f"""UPDATE {LINES} SET charge = 'discount' WHERE {PAID_LINE.format("= 'base'")} RETURNING {ITS_PERIOD}""",
        "discounts-stay-within-charges",
        column="period_id",
    ),
    bug(
        "a period that opened again by itself",
        "subscription_periods",
        "UPDATE subscription_periods SET closed_at = NULL WHERE closed_at IS NOT NULL RETURNING id",
        "closed-periods-are-invoiced",
    ),
    bug(
        "a period that is invoiced twice",
        INVOICES,
        f"""
        INSERT INTO {INVOICES} SELECT (jsonb_populate_record(invoice, jsonb_build_object('id', gen_random_uuid(),
            'status', 'draft', 'number', NULL, 'issued_at', NULL, 'kind', 'cycle'))).*
        FROM {INVOICES} AS invoice WHERE {one(INVOICES, "status = 'paid'")} RETURNING period_id
        """,
        "one-invoice-per-period",
        column="period_id",
        drops=("DROP INDEX invoices_once_per_occurrence",),
    ),
    bug(
        "a number that was left out",
        INVOICES,
        f"""UPDATE {INVOICES} SET number = replace(number, '0001', '0009') WHERE {one(INVOICES, "status = 'paid'")}"""
        " RETURNING '9'",
        "invoice-numbers-are-gapless",
        "issued-documents-equal-their-seals",
        column="highest",
    ),
    bug(
        "a counter that ran on",
        COUNTERS,
        f"UPDATE {COUNTERS} SET last = last + 1 WHERE document = 'credit_note' RETURNING series",
        "credit-note-numbers-are-gapless",
        column="series",
    ),
    # --- What became of them ---
    bug(
        "a paid invoice that is open again",
        INVOICES,
        f"""UPDATE {INVOICES} SET status = 'issued' WHERE {one(INVOICES, "status = 'paid'")} RETURNING id""",
        "paid-means-nothing-due",
        "unpaid-invoices-are-collected",
    ),
    bug(
        "a charge that was taken and not booked",
        "billing_charge_attempts",
        "INSERT INTO billing_charge_attempts (id, organization_id, collection_id, invoice_id, provider, key,"
        " amount_minor, status, reference, code, message, started_at, asked, finished_at)"
        " SELECT gen_random_uuid(), organization_id, id, invoice_id, 'stub', 'charge-1', 100, 'succeeded', 'lost',"
        " '', '', started_at, 1, started_at FROM billing_collections ORDER BY id LIMIT 1 RETURNING id",
        "charges-are-booked",
    ),
    bug(
        "an invoice that nobody was told of",
        "billing_mails",
        f"UPDATE billing_mails SET about = 'another' WHERE invoice_id = (SELECT id FROM {INVOICES}"
        " WHERE status = 'paid' ORDER BY id LIMIT 1) RETURNING invoice_id",
        "issued-invoices-are-mailed",
    ),
    bug(
        "a credit note of less than its lines",
        "marketplace_credit_notes",
        "UPDATE marketplace_credit_notes SET total_minor = total_minor - 1, tax_minor = tax_minor - 1 RETURNING id",
        "credit-notes-fit-their-lines",
        "paid-means-nothing-due",
        "issued-documents-equal-their-seals",
    ),
    bug(
        "a money balance that does not follow",
        "billing_balance_entries",
        "UPDATE billing_balance_entries SET balance_after_minor = balance_after_minor + 1 WHERE"
        " id = (SELECT min(id::text)::uuid FROM billing_balance_entries) RETURNING id",
        "balance-entries-follow",
    ),
)
