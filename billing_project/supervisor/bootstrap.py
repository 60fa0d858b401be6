"""Brings the database to what the code expects: migrations, the plan catalog, and once the demo organizations.

Run as a program of its own: ``python -m billing_project.supervisor.bootstrap FILE``. ``FILE`` (mode 0600) keeps
the demo's keys and password between runs, since the database holds only their hashes.
"""

import json
import sys
from dataclasses import asdict
from pathlib import Path

import django
from django.core.management import call_command
from django.db import DatabaseError
from django.utils import timezone

from billing_project.embedded import processes


def bootstrap(demo_file: Path) -> None:
    # After django.setup(), which models need.
    from django.conf import settings

    from billing.catalog import operations as catalog
    from billing.catalog import parsing
    from billing.lifecycle import demo
    from marketplace.partners import demo as partners_demo

    call_command("migrate", interactive=False, verbosity=0)
    catalog.sync(spec=parsing.load(settings.BILLING_PLANS_FILE), actor="system:start", now=timezone.now())
    known = demo.DemoAccess(**json.loads(demo_file.read_text())) if demo_file.exists() else None
    access = demo.load_demo(known=known, now=timezone.now())
    partners_demo.load(email=access.login, now=timezone.now())
    if access != known:
        processes.write_private(demo_file, json.dumps(asdict(access)))


def main() -> int:
    django.setup()
    from billing.kernel.errors import BillingError

    try:
        bootstrap(Path(sys.argv[1]))
    except (BillingError, DatabaseError) as error:
        print(str(error).strip().replace("\n", " "), file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
