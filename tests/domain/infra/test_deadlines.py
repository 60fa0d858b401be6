"""Connections that are watched: each costs one more descriptor, and only as long as it is there."""

import gc
import threading
from pathlib import Path

import pytest
from django.db import connection, connections

from billing.infra import deadlines, statements


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def ask_and_close() -> None:
    with deadlines.within(5):
        assert statements.fetch_all("SELECT 1", []) == [(1,)]
    connection.close()


@pytest.mark.usefixtures("real_db")
def test_a_connection_that_is_closed_keeps_no_descriptor() -> None:
    ask_and_close()
    before = descriptors()
    for _ in range(10):
        ask_and_close()
    # Without waiting for the collector: at most the last one is left.
    assert descriptors() <= before + 1


@pytest.mark.usefixtures("real_db")
def test_nor_does_one_of_a_thread_that_ended() -> None:
    def work() -> None:
        ask_and_close()
        connections.close_all()

    def run() -> None:
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()

    run()
    gc.collect()
    before = descriptors()
    for _ in range(10):
        run()
    gc.collect()
    assert descriptors() <= before + 1
