"""What an hourly verification costs does not grow with what is sealed: ``make doctor-at-size`` has a million events."""

import os
from datetime import timedelta
from time import monotonic

import pytest
from django.utils import timezone

from billing.accounts import actors
from billing.lifecycle import clock
from billing.metering.offers import LATE_MAX
from billing.reporting import doctor
from tests.support import crowd, factories

EVENTS = int(os.environ.get("DOCTOR_EVENTS", "2000"))
VERIFIER = actors.system("verify")


def seconds(*, is_whole: bool) -> float:
    started = monotonic()
    assert doctor.run(actor=VERIFIER, is_whole=is_whole) == []
    return monotonic() - started


@pytest.mark.usefixtures("real_db")
def test_an_hour_costs_what_is_open() -> None:
    organization = crowd.make(events=EVENTS, entries=EVENTS // 10, month=factories.at("2026-03-01"))
    whole, hourly = seconds(is_whole=True), seconds(is_whole=False)
    later = factories.at("2026-04-01") + LATE_MAX + timedelta(days=2)
    clock.advance(organization=organization, to=later, actor=actors.operator("test"))
    started = monotonic()
    assert doctor.seal_use(now=timezone.now()) == 1
    sealing, sealed = monotonic() - started, seconds(is_whole=False)
    figures = (("whole", whole), ("open, nothing sealed", hourly), ("sealing", sealing), ("open, sealed", sealed))
    print(f"\n{EVENTS} events: " + ", ".join(f"{name} {value:.2f} s" for name, value in figures))  # noqa: T201
