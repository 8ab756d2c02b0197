"""A shop: shelves with goods, a counter, a door; people walk round the shelves."""

from __future__ import annotations

import itertools
import math

import numpy as np

from reid.people.kernels import ground
from reid.people.kernels.surfaces import GLASS, PAINT, PLASTER, POSTER, SHELF, SIGN, STEEL, VENDING, WOOD
from reid.people.layouts import props
from reid.people.layouts.rooms import ceiling, wall
from reid.people.layouts.site import Frame, Site, grey, tinted
from reid.people.scene import Scene

_AISLE_M = 1.65


def shop(site: Site) -> Scene:
    """Seen from above the counter: aisles, cabinets along the walls, the door on one side."""
    rng = site.rng
    turn = float(rng.uniform(-0.5, 0.5))
    frame = Frame(0.0, 0.0, turn) if rng.random() < 0.5 else Frame(0.0, 0.0, math.pi + turn, True)
    left, right = -float(rng.uniform(2.5, 4.5)), float(rng.uniform(3.0, 5.0))
    deep = float(rng.uniform(9, 13))
    high = max(site.rig.height + 0.12, float(rng.uniform(2.7, 3.2)))
    _floor(site, frame)
    front = float(rng.uniform(3.0, 3.8))  # where the first shelves begin
    aisles = _routes(site, frame, left, right, deep, front)
    _shelves(site, frame, left, right, deep, front, aisles)
    _walls(site, frame, left, right, deep, high, front)
    middle = frame.at((left + right) / 2, deep / 2 - 1)
    ceiling(
        site,
        middle,
        (right - left + 8, deep + 8),
        high,
        grey(rng, 0.55, 0.68),
        (int(rng.integers(3, 5)), int(rng.integers(3, 5))),
        float(rng.uniform(2.6, 3.6)),
    )
    _counter(site, frame, left, right, front)
    return site.finish("shop", (-14.0, -5.0, 14.0, 20.0))


def _floor(site: Site, frame: Frame) -> None:
    rng = site.rng
    if rng.random() < 0.7:
        tile = tinted(
            rng, ((0.45, 0.44, 0.42), (0.36, 0.35, 0.33), (0.42, 0.37, 0.3))[int(rng.integers(3))], 0.1
        )
        site.zone(
            frame,
            ground.HALL_TILES,
            (100, 100),
            tile,
            tinted(rng, tile, 0.2),
            float(rng.choice([0.3, 0.45, 0.6])),
            float(rng.uniform(0.2, 0.5)),
        )
    else:
        site.zone(frame, ground.SLABS, (100, 100), tinted(rng, (0.3, 0.22, 0.14), 0.15), p0=0.9)


def _routes(site: Site, frame: Frame, left: float, right: float, deep: float, front: float) -> list[float]:
    """Ways from the door on the right, round the shelves and back; returns the middles of the aisles."""
    count = max(2, int((right - left - 0.6) // (_AISLE_M + 1.0)) + 1)
    aisles = list(np.linspace(left + 0.62 + _AISLE_M / 2, right - 0.62 - _AISLE_M / 2, count))
    door, back = right + 4.0, deep - 1.55
    entry = front - 0.95
    for number, u in enumerate(aisles):
        other = aisles[(number + 1) % count]
        off = 0.18 if number % 2 else -0.18
        site.route(
            frame,
            [
                (door, entry - 0.25),
                (u + off, entry - 0.2),
                (u + off, back),
                (other - off, back),
                (other - off, entry + 0.15),
                (door, entry + 0.2),
            ],
        )
        site.route(
            frame,
            [
                (door, entry + 0.1),
                (u - off, entry + 0.1),
                (u - off, back + 0.1),
                (u + 2 * off, back - 0.2),
                (u + off, entry - 0.2),
                (door, entry - 0.15),
            ],
        )
    return [float(u) for u in aisles]


def _shelves(
    site: Site, frame: Frame, left: float, right: float, deep: float, front: float, aisles: list[float]
) -> None:
    """Islands between the aisles, cabinets along the side walls and the back."""
    rng = site.rng
    high = float(rng.uniform(1.3, 1.65))
    board, body = float(rng.uniform(0.3, 0.4)), grey(rng, 0.4, 0.6)
    length = deep - 2.4 - front
    for a, b in itertools.pairwise(aisles):
        wide = b - a - _AISLE_M
        if wide > 0.3:
            where = frame.at((a + b) / 2, front + 0.2 + length / 2)
            for k in range(max(1, int(length / 1.6))):
                part = length / max(1, int(length / 1.6))
                site.box(
                    where.at(0, -length / 2 + part * (k + 0.5)),
                    (wide, part - 0.02, high),
                    SHELF,
                    body,
                    p0=board,
                )
    for u in (left + 0.25, right - 0.25):
        for k in range(int(length / 1.5) + 1):
            v = front + 0.6 + 1.5 * k
            if v + 0.7 < deep - 0.4:
                tall = float(rng.choice([1.6, 2.0, 2.0]))
                site.box(
                    frame.at(u, v),
                    (0.5, 1.46, tall),
                    SHELF,
                    grey(rng, 0.35, 0.6),
                    p0=float(rng.uniform(0.3, 0.42)),
                )
    for k in range(int((right - left - 0.6) / 1.1)):
        where = frame.at(left + 0.85 + 1.1 * k, deep - 0.4)
        if rng.random() < 0.65:
            site.box(props.facing(where), (1.06, 0.7, 2.0), VENDING, grey(rng, 0.3, 0.6))
        else:
            site.box(where, (1.06, 0.6, 1.9), SHELF, grey(rng, 0.3, 0.6), p0=0.36)


def _walls(
    site: Site, frame: Frame, left: float, right: float, deep: float, high: float, front: float
) -> None:
    """Walls; the way in is an opening in the right wall, by the counter, onto a corridor."""
    rng = site.rng
    colour = tinted(rng, (0.5, 0.48, 0.44), 0.12)
    accent = tinted(
        rng,
        ((0.08, 0.2, 0.12), (0.1, 0.16, 0.3), (0.35, 0.1, 0.05), (0.3, 0.26, 0.2))[int(rng.integers(4))],
        0.2,
    )
    wall(site, frame, (left - 0.1, -6), (left - 0.1, deep + 0.1), high, PLASTER, colour, accent, 0.0, 0.0)
    wall(site, frame, (left - 0.1, deep), (right + 0.1, deep), high, PLASTER, colour, accent)
    wall(site, frame, (right + 0.1, front - 0.2), (right + 0.1, deep), high, PLASTER, colour, accent)
    wall(site, frame, (right + 0.1, front - 1.9), (right + 0.1, -6), high, PLASTER, colour, accent)
    wall(site, frame, (right + 0.1, front - 1.9), (right + 0.1, front - 0.2), high, PLASTER, colour, low=2.15)
    wall(site, frame, (right + 7, -6), (right + 7, deep), high, PLASTER, grey(rng, 0.3, 0.5))
    wall(
        site,
        frame,
        (right + 0.1, front + 1.2),
        (right + 7, front + 1.2),
        high,
        GLASS,
        (0.06, 0.06, 0.065),
        p0=1.2,
    )
    site.box(
        props.facing(frame.at((left + right) / 2, deep - 0.2)),
        (min(4.0, right - left - 1), 0.1, 0.45),
        SIGN,
        (0, 0, 0),
        p0=float(rng.random()),
        low=2.15,
    )
    for u in (0.3, 0.7):
        hung = frame.at(left + u * (right - left), front + float(rng.uniform(0.5, 3)))
        site.box(props.facing(hung), (1.2, 0.04, 0.35), SIGN, (0, 0, 0), p0=float(rng.random()), low=2.1)
    site.zone(
        frame.at(right - 0.3, front - 1.05),
        ground.SHEET,
        (1.0, 1.5),
        tinted(rng, (0.06, 0.06, 0.065), 0.3),
        p1=0.02,
    )


def _counter(site: Site, frame: Frame, left: float, right: float, front: float) -> None:
    """The till below the camera, baskets, a promotion table."""
    rng = site.rng
    u = left + 1.1
    where = frame.at(u, front - 2.6, math.pi / 2)
    if site.free(where, 1.6, 0.7, 0.5):
        site.box(where, (1.6, 0.65, 0.95), WOOD, tinted(rng, (0.28, 0.2, 0.13), 0.3))
        site.box(where.at(0.2, 0), (0.35, 0.3, 0.35), PAINT, (0.03, 0.03, 0.035), p0=0.3, low=0.95)
    for _ in range(6):
        place = frame.at(float(rng.uniform(left + 0.4, right - 0.4)), front - float(rng.uniform(0.1, 2.2)))
        if site.free(place, 0.7, 0.5, 0.5) and math.hypot(place.x, place.y) > 1.2:
            kind = int(rng.integers(3))
            if kind == 0:
                site.box(place, (0.6, 0.45, 0.85), SHELF, (0.4, 0.4, 0.4), p0=0.28)
            elif kind == 1:
                site.box(props.facing(place), (0.5, 0.05, 1.3), POSTER, (0.2, 0.2, 0.2), p0=0.5, p1=0.1)
            else:
                site.box(place, (0.45, 0.32, 0.4), STEEL, tinted(rng, (0.3, 0.06, 0.05), 0.4), p0=1.0)
