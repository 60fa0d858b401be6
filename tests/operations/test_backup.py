"""A dump by PostgreSQL's own program, restored beside it: every row is there, and the doctor has nothing to say."""

import uuid
from pathlib import Path

from django.conf import settings
from django.utils import timezone

from billing.catalog import operations as catalog
from billing.catalog import parsing
from billing.lifecycle import demo
from billing.reporting.doctor import verify
from tests.operations import backup
from tests.support import databases


def test_what_is_restored_is_what_was_dumped_and_the_doctor_is_silent(
    real_db: str, database_server_url: str, tmp_path: Path
) -> None:
    catalog.sync(spec=parsing.load(settings.BILLING_PLANS_FILE), actor="system:start", now=timezone.now())
    demo.load_demo(known=None, now=timezone.now())
    backup.dump(real_db, tmp_path / "countinghouse.dump")
    name = f"test_restored_{uuid.uuid4().hex[:8]}"
    databases.create_empty(database_server_url, name)
    try:
        restored = databases.url_of(database_server_url, name)
        backup.restore(restored, tmp_path / "countinghouse.dump")
        assert backup.count_rows(restored) == backup.count_rows(real_db)
        with databases.pointed_at(name):
            assert verify() == []
    finally:
        databases.drop(database_server_url, name)
