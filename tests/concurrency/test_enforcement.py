"""Quota in the host's own transaction: the host's row is there if and only if its use was counted."""

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from uuid import uuid4

import pytest
from celery import shared_task
from django.db import DEFAULT_DB_ALIAS, IntegrityError, OperationalError, connection, connections, transaction
from django.utils import timezone

from billing import enforcement
from billing.accounts import actors
from billing.catalog import operations as catalog_operations
from billing.catalog import parsing
from billing.enforcement import PlanLimitError, Use, enforce, enforce_many, enforced
from billing.kernel.errors import Busy
from billing.lifecycle import onboard
from billing.models import Organization, RefusalCount, UsageEvent, UsageWindow
from billing.reporting.doctor import verify
from tests.concurrency.test_exact_quota import in_threads
from tests.support import factories

OPERATOR = actors.operator("test")
CATALOG = """
default_plan: practice
events:
  case_created: [max_cases]
  evaluation_run: [express_entry_enabled]
plans:
  practice:
    name: Practice
    limits: {max_cases: 100, express_entry_enabled: true}
"""


class HostFailed(Exception):
    pass


@pytest.fixture
def practice(real_db: str) -> Organization:
    """An organization with ``max_cases = 100``, beside the table of a host product."""
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE host_cases (id bigserial PRIMARY KEY, organization_id uuid, title text)")
    return subscribed()


def subscribed() -> Organization:
    now = timezone.now()
    catalog_operations.sync(spec=parsing.load(CATALOG, name="test"), actor="test", now=now)
    organization = factories.organization()
    onboard.subscribe(organization=organization, plan_code="practice", actor=OPERATOR, now=now)
    return organization


def insert_case(organization: Organization, title: str = "") -> None:
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO host_cases (organization_id, title) VALUES (%s, %s)", [organization.id, title])


def cases() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM host_cases")
        return int(cursor.fetchone()[0])


def used() -> int:
    window = UsageWindow.objects.filter(meter="case_created", cadence="never").first()
    events = UsageEvent.objects.filter(meter="case_created")
    assert (window.used if window else 0) == sum(event.quantity for event in events)
    return int(window.used) if window else 0


def create_case(organization: Organization, number: int) -> str:
    """What a host's view does, where one block in ten fails after its use was admitted."""
    try:
        with enforce(organization, "case_created", idempotency_key=f"case-{number}"):
            insert_case(organization)
            if number % 10 == 0:
                raise HostFailed
    except HostFailed:
        return "failed"
    except PlanLimitError:
        return "refused"
    except Busy:
        return create_case(organization, number)
    return "created"


def test_32_threads_and_a_limit_of_100_cases_leave_exactly_100_cases_though_a_tenth_of_the_blocks_fail(
    practice: Organization,
) -> None:
    def act(thread: int) -> Counter[str]:
        return Counter(create_case(practice, thread * 12 + n) for n in range(12))

    answers = sum(in_threads(32, act), Counter[str]())
    assert answers["created"] == cases() == used() == 100
    assert answers["failed"] > 0
    assert sum(answers.values()) == 32 * 12
    # Every refusal is counted, and no failure of the host is taken for one.
    assert RefusalCount.objects.get(note="billing:quota-exceeded:max_cases").count == answers["refused"]
    assert verify() == []


def test_a_block_that_raises_gives_the_use_and_its_key_back(practice: Organization) -> None:
    def host() -> None:
        with enforce(practice, "case_created", idempotency_key="a"):
            insert_case(practice)
            raise HostFailed

    with pytest.raises(HostFailed):
        host()
    assert (cases(), used()) == (0, 0)
    with enforce(practice, "case_created", idempotency_key="a") as use:
        insert_case(practice)
    assert (use.duplicate, cases(), used()) == (False, 1, 1)


def test_a_hosts_rollback_after_the_block_takes_both_with_it(practice: Organization) -> None:
    def host() -> None:
        with enforce(practice, "case_created"):
            insert_case(practice)
        raise HostFailed

    with pytest.raises(HostFailed), transaction.atomic():
        host()
    assert (cases(), used()) == (0, 0)


def test_a_nested_block_that_raises_gives_back_only_its_own(practice: Organization) -> None:
    def inner() -> None:
        with enforce(practice, "case_created", 5) as use:
            assert use.used == 7
            insert_case(practice, "inner")
            raise HostFailed

    with enforce(practice, "case_created", 2):
        insert_case(practice, "outer")
        with pytest.raises(HostFailed):
            inner()
        with enforce(practice, "case_created") as last:
            assert last.used == 3
    assert (cases(), used()) == (1, 3)


def test_bulk_is_admitted_whole_or_not_at_all(practice: Organization) -> None:
    with enforce(practice, "case_created", 99):
        pass
    with pytest.raises(PlanLimitError) as caught, enforce(practice, "case_created", 2):
        raise AssertionError
    assert caught.value.as_dict() == {"error": "plan_limit_exceeded", "detail": caught.value.message}
    assert caught.value.outcome.notes == ("billing:quota-exceeded:max_cases",)
    with enforce(practice, "case_created", 1) as use:
        assert (use.used, use.remaining) == (100, 0)
    assert used() == 100


def test_a_refusal_is_counted_although_the_host_rolls_back(practice: Organization) -> None:
    with pytest.raises(PlanLimitError), transaction.atomic(), enforce(practice, "case_created", 101):
        raise AssertionError
    assert RefusalCount.objects.get().count == 1


def test_after_a_refusal_the_hosts_transaction_goes_on(practice: Organization) -> None:
    with transaction.atomic():
        insert_case(practice, "kept")
        with pytest.raises(PlanLimitError), enforce(practice, "case_created", 101):
            raise AssertionError
    assert cases() == 1


def test_a_key_counted_before_is_told_to_the_block(practice: Organization) -> None:
    for expected in (False, True):
        with enforce(practice, "case_created", idempotency_key="same") as use:
            assert use.duplicate is expected
            if not use.duplicate:
                insert_case(practice)
    assert (cases(), used()) == (1, 1)


def test_several_are_admitted_together_or_none_is(practice: Organization) -> None:
    other = subscribed()
    with enforce_many([Use(practice, "case_created", 60), Use(other, "evaluation_run")]) as outcomes:
        assert [outcome.allowed for outcome in outcomes] == [True, True]
    two = [Use(other, "case_created", 1), Use(practice, "case_created", 30), Use(practice, "case_created", 30)]
    with pytest.raises(PlanLimitError), enforce_many(two):
        raise AssertionError
    assert {window.used for window in UsageWindow.objects.filter(meter="case_created")} == {60}


def test_blocks_that_name_organizations_in_opposite_order_do_not_deadlock(practice: Organization) -> None:
    other = subscribed()

    def act(thread: int) -> int:
        both = [practice, other] if thread % 2 else [other, practice]
        done = 0
        while done < 5:
            try:
                with enforce_many([Use(each, "case_created") for each in both]):
                    done += 1
            except enforcement.HostTransactionLost:
                return -100
            except Busy:
                continue
        return done

    assert sum(in_threads(8, act)) == 40


def wait_once(barrier: threading.Barrier) -> Callable[[], None]:
    """Meet at the barrier at the first call; a second attempt walks through."""
    met: list[int] = []

    def wait() -> None:
        if not met:
            met.append(1)
            barrier.wait(timeout=10)

    return wait


def test_a_deadlock_of_two_decorated_functions_runs_one_of_them_once_more(practice: Organization) -> None:
    other, barrier = subscribed(), threading.Barrier(2)

    def act(thread: int) -> int:
        first, second = (practice, other) if thread else (other, practice)
        wait, attempts = wait_once(barrier), []

        @enforced("case_created", organization=first)
        def outer() -> None:
            attempts.append(1)
            wait()
            with enforce(second, "case_created"):
                insert_case(first)

        outer()
        return len(attempts)

    assert sorted(in_threads(2, act)) == [1, 2]
    assert cases() == 2
    assert {window.used for window in UsageWindow.objects.filter(cadence="never")} == {2}
    assert verify() == []


def test_a_deadlock_of_two_blocks_fails_one_of_them_cleanly(practice: Organization) -> None:
    other, barrier = subscribed(), threading.Barrier(2)

    def act(thread: int) -> str:
        first, second = (practice, other) if thread else (other, practice)
        try:
            with enforce(first, "case_created"):
                barrier.wait(timeout=10)
                with enforce(second, "case_created"):
                    insert_case(first)
        except enforcement.HostTransactionLost as lost:
            return str(lost.details["note"])
        return "done"

    assert sorted(in_threads(2, act)) == ["billing:error:busy", "done"]
    assert cases() == 1
    assert {window.used for window in UsageWindow.objects.filter(cadence="never")} == {1}


def test_a_lock_that_takes_too_long_is_busy_and_writes_nothing(practice: Organization) -> None:
    held, done = threading.Event(), threading.Event()

    def hold() -> None:
        try:
            with enforce(practice, "case_created"):
                held.set()
                done.wait(timeout=10)
        finally:
            connections.close_all()

    holder = threading.Thread(target=hold)
    holder.start()
    assert held.wait(timeout=10)
    try:
        with pytest.raises(Busy) as caught, enforce(practice, "case_created"):
            raise AssertionError
    finally:
        done.set()
        holder.join()
    assert caught.value.details["note"] == "billing:error:busy"
    assert used() == 1


@pytest.mark.parametrize("isolation", ["REPEATABLE READ", "SERIALIZABLE"])
def test_under_a_stricter_isolation_it_counts_exactly_or_says_to_run_again(
    practice: Organization, isolation: str
) -> None:
    def once(number: int) -> str:
        try:
            with transaction.atomic():
                with connection.cursor() as cursor:
                    cursor.execute(f"SET TRANSACTION ISOLATION LEVEL {isolation}")
                with enforce(practice, "case_created", 10, idempotency_key=f"{number}"):
                    insert_case(practice)
        except PlanLimitError:
            return "refused"
        except Busy:
            return "again"
        except OperationalError as error:
            # Told at the host's own commit.
            return "again" if "could not serialize" in str(error) else str(error)
        return "created"

    def act(number: int) -> Counter[str]:
        answers: Counter[str] = Counter()
        while not answers["created"] and not answers["refused"]:
            answers[once(number)] += 1
        return answers

    answers = sum(in_threads(16, act), Counter[str]())
    assert (answers["created"], answers["refused"]) == (10, 6)
    assert (cases(), used()) == (10, 100)
    assert verify() == []


@pytest.mark.usefixtures("practice")
def test_a_function_that_counts_needs_a_transaction(practice: Organization) -> None:
    with pytest.raises(enforcement.HostTransactionMissing) as caught:
        enforcement.consume([Use(practice, "case_created")])
    assert caught.value.code == "no_transaction"
    with transaction.atomic():
        (outcome,) = enforcement.consume([Use(practice, "case_created")])
        assert outcome.used == 1
        transaction.set_rollback(True)
    assert used() == 0


def test_another_database_is_refused_by_name(practice: Organization) -> None:
    with (
        pytest.raises(enforcement.HostDatabaseOther, match="'archive'"),
        enforce(practice, "case_created", using="archive"),
    ):
        raise AssertionError


def test_a_transaction_that_is_open_only_on_another_database_is_refused(
    practice: Organization, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(connections.settings, "archive", {**connections.settings[DEFAULT_DB_ALIAS]})
    try:
        with (
            transaction.atomic(using="archive"),
            pytest.raises(enforcement.HostDatabaseOther, match="would not commit together"),
            enforce(practice, "case_created"),
        ):
            raise AssertionError
        with transaction.atomic(using="archive"), transaction.atomic(), enforce(practice, "case_created"):
            pass
    finally:
        connections["archive"].close()
        del connections["archive"]
    assert used() == 1


def test_a_broken_transaction_is_said_to_be_broken(practice: Organization) -> None:
    def host() -> None:
        try:
            with transaction.atomic(savepoint=False), connection.cursor() as cursor:
                cursor.execute("INSERT INTO host_cases (id) VALUES (1), (1)")
        except IntegrityError:
            pass
        with enforce(practice, "case_created"):
            raise AssertionError

    with pytest.raises(enforcement.HostTransactionBroken), transaction.atomic():
        host()


@pytest.mark.usefixtures("practice")
def test_a_decorated_function_takes_what_it_costs_from_its_arguments(practice: Organization) -> None:
    @enforced(
        "case_created",
        organization=lambda tenant, titles, **_: tenant,
        quantity=lambda tenant, titles, **_: len(titles),
        idempotency_key=lambda tenant, titles, **_: "-".join(titles),
        outcome_as="use",
    )
    def create(tenant: Organization, titles: list[str], use: enforcement.BillingQuotaOutcome | None = None) -> bool:
        assert use is not None
        for title in titles if not use.duplicate else []:
            insert_case(tenant, title)
        return use.duplicate

    assert create(practice, ["a", "b"]) is False
    assert create(practice, ["a", "b"]) is True
    assert (cases(), used()) == (2, 2)
    with pytest.raises(PlanLimitError):
        create(practice, ["x"] * 99)


def test_a_function_that_runs_after_its_block_is_refused_when_it_is_decorated() -> None:
    async def later() -> None: ...

    def lazily() -> Iterator[int]:
        yield 1

    for function in (later, lazily):
        with pytest.raises(TypeError, match="after its block"):
            enforced("case_created", organization="acme")(function)


@shared_task(bind=True)
def create_case_later(self: object, organization_id: str, fails: bool) -> None:
    organization = Organization.objects.get(id=organization_id)
    with enforce(organization, "case_created", idempotency_key=f"task:{self.request.id}") as use:  # type: ignore[attr-defined]
        if use.duplicate:
            return
        insert_case(organization)
        if fails:
            raise HostFailed


def test_a_celery_task_delivered_twice_counts_once_and_a_failing_one_never(practice: Organization) -> None:
    name = str(uuid4())
    for _ in range(2):
        create_case_later.apply((str(practice.id), False), task_id=name, throw=True)
    with pytest.raises(HostFailed):
        create_case_later.apply((str(practice.id), True), throw=True)
    assert (cases(), used()) == (1, 1)


def test_an_entitlement_may_stand_for_its_event_and_no_subscription_refuses(practice: Organization) -> None:
    with enforce(practice.slug, "max_cases") as use:
        assert use.meter == "case_created"
    with pytest.raises(PlanLimitError) as caught, enforce(factories.organization(), "case_created"):
        raise AssertionError
    assert caught.value.outcome.notes == ("billing:subscription-missing",)
    with pytest.raises(PlanLimitError) as caught, enforce(practice, "no_such_feature"):
        raise AssertionError
    assert caught.value.outcome.notes == ("billing:feature-disabled:no_such_feature",)
    assert RefusalCount.objects.count() == 2
