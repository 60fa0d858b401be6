from django.utils import timezone

from billing.accounts import queries as accounts_queries
from billing.models import ApiKey, AuditEntry, Membership, Organization, Subscription, User
from tests.support import cli

FULL = (
    "tenants", "bootstrap", "acme", "--name", "Acme Laboratory", "--plan", "hidden", "--zone", "Europe/Berlin",
    "--region", "us", "--external-id", "A:1", "--email", "bills@acme.example", "--owner", "Owner@acme.example",
)  # fmt: skip


def test_it_creates_all_that_a_tenant_needs(catalog: str) -> None:
    made = cli.shown(*FULL)
    assert made["created"] is True
    organization = made["organization"]
    assert organization["slug"] == "acme"
    assert organization["zone"] == "Europe/Berlin"
    assert organization["residency_region"] == "us"
    assert organization["external_id"] == "A:1"
    assert organization["clock_at"] is None
    # An operator may give a plan that is not on sale, and it is served at once.
    assert (made["subscription"]["plan"]["code"], made["subscription"]["status"]) == ("hidden", "active")
    key = accounts_queries.find_key(made["api_key"], timezone.now())
    assert key is not None
    assert str(key.organization_id) == organization["id"]
    assert made["owner"]["login"] == "Owner@acme.example"
    assert User.objects.get(email="owner@acme.example").check_password(made["owner"]["password"])
    assert Membership.objects.get().role == "owner"
    assert {
        entry.actor.partition(":")[0] for entry in AuditEntry.objects.filter(organization_id=key.organization_id)
    } == {"cli"}


def test_twice_it_shows_what_is_there_and_changes_nothing(catalog: str) -> None:
    cli.shown(*FULL)
    before = (Organization.objects.count(), Subscription.objects.count(), ApiKey.objects.count(), User.objects.count())
    again = cli.shown(*FULL)
    assert again["created"] is False
    assert again["api_key"] is None
    assert again["subscription"]["plan"]["code"] == "hidden"
    assert len(again["keys"]) == 1
    assert "nothing was changed" in cli.run("tenants", "bootstrap", "acme", "--plan", "team").out
    after = (Organization.objects.count(), Subscription.objects.count(), ApiKey.objects.count(), User.objects.count())
    assert after == before


def test_without_a_plan_named_it_is_the_default_one(catalog: str) -> None:
    assert cli.shown("tenants", "bootstrap", "beta")["subscription"]["plan"]["code"] == "free"
    assert cli.shown("tenants", "bootstrap", "gamma", "--no-plan")["subscription"] is None


def test_a_failure_leaves_nothing(catalog: str) -> None:
    ran = cli.run("tenants", "bootstrap", "beta", "--plan", "nothing", "--owner", "a@b.example")
    assert ran.code == 2
    assert not Organization.objects.exists()
    assert not User.objects.exists()


def test_an_empty_catalog_is_a_conflict(real_db: str) -> None:
    ran = cli.run("tenants", "bootstrap", "beta", "--json")
    assert (ran.code, ran.problem["code"]) == (4, "catalog_empty")
    assert not Organization.objects.exists()


def test_an_external_id_that_is_taken_is_a_conflict(catalog: str) -> None:
    cli.shown(*FULL)
    ran = cli.run("tenants", "bootstrap", "beta", "--external-id", "A:1", "--json")
    assert (ran.code, ran.problem["code"], ran.problem["errors"][0]["field"]) == (
        4,
        "organization_exists",
        "external_id",
    )


def test_an_owner_who_is_known_keeps_the_password(catalog: str) -> None:
    cli.shown(*FULL)
    digest = User.objects.get().password
    second = cli.run("tenants", "bootstrap", "beta", "--owner", "owner@acme.example")
    assert "as before" in second.out
    assert User.objects.get().password == digest
    assert Membership.objects.count() == 2


def test_a_sandbox_has_a_clock_and_a_key_that_may_move_it(catalog: str) -> None:
    made = cli.shown("tenants", "bootstrap", "box", "--sandbox", "--clock", "2023-11-17", "--starts-at", "2023-11-01")
    assert made["organization"]["clock_at"] == "2023-11-17T00:00:00Z"
    assert made["subscription"]["starts_at"] == "2023-11-01T00:00:00Z"
    assert made["api_key"].startswith("chk_test_")
    assert "clock" in made["keys"][0]["scopes"]


def test_list_goes_on_where_it_stopped(catalog: str) -> None:
    for slug in ("c", "a", "b"):
        cli.shown("tenants", "bootstrap", slug, *(["--no-plan"] if slug == "b" else []))
    first = cli.shown("tenants", "list", "--limit", "2")
    assert [each["slug"] for each in first["results"]] == ["a", "b"]
    assert [each["subscriptions"] for each in first["results"]] == [
        [{"product": "platform", "plan": "free", "plan_version": 1, "status": "active"}],
        [],
    ]
    rest = cli.shown("tenants", "list", "--limit", "2", "--after", first["next"])
    assert ([each["slug"] for each in rest["results"]], rest["next"]) == (["c"], None)
    assert "more with --after b" in cli.run("tenants", "list", "--limit", "2").out
