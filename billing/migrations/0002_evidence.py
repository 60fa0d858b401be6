"""What Django's models cannot say: the spine's foreign key, and triggers that keep evidence as it was written.

Triggers are per statement (a row trigger lets an UPDATE of no row pass) and ENABLE ALWAYS (an ordinary one sleeps in
replica mode, which any superuser session can enter).
"""

from django.db import migrations

SPINE = """
ALTER TABLE subscription_periods
    ADD CONSTRAINT periods_prev_end_fk FOREIGN KEY (subscription_id, prev_end)
    REFERENCES subscription_periods (subscription_id, ends_at);
"""
SPINE_BACK = "ALTER TABLE subscription_periods DROP CONSTRAINT periods_prev_end_fk;"

# Rows that every event updates: room on the page keeps those updates off the indexes (HOT).
FILL = """
ALTER TABLE subscription_usage_ledger SET (fillfactor = 70);
ALTER TABLE marketplace_subscriptions SET (fillfactor = 70);
ALTER TABLE marketplace_credit_grants SET (fillfactor = 70);
"""
FILL_BACK = """
ALTER TABLE subscription_usage_ledger RESET (fillfactor);
ALTER TABLE marketplace_subscriptions RESET (fillfactor);
ALTER TABLE marketplace_credit_grants RESET (fillfactor);
"""

APPEND_ONLY_FUNCTION = """
CREATE FUNCTION billing_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only: % refused', TG_TABLE_NAME, TG_OP USING ERRCODE = 'integrity_constraint_violation';
END $$;
"""

APPEND_ONLY_TABLES = ("marketplace_usage_events", "marketplace_credit_ledger", "billing_audit_log")


def append_only(table: str) -> str:
    return f"""
CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table}
    FOR EACH STATEMENT EXECUTE FUNCTION billing_refuse_change();
ALTER TABLE {table} ENABLE ALWAYS TRIGGER {table}_append_only;
"""


def append_only_back(table: str) -> str:
    return f"DROP TRIGGER {table}_append_only ON {table};"


# An issued invoice may change its status and nothing else; it cannot become a draft again or be deleted.
INVOICES = """
CREATE FUNCTION billing_keep_issued_invoices() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        IF EXISTS (SELECT FROM was WHERE status <> 'draft') THEN
            RAISE EXCEPTION 'an issued invoice cannot be deleted' USING ERRCODE = 'integrity_constraint_violation';
        END IF;
    ELSIF EXISTS (
        SELECT FROM was JOIN becomes USING (id) WHERE was.status <> 'draft'
        AND (becomes.status = 'draft' OR to_jsonb(was) - 'status' <> to_jsonb(becomes) - 'status')
    ) OR EXISTS (SELECT FROM was WHERE status <> 'draft' AND id NOT IN (SELECT id FROM becomes)) THEN
        RAISE EXCEPTION 'an issued invoice is frozen' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER invoices_keep_issued_update AFTER UPDATE ON marketplace_invoices
    REFERENCING OLD TABLE AS was NEW TABLE AS becomes
    FOR EACH STATEMENT EXECUTE FUNCTION billing_keep_issued_invoices();
CREATE TRIGGER invoices_keep_issued_delete AFTER DELETE ON marketplace_invoices
    REFERENCING OLD TABLE AS was
    FOR EACH STATEMENT EXECUTE FUNCTION billing_keep_issued_invoices();
CREATE TRIGGER invoices_no_truncate BEFORE TRUNCATE ON marketplace_invoices
    FOR EACH STATEMENT EXECUTE FUNCTION billing_refuse_change();
ALTER TABLE marketplace_invoices ENABLE ALWAYS TRIGGER invoices_keep_issued_update;
ALTER TABLE marketplace_invoices ENABLE ALWAYS TRIGGER invoices_keep_issued_delete;
ALTER TABLE marketplace_invoices ENABLE ALWAYS TRIGGER invoices_no_truncate;
"""
INVOICES_BACK = """
DROP TRIGGER invoices_keep_issued_update ON marketplace_invoices;
DROP TRIGGER invoices_keep_issued_delete ON marketplace_invoices;
DROP TRIGGER invoices_no_truncate ON marketplace_invoices;
DROP FUNCTION billing_keep_issued_invoices();
"""

LINES = """
CREATE FUNCTION billing_keep_issued_lines() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (
        SELECT FROM touched JOIN marketplace_invoices invoice ON invoice.id = touched.invoice_id
        WHERE invoice.status <> 'draft'
    ) THEN
        RAISE EXCEPTION 'lines of an issued invoice are frozen' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER invoice_lines_keep_issued_insert AFTER INSERT ON marketplace_invoice_lines
    REFERENCING NEW TABLE AS touched FOR EACH STATEMENT EXECUTE FUNCTION billing_keep_issued_lines();
CREATE TRIGGER invoice_lines_keep_issued_delete AFTER DELETE ON marketplace_invoice_lines
    REFERENCING OLD TABLE AS touched FOR EACH STATEMENT EXECUTE FUNCTION billing_keep_issued_lines();
CREATE TRIGGER invoice_lines_no_update BEFORE UPDATE OR TRUNCATE ON marketplace_invoice_lines
    FOR EACH STATEMENT EXECUTE FUNCTION billing_refuse_change();
ALTER TABLE marketplace_invoice_lines ENABLE ALWAYS TRIGGER invoice_lines_keep_issued_insert;
ALTER TABLE marketplace_invoice_lines ENABLE ALWAYS TRIGGER invoice_lines_keep_issued_delete;
ALTER TABLE marketplace_invoice_lines ENABLE ALWAYS TRIGGER invoice_lines_no_update;
"""
LINES_BACK = """
DROP TRIGGER invoice_lines_keep_issued_insert ON marketplace_invoice_lines;
DROP TRIGGER invoice_lines_keep_issued_delete ON marketplace_invoice_lines;
DROP TRIGGER invoice_lines_no_update ON marketplace_invoice_lines;
DROP FUNCTION billing_keep_issued_lines();
"""


class Migration(migrations.Migration):
    dependencies = [("billing", "0001_tables")]

    operations = [
        migrations.RunSQL(SPINE, SPINE_BACK),
        migrations.RunSQL(FILL, FILL_BACK),
        migrations.RunSQL(APPEND_ONLY_FUNCTION, "DROP FUNCTION billing_refuse_change();"),
        *(migrations.RunSQL(append_only(table), append_only_back(table)) for table in APPEND_ONLY_TABLES),
        migrations.RunSQL(INVOICES, INVOICES_BACK),
        migrations.RunSQL(LINES, LINES_BACK),
    ]
