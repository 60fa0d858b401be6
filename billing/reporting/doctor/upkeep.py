"""What keeps the books: who did what is written down once, nothing waits unsent, and the database's guards stand."""

from billing.reporting.doctor.invariant import Invariant

# The triggers that keep evidence, by table. Those of packages above this one have to be on as well.
GUARDS = {
    "billing_audit_log": ("billing_audit_log_append_only",),
    "billing_balance_entries": ("billing_balance_entries_append_only",),
    "billing_charge_attempts": ("billing_charge_attempts_kept",),
    "billing_collections": ("billing_collections_kept",),
    "billing_credit_requests": ("credit_requests_decided_once", "credit_requests_kept"),
    "billing_document_seals": ("billing_document_seals_append_only",),
    "billing_mails": ("billing_mails_kept",),
    "billing_policy_decisions": ("billing_policy_decisions_append_only",),
    "billing_use_seals": ("billing_use_seals_append_only",),
    "marketplace_credit_ledger": ("marketplace_credit_ledger_append_only",),
    "marketplace_credit_note_lines": ("credit_note_lines_sums", "marketplace_credit_note_lines_append_only"),
    "marketplace_credit_notes": ("marketplace_credit_notes_append_only",),
    "marketplace_credit_seals": ("marketplace_credit_seals_append_only",),
    "marketplace_invoice_lines": (
        "invoice_lines_keep_issued_delete",
        "invoice_lines_keep_issued_insert",
        "invoice_lines_no_update",
    ),
    "marketplace_invoices": ("invoices_keep_issued_delete", "invoices_keep_issued_update", "invoices_no_truncate"),
    "marketplace_payments": ("marketplace_payments_append_only",),
    "marketplace_usage_events": ("marketplace_usage_events_append_only",),
    "organization_subscriptions": ("subscriptions_status_edges",),
    "usage_debit_holds": ("usage_debit_holds_append_only",),
    "usage_debit_resolutions": ("usage_debit_resolutions_append_only",),
    "usage_reservations": ("reservations_status_edges",),
}
_GUARDS = ", ".join(f"('{table}', '{name}')" for table, names in GUARDS.items() for name in names)

# What was done, as the books have it: which rows of the audit log tell of it, and whether :turn lets it be asked.
_DONE = """
    SELECT 'invoice.issue' AS act, invoice.id::text AS object_id, '' AS part, invoice.organization_id
    FROM marketplace_invoices AS invoice WHERE :of(invoice) AND invoice.issued_at IS NOT NULL AND :turn(invoice.id)
    UNION ALL
    SELECT 'invoice.void', invoice.id::text, '', invoice.organization_id
    FROM marketplace_invoices AS invoice WHERE :of(invoice) AND invoice.status = 'void' AND :turn(invoice.id)
    UNION ALL
    SELECT 'invoice.credit', note.invoice_id::text, note.number, note.organization_id
    FROM marketplace_credit_notes AS note WHERE :of(note) AND :turn(note.invoice_id)
    UNION ALL
    SELECT CASE payment.kind WHEN 'refund' THEN 'invoice.refund' ELSE 'invoice.pay' END, payment.invoice_id::text,
        payment.provider || ' ' || payment.reference, payment.organization_id
    FROM marketplace_payments AS payment
    WHERE :of(payment) AND payment.provider <> 'balance' AND :turn(payment.invoice_id)
    UNION ALL
    SELECT 'usage.reverse', event.reverses_id::text, event.id::text, event.organization_id
    FROM marketplace_usage_events AS event
    WHERE :of(event) AND event.reverses_id IS NOT NULL AND :turn(event.reverses_id)
    UNION ALL
    SELECT 'guardrail.clear', resolution.hold_id::text, '', resolution.organization_id
    FROM usage_debit_resolutions AS resolution
    WHERE :of(resolution) AND resolution.state = 'cleared' AND :turn(resolution.hold_id)
    UNION ALL
    SELECT 'credits.' || CASE request.status WHEN 'approved' THEN 'approve' ELSE 'reject' END, request.id::text, '',
        request.organization_id
    FROM billing_credit_requests AS request WHERE :of(request) AND request.status <> 'waiting' AND :turn(request.id)
    UNION ALL
    SELECT 'credits.void', credit.id::text, '', credit.organization_id
    FROM marketplace_credit_grants AS credit WHERE :of(credit) AND credit.voided_at IS NOT NULL AND :turn(credit.id)
    UNION ALL
    SELECT CASE entry.kind WHEN 'payout' THEN 'balance.pay_out' ELSE 'balance.receive' END,
        entry.organization_id::text, entry.reference, entry.organization_id
    FROM billing_balance_entries AS entry
    WHERE :of(entry) AND entry.payment_id IS NULL AND :turn(entry.organization_id)
    UNION ALL
    SELECT 'subscription.created', subscription.id::text, '', subscription.organization_id
    FROM organization_subscriptions AS subscription WHERE :of(subscription) AND :turn(subscription.id)
    UNION ALL
    SELECT 'key.create', own.id::text, '', own.organization_id
    FROM api_keys AS own WHERE :of(own) AND :turn(own.id)
    UNION ALL
    SELECT 'key.revoke', own.id::text, '', own.organization_id
    FROM api_keys AS own WHERE :of(own) AND own.revoked_at IS NOT NULL AND :turn(own.id)
"""
_TOLD = """
    SELECT entry.act, entry.object_id, CASE entry.act
        WHEN 'invoice.credit' THEN entry.details ->> 'credit_note'
        WHEN 'invoice.pay' THEN (entry.details ->> 'provider') || ' ' || (entry.details ->> 'reference')
        WHEN 'invoice.refund' THEN (entry.details ->> 'provider') || ' ' || (entry.details ->> 'reference')
        WHEN 'usage.reverse' THEN entry.details ->> 'reversal_id'
        WHEN 'balance.pay_out' THEN entry.details ->> 'reference'
        WHEN 'balance.receive' THEN entry.details ->> 'reference'
        ELSE '' END AS part, entry.organization_id
    FROM billing_audit_log AS entry
    WHERE :of(entry) AND :turn(entry.object_id) AND entry.act IN (
        'invoice.issue', 'invoice.void', 'invoice.credit', 'invoice.pay', 'invoice.refund', 'usage.reverse',
        'guardrail.clear', 'credits.approve', 'credits.reject', 'credits.void', 'balance.pay_out', 'balance.receive',
        'subscription.created', 'key.create', 'key.revoke')
"""

UPKEEP = (
    Invariant(
        name="mutations-are-audited-once",
        sentence=(
            "Whatever was subscribed, issued, voided, credited, paid, received, refunded, reversed, cleared, approved "
            "or rejected, and each key made and revoked, is in the audit log, once, and nothing that did not happen."
        ),
        hint="An operation was walked around, or the log was changed behind its trigger: find out which first.",
        sql=f"""
            SELECT coalesce(done.act, told.act) AS act, coalesce(done.object_id, told.object_id) AS object_id,
                coalesce(done.part, told.part) AS part, coalesce(done.times, 0) AS done, coalesce(told.times, 0) AS told
            FROM (SELECT act, object_id, part, count(*) AS times FROM ({_DONE}) AS done GROUP BY 1, 2, 3) AS done
            FULL JOIN (SELECT act, object_id, part, count(*) AS times FROM ({_TOLD}) AS told GROUP BY 1, 2, 3) AS told
                ON told.act = done.act AND told.object_id = done.object_id AND told.part = done.part
            WHERE done.times IS DISTINCT FROM told.times
        """,  # noqa: S608 - put together from constants
    ),
    Invariant(
        name="outbox-is-drained",
        sentence="No domain event waits for distribution, and no message for its first attempt, for fifteen minutes.",
        hint="See whether the worker and beat run; whatever waits is sent as soon as they do.",
        # The age of an event is read off its identifier: created_at of a sandbox follows its own clock.
        sql="""
            SELECT event.id AS event_id, event.topic, NULL::uuid AS endpoint_id
            FROM billing_outbox AS event
            WHERE :of(event) AND event.processed_at IS NULL AND event.id < (
                rpad(lpad(to_hex((extract(epoch FROM now() - interval '15 minutes') * 1000)::bigint), 12, '0'), 32, '0')
            )::uuid
            UNION ALL
            SELECT delivery.event_id, delivery.status, delivery.endpoint_id
            FROM webhook_deliveries AS delivery
            JOIN webhook_endpoints AS endpoint ON endpoint.id = delivery.endpoint_id
                AND endpoint.disabled_at IS NULL AND endpoint.paused_at IS NULL
            WHERE :of(delivery) AND delivery.status = 'pending' AND delivery.attempts = 0
                AND delivery.next_attempt_at < now() - interval '15 minutes'
                -- Messages go in their order: those behind one that fails wait with it.
                AND NOT EXISTS (
                    SELECT FROM webhook_deliveries AS head WHERE head.endpoint_id = delivery.endpoint_id
                        AND head.status = 'pending' AND head.failures > 0)
        """,
    ),
    Invariant(
        name="guards-stand",
        sentence="Every trigger that keeps evidence and legal statuses is there and always on, in replica mode too.",
        hint="Somebody switched it off: ENABLE ALWAYS TRIGGER, then verify all books and ask why.",
        is_global=True,
        sql=f"""
            SELECT coalesce(wanted.place, found.tgrelid::regclass::text) AS "table",
                coalesce(wanted.name, found.tgname) AS trigger, coalesce(found.tgenabled::text, 'missing') AS state
            FROM (VALUES {_GUARDS}) AS wanted (place, name)
            FULL JOIN (SELECT * FROM pg_trigger WHERE NOT tgisinternal) AS found
                ON found.tgrelid = to_regclass(wanted.place) AND found.tgname = wanted.name
            WHERE found.tgenabled IS DISTINCT FROM 'A'
        """,  # noqa: S608 - put together from constants
    ),
    Invariant(
        name="no-float-column",
        sentence="No column of the schema holds a floating point number: money and quantities are exact.",
        hint="Make it bigint (minor units) or numeric, and recount what it held from its evidence.",
        is_global=True,
        sql="""
            SELECT place.relname AS "table", field.attname AS "column", format_type(field.atttypid, NULL) AS type
            FROM pg_attribute AS field
            JOIN pg_class AS place ON place.oid = field.attrelid AND place.relkind IN ('r', 'p', 'v', 'm')
            JOIN pg_namespace AS space ON space.oid = place.relnamespace
            WHERE space.nspname = current_schema() AND field.attnum > 0 AND NOT field.attisdropped
                AND field.atttypid IN ('real'::regtype, 'double precision'::regtype, 'money'::regtype,
                    'real[]'::regtype, 'double precision[]'::regtype)
        """,
    ),
)
