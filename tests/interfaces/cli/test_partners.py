"""``mcpctl billing partners`` and ``listings``: the marketplace's work from the shell."""

import pytest

from billing.accounts.actors import Actor
from billing.models import AuditEntry
from marketplace.models import Listing, Partner
from marketplace.partners.transitions import Step
from tests.support import partners
from tests.support.cli import run, shown

pytestmark = pytest.mark.django_db


@pytest.fixture
def northwind() -> Partner:
    return partners.partner()


@pytest.fixture
def editor(northwind: Partner) -> Actor:
    return partners.actor(partners.member(northwind))


def test_a_partner_and_its_first_admin() -> None:
    assert run("partners", "list").out == "No partners.\n"
    assert shown("partners", "create", "northwind", "--name", "Northwind")["slug"] == "northwind"
    person = partners.user()
    added = shown("partners", "add-member", "northwind", person.email, "--role", "admin")
    assert added == {"partner": "northwind", "email": person.email, "role": "admin"}
    (row,) = shown("partners", "list")["results"]
    assert (row["slug"], row["listings"], row["members"]) == ("northwind", 0, 1)
    actor = AuditEntry.objects.get(act="partner.create").actor
    assert actor.startswith("cli:")
    for arguments, code in (
        (("create", "northwind", "--name", "Again"), 4),
        (("create", "No Slug", "--name", "x"), 2),
        (("create", "x", "--name", "x", "--website", "javascript:x"), 2),
        (("add-member", "nobody", person.email), 3),
        (("add-member", "northwind", "nobody@example.com"), 2),
    ):
        assert run("partners", *arguments).code == code, arguments


def test_decisions(northwind: Partner, editor: Actor) -> None:
    assert run("listings", "list").out == "No listings.\n"
    for slug in ("one", "two"):
        partners.step(partners.listing(northwind, slug, by=editor), Step.SUBMIT, by=editor)
    assert [row["slug"] for row in shown("listings", "list")["results"]] == ["one", "two"]
    assert "submitted" in run("listings", "list").out
    assert run("listings", "publish", "one", "--version", "1").code == 4
    assert shown("listings", "publish", "one", "--version", "2")["status"] == "published"
    assert shown("listings", "reject", "two", "--reason", "Say more.")["rejected_reason"] == "Say more."
    assert shown("listings", "suspend", "one", "--reason", "r")["status"] == "suspended"
    assert [row["slug"] for row in shown("listings", "list", "--status", "suspended")["results"]] == ["one"]
    assert run("listings", "restore", "one").out.split()[-1] == "published"
    assert run("listings", "reject", "one").code == 2
    assert run("listings", "publish", "two").code == 4
    assert run("listings", "publish", "nothing").code == 3
    assert {row.status for row in Listing.objects.all()} == {"published", "rejected"}


def test_help_names_them() -> None:
    said = run("--help").out
    assert "partners" in said
    assert "listings" in said
    assert run("no-such").code == 2
