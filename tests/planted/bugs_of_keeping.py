"""Bugs in what keeps the books: the audit log, the outbox, the database's guards, the schema, the metrics."""

from tests.planted.planting import bug, one

AUDIT = "billing_audit_log"

BUGS_OF_KEEPING = (
    bug(
        "an invoice issued by nobody",
        AUDIT,
        f"""DELETE FROM {AUDIT} WHERE {one(AUDIT, "act = 'invoice.issue'")} RETURNING object_id""",
        "mutations-are-audited-once",
        column="object_id",
    ),
    bug(
        "a subscription that nobody made",
        AUDIT,
        f"""DELETE FROM {AUDIT} WHERE {one(AUDIT, "act = 'subscription.created'")} RETURNING object_id""",
        "mutations-are-audited-once",
        column="object_id",
    ),
    bug(
        "a key revoked behind everybody",
        "api_keys",
        f"""UPDATE api_keys SET revoked_at = now() WHERE {one("api_keys", "revoked_at IS NULL")} RETURNING id""",
        "mutations-are-audited-once",
        column="object_id",
    ),
    bug(
        "a payment audited twice",
        AUDIT,
        f"INSERT INTO {AUDIT} SELECT gen_random_uuid(), organization_id, actor, act, object_type, object_id, reason,"
        f""" details, recorded_at FROM {AUDIT} WHERE {one(AUDIT, "act = 'invoice.pay'")} RETURNING object_id""",
        "mutations-are-audited-once",
        column="object_id",
    ),
    bug(
        "an event that nobody distributes",
        "billing_outbox",
        "INSERT INTO billing_outbox (id, organization_id, topic, payload, position, created_at)"
        " SELECT '01900000-0000-7000-8000-000000000000', id, 'invoice.issued', '{}', 1, now() FROM organizations"
        " WHERE is_sandbox RETURNING id",
        "outbox-is-drained",
        column="event_id",
    ),
    bug(
        "a trigger that was left off",
        "marketplace_usage_events",
        "SELECT 'marketplace_usage_events_append_only'",
        "guards-stand",
        column="trigger",
        leaves_guards_off=True,
    ),
    bug(
        "an amount in floating point",
        "marketplace_invoices",
        "ALTER TABLE marketplace_invoices ADD COLUMN margin double precision",
        "no-float-column",
        column="",
    ),
)
