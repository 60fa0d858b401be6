"""Takes the pictures of the README: ``make pictures``. The customer lives by a clock of its own, so that its pages stay
the same from one taking to the next."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from django.conf import settings
from django.db import transaction
from django.utils import timezone

from billing import tasks
from billing.accounts import members
from billing.accounts import operations as accounts_operations
from billing.catalog import operations as catalog_operations
from billing.catalog import parsing
from billing.infra import locks
from billing.invoicing import operations
from billing.lifecycle import agenda, clock, onboard, usage
from billing.metering.offers import Offer
from billing.models import Invoice, Role
from tests.browser.stage import OPERATOR, person

if TYPE_CHECKING:
    from tests.browser.stage import Stage
    from tests.browser.visiting import Visitor

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "pictures"
SIZE_MAX_BYTES = 200_000
BEGAN, DAYS = datetime(2026, 3, 2, 9, tzinfo=UTC), 73
# What a working day takes, by event.
DAY = {"case_created": 9, "evaluation_run": 14, "document_generated": 6, "llm_context_tokens": 610_000}
CUSTOMERS = (
    ("lantern", "team", 11),
    ("quarry", "scale", 9),
    ("willow", "team", 8),
    ("saddle", "team_yearly", 6),
    ("cobalt", "scale", 5),
    ("juniper", "team", 3),
)
PICTURES = [
    ("storefront", "nobody", "/"),
    ("dashboard", "ada", "/dashboard/meadow/"),
    ("usage", "ada", "/dashboard/meadow/usage/?meter=llm_context_tokens"),
    ("finance", "superuser", "/admin/"),
]


@pytest.fixture(scope="session")
def meadow(stage: Stage) -> Stage:
    """A customer in the third month, and the shop as the product brings it."""
    catalog = parsing.load(settings.BILLING_PLANS_FILE)
    catalog_operations.sync(spec=catalog, actor="pictures", now=timezone.now())
    made = accounts_operations.create_organization(
        slug="meadow", name="Meadow Laboratory", is_sandbox=True, clock_at=BEGAN, actor=OPERATOR
    )
    ada = person("ada@meadow.example")
    members.set_role(organization=made, user=ada, role=Role.OWNER, actor=OPERATOR)
    onboard.subscribe(organization=made, plan_code="team", actor=OPERATOR, now=BEGAN)
    for number in range(DAYS):
        at = BEGAN + timedelta(days=number)
        if number:
            clock.advance(organization=made, to=at, actor=OPERATOR)
        if at.weekday() < 5:
            made.refresh_from_db()
            usage.record(
                [
                    # Some days are busier than others.
                    Offer(made, meter, Decimal(quantity * (3 + number * 7 % 5) // 4), key=f"{number}:{meter}")
                    for meter, quantity in DAY.items()
                ],
                now=at,
            )
    made.refresh_from_db()
    for invoice in Invoice.objects.filter(organization=made, status="issued"):
        operations.pay(
            invoice=invoice, amount_minor=invoice.total_minor, reference=f"wire {invoice}", actor=OPERATOR, now=at
        )
    for slug, plan, months in CUSTOMERS:
        customer_since(slug, plan, months)
    tasks.verify_books()
    return replace(stage, people={**stage.people, "ada": ada})


def customer_since(slug: str, plan: str, months: int) -> None:
    """What finance sees: a customer by contract, who used more than the plan includes and paid all but the last
    invoice."""
    now = timezone.now()
    began = now - timedelta(days=30 * months)
    customer = accounts_operations.create_organization(slug=slug, name=slug.title(), actor=OPERATOR)
    onboard.subscribe(organization=customer, plan_code=plan, actor=OPERATOR, now=began)
    for number in range(1, months + 1):
        at = began + timedelta(days=30 * number - 10)
        with transaction.atomic():
            locks.lock_organization(customer.id)
            agenda.run_until(customer.id, to=at, actor=OPERATOR, at=lambda due_at: None)
        tokens = Decimal(9_000_000 + 1_700_000 * (number * 7 % 11))
        usage.record([Offer(customer, "llm_context_tokens", tokens, key=f"{number}")], now=at)
        if number < months:
            for invoice in Invoice.objects.filter(organization=customer, status="issued"):
                operations.pay(
                    invoice=invoice,
                    amount_minor=invoice.total_minor,
                    reference=f"wire {invoice}",
                    actor=OPERATOR,
                    now=at,
                )


@pytest.mark.parametrize(("name", "who", "path"), PICTURES, ids=lambda value: value)
def test_take(visit: Callable[..., Visitor], meadow: Stage, name: str, who: str, path: str) -> None:
    visitor = visit(width=1280, height=1240)
    if who != "nobody":
        visitor.is_signed_in_as(meadow.people[who])
    visitor.open(path)
    visitor.page.wait_for_load_state("networkidle")
    FOLDER.mkdir(parents=True, exist_ok=True)
    picture = visitor.page.screenshot(path=FOLDER / f"{name}.png", animations="disabled", scale="css")
    assert len(picture) < SIZE_MAX_BYTES
