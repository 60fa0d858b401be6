"""What must hold between the parts of a catalog: every check that one value alone cannot answer."""

from __future__ import annotations

import dataclasses
from collections import Counter, defaultdict
from collections.abc import Sequence

from billing.catalog.problems import Problems
from billing.catalog.schema import EntitlementSpec, MeterSpec, PlanSpec
from billing.kernel.guardrails import Rule


def bind(plans: Sequence[PlanSpec], meters: Sequence[MeterSpec]) -> tuple[PlanSpec, ...]:
    """Tie entitlements to the meters that they guard, in the plan's own product.

    A guard that a plan does not list is written in as a disabled boolean: what is not listed is not included, and a
    stored version must say so by itself, whatever the ``events:`` map becomes later.
    """
    return tuple(dataclasses.replace(plan, entitlements=_bound(plan, meters)) for plan in plans)


def _bound(plan: PlanSpec, meters: Sequence[MeterSpec]) -> tuple[EntitlementSpec, ...]:
    meters_by_key: dict[str, list[str]] = defaultdict(list)
    for meter in meters:
        if meter.product == plan.product:
            for key in meter.guards:
                meters_by_key[key].append(meter.code)
    listed = [
        dataclasses.replace(entitlement, meters=tuple(sorted(meters_by_key.pop(entitlement.key, []))))
        for entitlement in plan.entitlements
    ]
    implied = [
        EntitlementSpec(key, "boolean", meters=tuple(sorted(codes)), enabled=False, is_implied=True)
        for key, codes in meters_by_key.items()
    ]
    return tuple(sorted(listed + implied, key=lambda entitlement: entitlement.key))


def check_plans(plans: Sequence[PlanSpec], meters: Sequence[MeterSpec], problems: Problems) -> None:
    """Report all that contradicts itself within each bound plan."""
    for plan in plans:
        _check_trial(plan, problems)
        for entitlement in plan.entitlements:
            if entitlement.is_metered:
                _check_meter(plan, entitlement, meters, problems)
                _check_overage(plan, entitlement, problems)
                _check_credit_price(plan, entitlement, problems)
                _check_guardrails(plan, entitlement, problems)
        _check_one_price_per_meter(plan, problems)


def check_default(default_plan: str, line: int, plans: Sequence[PlanSpec], problems: Problems) -> None:
    default = next((plan for plan in plans if plan.code == default_plan), None)
    if default is None:
        problems.add(line, f"default_plan {default_plan!r} is not among the plans")
    elif not default.shelf.is_active:
        problems.add(line, f"default_plan {default_plan!r} is not active")


def check_guards_listed(plans: Sequence[PlanSpec], meters: Sequence[MeterSpec], problems: Problems) -> None:
    listed = {
        (plan.product, entitlement.key)
        for plan in plans
        for entitlement in plan.entitlements
        if not entitlement.is_implied
    }
    for meter in meters:
        for key in meter.guards:
            if (meter.product, key) not in listed:
                problems.add(
                    meter.line,
                    f"event {meter.code}: no plan of product {meter.product!r} lists {key!r}, so nobody could use it",
                )


def _check_trial(plan: PlanSpec, problems: Problems) -> None:
    if plan.trial_credits and not plan.trial_days:
        problems.add(plan.line, f"plan {plan.code}: trial_credits need trial_days")


def _check_meter(plan: PlanSpec, entitlement: EntitlementSpec, meters: Sequence[MeterSpec], problems: Problems) -> None:
    where = f"plan {plan.code}: {entitlement.key}"
    if len(entitlement.meters) > 1:
        codes = ", ".join(entitlement.meters)
        problems.add(entitlement.line, f"{where} is metered and guards {codes}; a limit counts exactly one event")
    if entitlement.meters:
        return
    elsewhere = [meter.code for meter in meters if entitlement.key in meter.guards]
    if elsewhere:
        reason = f"{where} guards {elsewhere[0]}, an event of another product than {plan.product!r}"
    else:
        reason = f"{where} is metered, but no event lists it as a guard, so it would limit nothing"
    problems.add(entitlement.line, reason)


def _check_overage(plan: PlanSpec, entitlement: EntitlementSpec, problems: Problems) -> None:
    where = f"plan {plan.code}: {entitlement.key}"
    priced = {price.currency for price in entitlement.overage_prices}
    if not entitlement.has_overage:
        if priced:
            problems.add(entitlement.line, f"{where} has an overage_price but blocks at its limit")
        return
    if entitlement.limit is None:
        if priced:
            problems.add(entitlement.line, f"{where} is unlimited, so its overage_price would never be charged")
        elif not entitlement.credits_per_unit:
            problems.add(entitlement.line, f"{where} is unlimited and free, so on_limit: overage has no meaning")
        return
    if not plan.prices:
        problems.add(entitlement.line, f"{where} charges overage, but the plan has no price in any currency")
    for currency in plan.currencies:
        if currency not in priced:
            problems.add(entitlement.line, f"{where} has no overage_price in {currency}, in which the plan is sold")
    for price in entitlement.overage_prices:
        if price.currency not in plan.currencies:
            problems.add(price.line, f"{where}: overage_price in {price.currency}, in which the plan has no price")


def _check_credit_price(plan: PlanSpec, entitlement: EntitlementSpec, problems: Problems) -> None:
    """Credits short of a blocking entitlement refuse the use; of an overage one they are billed, hence need a price."""
    if not (entitlement.has_overage and entitlement.credits_per_unit):
        return
    where = f"plan {plan.code}: {entitlement.key}"
    if not plan.prices and entitlement.limit is None:
        problems.add(entitlement.line, f"{where} bills missing credits, but the plan has no price in any currency")
    for price in plan.prices:
        if price.credit_rate is None:
            problems.add(
                entitlement.line, f"{where} bills missing credits, but the plan has no credit_price in {price.currency}"
            )


def _check_guardrails(plan: PlanSpec, entitlement: EntitlementSpec, problems: Problems) -> None:
    """A debit is held or waived by the entitlement that makes it."""
    if entitlement.is_priced:
        return
    for flag, rule in entitlement.guardrails.items():
        if rule is not Rule.ANNOTATE:
            reason = f"{flag!r} cannot {rule.value} a debit, because {entitlement.key} makes none"
            problems.add(entitlement.line, f"plan {plan.code}: {entitlement.key}: {reason}")


def _check_one_price_per_meter(plan: PlanSpec, problems: Problems) -> None:
    """No unit is paid for twice: one entitlement at most charges credits or money for a meter."""
    priced = [entitlement for entitlement in plan.entitlements if entitlement.is_priced]
    counts = Counter(meter for entitlement in priced for meter in entitlement.meters)
    for meter, count in counts.items():
        if count > 1:
            keys = [entitlement for entitlement in priced if meter in entitlement.meters]
            names = " and ".join(entitlement.key for entitlement in keys)
            last = max(entitlement.line for entitlement in keys)
            problems.add(last, f"plan {plan.code}: {names} both charge for {meter}; one at most may")
