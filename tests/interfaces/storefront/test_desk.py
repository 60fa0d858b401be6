"""Acts of staff on an organization's dashboard: its invoice drafted, its credits topped up, once and audited."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.test import Client
from pytest_django import Settings

from billing.accounts import actors, members
from billing.accounts import operations as accounts_operations
from billing.invoicing import operations as invoicing_operations
from billing.kernel.ids import new_id
from billing.lifecycle import clock, onboard
from billing.models import (
    AuditEntry,
    CreditEntry,
    CreditGrant,
    CreditRequest,
    Invoice,
    Organization,
    Plan,
    Role,
    Subscription,
    User,
)
from billing.reporting.doctor import verify
from tests.support import catalogs, factories, people

pytestmark = pytest.mark.django_db
OPERATOR = actors.operator("test")
START = factories.at("2026-03-01")
DESK = "/dashboard/acme/desk/"


@pytest.fixture
def acme() -> Organization:
    catalogs.sync()
    acme = factories.sandbox(clock_at=START, slug="acme", name="Acme", zone="America/New_York")
    onboard.subscribe(organization=acme, plan_code="team", actor=OPERATOR, now=START)
    return acme


def staff(client: Client, group: str = "finance", regions: tuple[str, ...] = ("eu",)) -> User:
    user: User = accounts_operations.create_user(email=f"{new_id().hex}@example.com", password="a-long-password")
    User.objects.filter(id=user.id).update(is_staff=True, cleared_regions=list(regions))
    user.groups.add(Group.objects.get_or_create(name=group)[0])
    people.enter(client, user)
    return user


def plain_text(response: Any) -> str:
    assert response.status_code == 200, response
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", response.content.decode()))


def said(client: Client, response: Any) -> str:
    assert response.status_code == 302, response.content
    return plain_text(client.get(response.headers["Location"]))


def top_up(client: Client, **changes: str) -> Any:
    key = re.findall(r'name="key" value="([^"]+)"', client.get(DESK).content.decode())[0]
    return client.post(f"{DESK}credits/", {"key": key, "credits": "12.5", "reason": "an outage"} | changes)


def test_the_invoice_of_the_last_period_is_drafted_once(client: Client) -> None:
    catalogs.sync()
    acme = factories.sandbox(clock_at=factories.at("2026-04-01 12:00:00"), slug="acme")
    subscription = factories.subscription(organization=acme, plan=Plan.objects.get(code="team"), starts_at=START)
    staff(client)
    assert "No period has ended yet." in plain_text(client.get(DESK))
    assert "No period of this subscription has ended yet." in said(client, client.post(f"{DESK}draft/"))
    factories.period(subscription, ends_at=factories.at("2026-04-01"))
    assert "None yet" in plain_text(client.get(DESK))
    for _ in range(2):
        assert "49.00" in said(client, client.post(f"{DESK}draft/"))
    invoice = Invoice.objects.get()
    assert f'href="/dashboard/acme/invoices/{invoice.id}/"' in client.get(DESK).content.decode()
    invoicing_operations.issue(invoice=invoice, actor=OPERATOR, now=factories.at("2026-04-02"))
    assert "is out already" in said(client, client.post(f"{DESK}draft/"))
    assert Invoice.objects.count() == 1


def test_the_open_period_is_previewed(client: Client, acme: Organization) -> None:
    staff(client)
    text = plain_text(client.post(f"{DESK}preview/"))
    assert "Team, base fee" in text
    assert "49.00" in text
    assert not Invoice.objects.exists()


def test_credits_are_given_once(client: Client, acme: Organization) -> None:
    user = staff(client)
    key = str(new_id())
    for _ in range(2):
        assert "12.5 credits were given." in said(client, top_up(client, key=key))
    entry = CreditEntry.objects.get(reason="an outage")
    assert (entry.amount, entry.actor) == (Decimal("12.5"), f"user:{user.id}")
    assert AuditEntry.objects.filter(act="credits.adjust", reason="an outage").count() == 1
    assert "stood for another request" in said(client, top_up(client, key=key, credits="13"))
    assert Subscription.objects.get().marketplace.credit_balance == Decimal("22.5")
    assert verify() == []


def test_credits_with_a_last_day(client: Client, acme: Organization) -> None:
    staff(client)
    top_up(client, kind="promotion", expires_on="2026-03-31")
    grant = CreditGrant.objects.get(reason="an outage")
    assert (grant.kind, grant.expires_at) == ("promotion", factories.at("2026-04-01 04:00:00")), "midnight in New York"


def test_above_a_set_amount_a_second_person_is_asked(client: Client, acme: Organization, settings: Settings) -> None:
    settings.BILLING_APPROVAL_ABOVE_CREDITS = Decimal(10)
    staff(client)
    key = str(new_id())
    for _ in range(2):
        assert "a second person has to approve them" in said(client, top_up(client, key=key))
    assert CreditRequest.objects.count() == 1
    assert not CreditEntry.objects.filter(reason="an outage").exists()
    text = plain_text(client.get(DESK))
    assert "Waiting for a second person" in text
    assert "+12.5" in text


@pytest.mark.parametrize(
    "wrong",
    [
        {"credits": ""},
        {"credits": "0"},
        {"credits": "-5"},
        {"credits": "1e3"},
        {"credits": "١٢"},
        {"credits": "1.1234567"},
        {"credits": "9" * 30},
        {"reason": ""},
        {"reason": " "},
        {"reason": "\x00"},
        {"reason": "x" * 501},
        {"kind": "purchase"},
        {"kind": "allowance"},
        {"kind": "<b>"},
        {"expires_on": "2026-02-30"},
        {"expires_on": "tomorrow"},
        {"expires_on": "2026-02-01"},
        {"key": ""},
        {"key": "ä"},
    ],
)
def test_what_cannot_be_given_is_told(client: Client, acme: Organization, wrong: dict[str, str]) -> None:
    staff(client)
    before = CreditEntry.objects.count()
    response = top_up(client, **wrong)
    assert response.headers["Location"] == DESK
    assert 'class="notice' in client.get(DESK).content.decode()
    assert CreditEntry.objects.count() == before


def test_an_organization_that_never_subscribed(client: Client) -> None:
    factories.organization(slug="acme")
    staff(client)
    assert "never had a subscription" in plain_text(client.get(DESK))
    for act in ("draft", "preview"):
        assert "never had a subscription" in said(client, client.post(f"{DESK}{act}/"))
    assert client.post(f"{DESK}credits/", {"credits": "1", "reason": "r", "key": "k"}).status_code == 302


def test_markup_in_a_reason_is_inert(client: Client, acme: Organization) -> None:
    staff(client)
    top_up(client, reason="<script>alert(1)</script>")
    assert "<script>alert" not in client.get("/dashboard/acme/").content.decode()


@pytest.mark.parametrize(
    ("group", "regions", "status"),
    [
        ("finance", ("eu",), 200),
        ("finance", ("*",), 200),
        ("finance", ("us",), 403),
        ("support", ("*",), 403),
        ("catalog", ("*",), 403),
        ("marketplace", ("*",), 404),
    ],
)
def test_staff_by_group_and_region(
    client: Client, acme: Organization, group: str, regions: tuple[str, ...], status: int
) -> None:
    staff(client, group, regions)
    assert client.get(DESK).status_code == status
    if status != 200:
        assert client.post(f"{DESK}draft/").status_code == status
        assert client.post(f"{DESK}credits/", {"credits": "1", "reason": "r", "key": "k"}).status_code == status
        assert not CreditEntry.objects.filter(reason="r").exists()


def test_an_owner_has_no_desk(client: Client, acme: Organization) -> None:
    owner: User = accounts_operations.create_user(email="owner@example.com", password="a-long-password")
    members.set_role(organization=acme, user=owner, role=Role.OWNER, actor=OPERATOR)
    client.force_login(owner)
    assert client.get(DESK).status_code == 403
    assert "/desk/" not in client.get("/dashboard/acme/").content.decode()


@pytest.mark.parametrize("count", [0, 8])
def test_queries_do_not_grow(
    client: Client, acme: Organization, count: int, settings: Settings, django_assert_max_num_queries: Any
) -> None:
    settings.BILLING_APPROVAL_ABOVE_CREDITS = Decimal(10)
    clock.advance(organization=acme, to=factories.at("2026-04-01 12:00:00"), actor=OPERATOR)
    staff(client)
    for _ in range(count):
        top_up(client)
    with django_assert_max_num_queries(15):
        assert client.get(DESK).status_code == 200
    with django_assert_max_num_queries(25):
        assert client.post(f"{DESK}preview/").status_code == 200
