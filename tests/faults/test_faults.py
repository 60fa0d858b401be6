"""A short round of ``make faults``, on the session's database, whose server nobody may kill."""

from pathlib import Path

from pytest_django.fixtures import Settings

from tests.faults import rounds
from tests.faults.faults import FAULTS
from tests.faults.system import System
from tests.support.receivers import receiver

# None that kills who delivers: what he had in hand is delivered a minute later.
CHOSEN = ("web workers killed waiting for books", "Valkey flushed")


def test_faults_lose_and_double_nothing(real_db: str, tmp_path: Path, settings: Settings) -> None:
    settings.BILLING_WEBHOOKS_ALLOW_LOCAL = True
    chosen = [fault for fault in FAULTS if fault.name in CHOSEN]
    system = System(tmp_path, database_url=real_db)
    try:
        system.start()
        with receiver() as listening:
            run = rounds.Run(system, listening, tmp_path, 1, chosen, scale=0.2, pace_seconds=0.01)
            report = run.rounds([0])
    finally:
        system.stop()
    assert report.wrong == [], report.text()
    assert report.acked > 80, report.text()
    assert report.delivered > 20, report.text()


def test_every_fault_has_its_turn_and_a_seed_repeats_it() -> None:
    def drawn(seed: int) -> list[list[str]]:
        return [[fault.name for fault in rounds.drawn(FAULTS, seed, number)] for number in range(2 * len(FAULTS))]

    assert drawn(1) == drawn(1) != drawn(2)
    for turn in (drawn(1)[: len(FAULTS)], drawn(1)[len(FAULTS) :]):
        assert {names[0] for names in turn} == {fault.name for fault in FAULTS}
