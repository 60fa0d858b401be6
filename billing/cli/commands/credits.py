"""``mcpctl billing credits``: prepaid credits and their ledger."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

import click
from django.utils import timezone

from billing.accounts import queries as accounts_queries
from billing.accounts.actors import Act
from billing.cli import environment, lookup, output
from billing.cli.output import Answer, answers
from billing.cli.parameters import INSTANT, KEY, QUANTITY, REASON, SIGNED
from billing.credits import queries as credits_queries
from billing.credits import requests
from billing.kernel import ids
from billing.lifecycle import adjust as lifecycle_adjust
from billing.lifecycle import approving, voiding
from billing.lifecycle.purchasing import operations as purchasing_operations
from billing.lifecycle.purchasing import queries as purchasing_queries
from billing.models import CreditPurchase, GrantKind
from billing.payments import links
from billing.reporting import approvals, purchases, representations

_KINDS = [GrantKind.ADJUSTMENT.value, GrantKind.PROMOTION.value, GrantKind.PURCHASE.value]


_order = click.argument("purchase")


@click.group("credits")
def command() -> None:
    """Show, buy, adjust, approve and void credits, read the ledger."""


# A negative amount begins like an option.
@command.command("adjust", context_settings={"ignore_unknown_options": True})
@click.argument("organization")
@click.argument("amount", type=SIGNED)
@click.option("--reason", type=REASON, required=True, help="Goes into the ledger and the audit log.")
@click.option("--kind", type=click.Choice(_KINDS), default=_KINDS[0], show_default=True, help="Of credits given.")
@click.option("--expires-at", type=INSTANT, help="When credits given lapse. [default: never]")
@lookup.product_option
@answers()
def adjust(
    organization: str, amount: Decimal, *, reason: str, kind: str, expires_at: datetime | None, product: str
) -> Answer:
    """Give credits, or take them with a negative AMOUNT; where there are too few to take, nothing is taken.

    Above the installation's limit it is only asked for, and somebody else approves it.
    """
    subscription = lookup.last_subscription(organization, product)
    now = accounts_queries.now_for(subscription.organization)
    entries, request = lifecycle_adjust.adjust(
        subscription=subscription,
        credits=amount,
        actor=environment.actor(),
        reason=reason,
        now=now,
        expires_at=expires_at,
        kind=GrantKind(kind),
    )
    if request is not None:
        text = f"Nothing is booked yet: {output.figure(amount)} credits wait for a second person as {request.id}."
        return Answer(approvals.credit_request(request, now), text)
    balance = entries[-1].balance_after
    document = {"results": [representations.entry(entry) for entry in entries], "balance": balance}
    return Answer(document, f"{output.figure(amount)} credits booked; the balance is {output.figure(balance)}.")


@command.command("void")
@click.argument("organization")
@click.argument("grant")
@click.option("--reason", type=REASON, required=True, help="Goes into the ledger and the audit log.")
@lookup.product_option
@answers()
def void(organization: str, grant: str, *, reason: str, product: str) -> Answer:
    """Make what is left of a grant worthless, by its id (`credits show --json`). Again: nothing changes."""
    subscription = lookup.last_subscription(organization, product)
    found = credits_queries.get_grant(subscription.marketplace, grant)
    voided = voiding.void(
        grant=found,
        actor=environment.actor(),
        reason=reason,
        now=accounts_queries.now_for(subscription.organization),
    )
    text = f"{output.figure(found.remaining)} of {output.figure(voided.granted)} credits are void."
    return Answer(representations.grant(voided), text)


@command.command("requests")
@click.argument("organization", required=False)
@click.option("--state", type=click.Choice(requests.STATES), help="Only those. [default: all]")
@click.option("--limit", type=click.IntRange(1, 200), default=50, show_default=True)
@answers()
def list_requests(organization: str | None, *, state: str | None, limit: int) -> Answer:
    """Credits that wait, or waited, for a second person: of one organization, or of all; the last asked for first."""
    found = requests.list_requests(
        organization_id=accounts_queries.get_organization(organization).id if organization else None,
        state=state,
        now=timezone.now(),
        limit=limit,
    )
    listed = [approvals.credit_request(each, accounts_queries.now_for(each.organization)) for each in found]
    rows = [
        (told["id"], each.organization.slug, each.credits, told["state"], each.requested_by, each.requested_at,
         each.decided_by, each.reason)
        for each, told in zip(found, listed, strict=True)
    ]  # fmt: skip
    header = ("request", "organization", "credits", "state", "asked by", "asked", "decided by", "reason")
    text = output.table(header, rows, right=("credits",)) if rows else "No requests."
    return Answer({"results": listed}, text)


@command.command("approve")
@click.argument("request")
@answers()
def approve(request: str) -> Answer:
    """Book what somebody else asked for. Whoever asked cannot, nor a key that they made."""
    found = requests.get_request(request)
    now = accounts_queries.now_for(found.organization)
    entries, approved = approving.approve(request=found, actor=environment.actor(), now=now)
    document = {
        "request": approvals.credit_request(approved or found, now),
        "results": [representations.entry(entry) for entry in entries],
    }
    balance = output.figure(entries[-1].balance_after)
    return Answer(document, f"{output.figure(found.credits)} credits booked; the balance is {balance}.")


@command.command("reject")
@click.argument("request")
@click.option("--reason", type=REASON, required=True, help="Goes into the audit log.")
@answers()
def reject(request: str, *, reason: str) -> Answer:
    """Book nothing of what was asked for; whoever asked takes it back so."""
    found = requests.get_request(request)
    now = accounts_queries.now_for(found.organization)
    rejected = approving.reject(request=found, actor=environment.actor(), reason=reason, now=now)
    return Answer(approvals.credit_request(rejected, now), "Rejected; nothing is booked.")


@command.command("buy")
@click.argument("organization")
@click.argument("amount", type=QUANTITY)
@click.option("--key", type=KEY, help="Names the order: with the same key again it is the same one.")
@lookup.product_option
@answers()
def buy(organization: str, amount: Decimal, *, key: str | None, product: str) -> Answer:
    """Order credits at the price that the plan asks. They are granted once the order is paid."""
    found = accounts_queries.get_organization(organization)
    ordered = purchasing_operations.order(
        subscription=lookup.live_subscription(found, product),
        credits=amount,
        key=key or ids.new_id().hex,
        actor=environment.actor(),
        now=accounts_queries.now_for(found),
    )
    return _purchase(ordered)


@command.command("checkout")
@_order
@click.option("--return-url", required=True, help="Where the provider's page leads back to.")
@answers()
def checkout(purchase: str, *, return_url: str) -> Answer:
    """A link to the provider's page where an order is paid. A path of this site where the stub is the provider."""
    actor = environment.actor()
    found = purchasing_queries.get_for(purchase, actor=actor, act=Act.SUBSCRIBE)
    url = links.payment(invoice=found.invoice, return_url=return_url, actor=actor, now=timezone.now())
    return Answer({"url": url}, url)


@command.command("withdraw")
@_order
@answers()
def withdraw(purchase: str) -> Answer:
    """Take back an order that was not paid. Again: nothing changes."""
    actor = environment.actor()
    found = purchasing_queries.get_for(purchase, actor=actor, act=Act.SUBSCRIBE)
    now = accounts_queries.now_for(found.organization)
    return _purchase(purchasing_operations.withdraw(purchase=found, actor=actor, now=now))


@command.command("purchases")
@click.argument("organization")
@click.option("--limit", type=click.IntRange(1, 200), default=50, show_default=True)
@answers()
def list_purchases(organization: str, *, limit: int) -> Answer:
    """Orders of credits, the last first."""
    found = purchasing_queries.read_purchases(
        organization=accounts_queries.get_organization(organization), actor=environment.actor(), limit=limit
    )
    listed = [purchases.credit_purchase(each) for each in found]
    rows = [
        (told["id"], told["state"], told["credits"], told["total"], told["currency"], each.ordered_at,
         told["invoice"]["number"] or told["invoice"]["id"])
        for each, told in zip(found, listed, strict=True)
    ]  # fmt: skip
    header = ("purchase", "state", "credits", "total", "currency", "ordered", "invoice")
    text = output.table(header, rows, right=("credits", "total")) if rows else "Nothing was ordered."
    return Answer({"results": listed}, text)


def _purchase(row: CreditPurchase) -> Answer:
    told = purchases.credit_purchase(row)
    shown: list[tuple[str, object]] = [
        ("purchase", told["id"]),
        ("state", told["state"]),
        ("credits", told["credits"]),
        ("total", f"{told['total']} {told['currency']}"),
        ("invoice", told["invoice"]["number"] or told["invoice"]["id"]),
        ("to be paid by", row.lapses_at),
    ]
    return Answer(told, output.pairs(shown))


@command.command("show")
@click.argument("organization")
@lookup.product_option
@answers()
def show(organization: str, product: str) -> Answer:
    """The balance, what of it could pay now, and every grant, newest first."""
    subscription = lookup.last_subscription(organization, product)
    account = subscription.marketplace
    grants = credits_queries.list_grants(account)
    spendable = credits_queries.spendable(account, accounts_queries.now_for(subscription.organization))
    header = ("grant", "granted", "left", "consumed", "lapsed", "from", "until", "reason")
    rows = [
        (each.kind, each.granted, each.remaining, each.consumed, each.expired + each.voided, each.starts_at,
         each.expires_at, each.reason)
        for each in grants
    ]  # fmt: skip
    head = output.pairs([("balance", account.credit_balance), ("spendable", spendable)])
    text = f"{head}\n\n{output.table(header, rows, right=header[1:5])}" if rows else head
    return Answer(representations.credits_of(account, grants, spendable=spendable), text)


@command.command("ledger")
@click.argument("organization")
@click.option("--before", type=click.IntRange(min=1), help="Continue below this entry number.")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True)
@lookup.product_option
@answers()
def ledger(organization: str, *, before: int | None, limit: int, product: str) -> Answer:
    """Every movement with the balance after it, newest first."""
    account = lookup.last_subscription(organization, product).marketplace
    found = credits_queries.list_entries(account, before_sequence=before, limit=limit + 1)
    page = found[:limit]
    rest = page[-1].sequence if len(found) > limit else None
    header = ("no", "booked", "kind", "amount", "balance", "by", "reason")
    rows = [
        (each.sequence, each.booked_at, each.kind, each.amount, each.balance_after, each.actor, each.reason)
        for each in page
    ]
    text = output.table(header, rows, right=("no", "amount", "balance")) if rows else "The ledger is empty."
    if rest is not None:
        text += f"\n… more with --before {rest}"
    return Answer({"results": [representations.entry(each) for each in page], "next": rest}, text)
