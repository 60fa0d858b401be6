from datetime import UTC, datetime, timedelta

import pytest
from pytest_django import DjangoAssertNumQueries

from billing.accounts import actors, operations, queries, tokens
from billing.accounts.actors import Act, Actor
from billing.kernel.errors import Forbidden, Invalid, NotFound
from billing.models import ApiKey, AuditEntry, Organization

pytestmark = pytest.mark.django_db

CLI = actors.operator("ada")


def now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture
def acme() -> Organization:
    return operations.create_organization(slug="acme", name="Acme", actor=CLI)


def test_a_key_is_shown_once_and_stored_as_its_digest(acme: Organization) -> None:
    key, secret = operations.create_key(organization=acme, name="ci", scopes=["usage", "read", "read"], actor=CLI)
    row = ApiKey.objects.get()
    assert secret.startswith("chk_live_")
    assert bytes(row.digest) == tokens.digest(secret)
    assert secret.startswith(row.prefix)
    # What stays secret of it is worth 256 bits or more: 62 to the 43rd.
    assert len(secret) - len(row.prefix) - 6 >= 43
    assert row.scopes == ["read", "usage"]
    stored = repr(ApiKey.objects.values().get()) + repr(list(AuditEntry.objects.values()))
    assert secret not in stored
    assert queries.find_key(secret, now()) == key


def test_a_key_of_a_sandbox_says_so() -> None:
    sandbox = operations.create_organization(slug="lab", name="Lab", actor=CLI, is_sandbox=True, clock_at=now())
    assert operations.create_key(organization=sandbox, name="k", scopes=["read"], actor=CLI)[1].startswith("chk_test_")


def test_it_is_found_with_its_organization_in_one_query(
    acme: Organization, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    _, secret = operations.create_key(organization=acme, name="ci", scopes=["read"], actor=CLI)
    with django_assert_num_queries(1):
        key = queries.find_key(secret, now())
        assert key is not None
        assert key.organization == acme


def test_what_is_no_key_costs_no_query(acme: Organization, django_assert_num_queries: DjangoAssertNumQueries) -> None:
    _, secret = operations.create_key(organization=acme, name="ci", scopes=["read"], actor=CLI)
    other = "b" if secret[-1] != "b" else "c"
    with django_assert_num_queries(0):
        for text in (
            "",
            "x",
            secret[:-1],
            secret + "a",
            secret[:-1] + other,
            secret.upper(),
            "chk_live_\x00",
            "\ud800",
        ):
            assert queries.find_key(text, now()) is None


def test_revocation_counts_at_once_and_twice_is_once(acme: Organization) -> None:
    key, secret = operations.create_key(organization=acme, name="ci", scopes=["read"], actor=CLI)
    at = now()
    operations.revoke_key(key=key, actor=CLI, now=at)
    operations.revoke_key(key=key, actor=CLI, now=at + timedelta(days=1))
    assert ApiKey.objects.get().revoked_at == at
    assert AuditEntry.objects.filter(act="key.revoke").count() == 1
    assert queries.find_key(secret, now()) is None


def test_a_key_expires_at_its_instant(acme: Organization) -> None:
    at = now() + timedelta(hours=1)
    _, secret = operations.create_key(organization=acme, name="ci", scopes=["read"], actor=CLI, expires_at=at)
    assert queries.find_key(secret, at - timedelta(microseconds=1)) is not None
    assert queries.find_key(secret, at) is None


@pytest.mark.parametrize("scope", [*sorted(set(Act) - actors.ORGANIZATION_KEY_ACTS), "everything", "", "READ"])
def test_an_organization_key_carries_no_operator_scope(acme: Organization, scope: str) -> None:
    with pytest.raises(Invalid) as refused:
        operations.create_key(organization=acme, name="k", scopes=["read", scope], actor=CLI)
    assert refused.value.details["field"] == "scopes"
    assert not ApiKey.objects.exists()


def test_scopes_smuggled_into_the_row_give_an_organization_key_nothing(acme: Organization) -> None:
    key, _ = operations.create_key(organization=acme, name="k", scopes=["read"], actor=CLI)
    key.scopes = [act.value for act in Act]
    assert actors.for_key(key).scopes == actors.ORGANIZATION_KEY_ACTS


def test_nobody_hands_on_a_right_that_they_lack(acme: Organization) -> None:
    owner = Actor(name="user:1", roles={acme.id: "owner"})
    operations.create_key(organization=acme, name="k", scopes=["read", "usage", "subscribe", "preview"], actor=owner)
    with pytest.raises(Forbidden):
        operations.create_key(organization=acme, name="k", scopes=["clock"], actor=owner)
    keys_only = Actor(name="key:1", scopes=frozenset({"keys"}))
    with pytest.raises(Forbidden):
        operations.create_key(organization=acme, name="k", scopes=["read"], actor=keys_only)
    assert ApiKey.objects.count() == 1


@pytest.mark.parametrize("name", ["", "n" * 121])
def test_a_bad_name_is_refused(acme: Organization, name: str) -> None:
    with pytest.raises(Invalid) as refused:
        operations.create_key(organization=acme, name=name, scopes=["read"], actor=CLI)
    assert refused.value.details["field"] == "name"


def test_a_key_cannot_expire_in_the_past_or_be_without_scopes(acme: Organization) -> None:
    with pytest.raises(Invalid, match="past"):
        operations.create_key(organization=acme, name="k", scopes=["read"], actor=CLI, expires_at=now())
    with pytest.raises(Invalid, match="scope"):
        operations.create_key(organization=acme, name="k", scopes=[], actor=CLI)


def test_keys_are_listed_and_got_within_their_organization(acme: Organization) -> None:
    other = operations.create_organization(slug="other", name="Other", actor=CLI)
    first, second = (
        operations.create_key(organization=acme, name=n, scopes=["read"], actor=CLI)[0] for n in ("a", "b")
    )
    assert queries.list_keys(acme) == [second, first]
    assert queries.get_key(acme, first.id) == first
    with pytest.raises(NotFound):
        queries.get_key(other, first.id)
