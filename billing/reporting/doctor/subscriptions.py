"""Subscriptions: one spine of time each, one plan at a time, one of them alive."""

from billing.models import LIVE
from billing.reporting.doctor.invariant import Invariant

_LIVE = ", ".join(f"'{status.value}'" for status in LIVE)

SUBSCRIPTIONS = (
    Invariant(
        name="one-live-subscription",
        sentence="An organization has at most one live subscription to a product.",
        hint="Cancel all but the one that the customer uses.",
        sql=f"""
            SELECT subscription.organization_id, subscription.product, count(*) AS live
            FROM organization_subscriptions AS subscription
            WHERE :of(subscription) AND subscription.status IN ({_LIVE})
            GROUP BY subscription.organization_id, subscription.product HAVING count(*) > 1
        """,  # noqa: S608 - the statuses are our own
    ),
    Invariant(
        name="periods-are-contiguous",
        sentence="A subscription's periods are numbered without a gap and each starts where the one before ends.",
        hint="The spine was changed by hand: no invoice of this subscription is to be trusted until it is mended.",
        sql="""
            SELECT id, subscription_id, ordinal, starts_at, ends_at, before AS starts_expected
            FROM (
                SELECT period.*, lag(period.ends_at) OVER spine AS before,
                    lag(period.ordinal) OVER spine AS ordinal_before,
                    subscription.starts_at AS subscribed_at
                FROM subscription_periods AS period
                JOIN organization_subscriptions AS subscription ON subscription.id = period.subscription_id
                WHERE :of(period)
                WINDOW spine AS (PARTITION BY period.subscription_id ORDER BY period.ordinal)
            ) AS followed
            WHERE ends_at <= starts_at
                OR CASE WHEN before IS NULL THEN ordinal > 1 OR starts_at <> subscribed_at
                    ELSE starts_at <> before OR ordinal <> ordinal_before + 1 END
        """,
    ),
    Invariant(
        name="plan-spans-tile",
        sentence="A subscription was on exactly one plan version at each instant from its start on.",
        hint="Mend the spans before anything is rated: late use is judged by them.",
        sql="""
            SELECT id, subscription_id, plan_id, starts_at, ends_at, starts_expected
            FROM (
                SELECT span.*,
                    lag(span.ends_at, 1, subscription.starts_at) OVER (
                        PARTITION BY span.subscription_id ORDER BY span.starts_at, span.ends_at, span.id
                    ) AS starts_expected
                FROM subscription_plan_spans AS span
                JOIN organization_subscriptions AS subscription ON subscription.id = span.subscription_id
                WHERE :of(span)
            ) AS followed
            WHERE starts_at IS DISTINCT FROM starts_expected
        """,
    ),
    Invariant(
        name="subscription-is-on-its-open-span",
        sentence="A live subscription's plan is that of its open span; an ended one has no open span.",
        hint="Compare the audit log's plan changes with the spans, and set the column that is wrong.",
        sql=f"""
            SELECT subscription.id, subscription.status, subscription.plan_id, span.plan_id AS open_span_plan_id,
                subscription.ended_at
            FROM organization_subscriptions AS subscription
            LEFT JOIN subscription_plan_spans AS span
                ON span.subscription_id = subscription.id AND span.ends_at IS NULL
            WHERE :of(subscription) AND CASE WHEN subscription.status IN ({_LIVE})
                THEN span.plan_id IS DISTINCT FROM subscription.plan_id OR subscription.ended_at IS NOT NULL
                ELSE span.id IS NOT NULL OR subscription.ended_at IS NULL END
        """,  # noqa: S608 - the statuses are our own
    ),
    Invariant(
        name="rows-stay-in-their-organization",
        sentence="What belongs to a subscription belongs to its organization.",
        hint="A row crossed from one tenant to another: find out how before mending it.",
        sql="\nUNION ALL\n".join(
            f"SELECT '{table}' AS held_in, row.subscription_id, row.organization_id, owner.organization_id AS owner_id "  # noqa: S608 - the names are our own
            f"FROM {':events(row)' if table == 'marketplace_usage_events' else f'{table} AS row'} "
            f"JOIN organization_subscriptions AS owner ON owner.id = row.subscription_id "
            "WHERE :of(row) AND row.organization_id <> owner.organization_id"
            for table in (
                "subscription_periods",
                "subscription_plan_spans",
                "subscription_usage_ledger",
                "billing_usage_charges",
                "marketplace_usage_events",
                "marketplace_subscriptions",
                "marketplace_credit_grants",
                "marketplace_credit_ledger",
                "marketplace_invoices",
            )
        ),
    ),
)
