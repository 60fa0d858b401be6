"""A visitor becomes a customer, uses what they bought until a limit says no, reads why, moves up and has an invoice."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from django.utils import timezone

from billing.accounts.actors import system
from billing.invoicing import operations
from billing.models import Invoice, Organization, Subscription
from billing.reporting.doctor import verify

if TYPE_CHECKING:
    from tests.browser.visiting import Visitor

SYSTEM = system("journey")
PASSWORD = "a long enough password"


@pytest.mark.parametrize("javascript", [True, False], ids=["scripts", "no-scripts"])
def test_from_the_shop_to_an_invoice(visit: Callable[..., Visitor], javascript: bool) -> None:
    name = "Scripted" if javascript else "Plain"
    email, slug = f"ada@{name.lower()}.example", name.lower()
    ada = visit(javascript=javascript)
    ada.open("/")
    ada.follow("Choose Solo")
    assert ada.path.startswith("/account/login/?next=/subscribe/solo")
    ada.click(ada.page.locator("main").get_by_role("link", name="Create an account"))
    ada.fill("Organization", name)
    ada.fill("E-mail address", email)
    ada.fill("Password", PASSWORD)
    ada.press("Create account")
    ada.page.locator("input[name=code]").fill(ada.product.code_sent_to(email))
    ada.press("Confirm")
    assert ada.path == "/subscribe/solo?currency=USD"

    subscribe(ada, slug)
    # The fee in advance, as the sweep does within a minute; none goes by here.
    operations.issue(invoice=Invoice.objects.get(organization__slug=slug), actor=SYSTEM, now=timezone.now())
    key = make_key(ada, slug)
    assert [record(ada, key, slug, number) for number in range(4)] == [201, 201, 201, 402]
    read_why(ada, slug)
    upgrade(ada, slug)
    assert record(ada, key, slug, 4) == 201
    download_invoice(ada, slug)
    assert verify(organization=Organization.objects.get(slug=slug)) == []


def subscribe(ada: Visitor, slug: str) -> None:
    assert "Requests for help are answered within three business days." in ada.text
    assert "9.00" in ada.text
    button = ada.page.locator("main form button.wide")
    button.click()
    # The browser itself keeps back a form whose terms are not accepted.
    assert ada.path == "/subscribe/solo?currency=USD"
    assert not Subscription.objects.filter(organization__slug=slug).exists()
    ada.page.locator("input[name=accept]").check()
    ada.click(button)
    assert ada.path.startswith("/payments/checkout/")
    ada.press("Confirm")
    assert "Thank you." in ada.text
    ada.follow("Back")
    assert ada.path == f"/dashboard/{slug}/"
    # What the provider told is worked on beside.
    ada.wait_for(f"/dashboard/{slug}/plan/", "Active")
    subscription = Subscription.objects.get(organization__slug=slug)
    assert subscription.status == "active"
    accepted = subscription.marketplace.sla_acceptance
    assert accepted is not None
    assert accepted["sla_version"] == "2026-1"
    ada.open(f"/dashboard/{slug}/")
    assert "20" in ada.text


def make_key(ada: Visitor, slug: str) -> str:
    ada.follow("Keys")
    ada.fill("Name", "meter reader")
    for scope in ("read", "usage"):
        ada.page.locator(f"input[name=scopes][value={scope}]").check()
    ada.press("Make the key")
    return ada.page.locator("[data-secret]").inner_text()


def record(ada: Visitor, key: str, slug: str, number: int) -> int:
    """As the customer's program does; the status of the answer."""
    body: dict[str, Any] = {
        "organization": slug,
        "meter": "case_created",
        "quantity": 1,
        "idempotency_key": f"case-{number}",
    }
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    call = urllib.request.Request(f"{ada.product.url}/api/billing/usage", json.dumps(body).encode(), headers)
    try:
        with urllib.request.urlopen(call, timeout=30) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as refused:
        return refused.code


def read_why(ada: Visitor, slug: str) -> None:
    ada.open(f"/dashboard/{slug}/usage/")
    assert "3" in ada.text
    ada.follow("Refusals")
    assert ada.path == f"/dashboard/{slug}/refusals/"
    assert "Cases: beyond the limit." in ada.text
    assert "Change to the plan Team, $49.00 a month." in ada.text
    # The least that lifts it; beside the words a link to where it is done.
    ada.click(ada.page.locator("main .helps a").first)
    assert ada.path == f"/dashboard/{slug}/plan/"
    ada.open(f"/dashboard/{slug}/refusals/")


def upgrade(ada: Visitor, slug: str) -> None:
    ada.follow("Plan")
    ada.press("Preview the change to Team")
    assert ada.path == f"/dashboard/{slug}/plan/preview/"
    assert "Nothing has changed yet" in ada.text
    assert Subscription.objects.get(organization__slug=slug).plan.code == "solo"
    ada.page.locator("input[name=accept]").check()
    ada.press("Change to Team")
    assert Subscription.objects.get(organization__slug=slug).plan.code == "team"


def download_invoice(ada: Visitor, slug: str) -> None:
    ada.open(f"/dashboard/{slug}/invoices/")
    assert "9.00" in ada.text
    ada.click(ada.page.locator("main tbody th a").first)
    with ada.page.expect_download() as download:
        ada.page.get_by_role("link", name="PDF").first.click()
    assert Path(download.value.path()).read_bytes().startswith(b"%PDF-")
