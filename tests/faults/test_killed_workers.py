"""A short ordeal; ``make ordeal`` runs two thousand subscriptions through a dozen kills."""

import os
from pathlib import Path

from tests.faults import ordeal


def test_killed_workers_lose_and_double_nothing(real_db: str, redis_url: str, tmp_path: Path) -> None:
    env = os.environ | {"DATABASE_URL": real_db, "REDIS_URL": redis_url}
    report = ordeal.suffer(subscriptions=60, kills=3, seed=5, folder=tmp_path, env=env, pause=(0.3, 1.2))
    assert report.wrong == [], report.text()
    assert report.interrupted, report.text()
    # Of each: two that ended; half of them were asked a first fee in advance as well.
    assert report.invoices == 150, report.text()
