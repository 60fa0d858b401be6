"""The desk: who sees which rows, and that nothing can be edited, added or deleted, nor run or calculated."""

from __future__ import annotations

import re
from decimal import Decimal

import pytest
from django.contrib import admin
from django.test import Client

from billing.accounts import actors
from billing.admin.base import Desk
from billing.lifecycle import adjust, clock, onboard
from billing.models import AuditEntry, Invoice, Organization, Subscription
from billing_project import security_headers
from tests.support import catalogs, factories
from tests.support.factories import at
from tests.support.staff import act, staff, user_of

pytestmark = pytest.mark.django_db
OPERATOR = actors.operator("op")
MARCH = at("2026-03-01")
EVIL = "=1+1 <script>alert(1)</script>"


@pytest.fixture
def acme(db: None) -> Organization:
    catalogs.sync()
    acme = factories.sandbox(clock_at=MARCH, residency_region="eu", name=EVIL)
    onboard.subscribe(organization=acme, plan_code="team", actor=OPERATOR, now=MARCH)
    clock.advance(organization=acme, to=at("2026-04-01 01:00:00"), actor=OPERATOR)
    Invoice.objects.update(parked_at=MARCH, parked_reason=EVIL, issue_due_at=None)
    Subscription.objects.update(parked_at=MARCH, parked_reason=EVIL)
    return acme


def test_parked_renewals_are_seen_and_let_run(acme: Organization) -> None:
    browser = staff("finance")
    page = browser.get("/admin/billing/subscription/?renewals=parked")
    assert page.status_code == 200
    assert acme.slug in page.content.decode()
    row = Subscription.objects.get()
    done = act(browser, f"/admin/billing/subscription/{row.id}/act/let_renewals_run/")
    assert "things happened" in done.content.decode()
    row.refresh_from_db()
    assert row.parked_at is None


def test_support_reads_and_does_nothing(acme: Organization) -> None:
    browser = staff("support")
    invoice = Invoice.objects.get()
    page = browser.get(f"/admin/billing/invoice/{invoice.id}/change/")
    assert page.status_code == 200
    assert "/act/" not in page.content.decode()
    for path in ("issue", "void", "hold", "credit"):
        for ask in (browser.get, browser.post):
            assert ask(f"/admin/billing/invoice/{invoice.id}/act/{path}/").status_code == 403
    browser.post("/admin/billing/invoice/", {"action": "issue", "_selected_action": [invoice.id]}, follow=True)
    assert browser.post(f"/admin/billing/invoice/{invoice.id}/change/", {"total_minor": 1}).status_code == 403
    invoice.refresh_from_db()
    assert (invoice.status, invoice.total_minor) == ("draft", 4900)


@pytest.mark.parametrize("groups", [("finance",), ("support",)])
def test_other_regions_are_not_there_and_a_try_is_kept(acme: Organization, groups: tuple[str, ...]) -> None:
    browser = staff(*groups, regions=("us",))
    invoice, subscription = Invoice.objects.get(), Subscription.objects.get()
    for page in ("invoice", "subscription", "organization", "auditentry", "marketplacesubscription"):
        assert acme.slug not in browser.get(f"/admin/billing/{page}/").content.decode()
    assert str(acme.id) not in browser.get(f"/admin/billing/organization/?q={acme.slug}").content.decode()
    for path in (
        f"invoice/{invoice.id}/change/",
        f"subscription/{subscription.id}/change/",
        f"organization/{acme.id}/change/",
        f"auditentry/{AuditEntry.objects.filter(organization_id=acme.id)[0].id}/change/",
    ):
        assert browser.get(f"/admin/billing/{path}").status_code == 403, path
    assert browser.get(f"/admin/billing/invoice/{invoice.id}/act/issue/").status_code == 403
    refused = AuditEntry.objects.filter(actor=f"user:{user_of(browser).id}")
    assert {each.act for each in refused} <= {"refused.read", "refused.money"}
    assert refused.count() >= 4
    browser.post("/admin/billing/invoice/", {"action": "issue", "_selected_action": [invoice.id]}, follow=True)
    invoice.refresh_from_db()
    assert invoice.status == "draft"


def test_staff_without_a_group_see_nothing(acme: Organization) -> None:
    browser = staff()
    assert browser.get("/admin/billing/invoice/").status_code == 403
    start = browser.get("/admin/")
    assert start.status_code == 200
    assert "Nothing here is for your groups" in start.content.decode()


def test_whoever_is_no_staff_is_sent_away(acme: Organization) -> None:
    for path in ("", "billing/invoice/", f"billing/invoice/{Invoice.objects.get().id}/change/"):
        assert Client().get(f"/admin/{path}").status_code == 302


def test_nothing_is_edited_added_or_deleted_anywhere(acme: Organization) -> None:
    browser = staff(superuser=True)
    desks = admin.site._registry
    assert {Invoice, Subscription} <= set(desks)
    for model, desk in desks.items():
        assert isinstance(desk, Desk), model
        path = f"/admin/{model._meta.app_label}/{model._meta.model_name}"
        assert browser.get(f"{path}/add/").status_code == 403
        assert browser.post(f"{path}/add/", {}).status_code == 403
        row = model._default_manager.first()
        if row is None:
            continue
        assert browser.post(f"{path}/{row.pk}/delete/", {"post": "yes"}).status_code == 403
        assert browser.post(f"{path}/{row.pk}/change/", {}).status_code == 403
        answer = browser.post(f"{path}/", {"action": "delete_selected", "_selected_action": [row.pk]}, follow=True)
        assert model._default_manager.filter(pk=row.pk).exists(), answer


def test_what_is_written_into_fields_stays_text(acme: Organization) -> None:
    browser = staff(superuser=True)
    invoice, subscription = Invoice.objects.get(), Subscription.objects.get()
    adjust.adjust(subscription=subscription, credits=Decimal(5), actor=OPERATOR, reason=EVIL, now=MARCH)
    shown = 0
    for path in (
        "",
        "billing/invoice/",
        "billing/subscription/",
        "billing/organization/",
        "billing/creditentry/",
        "billing/auditentry/",
        f"billing/invoice/{invoice.id}/change/",
        f"billing/invoice/{invoice.id}/act/void/",
        f"billing/subscription/{subscription.id}/change/",
        f"billing/organization/{acme.id}/change/",
        f"billing/marketplacesubscription/{subscription.id}/change/",
    ):
        text = browser.get(f"/admin/{path}").content.decode()
        assert "<script>alert" not in text, path
        shown += "&lt;script&gt;alert" in text
    assert shown >= 6


def test_the_policy_of_the_admin_is_of_the_admin_alone(acme: Organization) -> None:
    browser = staff(superuser=True)
    for path in ("/admin/", "/admin/billing/invoice/", "/admin/nothing/"):
        policy = browser.get(path).headers["Content-Security-Policy"]
        assert policy == security_headers.ADMIN_POLICY
        assert "'unsafe-inline'" not in policy.partition("style-src")[0]
        assert "http" not in policy
    for path in ("/", "/administration", "/api/billing/plans", "/account/login/"):
        assert "unsafe" not in browser.get(path, follow=True).headers["Content-Security-Policy"], path


def test_pages_load_nothing_from_elsewhere(acme: Organization) -> None:
    browser = staff(superuser=True)
    for path in ("/admin/", "/admin/billing/invoice/", f"/admin/billing/organization/{acme.id}/change/"):
        text = browser.get(path).content.decode()
        assert re.findall(r'(?:src|href|action|srcset)="(?:\w+:)?//[^"]*"', text) == [], path


def test_the_trail_stands_on_the_page_of_the_object(acme: Organization) -> None:
    browser = staff("finance")
    invoice = Invoice.objects.get()
    act(browser, f"/admin/billing/invoice/{invoice.id}/act/hold/", reason="wait for the contract")
    text = browser.get(f"/admin/billing/invoice/{invoice.id}/change/").content.decode()
    assert "invoice.hold" in text
    assert "wait for the contract" in text
    assert user_of(browser).email in text
    assert browser.get(f"/admin/billing/invoice/{invoice.id}/history/").status_code == 302
