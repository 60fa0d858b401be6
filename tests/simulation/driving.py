"""The product living those lives: its own operations on a real database, swept as beat does, one day after another."""

from __future__ import annotations

import random
from collections import Counter
from datetime import datetime, timedelta
from decimal import Decimal

from billing.accounts import actors, profiles
from billing.accounts.profiles import Profile
from billing.catalog import operations as catalog
from billing.catalog import parsing
from billing.credits import sealing
from billing.invoicing import operations as invoicing
from billing.invoicing import queries as invoicing_queries
from billing.invoicing.errors import NothingToBill
from billing.kernel.errors import BillingError, Conflict
from billing.lifecycle import adjust, cancel, change_plan, coupons, discounts, onboard, pause, pending, renew, usage
from billing.metering.offers import Offer
from billing.models import Organization, Subscription
from billing.subscriptions import queries as subscriptions_queries
from tests.simulation import almanac, plans
from tests.simulation.lives import Resident
from tests.simulation.log import Entry
from tests.support.second_calculator import MINOR_DIGITS

OPERATOR = actors.operator("simulation")
BEAT = actors.system("sweep")
CHUNK = 200
# Twice a day, at times that are no period's bound; use is told after the second.
MORNING = timedelta(hours=4, minutes=7, seconds=13, microseconds=77)
EVENING = timedelta(hours=18, minutes=41, seconds=2, microseconds=5)
# About as often as that nobody sweeps for three days.
OUTAGE_CHANCE = 1 / 60
OUTAGE_DAYS = 3


class NothingToRemove(Conflict):
    """There is no coupon to do without."""

    code = "nothing_to_remove"


class Town:
    """Residents and their organizations in the database that Django is connected to. ``refused`` counts what the
    product would not do, by code: none of it is in the residents' logs."""

    def __init__(self, residents: list[Resident], *, seed: int, later_catalog_on: datetime) -> None:
        self.residents = residents
        self.refused: Counter[str] = Counter()
        self.days = 0
        self._chance = random.Random(f"{seed}/beat")  # noqa: S311 - to be lived again
        self._later_catalog_on = later_catalog_on
        self._outage = 0
        self._sync(is_later=False, now=residents[0].acts_at)
        self._print_coupons(residents[0].acts_at)
        self._organizations = {each.number: self._found(each) for each in residents}

    def live(self, first_day: datetime, days: int) -> None:
        for day in range(days):
            self._live_a_day(first_day + day * almanac.DAY)
            self.days += 1

    def settle(self, now: datetime) -> None:
        """The last sweep, and what beat does besides."""
        self._sweep(now)
        sealing.seal()

    def _live_a_day(self, midnight: datetime) -> None:
        if midnight == self._later_catalog_on:
            self._sync(is_later=True, now=midnight)
            for each in self.residents:
                each.entries.append(Entry(midnight, "catalog"))
        self._outage = self._outage - 1 if self._outage else OUTAGE_DAYS * (self._chance.random() < OUTAGE_CHANCE)
        for at, until in ((MORNING, EVENING), (EVENING, MORNING + almanac.DAY)):
            if not self._outage:
                self._sweep(midnight + at)
                if at == EVENING:
                    self._tell_use(midnight + at)
            for resident in self.residents:
                while resident.acts_at < midnight + until:
                    self._act(resident)

    # --- beat ---

    def _sweep(self, now: datetime) -> None:
        for organization_id in subscriptions_queries.list_due_organizations(now=now, limit=100_000):
            renew.renew_due(organization_id=organization_id, now=now)
        ended = list(invoicing_queries.iterate_due(now))
        for start in range(0, len(ended), CHUNK):
            for drafted in invoicing.draft_many(period_ids=ended[start : start + CHUNK], actor=BEAT, now=now):
                assert drafted.refusal is None or isinstance(drafted.refusal, NothingToBill), drafted
        for organization_id in invoicing_queries.list_issue_due_organizations(now=now, limit=100_000):
            invoicing.issue_due(organization_id=organization_id, now=now)
        swept = Entry(now, "sweep")
        for resident in self.residents:
            resident.entries.append(swept)

    # --- people ---

    def _found(self, resident: Resident) -> Organization:
        organization = Organization.objects.create(
            slug=resident.name,
            name=resident.name,
            residency_region="eu",
            zone=resident.zone.key,
            currency=resident.currency,
        )
        treatment, rate = resident.treatment()
        entry = Entry(resident.acts_at, "tax", treatment=treatment, rate=rate)
        self._tax(organization, entry)
        resident.entries.append(entry)
        return organization

    def _act(self, resident: Resident) -> None:
        organization = self._organizations[resident.number]
        at = resident.acts_at
        live = subscriptions_queries.find_live(organization)
        if live is not None and live.due_at is not None and live.due_at <= at:
            # Whoever acts meets what is due already, so that it is known what they act on.
            renew.renew_due(organization_id=organization.id, now=at)
            resident.entries.append(Entry(at, "arrive"))
            live = subscriptions_queries.find_live(organization)
        entry = resident.next_act(None if live is None else live.status, at)
        try:
            if entry.act == "tax":
                self._tax(organization, entry)
            elif live is None:
                onboard.subscribe(organization=organization, plan_code=entry.plan, actor=OPERATOR, now=at)
            else:
                _on(live, entry)
        except BillingError as refusal:
            self.refused[f"{entry.act} {refusal.code}"] += 1
            return
        resident.entries.append(entry)

    def _tell_use(self, now: datetime) -> None:
        """All that everybody tells today, as one list."""
        told = [(each, entry) for each in self.residents if each.entries for entry in each.uses(now)]
        offers = [
            Offer(
                self._organizations[resident.number],
                entry.meter,
                Decimal(entry.quantity),
                f"{len(resident.entries)}-{number}",
                occurred_at=entry.occurred_at,
            )
            for number, (resident, entry) in enumerate(told)
        ]
        for (resident, entry), outcome in zip(told, usage.record(offers, now=now), strict=True):
            if outcome.status == "accepted":
                resident.entries.append(entry)
            else:
                self.refused[f"use {outcome.code}"] += 1

    @staticmethod
    def _tax(organization: Organization, entry: Entry) -> None:
        profile = Profile(tax_treatment=entry.treatment, tax_rate=Decimal(entry.rate))
        profiles.set_profile(organization=organization, profile=profile, actor=OPERATOR, now=entry.at)

    @staticmethod
    def _print_coupons(now: datetime) -> None:
        for coupon in plans.COUPONS:
            amount = Decimal(coupon.amount or 0).scaleb(MINOR_DIGITS.get(coupon.currency, 0))
            coupons.create(
                code=coupon.code,
                name=coupon.code.title(),
                actor=OPERATOR,
                now=now,
                percent=None if coupon.percent is None else Decimal(coupon.percent),
                amount_minor=None if coupon.amount is None else int(amount),
                currency=coupon.currency,
                periods=coupon.periods,
            )

    @staticmethod
    def _sync(*, is_later: bool, now: datetime) -> None:
        catalog.sync(spec=parsing.load(plans.catalog(is_later), name="simulation"), actor="simulation", now=now)


def _on(live: Subscription, entry: Entry) -> None:
    now = entry.at
    match entry.act:
        case "change":
            change_plan.change_now(subscription=live, plan_code=entry.plan, actor=OPERATOR, now=now)
        case "change_later":
            pending.change_at_period_end(subscription=live, plan_code=entry.plan, actor=OPERATOR, now=now)
        case "cancel_later":
            pending.cancel_at_period_end(subscription=live, actor=OPERATOR, now=now)
        case "cancel":
            cancel.cancel_now(subscription=live, actor=OPERATOR, now=now)
        case "withdraw":
            pending.withdraw(subscription=live, actor=OPERATOR, now=now)
        case "pause":
            pause.pause(subscription=live, actor=OPERATOR, now=now)
        case "resume":
            pause.resume(subscription=live, actor=OPERATOR, now=now)
        case "give" | "take":
            adjust.adjust(
                subscription=live,
                credits=Decimal(entry.quantity) * (1 if entry.act == "give" else -1),
                actor=OPERATOR,
                reason="simulation",
                now=now,
                expires_at=entry.until,
            )
        case "coupon":
            discounts.redeem(subscription=live, code=entry.plan, actor=OPERATOR, now=now)
        case _:
            assert entry.act == "no_coupon"
            if discounts.remove(subscription=live, actor=OPERATOR, now=now) is None:
                raise NothingToRemove("There is no coupon.")
