"""A plaza: a wide paved place before houses, crossed in all directions."""

from __future__ import annotations

import math

import numpy as np

from reid.people.kernels import ground
from reid.people.layouts import props
from reid.people.layouts.fronts import terrace
from reid.people.layouts.site import Frame, Site, grey, tinted
from reid.people.scene import Scene

_FLOOR = (-60.0, -8.0, 60.0, 90.0)


def plaza(site: Site) -> Scene:
    """Slabs, planters, benches and trees, houses on two sides."""
    rng = site.rng
    near = site.rig.distance
    frame = Frame(0.0, 0.0, float(rng.normal(0, 0.25)))
    depth = near * float(rng.uniform(1.7, 2.4)) + 6
    side = float(rng.choice([-1, 1]))
    edge = near * float(rng.uniform(0.75, 1.1)) + 3  # how far the side houses stand
    _pave(site, frame)
    _routes(site, frame, near, depth)
    terrace(site, frame.at(0, depth), -50, 50, (2, int(rng.integers(3, 9))), 0.8)
    if rng.random() < 0.7:
        flank = frame.at(side * edge, depth - 2, -side * math.pi / 2)
        terrace(site, Frame(flank.x, flank.y, flank.angle, side < 0), 0.5, depth - near * 0.4, (2, 6), 0.7)
    _furnish(site, frame, near, depth)
    return site.finish("plaza", _FLOOR)


def _pave(site: Site, frame: Frame) -> None:
    rng = site.rng
    size = float(rng.choice([0.2, 0.3, 0.4, 0.6]))
    if rng.random() < 0.5:
        site.zone(frame, ground.SLABS, (400, 400), grey(rng, 0.24, 0.36), p0=2 * size)
    else:
        first, second = tinted(rng, (0.3, 0.29, 0.28), 0.12, 0.02), tinted(rng, (0.27, 0.24, 0.22), 0.1, 0.02)
        site.zone(frame, ground.PAVING, (400, 400), first, second, size, size / 2)
    for _ in range(int(rng.integers(1, 4))):  # bands of darker stone
        where = frame.at(
            float(rng.uniform(-8, 8)), float(rng.uniform(3, 25)), float(rng.choice([0.0, math.pi / 2]))
        )
        site.zone(where, ground.SLABS, (120, 0.6), grey(rng, 0.13, 0.2), p0=0.6)
    if rng.random() < 0.5:
        site.zone(
            frame.at(0, float(rng.uniform(8, 20))),
            ground.TACTILE,
            (120, 0.3),
            tinted(rng, (0.42, 0.31, 0.05), 0.15),
        )


def _routes(site: Site, frame: Frame, near: float, depth: float) -> None:
    """From edge to edge of the picture, from below it into the distance, and slanting."""
    rng = site.rng
    for share in (0.75, 1.0, 1.3):
        v, tilt = near * share + float(rng.uniform(-1, 1)), float(rng.uniform(-3, 3))
        site.route(frame, [(-32, v - tilt), (32, v + tilt)])
    for _ in range(4):
        start, end = float(rng.uniform(-4, 4)), float(rng.choice([-1, 1])) * float(rng.uniform(20, 32))
        site.route(
            frame, [(start, -9), (start * 0.5, near * 0.8), (end * 0.3, near * 1.2), (end, near * 1.5)]
        )
    for sign in (-1, 1):
        site.route(
            frame, [(sign * 30, near * 0.8), (sign * 3, near), (-sign * 30, min(near * 1.6, depth - 2))]
        )


def _furnish(site: Site, frame: Frame, near: float, depth: float) -> None:
    rng = site.rng
    colour = (props.WARM_LAMP, props.WHITE_LAMP)[int(rng.integers(2))]
    high = float(rng.uniform(4.5, 7))
    for _ in range(int(rng.integers(10, 22))):
        where = frame.at(
            float(rng.uniform(-18, 18)),
            float(rng.uniform(near * 0.6, depth - 1.5)),
            float(rng.normal(0, 0.1)),
        )
        if not site.free(where, 2.0, 1.2, 0.7) or (abs(where.x) < 2 and where.y < near):
            continue
        thing = int(rng.integers(7))
        if thing <= 1:
            site.zone(where, ground.SOIL, (1.4, 1.4), (0.13, 0.1, 0.07))
            props.tree(site, where, high * float(rng.uniform(0.85, 1.2)))
        elif thing == 2:
            props.street_lamp(site, where, 5.0, colour, 0.5)
        else:
            (props.bench, props.planter, props.bin_, props.notice_board)[thing - 3](site, where)
    for u in np.arange(-20, 21, float(rng.uniform(7, 10))):
        for v in (near * 0.8, near * 1.6):
            where = frame.at(float(u) + float(rng.uniform(-1, 1)), v + float(rng.uniform(-1, 1)))
            if site.free(where, 0.4, 0.4, 0.7) and math.hypot(where.x, where.y) > 5:
                props.street_lamp(site, where, high, colour, 0.5)
    for u in np.arange(-20, 20, float(rng.uniform(1.6, 3))):
        where = frame.at(float(u), near * 0.55)
        if rng.random() < 0.35 and site.free(where, 0.3, 0.3):
            props.bollard(site, where, 0)
