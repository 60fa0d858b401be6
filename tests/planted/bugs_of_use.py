"""Bugs in subscriptions, use, windows, charges, limits and reservations."""

from tests.planted.planting import bug, one

SUBSCRIPTIONS = "organization_subscriptions"
PERIODS = "subscription_periods"
SPANS = "subscription_plan_spans"
WINDOWS = "subscription_usage_ledger"
CHARGES = "billing_usage_charges"
EVENTS = "marketplace_usage_events"
HOLDS = "usage_debit_holds"
RESOLUTIONS = "usage_debit_resolutions"
RESERVATIONS = "usage_reservations"
FREE = "overage = 0 AND credits_due = 0 AND reverses_id IS NULL AND clears_id IS NULL"
FREE_REVERSAL = one(EVENTS, "reverses_id IS NOT NULL AND meter = 'cases'")

BUGS_OF_USE = (
    # --- Subscriptions and their time ---
    bug(
        "an ended subscription lives on beside the new one",
        SUBSCRIPTIONS,
        f"UPDATE {SUBSCRIPTIONS} SET status = 'active', ended_at = NULL WHERE status = 'canceled' RETURNING product",
        "one-live-subscription",
        "subscription-is-on-its-open-span",
        column="product",
        drops=("DROP INDEX subscriptions_one_live_per_product",),
    ),
    bug(
        "a period begins a second late",
        PERIODS,
        f"UPDATE {PERIODS} SET starts_at = starts_at + interval '1 second' WHERE {one(PERIODS, 'ordinal = 2')}"
        " RETURNING id",
        "periods-are-contiguous",
        drops=("ALTER TABLE subscription_periods DROP CONSTRAINT periods_prev_end_fk",),
    ),
    bug(
        "a plan begins a second late",
        SPANS,
        f"UPDATE {SPANS} SET starts_at = starts_at + interval '1 second' WHERE ends_at IS NULL RETURNING id",
        "plan-spans-tile",
        "events-were-on-their-plan",
    ),
    bug(
        "a plan change that writes no span",
        SUBSCRIPTIONS,
        f"UPDATE {SUBSCRIPTIONS} SET plan_id = (SELECT id FROM billing_plans WHERE code = 'big')"
        " WHERE status = 'active' RETURNING id",
        "subscription-is-on-its-open-span",
    ),
    bug(
        "a charge that crosses to another tenant",
        CHARGES,
        f"UPDATE {CHARGES} SET organization_id = (SELECT id FROM organizations WHERE slug = 'elsewhere')"
        f" WHERE id = (SELECT min(id) FROM {CHARGES}) RETURNING subscription_id",
        "rows-stay-in-their-organization",
        column="subscription_id",
        is_of_two=True,
    ),
    bug(
        "a subscription past due for nothing",
        SUBSCRIPTIONS,
        f"UPDATE {SUBSCRIPTIONS} SET status = 'past_due', past_due_at = starts_at WHERE status = 'active' RETURNING id",
        "past-due-means-unpaid",
    ),
    bug(
        "a subscription that its provider ended",
        "billing_provider_objects",
        "UPDATE billing_provider_objects SET state = 'succeeded', subject = 'payment:pi_1' RETURNING subject",
        "provider-events-agree",
        column="subject",
    ),
    # --- Windows ---
    bug(
        "a window bumped twice",
        WINDOWS,
        f"UPDATE {WINDOWS} SET used = used + 1.5, events = events + 1"
        f""" WHERE {one(WINDOWS, "cadence = 'daily' AND meter = 'cases'")} RETURNING id""",
        "calendar-windows-equal-events",
        "days-make-up-the-life",
    ),
    bug(
        "a month with overage that nobody used",
        WINDOWS,
        f"""UPDATE {WINDOWS} SET overage = overage + 1 WHERE {one(WINDOWS, "cadence = 'monthly'")} RETURNING id""",
        "calendar-windows-equal-events",
        "months-make-up-the-life",
    ),
    bug(
        "a lost month",
        WINDOWS,
        f"""DELETE FROM {WINDOWS} WHERE {one(WINDOWS, "cadence = 'monthly'")} RETURNING subscription_id""",
        "months-make-up-the-life",
        column="subscription_id",
    ),
    bug(
        "a lost day",
        WINDOWS,
        f"""DELETE FROM {WINDOWS} WHERE {one(WINDOWS, "cadence = 'daily'")} RETURNING subscription_id""",
        "days-make-up-the-life",
        column="subscription_id",
    ),
    bug(
        "a life that counts an event twice",
        WINDOWS,
        f"""UPDATE {WINDOWS} SET events = events + 1 WHERE {one(WINDOWS, "cadence = 'never'")}
        RETURNING subscription_id""",
        "lifetime-windows-equal-events",
        "months-make-up-the-life",
        "days-make-up-the-life",
        "metrics-equal-facts",
        column="subscription_id",
    ),
    bug(
        "a lost period window",
        WINDOWS,
        f"""DELETE FROM {WINDOWS} WHERE {one(WINDOWS, "cadence = 'billing_period'")} RETURNING subscription_id""",
        "period-windows-equal-events",
        column="subscription_id",
    ),
    # --- Events and charges ---
    bug(
        "a charge of more than was used",
        CHARGES,
        f"UPDATE {CHARGES} SET overage = overage + 1 WHERE id = (SELECT min(id) FROM {CHARGES})"
        " RETURNING billed_period_id",
        "charges-equal-events",
        column="billed_period_id",
    ),
    bug(
        "a charge that was dropped after it was billed",
        CHARGES,
        f"DELETE FROM {CHARGES} WHERE id = (SELECT charge.id FROM {CHARGES} AS charge JOIN {PERIODS} AS period"
        " ON period.id = charge.billed_period_id WHERE period.closed_at IS NOT NULL ORDER BY charge.id LIMIT 1)"
        " RETURNING billed_period_id",
        "charges-equal-events",
        "invoices-bill-all-charges",
        column="billed_period_id",
    ),
    bug(
        "an event that was paid for less than nothing",
        EVENTS,
        f"UPDATE {EVENTS} SET credits_due = -1, credits_paid = -1 WHERE {one(EVENTS, FREE)} RETURNING id",
        "events-split-sanely",
        "debits-pay-events",
    ),
    bug(
        "an event of another year",
        EVENTS,
        f"UPDATE {EVENTS} SET occurred_at = occurred_at - interval '400 days' WHERE {one(EVENTS, FREE)} RETURNING id",
        "events-stand-in-their-periods",
        "events-were-on-their-plan",
        "calendar-windows-equal-events",
        "sealed-use-is-unchanged",
    ),
    bug(
        "an event that was judged by another plan",
        EVENTS,
        f"UPDATE {EVENTS} SET plan_id = gen_random_uuid() WHERE {one(EVENTS, FREE)} RETURNING id",
        "events-were-on-their-plan",
    ),
    bug(
        "an event that no period bills",
        EVENTS,
        f"UPDATE {EVENTS} SET billed_period_id = gen_random_uuid() WHERE {one(EVENTS, FREE)} RETURNING id",
        "events-stand-in-their-periods",
    ),
    bug(
        "old use with another name on it",
        EVENTS,
        f"UPDATE {EVENTS} SET service = 'doctored' WHERE {one(EVENTS, 'reverses_id IS NULL')} RETURNING period_id",
        "sealed-use-is-unchanged",
        column="period_id",
    ),
    # --- Reversals and held debits ---
    bug(
        "a reversal of nothing",
        EVENTS,
        f"UPDATE {EVENTS} SET reverses_id = gen_random_uuid() WHERE {FREE_REVERSAL} RETURNING id",
        "reversals-stand-with-their-events",
        "mutations-are-audited-once",
    ),
    bug(
        "a reversal of more than there was",
        EVENTS,
        f"UPDATE {EVENTS} SET quantity = quantity - 10 WHERE {FREE_REVERSAL} RETURNING meter",
        "reversals-within-events",
        "lifetime-windows-equal-events",
        "period-windows-equal-events",
        "calendar-windows-equal-events",
        column="meter",
    ),
    bug(
        "a hold of more than was used",
        HOLDS,
        f"UPDATE {HOLDS} SET overage = 5000 WHERE event_id = (SELECT min(hold_id::text)::uuid FROM {RESOLUTIONS}"
        " WHERE state = 'cleared') RETURNING event_id",
        "held-use-costs-nothing",
        column="event_id",
    ),
    bug(
        "a debit that nobody cleared",
        RESOLUTIONS,
        f"DELETE FROM {RESOLUTIONS} WHERE state = 'cleared' RETURNING hold_id",
        "held-debits-are-made-when-cleared",
        "mutations-are-audited-once",
        column="event_id",
    ),
    bug(
        "a rejection that was forgotten",
        RESOLUTIONS,
        f"DELETE FROM {RESOLUTIONS} WHERE state = 'rejected' RETURNING hold_id",
        "rejected-debits-are-reversed",
        column="event_id",
    ),
    # --- Limits and reservations ---
    bug(
        "an event that grew after it was counted",
        EVENTS,
        f"""UPDATE {EVENTS} SET quantity = 51 WHERE {one(EVENTS, "meter = 'cases' AND reverses_id IS NULL")}
        RETURNING meter""",
        "calendar-windows-equal-events",
        "lifetime-windows-equal-events",
        column="meter",
    ),
    bug(
        "use admitted beyond its limit, and counted everywhere",
        WINDOWS,
        f"""
        WITH doctored AS (
            UPDATE {EVENTS} SET quantity = 51 WHERE {one(EVENTS, "meter = 'cases' AND reverses_id IS NULL")}
            RETURNING id, subscription_id, occurred_at
        ), counted AS (
            UPDATE {WINDOWS} AS usage SET used = usage.used + 49.5 FROM doctored
            WHERE usage.subscription_id = doctored.subscription_id AND usage.meter = 'cases'
                AND doctored.occurred_at >= usage.starts_at AND doctored.occurred_at < usage.ends_at
        )
        SELECT id FROM doctored
        """,
        "no-limit-overshot",
        column="event_id",
        drops=("ALTER TABLE marketplace_usage_events DISABLE TRIGGER marketplace_usage_events_append_only",),
    ),
    bug(
        "a reservation that settled for less than it counted",
        RESERVATIONS,
        f"UPDATE {RESERVATIONS} SET settled_quantity = 1 WHERE status = 'settled' RETURNING id",
        "reservations-are-settled-once",
        column="reservation_id",
    ),
)
