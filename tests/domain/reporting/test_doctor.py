"""The doctor says nothing of sound books, keeps what it found, and leaves to digests what was sealed.

That it finds what is broken is shown in tests/planted."""

from datetime import timedelta

import pytest
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from billing.accounts import actors
from billing.accounts.actors import NotAllowed
from billing.models import AuditEntry, InvariantResult, SubscriptionPeriod, UsageEvent, UseSeal
from billing.reporting import doctor
from billing.reporting.doctor.invariant import TURNS
from billing.reporting.doctor.sealing import SEALED_AFTER
from billing.reporting.doctor.upkeep import GUARDS
from tests.planted.books import START, Books, live_until, make_books, make_plans, use
from tests.planted.planting import bug, one, plant

VERIFIER = actors.system("verify")
WINDOWS, EVENTS = "subscription_usage_ledger", "marketplace_usage_events"
OLD_USE = bug("", EVENTS, f"UPDATE {EVENTS} SET service = 'x' WHERE {one(EVENTS, 'TRUE')} RETURNING period_id")

pytestmark = pytest.mark.django_db


@pytest.fixture
def books() -> Books:
    make_plans()
    return make_books()


def names(violations: list[doctor.Violation]) -> set[str]:
    return {violation.name for violation in violations}


def asked(turn: int, *, is_whole: bool = False) -> set[str]:
    scope = doctor.Scope(is_whole=is_whole, turn=turn)
    return {
        invariant.name
        for invariant in doctor.INVARIANTS
        if (is_whole or not invariant.is_whole_only) and doctor.broken(invariant, scope)
    }


def test_sound_books_are_silent(books: Books) -> None:
    make_books(zone="Asia/Kathmandu")
    make_books(zone="Australia/Lord_Howe")
    assert doctor.verify() == []
    assert doctor.verify(organization=books.organization) == []
    assert UsageEvent.objects.count() > 30


def test_empty_books_are_silent() -> None:
    assert doctor.verify() == []


def test_every_guard_of_the_database_is_watched() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT tgrelid::regclass::text, tgname FROM pg_trigger WHERE NOT tgisinternal")
        found = set(cursor.fetchall())
    ours = {(table, name) for table, guards in GUARDS.items() for name in guards}
    assert {each for each in found if not each[0].startswith("marketplace_listing")} == ours


def test_run_keeps_what_it_found(books: Books) -> None:
    assert doctor.run(actor=VERIFIER) == []
    entry = AuditEntry.objects.get(act="books.verify")
    assert entry.details["violations"] == {invariant.name: 0 for invariant in doctor.INVARIANTS}
    broken = plant(
        bug(
            "",
            "marketplace_subscriptions",
            "UPDATE marketplace_subscriptions SET entries = entries + 1 WHERE entries > 4 RETURNING subscription_id",
        )
    )
    doctor.run(actor=VERIFIER)
    latest = AuditEntry.objects.filter(act="books.verify").latest("recorded_at")
    assert {name: n for name, n in latest.details["violations"].items() if n} == {"credit-balance-is-ledger": 1}
    (result,) = InvariantResult.objects.filter(violations__gt=0)
    assert (result.name, result.is_whole, result.rows[0]["subscription_id"]) == (
        "credit-balance-is-ledger",
        True,
        broken,
    )
    assert InvariantResult.objects.count() == len(doctor.INVARIANTS)


def test_what_is_not_asked_any_more_is_not_kept() -> None:
    InvariantResult.objects.create(
        name="of-old", verified_at=timezone.now(), is_whole=True, violations=1, rows=[], duration_ms=1
    )
    doctor.run(actor=VERIFIER)
    assert not InvariantResult.objects.filter(name="of-old").exists()


def test_run_needs_the_right_to_verify() -> None:
    with pytest.raises(NotAllowed):
        doctor.run(actor=actors.ANONYMOUS)


def test_use_is_sealed_once_nothing_can_be_told_of_it(books: Books) -> None:
    ended = SubscriptionPeriod.objects.order_by("starts_at")[0]
    for late, sealed in ((timedelta(0), 0), (timedelta(seconds=1), 1)):
        books.organization.clock_at = ended.ends_at + SEALED_AFTER + late
        books.organization.save(update_fields=["clock_at"])
        assert doctor.seal_use(now=timezone.now()) == sealed
    seal = UseSeal.objects.get()
    assert (seal.period_id, seal.events) == (ended.id, UsageEvent.objects.filter(period=ended, reverses=None).count())
    assert doctor.seal_use(now=timezone.now()) == 0


def test_what_is_not_sound_is_not_sealed(books: Books) -> None:
    plant(bug("", WINDOWS, f"UPDATE {WINDOWS} SET used = used + 1 WHERE {one(WINDOWS, 'TRUE')} RETURNING id"))
    assert doctor.seal_use(now=timezone.now()) == 0


def test_seals_refuse_changes(books: Books) -> None:
    assert doctor.seal_use(now=timezone.now()) > 0
    for sql in ("UPDATE billing_use_seals SET events = 9", "DELETE FROM billing_use_seals"):
        with pytest.raises(IntegrityError), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(sql)


def test_sealed_use_is_compared_with_its_digest_once_a_day(books: Books) -> None:
    assert doctor.seal_use(now=timezone.now()) > 0
    assert asked(0) == set()
    plant(OLD_USE)
    found = [asked(turn) for turn in range(TURNS)]
    assert sorted(found, key=len)[-2:] == [set(), {"sealed-use-is-unchanged"}]
    assert asked(0, is_whole=True) == {"sealed-use-is-unchanged"}


def test_an_hour_reads_no_event_that_is_sealed(books: Books) -> None:
    """Told by a change that every sum of events would show, were it read."""
    assert doctor.seal_use(now=timezone.now()) > 0
    plant(bug("", EVENTS, f"UPDATE {EVENTS} SET quantity = quantity + 1 WHERE {one(EVENTS, 'TRUE')} RETURNING id"))
    assert set().union(*(asked(turn) for turn in range(TURNS))) == {"sealed-use-is-unchanged"}
    assert {"lifetime-windows-equal-events", "calendar-windows-equal-events"} < asked(0, is_whole=True)


def test_an_hour_finds_what_is_wrong_with_open_use(books: Books) -> None:
    doctor.seal_use(now=timezone.now())
    newest = one(WINDOWS, "cadence = 'daily'", "starts_at DESC, id")
    plant(bug("", WINDOWS, f"UPDATE {WINDOWS} SET used = used + 1 WHERE {newest} RETURNING id"))
    assert asked(0) >= {"calendar-windows-equal-events", "days-make-up-the-life"}


def test_late_use_and_reversals_leave_seals_as_they_are(books: Books) -> None:
    """What is told as late as can be stands behind whatever is sealed."""
    now = live_until(books.organization, START + timedelta(days=200))
    doctor.seal_use(now=timezone.now())
    use(books.organization, "tokens", "2", now - timedelta(days=34), now)
    assert doctor.verify() == []
    assert set().union(*(asked(turn) for turn in range(TURNS))) == set()


def test_what_is_broken_is_asked_whole_until_it_is_mended(books: Books) -> None:
    doctor.seal_use(now=timezone.now())
    plant(bug("", EVENTS, f"UPDATE {EVENTS} SET plan_id = organization_id WHERE {one(EVENTS, 'TRUE')} RETURNING id"))
    doctor.run(actor=VERIFIER)
    broken = {"events-were-on-their-plan", "sealed-use-is-unchanged"}
    assert names(doctor.run(actor=VERIFIER, is_whole=False)) == broken
    kept = InvariantResult.objects.filter(violations__gt=0)
    assert {(result.name, result.is_whole) for result in kept} == {(name, True) for name in broken}
