"""Moving subscribers to another plan version: who is moved and who is not, once, and whatever interrupts it."""

from datetime import datetime
from decimal import Decimal

import pytest

from billing.accounts import actors
from billing.accounts.actors import Act, Actor
from billing.catalog.queries import PlanUnknown
from billing.kernel.errors import Forbidden
from billing.lifecycle import cancel, change_plan, clock, migrate, onboard, pause, pending, renew, usage
from billing.lifecycle.change_plan import PlanOfOtherProduct
from billing.lifecycle.migrate import Migration, PlanMoved, When
from billing.metering.offers import Offer
from billing.models import (
    AuditEntry,
    CreditGrant,
    InvoiceLine,
    MarketplaceSubscription,
    Organization,
    OutboxEvent,
    Plan,
    PlanSpan,
    Subscription,
)
from billing.reporting.doctor import verify
from billing.subscriptions import operations as subscriptions_operations
from billing.subscriptions import queries
from tests.support import catalogs, factories

pytestmark = pytest.mark.django_db
START = factories.at("2026-01-01")
HALF = factories.at("2026-01-16 12:00:00")
OPERATOR = actors.operator("test")
# Dearer, with more credits and fewer cases; no longer sold in yen.
ALLOWED = 'credit_allowance: "10"\n    limits:\n      max_cases: 500'
SECOND = (
    catalogs.TEXT.replace('price: {USD: "49.00", JPY: "4900"}', 'price: {USD: "59.00"}')
    .replace('credit_price: {USD: "10.00", JPY: "1000"}', 'credit_price: {USD: "10.00"}')
    .replace(', JPY: {rate: "50", per: "100"}}', "}")
    .replace(ALLOWED, ALLOWED.replace("10", "20").replace("500", "300"), 1)
)


@pytest.fixture(autouse=True)
def catalog() -> None:
    catalogs.sync()


def subscribed(
    plan: str = "team", *, actor: Actor | None = None, currency: str = "USD", **fields: object
) -> Subscription:
    organization = factories.sandbox(clock_at=START, **fields)
    return onboard.subscribe(
        organization=organization, plan_code=plan, actor=actor or OPERATOR, now=START, currency=currency
    )


def customer(organization: Organization) -> Actor:
    return Actor(name="key:own", organization_id=organization.id, scopes=actors.ORGANIZATION_KEY_ACTS)


def asked(source: str = "team", when: When = When.PERIOD_END, **fields: object) -> Migration:
    return migrate.prepare(source=source, when=when, actor=OPERATOR, has_sandboxes=True, **fields)  # type: ignore[arg-type]


def run(migration: Migration, now: datetime = START) -> dict[str, str]:
    """By organization: "moved", or the code of the refusal."""
    outcomes = [
        migrate.apply(migration, subscription_id=each, actor=OPERATOR, now=now)
        for page in migrate.iterate(migration, size=2)
        for each in page
    ]
    return {
        outcome.subscription.organization.slug: outcome.refusal.code if outcome.refusal else "moved"
        for outcome in outcomes
    }


def plan_of(subscription: Subscription) -> tuple[str, str | None]:
    found = queries.get_subscription(subscription.id)
    return str(found.plan), str(found.pending_plan) if found.pending_plan else None


def written() -> tuple[int, ...]:
    return AuditEntry.objects.count(), OutboxEvent.objects.count(), PlanSpan.objects.count()


def test_subscribers_stay_until_they_are_migrated_and_go_when_their_period_ends() -> None:
    acme = subscribed(slug="acme")
    catalogs.sync(SECOND)
    assert plan_of(acme) == ("team v1", None)
    assert run(asked()) == {"acme": "moved"}
    assert plan_of(acme) == ("team v1", "team v2")
    clock.advance(organization=acme.organization, to=factories.at("2026-03-02"), actor=OPERATOR)
    assert plan_of(acme) == ("team v2", None)
    fees = InvoiceLine.objects.filter(charge="base").order_by("starts_at").values_list("plan__version", "amount_minor")
    assert list(fees) == [(1, 4900), (2, 5900)]
    assert MarketplaceSubscription.objects.get(pk=acme.pk).credit_balance == 20
    assert verify() == []


def test_now_is_prorated_to_the_second_and_tops_the_allowance_up() -> None:
    acme = subscribed(slug="acme")
    catalogs.sync(SECOND)
    clock.advance(organization=acme.organization, to=HALF, actor=OPERATOR)
    assert run(asked(when=When.NOW), now=HALF) == {"acme": "moved"}
    assert plan_of(acme) == ("team v2", None)
    assert list(CreditGrant.objects.order_by("starts_at").values_list("granted", flat=True)) == [10, 5]
    clock.advance(organization=acme.organization, to=factories.at("2026-02-02"), actor=OPERATOR)
    fees = InvoiceLine.objects.filter(charge="base").order_by("starts_at").values_list("plan__version", "amount_minor")
    assert list(fees) == [(1, 2450), (2, 2950)]
    assert verify() == []


@pytest.mark.parametrize("when", When)
def test_twice_is_once(when: When) -> None:
    for slug in ("a", "b", "c"):
        subscribed(slug=slug)
    catalogs.sync(SECOND)
    assert run(asked(when=when)) == dict.fromkeys("abc", "moved")
    before = written()
    assert run(asked(when=when)) == {}
    assert written() == before
    assert migrate.count_scheduled(asked(when=when)) == (3 if when is When.PERIOD_END else 0)


def test_each_is_told_under_the_operator_s_name() -> None:
    acme = subscribed(slug="acme")
    catalogs.sync(SECOND)
    run(asked())
    entry = AuditEntry.objects.get(act="subscription.change_scheduled")
    assert (entry.actor, entry.reason, entry.object_id) == ("cli:test", migrate.REASON, str(acme.id))
    assert OutboxEvent.objects.filter(topic="subscription.change_scheduled").count() == 1


def test_what_was_moved_by_then_is_left_alone_by_the_next_run() -> None:
    for slug in ("a", "b", "c"):
        subscribed(slug=slug)
    catalogs.sync(SECOND)
    migration = asked()
    first = migrate.list_page(migration, after=None, size=1)
    migrate.apply(migration, subscription_id=first[0], actor=OPERATOR, now=START)
    assert sorted(run(asked()).values()) == ["moved", "moved"]
    assert Subscription.objects.filter(pending_plan__version=2).count() == 3


def test_a_page_that_shrinks_while_it_is_worked_on_leaves_nobody_out() -> None:
    for number in range(7):
        subscribed(slug=f"org-{number}x")
    catalogs.sync(SECOND)
    assert len(run(asked(when=When.NOW))) == 7
    assert not Subscription.objects.filter(plan__code="team", plan__version=1).exists()


# Status by status.


@pytest.mark.parametrize(("when", "expected"), [
    (When.NOW, ("trial v2", None)), (When.PERIOD_END, ("trial v1", "trial v2")),
])  # fmt: skip
def test_a_trial_goes_on_and_is_never_vouched_for(when: When, expected: tuple[str, str | None]) -> None:
    unpaid = subscribed("trial", slug="unpaid", actor=None)
    Subscription.objects.filter(pk=unpaid.pk).update(confirmed_at=None)
    catalogs.sync(catalogs.TEXT.replace('price: {USD: "20.00"}', 'price: {USD: "25.00"}'))
    assert run(asked("trial", when)) == {"unpaid": "moved"}
    found = queries.get_subscription(unpaid.id)
    assert (found.status, found.confirmed_at) == ("trialing", None)
    assert (found.trial_ends_at, plan_of(unpaid)) == (unpaid.trial_ends_at, expected)
    clock.advance(organization=unpaid.organization, to=factories.at("2026-01-20"), actor=OPERATOR)
    assert queries.get_subscription(unpaid.id).status == "expired"
    assert verify() == []


def test_a_paid_trial_begins_its_first_period_on_the_new_version() -> None:
    paid = subscribed("trial", slug="paid")
    catalogs.sync(catalogs.TEXT.replace('price: {USD: "20.00"}', 'price: {USD: "25.00"}'))
    run(asked("trial"))
    clock.advance(organization=paid.organization, to=factories.at("2026-02-20"), actor=OPERATOR)
    assert plan_of(paid) == ("trial v2", None)
    assert InvoiceLine.objects.get(charge="base").amount_minor == 2500
    assert verify() == []


def test_a_paused_one_changes_at_its_period_s_end_and_stays_paused() -> None:
    acme = subscribed(slug="acme")
    pause.pause(subscription=acme, actor=OPERATOR, now=START)
    catalogs.sync(SECOND)
    assert run(asked(when=When.NOW)) == {"acme": "illegal_transition"}
    assert run(asked()) == {"acme": "moved"}
    clock.advance(organization=acme.organization, to=factories.at("2026-02-02"), actor=OPERATOR)
    assert plan_of(acme) == ("team v2", None)
    assert queries.get_subscription(acme.id).status == "paused"
    assert verify() == []


def test_one_that_is_past_due_changes_at_its_period_s_end() -> None:
    acme = subscribed(slug="acme")
    subscriptions_operations.become_past_due(acme, START)
    catalogs.sync(SECOND)
    assert run(asked(when=When.NOW)) == {"acme": "illegal_transition"}
    assert run(asked()) == {"acme": "moved"}
    clock.advance(organization=acme.organization, to=factories.at("2026-02-02"), actor=OPERATOR)
    assert plan_of(acme) == ("team v2", None)


@pytest.mark.parametrize("when", When)
def test_an_open_sign_up_keeps_its_price(when: When) -> None:
    organization = factories.sandbox(clock_at=START, slug="acme")
    signed = onboard.subscribe(
        organization=organization, plan_code="team", actor=customer(organization), now=START, currency="USD"
    )
    assert signed.status == "incomplete"
    catalogs.sync(SECOND)
    assert run(asked(when=when)) == {"acme": "subscription_incomplete"}
    assert plan_of(signed) == ("team v1", None)


def test_who_has_left_is_not_looked_at() -> None:
    acme = subscribed(slug="acme")
    cancel.cancel_now(subscription=acme, actor=OPERATOR, now=START)
    catalogs.sync(SECOND)
    assert run(asked()) == {}


# Refusals, with nothing written.


@pytest.mark.parametrize("when", When)
def test_who_chose_otherwise_is_left_to_it(when: When) -> None:
    leaving, choosing, yen = (
        subscribed(slug="leaving"),
        subscribed(slug="choosing"),
        subscribed(slug="yen", currency="JPY"),
    )
    pending.cancel_at_period_end(subscription=leaving, actor=OPERATOR, now=START)
    pending.change_at_period_end(subscription=choosing, plan_code="free", actor=OPERATOR, now=START)
    catalogs.sync(SECOND)
    before = written()
    assert run(asked(when=when)) == {
        "leaving": "cancel_pending",
        "choosing": "change_pending",
        "yen": "currency_not_sold",
    }
    assert written() == before
    assert plan_of(choosing) == ("team v1", "free v1")
    assert queries.get_subscription(leaving.id).cancel_at_period_end
    assert plan_of(yen) == ("team v1", None)


def test_held_and_parked_ones_wait_for_an_operator() -> None:
    held, parked, ahead = (factories.organization(slug=slug) for slug in ("held", "parked", "ahead"))
    now = factories.at("2026-02-10")
    onboard.subscribe(organization=held, plan_code="team", actor=OPERATOR, now=now, starts_at=START)
    for organization in (parked, ahead):
        onboard.subscribe(organization=organization, plan_code="team", actor=OPERATOR, now=START)
        renew.renew_due(organization_id=organization.id, now=now)
    Subscription.objects.filter(organization=parked).update(parked_at=now, due_at=START)
    # Parked, but nothing is due on it yet.
    Subscription.objects.filter(organization=ahead).update(parked_at=now)
    catalogs.sync(SECOND)
    assert run(asked(), now=now) == {"held": "renewals_waiting", "parked": "renewals_waiting", "ahead": "moved"}


def test_free_riders_are_not_billed_without_anybody_s_word() -> None:
    free = subscribed("free", slug="free")
    catalogs.sync(catalogs.TEXT.replace("name: Free\n", 'name: Free\n    price: {USD: "5.00", JPY: "500"}\n'))
    for when in When:
        assert run(asked("free", when)) == {"free": "payment_required"}
    assert plan_of(free) == ("free v1", None)


def test_a_renewal_that_is_due_runs_first() -> None:
    """By it the pending change is applied, and what it was migrated from is what it has left."""
    acme = subscribed(slug="acme")
    organization = acme.organization
    organization.is_sandbox, organization.clock_at = False, None
    organization.save()
    pending.change_at_period_end(subscription=acme, plan_code="scale", actor=OPERATOR, now=START)
    catalogs.sync(SECOND)
    late = factories.at("2026-02-03")
    assert run(asked(), now=late) == {"acme": "illegal_transition"}
    renew.renew_due(organization_id=organization.id, now=late)
    assert plan_of(acme) == ("scale v1", None)
    assert run(asked(), now=late) == {}


def test_a_target_that_moved_on_ends_the_run() -> None:
    subscribed(slug="acme")
    catalogs.sync(SECOND)
    migration = asked()
    # Nobody is on version 2 yet, but somebody will be: it is not rewritten under them.
    run(migration)
    catalogs.sync(SECOND.replace('"59.00"', '"69.00"'))
    assert Plan.objects.get(code="team", is_current=True).version == 3
    with pytest.raises(PlanMoved):
        migrate.apply(migration, subscription_id=Subscription.objects.earliest("id").id, actor=OPERATOR, now=START)
    with pytest.raises(PlanMoved):
        asked(target="team", target_version=2)


# What is asked for.


def test_from_one_version_only_and_to_another_plan() -> None:
    old = subscribed(slug="old")
    catalogs.sync(SECOND)
    middle = subscribed(slug="middle")
    catalogs.sync(SECOND.replace('"59.00"', '"69.00"'))
    assert run(asked(source_version=2)) == {"middle": "moved"}
    assert plan_of(middle) == ("team v2", "team v3")
    assert run(asked(target="scale", when=When.NOW)) == {"old": "moved", "middle": "change_pending"}
    assert plan_of(old) == ("scale v1", None)


def test_to_a_plan_of_another_rhythm_now() -> None:
    acme = subscribed(slug="acme")
    assert run(asked(target="yearly", when=When.NOW)) == {"acme": "moved"}
    last = queries.find_last_period(acme)
    assert last is not None
    assert (last.starts_at, last.ends_at) == (START, factories.at("2027-01-01"))
    assert verify() == []


def test_one_organization_or_all_and_sandboxes_only_when_told() -> None:
    lab, other = subscribed(slug="lab"), subscribed(slug="other")
    real = factories.organization(slug="real")
    onboard.subscribe(organization=real, plan_code="team", actor=OPERATOR, now=START)
    catalogs.sync(SECOND)
    assert run(asked(organization=lab.organization)) == {"lab": "moved"}
    assert run(migrate.prepare(source="team", actor=OPERATOR)) == {"real": "moved"}
    assert run(asked()) == {"other": "moved"}
    assert plan_of(other) == ("team v1", "team v2")


def test_what_cannot_be_asked_for() -> None:
    with pytest.raises(PlanUnknown):
        asked("nothing")
    with pytest.raises(PlanUnknown):
        asked(source_version=9)
    with pytest.raises(PlanUnknown):
        asked(target="nothing")
    catalogs.sync(catalogs.TEXT + "  elsewhere:\n    product: other\n")
    with pytest.raises(PlanOfOtherProduct):
        asked(target="elsewhere")


def test_it_is_for_operators() -> None:
    acme = subscribed(slug="acme")
    own = customer(acme.organization)
    catalogs.sync(SECOND)
    for organization in (None, acme.organization):
        with pytest.raises(Forbidden):
            migrate.prepare(source="team", actor=own, organization=organization)
    with pytest.raises(Forbidden):
        migrate.apply(asked(), subscription_id=acme.id, actor=own, now=START)
    platform = Actor(name="key:p", scopes=frozenset({Act.SUBSCRIPTIONS}))
    assert migrate.apply(asked(), subscription_id=acme.id, actor=platform, now=START).refusal is None


def test_use_goes_on_under_the_new_limits() -> None:
    acme = subscribed(slug="acme")
    usage.record([Offer(acme.organization, "case_created", Decimal(300), "a")], now=START)
    catalogs.sync(SECOND)
    run(asked(when=When.NOW))
    (outcome,) = usage.record([Offer(acme.organization, "case_created", Decimal(1), "b")], now=START)
    assert (outcome.status, outcome.code) == ("refused", "quota_exceeded")
    change_plan.change_now(subscription=acme, plan_code="scale", actor=OPERATOR, now=START)
    assert verify() == []
