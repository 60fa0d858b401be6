"""Invitations: once, for one address, for a week, by those who may."""

from datetime import timedelta
from itertools import product

import pytest

from billing.accounts import actors, invitations, members, operations
from billing.accounts.invitations import GOOD_FOR
from billing.kernel.errors import BillingError, Forbidden, Invalid, NotFound
from billing.models import AuditEntry, Invitation, Membership, Organization, Role, User
from tests.support import factories

pytestmark = pytest.mark.django_db

CLI = actors.operator("ada")
NOW = factories.at("2026-03-01 12:00:00")
PASSWORD = "correct horse battery"


@pytest.fixture
def acme() -> Organization:
    return factories.organization(slug="acme")


@pytest.fixture
def bob() -> User:
    return operations.create_user(email="bob@example.com", password=PASSWORD)


def invite(organization: Organization, email: str = "bob@example.com", role: str = Role.MEMBER) -> str:
    return invitations.invite(organization=organization, email=email, role=role, actor=CLI, now=NOW)[1]


def test_it_is_taken_up_once_by_whom_it_was_sent_to(acme: Organization, bob: User) -> None:
    secret = invite(acme, "Bob@Example.com", Role.FINANCE)
    membership = invitations.accept(secret=secret, user=bob, now=NOW)
    assert (membership.organization, membership.user, membership.role) == (acme, bob, Role.FINANCE)
    assert invitations.accept(secret=secret, user=bob, now=NOW) == membership
    assert list(AuditEntry.objects.filter(object_type="invitation").values_list("act", "actor")) == [
        ("invitation.create", "cli:ada"),
        ("invitation.accept", f"user:{bob.id}"),
    ]
    members.remove(organization=acme, user_id=bob.id, actor=CLI)
    with pytest.raises(invitations.InvitationClosed):
        invitations.accept(secret=secret, user=bob, now=NOW)
    assert not Membership.objects.exists()


def test_the_secret_is_nowhere(acme: Organization) -> None:
    secret = invite(acme)
    row = Invitation.objects.values().get()
    assert secret not in str(row)
    assert secret not in str(list(AuditEntry.objects.values()))
    assert "bob@example.com" not in str(list(AuditEntry.objects.values())), "evidence names nobody"


@pytest.mark.parametrize(
    ("after", "is_good"), [(GOOD_FOR - timedelta(seconds=1), True), (GOOD_FOR, False), (GOOD_FOR * 2, False)]
)
def test_it_is_good_for_a_week(acme: Organization, bob: User, after: timedelta, is_good: bool) -> None:
    secret = invite(acme)
    if is_good:
        assert invitations.accept(secret=secret, user=bob, now=NOW + after).user == bob
        return
    with pytest.raises(invitations.InvitationClosed):
        invitations.accept(secret=secret, user=bob, now=NOW + after)
    with pytest.raises(invitations.InvitationClosed):
        invitations.accept_as_new(secret=secret, password=PASSWORD, name="", now=NOW + after)
    assert not Membership.objects.exists()


def test_revoked_it_opens_nothing(acme: Organization, bob: User) -> None:
    secret = invite(acme)
    (sent,) = invitations.list_open(acme)
    for _ in range(2):
        invitations.revoke(organization=acme, invitation_id=sent.id, actor=CLI, now=NOW)
    assert AuditEntry.objects.filter(act="invitation.revoke").count() == 1
    with pytest.raises(invitations.InvitationClosed):
        invitations.accept(secret=secret, user=bob, now=NOW)
    assert not Membership.objects.exists()
    assert not invitations.list_open(acme)


def test_what_was_taken_up_is_not_revoked(acme: Organization, bob: User) -> None:
    secret = invite(acme)
    invitations.accept(secret=secret, user=bob, now=NOW)
    with pytest.raises(invitations.InvitationClosed):
        invitations.revoke(organization=acme, invitation_id=invitations.get(secret).id, actor=CLI, now=NOW)


def test_another_one_to_the_same_address_takes_the_place_of_the_first(acme: Organization, bob: User) -> None:
    first, second = invite(acme, role=Role.ADMIN), invite(acme, role=Role.MEMBER)
    with pytest.raises(invitations.InvitationClosed):
        invitations.accept(secret=first, user=bob, now=NOW)
    assert invitations.accept(secret=second, user=bob, now=NOW).role == Role.MEMBER


def test_it_is_no_one_else_s(acme: Organization) -> None:
    secret = invite(acme)
    eve = operations.create_user(email="eve@example.com", password=PASSWORD)
    with pytest.raises(invitations.InvitationOfAnother):
        invitations.accept(secret=secret, user=eve, now=NOW)
    assert not Membership.objects.exists()


@pytest.mark.parametrize("secret", ["", "x", "x" * 43, "\x00", "\ud800", "ü"])
def test_one_that_never_was(acme: Organization, bob: User, secret: str) -> None:
    invite(acme)
    with pytest.raises(NotFound):
        invitations.accept(secret=secret, user=bob, now=NOW)


def test_somebody_new_gets_an_account_for_the_address_that_was_asked(acme: Organization) -> None:
    secret = invite(acme, "new@example.com", Role.ADMIN)
    with pytest.raises(Invalid):
        invitations.accept_as_new(secret=secret, password="short", name="", now=NOW)
    assert not User.objects.exists()
    membership = invitations.accept_as_new(secret=secret, password=PASSWORD, name="New", now=NOW)
    assert (membership.user.email, membership.user.name, membership.role) == ("new@example.com", "New", Role.ADMIN)
    with pytest.raises(BillingError):
        invitations.accept_as_new(secret=secret, password=PASSWORD, name="", now=NOW)
    assert User.objects.count() == Membership.objects.count() == 1


def test_who_has_an_account_uses_it(acme: Organization, bob: User) -> None:
    with pytest.raises(operations.UserExists):
        invitations.accept_as_new(secret=invite(acme), password=PASSWORD, name="", now=NOW)
    assert not Membership.objects.exists()


def test_a_member_is_not_invited_and_one_by_then_keeps_their_role(acme: Organization, bob: User) -> None:
    secret = invite(acme, role=Role.MEMBER)
    members.set_role(organization=acme, user=bob, role=Role.ADMIN, actor=CLI)
    assert invitations.accept(secret=secret, user=bob, now=NOW).role == Role.ADMIN
    with pytest.raises(invitations.AlreadyMember):
        invite(acme, "BOB@example.com")


# Who may ask somebody in, and as what.
@pytest.mark.parametrize(("who", "role"), list(product(Role.values, repeat=2)))
def test_who_may(acme: Organization, who: str, role: str) -> None:
    asking = operations.create_user(email="asking@example.com", password=PASSWORD)
    members.set_role(organization=acme, user=asking, role=who, actor=CLI)
    actor = actors.for_user(asking)
    if who == Role.OWNER or (who == Role.ADMIN and role != Role.OWNER):
        sent, _ = invitations.invite(organization=acme, email="x@example.com", role=role, actor=actor, now=NOW)
        assert sent.invited_by == asking
        invitations.revoke(organization=acme, invitation_id=sent.id, actor=actor, now=NOW)
        return
    with pytest.raises(Forbidden):
        invitations.invite(organization=acme, email="x@example.com", role=role, actor=actor, now=NOW)
    invite(acme, "x@example.com", role)
    with pytest.raises(Forbidden):
        invitations.revoke(organization=acme, invitation_id=invitations.list_open(acme)[0].id, actor=actor, now=NOW)


@pytest.mark.parametrize("left_as", ["removed", Role.MEMBER])
def test_the_word_of_who_has_left_counts_no_more(acme: Organization, bob: User, left_as: str) -> None:
    admin = operations.create_user(email="admin@example.com", password=PASSWORD)
    members.set_role(organization=acme, user=admin, role=Role.ADMIN, actor=CLI)
    _, secret = invitations.invite(
        organization=acme, email=bob.email, role=Role.ADMIN, actor=actors.for_user(admin), now=NOW
    )
    if left_as == "removed":
        members.remove(organization=acme, user_id=admin.id, actor=CLI)
    else:
        members.set_role(organization=acme, user=admin, role=left_as, actor=CLI)
    with pytest.raises(invitations.InvitationClosed):
        invitations.accept(secret=secret, user=bob, now=NOW)


def test_another_organization_s_invitation_is_not_there(acme: Organization) -> None:
    invite(acme)
    (sent,) = invitations.list_open(acme)
    with pytest.raises(invitations.InvitationNotFound):
        invitations.revoke(organization=factories.organization(), invitation_id=sent.id, actor=CLI, now=NOW)


@pytest.mark.parametrize(
    "email",
    ["", "nobody", "a@b.c\x00", "a b@example.com", "a@b.co\nBcc: c@d.co", "a@b.co\r\nX: y", "x" * 250 + "@example.com"],
)
def test_what_is_no_address_is_refused(acme: Organization, email: str) -> None:
    with pytest.raises(Invalid):
        invite(acme, email)
    assert not Invitation.objects.exists()


def test_so_many_and_no_more(acme: Organization, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(invitations, "OPEN_MAX", 2)
    invite(acme, "1@example.com")
    invite(acme, "2@example.com")
    with pytest.raises(invitations.InvitationsTooMany):
        invite(acme, "3@example.com")
    invite(acme, "2@example.com")
    assert len(invitations.list_open(acme)) == 2


def test_nobody_is_flooded(acme: Organization, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(invitations.DAY_SAME_MAX):
        invite(acme)
    with pytest.raises(invitations.InvitationsTooMany):
        invite(acme)
    assert len(invitations.list_open(acme)) == 1, "the last one is good still"
    monkeypatch.setattr(invitations, "DAY_MAX", invitations.DAY_SAME_MAX + 1)
    invite(acme, "another@example.com")
    with pytest.raises(invitations.InvitationsTooMany):
        invite(acme, "third@example.com")
    # Elsewhere, and a day later, it goes on.
    invite(factories.organization())
    later = NOW + timedelta(days=1)
    invitations.invite(organization=acme, email="bob@example.com", role=Role.MEMBER, actor=CLI, now=later)
