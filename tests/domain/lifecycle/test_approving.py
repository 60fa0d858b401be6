"""Above a set amount credits move only by the word of a second person."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import DatabaseError, transaction
from pytest_django import Settings

from billing.accounts import actors, operations
from billing.accounts.actors import SCOPES, Actor
from billing.credits import requests
from billing.credits.operations import CreditsInvalid, InsufficientCredits
from billing.lifecycle import adjust, approving, onboard
from billing.lifecycle.adjust import LAPSES_AFTER, Adjusted
from billing.models import AuditEntry, CreditEntry, CreditRequest, MarketplaceSubscription, Subscription
from billing.reporting.doctor import verify
from tests.support import catalogs, factories

pytestmark = pytest.mark.django_db
NOW = factories.at("2026-03-10 12:00:00")
ADA, BOB = actors.operator("ada"), actors.operator("bob")


@pytest.fixture
def subscription(settings: Settings) -> Subscription:
    settings.BILLING_APPROVAL_ABOVE_CREDITS = Decimal(1000)
    catalogs.sync()
    return onboard.subscribe(organization=factories.sandbox(clock_at=NOW), plan_code="team", actor=ADA, now=NOW)


def give(subscription: Subscription, credits: str, actor: Actor = ADA, *, hours: int = 0) -> Adjusted:
    now = NOW + timedelta(hours=hours)
    return adjust.adjust(subscription=subscription, credits=Decimal(credits), actor=actor, reason="goodwill", now=now)


def ask(subscription: Subscription, credits: str = "1000.000001", actor: Actor = ADA) -> CreditRequest:
    request = give(subscription, credits, actor).request
    assert request is not None
    return request


def balance(subscription: Subscription) -> Decimal:
    return MarketplaceSubscription.objects.get(pk=subscription.pk).credit_balance


@pytest.mark.parametrize(
    ("credits", "waits"),
    [("999.999999", False), ("1000", False), ("1000.000001", True), ("-9", False), ("-1000.000001", True)],
)
def test_what_is_above_the_limit_only_asks(subscription: Subscription, credits: str, waits: bool) -> None:
    before, entries = balance(subscription), CreditEntry.objects.count()
    adjusted = give(subscription, credits)
    if waits:
        assert (adjusted.entries, balance(subscription), CreditEntry.objects.count()) == ([], before, entries)
        request = CreditRequest.objects.get()
        assert adjusted.request == request
        assert (request.credits, request.requested_by, request.status) == (Decimal(credits), "cli:ada", "waiting")
        assert AuditEntry.objects.get(act="credits.request").object_id == str(request.id)
    else:
        assert adjusted.request is None
        assert balance(subscription) == before + Decimal(credits)


def test_none_asks_for_no_second_person(subscription: Subscription, settings: Settings) -> None:
    settings.BILLING_APPROVAL_ABOVE_CREDITS = None
    assert give(subscription, "1000000").request is None


def test_the_product_itself_waits_for_nobody(subscription: Subscription) -> None:
    assert give(subscription, "5000", actors.system("demo")).request is None


def test_many_small_ones_of_one_hand_are_a_large_one(subscription: Subscription) -> None:
    key = operations.create_key(organization=None, name="k", scopes=SCOPES, actor=ADA)[0]
    assert give(subscription, "600").request is None
    # By a key of theirs it is the same hand; a taken credit counts as a given one does.
    assert give(subscription, "-400.000001", actors.for_key(key)).request is not None
    assert give(subscription, "400", actors.for_key(key)).request is None
    assert give(subscription, "0.000001").request is not None
    assert give(subscription, "1000", BOB).request is None
    assert give(subscription, "1000", hours=23).request is not None
    assert give(subscription, "1000", hours=24).request is None


def test_what_a_second_person_approved_counts_for_nobody(subscription: Subscription) -> None:
    approving.approve(request=ask(subscription), actor=BOB, now=NOW)
    assert give(subscription, "1000").request is None
    assert give(subscription, "1000", BOB).request is None


def test_another_one_approves_once(subscription: Subscription) -> None:
    before, request = balance(subscription), ask(subscription, "2500")
    approved = approving.approve(request=request, actor=BOB, now=NOW + timedelta(days=1))
    (entry,) = approved.entries
    assert (entry.amount, entry.actor, entry.reason) == (Decimal(2500), "cli:ada", "goodwill")
    assert balance(subscription) == before + 2500
    request.refresh_from_db()
    assert (request.status, request.decided_by) == ("approved", "cli:bob")
    booked = AuditEntry.objects.get(act="credits.adjust")
    assert (booked.actor, booked.details["request"]) == ("cli:ada", str(request.id))
    assert AuditEntry.objects.get(act="credits.approve").actor == "cli:bob"
    for decide in (
        lambda: approving.approve(request=request, actor=BOB, now=NOW),
        lambda: approving.reject(request=request, actor=BOB, reason="no", now=NOW),
    ):
        with pytest.raises(approving.RequestDecided):
            decide()
    assert balance(subscription) == before + 2500
    assert verify() == []


def test_whoever_asked_cannot_approve_nor_a_key_of_theirs(subscription: Subscription) -> None:
    by_ada = operations.create_key(organization=None, name="k", scopes=SCOPES, actor=ADA)[0]
    hers = actors.for_key(by_ada)
    of_her_key = actors.for_key(operations.create_key(organization=None, name="k", scopes=SCOPES, actor=hers)[0])
    asked, by_key = ask(subscription), ask(subscription, "2000", of_her_key)
    for request in (asked, by_key):
        for actor in (ADA, hers, of_her_key):
            with pytest.raises(approving.SecondPersonNeeded):
                approving.approve(request=request, actor=actor, now=NOW)
    # The database says it once more.
    with pytest.raises(DatabaseError, match="approved_by_another"), transaction.atomic():
        CreditRequest.objects.filter(id=asked.id).update(status="approved", decided_by="cli:ada", decided_at=NOW)
    his = actors.for_key(operations.create_key(organization=None, name="k", scopes=SCOPES, actor=BOB)[0])
    assert approving.approve(request=by_key, actor=his, now=NOW).entries


def test_a_rejection_needs_a_reason_and_books_nothing(subscription: Subscription) -> None:
    before, request = balance(subscription), ask(subscription)
    for reason in ("", "  ", "x" * 501):
        with pytest.raises(CreditsInvalid):
            approving.reject(request=request, actor=BOB, reason=reason, now=NOW)
    rejected = approving.reject(request=request, actor=BOB, reason="not agreed", now=NOW)
    assert (rejected.status, rejected.decision, balance(subscription)) == ("rejected", "not agreed", before)
    assert AuditEntry.objects.get(act="credits.reject").reason == "not agreed"
    with pytest.raises(approving.RequestDecided):
        approving.approve(request=request, actor=BOB, now=NOW)


def test_whoever_asked_takes_it_back(subscription: Subscription) -> None:
    assert approving.reject(request=ask(subscription), actor=ADA, reason="a slip", now=NOW).status == "rejected"


def test_it_lapses(subscription: Subscription) -> None:
    request = ask(subscription)
    for at in (LAPSES_AFTER, LAPSES_AFTER + timedelta(days=1)):
        assert requests.state_of(request, NOW + at) == "lapsed"
        with pytest.raises(approving.RequestLapsed):
            approving.approve(request=request, actor=BOB, now=NOW + at)
        with pytest.raises(approving.RequestLapsed):
            approving.reject(request=request, actor=BOB, reason="no", now=NOW + at)
    assert approving.approve(request=request, actor=BOB, now=NOW + LAPSES_AFTER - timedelta(seconds=1)).entries


def test_what_cannot_be_booked_by_then_waits_on(subscription: Subscription) -> None:
    request = ask(subscription, "-2000")
    with pytest.raises(InsufficientCredits):
        approving.approve(request=request, actor=BOB, now=NOW)
    assert CreditRequest.objects.get().status == "waiting"
    assert not AuditEntry.objects.filter(act="credits.approve").exists()


def test_only_those_who_move_credits_decide(subscription: Subscription) -> None:
    nobody = Actor(name="user:1", staff_groups=frozenset({"support"}), regions=frozenset({"*"}))
    request = ask(subscription)
    with pytest.raises(actors.NotAllowed):
        approving.approve(request=request, actor=nobody, now=NOW)
    with pytest.raises(actors.NotAllowed):
        approving.reject(request=request, actor=nobody, reason="no", now=NOW)
    elsewhere = Actor(name="user:2", staff_groups=frozenset({"finance"}), regions=frozenset({"mars"}))
    with pytest.raises(actors.RegionNotCleared):
        approving.approve(request=request, actor=elsewhere, now=NOW)


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE billing_credit_requests SET credits = 1",
        "UPDATE billing_credit_requests SET requested_by = 'cli:eve'",
        "DELETE FROM billing_credit_requests",
        "TRUNCATE billing_credit_requests",
    ],
)
def test_what_was_asked_for_never_changes(subscription: Subscription, sql: str) -> None:
    ask(subscription)
    with transaction.get_connection().cursor() as cursor:
        # Else the foreign keys that are still to be checked would refuse a TRUNCATE before the trigger does.
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        with pytest.raises(DatabaseError, match=r"frozen|append-only"), transaction.atomic():
            cursor.execute(sql)


def test_a_decision_stands(subscription: Subscription) -> None:
    approving.reject(request=ask(subscription), actor=BOB, reason="no", now=NOW)
    with pytest.raises(DatabaseError, match="frozen"), transaction.atomic():
        CreditRequest.objects.update(status="waiting", decided_by="", decided_at=None, decision="")


def test_lists_are_by_state(subscription: Subscription) -> None:
    waiting, rejected = ask(subscription), ask(subscription)
    approving.reject(request=rejected, actor=BOB, reason="no", now=NOW)

    def listed(state: str | None) -> list[CreditRequest]:
        return requests.list_requests(state=state, now=NOW)

    assert [listed(state) for state in (None, "waiting", "rejected", "approved", "lapsed")] == [
        [rejected, waiting], [waiting], [rejected], [], [],
    ]  # fmt: skip
    # A sandbox lives by its own clock.
    type(subscription.organization).objects.update(clock_at=NOW + LAPSES_AFTER)
    assert (listed("waiting"), listed("lapsed")) == ([], [waiting])
