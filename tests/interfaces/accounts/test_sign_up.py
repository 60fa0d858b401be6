"""Sign-up: a person with an organization of their own, or nothing; and nobody learns who has an account."""

import re
from collections.abc import Mapping
from typing import Any

import pytest
from django.core import mail
from django.test import Client

from billing.accounts import operations
from billing.models import AuditEntry, Membership, Organization, Role, Subscription, User
from tests.support import catalogs

pytestmark = pytest.mark.django_db

PASSWORD = "correct horse battery"
ADA = {
    "email": "ada@example.com",
    "password1": PASSWORD,
    "organization": "Müller & Söhne",
    "name": "Ada",
    "zone": "Europe/Paris",
    "currency": "JPY",
}


@pytest.fixture(autouse=True)
def catalog() -> None:
    catalogs.sync()


def sign_up(client: Client, **changes: Any) -> Any:
    return client.post("/account/signup/", ADA | changes)


def code_of(message: mail.EmailMessage) -> str:
    found = re.search(r"^[A-Z0-9-]{6,}$", str(message.body), re.MULTILINE)
    assert found, message.body
    return found[0]


def counted() -> Mapping[str, int]:
    return {model.__name__: model.objects.count() for model in (User, Organization, Membership, Subscription)}


def test_a_person_gets_an_organization_that_they_own_and_its_first_plan(client: Client) -> None:
    answer = sign_up(client)
    assert (answer.status_code, answer["Location"]) == (302, "/account/confirm-email/"), answer.content
    organization = Organization.objects.get()
    assert (organization.slug, organization.name) == ("muller-sohne", "Müller & Söhne")
    assert (organization.zone, organization.currency) == ("Europe/Paris", "JPY")
    assert organization.billing_email == "ada@example.com"
    membership = Membership.objects.get()
    assert (membership.user.email, membership.user.name, membership.role) == ("ada@example.com", "Ada", Role.OWNER)
    assert Subscription.objects.get().plan.code == "free"
    assert "organization.create" in AuditEntry.objects.values_list("act", flat=True)
    # Until the address is confirmed nobody is signed in.
    assert client.get("/dashboard/").status_code == 302
    wrong = client.post("/account/confirm-email/", {"code": "AAAAAA"})
    assert wrong.status_code == 200
    assert client.get("/dashboard/")["Location"].startswith("/account/login/")
    confirmed = client.post("/account/confirm-email/", {"code": code_of(mail.outbox[0])})
    assert (confirmed.status_code, confirmed["Location"]) == (302, "/dashboard/")
    assert client.get("/dashboard/", follow=True).redirect_chain == [("/dashboard/muller-sohne/", 302)]


def test_who_comes_for_a_plan_gets_no_other_one_and_goes_on_to_it(client: Client) -> None:
    sign_up(client, next="/subscribe/team")
    assert not Subscription.objects.exists()
    confirmed = client.post("/account/confirm-email/", {"code": code_of(mail.outbox[0])})
    assert confirmed["Location"] == "/subscribe/team"


def test_the_address_of_somebody_is_answered_like_any_other(client: Client) -> None:
    operations.create_user(email="ada@example.com", password=PASSWORD)
    before = counted()
    taken = sign_up(client, email="ADA@example.com")
    fresh = sign_up(Client(), email="new@example.com", organization="New")
    assert (taken.status_code, taken["Location"]) == (fresh.status_code, fresh["Location"])
    pages = [bare(each.get("/account/confirm-email/").content.decode()) for each in (client,)]
    assert "ada@example.com" in pages[0]
    assert counted() == {name: count + 1 for name, count in before.items()}
    assert [each.to for each in mail.outbox] == [["ada@example.com"], ["new@example.com"]]
    assert "already" in str(mail.outbox[0].body)
    assert client.post("/account/confirm-email/", {"code": code_of(mail.outbox[1])}).status_code == 200


def bare(page: str) -> str:
    return re.sub(r'name="csrfmiddlewaretoken" value="\w+"', "", page)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("email", "nobody"),
        ("email", ""),
        ("password1", "short"),
        ("password1", "password1234"),
        ("organization", ""),
        ("organization", "  "),
        ("organization", "a\nb"),
        ("organization", "a\x00b"),
        ("organization", "x" * 201),
        ("name", "a\x07"),
        ("zone", "Mars/Olympus"),
        ("currency", "XXX"),
    ],
)
def test_bad_input_is_said_beside_its_field_and_makes_nothing(client: Client, field: str, value: str) -> None:
    before = counted()
    answer = sign_up(client, **{field: value})
    assert answer.status_code == 200
    assert field in answer.context["form"].errors
    assert counted() == before
    assert not mail.outbox


def test_what_fails_half_way_leaves_nothing(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(**_: object) -> None:
        raise RuntimeError("the plan could not be given")

    monkeypatch.setattr("billing.lifecycle.onboard.subscribe", fail)
    client.raise_request_exception = False
    before = counted()
    assert sign_up(client).status_code == 500
    assert counted() == before


def test_names_that_are_taken_or_say_nothing_get_an_address_all_the_same() -> None:
    for number, name in enumerate(("Acme", "ACME", "東京", "!!!", "0190a1b2-0000-7000-8000-000000000000")):
        sign_up(Client(), email=f"p{number}@example.com", organization=name)
    slugs = set(Organization.objects.values_list("slug", flat=True))
    assert len(slugs) == 5
    assert "acme" in slugs
    assert all(re.fullmatch(r"[a-z0-9-]+", slug) for slug in slugs)


def test_markup_in_names_is_text(client: Client) -> None:
    sign_up(client, organization="<script>alert(1)</script>")
    client.post("/account/confirm-email/", {"code": code_of(mail.outbox[0])})
    page = client.get("/dashboard/", follow=True).content.decode()
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)" in page
