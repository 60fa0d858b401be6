"""``mcpctl billing tenants``: organizations."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import UUID

import click
from django.utils import timezone

from billing.accounts import profiles
from billing.accounts import queries as accounts_queries
from billing.cli import environment, output
from billing.cli.output import Answer, answers
from billing.cli.parameters import INSTANT, QUANTITY, Text
from billing.kernel.decimals import ZERO
from billing.lifecycle import tenants
from billing.lifecycle.tenants import Profile, Tenant
from billing.models import CollectionMethod, Subscription, TaxTreatment
from billing.reporting import representations
from billing.subscriptions import queries as subscriptions_queries


@click.group("tenants")
def command() -> None:
    """Organizations: bootstrap and list them, and their billing profiles."""


@command.command("bootstrap")
@click.argument("slug")
@click.option("--name", help="Name on documents. [default: the slug]")
@click.option("--plan", help="Code of a plan, on sale or not. [default: the catalog's default plan]")
@click.option("--no-plan", is_flag=True, help="Subscribe to nothing.")
@click.option("--currency", default="USD", show_default=True, help="ISO 4217 code.")
@click.option("--zone", default="UTC", show_default=True, help="IANA time zone of calendar windows.")
@click.option("--region", default="eu", show_default=True, help="Residency region.")
@click.option("--external-id", help="The host product's name for it.")
@click.option("--email", default="", help="Billing contact.")
@click.option("--sandbox", is_flag=True, help="A tenant with a clock of its own.")
@click.option("--clock", type=INSTANT, help="Where a sandbox's clock stands. [default: now]")
@click.option("--starts-at", type=INSTANT, help="When the subscription began. [default: now]")
@click.option("--owner", default="", help="E-mail address of who signs in as owner.")
@answers()
def bootstrap(
    slug: str,
    *,
    name: str | None,
    plan: str | None,
    no_plan: bool,
    currency: str,
    zone: str,
    region: str,
    external_id: str | None,
    email: str,
    sandbox: bool,
    clock: datetime | None,
    starts_at: datetime | None,
    owner: str,
) -> Answer:
    """Create an organization with a subscription and an API key; one that is there is shown and left alone."""
    if no_plan and (plan or starts_at):
        raise click.UsageError("--no-plan contradicts --plan and --starts-at.")
    if clock is not None and not sandbox:
        raise click.UsageError("--clock is for a --sandbox: other organizations live in real time.")
    now = timezone.now()
    profile = Profile(
        slug=slug,
        name=name or slug,
        residency_region=region,
        zone=zone,
        currency=currency,
        external_id=external_id,
        billing_email=email,
        clock_at=(clock or now) if sandbox else None,
    )
    tenant = tenants.bootstrap(
        profile,
        actor=environment.actor(),
        now=now,
        plan_code=plan,
        has_plan=not no_plan,
        starts_at=starts_at,
        owner=owner,
    )
    return Answer(_document(tenant, now), _tell(tenant))


@command.command("profile")
@click.argument("organization")
@click.option("--legal-name", type=Text(200, length_min=0))
@click.option("--address", "address", type=Text(100, length_min=0), multiple=True, help="A line; several for several.")
@click.option("--country", type=Text(2, length_min=0), help="Two letters, ISO 3166-1.")
@click.option("--vat-number", type=Text(30, length_min=0))
@click.option("--purchase-order", type=Text(60, length_min=0), help="The customer's order, for the document.")
@click.option("--tax", "tax_treatment", type=click.Choice(TaxTreatment.values), help="How it is taxed.")
@click.option("--rate", "tax_rate", type=QUANTITY, help="Per cent, for exclusive and inclusive.")
@click.option("--tax-label", type=Text(40, length_min=0), help="What the tax is called. [default: Tax]")
@click.option("--tax-note", type=Text(300, length_min=0), help="Why nothing is taxed.")
@click.option("--terms-days", "payment_terms_days", type=click.IntRange(0, 365), help="Days from issue to due.")
@click.option(
    "--collection", type=click.Choice(CollectionMethod.values), help="Charged at issue, or paid by the due date."
)
@answers()
def profile(organization: str, **given: Any) -> Answer:
    """Show the billing profile, or change what is given of it; with --tax all of the tax is as given."""
    found = accounts_queries.get_organization(organization)
    actor = environment.actor()
    stored = profiles.read_profile(organization=found, actor=actor)
    changes = {name: value for name, value in given.items() if value is not None and value != ()}
    if "tax_treatment" in changes:
        changes = {"tax_rate": ZERO, "tax_label": "", "tax_note": "", **changes}
    if changes:
        stored = profiles.set_profile(
            organization=found,
            profile=replace(stored, **changes),
            actor=actor,
            now=accounts_queries.now_for(found),
        )
    document = profiles.as_dict(stored)
    tax = document["tax"]
    rows: list[tuple[str, object]] = [
        ("legal name", stored.legal_name),
        ("address", ", ".join(stored.address)),
        ("country", stored.country),
        ("VAT number", stored.vat_number),
        ("order", stored.purchase_order),
        ("tax", f"{tax['label']} {tax['rate']} % {tax['treatment']}".strip() if stored.tax_rate else tax["treatment"]),
        ("note", stored.tax_note),
        ("terms", "as usual" if stored.payment_terms_days is None else f"{stored.payment_terms_days} days"),
        ("collection", stored.collection),
    ]
    return Answer(document, output.pairs(rows))


@command.command("list")
@click.option("--after", default="", help="Continue behind this slug.")
@click.option("--limit", type=click.IntRange(1, 1000), default=100, show_default=True)
@answers()
def list_tenants(after: str, limit: int) -> Answer:
    """Organizations by slug, with what they are subscribed to."""
    found = accounts_queries.list_organizations(after_slug=after, limit=limit + 1)
    page = found[:limit]
    live: dict[UUID, list[Subscription]] = {organization.id: [] for organization in page}
    for each in subscriptions_queries.list_live(page):
        live[each.organization_id].append(each)
    document = {
        "results": [
            {
                **representations.organization(organization),
                "subscriptions": [
                    {
                        "product": each.product,
                        "plan": each.plan.code,
                        "plan_version": each.plan.version,
                        "status": each.status,
                    }
                    for each in live.get(organization.id, ())
                ],
            }
            for organization in page
        ],
        "next": page[-1].slug if len(found) > limit else None,
    }
    rows = [
        (
            organization.slug,
            organization.name,
            organization.residency_region,
            ", ".join(
                f"{each.plan.code} v{each.plan.version} ({each.status})" for each in live.get(organization.id, ())
            ),
            organization.clock_at if organization.is_sandbox else "real time",
        )
        for organization in page
    ]
    text = output.table(("slug", "name", "region", "subscribed to", "clock"), rows) if rows else "No organizations."
    if len(found) > limit:
        text += f"\n… more with --after {page[-1].slug}"
    return Answer(document, text)


def _document(tenant: Tenant, now: datetime) -> dict[str, object]:
    at = accounts_queries.now_for(tenant.organization, now)
    period = subscriptions_queries.find_period(tenant.subscription, at) if tenant.subscription else None
    return {
        "created": tenant.is_new,
        "organization": representations.organization(tenant.organization),
        "subscription": representations.subscription(tenant.subscription, period) if tenant.subscription else None,
        "keys": [representations.key(key) for key in tenant.keys],
        "api_key": tenant.secret or None,
        "owner": {"login": tenant.owner, "password": tenant.password or None} if tenant.owner else None,
    }


def _tell(tenant: Tenant) -> str:
    organization, subscription = tenant.organization, tenant.subscription
    rows: list[tuple[str, object]] = [
        ("organization", f"{organization.slug} ({organization.id})"),
        ("name", organization.name),
        ("clock", organization.clock_at if organization.is_sandbox else "real time"),
        ("plan", f"{subscription.plan.code} v{subscription.plan.version}" if subscription else "none"),
    ]
    if subscription:
        rows += [("status", subscription.status), ("since", subscription.starts_at)]
    if not tenant.is_new:
        keys = ", ".join(f"{key.prefix}…" for key in tenant.keys if key.revoked_at is None)
        return output.pairs([*rows, ("API keys", keys)]) + f"\n{organization.slug} was there; nothing was changed."
    rows.append(("API key", tenant.secret))
    if tenant.owner:
        rows += [("owner", tenant.owner), ("password", tenant.password or "as before")]
    return output.pairs(rows) + "\nThe key is shown this once."
