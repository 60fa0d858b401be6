from datetime import timedelta

import pytest

from billing.notifications import backoff


def test_the_schedule_grows_and_lasts_close_to_three_days() -> None:
    waits = [backoff.delay_after(failures, chance=0.5) for failures in range(1, backoff.ATTEMPTS_MAX)]
    assert [wait.total_seconds() for wait in waits[:4]] == [5, 20, 80, 320]
    assert waits == sorted(waits)
    assert waits[-1] == timedelta(hours=12)
    assert timedelta(days=2, hours=12) < sum(waits, timedelta()) < timedelta(days=3)


@pytest.mark.parametrize("failures", [1, 7, 13, 10_000])
def test_jitter_is_a_fifth_to_either_side(failures: int) -> None:
    middle = backoff.delay_after(failures, chance=0.5)
    assert backoff.delay_after(failures, chance=0.0) == middle * 0.8
    assert middle * 1.19 < backoff.delay_after(failures, chance=0.999) < middle * 1.2


def test_the_thirteenth_failure_is_the_last() -> None:
    assert [backoff.is_exhausted(failures) for failures in (12, 13, 14)] == [False, True, True]
