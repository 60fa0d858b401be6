"""Whether every domain event reached its receiver: at least once, and in order for each organization."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from billing.models import OutboxEvent
from tests.faults.traffic import Tenant
from tests.support.receivers import Received, Receiver


class Deliveries:
    """What a receiver got, told apart by organization."""

    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver
        self._read = 0
        self._first: dict[str, list[str]] = {}
        self._times: Counter[str] = Counter()

    @property
    def count(self) -> int:
        return len(self._times)

    @property
    def repeated(self) -> int:
        return sum(self._times.values()) - len(self._times)

    def missing(self, tenants: Iterable[Tenant]) -> int:
        """How many events are not delivered yet."""
        self._take()
        return sum(len(_ids(each)) - len(self._first.get(each.slug, [])) for each in tenants)

    def judge(self, tenants: Iterable[Tenant], *, is_over: bool) -> Iterator[str]:
        """Events out of order, and where it ``is_over`` those that never came."""
        self._take()
        for each in tenants:
            meant, came = _ids(each), self._first.get(each.slug, [])
            if came != meant[: len(came)]:
                yield f"order: {each.slug} was told of its events in another order"
            elif is_over and len(came) < len(meant):
                yield f"lost: {each.slug} was told of {len(came)} of {len(meant)} events"

    def _take(self) -> None:
        new: list[Received] = self._receiver.received[self._read :]
        self._read += len(new)
        for each in new:
            if each.id not in self._times:
                self._first.setdefault(each.path.strip("/"), []).append(each.id)
            self._times[each.id] += 1


def _ids(tenant: Tenant) -> list[str]:
    rows = OutboxEvent.objects.filter(organization_id=tenant.organization.id).order_by("position")
    return [str(event_id) for event_id in rows.values_list("id", flat=True)]
