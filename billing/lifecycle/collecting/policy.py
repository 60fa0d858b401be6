"""The installation's schedule, from its settings."""

from __future__ import annotations

from django.conf import settings

from billing.lifecycle.collecting.schedule import Schedule


def schedule() -> Schedule:
    return Schedule(
        step_days=tuple(settings.BILLING_DUNNING_DAYS),
        grace_days=settings.BILLING_DUNNING_GRACE_DAYS,
        cancel_days=settings.BILLING_PAST_DUE_CANCEL_DAYS,
    )
