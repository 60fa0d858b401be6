"""Staff is made by superusers, never by oneself, and each change is kept with its reason."""

import pytest
from django.contrib.auth.models import Group

from billing.accounts import actors, operations, staff
from billing.accounts.actors import Actor, NotAllowed
from billing.kernel.errors import BillingError, Invalid
from billing.models import AuditEntry, User

pytestmark = pytest.mark.django_db
BOSS = Actor(name="user:boss", is_superuser=True)


@pytest.fixture
def person(db: None) -> User:
    return operations.create_user(email="ada@example.com", password="correct horse battery 42")


def make(
    person: User,
    *groups: str,
    regions: tuple[str, ...] = (),
    actor: Actor = BOSS,
    reason: str = "hired",
    on: bool = True,
) -> User:
    return staff.set_staff(user=person, groups=groups, regions=regions, is_active=on, actor=actor, reason=reason)


def test_the_groups_are_there_from_the_start() -> None:
    names = set(Group.objects.values_list("name", flat=True))
    assert names == {"finance", "catalog", "support", "marketplace"}
    assert set(actors.STAFF_ACTS) <= names


def test_groups_and_regions_make_staff_and_their_absence_ends_it(person: User) -> None:
    made = make(person, "finance", "support", regions=("us", "eu"))
    assert (made.is_staff, made.cleared_regions) == (True, ["eu", "us"])
    assert actors.for_user(made).staff_groups == {"finance", "support"}
    kept = AuditEntry.objects.get(act="staff.set")
    assert (kept.actor, kept.reason, kept.object_id) == ("user:boss", "hired", str(person.id))
    assert kept.details["to"]["groups"] == ["finance", "support"]
    make(person, "finance", "support", regions=("eu", "us"))
    assert AuditEntry.objects.filter(act="staff.set").count() == 1
    gone = make(person, on=False)
    assert (gone.is_staff, gone.is_active, gone.cleared_regions) == (False, False, [])
    assert AuditEntry.objects.filter(act="staff.set").count() == 2


def test_only_superusers_and_never_oneself(person: User) -> None:
    for actor in (
        Actor(name="user:x", staff_groups=frozenset({"finance"}), regions=frozenset({"*"})),
        actors.ANONYMOUS,
    ):
        with pytest.raises(NotAllowed):
            make(person, "finance", actor=actor)
    with pytest.raises(staff.OwnRights):
        make(person, "finance", actor=Actor(name=f"user:{person.id}", is_superuser=True))
    assert make(person, "finance", actor=actors.operator("ada")).is_staff


@pytest.mark.parametrize(
    ("groups", "regions", "reason", "field"),
    [
        (("wizards",), (), "r", "groups"),
        (("finance",), ("EU!",), "r", "residency_region"),
        (("finance",), (), " ", "reason"),
        (("finance",), (), "x" * 501, "reason"),
    ],
)
def test_bad_input_names_its_field(
    person: User, groups: tuple[str, ...], regions: tuple[str, ...], reason: str, field: str
) -> None:
    with pytest.raises(Invalid) as caught:
        make(person, *groups, regions=regions, reason=reason)
    assert caught.value.details["field"] == field
    assert isinstance(caught.value, BillingError)
    person.refresh_from_db()
    assert not person.is_staff


def test_a_superuser_stays_staff_without_groups(person: User) -> None:
    User.objects.filter(id=person.id).update(is_superuser=True, is_staff=True)
    assert make(person).is_staff
