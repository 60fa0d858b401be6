"""A client with several hands, each on a connection of its own. It gives up on an answer, never on a request."""

from __future__ import annotations

import contextlib
import http.client
import json
import queue
import random
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from urllib.parse import urlsplit

from tests.faults.journal import Answer, Journal, Request

HANDS = 6
# A request that takes longer was left hanging: no answer may take so long, whatever is broken.
ANSWER_SECONDS_MAX = 25.0
# After an answer that something is broken, as every client should.
PAUSE_SECONDS = 0.25


class Hand:
    """One connection, made anew whenever it broke. ``keys`` are secrets by caller."""

    def __init__(self, url: str, journal: Journal, keys: Mapping[str, str]) -> None:
        self._place = urlsplit(url).netloc
        self._journal = journal
        self._keys = keys
        self._connection: http.client.HTTPConnection | None = None

    def send(self, request: Request) -> Answer:
        number = self._journal.sent(request)
        began = time.monotonic()
        try:
            status, body = self._exchange(request)
        except (OSError, http.client.HTTPException, ValueError) as error:
            self.close()
            status, body = 0, repr(error)
        answer = Answer(status, body, time.monotonic() - began)
        self._journal.answered(number, request.key, answer)
        return answer

    def insist(self, request: Request, *, seconds: float) -> Answer:
        """Send it again until the answer tells something, for so long."""
        deadline = time.monotonic() + seconds
        while not (answer := self.send(request)).is_known and time.monotonic() < deadline:
            time.sleep(PAUSE_SECONDS)
        return answer

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _exchange(self, request: Request) -> tuple[int, Any]:
        if self._connection is None:
            self._connection = http.client.HTTPConnection(self._place, timeout=ANSWER_SECONDS_MAX)
        headers = {"Content-Type": "application/json", **request.headers}
        caller = request.organization if request.caller is None else request.caller
        if caller:
            headers["Authorization"] = f"Bearer {self._keys[caller]}"
        self._connection.request("POST", request.path, json.dumps(request.body), headers)
        response = self._connection.getresponse()
        raw = response.read()
        if response.getheader("Connection", "").lower() == "close":
            self.close()
        return response.status, json.loads(raw) if raw else None


Act = Callable[[Hand, random.Random], None]


class Crowd:
    """Works off acts with ``HANDS`` hands at once, and tells how far it is."""

    def __init__(self, acts: Iterable[Act], *, make_hand: Callable[[], Hand], seed: int, pace_seconds: float) -> None:
        self._queue: queue.SimpleQueue[Act] = queue.SimpleQueue()
        listed = list(acts)
        for act in listed:
            self._queue.put(act)
        self._count = max(1, len(listed))
        self._make_hand = make_hand
        self._pace_seconds = pace_seconds
        self._broke: list[str] = []
        self._threads = [
            threading.Thread(target=self._work, args=(random.Random(f"{seed}-{number}"),), daemon=True)  # noqa: S311
            for number in range(HANDS)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def progress(self) -> float:
        """From 0 to 1."""
        return 1 - self._queue.qsize() / self._count

    @property
    def is_working(self) -> bool:
        return any(thread.is_alive() for thread in self._threads)

    def join(self, tend: Callable[[], None]) -> None:
        while self.is_working:
            tend()
            time.sleep(0.02)
        assert not self._broke, self._broke

    def _work(self, chance: random.Random) -> None:
        hand = self._make_hand()
        try:
            while True:
                with contextlib.suppress(queue.Empty):
                    act = self._queue.get_nowait()
                    act(hand, chance)
                    # As many as the crowd is to take altogether, whatever the machine could do.
                    time.sleep(chance.uniform(0, 2 * self._pace_seconds))
                    continue
                return
        except Exception as error:
            self._broke.append(repr(error))
            raise
        finally:
            hand.close()
