"""Faults of the broker, of the messages in it, and of the clock."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator

from tests.faults.points import Scene, kill


def valkey_killed(scene: Scene) -> None:
    kill([scene.system.valkey.child.popen.pid])
    scene.system.wait(scene.chance.uniform(0.0, 2.0))
    scene.system.restart_valkey()


def valkey_paused(scene: Scene) -> None:
    scene.system.valkey.child.popen.send_signal(signal.SIGSTOP)
    scene.system.wait(scene.chance.uniform(1.0, 5.0))
    scene.system.valkey.child.popen.send_signal(signal.SIGCONT)


def valkey_flushed(scene: Scene) -> None:
    with scene.system.broker() as broker:
        broker.flushall()


@contextlib.contextmanager
def _messages(scene: Scene) -> Iterator[list[bytes]]:
    """What waits for the worker, taken from the queue. The worker stands still meanwhile."""
    worker = scene.system.programs["worker"].popen
    worker.send_signal(signal.SIGSTOP)
    try:
        scene.system.wait(scene.chance.uniform(1.0, 2.5))
        with scene.system.broker() as broker:
            taken = [each for each in broker.lrange("celery", 0, -1) if isinstance(each, bytes)]
            broker.delete("celery")
        yield taken
    finally:
        worker.send_signal(signal.SIGCONT)


def _put_back(scene: Scene, messages: list[bytes]) -> None:
    if messages:
        with scene.system.broker() as broker:
            broker.rpush("celery", *messages)


def messages_doubled(scene: Scene) -> None:
    with _messages(scene) as taken:
        _put_back(scene, [message for message in taken for _ in range(3)])


def messages_reordered(scene: Scene) -> None:
    with _messages(scene) as taken:
        scene.chance.shuffle(taken)
        _put_back(scene, taken)


def messages_delayed(scene: Scene) -> None:
    with _messages(scene) as taken:
        pass
    scene.system.wait(scene.chance.uniform(1.0, 3.0))
    _put_back(scene, taken)


def the_clock_stepped(scene: Scene) -> None:
    """Of the product's processes, not of the database; forth by a minute and back, then back by one and forth."""
    for seconds in scene.chance.sample((60, -60, 3, -3), 3):
        scene.system.set_clock(seconds)
        scene.system.wait(1.5)
    scene.system.set_clock(0)
