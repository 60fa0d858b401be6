"""Members and invitations at once, over connections of their own."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest
from django.db import connections
from django.utils import timezone

from billing.accounts import actors, invitations, members, operations
from billing.accounts.invitations import InvitationClosed
from billing.kernel.errors import BillingError
from billing.lifecycle import sign_up
from billing.models import AuditEntry, Invitation, Membership, Organization, Role, User
from tests.support import factories

pytestmark = pytest.mark.usefixtures("real_db")

CLI = actors.operator("ada")
PASSWORD = "correct horse battery"
ROUNDS = 15


def at_once(*acts: Callable[[], Any]) -> list[Any]:
    """What each gave, or the refusal that it met."""
    barrier = threading.Barrier(len(acts))

    def run(act: Callable[[], Any]) -> Any:
        try:
            barrier.wait(30)
            return act()
        except BillingError as refusal:
            return refusal
        finally:
            connections.close_all()

    with ThreadPoolExecutor(len(acts)) as pool:
        return list(pool.map(run, acts))


def owners(organization: Organization, number: int) -> list[User]:
    made = []
    for each in range(number):
        user = User.objects.create_user(f"{organization.slug}-{each}@example.com")
        members.set_role(organization=organization, user=user, role=Role.OWNER, actor=CLI)
        made.append(user)
    return made


@pytest.mark.parametrize("by", ["removing", "demoting"])
def test_owners_who_turn_on_each_other_leave_one(by: str) -> None:
    for _ in range(ROUNDS):
        organization = factories.organization()
        one, other = owners(organization, 2)

        def turn(who: User, whom: User, organization: Organization = organization) -> Callable[[], Any]:
            actor = actors.for_user(who)
            if by == "removing":
                return lambda: members.remove(organization=organization, user_id=whom.id, actor=actor)
            return lambda: members.change_role(
                organization=organization, user_id=whom.id, role=Role.MEMBER, actor=actor
            )

        at_once(turn(one, other), turn(other, one))
        assert Membership.objects.filter(organization=organization, role=Role.OWNER).count() == 1


def test_owners_who_leave_at_once_leave_one() -> None:
    def leave(organization: Organization, user: User) -> Callable[[], Any]:
        actor = actors.for_user(user)
        return lambda: members.remove(organization=organization, user_id=user.id, actor=actor)

    for _ in range(ROUNDS):
        organization = factories.organization()
        at_once(*(leave(organization, user) for user in owners(organization, 4)))
        assert Membership.objects.filter(organization=organization, role=Role.OWNER).count() == 1


def test_one_invitation_makes_one_member_and_one_account() -> None:
    now = timezone.now()
    for number in range(ROUNDS):
        organization = factories.organization()
        email = f"new-{number}@example.com"
        _, secret = invitations.invite(organization=organization, email=email, role="member", actor=CLI, now=now)

        def come(secret: str = secret) -> Membership:
            return invitations.accept_as_new(secret=secret, password=PASSWORD, name="", now=now)

        answers = at_once(come, come, come)
        assert sum(isinstance(each, Membership) for each in answers) == 1
        assert User.objects.filter(email=email).count() == 1
        assert Membership.objects.filter(organization=organization).count() == 1
        accepted = AuditEntry.objects.filter(act="invitation.accept", organization_id=organization.id)
        assert accepted.count() == 1


def test_what_is_revoked_while_it_is_taken_up_is_one_of_both() -> None:
    now = timezone.now()
    for number in range(ROUNDS):
        organization = factories.organization()
        user = User.objects.create_user(f"bob-{number}@example.com")
        sent, secret = invitations.invite(
            organization=organization, email=user.email, role="member", actor=CLI, now=now
        )
        accepted, revoked = at_once(
            partial(invitations.accept, secret=secret, user=user, now=now),
            partial(invitations.revoke, organization=organization, invitation_id=sent.id, actor=CLI, now=now),
        )
        is_member = Membership.objects.filter(organization=organization).exists()
        sent.refresh_from_db()
        assert (sent.accepted_at is None) == (not is_member)
        assert (sent.revoked_at is None) == is_member
        assert isinstance(revoked if is_member else accepted, InvitationClosed)


def test_asked_twice_at_once_one_invitation_is_open() -> None:
    now = timezone.now()
    organization = factories.organization()
    at_once(
        *[
            lambda: invitations.invite(
                organization=organization, email="b@example.com", role="member", actor=CLI, now=now
            )
        ]
        * 6
    )
    assert Invitation.objects.filter(organization=organization, revoked_at=None).count() == 1


def test_sign_ups_at_once_with_one_address_and_one_name() -> None:
    def come(email: str) -> Callable[[], Any]:
        return lambda: sign_up.sign_up(
            email=email, password=PASSWORD, organization_name="Acme", now=timezone.now(), has_plan=False
        )

    answers = at_once(*[come("ada@example.com")] * 3, *[come(f"p{number}@example.com") for number in range(3)])
    refused = [each for each in answers if isinstance(each, operations.UserExists)]
    assert len(refused) == 2
    assert User.objects.count() == Organization.objects.count() == Membership.objects.count() == 4
