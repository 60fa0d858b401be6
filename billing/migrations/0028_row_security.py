"""Each organization's rows behind a policy of their own: who is not their owner sees those of ``app.organizations``.

A session that says nothing sees everything, as those of the release before this one do. Turning it on rewrites no row,
and the lock it takes is held for an instant.
"""

from django.db import migrations

TABLES = """
    api_keys billing_audit_log billing_balance_entries billing_charge_attempts billing_collections
    billing_credit_requests billing_document_seals billing_mails billing_outbox billing_policy_decisions
    billing_provider_customers billing_provider_events billing_provider_objects billing_refusal_counts
    billing_stub_charges billing_stub_readings billing_usage_charges billing_use_seals marketplace_credit_grants
    marketplace_credit_ledger marketplace_credit_note_lines marketplace_credit_notes
    marketplace_credit_purchases marketplace_credit_seals marketplace_invoice_lines marketplace_invoices
    marketplace_payments marketplace_subscriptions marketplace_usage_events organization_billing_profiles
    organization_invitations organization_memberships organization_subscriptions subscription_discounts
    subscription_periods subscription_plan_spans subscription_usage_ledger usage_debit_holds
    usage_debit_resolutions usage_event_payloads usage_reservations webhook_attempts webhook_deliveries
    webhook_endpoints
""".split()

# Evaluated once for each statement, not for each row.
SHOWN = """
CREATE FUNCTION billing_organizations() RETURNS uuid[] LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT nullif(current_setting('app.organizations', true), '')::uuid[]
$$;
"""


def guard(table: str, column: str = "organization_id") -> str:
    return f"""
ALTER TABLE {table} ENABLE ROW LEVEL SECURITY;
CREATE POLICY billing_row_security ON {table}
    USING ((SELECT billing_organizations()) IS NULL OR {column} = ANY ((SELECT billing_organizations())::uuid[]));
"""


def unguard(table: str) -> str:
    return f"DROP POLICY billing_row_security ON {table}; ALTER TABLE {table} DISABLE ROW LEVEL SECURITY;"


class Migration(migrations.Migration):
    dependencies = [("billing", "0027_purchases_checked")]

    operations = [
        migrations.RunSQL(SHOWN, "DROP FUNCTION billing_organizations();"),
        migrations.RunSQL(guard("organizations", "id"), unguard("organizations")),
        *(migrations.RunSQL(guard(table), unguard(table)) for table in TABLES),
    ]
