from datetime import UTC, datetime
from typing import Any

import pytest

from billing.accounts import actors, members, operations, queries
from billing.accounts.actors import Act
from billing.kernel.errors import Conflict, Forbidden, Invalid, NotFound
from billing.models import AuditEntry, Membership, Organization, User

pytestmark = pytest.mark.django_db

CLI = actors.operator("ada")


def make(**changes: Any) -> Organization:
    return operations.create_organization(**{"slug": "acme", "name": "Acme", "actor": CLI, **changes})


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("slug", ""),
        ("slug", "Acme"),
        ("slug", "-acme"),
        ("slug", "acme-"),
        ("slug", "a" * 61),
        ("slug", "ac me"),
        ("slug", "acme\n"),
        ("slug", "\uff41cme"),
        ("slug", "0190a1b2-0000-7000-8000-000000000000"),
        ("name", ""),
        ("name", "   "),
        ("name", "a\x00b"),
        ("name", "a\nb"),
        ("name", "a\ud800"),
        ("name", "a" * 201),
        ("external_id", ""),
        ("external_id", "a/b"),
        ("external_id", "a" * 121),
        ("external_id", "a\x00"),
        ("zone", "Mars/Olympus"),
        ("zone", "../../etc/passwd"),
        ("zone", "localtime"),
        ("zone", "europe/paris"),
        ("zone", ""),
        ("currency", "usd"),
        ("currency", "XXX"),
        ("residency_region", ""),
        ("residency_region", "EU"),
        ("residency_region", "*"),
        ("billing_email", "nobody"),
        ("billing_email", "a@b.c\x00"),
        ("clock_at", datetime(2023, 1, 1, tzinfo=UTC)),
    ],
)
def test_it_refuses_a_bad_field_by_name_and_writes_nothing(field: str, value: object) -> None:
    with pytest.raises(Invalid) as refused:
        make(**{field: value})
    assert refused.value.details["field"] == field
    assert not Organization.objects.exists()
    assert not AuditEntry.objects.exists()


@pytest.mark.parametrize("at", [None, datetime(2023, 1, 1)])  # noqa: DTZ001
def test_a_sandbox_needs_an_aware_clock(at: datetime | None) -> None:
    with pytest.raises(Invalid, match=r"clock|offset"):
        make(is_sandbox=True, clock_at=at)


def test_a_sandbox_lives_by_its_clock_and_others_by_ours() -> None:
    at = datetime(2023, 11, 17, tzinfo=UTC)
    assert queries.now_for(make(is_sandbox=True, clock_at=at)) == at
    before = datetime.now(UTC)
    assert queries.now_for(make(slug="real")) >= before


def test_longest_names_fit() -> None:
    assert make(slug="a" * 60, external_id="b" * 120, name="n" * 200, residency_region="r" * 40).slug == "a" * 60


@pytest.mark.parametrize(("field", "value"), [("slug", "acme"), ("external_id", "crm:1")])
def test_a_name_taken_is_a_conflict_that_names_the_field(field: str, value: str) -> None:
    make(external_id="crm:1")
    with pytest.raises(Conflict) as refused:
        make(**{"slug": "other", "external_id": "crm:2", field: value})
    assert (refused.value.code, refused.value.details["field"]) == ("organization_exists", field)
    assert AuditEntry.objects.filter(act="organization.create").count() == 1


def test_it_is_found_by_id_slug_and_external_id() -> None:
    organization = make(external_id="CRM:1")
    for reference in (str(organization.id), str(organization.id).upper(), "acme", "CRM:1"):
        assert queries.get_organization(reference) == organization
        assert queries.is_named(organization, reference)
    for reference in ("", "Acme", "crm:1", organization.id.hex, "a\x00", "a" * 5000, "../acme", "\ud800"):
        assert queries.find_organization(reference) is None
        assert not queries.is_named(organization, reference)
    with pytest.raises(NotFound):
        queries.get_organization("nobody")


def test_the_name_of_one_never_becomes_that_of_another() -> None:
    first = make(external_id="crm-1")
    for field, value in (("slug", "crm-1"), ("external_id", "acme"), ("external_id", str(first.id))):
        with pytest.raises(Conflict) as refused:
            make(**{"slug": "other", field: value})
        assert (refused.value.code, refused.value.details["field"]) == ("organization_exists", field)
    assert Organization.objects.get() == first
    own = make(slug="same", external_id="same")
    assert queries.find_organization("same") == own


def test_an_id_wins_over_a_slug_and_a_slug_over_an_external_id() -> None:
    first, by_id, by_slug = make(), make(slug="second"), make(slug="third")
    Organization.objects.filter(id=by_id.id).update(external_id=str(first.id))
    Organization.objects.filter(id=by_slug.id).update(external_id="acme")
    assert queries.find_organization(str(first.id)) == first
    assert queries.find_organization("acme") == first
    assert {by_id, by_slug} == set(Organization.objects.exclude(id=first.id))


def test_an_address_signs_in_once_however_capitalized() -> None:
    operations.create_user(email="Ada@Example.com", password="correct horse battery", name="Ada")
    with pytest.raises(Conflict):
        operations.create_user(email="ada@EXAMPLE.com", password="correct horse battery")
    assert User.objects.get().email == "ada@example.com"


@pytest.mark.parametrize(
    ("field", "changes"),
    [("email", {"email": "nobody"}), ("password", {"password": "short"}), ("name", {"name": "a\x00"})],
)
def test_a_bad_user_is_refused_by_field(field: str, changes: dict[str, str]) -> None:
    with pytest.raises(Invalid) as refused:
        operations.create_user(**{"email": "ada@example.com", "password": "correct horse battery", **changes})
    assert refused.value.details["field"] == field
    assert not User.objects.exists()


def test_a_role_is_set_changed_and_audited_once_each() -> None:
    organization, user = make(), operations.create_user(email="ada@example.com", password="correct horse battery")
    for role in ("member", "member", "admin"):
        members.set_role(organization=organization, user=user, role=role, actor=CLI)
    assert Membership.objects.get().role == "admin"
    assert list(AuditEntry.objects.filter(act="membership.set").order_by("id").values_list("details", flat=True)) == [
        {"from": "", "to": "member"},
        {"from": "member", "to": "admin"},
    ]
    with pytest.raises(Invalid):
        members.set_role(organization=organization, user=user, role="emperor", actor=CLI)


def test_the_last_owner_stays_one() -> None:
    organization = make()
    ada, bob = (operations.create_user(email=f"{n}@example.com", password="correct horse battery") for n in "ab")
    members.set_role(organization=organization, user=ada, role="owner", actor=CLI)
    with pytest.raises(Conflict) as refused:
        members.set_role(organization=organization, user=ada, role="member", actor=CLI)
    assert refused.value.code == "last_owner"
    members.set_role(organization=organization, user=bob, role="owner", actor=CLI)
    members.set_role(organization=organization, user=ada, role="member", actor=CLI)
    assert dict(Membership.objects.values_list("user_id", "role")) == {ada.id: "member", bob.id: "owner"}


def test_a_refusal_for_a_region_is_audited() -> None:
    organization = make(residency_region="us")
    finance = actors.Actor(name="user:1", staff_groups=frozenset({"finance"}), regions=frozenset({"eu"}))
    with pytest.raises(Forbidden) as refused:
        actors.require(finance, Act.CREDITS, organization)
    assert refused.value.code == "region_not_cleared"
    entry = AuditEntry.objects.get(act="refused.credits")
    assert (entry.actor, entry.organization_id, entry.details) == ("user:1", organization.id, {"region": "us"})
