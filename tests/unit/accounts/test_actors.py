"""Who may do what, spelled out role by role: a change of the rules has to change this table too."""

from uuid import uuid4

import pytest

from billing.accounts import actors
from billing.accounts.actors import Act, Actor
from billing.kernel.errors import Forbidden, NotFound
from billing.models import Organization

ACME = Organization(id=uuid4(), slug="acme", residency_region="eu")
OTHER = Organization(id=uuid4(), slug="other", residency_region="us")
CUSTOMER_ACTS = {"read", "money", "usage", "subscribe", "preview", "keys", "webhooks", "members"}
FINANCE_ACTS = {"read", "money", "preview", "subscribe", "subscriptions", "credits", "invoices"}


def staff(*groups: str, regions: tuple[str, ...] = ("eu",)) -> Actor:
    return Actor(name="user:1", staff_groups=frozenset(groups), regions=frozenset(regions))


def member(role: str) -> Actor:
    return Actor(name="user:2", roles={ACME.id: role})


ALLOWED = {
    "owner": (member("owner"), CUSTOMER_ACTS),
    "admin": (member("admin"), CUSTOMER_ACTS),
    "finance role": (member("finance"), {"read", "money", "preview"}),
    "member": (member("member"), {"read"}),
    "unknown role": (member("emperor"), set()),
    "finance staff": (staff("finance"), FINANCE_ACTS),
    "support staff": (staff("support"), {"read", "money"}),
    "catalog staff": (staff("catalog"), {"read", "catalog"}),
    "finance and catalog": (staff("finance", "catalog"), FINANCE_ACTS | {"catalog"}),
    "cleared everywhere": (staff("finance", regions=("*",)), FINANCE_ACTS),
    "not cleared": (staff("finance", "support", regions=("us",)), set()),
    "cleared for nothing": (staff("finance", regions=()), set()),
    "superuser": (Actor(name="user:3", is_superuser=True), {act.value for act in Act}),
    "operator": (actors.operator("ada"), {act.value for act in Act}),
    "job": (actors.system("renew"), {act.value for act in Act}),
    "anonymous": (actors.ANONYMOUS, set()),
    "own key": (
        Actor(name="key:1", organization_id=ACME.id, scopes=frozenset({"read", "usage"})),
        {"read", "money", "usage"},
    ),
    "foreign key": (Actor(name="key:2", organization_id=OTHER.id, scopes=frozenset({"read", "usage"})), set()),
    "platform key": (Actor(name="key:3", scopes=frozenset({"credits"})), {"credits"}),
}


@pytest.mark.parametrize("act", list(Act))
@pytest.mark.parametrize("who", list(ALLOWED))
def test_who_may_do_what_to_an_organization(who: str, act: Act) -> None:
    actor, allowed = ALLOWED[who]
    assert actors.may(actor, act, ACME) == (act.value in allowed)


@pytest.mark.parametrize(
    ("who", "allowed"),
    [
        ("owner", set()),
        ("own key", set()),
        ("finance staff", set()),
        ("catalog staff", {"catalog"}),
        ("platform key", {"credits"}),
        ("superuser", {act.value for act in Act}),
    ],
)
def test_who_may_do_what_to_the_platform(who: str, allowed: set[str]) -> None:
    assert {act.value for act in Act if actors.may(ALLOWED[who][0], act, None)} == allowed


@pytest.mark.parametrize("who", ["foreign key", "anonymous", "owner", "member"])
def test_what_is_not_ours_is_not_there(who: str) -> None:
    actor, target = ALLOWED[who][0], ACME if who in ("foreign key", "anonymous") else OTHER
    for act in Act:
        with pytest.raises(NotFound):
            actors.require(actor, act, target)


@pytest.mark.parametrize("who", ["member", "support staff", "platform key", "own key"])
def test_what_is_ours_but_not_allowed_is_forbidden(who: str) -> None:
    with pytest.raises(Forbidden):
        actors.require(ALLOWED[who][0], Act.SUBSCRIPTIONS, ACME)


def test_the_platform_is_no_secret() -> None:
    with pytest.raises(Forbidden):
        actors.require(ALLOWED["owner"][0], Act.ORGANIZATIONS, None)
