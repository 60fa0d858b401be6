"""The invoice as PDF over HTTP."""

import pytest
from django.test import Client

from billing.accounts import actors
from billing.accounts import operations as accounts_operations
from billing.accounts.actors import Act
from billing.invoicing.operations import draft, issue
from billing.lifecycle import clock, onboard
from tests.support import catalogs, factories

pytestmark = pytest.mark.django_db
OPERATOR = actors.operator("test")


@pytest.mark.parametrize(
    ("suffix", "accept"), [("?format=pdf", "*/*"), (".pdf", "*/*"), ("", "application/pdf")], ids=str
)
def test_it_is_a_file_named_after_the_number(suffix: str, accept: str) -> None:
    catalogs.sync()
    start = factories.at("2026-01-01")
    organization = factories.sandbox(clock_at=start, slug="pdf-org")
    subscription = onboard.subscribe(organization=organization, plan_code="team", actor=OPERATOR, now=start)
    now = factories.at("2026-02-02")
    clock.advance(organization=organization, to=now, actor=OPERATOR)
    invoice = issue(invoice=draft(subscription=subscription, actor=OPERATOR, now=now), actor=OPERATOR, now=now)
    _, secret = accounts_operations.create_key(organization=organization, name="k", scopes=[Act.READ], actor=OPERATOR)
    answer = Client().get(
        f"/api/billing/invoices/{invoice.id}{suffix}", headers={"authorization": f"Bearer {secret}", "accept": accept}
    )
    assert answer.status_code == 200
    assert answer["Content-Type"] == "application/pdf"
    assert answer["Content-Disposition"] == f'attachment; filename="{invoice.number}.pdf"'
    assert answer.content.startswith(b"%PDF-")
