"""Finding the installation, and starting Django for it: only once a command needs it, so that help is quick."""

from __future__ import annotations

import getpass
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from billing.accounts.actors import Actor

FACTS = "run.json"


class Unavailable(Exception):
    """The installation cannot be used as it is; the message says what to do."""


def set_up(data: Path) -> None:
    """Start Django on the database of ``DATABASE_URL`` or, without that, of ``run.json`` in the folder ``data``.

    Without either Django starts all the same: ``require_database`` then refuses what needs one. Raises ``Unavailable``.
    """
    from django.apps import apps

    if apps.ready:
        return
    _adopt(data / FACTS)
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "billing_project.settings.local")
    # Standard error is for a person here; what happened is in the audit log.
    os.environ.setdefault("LOG_LEVEL", "CRITICAL")

    import django
    from django.core.exceptions import ImproperlyConfigured

    try:
        django.setup()
    except (ImproperlyConfigured, ValueError) as error:
        # django-environ says ValueError of a URL that it cannot read; the URL may hold a password.
        reason = str(error) if isinstance(error, ImproperlyConfigured) else "DATABASE_URL or REDIS_URL is not a URL"
        raise Unavailable(f"The settings cannot be used: {reason}") from None


def require_database(data: Path) -> None:
    """Raise ``Unavailable`` where no database was named."""
    if not os.environ.get("DATABASE_URL"):
        raise Unavailable(
            f"No database: start the product with `make run` ({data / FACTS} is not there), name its data folder with "
            "--data, or set DATABASE_URL."
        )


def actor() -> Actor:
    """The operator, by the login of this process."""
    from billing.accounts import actors

    try:
        login = getpass.getuser()
    except (KeyError, OSError):
        login = f"uid-{os.getuid()}"
    return actors.operator(login)


def _adopt(path: Path) -> None:
    """Take the addresses that a running product wrote down, where the environment names none."""
    if os.environ.get("DATABASE_URL"):
        return
    try:
        facts = json.loads(path.read_text())
        found = {"DATABASE_URL": str(facts["database_url"]), "REDIS_URL": str(facts["redis_url"])}
    except FileNotFoundError:
        return
    except OSError as error:
        raise Unavailable(f"{path} cannot be read: {error.strerror}.") from None
    except (ValueError, KeyError, TypeError):
        raise Unavailable(f"{path} is not what `make run` writes: start the product again.") from None
    os.environ["DATABASE_URL"] = found["DATABASE_URL"]
    os.environ.setdefault("REDIS_URL", found["REDIS_URL"])
