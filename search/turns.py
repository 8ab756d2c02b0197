"""Who may go on now: so many at once, the others in the order in which they came.

Python's own semaphore lets whoever releases it take it again before those that wait have woken.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager


class Turns:
    """At most `at_once` threads are in `turn` at a time; nobody waits for ever."""

    def __init__(self, at_once: int) -> None:
        self._lock = threading.Lock()
        self._free = at_once
        self._waiting: deque[threading.Event] = deque()

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Wait for a turn, and have it."""
        mine = threading.Event()
        with self._lock:
            if self._free:
                self._free -= 1
                mine.set()
            else:
                self._waiting.append(mine)
        try:
            mine.wait()
            yield
        finally:
            with self._lock:
                if mine in self._waiting:  # interrupted while it waited
                    self._waiting.remove(mine)
                elif self._waiting:
                    self._waiting.popleft().set()
                else:
                    self._free += 1
