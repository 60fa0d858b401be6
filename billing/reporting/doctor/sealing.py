"""Sealing use: a period of which no more use can be told is verified once, and from then on compared with a digest.

So what an hourly verification reads does not grow with history: the open use of each subscription, and of what is
sealed one piece in ``TURNS``.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import connection

from billing.infra import logs
from billing.metering.offers import LATE_MAX
from billing.models import Organization
from billing.reporting.doctor import examination

# Use is told up to LATE_MAX late; a day more, so that nothing that began in time is still under way.
SEALED_AFTER = LATE_MAX + timedelta(days=1)

_OLD = """
    period.ends_at < coalesce(organization.clock_at, %(now)s) - make_interval(days => %(days)s)
    AND NOT EXISTS (SELECT FROM billing_use_seals AS seal WHERE seal.period_id = period.id)
"""
# At random: whoever's books are not sound must not keep all others waiting behind them.
_DUE = f"""
    SELECT found.organization_id FROM (
        SELECT DISTINCT period.organization_id FROM subscription_periods AS period
        JOIN organizations AS organization ON organization.id = period.organization_id
        WHERE {_OLD}
    ) AS found ORDER BY random() LIMIT %(limit)s
"""  # noqa: S608 - put together from constants
_SEAL = f"""
    INSERT INTO billing_use_seals (period_id, organization_id, subscription_id, events, digest, sealed_at)
    SELECT period.id, period.organization_id, period.subscription_id, found.events, found.digest, %(now)s
    FROM subscription_periods AS period
    JOIN organizations AS organization ON organization.id = period.organization_id
    CROSS JOIN LATERAL billing_use_digest(period) AS found
    WHERE period.organization_id = %(organization_id)s AND {_OLD}
    ON CONFLICT (period_id) DO NOTHING
"""  # noqa: S608 - put together from constants


def seal_use(*, now: datetime, organizations_max: int = 500) -> int:
    """Seal the use of old periods of so many organizations; returns how many periods. ``now`` is real time.

    An organization is verified whole first, and sealed only if nothing of its books contradicts itself: else what is
    wrong stays open, and is found every hour.
    """
    with connection.cursor() as cursor:
        cursor.execute(_DUE, {"now": now, "days": SEALED_AFTER.days, "limit": organizations_max})
        due = [row[0] for row in cursor.fetchall()]
    sealed = 0
    for organization in Organization.objects.filter(id__in=due):
        if violations := examination.verify(organization=organization):
            logs.event("use.unsealed", organization=organization.id, violations=[each.name for each in violations])
            continue
        with connection.cursor() as cursor:
            cursor.execute(_SEAL, {"now": now, "days": SEALED_AFTER.days, "organization_id": organization.id})
            sealed += int(cursor.rowcount)
    return sealed
