"""A catalog, and a sandbox organization on its Team plan: the clock on 15 January 2026, subscribed since the 1st."""

import pytest

from tests.support import catalogs, cli


@pytest.fixture
def catalog(real_db: str) -> str:
    catalogs.sync()
    return real_db


@pytest.fixture
def acme(catalog: str) -> str:
    cli.shown(
        *("tenants", "bootstrap", "acme", "--name", "Acme Laboratory", "--plan", "team"),
        *("--sandbox", "--clock", "2026-01-15", "--starts-at", "2026-01-01"),
    )
    return catalog
