"""``mcpctl billing plans migrate``: who would pay how much more or less, and the move itself."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import click
from django.utils import timezone

from billing.accounts import queries as accounts_queries
from billing.accounts.actors import Actor
from billing.catalog.diffing import FieldChange
from billing.cli import environment, output, progress
from billing.cli.exits import Exit
from billing.cli.output import Answer, answers
from billing.cli.parameters import CODE
from billing.invoicing.comparison import Prospect, Totals
from billing.kernel.errors import BillingError, Busy
from billing.kernel.money import format_minor
from billing.lifecycle import migrate, prospects
from billing.lifecycle.migrate import Migration, Outcome, When
from billing.reporting import migrating

# Books in use are asked for again; who is still busy then is reported, and the next run comes to them.
ATTEMPTS_MAX = 3


class _Version(click.ParamType[tuple[str, int | None]]):
    """``team`` or ``team@2``."""

    name = "plan[@version]"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, int | None]:
        if isinstance(value, tuple):
            return value
        code, separator, version = str(value).partition("@")
        if separator and not (version.isascii() and version.isdigit() and 0 < int(version[:9]) < 10**9):
            self.fail(f"{value!r} does not end in a version such as @2", param, ctx)
        return CODE.convert(code, param, ctx), int(version) if separator else None


@dataclass(slots=True)
class _Report:
    """``shown`` rows at most; everything is counted."""

    migration: Migration
    shown: int
    counts: Counter[str] = field(default_factory=Counter)
    codes: Counter[str] = field(default_factory=Counter)

    def refuse(self, error: BillingError) -> None:
        self.counts["refused"] += 1
        self.codes[error.code] += 1


@click.command("migrate")
@click.argument("source", type=_Version())
@click.option("--to", "target", type=_Version(), help="The plan to go to, at its current version. [default: the same]")
@click.option(
    "--when",
    type=click.Choice([each.value for each in When]),
    default=When.PERIOD_END.value,
    show_default=True,
    help="At the end of each running period, or from this second on, prorated.",
)
@click.option("--organization", help="This organization's subscription only.")
@click.option("--include-sandboxes", is_flag=True, help="Sandbox organizations too.")
@click.option("--apply/--dry-run", "is_applied", default=False, help="Do it. [default: show what it would mean]")
@click.option("--show", type=click.IntRange(0), default=100, show_default=True, help="Rows to show; all are counted.")
@answers()
def command(
    source: tuple[str, int | None],
    *,
    target: tuple[str, int | None] | None,
    when: str,
    organization: str | None,
    include_sandboxes: bool,
    is_applied: bool,
    show: int,
) -> Answer:
    """Move subscribers of SOURCE, a plan or one version of it, to the plan's current version or to another plan.

    Without --apply nothing is changed: it is shown who would pay how much more or less. Each subscription is moved by
    itself; a run that was stopped is simply run again.
    """
    actor = environment.actor()
    migration = migrate.prepare(
        source=source[0],
        source_version=source[1],
        target=target[0] if target else None,
        target_version=target[1] if target else None,
        when=When(when),
        organization=accounts_queries.get_organization(organization) if organization else None,
        has_sandboxes=include_sandboxes,
        actor=actor,
    )
    report = _Report(migration, show)
    return _apply(report, actor) if is_applied else _preview(report)


def _preview(report: _Report) -> Answer:
    migration, totals = report.migration, Totals()
    scheduled, changed = migrate.count_scheduled(migration), prospects.changes(migration)
    rows: list[Prospect] = []
    with progress.bar("Pricing", migrate.count(migration)) as advance:
        for ids in migrate.iterate(migration):
            for each in prospects.preview(migration, ids, now=timezone.now()):
                totals.add(each)
                report.counts["moving"] += each.refusal is None
                if each.refusal is not None:
                    report.refuse(each.refusal)
                if len(rows) < report.shown:
                    rows.append(each)
            advance(len(ids))
    document = {
        **_head(report, scheduled),
        "changes": [
            {"plan": f"{plan.code}@{plan.version}", "entitlements": [each.as_dict() for each in found]}
            for plan, found in changed
        ],
        "totals": migrating.totals(totals),
        "results": [migrating.prospect(each) for each in rows],
    }
    parts = [_told(report, scheduled, "would be moved")]
    for plan, found in changed:
        lines = [f"  {each.key} {each.change.value}: {_fields(each.fields)}" for each in found]
        parts.append("\n".join([f"{plan} → {migration.target}", *(lines or ["  no entitlement changes"])]))
    parts += [_prospects(rows), _totals(totals)] if rows or totals.by_currency else []
    parts.append("Dry run: nothing was changed. --apply does it.")
    return Answer(document, "\n\n".join(filter(None, parts)))


def _apply(report: _Report, actor: Actor) -> Answer:
    migration, before = report.migration, migrate.count_scheduled(report.migration)
    rows: list[Outcome] = []
    with progress.bar("Moving", migrate.count(migration)) as advance:
        for ids in migrate.iterate(migration):
            for subscription_id in ids:
                outcome = _one(migration, subscription_id, actor)
                if outcome.refusal is None:
                    report.counts["moved"] += 1
                else:
                    report.refuse(outcome.refusal)
                if len(rows) < report.shown:
                    rows.append(outcome)
                advance(1)
    document = {**_head(report, before), "results": [migrating.moved(each.subscription, each.refusal) for each in rows]}
    header = ("organization", "status", "plan", "at the period's end", "refused")
    lines = [
        (
            each.subscription.organization.slug,
            each.subscription.status,
            each.subscription.plan,
            each.subscription.pending_plan,
            f"{each.refusal.code}: {each.refusal.message}" if each.refusal else None,
        )
        for each in rows
    ]
    done = "were moved" if migration.when is When.NOW else "were scheduled"
    parts = [_told(report, before, done), output.table(header, lines) if lines else ""]
    return Answer(document, "\n\n".join(filter(None, parts)), Exit.REFUSED if report.counts["refused"] else Exit.OK)


def _one(migration: Migration, subscription_id: UUID, actor: Actor) -> Outcome:
    for attempt in range(1, ATTEMPTS_MAX + 1):
        try:
            return migrate.apply(migration, subscription_id=subscription_id, actor=actor, now=timezone.now())
        except Busy as busy:
            if attempt == ATTEMPTS_MAX:
                return migrate.untouched(subscription_id, busy)
            time.sleep(0.2 * attempt)
    raise AssertionError("the last attempt returns")


def _head(report: _Report, scheduled: int) -> dict[str, Any]:
    migration = report.migration
    return {
        "to": f"{migration.target.code}@{migration.target.version}",
        "when": migration.when.value,
        "scheduled_before": scheduled,
        **{name: report.counts[name] for name in ("moving", "moved", "refused") if name in report.counts},
        "refusals": dict(sorted(report.codes.items())),
    }


def _told(report: _Report, scheduled: int, done: str) -> str:
    migration = report.migration
    when = "now" if migration.when is When.NOW else "at each period's end"
    count = report.counts["moving"] + report.counts["moved"]
    lines = [f"To {migration.target}, {when}: {count:,} {done}, {report.counts['refused']:,} refused."]
    if scheduled:
        lines.append(f"{scheduled:,} were scheduled before.")
    lines += [f"refused, {code}: {times:,}" for code, times in sorted(report.codes.items())]
    return "\n".join(lines)


def _prospects(rows: list[Prospect]) -> str:
    header = (
        "organization", "plan", "status", "every", "fee now", "fee then", "use now", "use then", "more or less", "",
        "credits", "remarks",
    )  # fmt: skip
    lines = [
        (
            each.subscription.organization.slug,
            each.subscription.plan,
            each.subscription.status,
            each.interval,
            *_money(each),
            each.subscription.currency,
            f"{output.figure(each.allowance_now)} → {output.figure(each.allowance_then)}"
            if each.allowance_now != each.allowance_then
            else output.figure(each.allowance_now),
            _remarks(each),
        )
        for each in rows
    ]
    return output.table(header, lines, right=header[4:9])


def _money(prospect: Prospect) -> tuple[str, ...]:
    currency = prospect.subscription.currency
    sides = (prospect.now, prospect.then)
    fees = [None if side is None else side.base_minor for side in sides]
    use = [None if side is None else side.use_minor + side.minimum_minor for side in sides]
    return tuple(
        output.NONE if amount is None else format_minor(amount, currency)
        for amount in (*fees, *use, prospect.difference_minor)
    )


def _remarks(prospect: Prospect) -> str:
    refused = prospect.then.refused if prospect.then else {}
    remarks = [f"refused, {prospect.refusal.code}"] if prospect.refusal else []
    remarks += [f"{output.figure(units)} of {key} would have been refused" for key, units in refused.items()]
    if prospect.period is None:
        remarks.append("no full period yet")
    return "; ".join(remarks)


def _totals(totals: Totals) -> str:
    header = ("currency", "every", "subscriptions", "now", "then", "difference", "pay more", "pay less", "the same")
    rows = [
        (
            each["currency"], each["billing_period"], each["subscriptions"], each["now"], each["then"],
            each["difference"], each["more"], each["less"], each["same"],
        )
        for each in migrating.totals(totals)
    ]  # fmt: skip
    return output.table(header, rows, right=header[2:]) if rows else ""


def _fields(fields: tuple[FieldChange, ...]) -> str:
    return ", ".join(f"{each.path} {output.cell(each.old)} → {output.cell(each.new)}" for each in fields)
