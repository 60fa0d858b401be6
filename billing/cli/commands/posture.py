"""``mcpctl billing posture``: where an organization stands, on one screen."""

from __future__ import annotations

import click
from django.utils import timezone

from billing.accounts import queries as accounts_queries
from billing.cli import lookup, output
from billing.cli.output import Answer, answers
from billing.reporting import posture
from billing.reporting.picture import EntitlementView, InvoiceView, Posture


@click.command("posture")
@click.argument("organization")
@lookup.product_option
@answers()
def command(organization: str, product: str) -> Answer:
    """Plan, limits, use, credits and next renewal on one screen."""
    found = accounts_queries.get_organization(organization)
    shown = posture.posture(found, timezone.now(), product=product)
    return Answer(shown.as_dict(), "\n\n".join(filter(None, _parts(shown))))


def _parts(shown: Posture) -> list[str]:
    parts = [_head(shown)]
    if shown.entitlements:
        header = ("entitlement", "limit", "used", "left", "over", "resets")
        rows = [_entitlement(each) for each in shown.entitlements]
        parts.append(output.table(header, rows, right=("limit", "used", "left", "over")))
    if shown.use:
        use = [(each.meter, each.period, each.month, each.lifetime, each.events) for each in shown.use]
        figures = ("this period", "this month", "ever", "events")
        parts.append(output.table(("use", *figures), use, right=figures))
    if shown.grants:
        grants = [(each.kind, each.remaining, each.granted, each.expires_at) for each in shown.grants]
        parts.append(output.table(("credits", "left", "of", "until"), grants, right=("left", "of")))
    if shown.invoices:
        invoices = [
            (each.number or each.id, each.status, each.starts_at, each.total, each.currency, _next(each))
            for each in shown.invoices
        ]
        header = ("invoice", "status", "period from", "total", "currency", "issues itself")
        parts.append(output.table(header, invoices, right=("total",)))
    return parts


def _next(invoice: InvoiceView) -> str | None:
    """When a draft issues itself, or why it does not."""
    if invoice.status != "draft":
        return None
    if invoice.parked_at is not None:
        return f"parked: {invoice.parked_reason}"
    if invoice.held_at is not None:
        return f"held since {output.instant(invoice.held_at)}"
    return output.instant(invoice.issue_due_at) if invoice.issue_due_at else "waits for a human, after a void"


def _head(shown: Posture) -> str:
    subscription = shown.subscription
    rows: list[tuple[str, object]] = [
        ("organization", f"{shown.slug} ({shown.name})"),
        ("at", f"{output.instant(shown.at)}{' on its sandbox clock' if shown.is_sandbox else ''}"),
    ]
    if subscription is None:
        return output.pairs([*rows, ("plan", "none")])
    rows += [
        ("plan", f"{subscription.plan_code} v{subscription.plan_version} ({subscription.plan_name})"),
        ("status", subscription.status),
    ]
    if subscription.trial_ends_at is not None and subscription.status == "trialing":
        rows.append(("trial until", subscription.trial_ends_at))
    if subscription.ended_at is not None:
        rows.append(("ended", subscription.ended_at))
    if subscription.cancel_at_period_end and shown.period is not None:
        rows.append(("ends", shown.period.ends_at))
    if subscription.pending_plan_name is not None:
        rows.append(("at the period's end", f"changes to {subscription.pending_plan_name}"))
    if subscription.discount is not None:
        rows.append(("discount", f"{subscription.discount.code}, {subscription.discount.off} off"))
    spendable, balance = output.figure(shown.credits_spendable), output.figure(shown.credit_balance)
    rows += [("next renewal", shown.next_renewal_at), ("credits", f"{spendable} spendable, balance {balance}")]
    return output.pairs(rows)


def _entitlement(each: EntitlementView) -> tuple[object, ...]:
    if each.kind == "boolean":
        return (each.key, "yes" if each.enabled else "no", "", "", "", "")
    limit = "unlimited" if each.limit is None else each.limit
    return (each.key, limit, each.used, each.remaining, each.overage, each.resets_at or each.cadence)
