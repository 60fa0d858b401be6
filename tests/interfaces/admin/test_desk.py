"""The desk: who sees which rows, what can be done to them, and that nothing can be edited or deleted."""

import pytest
from django.contrib import admin
from django.contrib.auth.models import Group
from django.test import Client

from billing.accounts import actors, operations
from billing.admin.base import Desk
from billing.lifecycle import clock, onboard
from billing.models import Invoice, Organization, Subscription, User
from tests.support import catalogs, factories
from tests.support.factories import at

pytestmark = pytest.mark.django_db
OPERATOR = actors.operator("op")
MARCH = at("2026-03-01")


@pytest.fixture
def acme(db: None) -> Organization:
    catalogs.sync()
    acme = factories.sandbox(clock_at=MARCH, residency_region="eu", name="=1+1 <b>Acme</b>")
    onboard.subscribe(organization=acme, plan_code="team", actor=OPERATOR, now=MARCH)
    clock.advance(organization=acme, to=at("2026-04-01 01:00:00"), actor=OPERATOR)
    Invoice.objects.update(parked_at=MARCH, parked_reason="far above", issue_due_at=None)
    Subscription.objects.update(parked_at=MARCH, parked_reason="it failed")
    return acme


def staff(*groups: str, regions: tuple[str, ...] = ("eu",), superuser: bool = False) -> Client:
    user = operations.create_user(email=f"staff{User.objects.count()}@example.com", password="correct horse battery 42")
    User.objects.filter(id=user.id).update(is_staff=True, is_superuser=superuser, cleared_regions=list(regions))
    user.groups.set([Group.objects.get_or_create(name=name)[0] for name in groups])
    client = Client()
    client.force_login(User.objects.get(id=user.id))
    return client


def test_parked_ones_are_seen_and_let_run(acme: Organization) -> None:
    browser = staff(superuser=True)
    page = browser.get("/admin/billing/subscription/?renewals=parked")
    assert page.status_code == 200
    assert "it failed" in page.content.decode()
    row = Subscription.objects.get()
    done = browser.post(
        "/admin/billing/subscription/", {"action": "let_renewals_run", "_selected_action": [row.id]}, follow=True
    )
    assert "things happened" in done.content.decode()
    row.refresh_from_db()
    assert row.parked_at is None


def test_drafts_are_issued_one_by_one_with_a_result_each(acme: Organization) -> None:
    browser = staff("finance")
    invoice = Invoice.objects.get()
    page = browser.get("/admin/billing/invoice/?waiting=parked").content.decode()
    assert "far above" in page
    assert "49.00 USD" in page
    for _ in range(2):
        answer = browser.post(
            "/admin/billing/invoice/", {"action": "issue", "_selected_action": [invoice.id]}, follow=True
        )
        assert "issued as SBX-" in answer.content.decode()
    refused = browser.post(
        "/admin/billing/invoice/", {"action": "release", "_selected_action": [invoice.id]}, follow=True
    )
    assert "This invoice is issued already." in refused.content.decode()


def test_support_reads_and_does_nothing(acme: Organization) -> None:
    browser = staff("support")
    invoice = Invoice.objects.get()
    assert browser.get(f"/admin/billing/invoice/{invoice.id}/change/").status_code == 200
    browser.post("/admin/billing/invoice/", {"action": "issue", "_selected_action": [invoice.id]}, follow=True)
    browser.post(f"/admin/billing/invoice/{invoice.id}/change/", {"total_minor": 1}, follow=True)
    invoice.refresh_from_db()
    assert (invoice.status, invoice.total_minor) == ("draft", 4900)


@pytest.mark.parametrize("groups", [("finance",), ("support",)])
def test_other_regions_are_not_there(acme: Organization, groups: tuple[str, ...]) -> None:
    browser = staff(*groups, regions=("us",))
    invoice = Invoice.objects.get()
    assert acme.slug not in browser.get("/admin/billing/invoice/").content.decode()
    assert browser.get(f"/admin/billing/invoice/{invoice.id}/change/").status_code == 302
    browser.post("/admin/billing/invoice/", {"action": "issue", "_selected_action": [invoice.id]}, follow=True)
    invoice.refresh_from_db()
    assert invoice.status == "draft"


def test_staff_without_a_group_see_nothing(acme: Organization) -> None:
    assert staff().get("/admin/billing/invoice/").status_code == 403


def test_nothing_is_edited_added_or_deleted_anywhere(acme: Organization) -> None:
    desks = {model: desk for model, desk in admin.site._registry.items() if model._meta.app_label == "billing"}
    assert {Invoice, Subscription} <= set(desks)
    browser = staff(superuser=True)
    for model, desk in desks.items():
        assert isinstance(desk, Desk), model
        path = f"/admin/billing/{model._meta.model_name}"
        row = model._default_manager.first()
        assert row is not None
        assert browser.get(f"{path}/add/").status_code == 403
        assert browser.post(f"{path}/{row.pk}/delete/", {"post": "yes"}).status_code == 403
        assert browser.post(f"{path}/{row.pk}/change/", {}).status_code == 403
        answer = browser.post(f"{path}/", {"action": "delete_selected", "_selected_action": [row.pk]}, follow=True)
        assert model._default_manager.filter(pk=row.pk).exists(), answer


@pytest.mark.parametrize("model", ["invoice", "subscription"])
def test_pages_cost_the_same_for_one_row_and_for_many(
    acme: Organization, model: str, django_assert_max_num_queries: object
) -> None:
    browser = staff(superuser=True)
    for number in range(8):
        other = factories.sandbox(clock_at=MARCH)
        onboard.subscribe(organization=other, plan_code="team", actor=OPERATOR, now=MARCH)
        clock.advance(organization=other, to=at("2026-04-01 01:00:00"), actor=OPERATOR)
        assert number >= 0
    with django_assert_max_num_queries(15):  # type: ignore[operator]
        assert browser.get(f"/admin/billing/{model}/").status_code == 200
