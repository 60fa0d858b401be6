"""Who would pay how much more or less: the last full period's use, priced by both versions."""

from datetime import timedelta
from decimal import Decimal
from random import Random

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from billing.accounts import actors
from billing.catalog.comparing import Change
from billing.credits import operations as credits_operations
from billing.invoicing import operations as invoicing_operations
from billing.invoicing.comparison import Prospect, Totals
from billing.kernel.periods import Interval
from billing.lifecycle import clock, migrate, onboard, pause, pending, prospects, usage
from billing.lifecycle.migrate import When
from billing.metering.offers import Offer
from billing.models import AuditEntry, CreditEntry, GrantKind, Invoice, OutboxEvent, Subscription
from tests.support import catalogs, factories

pytestmark = pytest.mark.django_db
START, NOW = factories.at("2026-01-10"), factories.at("2026-02-12")
OPERATOR = actors.operator("test")
# Dearer and larger in credits, with fewer tokens at a higher price, cases blocked sooner, and no express entry.
SECOND = (
    catalogs.TEXT.replace('price: {USD: "49.00", JPY: "4900"}', 'price: {USD: "59.00"}')
    .replace('credit_price: {USD: "10.00", JPY: "1000"}', 'credit_price: {USD: "12.00"}')
    .replace('credit_allowance: "10"', 'credit_allowance: "4"', 1)
    .replace("max_cases: 500\n      max_evaluations_per_month: 100\n      express_entry_enabled: true",
             "max_cases: 3\n      max_evaluations_per_month: 200\n      express_entry_enabled: false", 1)
    .replace("limit: 1000\n", "limit: 800\n", 1)
    .replace('{USD: {rate: "0.50", per: "100"}, JPY: {rate: "50", per: "100"}}', '{USD: {rate: "0.60", per: "100"}}')
)  # fmt: skip


@pytest.fixture(autouse=True)
def catalog() -> None:
    catalogs.sync()


def subscribed(slug: str = "acme", plan: str = "team", currency: str = "USD") -> Subscription:
    organization = factories.sandbox(clock_at=START, slug=slug)
    return onboard.subscribe(organization=organization, plan_code=plan, actor=OPERATOR, now=START, currency=currency)


def use(subscription: Subscription, meter: str, quantity: str, at: str) -> None:
    when = factories.at(at)
    subscription.organization.refresh_from_db()
    if subscription.organization.clock_at != when:
        advance(subscription, at)
    offer = Offer(subscription.organization, meter, Decimal(quantity), key=f"{meter} {at}", occurred_at=when)
    (outcome,) = usage.record([offer], now=when)
    assert outcome.status == "accepted", outcome


def advance(subscription: Subscription, to: str = "2026-02-12") -> None:
    clock.advance(organization=subscription.organization, to=factories.at(to), actor=OPERATOR)


def previewed(source: str = "team", **fields: object) -> dict[str, Prospect]:
    migration = migrate.prepare(source=source, actor=OPERATOR, has_sandboxes=True, **fields)  # type: ignore[arg-type]
    ids = [each for page in migrate.iterate(migration) for each in page]
    return {each.subscription.organization.slug: each for each in prospects.preview(migration, ids, now=NOW)}


def busy_month() -> Subscription:
    acme = subscribed()
    use(acme, "tokens", "700", "2026-01-10 01:00:00")
    use(acme, "case_created", "5", "2026-01-11")
    use(acme, "tokens", "600", "2026-01-20")
    use(acme, "evaluation_run", "2", "2026-01-20")
    advance(acme)
    return acme


def test_by_its_own_version_a_period_costs_what_its_invoice_says() -> None:
    acme = busy_month()
    catalogs.sync(SECOND)
    found = previewed()["acme"]
    assert found.period is not None
    invoice = invoicing_operations.draft(subscription=acme, actor=OPERATOR, now=NOW, period=found.period)
    assert found.now is not None
    # 300 tokens beyond 1,000 at 0.50 for each 100.
    assert (found.now.total_minor, invoice.subtotal_minor) == (4900 + 150, 4900 + 150)
    assert found.now.overage == {"tokens": Decimal(300)}


@pytest.mark.parametrize("seed", range(4))
def test_whatever_was_used_in_time_its_own_version_says_what_the_invoice_says(seed: int) -> None:
    random = Random(seed)  # noqa: S311 - a repeatable walk
    acme = subscribed()
    if seed % 2:
        credits_operations.grant(
            account=acme.marketplace, kind=GrantKind.PURCHASE, credits=Decimal(1), starts_at=START,
            expires_at=None, actor="test", reason="bought", now=START,
        )  # fmt: skip
    now = START
    for number in range(40):
        now += timedelta(hours=random.randint(1, 17))
        clock.advance(organization=acme.organization, to=now, actor=OPERATOR)
        meter = random.choice(["tokens", "tokens", "task_run", "case_created", "evaluation_run"])
        quantity = Decimal(random.randint(1, 500) if meter == "tokens" else random.randint(1, 3))
        # Some are refused: of a blocking limit, or because credits are gone.
        usage.record([Offer(acme.organization, meter, quantity, key=str(number))], now=now)
    advance(acme)
    catalogs.sync(SECOND)
    found = previewed()["acme"]
    invoice = invoicing_operations.draft(subscription=acme, actor=OPERATOR, now=NOW, period=found.period)
    assert found.now is not None
    assert (found.now.refused, found.now.credits_refused) == ({}, 0)
    assert found.now.total_minor == invoice.subtotal_minor
    # Overage was billed, and credits that ran short where none were bought.
    assert {"base", "overage", *([] if seed % 2 else ["credits"])} <= {line.charge for line in invoice.lines.all()}


def test_by_the_new_version_more_is_beyond_and_dearer_and_what_it_would_refuse_is_told() -> None:
    busy_month()
    catalogs.sync(SECOND)
    found = previewed()["acme"]
    assert found.then is not None
    # 500 beyond 800 at 0.60 for each 100; 8 credits for those inside, of which 4 are granted, the rest at 12.00 each.
    assert found.then.base_minor == 5900
    assert found.then.use_minor == 300 + 4800
    assert found.difference_minor == 5900 + 5100 - 5050
    assert found.then.overage == {"tokens": Decimal(500)}
    assert found.then.refused == {"max_cases": Decimal(2), "express_entry_enabled": Decimal(2)}
    assert (found.allowance_now, found.allowance_then) == (10, 4)
    assert found.then.credits_due == 8


def test_credits_that_were_bought_go_on_paying() -> None:
    acme = subscribed()
    credits_operations.grant(
        account=acme.marketplace, kind=GrantKind.PURCHASE, credits=Decimal(50), starts_at=START, expires_at=None,
        actor="test", reason="bought", now=START,
    )  # fmt: skip
    use(acme, "task_run", "5", "2026-01-10 00:10:00")
    use(acme, "tokens", "1000", "2026-01-10 01:00:00")
    advance(acme)
    catalogs.sync(SECOND)
    found = previewed()["acme"]
    assert found.now is not None
    assert found.then is not None
    # Ten of the allowance and five of the bought ones paid. Of 13 credits the new version grants 4, the bought ones pay
    # five as they did, and the rest is billed.
    assert (found.now.credits_due, found.now.use_minor) == (15, 0)
    assert found.then.credits_due == 13
    assert found.then.use_minor == 4 * 1200 + 120


def test_what_stood_in_a_calendar_window_before_the_period_takes_its_part_of_the_limit() -> None:
    acme = subscribed()
    use(acme, "evaluation_run", "60", "2026-01-10 01:00:00")
    use(acme, "evaluation_run", "70", "2026-02-09 12:00:00")
    use(acme, "evaluation_run", "20", "2026-02-11")
    advance(acme, "2026-03-12")
    catalogs.sync(catalogs.TEXT.replace("max_evaluations_per_month: 100", "max_evaluations_per_month: 80", 1))
    found = previewed()["acme"]
    assert found.period is not None
    assert found.period.starts_at == factories.at("2026-02-10")
    assert found.then is not None
    # In February 70 came before the period and 20 in it: 10 of these are beyond 80.
    assert found.then.refused == {"max_evaluations_per_month": Decimal(10)}


def test_lifetime_limits_count_what_came_before() -> None:
    acme = subscribed()
    use(acme, "case_created", "40", "2026-01-10 01:00:00")
    use(acme, "case_created", "40", "2026-02-11")
    use(acme, "case_created", "99", "2026-03-11")
    catalogs.sync(catalogs.TEXT.replace("max_cases: 500", "max_cases: 50", 1))
    found = previewed()["acme"]
    assert found.then is not None
    assert found.then.refused == {"max_cases": Decimal(30)}


def test_without_a_full_period_fees_are_compared_and_no_use() -> None:
    acme = subscribed()
    use(acme, "tokens", "5000", "2026-01-10 01:00:00")
    catalogs.sync(SECOND)
    found = previewed()["acme"]
    assert found.period is None
    assert found.difference_minor == 1000


def test_a_plan_of_another_rhythm_is_shared_out_by_months() -> None:
    busy_month()
    found = previewed(target="yearly")["acme"]
    assert found.interval is Interval.MONTH
    assert found.then is not None
    # 490.00 by twelve, half to even; it has no tokens_included, so tokens are refused.
    assert found.then.base_minor == 4083
    assert found.then.refused["tokens_included"] == 1300
    assert found.allowance_then == 10


def test_who_would_not_be_moved_is_listed_with_the_reason_and_not_in_the_totals() -> None:
    yen, choosing, sound = subscribed("yen", currency="JPY"), subscribed("choosing"), subscribed("sound")
    pending.change_at_period_end(subscription=choosing, plan_code="free", actor=OPERATOR, now=START)
    pause.pause(subscription=sound, actor=OPERATOR, now=START)
    catalogs.sync(SECOND)
    found = previewed()
    assert {slug: each.refusal.code if each.refusal else None for slug, each in found.items()} == {
        "yen": "currency_not_sold",
        "choosing": "change_pending",
        "sound": None,
    }
    assert (found["yen"].then, found["yen"].difference_minor) == (None, None)
    assert found["yen"].now is not None
    assert found["yen"].now.total_minor == 4900
    totals = Totals()
    for each in found.values():
        totals.add(each)
    (total,) = totals.by_currency.values()
    assert (total.subscriptions, total.now_minor, total.then_minor, total.more) == (1, 4900, 5900, 1)
    assert previewed(when=When.NOW)["sound"].refusal is not None
    assert yen.currency == "JPY"


def test_what_is_gained_and_lost() -> None:
    subscribed()
    catalogs.sync(SECOND)
    migration = migrate.prepare(source="team", actor=OPERATOR, has_sandboxes=True)
    ((plan, found),) = prospects.changes(migration)
    assert str(plan) == "team v1"
    assert {each.key: each.change for each in found} == {
        "express_entry_enabled": Change.LOST,
        "max_cases": Change.LOWERED,
        "max_evaluations_per_month": Change.RAISED,
        "tokens_included": Change.LOWERED,
    }


def test_a_preview_writes_nothing_and_asks_a_few_questions_for_any_number() -> None:
    for number in range(6):
        advance(subscribed(f"org-{number}x"))
    catalogs.sync(SECOND)
    evidence = (AuditEntry, OutboxEvent, Invoice, CreditEntry)
    before = [model.objects.count() for model in evidence]
    versions = list(Subscription.objects.values_list("version", flat=True).order_by("id"))
    migration = migrate.prepare(source="team", actor=OPERATOR, has_sandboxes=True)
    ids = migrate.list_page(migration, after=None, size=10)
    prospects.preview(migration, ids, now=NOW)
    asked = []
    for some in (ids[:1], ids):
        with CaptureQueriesContext(
            connection,
        ) as statements:
            prospects.preview(migration, some, now=NOW)
        asked.append(len(statements))
    assert asked[0] == asked[1] <= 14
    assert [model.objects.count() for model in evidence] == before
    assert list(Subscription.objects.values_list("version", flat=True).order_by("id")) == versions
