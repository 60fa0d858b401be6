"""``mcpctl billing plans``: the catalog."""

from __future__ import annotations

from pathlib import Path

import click
from django.conf import settings
from django.utils import timezone

from billing.catalog import operations as catalog_operations
from billing.catalog import parsing
from billing.catalog import queries as catalog_queries
from billing.catalog.diffing import FieldChange, PlanChange, Step
from billing.catalog.operations import SyncReport
from billing.catalog.schema import CatalogSpec
from billing.cli import environment, output
from billing.cli.commands import plans_migrate
from billing.cli.output import Answer, answers
from billing.kernel.money import format_minor
from billing.models import Plan
from billing.reporting import representations

_file = click.argument("file", required=False, type=click.Path(path_type=Path))


@click.group("plans")
def command() -> None:
    """The catalog: check, compare and sync plans.yaml, list plans, move subscribers to newer versions.

    FILE is by default the one of the setting BILLING_PLANS_FILE. A bad file is refused whole.
    """


@command.command("check")
@_file
@answers(needs_database=False)
def check(file: Path | None) -> Answer:
    """Prove a file: every problem with its line. Needs no database."""
    spec = _load(file)
    document = {
        "file": spec.file,
        "default_plan": spec.default_plan,
        "plans": [plan.code for plan in spec.plans],
        "events": [meter.code for meter in spec.meters],
    }
    return Answer(document, f"{spec.file} is sound: {len(spec.plans)} plans, {len(spec.meters)} events.")


@command.command("diff")
@_file
@answers()
def diff(file: Path | None) -> Answer:
    """What a sync would change, whom it touches, and who would be over a lowered limit."""
    spec = _load(file)
    changes = [change for change in catalog_queries.diff(spec, now=timezone.now()) if change.step is not Step.UNCHANGED]
    fields = catalog_queries.diff_settings(spec)
    document = {
        "file": spec.file,
        "changed": bool(changes or fields),
        "plans": [change.as_dict() for change in changes],
        "settings": [change.as_dict() for change in fields],
    }
    lines = [line for change in changes for line in _lines_of(change)] + [_line_of(change) for change in fields]
    return Answer(document, "\n".join(lines) or "Nothing would change.")


@command.command("sync")
@_file
@answers()
def sync(file: Path | None) -> Answer:
    """Make the catalog say what the file says. Subscribers stay on their plan version."""
    report = catalog_operations.sync(spec=_load(file), actor=environment.actor().name, now=timezone.now())
    return Answer(report.as_dict(), _tell(report))


@command.command("list")
@answers()
def list_plans() -> Answer:
    """Every plan's current version, retired and unsold ones too."""
    plans = catalog_queries.list_current_plans()
    document = {
        "catalog_version": catalog_queries.catalog_version(),
        "default_plan": catalog_queries.default_plan_code(),
        "results": [
            {**representations.plan(plan), "is_active": plan.is_active, "is_on_sale": plan.is_on_sale} for plan in plans
        ],
    }
    header = ("plan", "version", "name", "every", "price", "credits", "state")
    rows = [(p.code, p.version, p.name, p.billing_period, _prices(p), p.credit_allowance, _state(p)) for p in plans]
    text = output.table(header, rows, right=("version", "credits")) if plans else "The catalog is empty."
    return Answer(document, text)


command.add_command(plans_migrate.command)


def _load(file: Path | None) -> CatalogSpec:
    return parsing.load(file or settings.BILLING_PLANS_FILE)


def _lines_of(change: PlanChange) -> list[str]:
    lines = [f"{change.code}: {change.step.value}, version {change.version}, {change.organizations} subscribed"]
    # Of a plan that is new every field is.
    if change.step is not Step.CREATED:
        lines += [f"  {_line_of(field)}" for field in change.fields]
    for over in change.over_limit:
        lines.append(
            f"  over the new limit: {over.organization} used {output.cell(over.used)} of {over.entitlement}, "
            f"which allows {output.cell(over.limit_new)}"
        )
    return lines


def _line_of(field: FieldChange) -> str:
    return f"{field.path}: {output.cell(field.old)} → {output.cell(field.new)}"


def _tell(report: SyncReport) -> str:
    if not report.is_changed:
        return f"Nothing changed: the catalog is at version {report.catalog_version}."
    lines = [f"{step.code}: {step.step.value}, version {step.version}" for step in report.plans]
    for word, codes in (
        ("declared", report.meters_declared),
        ("changed", report.meters_changed),
        ("removed", report.meters_removed),
        ("kept, still in use", report.meters_kept),
    ):
        if codes:
            lines.append(f"events {word}: {', '.join(codes)}")
    return "\n".join([*lines, f"The catalog is at version {report.catalog_version}."])


def _prices(plan: Plan) -> str:
    prices = sorted(plan.prices.all(), key=lambda price: price.currency)
    return ", ".join(f"{format_minor(each.base_fee_minor, each.currency)} {each.currency}" for each in prices) or "free"


def _state(plan: Plan) -> str:
    if not plan.is_active:
        return "retired"
    return "on sale" if plan.is_on_sale else "by operators"
