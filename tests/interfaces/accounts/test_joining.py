"""The page of an invitation, and the dashboard's pages of members and keys."""

import re
from datetime import timedelta
from typing import Any

import pytest
from allauth.account.models import EmailAddress
from django.core import mail
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_django import Settings

from billing.accounts import actors, invitations, members, operations
from billing.accounts import queries as accounts_queries
from billing.models import ApiKey, AuditEntry, Invitation, Membership, Organization, Role, User
from tests.support import factories, people
from tests.support.people import OPERATOR, PASSWORD, person, sign_in

pytestmark = pytest.mark.django_db


@pytest.fixture
def acme() -> Organization:
    return factories.organization(slug="acme", name="Acme & Sons")


@pytest.fixture
def owner(acme: Organization, client: Client) -> User:
    """Signed in at ``client``."""
    user = people.member(acme, email="owner@example.com")
    client.force_login(user)
    return user


def invited(organization: Organization, email: str = "bob@example.com", role: str = Role.FINANCE) -> str:
    secret = invitations.invite(organization=organization, email=email, role=role, actor=OPERATOR, now=timezone.now())[
        1
    ]
    return f"/invitations/{secret}"


def roles(organization: Organization) -> dict[str, str]:
    return {each.user.email: each.role for each in members.list_members(organization)}


def text(answer: Any) -> str:
    return re.sub(r"\s+", " ", answer.content.decode())


def test_somebody_new_is_asked_in_by_mail_and_comes(client: Client, acme: Organization, owner: User) -> None:
    answer = client.post(
        "/dashboard/acme/members/invite/", {"email": "Bob@example.com", "role": "finance"}, follow=True
    )
    assert answer.redirect_chain == [("/dashboard/acme/members/", 302)]
    page = text(answer)
    assert "An invitation was sent to bob@example.com." in page
    (message,) = mail.outbox
    assert (message.to, message.subject) == (["bob@example.com"], "Join Acme & Sons")
    found = re.search(r"http://testserver(/invitations/\S+)", str(message.body))
    assert found
    assert found[1] not in page, "the link is the invited one's alone"
    bob = Client()
    shown = text(bob.get(found[1]))
    assert "Join Acme &amp; Sons" in shown
    assert "owner@example.com asks you in." in shown
    assert bob.post(found[1], {"name": "Bob", "password": "short"}).status_code == 422
    assert bob.post(found[1], {"name": "a\x07", "password": PASSWORD}).status_code == 422
    assert roles(acme) == {"owner@example.com": "owner"}
    joined = bob.post(found[1], {"name": "Bob", "password": PASSWORD})
    assert (joined.status_code, joined["Location"]) == (302, "/dashboard/acme/")
    assert bob.get("/dashboard/acme/").status_code == 200
    assert roles(acme) == {"owner@example.com": "owner", "bob@example.com": "finance"}
    assert EmailAddress.objects.get(email="bob@example.com").verified
    again = bob.get(found[1])
    assert again.status_code == 410
    assert "You have joined Acme &amp; Sons by it." in text(again)
    assert sign_in(Client(), User.objects.get(email="bob@example.com"))["Location"] == "/dashboard/"


def test_who_has_an_account_signs_in_and_joins(acme: Organization) -> None:
    bob, client, path = person("bob@example.com"), Client(), invited(acme)
    page = text(client.get(path))
    assert f'href="/account/login/?next={path}"' in page
    assert 'type="password"' not in page
    # The page makes nobody's password anew.
    assert client.post(path, {"name": "Eve", "password": "another good password"})["Location"].startswith(
        "/account/login/"
    )
    bob.refresh_from_db()
    assert bob.check_password(PASSWORD)
    assert sign_in(client, bob, follow=path)["Location"] == path
    assert "Join" in text(client.get(path))
    assert client.post(path)["Location"] == "/dashboard/acme/"
    assert roles(acme) == {"bob@example.com": "finance"}


def test_another_account_is_not_let_in_by_it(acme: Organization) -> None:
    client, path = Client(), invited(acme)
    client.force_login(person("eve@example.com"))
    assert "This was sent to bob@example.com, and you are signed in as eve@example.com." in text(client.get(path))
    assert client.post(path).status_code == 403
    assert not Membership.objects.exists()


@pytest.mark.parametrize("end", ["expired", "revoked", "accepted", "unknown"])
@pytest.mark.parametrize("signed_in", [True, False])
def test_one_that_is_good_no_more(acme: Organization, end: str, signed_in: bool) -> None:
    path, client = invited(acme), Client()
    now = timezone.now()
    ends: dict[str, dict[str, Any]] = {
        "expired": {"expires_at": now},
        "revoked": {"revoked_at": now},
        "accepted": {"accepted_at": now},
        "unknown": {"digest": b"x" * 32},
    }
    Invitation.objects.update(**ends[end])
    if signed_in:
        client.force_login(person("bob@example.com"))
    before = User.objects.count()
    for answer in (client.get(path), client.post(path, {"name": "", "password": PASSWORD})):
        assert answer.status_code == 410
        assert "good no more" in text(answer)
    assert User.objects.count() == before
    assert not Membership.objects.exists()


@pytest.mark.parametrize("token", ["x", "%00", "%C0%AF", "'--", "a" * 2000])
def test_a_link_that_never_was(client: Client, token: str) -> None:
    assert client.get(f"/invitations/{token}").status_code in (404, 410)


def test_a_mail_server_that_is_away_is_told_and_it_is_sent_again(
    client: Client, acme: Organization, owner: User, settings: Settings
) -> None:
    settings.EMAIL_BACKEND, settings.EMAIL_HOST, settings.EMAIL_PORT = (
        "django.core.mail.backends.smtp.EmailBackend",
        "127.0.0.1",
        1,
    )
    sent = {"email": "bob@example.com", "role": "member"}
    assert "could not be sent" in text(client.post("/dashboard/acme/members/invite/", sent, follow=True))
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    client.post("/dashboard/acme/members/invite/", sent)
    assert len(mail.outbox) == len(invitations.list_open(acme)) == 1


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        ({"email": "nobody", "role": "member"}, "Not an e-mail address."),
        ({"email": "b@example.com", "role": "king"}, "A role is one of"),
        ({}, "Not an e-mail address."),
        ({"email": "OWNER@example.com", "role": "member"}, "a member already"),
    ],
)
def test_what_cannot_be_is_said(
    client: Client, acme: Organization, owner: User, sent: dict[str, str], said: str
) -> None:
    assert said in text(client.post("/dashboard/acme/members/invite/", sent, follow=True))
    assert not Invitation.objects.exists()
    assert not mail.outbox


def test_roles_are_changed_and_members_removed(client: Client, acme: Organization, owner: User) -> None:
    bob = people.member(acme, Role.MEMBER, "bob@example.com")
    page = text(client.get("/dashboard/acme/members/"))
    assert "bob@example.com" in page
    base = f"/dashboard/acme/members/{bob.id}"
    for _ in range(2):
        assert "bob@example.com: Admin." in text(client.post(f"{base}/role/", {"role": "admin"}, follow=True))
    assert roles(acme)["bob@example.com"] == "admin"
    assert "is a member no more" in text(client.post(f"{base}/remove/", follow=True))
    assert client.post(f"{base}/remove/").status_code == 404
    assert roles(acme) == {"owner@example.com": "owner"}
    # The last owner stays, and is told why.
    mine = f"/dashboard/acme/members/{owner.id}"
    assert "last owner" in text(client.post(f"{mine}/remove/", follow=True))
    assert "last owner" in text(client.post(f"{mine}/role/", {"role": "member"}, follow=True))
    assert roles(acme) == {"owner@example.com": "owner"}


def test_an_admin_is_offered_no_owners(client: Client, acme: Organization, owner: User) -> None:
    admin = people.member(acme, Role.ADMIN, "admin@example.com")
    client.force_login(admin)
    page = text(client.get("/dashboard/acme/members/"))
    assert 'value="owner"' not in page
    assert f"{owner.id}/role/" not in page
    for path, sent in (
        (f"members/{owner.id}/remove/", {}),
        (f"members/{owner.id}/role/", {"role": "member"}),
        (f"members/{admin.id}/role/", {"role": "owner"}),
        ("members/invite/", {"email": "x@example.com", "role": "owner"}),
    ):
        assert client.post(f"/dashboard/acme/{path}", sent).status_code == 403, path
    assert roles(acme) == {"owner@example.com": "owner", "admin@example.com": "admin"}
    # Whoever gives the right up is led to a page that they may see.
    gone = client.post(f"/dashboard/acme/members/{admin.id}/role/", {"role": "member"}, follow=True)
    assert gone.redirect_chain == [("/dashboard/acme/", 302)]
    assert 'href="/dashboard/acme/members/"' not in text(gone)


def test_an_invitation_is_withdrawn(client: Client, acme: Organization, owner: User) -> None:
    path = invited(acme)
    (sent,) = invitations.list_open(acme)
    for _ in range(2):
        assert client.post(f"/dashboard/acme/invitations/{sent.id}/revoke/").status_code == 302
    assert Client().get(path).status_code == 410


def test_a_key_is_shown_once_and_revoked(client: Client, acme: Organization, owner: User) -> None:
    made = client.post("/dashboard/acme/keys/", {"name": "ci <b>", "scopes": ["read", "usage"], "days": "30"})
    assert made.status_code == 200
    found = re.search(r"data-secret>(chk_live_\w+)<", made.content.decode())
    assert found
    assert "no-store" in made["Cache-Control"]
    key = ApiKey.objects.get()
    assert key.scopes == ["read", "usage"]
    assert key.expires_at
    assert timedelta(days=29) < key.expires_at - timezone.now() < timedelta(days=31)
    page = client.get("/dashboard/acme/keys/").content.decode()
    assert found[1] not in page
    assert key.prefix in page
    assert "ci &lt;b&gt;" in page
    headers = {"Authorization": f"Bearer {found[1]}"}
    assert Client().get("/api/billing/organizations/acme", headers=headers).status_code == 200
    for _ in range(2):
        assert "is revoked" in text(client.post(f"/dashboard/acme/keys/{key.id}/revoke/", follow=True))
    assert Client().get("/api/billing/organizations/acme", headers=headers).status_code == 401


def test_a_double_click_makes_one_key_and_shows_it(client: Client, acme: Organization, owner: User) -> None:
    def form() -> str:
        found = re.search(r'name="once" value="([^"]{43})"', client.get("/dashboard/acme/keys/").content.decode())
        assert found
        return found[1]

    sent = {"name": "ci", "scopes": ["read"], "days": "30", "once": form()}
    shown = [
        re.findall(r"data-secret>(chk_live_\w+)<", client.post("/dashboard/acme/keys/", sent).content.decode())
        for _ in range(2)
    ]
    assert shown[0]
    assert shown[0] == shown[1]
    assert ApiKey.objects.count() == AuditEntry.objects.filter(act="key.create").count() == 1
    # Another form, and another person with the same one, make keys of their own.
    assert form() != sent["once"]
    client.force_login(people.member(acme, email="second@example.com"))
    client.post("/dashboard/acme/keys/", sent)
    assert ApiKey.objects.count() == 2


@pytest.mark.parametrize("later", ["revoked", "a minute after"])
def test_a_form_that_made_its_key_shows_it_no_more(client: Client, acme: Organization, owner: User, later: str) -> None:
    sent = {"name": "ci", "scopes": ["read"], "days": "30", "once": "o" * 43}
    client.post("/dashboard/acme/keys/", sent)
    changed = {"revoked_at": timezone.now()} if later == "revoked" else {"created_at": timezone.now() - timedelta(61)}
    ApiKey.objects.update(**changed)
    again = client.post("/dashboard/acme/keys/", sent)
    assert again.status_code == 422
    assert "made its key before" in again.content.decode()
    assert "data-secret" not in again.content.decode()
    assert ApiKey.objects.count() == 1


@pytest.mark.parametrize(
    "sent",
    [
        {},
        {"name": "", "scopes": ["read"], "days": "30"},
        {"name": "a\x07", "scopes": ["read"], "days": "30"},
        {"name": "k", "scopes": [], "days": "30"},
        {"name": "k", "scopes": ["credits"], "days": "30"},
        {"name": "k", "scopes": ["clock"], "days": "30"},
        {"name": "k", "scopes": ["read"], "days": "-1"},
        {"name": "k" * 121, "scopes": ["read"], "days": "30"},
    ],
)
def test_a_key_that_cannot_be(client: Client, acme: Organization, owner: User, sent: dict[str, Any]) -> None:
    answer = client.post("/dashboard/acme/keys/", sent)
    assert answer.status_code == 422
    assert "errorlist" in answer.content.decode()
    assert not ApiKey.objects.exists()


def test_a_key_of_another_organization_is_not_there(client: Client, acme: Organization, owner: User) -> None:
    key, _ = operations.create_key(organization=factories.organization(), name="k", scopes=["read"], actor=OPERATOR)
    assert client.post(f"/dashboard/acme/keys/{key.id}/revoke/").status_code == 404
    assert accounts_queries.get_key_by_id(key.id).revoked_at is None


@pytest.mark.parametrize("path", ["members", "keys"])
def test_statements_do_not_grow(client: Client, acme: Organization, owner: User, path: str) -> None:
    counted = []
    for number in (1, 12):
        for each in range(number):
            people.member(acme, Role.MEMBER, f"m{number}-{each}@example.com")
            invited(acme, f"i{number}-{each}@example.com")
            operations.create_key(organization=acme, name="k", scopes=["read"], actor=actors.operator("ada"))
        with CaptureQueriesContext(connection) as queries:
            assert client.get(f"/dashboard/acme/{path}/").status_code == 200
        counted.append(len(queries))
    assert counted[0] == counted[1] <= 15
