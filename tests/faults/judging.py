"""What had to be there by the client's journal, held against what is there.

Each finding begins with what it is: ``lost`` (acked and not there), ``doubled`` (there without having been acked, or
more often than once), ``over`` and ``under`` (admitted beyond a limit, or refused within it), ``unresolved`` (still
without an answer), ``broken`` (an answer that nobody should get).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from itertools import pairwise
from typing import Any, NamedTuple

from billing.models import (
    CreditEntry,
    MarketplaceSubscription,
    OutboxEvent,
    Payment,
    ProviderInboxEvent,
    Subscription,
    UsageEvent,
    UsageReservation,
)
from tests.faults.client import ANSWER_SECONDS_MAX
from tests.faults.journal import Told
from tests.faults.traffic import CREDITS, LIMITS, Cast, Tenant

Journal = Mapping[str, Told]
# Tenants that use up in the end what is left to them.
FILLED = ("single", "batch", "sized", "reserve", "credits")
_RESERVED = "reservation"


class Item(NamedTuple):
    """One use as the client knows it: counted with this event, or refused (``event`` None), or without an answer."""

    key: str
    quantity: Decimal
    is_known: bool
    event: Mapping[str, Any] | None
    is_consistent: bool


def judge(cast: Cast, told: Journal) -> list[str]:
    """Everything of a round but what workers do later."""
    return [
        *_answers(cast, told),
        *(finding for kind in ("single", "batch", "sized") for finding in _limited(cast.tenants[kind], told)),
        *_events(cast.tenants["traveller"], told),
        *_reserved(cast.tenants["reserve"], told),
        *_credited(cast.tenants["credits"], told),
        *_changed(cast.tenants["change"], told),
        *_paid(cast.tenants["payer"], told),
        *(finding for kind in FILLED for finding in _filled_up(cast.tenants[kind], told)),
    ]


def unknown(told: Journal) -> list[Told]:
    return [each for each in told.values() if each.last is None]


def _of(tenant: Tenant, told: Journal, *kinds: str) -> list[Told]:
    return [each for each in told.values() if each.request.organization == tenant.slug and each.request.kind in kinds]


def _answers(cast: Cast, told: Journal) -> Iterator[str]:
    ours = {tenant.slug for tenant in cast.tenants.values()}
    for each in told.values():
        if each.request.organization not in ours:
            continue
        if each.last is None:
            yield f"unresolved: {each.request.key}: {each.answers[-1].body if each.answers else 'nothing'}"
        for answer in each.answers:
            if answer.seconds > ANSWER_SECONDS_MAX - 1:
                yield f"broken: {each.request.key} hung for {answer.seconds:.0f} s"
            if answer.status not in (0, 200, 201, 402, 502, 503) and not (
                # To an instant that its clock has passed meanwhile.
                answer.status == 422 and each.request.kind == "clock"
            ):
                yield f"broken: {each.request.key} was answered {answer.status} {answer.body}"


def items_of(tenant: Tenant, told: Journal) -> list[Item]:
    """All uses of a tenant by key, singles and those of batches."""
    items = []
    for each in _of(tenant, told, "use"):
        outcomes = [answer.body["event"] for answer in each.acked]
        quantity = Decimal(each.request.body["quantity"])
        items.append(_item(each.request.key, quantity, each.last is not None, outcomes))
    for each in _of(tenant, told, "batch"):
        for index, use in enumerate(each.request.body["events"]):
            outcomes = [answer.body["results"][index]["event"] for answer in each.acked]
            counted = [event for event in outcomes if event is not None]
            items.append(_item(use["idempotency_key"], Decimal(use["quantity"]), each.last is not None, counted))
    return items


def _item(key: str, quantity: Decimal, is_known: bool, events: list[Any]) -> Item:
    return Item(key, quantity, is_known, events[-1] if events else None, len({event["id"] for event in events}) <= 1)


def used_of(items: Iterable[Item]) -> Decimal:
    return sum((item.quantity for item in items if item.event is not None), Decimal(0))


def _events(tenant: Tenant, told: Journal) -> Iterator[str]:
    """Each use that was acked is there once, as it was told; and no other."""
    items = {item.key: item for item in items_of(tenant, told)}
    rows = UsageEvent.objects.filter(organization=tenant.organization).exclude(source=_RESERVED)
    there = {key: (str(event_id), quantity) for key, event_id, quantity in rows.values_list("key", "id", "quantity")}
    counted = Counter(rows.values_list("key", flat=True))
    for item in items.values():
        if not item.is_consistent:
            yield f"doubled: {item.key} was acked with different events"
        if item.event is not None and there.get(item.key) != (item.event["id"], item.quantity):
            yield f"lost: {item.key} was acked as {item.event['id']}, there is {there.get(item.key)}"
    for key, times in counted.items():
        if times > 1:
            yield f"doubled: {key} is there {times} times"
        if key not in items or (items[key].is_known and items[key].event is None):
            yield f"doubled: {key} is there and was not admitted"


def _limited(tenant: Tenant, told: Journal) -> Iterator[str]:
    yield from _events(tenant, told)
    everything = items_of(tenant, told)
    limit = Decimal(LIMITS[tenant.meter])
    if (used := used_of(everything)) > limit:
        yield f"over: {tenant.slug}: {used} of {limit}"
    # Before what was left was used up on purpose.
    items = [item for item in everything if not item.key.endswith((":rest", ":more"))]
    used, offered = used_of(items), sum(item.quantity for item in items)
    for item in items:
        # Nothing is ever given back there, so what fits in the end fitted when it was refused.
        if item.is_known and item.event is None and item.quantity <= limit - used:
            yield f"under: {item.key}: {item.quantity} was refused with {limit - used} left"
    if all(item.quantity == 1 for item in items) and used != min(limit, offered):
        yield f"under: {tenant.slug}: {used} admitted of {offered} with a limit of {limit}"


def room_of(tenant: Tenant, told: Journal) -> Decimal:
    """How much the tenant can still use, by the journal alone."""
    if tenant.meter == "task":
        return balance_of(tenant, told)
    used = used_of(items_of(tenant, told)) + sum(settled_of(tenant, told).values(), Decimal(0))
    return Decimal(LIMITS[tenant.meter]) - used


def _filled_up(tenant: Tenant, told: Journal) -> Iterator[str]:
    """What was left in the end fitted, and then not even one more."""
    rest, more = told.get(f"{tenant.slug}:rest"), told[f"{tenant.slug}:more"]
    if rest is not None and not rest.acked:
        yield f"under: {tenant.slug}: what is left was refused: {rest.last}"
    if more.acked:
        yield f"over: {tenant.slug}: one more than all was admitted"


# --- reservations ---


def open_reservations(tenant: Tenant, told: Journal) -> dict[str, str]:
    """Ids, by the key of their request, of those that were neither settled nor released."""
    ended = {each.request.key.rpartition(":")[0] for each in _of(tenant, told, "settle", "release")}
    return {
        each.request.key: each.acked[-1].body["id"]
        for each in _of(tenant, told, "reserve")
        if each.acked and each.request.key not in ended
    }


def settled_of(tenant: Tenant, told: Journal) -> dict[str, Decimal]:
    """Quantities by reservation."""
    return {
        each.acked[-1].body["id"]: Decimal(each.acked[-1].body["settled_quantity"])
        for each in _of(tenant, told, "settle")
        if each.acked
    }


def _reserved(tenant: Tenant, told: Journal) -> Iterator[str]:
    yield from _events(tenant, told)
    reserved = {each.acked[-1].body["id"]: each for each in _of(tenant, told, "reserve") if each.acked}
    rows = {str(row.id): row for row in UsageReservation.objects.filter(organization=tenant.organization)}
    yield from (f"lost: reservation {each}" for each in reserved.keys() - rows.keys())
    yield from (f"doubled: reservation {each} was never acked" for each in rows.keys() - reserved.keys())
    settled = settled_of(tenant, told)
    events = UsageEvent.objects.filter(organization=tenant.organization, source=_RESERVED)
    there = dict(events.values_list("key", "quantity"))
    if there != settled:
        yield f"lost: settled {settled.items() - there.items()}, doubled {there.items() - settled.items()}"
    for each in _of(tenant, told, "release"):
        if each.acked and rows[each.acked[-1].body["id"]].status != "released":
            yield f"lost: {each.request.key}"
    used = sum(settled.values(), Decimal(0)) + used_of(items_of(tenant, told))
    if used > LIMITS[tenant.meter]:
        yield f"over: {tenant.slug}: {used} of {LIMITS[tenant.meter]}"


# --- credits, plans, money ---


def balance_of(tenant: Tenant, told: Journal) -> Decimal:
    adjusted = sum(
        (Decimal(each.request.body["credits"]) for each in _of(tenant, told, "adjust") if each.acked), Decimal(0)
    )
    paid = sum(
        (Decimal(item.event["credits_paid"]) for item in items_of(tenant, told) if item.event is not None), Decimal(0)
    )
    return CREDITS + adjusted - paid


def _credited(tenant: Tenant, told: Journal) -> Iterator[str]:
    yield from _events(tenant, told)
    account = MarketplaceSubscription.objects.get(pk=tenant.subscription.pk)
    if account.credit_balance != (meant := balance_of(tenant, told)):
        kind = "lost" if account.credit_balance < meant else "doubled"
        yield f"{kind}: {tenant.slug} has {account.credit_balance} credits where {meant} were acked"
    if account.credit_balance < 0:
        yield f"over: {tenant.slug} has {account.credit_balance} credits"
    acked = {
        entry["id"] for each in _of(tenant, told, "adjust") for answer in each.acked for entry in answer.body["results"]
    }
    rows = CreditEntry.objects.filter(account=account).exclude(kind="debit").exclude(grant__kind="allowance")
    there = {str(entry_id) for entry_id in rows.values_list("id", flat=True)}
    # What is taken from the allowance is an entry of a grant that is none of ours.
    yield from (f"doubled: ledger entry {each} was never acked" for each in there - acked)
    known = {str(each) for each in CreditEntry.objects.filter(account=account).values_list("id", flat=True)}
    yield from (f"lost: ledger entry {each}" for each in acked - known)


def _changed(tenant: Tenant, told: Journal) -> Iterator[str]:
    """Each change gave its subscription a version of its own, was told once, and followed the one before."""
    events = OutboxEvent.objects.filter(
        organization_id=tenant.organization.id, topic="subscription.plan_changed"
    ).order_by("position")
    steps = [(event.payload["plan_before"], event.payload["plan"]) for event in events]
    for (_, after), (before, _) in pairwise(steps):
        if after != before:
            yield f"doubled: {tenant.slug} left {before} while it was on {after}"
    acked = {
        answer.body["version"]: answer.body["plan"]["code"]
        for each in _of(tenant, told, "change")
        for answer in each.acked
    }
    first = tenant.subscription.version
    changed = {version for version in acked if version > first}
    if len(changed) != len(steps):
        kind = "lost" if len(changed) > len(steps) else "doubled"
        yield f"{kind}: {tenant.slug}: {len(changed)} changes were acked, {len(steps)} were made"
    last = Subscription.objects.select_related("plan").get(id=tenant.subscription.id)
    if acked and (acked[max(acked)], max(acked)) != (last.plan.code, last.version):
        yield f"lost: {tenant.slug} is on {last.plan.code} ({last.version}), acked was {max(acked)}"


def _paid(tenant: Tenant, told: Journal) -> Iterator[str]:
    acked = Counter(each.request.body["reference"] for each in _of(tenant, told, "pay") if each.acked)
    rows = Payment.objects.filter(organization=tenant.organization, provider="manual")
    there = Counter(rows.values_list("reference", flat=True))
    yield from (f"lost: payment {each}" for each in acked - there)
    yield from (f"doubled: payment {each}" for each in there - acked)


def told_by_provider(cast: Cast, told: Journal) -> Iterator[str]:
    """What workers make of deliveries, once they are done with them."""
    payer, new = cast.tenants["payer"], cast.tenants["signup"]
    deliveries = _of(payer, told, "payment.succeeded") + _of(new, told, "signup.confirmed")
    names = {each.request.body["id"] for each in deliveries if each.acked}
    rows = Counter(ProviderInboxEvent.objects.filter(event_id__in=names).values_list("event_id", flat=True))
    yield from (f"lost: delivery {each}" for each in names - rows.keys())
    fresh = Counter(
        each.request.body["id"] for each in deliveries for answer in each.acked if not answer.body["is_duplicate"]
    )
    yield from (f"doubled: delivery {name} was new {times} times" for name, times in fresh.items() if times > 1)
    applied = set(
        ProviderInboxEvent.objects.filter(event_id__in=names, status="applied").values_list("event_id", flat=True)
    )
    yield from (f"lost: delivery {each} is not applied" for each in rows.keys() - applied)
    meant = Counter(
        {
            each.request.body["data"]["payment"]: each.request.body["data"]["amount"]
            for each in _of(payer, told, "payment.succeeded")
        }
    )
    there = Payment.objects.filter(organization=payer.organization, provider="stub", kind="payment")
    booked = Counter(dict(there.values_list("reference", "amount_minor")))
    yield from (f"lost: {each} told by the provider" for each in meant - booked)
    yield from (f"doubled: {each} told by the provider" for each in booked - meant)
    subscription = Subscription.objects.get(id=new.subscription.id)
    grants = subscription.marketplace.grants.filter(kind="allowance").count()
    if (subscription.status, grants) != ("active", 1):
        yield f"doubled: {new.slug} is {subscription.status} with {grants} allowances"
