"""What the provider metered against what we counted: booked once, taken back only where it was booked so."""

from datetime import datetime, timedelta
from decimal import Decimal

import pytest

from billing.accounts import actors
from billing.lifecycle import onboard, reconciling, usage
from billing.lifecycle.reconciling import Difference
from billing.metering.offers import Offer
from billing.models import AuditEntry, Organization, UsageEvent
from billing.payments import stub
from billing.payments.protocol import ReportedUsage
from billing.reporting import doctor
from tests.support import catalogs, factories
from tests.support.factories import at

NOW = at("2026-05-10 12:00:00")
DAY = (at("2026-05-09"), at("2026-05-10"))
MORNING = at("2026-05-09 08:00:00")
OPERATOR = actors.operator("ada")

pytestmark = pytest.mark.django_db


@pytest.fixture
def acme() -> Organization:
    catalogs.sync()
    organization = factories.sandbox(clock_at=NOW)
    onboard.subscribe(organization=organization, plan_code="team", actor=OPERATOR, now=NOW, starts_at=at("2026-05-01"))
    return organization


def use(organization: Organization, quantity: str, key: str, *, when: datetime = MORNING) -> None:
    offer = Offer(organization, "case_created", Decimal(quantity), key, occurred_at=when)
    assert usage.record([offer], now=NOW)[0].status == "accepted"


def report(organization: Organization, quantity: str, meter: str = "case_created") -> None:
    stub.report_usage(organization=organization, reported=ReportedUsage(meter, Decimal(quantity), *DAY))


def reconcile(organization: Organization) -> list[Difference]:
    return reconciling.reconcile(organization=organization, starts_at=DAY[0], ends_at=DAY[1], actor=OPERATOR, now=NOW)


def counted(organization: Organization) -> Decimal:
    return sum((event.quantity for event in UsageEvent.objects.filter(organization=organization)), Decimal(0))


def test_what_is_missing_is_booked_once(acme: Organization) -> None:
    use(acme, "5", "a")
    use(acme, "7", "of another day", when=at("2026-05-10"))
    report(acme, "8")
    (first,) = reconcile(acme)
    assert (first.ours, first.reported, first.booked, first.outcome) == (5, 8, 3, "booked")
    assert [each.outcome for each in reconcile(acme)] == ["equal"]
    booked = UsageEvent.objects.get(source=reconciling.SOURCE)
    assert (booked.quantity, booked.occurred_at) == (3, DAY[1] - timedelta(seconds=1))
    assert AuditEntry.objects.filter(act="usage.reconcile").count() == 1
    assert doctor.verify(organization=acme) == []


def test_a_report_that_grows_and_shrinks_is_followed(acme: Organization) -> None:
    use(acme, "5", "a")
    for quantity, booked, outcome in (
        ("8", 3, "booked"),
        ("10", 2, "booked"),
        ("6", -4, "reversed"),
        ("9", 3, "booked"),
    ):
        report(acme, quantity)
        (difference,) = reconcile(acme)
        assert (difference.booked, difference.outcome) == (booked, outcome)
        assert counted(acme) == Decimal(quantity)
    assert doctor.verify(organization=acme) == []


def test_our_own_use_is_never_taken_back(acme: Organization) -> None:
    use(acme, "5", "a")
    report(acme, "6")
    reconcile(acme)
    report(acme, "2")
    (difference,) = reconcile(acme)
    assert (difference.booked, difference.outcome) == (-1, "reported")
    assert counted(acme) == 5
    assert [(each.booked, each.outcome) for each in reconcile(acme)] == [(0, "reported")]


def test_late_use_of_ours_makes_room_for_itself(acme: Organization) -> None:
    report(acme, "8")
    reconcile(acme)
    use(acme, "8", "late")
    assert [(each.booked, each.outcome) for each in reconcile(acme)] == [(-8, "reversed")]
    assert counted(acme) == 8


def test_what_the_plan_refuses_is_told_and_not_booked(acme: Organization) -> None:
    report(acme, "501")
    report(acme, "3", meter="unheard_of")
    outcomes = {each.meter: (each.outcome, each.booked) for each in reconcile(acme)}
    assert outcomes == {"case_created": ("refused", 0), "unheard_of": ("unknown", 0)}
    assert counted(acme) == 0


@pytest.mark.parametrize(
    ("starts_at", "ends_at"),
    [(DAY[1], DAY[0]), (DAY[0], DAY[0]), (DAY[0], NOW + timedelta(minutes=1)), (at("2026-03-01"), at("2026-03-02"))],
)
def test_only_windows_in_which_use_can_be_recorded(acme: Organization, starts_at: datetime, ends_at: datetime) -> None:
    with pytest.raises(reconciling.WindowInvalid):
        reconciling.reconcile(organization=acme, starts_at=starts_at, ends_at=ends_at, actor=OPERATOR, now=NOW)


def test_a_sweep_looks_at_whole_days_before_today() -> None:
    windows = reconciling.list_windows(NOW)
    assert windows[-1] == DAY
    assert [end - start for start, end in windows] == [timedelta(days=1)] * reconciling.DAYS
