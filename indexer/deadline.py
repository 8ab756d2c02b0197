"""When a night's indexing is to stop, by a clock that tests can move. Knows no work."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from indexer.times import SEOUL


@dataclass(frozen=True)
class Clock:
    """The time, as the night sees it: the wall, aware UTC, and seconds that never jump."""

    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    elapsed: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


@dataclass(frozen=True)
class Deadline:
    """When indexing is to stop; the rest of the night, which is short, is done after it.

    Attributes:
        at: a moment on the wall's clock; None: none.
        seconds: after the beginning; None: none.
    """

    clock: Clock
    begun: float
    at: datetime | None
    seconds: float | None

    @classmethod
    def of(cls, clock: Clock, until: str, max_hours: float) -> Deadline:
        """`until` is the next such time of day in Seoul; empty and 0 mean none."""
        now, at = clock.now(), None
        if until:
            hour, minute = map(int, until.split(":"))
            at = now.astimezone(SEOUL).replace(hour=hour, minute=minute, second=0, microsecond=0)
            at += timedelta(days=1 if at <= now else 0)
        return cls(clock, clock.elapsed(), at, max_hours * 3600 if max_hours else None)

    def reached(self) -> str | None:
        """Why indexing has to stop; None: it goes on."""
        if self.at is not None and self.clock.now() >= self.at:
            return f"stopped at {self.at.astimezone(SEOUL):%H:%M}"
        if self.seconds is not None and self.clock.elapsed() - self.begun >= self.seconds:
            return f"stopped after {self.seconds / 3600:g} hours"
        return None

    def left_s(self) -> float:
        """Seconds until then."""
        left = [float("inf")]
        if self.at is not None:
            left.append((self.at - self.clock.now()).total_seconds())
        if self.seconds is not None:
            left.append(self.seconds - (self.clock.elapsed() - self.begun))
        return max(0.0, min(left))
