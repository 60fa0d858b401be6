from zoneinfo import ZoneInfo

from django.db import migrations

from billing.kernel.periods import Cadence, calendar_window

# Nobody records while the weeks of what was recorded are counted.
ALONE = "LOCK TABLE marketplace_usage_events, subscription_usage_ledger IN SHARE ROW EXCLUSIVE MODE"
REACH = """
    SELECT organization.id, organization.zone, reach.first_at, reach.last_at
    FROM organizations AS organization
    JOIN (
        SELECT organization_id, min(occurred_at) AS first_at, max(occurred_at) AS last_at
        FROM marketplace_usage_events GROUP BY organization_id
    ) AS reach ON reach.organization_id = organization.id
"""
# A week that a limit had asked for is counted anew: it may have begun with a plan, in the middle.
COUNT = """
    INSERT INTO subscription_usage_ledger (organization_id, subscription_id, meter, cadence, starts_at, ends_at, used,
        overage, events)
    SELECT %(organization)s, counted.subscription_id, counted.meter, 'weekly', (%(bounds)s::timestamptz[])[counted.week],
        (%(bounds)s::timestamptz[])[counted.week + 1], counted.used, counted.overage, counted.events
    FROM (
        SELECT event.subscription_id, event.meter,
            width_bucket(event.occurred_at, %(bounds)s::timestamptz[]) AS week,
            sum(event.quantity) AS used, sum(event.overage) AS overage, count(*) AS events
        FROM marketplace_usage_events AS event
        WHERE event.organization_id = %(organization)s
        GROUP BY 1, 2, 3
    ) AS counted
    ON CONFLICT (organization_id, meter, cadence, starts_at, subscription_id) DO UPDATE
        SET used = excluded.used, overage = excluded.overage, events = excluded.events
"""


def count_weeks(apps, schema_editor):
    """Every use gets its weekly window, as recording keeps one from now on."""
    with schema_editor.connection.cursor() as cursor:
        cursor.execute(ALONE)
        cursor.execute(REACH)
        for organization_id, zone, first_at, last_at in cursor.fetchall():
            week = calendar_window(Cadence.WEEKLY, first_at, ZoneInfo(zone))
            bounds = [week.starts_at, week.ends_at]
            while bounds[-1] <= last_at:
                bounds.append(calendar_window(Cadence.WEEKLY, bounds[-1], ZoneInfo(zone)).ends_at)
            cursor.execute(COUNT, {"organization": organization_id, "bounds": bounds})


class Migration(migrations.Migration):
    dependencies = [
        ("billing", "0022_usage_marked"),
    ]

    operations = [
        migrations.RunPython(count_weeks, migrations.RunPython.noop),
    ]
