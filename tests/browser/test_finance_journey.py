"""Finance signs in with both factors, reads a draft, issues it, and gives part of it back by a credit note."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from billing.lifecycle import demo
from billing.models import AuditEntry, Invoice, User
from billing.reporting.doctor import verify
from tests.browser import stage
from tests.support import people

if TYPE_CHECKING:
    from tests.browser.visiting import Visitor

REASON = "Two days without service"


def test_a_draft_is_reviewed_issued_and_credited(visit: Callable[..., Visitor]) -> None:
    owner = User.objects.get(email=demo.LOGIN)
    organization = stage.billed("finance-journey", owner)
    invoice = Invoice.objects.get(organization=organization)
    clerk = stage.staff("finance", "clerk@staff.example")
    key = people.app(clerk)
    finance = visit()
    sign_in(finance, clerk, key)

    finance.page.locator(".desk-tile", has_text="drafts to review").wait_for()
    finance.open("/admin/billing/invoice/?q=finance-journey")
    finance.click(finance.page.locator("#result_list th a, #result_list td a", has_text="draft").first)
    assert finance.path.startswith(f"/admin/billing/invoice/{invoice.id}/change/")
    assert "Finance Journey" in finance.text or "finance-journey" in finance.text

    act(finance, "Issue", "Issue")
    invoice.refresh_from_db()
    assert invoice.status == "issued"
    assert str(invoice.number) in finance.text

    act(finance, "Issue a credit note", "Issue a credit note", lines="1 10.00", reason=REASON)
    (note,) = invoice.credit_notes.all()
    assert (note.total_minor, note.reason) == (1000, REASON)
    assert str(note.number) in finance.text
    done = AuditEntry.objects.filter(organization_id=organization.id, actor=f"user:{clerk.id}")
    assert {"invoice.issue", "invoice.credit"} <= set(done.values_list("act", flat=True))
    assert verify(organization=organization) == []


def sign_in(finance: Visitor, clerk: User, key: str) -> None:
    """The admin sends whoever is not signed in to the one sign-in that there is."""
    finance.open("/admin/")
    assert finance.path == "/account/login/?next=%2Fadmin%2F"
    finance.page.locator("input[name=login]").fill(clerk.email)
    finance.page.locator("input[name=password]").fill(people.PASSWORD)
    finance.press("Sign in")
    assert finance.path.startswith("/account/2fa/authenticate/")
    finance.page.locator("input[name=code]").fill(people.code(key))
    finance.click(finance.page.locator("main form button").first)
    assert finance.path == "/admin/"


def act(finance: Visitor, link: str, button: str, **fields: str) -> None:
    finance.click(finance.page.locator(".desk-acts").get_by_role("link", name=link, exact=True))
    for name, value in fields.items():
        finance.page.locator(f".desk-form [name={name}]").fill(value)
    finance.press(button)
    assert finance.path.endswith("/change/")
