"""A place without people: solids, ground, lamps, and the routes along which people walk.

`layouts` makes scenes; `view` draws them. Knows neither cameras nor light.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from reid.people.kernels import solids as columns
from reid.people.light import Lamp

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]

PLACES = ("street", "alley", "park", "crossing", "plaza", "station", "shop", "lift")
INDOOR = frozenset({"station", "shop", "lift"})
BODY_M = 0.25  # half the width people keep clear of things
_STEP_OVER_M, _WALK_UNDER_M = 0.12, 1.95
_CLEAREST_M = 5.0


@dataclass(frozen=True)
class Scene:
    """A place.

    Attributes:
        place: a name of `PLACES`.
        solids: (N, columns) float32, see `kernels.solids`.
        zones: (Z, columns) float32, see `kernels.ground`; the first covers everything.
        lamps: those that the scene has; lit at dusk, at night and indoors.
        routes: each (K, 2) float64 ground points, metres, along which people walk in either direction.
        floor: x and y of the two corners of what people may walk on at all, metres.
    """

    place: str
    solids: F32
    zones: F32
    lamps: tuple[Lamp, ...]
    routes: tuple[F64, ...]
    floor: tuple[float, float, float, float]

    def walkable(self, points: NDArray[np.floating]) -> NDArray[np.bool_]:
        """(N,) whether somebody fits at each of (N, 2) ground points: on the floor, not in or at a thing."""
        points = np.asarray(points, np.float64)
        left, near, right, far = self.floor
        on_floor = (
            (points[:, 0] > left) & (points[:, 0] < right) & (points[:, 1] > near) & (points[:, 1] < far)
        )
        return on_floor & (clearance(self.solids, points) > BODY_M)

    def with_routes(self, routes: tuple[F64, ...]) -> Scene:
        """The same place with other routes."""
        return replace(self, routes=routes)


def obstacles(solids: F32) -> F32:
    """(M, columns) those solids that people cannot step over or walk under."""
    high = (solids[:, columns.TOP] > _STEP_OVER_M) & (solids[:, columns.BOTTOM] < _WALK_UNDER_M)
    return solids[high]


def clearance(solids: F32, points: NDArray[np.floating]) -> F64:
    """(N,) metres from (N, 2) ground points to the nearest obstacle; 0 within one, at most 5."""
    points = np.asarray(points, np.float64)
    nearest = np.full(len(points), _CLEAREST_M)
    for solid in obstacles(solids).astype(np.float64):
        away = points - solid[[columns.X, columns.Y]]
        cos, sin = solid[columns.COS], solid[columns.SIN]
        along = np.abs(cos * away[:, 0] + sin * away[:, 1])
        across = np.abs(cos * away[:, 1] - sin * away[:, 0])
        kind, half = int(solid[columns.KIND]), solid[[columns.HALF_X, columns.HALF_Y]]
        if kind == columns.CYLINDER:
            gap = np.hypot(along, across) - half[0]
        elif kind == columns.WHEEL:
            gap = np.hypot(np.maximum(along - half[1], 0), np.maximum(across - half[0], 0))
        else:
            gap = np.hypot(np.maximum(along - half[0], 0), np.maximum(across - half[1], 0))
        nearest = np.minimum(nearest, np.maximum(gap, 0))
    return nearest


def sample_route(route: NDArray[np.floating], step: float) -> F64:
    """(M, 2) points along a (K, 2) polyline, at most `step` metres apart, both ends among them."""
    route = np.asarray(route, np.float64)
    lengths = np.hypot(*np.diff(route, axis=0).T)
    travelled = np.concatenate([[0.0], np.cumsum(lengths)])
    stops = np.linspace(0, travelled[-1], max(2, int(np.ceil(travelled[-1] / step)) + 1))
    return np.column_stack([np.interp(stops, travelled, route[:, axis]) for axis in (0, 1)])
