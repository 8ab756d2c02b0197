"""Prepares a scene for the ray caster and casts it: who may be seen where, who may cast a shadow where."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from reid import images
from reid.people.camera import Camera
from reid.people.kernels import lighting, raycast, trace
from reid.people.kernels import solids as columns
from reid.people.light import Light, Shade
from reid.people.scene import Scene

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
I32 = NDArray[np.int32]

_CELL_M = 1.0
_ORIGIN = (-50.0, -16.0)
_CELLS = (100, 96)
_CONTACT_PER_M = 8
_SHADE_CELL_M = 0.4
_SHADE_SPAN = (-22.0, 0.0, 22.0, 42.0)
_LENS_STEPS = 1024


@dataclass(frozen=True)
class Index:
    """Solids by the cells of the ground they stand over; see `kernels.trace`.

    Attributes:
        solids: (N, columns) float32; starts: (cells + 1,) int32; members: int32; grid: (6 + cells,) float64.
        contact: (rows, columns) float32, 0..1, how open each spot of the ground is to the sky.
    """

    solids: F32
    starts: I32
    members: I32
    grid: F64
    contact: F32


def corners(solids: F32) -> F64:
    """(N, 8, 3) world corners of the boxes that hold each solid."""
    signs = np.array([[x, y] for x in (-1, 1) for y in (-1, 1)], np.float64)
    half = solids[:, [columns.HALF_X, columns.HALF_Y]].astype(np.float64)
    lies = solids[:, columns.KIND] == columns.WHEEL
    half[lies] = half[lies][:, ::-1]
    half[:, 0] += np.maximum(-solids[:, columns.SHRINK_X], 0)
    half[:, 1] += np.maximum(-solids[:, [columns.FRONT, columns.BACK]].min(axis=1), 0)
    own = signs[None] * half[:, None]
    cos, sin = solids[:, columns.COS, None], solids[:, columns.SIN, None]
    x = solids[:, columns.X, None] + cos * own[..., 0] - sin * own[..., 1]
    y = solids[:, columns.Y, None] + sin * own[..., 0] + cos * own[..., 1]
    low, high = solids[:, columns.BOTTOM, None] + 0 * x, solids[:, columns.TOP, None] + 0 * x
    return np.concatenate([np.stack([x, y, low], -1), np.stack([x, y, high], -1)], axis=1)


def index_solids(scene: Scene) -> Index:
    """Sort a scene's solids into cells and work out where the ground is close to things."""
    solids = scene.solids
    flat = corners(solids)[..., :2]
    low = np.floor((flat.min(axis=1) - 0.05 - _ORIGIN) / _CELL_M).astype(int)
    high = np.floor((flat.max(axis=1) + 0.05 - _ORIGIN) / _CELL_M).astype(int)
    low, high = np.maximum(low, 0), np.minimum(high, np.array(_CELLS) - 1)
    cells: list[list[int]] = [[] for _ in range(_CELLS[0] * _CELLS[1])]
    for number in range(len(solids)):
        for j in range(low[number, 1], high[number, 1] + 1):
            for i in range(low[number, 0], high[number, 0] + 1):
                cells[j * _CELLS[0] + i].append(number)
    starts = np.concatenate([[0], np.cumsum([len(cell) for cell in cells])]).astype(np.int32)
    members = np.array([number for cell in cells for number in cell], np.int32)
    top = float(solids[:, columns.TOP].max(initial=0.0)) + 0.1
    roofs = [max((float(solids[number, columns.TOP]) for number in cell), default=-1.0) for cell in cells]
    grid = np.array([*_ORIGIN, _CELL_M, *_CELLS, top, *roofs])
    return Index(solids, starts, members, grid, _contact(solids))


def _contact(solids: F32) -> F32:
    """(rows, columns) how open each spot of the ground is: dark in corners and under things."""
    wide, tall = (int(cells * _CELL_M * _CONTACT_PER_M) for cells in _CELLS)
    tight, broad = np.zeros((tall, wide), np.float32), np.zeros((tall, wide), np.float32)
    for solid in solids[solids[:, columns.BOTTOM] < 0.5]:
        half = (
            solid[[columns.HALF_X, columns.HALF_Y]]
            if solid[columns.KIND] != columns.WHEEL
            else solid[[columns.HALF_Y, columns.HALF_X]]
        )
        reach = np.abs(solid[columns.COS]) * half + np.abs(solid[columns.SIN]) * half[::-1]
        middle = solid[[columns.X, columns.Y]] - _ORIGIN
        first = np.clip(np.floor((middle - reach) * _CONTACT_PER_M), 0, [wide, tall]).astype(int)
        last = np.clip(np.ceil((middle + reach) * _CONTACT_PER_M), 0, [wide, tall]).astype(int)
        if (last <= first).any():
            continue
        y, x = np.mgrid[first[1] : last[1], first[0] : last[0]]
        dx, dy = (x + 0.5) / _CONTACT_PER_M - middle[0], (y + 0.5) / _CONTACT_PER_M - middle[1]
        along = np.abs(solid[columns.COS] * dx + solid[columns.SIN] * dy)
        across = np.abs(solid[columns.COS] * dy - solid[columns.SIN] * dx)
        covered = (along <= half[0]) & (across <= half[1])
        if solid[columns.KIND] in (columns.CYLINDER, columns.ELLIPSOID):
            covered &= (along / half[0]) ** 2 + (across / half[1]) ** 2 <= 1
        high = min(1.0, float(solid[columns.TOP]) / 1.2)
        window = slice(first[1], last[1]), slice(first[0], last[0])
        tight[window] = np.maximum(tight[window], covered)
        broad[window] = np.maximum(broad[window], covered * np.float32(high))
    near = images.blur_floats(tight, 0.14 * _CONTACT_PER_M)
    far = images.blur_floats(broad, 0.9 * _CONTACT_PER_M)
    return np.asarray(np.clip((1 - 0.75 * near) * (1 - 0.6 * far), 0.1, 1), np.float32)


def with_shade(light: Light, index: Index) -> Light:
    """The light with a map of where the sun reaches the ground, when there is a sun."""
    if light.main.hardness < 0.3:
        return light
    left, near, right, far = _SHADE_SPAN
    share = np.ones((round((far - near) / _SHADE_CELL_M), round((right - left) / _SHADE_CELL_M)), np.float32)
    trace.sun_share(
        index.solids,
        index.starts,
        index.members,
        index.grid,
        light.main.direction,
        np.array([left, near]),
        _SHADE_CELL_M,
        share,
    )
    return replace(light, shade=Shade(images.blur_floats(share, 0.6), (left, near), _SHADE_CELL_M))


def _spans(solids: F32, camera: Camera) -> tuple[I32, F32]:
    """(N, 4) columns and rows (from, to) of the pixels that may see each solid, (N,) its least depth."""
    places = corners(solids)
    seen = (places - camera.position) @ camera.rotation.T
    width, height = camera.width, camera.height
    spans = np.tile(np.array([0, 0, width, height], np.int32), (len(solids), 1))
    deep = seen[..., 2]
    spans[(deep < 0.05).all(axis=1)] = 0
    safe = (deep > 0.1).all(axis=1)
    if safe.any():
        flat = seen[safe][..., :2] / deep[safe][..., None]
        low, high = flat.min(axis=1), flat.max(axis=1)
        share = np.linspace(0, 1, 9)
        x, y = low[:, :1] + share * (high - low)[:, :1], low[:, 1:] + share * (high - low)[:, 1:]
        rim = np.concatenate(
            [np.stack([x, 0 * x + edge], -1) for edge in (low[:, 1:], high[:, 1:])]
            + [np.stack([0 * y + edge, y], -1) for edge in (low[:, :1], high[:, :1])],
            axis=1,
        )
        rays = np.concatenate([rim, np.ones((*rim.shape[:2], 1))], axis=2) @ camera.rotation + camera.position
        drawn = camera.project(rays.reshape(-1, 3))[:, :2].reshape(len(rim), -1, 2)
        first = np.clip(np.floor(drawn.min(axis=1)) - 2, 0, [width, height])
        last = np.clip(np.ceil(drawn.max(axis=1)) + 2, 0, [width, height])
        spans[safe] = np.concatenate([first, last], axis=1).astype(np.int32)
    return spans, np.asarray(np.where(safe, deep.min(axis=1) - 0.01, 0.0), np.float32)


def _lens_table(camera: Camera) -> tuple[F64, F32]:
    """What `kernels.raycast.slope` needs: lens numbers and undistorted over distorted radius."""
    corner = (math.hypot(camera.width, camera.height) / 2 + 4) / camera.focal
    squared = np.linspace(0, corner**2, _LENS_STEPS + 1)
    pixels = np.column_stack(
        [np.sqrt(squared) * camera.focal + camera.width / 2, np.full(_LENS_STEPS + 1, camera.height / 2)]
    )
    flat = camera.flat(pixels)[:, 0]
    table = np.divide(flat, np.sqrt(squared), out=np.ones_like(flat), where=squared > 0)
    lens = np.array([camera.focal, camera.width / 2, camera.height / 2, _LENS_STEPS / corner**2])
    return lens, table.astype(np.float32)


def _light_table(light: Light, rain: float) -> F32:
    """The light as rows of `kernels.lighting`."""
    night = {"night": 1.0, "infrared": 0.06, "dusk": 0.7}.get(light.kind, 0.0)
    main = light.main
    numbers = [light.haze + 0.001 * rain, night, min(1.0, 0.5 + 0.5 * rain) if rain > 0 else 0.0]
    return np.array(
        [main.direction, main.colour, main.sky, main.ground, light.zenith, light.horizon, numbers], np.float32
    )


def _lamp_table(light: Light) -> F32:
    """(L, columns) the lamps as `kernels.lighting` reads them."""
    rows = [
        [*lamp.position, *lamp.colour, *lamp.axis, lamp.focus, lamp.squared_reach] for lamp in light.lamps
    ]
    return np.array(rows, np.float32).reshape(-1, lighting.LAMP_COLUMNS)


@dataclass(frozen=True)
class Sight:
    """What each pixel sees.

    Attributes:
        camera: who looks.
        depth: (H, W) float32 metres along the forward axis, 1e9 for the sky.
        seen: (H, W) int32 number of the solid, or `kernels.trace.GROUND` or `SKY`.
        lens, table: see `kernels.raycast.slope`.
    """

    camera: Camera
    depth: F32
    seen: I32
    lens: F64
    table: F32


def look(camera: Camera, index: Index) -> Sight:
    """Find what each pixel sees."""
    lens, table = _lens_table(camera)
    depth = np.empty((camera.height, camera.width), np.float32)
    seen = np.empty(depth.shape, np.int32)
    eye, rotation = np.ascontiguousarray(camera.position), np.ascontiguousarray(camera.rotation)
    spans, nearest = _spans(index.solids, camera)
    order = np.argsort(nearest, kind="stable").astype(np.int32)
    raycast.see(index.solids, spans, nearest, order, eye, rotation, lens, table, depth, seen)
    return Sight(camera, depth, seen, lens, table)


def light_up(sight: Sight, zones: F32, light: Light, index: Index, rain: float) -> F32:
    """(H, W, 3) float32 linear RGB of what is seen; `zones` of the scene, `rain` 0..1."""
    seen = sight.seen
    shadows, picture = np.zeros_like(seen), np.empty((*seen.shape, 3), np.float32)
    space = (
        index.solids,
        index.starts,
        index.members,
        index.grid,
        _light_table(light, rain),
        _lamp_table(light),
    )
    eye, rotation = np.ascontiguousarray(sight.camera.position), np.ascontiguousarray(sight.camera.rotation)
    hard = light.kind != "indoor"  # the many lamps of a ceiling cast no shadows
    if hard:
        raycast.darken(*space, eye, rotation, sight.lens, sight.table, sight.depth, seen, shadows)
    raycast.paint(
        index.solids, zones, *space[1:], index.contact, eye, rotation, sight.lens, sight.table, sight.depth,
        seen, shadows, hard, picture,
    )  # fmt: skip
    return picture
