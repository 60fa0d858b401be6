"""Partners and who is in them: made by reviewers, kept by them and by the partner's own admins."""

import pytest

from billing.accounts.actors import ANONYMOUS, Actor, NotAllowed
from billing.kernel.errors import Forbidden, Invalid
from billing.models import AuditEntry, User
from marketplace.models import Partner, PartnerMember, PartnerRole
from marketplace.partners import membership, queries, rights
from marketplace.partners.membership import LastAdmin, PartnerExists, TooManyMembers
from tests.support import partners
from tests.support.partners import NOW, OPERATOR

pytestmark = pytest.mark.django_db


@pytest.fixture
def northwind() -> Partner:
    return partners.partner()


def put(partner: Partner, user: User, role: str, by: Actor) -> PartnerMember:
    return membership.set_member(partner=partner, email=user.email.upper(), role=role, actor=by, now=NOW)


def test_reviewers_make_partners_and_nobody_else() -> None:
    reviewer = partners.actor(partners.reviewer())
    made = membership.create_partner(slug="one", name="One", website="https://one.example", actor=reviewer, now=NOW)
    assert AuditEntry.objects.filter(act="partner.create", object_id=str(made.id), actor=reviewer.name).exists()
    for who in (partners.actor(partners.user()), partners.actor(partners.member(made, PartnerRole.ADMIN)), ANONYMOUS):
        with pytest.raises(NotAllowed):
            membership.create_partner(slug="two", name="Two", actor=who, now=NOW)
    with pytest.raises(PartnerExists):
        membership.create_partner(slug="one", name="Other", actor=OPERATOR, now=NOW)
    for slug, name, website in (("", "n", ""), ("A", "n", ""), ("a", " ", ""), ("a", "n", "javascript:x")):
        with pytest.raises(Invalid):
            membership.create_partner(slug=slug, name=name, website=website, actor=OPERATOR, now=NOW)
    assert Partner.objects.count() == 1


def test_admins_and_reviewers_say_who_is_a_member(northwind: Partner) -> None:
    admin = partners.actor(partners.member(northwind, PartnerRole.ADMIN))
    person = partners.user()
    for who in (admin, partners.actor(partners.reviewer()), OPERATOR):
        put(northwind, person, PartnerRole.EDITOR, who)
        assert membership.remove_member(partner=northwind, user_id=person.id, actor=who)
        assert not membership.remove_member(partner=northwind, user_id=person.id, actor=who)
    editor = partners.actor(partners.member(northwind))
    with pytest.raises(Forbidden):
        put(northwind, person, PartnerRole.EDITOR, editor)
    for who in (partners.actor(person), partners.actor(partners.member(partners.partner("other"), "admin"))):
        with pytest.raises(rights.PartnerNotFound):
            put(northwind, person, PartnerRole.EDITOR, who)
        with pytest.raises(rights.PartnerNotFound):
            membership.remove_member(partner=northwind, user_id=person.id, actor=who)


def test_a_role_is_changed_and_said_twice_changes_nothing(northwind: Partner) -> None:
    person = partners.user()
    for role in ("editor", "editor", "admin"):
        assert put(northwind, person, role, OPERATOR).role == role
    entries = AuditEntry.objects.filter(act="partner_member.set").order_by("recorded_at", "id")
    assert [(row.details["was"], row.details["role"]) for row in entries] == [("", "editor"), ("editor", "admin")]


def test_who_is_not_there_is_not_added(northwind: Partner) -> None:
    gone = partners.user(is_active=False)
    for email in ("nobody@example.com", "no address", gone.email):
        with pytest.raises(Invalid) as refusal:
            membership.set_member(partner=northwind, email=email, role="editor", actor=OPERATOR, now=NOW)
        assert refusal.value.details["field"] == "email"
    with pytest.raises(Invalid):
        put(northwind, partners.user(), "owner", OPERATOR)
    assert queries.list_members(northwind) == []


def test_the_last_admin_stays_unless_staff_say_so(northwind: Partner) -> None:
    user = partners.member(northwind, PartnerRole.ADMIN)
    admin = partners.actor(user)
    with pytest.raises(LastAdmin):
        put(northwind, user, PartnerRole.EDITOR, admin)
    with pytest.raises(LastAdmin):
        membership.remove_member(partner=northwind, user_id=user.id, actor=admin)
    partners.member(northwind, PartnerRole.ADMIN)
    put(northwind, user, PartnerRole.EDITOR, admin)
    (last,) = PartnerMember.objects.filter(role=PartnerRole.ADMIN)
    assert membership.remove_member(partner=northwind, user_id=last.user_id, actor=OPERATOR)


def test_members_are_bounded(northwind: Partner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(membership, "MEMBERS_MAX", 1)
    person = partners.user()
    put(northwind, person, "editor", OPERATOR)
    put(northwind, person, "admin", OPERATOR)
    with pytest.raises(TooManyMembers):
        put(northwind, partners.user(), "editor", OPERATOR)
