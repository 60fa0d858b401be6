"""Migrations that old code can live with while it still runs, and rules that see those with which it could not."""

from functools import cache

import pytest
from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import connection, migrations, models
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import ProjectState

from tests.operations.migration_rules import findings

APPS = ("billing", "marketplace")
# The last ones before the first release: no installation ran the code in between, so nothing could stumble over them.
BASELINE = {"billing": 25, "marketplace": 3}
# What later migrations do against a rule, and why it is safe.
ACCEPTED: dict[tuple[str, str], dict[str, str]] = {}


@cache
def loader() -> MigrationLoader:
    return MigrationLoader(None)


def later() -> list[tuple[str, str]]:
    return sorted(
        (app, name)
        for app, name in loader().disk_migrations
        if app in APPS and int(name[:4]) > BASELINE[app]
    )  # fmt: skip


def broken_by(app: str, name: str) -> list[str]:
    before = loader().project_state((app, name), at_end=False)
    return list(findings(app, loader().disk_migrations[app, name].operations, before))


def test_no_migration_after_the_baseline_breaks_a_rule() -> None:
    for app, name in later():
        found = set(broken_by(app, name))
        assert found == set(ACCEPTED.get((app, name), {})), f"{app}.{name}: read docs/operations.md#migrations"


def test_what_is_accepted_is_there_and_has_a_reason() -> None:
    assert set(ACCEPTED) <= set(later())
    assert all(reason for accepted in ACCEPTED.values() for reason in accepted.values())


def test_the_rules_see_what_the_migrations_of_the_baseline_did() -> None:
    """They are exempt, and prove that the rules read real ones."""
    names = ("0005_subscription_journeys", "0012_collecting", "0019_desk", "0024_verification", "0025_open_grants")
    seen = {each.partition(":")[0] for name in names for each in broken_by("billing", name)}
    assert seen >= {"required", "index", "rewrite", "rows", "trigger", "constraint"}


EVENT, ORGANIZATION = "usageevent", "organization"
TABLE = "marketplace_usage_events"


@pytest.mark.parametrize(
    ("operation", "rule"),
    [
        (migrations.RemoveField(ORGANIZATION, "name"), "gone"),
        (migrations.DeleteModel(EVENT), "gone"),
        (migrations.RenameField(ORGANIZATION, "name", "title"), "gone"),
        (migrations.AlterModelTable(ORGANIZATION, "tenants"), "gone"),
        (migrations.AddField(ORGANIZATION, "rank", models.IntegerField(default=0)), "required"),
        (migrations.AddField(EVENT, "mark", models.TextField(null=True, db_index=True)), "index"),
        (migrations.AlterField(ORGANIZATION, "name", models.CharField(max_length=5)), "type"),
        (migrations.AddIndex(EVENT, models.Index(fields=["source"], name="by_source")), "index"),
        (
            migrations.AddConstraint(
                ORGANIZATION, models.CheckConstraint(condition=~models.Q(name=""), name="organizations_named")
            ),
            "constraint",
        ),
        (migrations.RunSQL(f"ALTER TABLE {TABLE} DROP COLUMN source"), "gone"),
        (migrations.RunSQL(f"ALTER TABLE {TABLE} RENAME COLUMN source TO origin"), "gone"),
        (migrations.RunSQL(f"ALTER TABLE {TABLE} ALTER COLUMN source SET NOT NULL"), "constraint"),
        (migrations.RunSQL(f"CREATE INDEX by_source ON {TABLE} (source)"), "index"),
        (migrations.RunSQL(f"CREATE TRIGGER t BEFORE INSERT ON {TABLE} FOR EACH ROW EXECUTE FUNCTION f()"), "trigger"),
        (migrations.RunSQL("UPDATE organizations SET name = 'x'"), "rows"),
        (migrations.RunPython(lambda apps, editor: None), "rows"),
        (
            migrations.SeparateDatabaseAndState(database_operations=[migrations.RunSQL("DROP TABLE organizations")]),
            "gone",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_each_rule_sees_its_case(operation: Operation, rule: str) -> None:
    assert [each.partition(":")[0] for each in findings("billing", [operation], newest())] == [rule]


@pytest.mark.parametrize(
    "operation",
    [
        migrations.AddField(EVENT, "mark", models.TextField(null=True)),
        migrations.AddField(ORGANIZATION, "rank", models.IntegerField(db_default=0)),
        migrations.AlterField(ORGANIZATION, "name", models.CharField(max_length=900)),
        migrations.AddIndex(ORGANIZATION, models.Index(fields=["name"], name="by_name")),
        AddIndexConcurrently(EVENT, models.Index(fields=["source"], name="by_source")),
        migrations.RunSQL(f"CREATE INDEX CONCURRENTLY by_source ON {TABLE} (source)"),
        migrations.RunSQL("CREATE FUNCTION f() RETURNS int LANGUAGE sql AS $$ UPDATE x SET y = 1; DROP TABLE z; $$"),
        migrations.RunSQL(f"ALTER TABLE {TABLE} ADD CONSTRAINT c CHECK (source <> '') NOT VALID"),
    ],
    ids=lambda operation: type(operation).__name__,
)
def test_what_old_code_can_live_with_is_let_through(operation: Operation) -> None:
    assert list(findings("billing", [operation], newest())) == []


@cache
def newest() -> ProjectState:
    assert connection.vendor == "postgresql"
    state: ProjectState = loader().project_state()
    return state
