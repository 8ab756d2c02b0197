"""Which cameras somebody passes, and when: never faster than on foot or by bus.

A journey is grown from one clip forwards and backwards in time, by draws among the clips that can be
reached from its ends. Knows no pixels; a passage is the moment in the middle of a clip.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from benchmarks.city.clips import ClipPlan
from benchmarks.city.draws import Random

MOST_IN_A_CLIP = 3  # missing people and lookalikes; more would make one clip decide too much
_DETOUR = 1.3  # streets against the straight line
_BUS_M_S = 4.5  # with stops
_BUS_WAIT_S = 420.0
_BUS_FROM_M = 600.0
_LINGER_S = 7200.0  # gaps longer than this become rare
_SAME_CAMERA = 0.1
_ELSEWHERE = 0.35  # weight of a neighbouring district against home

Means = Literal["start", "foot", "bus"]


@dataclass(frozen=True)
class Stop:
    """One camera on a journey.

    Attributes:
        clip: number of the clip.
        by: how they came here from the stop before.
    """

    clip: int
    by: Means


class Timetable:
    """All clips as arrays, and how many people of the truth each already holds."""

    def __init__(self, clips: Sequence[ClipPlan]) -> None:
        self._place: NDArray[np.float64] = np.array([clip.site.position_m for clip in clips])
        self._start: NDArray[np.float64] = np.array([clip.start.timestamp() for clip in clips])
        self._seconds = clips[0].seconds
        self._camera: NDArray[np.int64] = np.array([clip.site.number for clip in clips])
        self._district: NDArray[np.str_] = np.array([clip.site.camera.district for clip in clips])
        self._room: NDArray[np.int64] = np.array(
            [1 if clip.site.place == "lift" else MOST_IN_A_CLIP for clip in clips]
        )
        self.load: NDArray[np.int64] = np.zeros(len(clips), np.int64)

    def travel(
        self, random: Random, fewest: int, count: int, home: str, others: Sequence[str], speed_m_s: float,
        avoid: Sequence[int] = (),
    ) -> tuple[Stop, ...]:  # fmt: skip
        """A journey of `fewest` to `count` stops, one of them at home; takes its places in the clips.

        Args:
            random: what is drawn from.
            fewest, count: stops needed, and wanted.
            home: slug of the district most stops are in.
            others: slugs of the districts that may be visited too.
            speed_m_s: on foot.
            avoid: clips that must not be passed.

        Returns:
            Stops by time; none when fewer than `fewest` can be reached.
        """
        weight = np.where(self._district == home, 1.0, 0.0)
        weight[np.isin(self._district, list(others))] = _ELSEWHERE
        weight[self.load >= self._room] = 0
        weight[list(avoid)] = 0
        weight /= 1.0 + self.load
        at_home = np.flatnonzero((self._district == home) & (weight > 0))
        longest: list[int] = []
        for first in random.permutation(at_home)[:20]:
            journey = self._grow(random, int(first), count, weight, speed_m_s)
            longest = max(longest, journey, key=len)
            if len(longest) == count:
                break
        if len(longest) < fewest:
            return ()
        self.load[longest] += 1
        return tuple(self._stop(longest, index, speed_m_s) for index in range(len(longest)))

    def _grow(
        self, random: Random, first: int, count: int, weight: NDArray[np.float64], speed_m_s: float
    ) -> list[int]:
        journey = [first]
        while len(journey) < count:
            ahead = self._reachable(journey[-1], 1, speed_m_s)
            behind = self._reachable(journey[0], -1, speed_m_s)
            chance = weight * (ahead + behind)
            chance[np.isin(self._camera, self._camera[journey])] *= _SAME_CAMERA
            total = chance.sum()
            if total <= 0:
                break
            chosen = int(random.choice(len(chance), p=chance / total))
            journey.insert(len(journey) if ahead[chosen] else 0, chosen)
        return journey

    def _reachable(self, clip: int, direction: int, speed_m_s: float) -> NDArray[np.float64]:
        """(N,) weight of each clip as the next (1) or previous (-1) stop; 0 where nobody gets in time."""
        gap = direction * (self._start - self._start[clip]) - self._seconds
        distance = np.linalg.norm(self._place - self._place[clip], axis=1) * _DETOUR
        on_foot = gap >= distance / speed_m_s
        by_bus = (distance >= _BUS_FROM_M) & (gap >= _BUS_WAIT_S + distance / _BUS_M_S)
        return np.where((gap > 0) & (on_foot | by_bus), np.exp(-np.maximum(gap, 0) / _LINGER_S), 0.0)

    def _stop(self, journey: list[int], index: int, speed_m_s: float) -> Stop:
        if index == 0:
            return Stop(journey[0], "start")
        before, clip = journey[index - 1], journey[index]
        gap = self._start[clip] - self._start[before] - self._seconds
        distance = float(np.linalg.norm(self._place[clip] - self._place[before])) * _DETOUR
        return Stop(clip, "foot" if gap >= distance / speed_m_s else "bus")
