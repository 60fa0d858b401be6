"""Quota inside the host's own transaction: the host's rows and the use that they cost commit together, or not at all.

    with enforce(organization, "case_created", idempotency_key=request_key) as use:
        Case.objects.create(…)

The block is a transaction of its own or, inside one, a savepoint. If it raises, its use is given back with it.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, ParamSpec, TypeVar, cast
from uuid import uuid4

from django.db import DEFAULT_DB_ALIAS, IntegrityError, OperationalError, connections, transaction
from django.utils import timezone
from psycopg import errors as pg_errors

from billing.accounts import queries as accounts_queries
from billing.accounts.queries import Reference
from billing.infra import locks, logs, refusals
from billing.kernel.errors import Busy, Conflict
from billing.lifecycle import quota, usage
from billing.lifecycle.quota import BillingQuotaOutcome, PlanLimitError
from billing.metering.offers import Offer

__all__ = [
    "BillingQuotaOutcome",
    "HostDatabaseOther",
    "HostTransactionBroken",
    "HostTransactionLost",
    "HostTransactionMissing",
    "PlanLimitError",
    "Use",
    "consume",
    "enforce",
    "enforce_many",
    "enforced",
    "rerun_once",
]

P = ParamSpec("P")
T = TypeVar("T")

READ_COMMITTED = "read committed"
_ABORTED = (pg_errors.DeadlockDetected, pg_errors.SerializationFailure)


class HostTransactionMissing(Conflict):
    """``consume`` was called outside a transaction: the use would stand although the host's rows may never come."""

    code = "no_transaction"


class HostDatabaseOther(Conflict):
    """The host writes to another database than the one that billing is in: no transaction could hold both."""

    code = "other_database"


class HostTransactionBroken(Conflict):
    """An error was caught inside the host's transaction, which can only be rolled back by now."""

    code = "transaction_broken"


class HostTransactionLost(Busy):
    """PostgreSQL ended this transaction in favour of another (a deadlock, or a snapshot too old). Run it again."""

    code = "transaction_lost"


@dataclass(frozen=True, slots=True)
class Use:
    """What a block costs: ``quantity`` of an event, or of the one event that an entitlement guards.

    ``(organization, source, idempotency_key)`` is its identity for ever; without a key each block is a new use.
    """

    organization: Reference
    name: str
    quantity: Decimal | int = 1
    idempotency_key: str | None = None
    source: str = "api"
    occurred_at: datetime | None = None
    service: str = ""
    guardrail_flags: tuple[str, ...] = ()
    payload: Mapping[str, Any] | None = None


@contextmanager
def enforce_many(
    uses: Sequence[Use], *, using: str = DEFAULT_DB_ALIAS, now: datetime | None = None
) -> Iterator[list[BillingQuotaOutcome]]:
    """Run the block if all of ``uses`` are admitted, and count them in its transaction; else count none.

    Locks of several organizations are taken in one order, so that two callers who name them in different orders do not
    deadlock. Raises ``PlanLimitError`` for the first that is refused, ``Busy`` (also ``HostTransactionLost``) where the
    whole transaction should be run again, ``HostDatabaseOther``, ``HostTransactionBroken``, and ``UsageInvalid`` and
    ``IdempotencyConflict`` for a use that no plan could admit. ``using`` is the alias that the host writes to.
    """
    _check_database(using)
    with transaction.atomic():
        yield _count(uses, now or timezone.now())


@contextmanager
def enforce(
    organization: Reference,
    name: str,
    quantity: Decimal | int = 1,
    *,
    idempotency_key: str | None = None,
    source: str = "api",
    occurred_at: datetime | None = None,
    service: str = "",
    guardrail_flags: tuple[str, ...] = (),
    payload: Mapping[str, Any] | None = None,
    using: str = DEFAULT_DB_ALIAS,
    now: datetime | None = None,
) -> Iterator[BillingQuotaOutcome]:
    """Run the block if ``quantity`` of ``name`` is admitted, and count it in the block's transaction.

    A key that was counted before runs the block again, with ``duplicate`` true in what is yielded: what an earlier
    block with this key wrote is there, because it committed with the use. Raises as ``enforce_many``.
    """
    use = Use(
        organization, name, quantity, idempotency_key, source, occurred_at, service, tuple(guardrail_flags), payload
    )
    with enforce_many([use], using=using, now=now) as (outcome,):
        yield outcome


def consume(
    uses: Sequence[Use], *, using: str = DEFAULT_DB_ALIAS, now: datetime | None = None
) -> list[BillingQuotaOutcome]:
    """Count ``uses``, all or none, in the transaction that is open. For code that is no block.

    Raises ``HostTransactionMissing`` where none is open, and otherwise as ``enforce_many``.
    """
    _check_database(using)
    if not connections[DEFAULT_DB_ALIAS].in_atomic_block:
        raise HostTransactionMissing("No transaction is open: use enforce(…) as a block, or transaction.atomic().")
    with transaction.atomic():
        return _count(uses, now or timezone.now())


def enforced(
    name: str,
    *,
    organization: Reference | Callable[..., Reference],
    quantity: Decimal | int | Callable[..., Decimal | int] = 1,
    idempotency_key: str | Callable[..., str | None] | None = None,
    source: str = "api",
    outcome_as: str | None = None,
    using: str = DEFAULT_DB_ALIAS,
) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Run each call of a function as the block of ``enforce``.

    ``organization``, ``quantity`` and ``idempotency_key`` are values, or functions of the call's own arguments.
    ``outcome_as`` names a keyword argument that takes the outcome. Outside any transaction, a call that PostgreSQL
    ended in favour of another is run once more, so the function should have no effect outside the database.
    """

    def decorate(function: Callable[P, T]) -> Callable[P, T]:
        if inspect.iscoroutinefunction(function) or inspect.isgeneratorfunction(function):
            raise TypeError(f"{function.__qualname__} would run after its block: only a plain function can be enforced")

        @functools.wraps(function)
        def run(*args: P.args, **kwargs: P.kwargs) -> T:
            def of_call(value: object) -> Any:
                return value(*args, **kwargs) if callable(value) else value

            def attempt() -> T:
                with enforce(
                    of_call(organization),
                    name,
                    of_call(quantity),
                    idempotency_key=of_call(idempotency_key),
                    source=source,
                    using=using,
                ) as outcome:
                    given: dict[str, Any] = kwargs if outcome_as is None else {**kwargs, outcome_as: outcome}
                    return cast(Callable[..., T], function)(*args, **given)

            return rerun_once(attempt)

        return run

    return decorate


def rerun_once(act: Callable[[], T]) -> T:
    """Run ``act``, which opens a transaction, and once more if PostgreSQL ended that in favour of another.

    Only the outermost transaction can be run again: inside one, the error goes on to whoever opened it.
    """
    if connections[DEFAULT_DB_ALIAS].in_atomic_block:
        return act()
    try:
        return act()
    except (HostTransactionLost, OperationalError) as error:
        if isinstance(error, OperationalError) and not isinstance(error.__cause__, _ABORTED):
            raise
        logs.event("enforcement.rerun", error=error)
        return act()


def _check_database(using: str) -> None:
    if using != DEFAULT_DB_ALIAS:
        raise HostDatabaseOther(f"Billing is in the database {DEFAULT_DB_ALIAS!r}, not in {using!r}.")
    billing = connections[DEFAULT_DB_ALIAS]
    if billing.in_atomic_block:
        if billing.needs_rollback:
            raise HostTransactionBroken("An error was caught inside this transaction: roll it back and begin anew.")
        return
    for connection in connections.all(initialized_only=True):
        if connection.alias not in (DEFAULT_DB_ALIAS, refusals.ALIAS) and connection.in_atomic_block:
            raise HostDatabaseOther(
                f"A transaction is open on {connection.alias!r} and none on {DEFAULT_DB_ALIAS!r}, where billing is: "
                "they would not commit together."
            )


def _count(uses: Sequence[Use], now: datetime) -> list[BillingQuotaOutcome]:
    """Count all of ``uses`` in this transaction, or raise."""
    organizations = [accounts_queries.resolve(use.organization) for use in uses]
    with _losses_named():
        locks.lock_organizations(organization.id for organization in organizations)
        offers, entitlements = [], []
        for use, organization in zip(uses, organizations, strict=True):
            entitlement = "" if quota.is_event(use.name) else use.name
            meter: str | BillingQuotaOutcome = use.name
            if entitlement:
                meter = quota.find_meter_of(organization, entitlement, record_usage=True)
            if isinstance(meter, BillingQuotaOutcome):
                refusals.count(organization.id, meter.notes, organization.clock_at or now)
                raise PlanLimitError(meter)
            entitlements.append(entitlement)
            offers.append(
                Offer(
                    organization,
                    meter,
                    Decimal(use.quantity),
                    use.idempotency_key or str(uuid4()),
                    use.source,
                    use.occurred_at,
                    use.service,
                    use.guardrail_flags,
                    use.payload,
                )
            )
        outcomes = [
            quota.answer(outcome, entitlement, record_usage=True, now=now)
            for outcome, entitlement in zip(usage.record(offers, now=now), entitlements, strict=True)
        ]
    for outcome in outcomes:
        if not outcome.allowed:
            raise PlanLimitError(outcome)
    return outcomes


@contextmanager
def _losses_named() -> Iterator[None]:
    """Say clearly where this transaction lost against another, which PostgreSQL tells in several ways."""
    with connections[DEFAULT_DB_ALIAS].cursor() as cursor:
        cursor.execute("SHOW transaction_isolation")
        isolation = cursor.fetchone()[0]
    try:
        yield
    except OperationalError as error:
        if isinstance(error.__cause__, _ABORTED):
            raise _lost() from error
        raise
    except IntegrityError as error:
        # With one snapshot for the whole transaction, what another committed since is first met as a row that is there.
        if isolation != READ_COMMITTED and isinstance(error.__cause__, pg_errors.UniqueViolation):
            raise _lost() from error
        raise


def _lost() -> HostTransactionLost:
    return HostTransactionLost(
        "Another transaction stood in the way of this one: run it again from its beginning.", note="billing:error:busy"
    )
