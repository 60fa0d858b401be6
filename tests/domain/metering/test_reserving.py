"""Reservations: kept, settled with what it really took, released, expired; exact at every instant."""

import random
from datetime import timedelta
from decimal import Decimal

import pytest
from django.db.models import Sum

from billing.accounts import actors
from billing.credits import operations as credits_operations
from billing.credits.operations import GrantReserved, InsufficientCredits
from billing.lifecycle import adjust, clock, onboard, quota, reservations, usage
from billing.metering import reserving
from billing.metering.offers import Offer
from billing.metering.reserving import (
    ReservationExceeded,
    ReservationInvalid,
    ReservationNotFound,
    ReservationReleased,
    ReservationSettled,
    Reserved,
    Settled,
)
from billing.models import (
    CreditGrant,
    GrantKind,
    Organization,
    Subscription,
    UsageEvent,
    UsageReservation,
    UsageWindow,
)
from billing.reporting import doctor
from tests.support import catalogs, factories
from tests.support.factories import at

pytestmark = pytest.mark.django_db
OPERATOR = actors.operator("ada")
MARCH = at("2026-03-01")
SECOND = timedelta(seconds=1)


@pytest.fixture
def acme(db: None) -> Organization:
    """On team: 5 tasks a week at a credit each, 10 credits a month, tokens 1000 and then money."""
    catalogs.sync()
    acme = factories.sandbox(clock_at=MARCH)
    onboard.subscribe(organization=acme, plan_code="team", actor=OPERATOR, now=MARCH)
    return acme


def kept(
    acme: Organization,
    quantity: str,
    key: str = "a",
    *,
    meter: str = "task_run",
    most: str | None = None,
    expires_in: timedelta = timedelta(minutes=15),
) -> Reserved:
    acme.refresh_from_db()
    return reservations.reserve(
        offer=Offer(acme, meter, Decimal(quantity), key),
        now=MARCH,
        quantity_max=Decimal(most) if most else None,
        expires_in=expires_in,
    )


def hold(acme: Organization, quantity: str, key: str = "a", **fields: object) -> UsageReservation:
    reserved = kept(acme, quantity, key, **fields)  # type: ignore[arg-type]
    assert reserved.reservation is not None, reserved.outcome
    return reserved.reservation


def settled(reservation: UsageReservation, quantity: str) -> Settled:
    reservation.organization.refresh_from_db()
    return reservations.settle(reservation=reservation, quantity=Decimal(quantity), now=MARCH)


def use(acme: Organization, quantity: str, key: str, meter: str = "task_run") -> str:
    acme.refresh_from_db()
    (outcome,) = usage.record([Offer(acme, meter, Decimal(quantity), key)], now=MARCH)
    return outcome.status


def left(acme: Organization, entitlement: str = "tasks") -> tuple[Decimal, Decimal, Decimal | None]:
    acme.refresh_from_db()
    outcome = quota.enforce(acme, entitlement=entitlement, quantity=Decimal("0.000001"), now=MARCH)
    return outcome.used, outcome.reserved, outcome.remaining


def test_what_is_reserved_is_not_there_for_others(acme: Organization) -> None:
    hold(acme, "3")
    assert left(acme) == (0, 3, 2)
    assert use(acme, "3", "too much") == "refused"
    assert use(acme, "2", "fits") == "accepted"
    refused = kept(acme, "1", "b")
    assert refused.reservation is None
    assert refused.outcome.code == "quota_exceeded"
    assert refused.outcome.message == "tasks: 2 of 5 are used, 3 reserved and 1 more were asked for."


def test_less_gives_the_rest_back_and_the_debit_is_of_what_it_took(acme: Organization) -> None:
    reservation = hold(acme, "4")
    assert [(each.credits) for each in reservation.credits.all()] == [Decimal(4)]
    answer = settled(reservation, "1.5")
    assert (answer.outcome.status, answer.is_late) == ("accepted", False)
    assert left(acme) == (Decimal("1.5"), 0, Decimal("3.5"))
    event = UsageEvent.objects.get()
    assert (event.quantity, event.credits_paid, event.source, event.key) == (
        Decimal("1.5"), Decimal("1.5"), "reservation", str(reservation.id),
    )  # fmt: skip
    assert doctor.verify() == []


def test_more_up_to_the_bound_and_only_if_it_fits(acme: Organization) -> None:
    reservation = hold(acme, "2", most="4")
    with pytest.raises(ReservationExceeded):
        settled(reservation, "4.000001")
    assert use(acme, "2", "other") == "accepted"
    refused = settled(reservation, "4")
    assert refused.outcome.code == "quota_exceeded"
    # It is as it was.
    assert left(acme) == (2, 2, 1)
    assert settled(reservation, "3").outcome.status == "accepted"
    assert left(acme) == (5, 0, 0)


def test_twice_is_once(acme: Organization) -> None:
    reservation = hold(acme, "3")
    again = kept(acme, "3")
    assert (again.outcome.status, again.reservation) == ("duplicate", reservation)
    assert kept(acme, "2").outcome.code == "idempotency_conflict"
    assert left(acme) == (0, 3, 2)
    first = settled(reservation, "2")
    second = settled(reservation, "2")
    assert second.outcome.status == "duplicate"
    assert first.outcome.event is not None
    assert second.outcome.event is not None
    assert second.outcome.event.id == first.outcome.event.id
    with pytest.raises(ReservationSettled):
        settled(reservation, "1")
    with pytest.raises(ReservationSettled):
        reserving.release(reservation=reservation, now=MARCH)
    assert left(acme) == (2, 0, 3)


def test_released_is_free_and_cannot_be_settled(acme: Organization) -> None:
    reservation = hold(acme, "5")
    for _ in range(2):
        assert reserving.release(reservation=reservation, now=MARCH).status == "released"
    assert left(acme) == (0, 0, 5)
    with pytest.raises(ReservationReleased):
        settled(reservation, "1")


@pytest.mark.parametrize(("after", "reserved"), [(-1, 5), (0, 0), (1, 0)])
def test_it_expires_at_its_second_without_a_job(acme: Organization, after: int, reserved: int) -> None:
    reservation = hold(acme, "5", expires_in=timedelta(minutes=1))
    clock.advance(organization=acme, to=MARCH + timedelta(minutes=1, seconds=after), actor=OPERATOR)
    assert left(acme) == (0, reserved, 5 - reserved)
    answer = settled(reservation, "5")
    assert (answer.outcome.status, answer.is_late) == ("accepted", after >= 0)
    assert UsageEvent.objects.get().occurred_at == (MARCH if after < 0 else MARCH + timedelta(minutes=1, seconds=after))
    assert settled(reservation, "5").outcome.status == "duplicate"


def test_an_expired_one_is_admitted_anew_or_not(acme: Organization) -> None:
    reservation = hold(acme, "5", expires_in=SECOND)
    clock.advance(organization=acme, to=MARCH + SECOND, actor=OPERATOR)
    assert use(acme, "1", "meanwhile") == "accepted"
    answer = settled(reservation, "5")
    assert (answer.outcome.code, answer.is_late) == ("quota_exceeded", True)
    assert settled(reservation, "4").outcome.status == "accepted"
    assert doctor.verify() == []


def test_it_settles_in_its_own_window_after_a_reset(acme: Organization) -> None:
    # Sunday, 8 March: the week and its five tasks end at midnight.
    clock.advance(organization=acme, to=at("2026-03-08 23:59:00"), actor=OPERATOR)
    reservation = hold(acme, "5")
    clock.advance(organization=acme, to=at("2026-03-09 00:05:00"), actor=OPERATOR)
    assert left(acme) == (0, 0, 5)
    assert settled(reservation, "5").outcome.status == "accepted"
    assert left(acme) == (0, 0, 5)
    weeks = UsageWindow.objects.filter(meter="task_run", cadence="weekly").values_list("starts_at", "used")
    assert list(weeks) == [(at("2026-03-02"), Decimal(5))]


def test_reserved_credits_are_nobody_elses(acme: Organization) -> None:
    subscription = Subscription.objects.get()
    credits_operations.take(
        account=subscription.marketplace, credits=Decimal(6), actor="test", reason="test", now=MARCH
    )
    reservation = hold(acme, "3")
    assert use(acme, "2", "short") == "refused"
    with pytest.raises(InsufficientCredits):
        adjust.adjust(subscription=subscription, credits=Decimal(-2), actor=OPERATOR, reason="test", now=MARCH)
    grant = CreditGrant.objects.get()
    with pytest.raises(GrantReserved):
        credits_operations.void(account=subscription.marketplace, grant=grant, actor="t", reason="t", now=MARCH)
    assert settled(reservation, "3").outcome.status == "accepted"
    assert doctor.verify() == []


def test_the_allowance_that_ran_out_meanwhile_still_pays(acme: Organization) -> None:
    clock.advance(organization=acme, to=at("2026-03-31 23:50:00"), actor=OPERATOR)
    reservation = hold(acme, "4", expires_in=timedelta(hours=1))
    clock.advance(organization=acme, to=at("2026-04-01 00:10:00"), actor=OPERATOR)
    march = CreditGrant.objects.get(kind=GrantKind.ALLOWANCE, starts_at=MARCH)
    assert (march.remaining, march.expired) == (4, 6)
    assert settled(reservation, "3").outcome.status == "accepted"
    event = UsageEvent.objects.get()
    assert (event.credits_paid, event.occurred_at) == (3, at("2026-03-31 23:50:00"))
    clock.advance(organization=acme, to=at("2026-05-01"), actor=OPERATOR)
    march.refresh_from_db()
    assert (march.remaining, march.consumed, march.expired) == (0, 3, 7)
    assert doctor.verify() == []


def test_beyond_an_overage_limit_it_costs_money_when_settled(acme: Organization) -> None:
    reservation = hold(acme, "1200", meter="tokens")
    assert use(acme, "100", "beside", "tokens") == "accepted"
    settled(reservation, "900")
    events = {event.key: event.overage for event in UsageEvent.objects.all()}
    # What was admitted beside it was beyond the limit then, and stays so.
    assert events == {"beside": 100, str(reservation.id): 0}
    assert doctor.verify() == []


@pytest.mark.parametrize(
    ("quantity", "fields", "field"),
    [
        ("1", {"expires_in": timedelta(0)}, "expires_in"),
        ("1", {"expires_in": timedelta(hours=24, seconds=1)}, "expires_in"),
        ("2", {"most": "1"}, "quantity_max"),
    ],
)
def test_what_cannot_be_reserved(acme: Organization, quantity: str, fields: dict[str, object], field: str) -> None:
    with pytest.raises(ReservationInvalid) as refused:
        kept(acme, quantity, **fields)  # type: ignore[arg-type]
    assert refused.value.details["field"] == field
    assert not UsageReservation.objects.exists()


def test_flaws_and_refusals_keep_nothing(acme: Organization) -> None:
    assert kept(acme, "1", meter="unknown").outcome.code == "meter_undeclared"
    assert kept(acme, "-1").outcome.code == "quantity_invalid"
    assert kept(acme, "6").outcome.code == "quota_exceeded"
    assert not UsageReservation.objects.exists()
    other = factories.organization()
    assert kept(other, "1").outcome.code == "subscription_missing"
    with pytest.raises(ReservationNotFound):
        reserving.get_reservation(other, hold(acme, "1").id)


def test_old_ones_are_marked(acme: Organization) -> None:
    reservation = hold(acme, "1", expires_in=SECOND)
    assert reserving.mark_expired(before=MARCH + timedelta(days=1)) == 0
    Organization.objects.update(is_sandbox=False, clock_at=None)
    assert reserving.mark_expired(before=reservation.expires_at) == 0
    assert reserving.mark_expired(before=reservation.expires_at + SECOND) == 1
    assert UsageReservation.objects.get().status == "expired"


@pytest.mark.parametrize("seed", range(10))
def test_never_over_the_limit_whatever_the_order(acme: Organization, seed: int) -> None:
    """Reserve, settle, release, use and wait at random: use and reservations stay within the week's five."""
    chance = random.Random(seed)  # noqa: S311 - a walk, not a secret
    held: list[UsageReservation] = []
    now = MARCH
    for step in range(40):
        what = chance.random()
        amount = str(chance.randint(1, 30) / Decimal(10))
        if what < 0.35:
            lasting = timedelta(seconds=chance.choice([60, 3600, 86400]))
            most = str(Decimal(amount) + chance.randint(0, 2))
            reserved = kept(acme, amount, f"hold {step}", expires_in=lasting, most=most)
            held += [reserved.reservation] if reserved.reservation else []
        elif what < 0.6 and held:
            one = held.pop(chance.randrange(len(held)))
            answer = settled(one, str(min(one.quantity_max, Decimal(amount))))
            held += [one] if answer.outcome.refusal else []
        elif what < 0.7 and held:
            reserving.release(reservation=held.pop(chance.randrange(len(held))), now=MARCH)
        elif what < 0.9:
            use(acme, amount, f"use {step}")
        else:
            now += timedelta(seconds=chance.choice([30, 1800, 90_000]))
            clock.advance(organization=acme, to=now, actor=OPERATOR)
        used, reserved_now, remaining = left(acme)
        assert used + reserved_now <= 5
        assert remaining == 5 - used - reserved_now
    for cadence, total in UsageWindow.objects.filter(meter="task_run").values_list("cadence").annotate(Sum("used")):
        assert total == (UsageEvent.objects.aggregate(Sum("quantity"))["quantity__sum"] or 0), cadence
    assert doctor.verify() == []


@pytest.mark.django_db(databases=["default", "refusals"])
@pytest.mark.parametrize("source", ["reservation", "guardrail"])
def test_nobody_takes_the_identity_of_what_is_to_be_settled(source: str) -> None:
    catalogs.sync()
    organization = factories.sandbox(clock_at=factories.at("2026-03-01"))
    onboard.subscribe(
        organization=organization, plan_code="team", actor=actors.operator("test"), now=factories.at("2026-03-01")
    )
    offer = Offer(organization, "tokens", Decimal(5), "call")
    reservation = reserving.reserve(offer=offer, now=factories.at("2026-03-01")).reservation
    assert reservation is not None
    taken = Offer(organization, "tokens", Decimal("0.000001"), str(reservation.id), source)
    (outcome,) = usage.record([taken], now=factories.at("2026-03-01"))
    assert (outcome.status, outcome.code) == ("refused", "source_invalid")
    settled = reserving.settle(reservation=reservation, quantity=Decimal(5), now=factories.at("2026-03-01"))
    assert settled.outcome.status == "accepted"
