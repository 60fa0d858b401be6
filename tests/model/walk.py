"""Both doing the same, step after step, until they differ; and the shortest history found that makes them differ."""

from __future__ import annotations

import math
import random
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import NamedTuple

from django.db import transaction
from django.test import override_settings

from billing.catalog import operations as catalog
from billing.catalog import parsing
from billing.reporting import doctor
from tests.model.acts import Act
from tests.model.drawing import Draw
from tests.model.product import Product
from tests.model.report import Report
from tests.model.tenant import Tenant
from tests.simulation import comparing, lives, plans

LIFE_STEPS = 150
DOCTOR_EVERY = 3
SHORTENING_SECONDS = 60
CURRENCIES = plans.CURRENCIES
# Nobody looks at invoices that jump or pays in time here, and nobody approves credits.
SETTINGS = {"BILLING_JUMP_FACTOR": 10**9, "BILLING_DUNNING_GRACE_DAYS": 10**4, "BILLING_APPROVAL_ABOVE_CREDITS": None}


@dataclass(frozen=True)
class Place:
    """Where and when a life begins."""

    zone: str
    currency: str
    began: datetime


class Divergence(Exception):
    """The two differ."""


class Share(NamedTuple):
    """One of ``of`` parts of a walk: every ``of``-th organization, from the ``number``-th on."""

    number: int
    of: int


WHOLE = Share(0, 1)


def walk(
    *,
    steps: int,
    seed: int,
    tell: Callable[[str], object] = str,
    life_steps: int = LIFE_STEPS,
    share: Share = WHOLE,
    seconds: float | None = None,
) -> Report:
    """``steps`` steps in the lives of as many organizations as it takes, or those that fall to ``share``. Stops at the
    first divergence, and begins no further life after so many ``seconds``."""
    report, began = Report(seed), time.monotonic()
    with override_settings(**SETTINGS):
        _sell()
        for number in range(share.number, math.ceil(steps / life_steps), share.of):
            _live(report, f"{seed}/{number}", min(life_steps, steps - number * life_steps))
            report.lives += 1
            tell(f"{report.steps} steps after {time.monotonic() - began:.0f} s")
            if report.divergences or (seconds is not None and time.monotonic() - began > seconds):
                break
    report.seconds = time.monotonic() - began
    return report


def _sell() -> None:
    spec = parsing.load(plans.catalog(is_later=False), name="model")
    catalog.sync(spec=spec, actor="model", now=datetime(2009, 1, 1, tzinfo=UTC))


def _live(report: Report, seed: str, steps: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - to be lived again
    day = datetime(2010, 1, 1, tzinfo=UTC) + timedelta(days=chance.randrange(3650))
    began = day + timedelta(microseconds=chance.randrange(86400 * 10**6))
    place = Place(chance.choice(lives.ZONES), chance.choice(CURRENCIES), began)
    pair, draw, history = Pair(place), Draw(chance), list[Act]()
    is_verified = report.lives % DOCTOR_EVERY == DOCTOR_EVERY - 1
    try:
        for _ in range(steps):
            history.append(draw.next(pair.tenant))
            report.answers[pair.step(history[-1])] += 1
            report.steps += 1
        pair.compare_invoices()
        if is_verified:
            pair.examine()
            report.verified += 1
    except Divergence as divergence:
        report.divergences.append(_told(place, shortened(place, history), len(history), str(divergence)))


def _told(place: Place, history: Sequence[Act], was: int, divergence: str) -> str:
    acts = "\n".join(f"  {act}" for act in history)
    return f"{divergence}\n{place}, shortened from {was} acts to {len(history)}:\n{acts}"


class Pair:
    """An organization and its model."""

    def __init__(self, place: Place) -> None:
        self.tenant = Tenant(zone=place.zone, currency=place.currency, began=place.began)
        self.product = Product(
            self.tenant, slug=f"o-{uuid.uuid4().hex}", zone=place.zone, currency=place.currency, began=place.began
        )
        self._meters = list(plans.METERS)
        self._steps = 0

    def step(self, act: Act) -> str:
        """Returns the answer in a word."""
        if self.tenant.last is None and act.name not in ("subscribe", "use", "batch", "reserve", "advance"):
            return "nobody there"
        try:
            theirs, ours = self.product.answer(act), self.tenant.answer(act)
        except Exception as error:
            raise Divergence(f"{act}: {type(error).__name__}: {error}") from error
        if theirs != ours:
            raise Divergence(f"{act}: the product answered {theirs}; the model says {ours}")
        self._compare(act)
        if act.name == "advance":
            self.compare_invoices()
        return f"{act.name} {ours.code or ours.status}"

    def _compare(self, act: Act) -> None:
        theirs, ours = self.product.standing(), standing(self.tenant)
        if theirs != ours:
            raise Divergence(f"{act}: the product stands at {theirs}; the model at {ours}")
        # Of what was used, and of one meter more in turn.
        self._steps += 1
        for meter in {act.meter or self._meters[0], self._meters[self._steps % len(self._meters)]}:
            left, right = self.product.guard(meter), self.tenant.guard(meter)
            if left != right:
                raise Divergence(f"{act}: {meter} in the product: {_said(left)}; in the model: {_said(right)}")

    def compare_invoices(self) -> None:
        if self.tenant.has_voided:
            return
        billed = comparing.billed_to(self.product.organization.id)
        found = comparing.differences(billed, self.tenant.bills)
        if found:
            raise Divergence("; ".join(found))

    def examine(self) -> None:
        found = doctor.verify(organization=self.product.organization)
        if found:
            raise Divergence(f"the doctor: {found}")


def standing(tenant: Tenant) -> tuple[object, ...]:
    """As the product tells it."""
    return tuple(
        (
            each.status,
            each.plan.code,
            each.pending.code if each.pending is not None else None,
            each.leaves,
            each.ended_at,
            sum((grant.left for grant in each.grants), Fraction(0)),
            tuple(
                (grant.priority, grant.left)
                for grant in sorted(each.grants, key=lambda it: (it.priority, it.ends_at, it.starts_at, it.number))
                if grant.left
            ),
        )
        for each in tenant.subscriptions
    )


def _said(guard: tuple[Fraction | None, Fraction, Fraction] | None) -> str:
    return "not served" if guard is None else "limit {}, used {}, reserved {}".format(*guard)


# --- the shortest history ---


def shortened(place: Place, history: list[Act]) -> list[Act]:
    """Leaves out whatever can be left out with the two still differing, in ever smaller pieces; each try is undone."""
    until = time.monotonic() + SHORTENING_SECONDS
    size = max(1, len(history) // 2)
    while time.monotonic() < until:
        start = 0
        while start < len(history) and time.monotonic() < until:
            tried = history[:start] + history[start + size :]
            if _differs(place, tried):
                history = tried
            else:
                start += size
        if size == 1:
            break
        size = max(1, size // 2)
    return history


def _differs(place: Place, history: Sequence[Act]) -> bool:
    with transaction.atomic():
        try:
            pair = Pair(place)
            for act in history:
                pair.step(act)
            pair.compare_invoices()
        except Divergence:
            return True
        finally:
            transaction.set_rollback(True)
    return False
