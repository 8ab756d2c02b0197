"""From a planned walk to a path on the ground of a scene.

A walk is planned before any scene exists: it says which route, how far to the right, in what pattern, and
when the camera sees the walker best. Here it becomes metres. Knows neither people nor pictures.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from benchmarks.city.members import WalkPlan

Points = NDArray[np.float64]
"""(K, 2) metres on the ground."""
Walkable = Callable[[Points], NDArray[np.bool_]]
"""(K, 2) metres -> (K,) whether one can walk there."""
Shown = Callable[[Points], NDArray[np.float64]]
"""(K, 2) metres -> (K,) pixels a person's height has there; 0 where they are not wholly seen."""

_STEP_M = 0.5
_SWAY_M, _SWAY_LENGTH_M = 0.08, 7.0  # nobody walks along a ruler
_LAP = ((0.7, 1), (0.7, -1), (0.3, -1), (0.3, 1))  # (share of the route, side)
_PACE = ((0.62, 1), (0.62, -1), (0.4, -1), (0.4, 1))
_PACING_M = 0.25  # to either side: turns on the spot
_AS_GOOD = 0.9  # a place that shows somebody this large against the largest is as good
_NARROWER = (1.0, 0.6, 0.3, 0.0)  # what is tried of the distance to the route where the way is blocked


@dataclass(frozen=True)
class Laid:
    """A walk in a scene.

    Attributes:
        path: (K, 2) metres.
        start_s: second of the clip in which it begins; may be negative.
        pauses: (metre of the path, seconds) of each stop.
    """

    path: Points
    start_s: float
    pauses: tuple[tuple[float, float], ...]


def lay_walk(walk: WalkPlan, routes: Sequence[Points], walkable: Walkable, shown: Shown) -> Laid:
    """Lay a planned walk along one of a scene's routes.

    Args:
        walk: the plan.
        routes: at least one polyline of at least two different points.
        walkable: where one can walk; routes are taken as walkable.
        shown: how large the camera sees somebody.
    """
    route = np.asarray(routes[walk.route % len(routes)], np.float64)
    route = route[::-1] if walk.reverse else route
    random = np.random.default_rng(walk.seed)
    knots = _knots(walk, random)
    phase = float(random.uniform(0, 2 * np.pi))
    path = _along(route, knots, 0.0, phase)
    for narrower in _NARROWER:
        tried = _along(route, knots, narrower, phase)
        if bool(np.all(walkable(tried))):
            path = tried
            break
    along = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(path, axis=0), axis=1))])
    pauses = _pauses(walk, float(along[-1]), random)
    best = float(along[_best_seen(path, along, shown)])
    before = sum(seconds for metre, seconds in pauses if metre < best)
    return Laid(path, walk.at_s - best / walk.speed_m_s - before, pauses)


def _best_seen(path: Points, along: NDArray[np.float64], shown: Shown) -> int:
    """The point of the path that shows a person large; of several the one nearest to the middle."""
    height = shown(path)
    from_middle = np.abs(along - along[-1] / 2)
    from_middle[height < _AS_GOOD * height.max()] = np.inf
    return int(np.argmin(from_middle))


def _knots(walk: WalkPlan, random: np.random.Generator) -> list[tuple[float, float]]:
    """(share of the route, metres to the right of it) of each turning point."""
    right = walk.right_m
    if walk.pattern == "pacing":
        return [(0.0, right), *((share, side * _PACING_M) for share, side in _PACE * 2), (1.0, right)]
    if walk.pattern == "lapping":
        return [(0.0, right), *((share, side * right) for share, side in _LAP * 2), (1.0, right)]
    if walk.pattern == "random":
        steps = random.uniform(0.2, 0.4, 3), random.uniform(0.08, 0.25, 3)  # on, and back again
        shares = np.cumsum(np.stack([steps[0], -steps[1]], axis=1).ravel())
        aside = random.uniform(-1.2, 1.2, len(shares))
        wandering = [(float(min(share, 0.9)), float(side)) for share, side in zip(shares, aside, strict=True)]
        return [(0.0, right), *wandering, (1.0, right)]
    return [(0.0, right), (1.0, right)]


def _along(route: Points, knots: Sequence[tuple[float, float]], width: float, phase: float) -> Points:
    """The path through the knots, `width` (0..1) times as far from the route, swaying a little."""
    lengths = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(route, axis=0), axis=1))])
    total = float(lengths[-1])
    along: list[NDArray[np.float64]] = []
    aside: list[NDArray[np.float64]] = []
    for (share, right), (next_share, next_right) in pairwise(knots):
        far = abs(next_share - share) * total + abs(next_right - right) * width
        steps = max(int(far / _STEP_M), 1) + 1
        along.append(np.linspace(share, next_share, steps) * total)
        aside.append(np.linspace(right, next_right, steps))
    metres = np.clip(np.concatenate(along), 0, total)
    sway = _SWAY_M * np.sin(metres * (2 * np.pi / _SWAY_LENGTH_M) + phase)
    offset = (np.concatenate(aside) + sway) * width
    centre = np.stack([np.interp(metres, lengths, route[:, axis]) for axis in (0, 1)], axis=1)
    path = centre + offset[:, None] * _right_of(route, lengths, metres)
    moved = np.linalg.norm(np.diff(path, axis=0), axis=1) > 1e-6
    return np.asarray(path[np.concatenate([[True], moved])], np.float64)


def _right_of(route: Points, lengths: NDArray[np.float64], metres: NDArray[np.float64]) -> Points:
    """(K, 2) unit vectors to the right of the route, turning gradually at its corners."""
    reach = 0.75
    ahead, behind = (np.clip(metres + side * reach, 0, lengths[-1]) for side in (1, -1))
    direction = np.stack(
        [
            np.interp(ahead, lengths, route[:, axis]) - np.interp(behind, lengths, route[:, axis])
            for axis in (0, 1)
        ],
        axis=1,
    )
    length = np.maximum(np.hypot(direction[:, 0], direction[:, 1]), 1e-9)
    return np.stack([direction[:, 1] / length, -direction[:, 0] / length], axis=1)


def _pauses(walk: WalkPlan, length: float, random: np.random.Generator) -> tuple[tuple[float, float], ...]:
    """Where somebody stops, by metre, and for how long."""
    count = {"random": 2, "running": 2, "lapping": 1}.get(walk.pattern, 0)
    places = np.sort(random.uniform(0.2, 0.8, count)) * length
    return tuple((float(metre), float(random.uniform(1.0, 4.0))) for metre in places)
