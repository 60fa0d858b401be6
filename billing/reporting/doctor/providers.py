"""What providers told, and what the books made of it."""

from billing.reporting.doctor.invariant import Invariant

PROVIDERS = (
    Invariant(
        name="provider-events-agree",
        sentence="What a provider ended is not live here, and what it took is in the books.",
        hint="Look at the object's events with `mcpctl billing providers events list`, and replay them.",
        sql="""
            SELECT told.subject, told.state, told.event_id, subscription.id AS subscription_id, subscription.status
            FROM billing_provider_objects AS told
            JOIN organization_subscriptions AS subscription ON subscription.organization_id = told.organization_id
                AND subscription.provider = told.provider
                AND 'subscription:' || subscription.provider_reference = told.subject
            WHERE :of(told) AND told.state IN ('deleted', 'canceled', 'expired')
                AND subscription.status NOT IN ('canceled', 'expired')
            UNION ALL
            SELECT told.subject, told.state, told.event_id, NULL, NULL
            FROM billing_provider_objects AS told
            WHERE :of(told) AND told.state = 'succeeded' AND starts_with(told.subject, 'payment:')
                AND NOT EXISTS (
                    SELECT FROM marketplace_payments AS payment
                    WHERE payment.provider = told.provider AND 'payment:' || payment.reference = told.subject
                )
                AND NOT EXISTS (
                    SELECT FROM billing_balance_entries AS entry
                    WHERE entry.provider = told.provider AND 'payment:' || entry.reference = told.subject
                )
        """,
    ),
)
