"""The example of fees in advance in docs/invoices.md is lived, and must come to what it says there.

``WRITE_DOCS=1`` puts what it comes to into the page instead.
"""

import os
import re
from pathlib import Path

import pytest

from billing.accounts import actors
from billing.catalog import operations as catalog_operations
from billing.catalog import parsing
from billing.kernel.money import format_minor
from billing.lifecycle import cancel, change_plan, clock, onboard
from billing.models import Invoice
from tests.support import factories
from tests.support.factories import at

PAGE = Path(__file__).resolve().parents[3] / "docs" / "invoices.md"
BLOCK = re.compile(r"(?<=```text\n).*?(?=```\n)", re.DOTALL)
OPERATOR = actors.operator("ada")
TEXT = """\
default_plan: small
events: {}
plans:
  small: {price: {USD: "30.00"}, base_fee: advance, entitlements: {}}
  large: {price: {USD: "90.00"}, base_fee: advance, entitlements: {}}
"""


@pytest.mark.django_db
def test_the_example_of_fees_in_advance() -> None:
    catalog_operations.sync(spec=parsing.load(TEXT), actor="test", now=at("2026-01-01"))
    acme = factories.sandbox(clock_at=at("2026-03-01"), slug="acme")
    subscription = onboard.subscribe(organization=acme, plan_code="small", actor=OPERATOR, now=at("2026-03-01"))
    clock.advance(organization=acme, to=at("2026-03-11"), actor=OPERATOR)
    change_plan.change_now(subscription=subscription, plan_code="large", actor=OPERATOR, now=at("2026-03-11"))
    noon = at("2026-04-16 12:00:00")
    clock.advance(organization=acme, to=noon, actor=OPERATOR)
    subscription.refresh_from_db()
    cancel.cancel_now(subscription=subscription, actor=OPERATOR, now=noon)
    clock.advance(organization=acme, to=at("2026-04-20"), actor=OPERATOR)
    said = "".join(told(each) for each in Invoice.objects.order_by("issued_at"))
    page = PAGE.read_text()
    if os.environ.get("WRITE_DOCS"):
        PAGE.write_text(BLOCK.sub(said, page, count=1))
    else:
        assert BLOCK.findall(page) == [said]


def told(invoice: Invoice) -> str:
    """Its day of issue, kind and lines, then the total."""
    rows = [(line.description, line.amount_minor) for line in invoice.lines.all()] + [("total", invoice.total_minor)]
    head = f"{invoice.issued_at:%d %b %Y}, {invoice.kind}".lstrip("0")
    shown = (f"  {what:<72}{format_minor(minor, invoice.currency):>8}\n" for what, minor in rows)
    return f"{head}\n{''.join(shown)}"
