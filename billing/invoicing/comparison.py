"""What one subscriber, and all of them, would pay more or less by going to another plan version."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal

from billing.invoicing.rerating import Rated
from billing.kernel.errors import BillingError
from billing.kernel.periods import Interval
from billing.models import Subscription, SubscriptionPeriod


@dataclass(frozen=True, slots=True)
class Prospect:
    """One subscription, for one billing period of the plan that it is on: what that costs ``now`` and ``then``, with
    the use of ``period`` (None: no full period of that length ended yet, and no use is counted). ``then`` is None where
    the target is not sold in its currency, ``refusal`` says why it would not be moved."""

    subscription: Subscription
    interval: Interval
    period: SubscriptionPeriod | None
    now: Rated | None
    then: Rated | None
    allowance_now: Decimal
    allowance_then: Decimal
    refusal: BillingError | None

    @property
    def difference_minor(self) -> int | None:
        """What is paid more (or less, below zero)."""
        return None if self.now is None or self.then is None else self.then.total_minor - self.now.total_minor


@dataclass(slots=True)
class Total:
    """One currency, over those that would be moved. Minor units, for one billing period of each."""

    subscriptions: int = 0
    now_minor: int = 0
    then_minor: int = 0
    more: int = 0
    less: int = 0

    def add(self, now_minor: int, then_minor: int) -> None:
        self.subscriptions += 1
        self.now_minor += now_minor
        self.then_minor += then_minor
        self.more += then_minor > now_minor
        self.less += then_minor < now_minor


@dataclass(slots=True)
class Totals:
    """Yearly and monthly subscribers are not added up: by currency and billing period."""

    by_currency: dict[tuple[str, Interval], Total] = field(default_factory=dict)

    def add(self, prospect: Prospect) -> None:
        if prospect.refusal is None and prospect.now is not None and prospect.then is not None:
            key = prospect.subscription.currency, prospect.interval
            total = self.by_currency.setdefault(key, Total())
            total.add(prospect.now.total_minor, prospect.then.total_minor)
