"""A park: winding paths over grass, trees, benches, lamps, houses behind."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np

from reid.people.kernels import ground
from reid.people.kernels.surfaces import FACADE
from reid.people.layouts import props
from reid.people.layouts.fronts import terrace
from reid.people.layouts.site import F64, Frame, Site, grey, tinted
from reid.people.scene import Scene

_FLOOR = (-60.0, -8.0, 60.0, 90.0)
_GROUND = Frame()
_LAWNS = ((0.065, 0.095, 0.03), (0.085, 0.11, 0.04), (0.1, 0.1, 0.05))


def park(site: Site) -> Scene:
    """Two or three paths that cross before the camera."""
    rng = site.rng
    near = site.rig.distance
    wide = float(rng.uniform(2.4, 4.0))
    side = float(rng.choice([-1, 1]))
    across = _bend(
        rng, (-34.0, near * 1.05 + side * rng.uniform(1, 6)), (34.0, near * 1.05 - side * rng.uniform(1, 6))
    )
    along = _bend(rng, (side * rng.uniform(0.5, 3), -9.0), (-side * rng.uniform(2, 10), near * 2.6 + 16))
    paths = [across, along]
    if rng.random() < 0.6:
        paths.append(_bend(rng, (-36.0, near * 1.9), (36.0, near * 1.7)))
    _pave(site, paths, wide)
    far = near * 2.6 + 14
    _routes(site, paths, wide)
    _plant(site, paths, wide, near, far)
    _furnish(site, paths, wide)
    if rng.random() < 0.5:
        terrace(site, Frame(0.0, far + float(rng.uniform(8, 16)), 0.0), -60, 60, (3, 8), 0.3)
    else:
        towers(site, far + 8)
    if rng.random() < 0.5:
        props.fence(site, Frame(0, far + 5.5), 100.0, 1.2)
    return site.finish("park", _FLOOR)


def _bend(rng: np.random.Generator, start: tuple[float, float], end: tuple[float, float]) -> F64:
    """(9, 2) a softly winding line between two places."""
    share = np.linspace(0, 1, 9)
    line = np.outer(1 - share, start) + np.outer(share, end)
    way = np.array(end) - start
    normal = np.array([-way[1], way[0]]) / np.hypot(*way)
    sway = float(rng.uniform(0.5, 2.2)) * np.sin(
        share * math.pi * float(rng.uniform(1, 2.5)) + float(rng.uniform(0, 6))
    )
    return np.asarray(line + normal * sway[:, None])


def _pave(site: Site, paths: list[F64], wide: float) -> None:
    rng = site.rng
    lawn = _LAWNS[int(rng.integers(len(_LAWNS)))]
    bare = float(rng.uniform(0.85, 1.25))  # how seldom the earth shows
    site.zone(
        _GROUND,
        ground.GRASS,
        (400, 400),
        tinted(rng, lawn, 0.15, 0.04),
        tinted(rng, (0.17, 0.14, 0.07), 0.15),
        p0=bare,
    )
    for _ in range(int(rng.integers(1, 4))):
        place = Frame(float(rng.uniform(-12, 12)), float(rng.uniform(4, 30)), float(rng.uniform(0, 3)))
        size = float(rng.uniform(2, 6)), float(rng.uniform(2, 4))
        site.zone(place, ground.SOIL, size, tinted(rng, (0.17, 0.14, 0.1), 0.15), corner=1.0, fray=0.8)
    kind = (ground.PAVING, ground.SLABS, ground.ASPHALT)[int(rng.integers(3))]
    first, second = tinted(rng, (0.3, 0.28, 0.25), 0.15, 0.02), tinted(rng, (0.27, 0.24, 0.21), 0.12, 0.02)
    for kerb in (0.3, 0.0):  # a kerb under each path first
        for path in paths:
            for a, b in pairwise(path):
                angle, length = math.atan2(b[1] - a[1], b[0] - a[0]), float(np.hypot(*(b - a)))
                where = Frame(float(a[0] + b[0]) / 2, float(a[1] + b[1]) / 2, angle)
                size = (length + wide * 0.55, wide + kerb)
                if kerb:
                    site.zone(where, ground.SHEET, size, grey(rng, 0.3, 0.31), corner=wide * 0.27)
                else:
                    site.zone(where, kind, size, first, second, 0.3, 0.2, corner=wide * 0.25)


def _routes(site: Site, paths: list[F64], wide: float) -> None:
    for share in (-0.25, 0.25, 0.0):
        for path in paths:
            site.route(_GROUND, [(x, y) for x, y in _beside(path, share * wide).tolist()])
    across, along = paths[0], paths[1]
    for half in (across[:5], across[:3:-1]):  # turn from one path into the other
        site.route(_GROUND, [(x, y) for x, y in [*half.tolist()[:4], *along.tolist()[5:]]])
        site.route(_GROUND, [(x, y) for x, y in [*half.tolist()[:4], *along.tolist()[3::-1]]])


def _beside(path: F64, off: float) -> F64:
    way = np.gradient(path, axis=0)
    return np.asarray(path + off * np.column_stack([-way[:, 1], way[:, 0]]) / np.hypot(*way.T)[:, None])


def _plant(site: Site, paths: list[F64], wide: float, near: float, far: float) -> None:
    """Trees and shrubs off the paths, few before the camera, a row behind."""
    rng = site.rng
    points = np.concatenate(paths)
    high = float(rng.uniform(5, 9))
    for _ in range(int(rng.integers(26, 60))):
        x, y = float(rng.uniform(-26, 26)), float(rng.uniform(near * 0.75, far))
        where = Frame(x, y, float(rng.uniform(0, 6)))
        off = np.hypot(*(points - (x, y)).T).min() > wide / 2 + 0.9
        if off and site.free(where, 0.6, 0.6, wide / 2 + 0.3) and not (abs(x) < 2.5 and y < near):
            if rng.random() < 0.45:
                props.tree(site, where, high * float(rng.uniform(0.8, 1.25)))
            else:
                props.shrub(site, where, float(rng.uniform(0.8, 1.8)), float(rng.uniform(0.5, 1.1)))
    for x in np.arange(-45, 46, float(rng.uniform(4, 7))):
        where = Frame(float(x) + float(rng.uniform(-1, 1)), far + float(rng.uniform(1, 5)))
        if site.free(where, 0.6, 0.6, 1.0):
            props.tree(site, where, high * float(rng.uniform(0.9, 1.4)))
    for _ in range(int(rng.integers(0, 5))):
        hedge = Frame(
            float(rng.uniform(-10, 10)), float(rng.uniform(near * 1.3, far)), float(rng.uniform(-0.2, 0.2))
        )
        if site.free(hedge, 5.0, 0.8, 0.8):
            props.hedge(site, hedge, 5.0)


def _furnish(site: Site, paths: list[F64], wide: float) -> None:
    rng = site.rng
    colour = (props.WARM_LAMP, props.WHITE_LAMP)[int(rng.integers(2))]
    things = (props.bench, props.bench, props.bin_, props.notice_board)
    for path in paths:
        beside = _beside(path, wide / 2 + 0.75)
        for k in range(1, len(beside) - 1):
            x, y = beside[k].tolist()
            way = path[k + 1] - path[k]
            where = Frame(x, y, math.atan2(way[1], way[0]))
            if not site.free(where, 1.7, 0.7, 0.5) or math.hypot(x, y) < 0.75 * site.rig.distance:
                continue
            if k % 4 == 2 or rng.random() < 0.15:
                props.street_lamp(site, where, 4.2, colour, 0.4)
            elif rng.random() < 0.8:
                things[int(rng.integers(len(things)))](site, where)


def towers(site: Site, far: float) -> None:
    """Slabs of apartments, white or beige, behind a row of trees."""
    rng = site.rng
    x = -60.0
    colour = tinted(rng, (0.5, 0.48, 0.44), 0.1)
    while x < 60:
        wide = float(rng.uniform(16, 26))
        where = Frame(x + wide / 2, far + float(rng.uniform(6, 16)), float(rng.uniform(-0.2, 0.2)))
        high, bay = float(rng.uniform(36, 50)), float(rng.uniform(3.0, 4.2))
        balconies = float(4 * rng.integers(1, 90) + 3)
        site.box(where, (wide, 10, high), FACADE, colour, grey(rng, 0.1, 0.4), p0=2.8, p1=bay, seed=balconies)
        x += wide + float(rng.uniform(4, 10))
