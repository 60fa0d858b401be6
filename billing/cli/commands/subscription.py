"""``mcpctl billing subscription``: what an organization is subscribed to."""

from __future__ import annotations

from datetime import datetime
from typing import TypedDict

import click
from django.utils import timezone

from billing.accounts import queries as accounts_queries
from billing.accounts.actors import Actor
from billing.cli import environment, lookup, output
from billing.cli.output import Answer, answers
from billing.cli.parameters import CODE, REASON
from billing.lifecycle import cancel as lifecycle_cancel
from billing.lifecycle import change_preview, discounts, pending, renew, statuses
from billing.lifecycle import pause as lifecycle_pause
from billing.models import Status, Subscription
from billing.reporting import representations
from billing.service import BillingService
from billing.subscriptions import queries as subscriptions_queries

_version = click.option(
    "--version", type=click.IntRange(min=1), help="Refuse unless the subscription is at this version."
)


@click.group("subscription")
def command() -> None:
    """Show, set or cancel an organization's subscription."""


@command.command("show")
@click.argument("organization")
@lookup.product_option
@answers()
def show(organization: str, product: str) -> Answer:
    """The live subscription, or else the one that ended last."""
    return _show(lookup.last_subscription(organization, product))


@command.command("set")
@click.argument("organization")
@click.option("--plan", type=CODE, help="Subscribe to this plan, or change to it.")
@click.option("--at-period-end", is_flag=True, help="Change when the running period ends, not now.")
@click.option("--status", type=click.Choice([status.value for status in Status]), help="Bring it to this status.")
@click.option("--currency", type=CODE, help="Of a new subscription. [default: the organization's]")
@_version
@lookup.product_option
@answers()
def set_subscription(
    organization: str,
    *,
    plan: str | None,
    at_period_end: bool,
    status: str | None,
    currency: str | None,
    version: int | None,
    product: str,
) -> Answer:
    """Change plan, status or both; an organization without a subscription gets one of --plan."""
    if plan is None and status is None:
        raise click.UsageError("Name a --plan, a --status, or both.")
    found = accounts_queries.get_organization(organization)
    now = accounts_queries.now_for(found)
    if plan is None and status is not None:
        live = lookup.live_subscription(found, product)
        return _show(
            statuses.set_status(
                subscription=live, status=status, actor=environment.actor(), now=now, expected_version=version
            )
        )
    expected = lookup.live_subscription(found, product).id if version is not None else None
    return _show(
        BillingService.upsert_subscription(
            found,
            plan or "",
            actor=environment.actor(),
            expected_subscription_id=expected,
            expected_version=version,
            currency=currency,
            status=status,
            at_period_end=at_period_end,
            now=timezone.now(),
        )
    )


@command.command("preview")
@click.argument("organization")
@click.option("--plan", type=CODE, required=True, help="The plan to change to.")
@click.option("--at-period-end", is_flag=True, help="As if changed when the running period ends.")
@_version
@lookup.product_option
@answers()
def preview(organization: str, *, plan: str, at_period_end: bool, version: int | None, product: str) -> Answer:
    """What a change of plan would cost today and in the next period. Writes nothing."""
    found = change_preview.preview_change(
        **_of(organization, product), plan_code=plan, at_period_end=at_period_end, expected_version=version
    )
    document = change_preview.as_dict(found)
    running, following = document["running_period"], document["next_period"]
    due = document["due_now"]
    rows: list[tuple[str, object]] = [
        ("plan", f"{found.plan_before} to {found.plan}"),
        ("takes effect", found.takes_effect_at),
        ("due now", f"{due['total']} {due['currency']}" if due else "nothing"),
        ("credits", document["credits"]),
    ]
    if running:
        totals = f"{running['without']['total']} without, {running['with_change']['total']} with the change"
        rows.append(("this period", f"{totals} {running['without']['currency']}"))
    if following:
        fee = f"{following['invoice']['total']} {following['invoice']['currency']}"
        rows.append(("next period", f"{fee} and use, {following['credits']} credits"))
    return Answer(document, output.pairs(rows))


@command.command("cancel")
@click.argument("organization")
@click.option("--at-period-end", is_flag=True, help="End it when the running period ends, not now.")
@click.option("--reason", type=REASON, default="by an operator", show_default=True)
@_version
@lookup.product_option
@answers()
def cancel(organization: str, *, at_period_end: bool, reason: str, version: int | None, product: str) -> Answer:
    """End the subscription. What was bought comes along if the organization returns."""
    return _show(
        lifecycle_cancel.cancel(
            **_of(organization, product), at_period_end=at_period_end, reason=reason, expected_version=version
        )
    )


@command.command("reactivate")
@click.argument("organization")
@_version
@lookup.product_option
@answers()
def reactivate(organization: str, *, version: int | None, product: str) -> Answer:
    """Withdraw what was scheduled for the period's end: a change of plan, or the end."""
    return _show(pending.withdraw(**_of(organization, product), expected_version=version))


@command.command("pause")
@click.argument("organization")
@click.option("--reason", type=REASON, default="by an operator", show_default=True)
@_version
@lookup.product_option
@answers()
def pause(organization: str, *, reason: str, version: int | None, product: str) -> Answer:
    """Serve nothing and bill no base fee from now on. Periods keep their days."""
    return _show(lifecycle_pause.pause(**_of(organization, product), reason=reason, expected_version=version))


@command.command("resume")
@click.argument("organization")
@_version
@lookup.product_option
@answers()
def resume(organization: str, *, version: int | None, product: str) -> Answer:
    """Serve a paused subscription again; else let renewals run that were held or parked."""
    subscription = lookup.live_subscription(accounts_queries.get_organization(organization), product)
    if subscription.status == Status.PAUSED:
        return _show(lifecycle_pause.resume(**_of(organization, product), expected_version=version))
    renew.release(**_of(organization, product), expected_version=version)
    return _show(subscriptions_queries.get_subscription(subscription.id))


@command.command("discount")
@click.argument("organization")
@click.argument("code", type=CODE, required=False)
@click.option("--remove", "is_removed", is_flag=True, help="End it with the running period.")
@lookup.product_option
@answers()
def discount(organization: str, code: str | None, *, is_removed: bool, product: str) -> Answer:
    """Redeem a coupon, or do without the one there is; without either, all discounts there ever were."""
    if code is not None and is_removed:
        raise click.UsageError("Name a coupon, or --remove the one there is.")
    if code is None and not is_removed:
        return _discounts(lookup.last_subscription(organization, product))
    named = _of(organization, product)
    if code is not None:
        discounts.redeem(**named, code=code)
    elif discounts.remove(**named) is None:
        raise discounts.DiscountNotFound(f"{organization} has no discount.")
    return _discounts(named["subscription"])


def _discounts(subscription: Subscription) -> Answer:
    listed = [representations.discount(each, subscription.currency) for each in discounts.list_discounts(subscription)]
    rows = [
        (
            each["code"],
            each["name"],
            f"{each['amount']} {each['currency']}" if each["amount"] else f"{each['percent']} per cent",
            each["from_period"],
            each["until_period"] or "for ever",
        )
        for each in listed
    ]
    header = ("coupon", "name", "off", "from period", "until period")
    return Answer({"results": listed}, output.table(header, rows) if rows else "No discounts.")


class _Of(TypedDict):
    subscription: Subscription
    actor: Actor
    now: datetime


def _of(organization: str, product: str) -> _Of:
    found = accounts_queries.get_organization(organization)
    return {
        "subscription": lookup.live_subscription(found, product),
        "actor": environment.actor(),
        "now": accounts_queries.now_for(found),
    }


def _show(subscription: Subscription) -> Answer:
    at = accounts_queries.now_for(subscription.organization)
    period = subscriptions_queries.find_period(subscription, at)
    rows: list[tuple[str, object]] = [
        ("organization", subscription.organization.slug),
        ("plan", f"{subscription.plan.code} v{subscription.plan.version} ({subscription.plan.name})"),
        ("product", subscription.product),
        ("status", subscription.status),
        ("currency", subscription.currency),
        ("since", subscription.starts_at),
        ("trial until", subscription.trial_ends_at),
        ("period", f"{output.instant(period.starts_at)} to {output.instant(period.ends_at)}" if period else None),
        ("ended", subscription.ended_at),
        ("credits", subscription.marketplace.credit_balance),
        ("version", subscription.version),
        ("id", subscription.id),
    ]
    document = representations.subscription(subscription, period)
    found = document["discount"]
    if found is not None:
        off = f"{found['amount']} {found['currency']}" if found["amount"] else f"{found['percent']} per cent"
        until = f"until period {found['until_period']}" if found["until_period"] else "for ever"
        rows.append(("discount", f"{found['code']}, {off} off from period {found['from_period']} {until}"))
    return Answer(document, output.pairs([*rows, *_waiting(subscription)]))


def _waiting(subscription: Subscription) -> list[tuple[str, object]]:
    """What is not as usual, where something is."""
    pending_plan, parked_at = subscription.pending_plan, subscription.parked_at
    rows = (
        ("at its end", f"changes to {pending_plan.code} v{pending_plan.version}" if pending_plan else None),
        ("at its end", "it ends" if subscription.cancel_at_period_end else None),
        ("paused", subscription.paused_at),
        ("past due", subscription.past_due_at),
        ("renewals held", subscription.held_at),
        ("parked", f"{output.instant(parked_at)} {subscription.parked_reason}" if parked_at else None),
    )
    return [(name, value) for name, value in rows if value is not None]
