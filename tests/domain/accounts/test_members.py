"""Members: who may make whom what, and an organization that always keeps an owner."""

from itertools import product

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from billing.accounts import actors, invitations, members, operations
from billing.accounts.actors import Actor
from billing.kernel.errors import BillingError, Forbidden, Invalid, NotFound
from billing.models import AuditEntry, Membership, Organization, Role, User
from tests.support import factories

pytestmark = pytest.mark.django_db

CLI = actors.operator("ada")
NOW = factories.at("2026-03-01")


def member(organization: Organization, role: str, name: str = "") -> User:
    user = User.objects.create_user(f"{name or role}@example.com", "x")
    members.set_role(organization=organization, user=user, role=role, actor=CLI)
    return user


def roles(organization: Organization) -> dict[str, str]:
    return {each.user.email.partition("@")[0]: each.role for each in members.list_members(organization)}


@pytest.fixture
def acme() -> Organization:
    organization = factories.organization(slug="acme")
    for role in Role.values:
        member(organization, role)
    member(organization, Role.OWNER, "second")
    return organization


# Who may turn whom into what: owners anybody, admins all but owners, others nobody.
@pytest.mark.parametrize(("who", "was", "to"), list(product(Role.values, repeat=3)))
def test_changing_a_role(acme: Organization, who: str, was: str, to: str) -> None:
    actor = actors.for_user(User.objects.get(email=f"{who}@example.com"))
    target = member(acme, was, "target")
    allowed = who == Role.OWNER or (who == Role.ADMIN and Role.OWNER not in (was, to))
    if allowed:
        members.change_role(organization=acme, user_id=target.id, role=to, actor=actor)
        assert roles(acme)["target"] == to
    else:
        with pytest.raises(Forbidden):
            members.change_role(organization=acme, user_id=target.id, role=to, actor=actor)
        assert roles(acme)["target"] == was


@pytest.mark.parametrize(("who", "was"), list(product(Role.values, repeat=2)))
def test_removing(acme: Organization, who: str, was: str) -> None:
    actor = actors.for_user(User.objects.get(email=f"{who}@example.com"))
    target = member(acme, was, "target")
    if who == Role.OWNER or (who == Role.ADMIN and was != Role.OWNER):
        members.remove(organization=acme, user_id=target.id, actor=actor)
        assert "target" not in roles(acme)
        assert AuditEntry.objects.filter(act="membership.remove", object_id=str(target.id)).count() == 1
        with pytest.raises(members.MemberNotFound):
            members.remove(organization=acme, user_id=target.id, actor=actor)
    else:
        with pytest.raises(Forbidden):
            members.remove(organization=acme, user_id=target.id, actor=actor)
        assert roles(acme)["target"] == was


@pytest.mark.parametrize(
    ("actor", "refusal"),
    [
        (Actor(name="user:0190a1b2-0000-7000-8000-000000000000"), NotFound),
        (Actor(name="user:x", staff_groups=frozenset({"finance", "support"}), regions=frozenset({"*"})), Forbidden),
    ],
)
def test_others_and_staff_manage_no_members(acme: Organization, actor: Actor, refusal: type[BillingError]) -> None:
    before = roles(acme)
    target = User.objects.get(email="member@example.com")
    for act in (
        lambda: members.change_role(organization=acme, user_id=target.id, role=Role.ADMIN, actor=actor),
        lambda: members.remove(organization=acme, user_id=target.id, actor=actor),
        lambda: invitations.invite(organization=acme, email="x@example.com", role=Role.MEMBER, actor=actor, now=NOW),
    ):
        with pytest.raises(refusal):
            act()
    assert roles(acme) == before


def test_no_key_of_an_organization_manages_members(acme: Organization) -> None:
    with pytest.raises(Invalid):
        operations.create_key(organization=acme, name="k", scopes=["members"], actor=CLI)
    with pytest.raises(Invalid):
        operations.create_key(organization=None, name="k", scopes=["members"], actor=CLI)
    key, _ = operations.create_key(organization=acme, name="k", scopes=["read", "usage", "subscribe"], actor=CLI)
    with pytest.raises(Forbidden):
        members.require(actors.for_key(key), acme)


def test_the_last_owner_stays() -> None:
    organization = factories.organization()
    owner = member(organization, Role.OWNER)
    actor = actors.for_user(owner)
    with pytest.raises(members.LastOwner):
        members.remove(organization=organization, user_id=owner.id, actor=actor)
    with pytest.raises(members.LastOwner):
        members.change_role(organization=organization, user_id=owner.id, role=Role.ADMIN, actor=actor)
    assert roles(organization) == {"owner": Role.OWNER}


def test_what_an_actor_was_when_the_page_was_opened_counts_no_more(acme: Organization) -> None:
    stale = actors.for_user(User.objects.get(email="owner@example.com"))
    members.remove(organization=acme, user_id=User.objects.get(email="owner@example.com").id, actor=CLI)
    with pytest.raises(NotFound):
        members.remove(organization=acme, user_id=User.objects.get(email="second@example.com").id, actor=stale)
    assert roles(acme)["second"] == Role.OWNER


def test_members_of_another_organization_are_not_there(acme: Organization) -> None:
    other = factories.organization()
    stranger = member(other, Role.MEMBER, "stranger")
    actor = actors.for_user(User.objects.get(email="owner@example.com"))
    with pytest.raises(members.MemberNotFound):
        members.change_role(organization=acme, user_id=stranger.id, role=Role.ADMIN, actor=actor)
    with pytest.raises(NotFound):
        members.remove(organization=other, user_id=stranger.id, actor=actor)


def test_a_role_that_does_not_exist_is_refused(acme: Organization) -> None:
    target = User.objects.get(email="member@example.com")
    with pytest.raises(Invalid):
        members.change_role(organization=acme, user_id=target.id, role="king", actor=CLI)


class AtRandom(TestCase):
    """Whatever anybody tries, in whatever order: there is an owner, and nobody rose without an owner's word."""

    steps = st.lists(
        st.tuples(st.integers(0, 3), st.integers(0, 3), st.sampled_from([*Role.values, "remove"])), max_size=12
    )

    @settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(start=st.tuples(*[st.sampled_from(Role.values)] * 3), steps=steps)
    def test_an_owner_remains(self, start: tuple[str, ...], steps: list[tuple[int, int, str]]) -> None:
        organization = factories.organization()
        people = [
            member(organization, role, f"{organization.slug}-{number}")
            for number, role in enumerate([Role.OWNER.value, *start])
        ]
        for who, whom, what in steps:
            before = dict(Membership.objects.filter(organization=organization).values_list("user_id", "role"))
            actor = actors.for_user(people[who])
            try:
                if what == "remove":
                    members.remove(organization=organization, user_id=people[whom].id, actor=actor)
                else:
                    members.change_role(organization=organization, user_id=people[whom].id, role=what, actor=actor)
            except BillingError:
                after = dict(Membership.objects.filter(organization=organization).values_list("user_id", "role"))
                assert after == before
            owners = Membership.objects.filter(organization=organization, role=Role.OWNER)
            assert owners.exists()
            if before.get(people[who].id) != Role.OWNER:
                kept = {user for user, role in before.items() if role == Role.OWNER}
                assert set(owners.values_list("user_id", flat=True)) == kept
