"""Where a walking person is at each moment.

Owns walks along a path with pauses, and the pose that goes with them. Knows no camera.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from reid.people.figure import Figure, build_figure
from reid.people.outfits import Outfit
from reid.people.persons import Person
from reid.people.render import Actor, stand

_CORNER_M = 0.45  # a turn is walked over twice this length


@dataclass(frozen=True)
class Walk:
    """One person's way through one camera's view.

    Attributes:
        person_id: the number in the truth.
        person, outfit: who, in what.
        path: (K, 2) float64 ground places, metres; K >= 2.
        start_s: when the path begins, seconds after the clip's start; may be negative.
        speed_m_s: None for the person's own speed.
        pauses: (metres from the path's start, seconds) of standing still.
    """

    person_id: int
    person: Person
    outfit: Outfit
    path: NDArray[np.float64]
    start_s: float
    speed_m_s: float | None = None
    pauses: tuple[tuple[float, float], ...] = field(default=())


class Walker:
    """A walk with the figure that walks it."""

    def __init__(self, walk: Walk) -> None:
        self.walk = walk
        self.figure: Figure = build_figure(walk.person, walk.outfit)
        self.speed = walk.speed_m_s or self.figure.gait.speed_m_s
        steps = np.linalg.norm(np.diff(walk.path, axis=0), axis=1)
        self._along = np.concatenate([[0.0], np.cumsum(steps)])
        self._seed = np.random.default_rng([walk.person.seed, walk.person_id, 9]).random(2)

    @cached_property
    def seconds(self) -> float:
        """How long the walk takes."""
        pauses = sum(seconds for _, seconds in self.walk.pauses)
        return float(self._along[-1]) / self.speed + pauses

    def actor(self, moment_s: float) -> Actor | None:
        """The person `moment_s` after the clip's start; None before and after the walk."""
        at = self._distance(moment_s - self.walk.start_s)
        if at is None:
            return None
        metres, still = at
        place = self._place(metres)
        ahead = self._place(metres + _CORNER_M) - self._place(metres - _CORNER_M)
        heading = float(np.arctan2(ahead[1], ahead[0]))
        phase = (metres / self.figure.gait.cycle_m + self._seed[0]) % 1.0
        turn = 0.35 * np.sin(0.7 * moment_s + 6.3 * self._seed[1]) * (1.5 if still else 0.7)
        return stand(self.figure, place, heading, self.figure.pose(phase, float(still), float(turn)))

    def place(self, moment_s: float) -> NDArray[np.float64] | None:
        """(2,) metres, where the person is `moment_s` after the clip's start; None before and after."""
        at = self._distance(moment_s - self.walk.start_s)
        return None if at is None else self._place(at[0])

    def _distance(self, seconds: float) -> tuple[float, bool] | None:
        """Metres walked after this time and whether the person stands still; None outside the walk."""
        if seconds < 0:
            return None
        for metres, pause in sorted(self.walk.pauses):
            reached = metres / self.speed
            if seconds <= reached:
                break
            if seconds <= reached + pause:
                return metres, True
            seconds -= pause
        walked = seconds * self.speed
        return (walked, False) if walked <= self._along[-1] else None

    def _place(self, metres: float) -> NDArray[np.float64]:
        """(2,) on the path, prolonged beyond its ends."""
        path, along = self.walk.path, self._along
        last = len(path) - 1
        leg = int(np.clip(np.searchsorted(along, metres) - 1, 0, last - 1))
        length = max(float(along[leg + 1] - along[leg]), 1e-9)
        share = (metres - along[leg]) / length
        return np.asarray(path[leg] + share * (path[leg + 1] - path[leg]), np.float64)


def actors_at(walkers: Sequence[Walker], moment_s: float) -> list[tuple[int, Actor]]:
    """(index of the walker, actor) of everybody who is on the way at this moment."""
    found = ((index, walker.actor(moment_s)) for index, walker in enumerate(walkers))
    return [(index, actor) for index, actor in found if actor is not None]
