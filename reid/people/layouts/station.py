"""A station hall below ground: pillars, ticket gates, guiding tiles, boards, machines, an escalator."""

from __future__ import annotations

import math

import numpy as np

from reid.people.kernels import ground
from reid.people.kernels.surfaces import BELLOWS, GLASS, PAINT, POSTER, SIGN, STEEL, STONE, WALL_TILES
from reid.people.layouts import props
from reid.people.layouts.rooms import ceiling, wall
from reid.people.layouts.site import Frame, Site, grey, tinted
from reid.people.scene import Scene

_LINES = (
    (0.02, 0.06, 0.28),
    (0.02, 0.22, 0.08),
    (0.45, 0.17, 0.02),
    (0.02, 0.2, 0.35),
    (0.25, 0.05, 0.3),
    (0.3, 0.18, 0.02),
)
_STONES = ((0.34, 0.33, 0.315), (0.28, 0.275, 0.27), (0.38, 0.355, 0.31), (0.3, 0.285, 0.26))


def station(site: Site) -> Scene:
    """A hall that is crossed in all directions, with gates on one side."""
    rng = site.rng
    turn = float(rng.uniform(-0.55, 0.55))
    ahead = site.rig.distance
    high = max(site.rig.height + 0.25, float(rng.uniform(3.0, 3.8)))
    frame = Frame(0.0, ahead, turn)
    half_u, back = float(rng.uniform(13, 19)), float(rng.uniform(7, 13))
    line = tinted(rng, _LINES[int(rng.integers(len(_LINES)))], 0.1)
    _floor(site, frame)
    spacing = float(rng.uniform(5.5, 8))
    guide = float(rng.uniform(-1.5, 1.5))
    site.zone(
        frame.at(0, guide, math.pi / 2), ground.TACTILE, (0.6, 120), tinted(rng, (0.45, 0.32, 0.05), 0.1)
    )
    branch = float(rng.uniform(-4, 4))
    site.zone(frame.at(branch, guide - 30), ground.TACTILE, (0.6, 60), tinted(rng, (0.45, 0.32, 0.05), 0.1))
    site.zone(frame.at(branch, guide), ground.TACTILE, (0.9, 0.9), (0.45, 0.32, 0.05), p0=1.0)
    for off in (-2.2, -0.9, 0.9, 2.0):
        site.route(
            frame,
            [
                (-half_u - 6, guide + off),
                (0, guide + off + float(rng.uniform(-0.5, 0.5))),
                (half_u + 6, guide + off),
            ],
        )
    for _ in range(5):
        near = float(rng.uniform(-5, 5))
        side = float(rng.choice([-1, 1]))
        v = guide + float(rng.uniform(-2.2, 2.2))
        site.route(
            frame,
            [
                (near, -ahead - 5),
                (near + side * float(rng.uniform(-1, 1)), v - 2.5),
                (near + side * 4, v),
                (side * (half_u + 6), v),
            ],
        )
    gates = rng.random() < 0.75
    if gates:
        _gates(site, frame, guide, back, line)
    _hall(site, frame, half_u, back, high, line)
    ceiling(
        site,
        frame,
        (2 * half_u + 24, 60),
        high,
        grey(rng, 0.5, 0.65),
        (int(rng.integers(3, 6)), int(rng.integers(4, 7))),
        float(rng.uniform(3, 4.5)),
    )
    _pillars(site, frame, guide, spacing, high)
    _furnish(site, frame, half_u, back, guide, line, high)
    return site.finish("station", (-40.0, -12.0, 40.0, 60.0))


def _floor(site: Site, frame: Frame) -> None:
    rng = site.rng
    stone = tinted(rng, _STONES[int(rng.integers(4))], 0.12, 0.02)
    site.zone(
        frame,
        ground.HALL_TILES,
        (300, 300),
        stone,
        tinted(rng, stone, 0.3),
        float(rng.choice([0.3, 0.45, 0.6, 0.9])),
        float(rng.uniform(0.15, 0.5)),
    )
    if rng.random() < 0.5:
        dark = tinted(rng, (0.13, 0.125, 0.12), 0.2)
        for v in (-5.0, 5.0):
            site.zone(frame.at(0, v), ground.HALL_TILES, (300, 0.6), dark, dark, 0.6, 0.3)


def _gates(site: Site, frame: Frame, guide: float, back: float, line: tuple[float, float, float]) -> None:
    """A row of ticket gates across the far side, and routes through them that turn off behind a wall."""
    rng = site.rng
    v = guide + 3.4
    middle = float(rng.uniform(-3, 3))
    count = int(rng.integers(4, 7))
    for k in range(count + 1):
        u = middle + (k - count / 2) * 0.98
        cabinet = frame.at(u, v, math.pi / 2)
        site.box(cabinet, (1.7, 0.26, 0.98), STEEL, grey(rng, 0.3, 0.42), p0=3.0)
        site.box(cabinet, (1.75, 0.28, 0.05), PAINT, (0.03, 0.03, 0.032), low=0.98, p0=0.3)
        site.box(cabinet.at(0.7, 0), (0.12, 0.3, 0.5), PAINT, line, low=0.3, p0=0.2)
        if k < count:
            lane = u + 0.49
            turn = float(rng.choice([-1, 1]))
            if k % 2 == 0:
                site.route(
                    frame,
                    [
                        (lane + turn * 5, -16),
                        (lane, v - 3),
                        (lane, v + 2),
                        (lane + turn, back - 1.2),
                        (turn * 26, back - 1.2),
                    ],
                )
    props.fence(site, frame.at(middle - count * 0.49 - 4.2, v), 7.6, 1.05, (0.3, 0.3, 0.3))
    props.fence(site, frame.at(middle + count * 0.49 + 4.2, v), 7.6, 1.05, (0.3, 0.3, 0.3))
    site.box(props.facing(frame.at(middle, v + 0.3)), (count * 0.98, 0.16, 0.5), SIGN, line, p0=0.1, low=2.35)


def _hall(
    site: Site, frame: Frame, half_u: float, back: float, high: float, line: tuple[float, float, float]
) -> None:
    """The far wall with posters, and openings left and right where people come and go."""
    rng = site.rng
    tile, band = tinted(rng, (0.5, 0.49, 0.46), 0.15), line if rng.random() < 0.6 else grey(rng, 0.2, 0.4)
    size, at = float(rng.choice([0.3, 0.6, 0.9])), float(rng.choice([0.0, 1.0, 2.1]))
    wall(site, frame, (-half_u - 12, back), (half_u + 12, back), high, WALL_TILES, tile, band, size, at)
    for side in (-1, 1):
        u = side * half_u
        wall(
            site,
            frame,
            (u, back - 2.4),
            (u, 2.4 + rng.uniform(0, 0.4)),
            high,
            WALL_TILES,
            tile,
            band,
            size,
            at,
        )
        wall(site, frame, (u, -3.4), (u, -22), high, WALL_TILES, tile, band, size, at)
        wall(
            site,
            frame,
            (side * (half_u + 9), back),
            (side * (half_u + 9), -22),
            high,
            WALL_TILES,
            tile,
            band,
            size,
            at,
        )
        board = frame.at(side * (half_u - 0.3), -0.4, side * math.pi / 2)
        site.box(
            props.facing(board),
            (2.6, 0.12, 0.5),
            SIGN,
            (0, 0, 0),
            p0=float(rng.choice([0.1, 0.4, 0.85])),
            low=high - 0.8,
        )
    for u in np.arange(-half_u + 2, half_u - 2, float(rng.uniform(2.6, 4.5))):
        if rng.random() < 0.7:
            site.box(
                props.facing(frame.at(float(u), back - 0.2)),
                (1.9, 0.1, 1.3),
                POSTER,
                (0.1, 0.1, 0.1),
                p0=1.9,
                p1=0.9,
                low=0.9,
            )
    if rng.random() < 0.6:
        shop = frame.at(float(rng.uniform(-0.6, 0.6)) * half_u, back - 0.5)
        site.box(shop, (6.0, 0.9, 2.5), GLASS, (0.06, 0.06, 0.065), p0=1.5)
        site.box(
            props.facing(shop.at(0, -0.05)),
            (6.0, 0.9, 0.45),
            SIGN,
            (0, 0, 0),
            p0=float(rng.random()),
            low=2.5,
        )


def _pillars(site: Site, frame: Frame, guide: float, spacing: float, high: float) -> None:
    rng = site.rng
    is_round, colour = rng.random() < 0.5, tinted(rng, (0.4, 0.39, 0.37), 0.2)
    for v in (guide - 4.6, guide + 1.7 + 3.2):
        for k in range(-3, 4):
            where = frame.at(k * spacing + 0.5 * spacing, v)
            if math.hypot(where.x, where.y) < 3.5 or not site.free(where, 0.9, 0.9, 0.45):
                continue
            if is_round:
                site.post(where, 0.4, high, STONE, colour)
                site.post(where, 0.42, 0.15, STONE, (0.06, 0.06, 0.06))
            else:
                site.box(where, (0.75, 0.75, high), WALL_TILES, colour, (0.2, 0.2, 0.2), 0.6, 0.0)
                site.box(where, (0.79, 0.79, 0.12), STONE, (0.06, 0.06, 0.06))
            if rng.random() < 0.4:
                site.box(
                    props.facing(where.at(0, -0.42)),
                    (0.6, 0.06, 0.9),
                    POSTER,
                    (0.15, 0.15, 0.15),
                    p0=0.6,
                    p1=0.5,
                    low=1.1,
                )


def _furnish(
    site: Site,
    frame: Frame,
    half_u: float,
    back: float,
    guide: float,
    line: tuple[float, float, float],
    high: float,
) -> None:
    """Ticket and drinks machines, benches, bins, hanging boards, a lift shaft."""
    rng = site.rng
    for _ in range(10):
        v = back - 0.65 if rng.random() < 0.6 else guide + float(rng.uniform(-7, -3))
        where = frame.at(float(rng.uniform(-0.9, 0.9)) * half_u, v)
        if math.hypot(where.x, where.y) < 4 or not site.free(where, 1.6, 0.8, 0.6):
            continue
        kind = int(rng.integers(4))
        if kind == 0:
            props.vending_machine(site, where)
        elif kind == 1:
            props.bench(site, where)
        elif kind == 2:
            props.bin_(site, where)
        else:
            site.box(where, (0.8, 0.6, 1.75), PAINT, line, p0=0.25)
            site.box(where.at(0, -0.28), (0.5, 0.1, 0.45), PAINT, (0.02, 0.03, 0.04), p0=0.6, low=1.05)
    for u in (-0.45, 0.35):
        where = frame.at(u * half_u + float(rng.uniform(-2, 2)), guide + float(rng.uniform(-1, 1)))
        site.box(
            props.facing(where),
            (float(rng.uniform(2.2, 3.6)), 0.18, 0.5),
            SIGN,
            (0, 0, 0),
            p0=float(rng.choice([0.1, 0.4, 0.55, 0.85])),
            low=high - 0.95,
        )
        for end in (-0.9, 0.9):
            site.box(where.at(end, 0), (0.05, 0.05, 0.5), PAINT, (0.2, 0.2, 0.2), low=high - 0.48)
    where = frame.at(float(rng.choice([-1, 1])) * half_u * 0.62, back - 2.2)
    if rng.random() < 0.6 and site.free(where, 2.4, 5.0):
        site.box(where, (1.9, 4.2, 1.0), BELLOWS, grey(rng, 0.2, 0.35), p0=0.1, shrink=(0, 0, 0))
        for side in (-1.0, 1.0):
            site.box(where.at(side, 0), (0.14, 4.6, 1.1), STEEL, grey(rng, 0.3, 0.4), p0=1.2)
