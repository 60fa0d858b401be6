"""A sandbox organization's own time."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import transaction

from billing.accounts import actors
from billing.accounts.actors import Act, Actor
from billing.infra import audit, locks
from billing.kernel.errors import Conflict, Invalid, InvariantViolation
from billing.kernel.instants import YEAR_MAX
from billing.lifecycle import agenda
from billing.lifecycle.happenings import Happening
from billing.models import Organization

# One call runs every renewal on the way; ten years of days is as far as one transaction goes.
ADVANCE_MAX = timedelta(days=3660)


class NotASandbox(Conflict):
    """Only a sandbox organization has a clock of its own."""

    code = "not_a_sandbox"


class ClockInvalid(Invalid):
    """The clock cannot go there: backwards, or too far at once."""

    code = "clock_invalid"


def advance(*, organization: Organization, to: datetime, actor: Actor) -> list[Happening]:
    """Move the clock forward to ``to`` and run all that falls due on the way, in order, each on its own instant."""
    actors.require(actor, Act.CLOCK, organization)
    with transaction.atomic():
        locks.lock_organization(organization.id)
        organization.refresh_from_db()
        if not organization.is_sandbox:
            raise NotASandbox("This organization lives in real time.")
        if organization.clock_at is None:
            raise InvariantViolation(f"sandbox {organization.id} has no clock")
        if to.year > YEAR_MAX:
            raise ClockInvalid(f"The clock goes no further than the year {YEAR_MAX}.", field="to")
        if to <= organization.clock_at:
            raise ClockInvalid(f"The clock stands at {organization.clock_at.isoformat()} already.", field="to")
        if to - organization.clock_at > ADVANCE_MAX:
            raise ClockInvalid(f"The clock moves at most {ADVANCE_MAX.days} days at once.", field="to")
        was = organization.clock_at
        happenings = agenda.run_until(
            # What was due before the clock's own time is done at that time.
            organization.id,
            to=to,
            actor=actor,
            at=lambda due_at: _set(organization, max(was, due_at)),
        )
        _set(organization, to)
        audit.record(
            actor=actor.name,
            act="clock.advanced",
            object_type="organization",
            object_id=organization.id,
            organization_id=organization.id,
            details={"from": was.isoformat(), "to": to.isoformat()},
        )
    return happenings


def _set(organization: Organization, at: datetime) -> None:
    organization.clock_at = at
    organization.save(update_fields=["clock_at"])
