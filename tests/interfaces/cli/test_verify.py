import psycopg
import pytest

from billing.models import AuditEntry, MarketplaceSubscription
from tests.support import cli


def test_sound_books_are_silent(acme: str) -> None:
    cli.shown("usage", "record", "acme", "tokens", "--quantity", "1500")
    for arguments in ((), ("acme",)):
        ran = cli.run("verify", *arguments)
        assert (ran.code, ran.out, ran.err) == (0, "", "")
        assert cli.shown("verify", *arguments) == {"sound": True, "violations": []}
    assert AuditEntry.objects.filter(act="books.verify").count() == 2


@pytest.mark.parametrize("arguments", [(), ("acme",)])
def test_broken_books_are_named_row_by_row(acme: str, arguments: tuple[str, ...]) -> None:
    with psycopg.connect(acme) as connection:
        connection.execute("UPDATE marketplace_subscriptions SET credit_balance = credit_balance + 1")
    ran = cli.run("verify", *arguments)
    assert ran.code == 1
    assert str(MarketplaceSubscription.objects.get().pk) in ran.out
    document = cli.run("verify", *arguments, "--json").document
    assert document["sound"] is False
    values = [value for violation in document["violations"] for row in violation["rows"] for value in row.values()]
    assert "11.000000" in values


def test_another_organization_is_not_blamed(acme: str) -> None:
    cli.shown("tenants", "bootstrap", "beta")
    with psycopg.connect(acme) as connection:
        connection.execute("UPDATE marketplace_subscriptions SET credit_balance = credit_balance + 1")
        connection.execute(
            "UPDATE marketplace_subscriptions SET credit_balance = credit_balance - 1"
            " WHERE organization_id = (SELECT id FROM organizations WHERE slug = 'beta')"
        )
    assert cli.run("verify", "beta").code == 0
    assert cli.run("verify", "acme").code == 1
