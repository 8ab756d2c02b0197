"""Which ways through a scene are worth filming: clear, in the picture, and begun and ended out of sight."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from reid.people.camera import Camera
from reid.people.scene import BODY_M, Scene, clearance, sample_route

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]

_STEP_M = 0.25
_LEAD_M = 1.5  # how far a walk goes on where nobody sees it
_HEIGHTS_M = (0.1, 0.85, 1.6)
_MOST = 10
_FEWEST, _ENOUGH = 3, 4


def seen_share(points: F64, camera: Camera, depth: F32) -> F64:
    """(N,) share of somebody who stands at each of (N, 2) ground points that the camera sees, in thirds."""
    seen = np.zeros(len(points))
    for height in _HEIGHTS_M:
        drawn = camera.project(np.column_stack([points, np.full(len(points), height)]))
        column, row = np.floor(drawn[:, 0]).astype(int), np.floor(drawn[:, 1]).astype(int)
        there = (
            (column >= 0) & (column < camera.width) & (row >= 0) & (row < camera.height) & (drawn[:, 2] > 0.3)
        )
        behind = depth[np.clip(row, 0, camera.height - 1), np.clip(column, 0, camera.width - 1)]
        seen += there & (drawn[:, 2] < behind + 0.25)
    return seen / len(_HEIGHTS_M)


def body_pixels(points: F64, camera: Camera) -> F64:
    """(N,) height in pixels of somebody 1.65 m tall at each of (N, 2) ground points; 0 behind the camera."""
    feet = camera.project(np.column_stack([points, np.zeros(len(points))]))
    heads = camera.project(np.column_stack([points, np.full(len(points), 1.65)]))
    pixels = np.hypot(*(feet[:, :2] - heads[:, :2]).T)
    return np.where((feet[:, 2] > 0.3) & (heads[:, 2] > 0.3), pixels, 0.0).astype(np.float64)


def trim(route: F64, camera: Camera, depth: F32, hidden_ends: bool = True) -> F64 | None:
    """The part of a route around what the camera sees of it; None when it is not worth walking.

    A route is dropped when it shows somebody for less than 2.5 metres or, with `hidden_ends`, begins or
    ends in plain sight.
    """
    points = sample_route(route, _STEP_M)
    seen = seen_share(points, camera, depth)
    visible = np.flatnonzero(seen > 0)
    if not len(visible) or (hidden_ends and (seen[0] > 0 or seen[-1] > 0)):
        return None
    lead = round(_LEAD_M / _STEP_M)
    first, last = max(0, visible[0] - lead), min(len(points) - 1, visible[-1] + lead)
    kept, pixels = seen[first : last + 1], body_pixels(points, camera)[first : last + 1]
    good = (kept > 0.6) & (pixels > 0.062 * camera.height) & (pixels < 0.9 * camera.height)
    if good.sum() * _STEP_M < 2.5 or good.mean() < 0.3:
        return None
    return points[first : last + 1]


def choose(scene: Scene, camera: Camera, depth: F32, most: int = _MOST) -> tuple[F64, ...]:
    """The scene's routes worth filming, trimmed, at most `most`, in the layout's order."""
    clear = [
        route
        for route in scene.routes
        if clearance(scene.solids, sample_route(route, _STEP_M)).min() > BODY_M
    ]
    trimmed = [(route, trim(route, camera, depth)) for route in clear]
    chosen = [kept for _, kept in trimmed if kept is not None]
    if len(chosen) < _FEWEST:  # rather somebody who steps out of nothing than a place where nobody walks
        open_ended = (
            trim(route, camera, depth, hidden_ends=False) for route, kept in trimmed if kept is None
        )
        chosen += [kept for kept in open_ended if kept is not None][: _ENOUGH - len(chosen)]
    return tuple(chosen[:most])
