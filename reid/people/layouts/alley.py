"""An alley between house walls: gates, meters, outdoor units, poles, rubbish, a car against the wall."""

from __future__ import annotations

import math

import numpy as np

from reid.people.kernels import ground
from reid.people.kernels.surfaces import BELLOWS, BRICK, FACADE, PAINT, PLASTER, SHUTTER, STONE, WOOD
from reid.people.layouts import props
from reid.people.layouts.fronts import brick_colour, terrace, wall_colour
from reid.people.layouts.site import Frame, Site, grey, tinted
from reid.people.scene import Scene

_FLOOR = (-40.0, -10.0, 40.0, 70.0)
_GATES = ((0.03, 0.1, 0.07), (0.04, 0.06, 0.12), (0.2, 0.2, 0.2), (0.1, 0.05, 0.04), (0.02, 0.02, 0.022))


def alley(site: Site) -> Scene:
    """An alley that runs away from the camera, with a side alley."""
    rng = site.rng
    half = float(rng.uniform(2.1, 3.4))
    mirror = bool(rng.random() < 0.5)
    slant = float(rng.uniform(0.04, 0.32))
    turned = Frame(0.0, 0.0, math.pi / 2 + slant if mirror else math.pi / 2 - slant, mirror)
    x, y = turned.world(
        0.0, half - float(rng.uniform(0.45, 1.2))
    )  # the camera hangs at the wall on the -v side
    frame = Frame(x, y, turned.angle, mirror)
    end = site.rig.distance * float(rng.uniform(1.8, 2.4)) + 5
    side = float(rng.uniform(0.75, 1.4)) * site.rig.distance
    gap = float(rng.uniform(3.2, 4.4))
    _pave(site, frame, half)
    for share in (-0.35, 0.0, 0.35):
        turn = float(rng.choice([-1, 1]))
        v = half * share
        site.route(frame, [(-4, v), (end + 2.2, v), (end + 2.2 + 0.5 * share, turn * 14)])
    for share, out in ((-0.3, 1), (0.1, 1), (0.3, -1)):
        v = half * share
        u = side + 0.3 * out
        if out > 0:
            site.route(frame, [(-4, v), (u, v), (u, half + 9)])
        else:
            site.route(frame, [(u, half + 9), (u, v), (end + 2.0, v), (end + 2.0, -14)])
    _walls(site, frame, half, 1, [(-6, side - gap / 2), (side + gap / 2, end)])
    _walls(site, frame, half, -1, [(-6, end)])
    terrace(site, frame.at(end + 5.2, 0, -math.pi / 2), -24, 24, (2, 5), 0.15)
    far = frame.at(side, half + 11, 0.0)
    site.box(far, (12, 0.3, 5.0), BRICK, brick_colour(rng))
    _furnish(site, frame, half, end)
    return site.finish("alley", _FLOOR)


def _pave(site: Site, frame: Frame, half: float) -> None:
    """Asphalt or concrete with a gutter, patches and lids."""
    rng = site.rng
    along = frame.at(0, 0, math.pi / 2)
    kind = int(rng.integers(3))
    site.zone(
        along,
        ground.ASPHALT if kind else ground.SLABS,
        (200, 200),
        grey(rng, 0.1, 0.15) if kind else grey(rng, 0.22, 0.3),
        p0=3.0,
    )
    if kind == 2:
        first = tinted(rng, (0.27, 0.255, 0.24), 0.15, 0.03)
        site.zone(frame, ground.PAVING, (120, half * 2), first, tinted(rng, first, 0.2, 0.06), 0.2, 0.1)
    for v in (-half + 0.15, half - 0.15):
        site.zone(frame.at(0, v), ground.SHEET, (160, 0.3), grey(rng, 0.17, 0.25))
    if rng.random() < 0.5:
        site.zone(
            frame.at(float(rng.uniform(5, 12)), 0, math.pi / 2),
            ground.GRATING,
            (2 * half - 0.4, 0.4),
            (0.07, 0.07, 0.07),
        )
    for _ in range(int(rng.integers(3, 8))):
        place = frame.at(
            float(rng.uniform(2, 25)), float(rng.uniform(-half, half)), float(rng.uniform(0, 0.3))
        )
        if rng.random() < 0.4:
            site.zone(place, ground.MANHOLE, (0.65, 0.65), (0.1, 0.1, 0.095), corner=0.325)
        elif rng.random() < 0.5:
            site.zone(
                place, ground.ASPHALT, (rng.uniform(0.8, 2.5), rng.uniform(0.8, 5)), grey(rng, 0.055, 0.12)
            )
        else:
            site.zone(
                place,
                ground.PATCH,
                (rng.uniform(0.8, 2.5), rng.uniform(0.6, 1.6)),
                (0.05, 0.047, 0.043),
                p0=0.7,
                corner=0.3,
                fray=0.5,
            )
    if rng.random() < 0.35:
        site.zone(
            frame.at(float(rng.uniform(6, 14)), 0, math.pi / 2),
            ground.ROAD_PAINT,
            (2 * half - 1.0, 0.35),
            (0.55, 0.4, 0.07),
        )


def _walls(site: Site, frame: Frame, half: float, side: int, spans: list[tuple[float, float]]) -> None:
    """Plots along one side: a garden wall with a house behind it, or a house at the alley."""
    rng = site.rng
    edge = frame.at(0, side * half, 0.0)
    line = Frame(edge.x, edge.y, edge.angle, edge.mirror if side > 0 else not edge.mirror)
    for start, stop in spans:
        u = start
        while u < stop - 1:
            wide = min(float(rng.uniform(5.5, 10)), stop - u)
            if stop - u - wide < 2:
                wide = stop - u
            _plot(site, line.at(u + wide / 2, 0), wide)
            u += wide


def _plot(site: Site, where: Frame, wide: float) -> None:
    """One house with what hangs at its wall."""
    rng = site.rng
    brick = rng.random() < 0.55
    colour = brick_colour(rng) if brick else wall_colour(rng)
    upper_colour = wall_colour(rng) if brick and rng.random() < 0.6 else tinted(rng, colour, 0.1)
    material = BRICK if brick else PLASTER
    storey = float(rng.uniform(2.8, 3.1))
    upper = float(rng.integers(1, 4)) * storey
    if rng.random() < 0.5:  # a garden wall with the house set back
        high = float(rng.uniform(1.7, 2.4))
        site.box(
            where.at(0, 0.12),
            (wide, 0.22, high),
            material,
            colour,
            tinted(rng, (0.22, 0.22, 0.21)),
            p1=0.4 if not brick else 0.0,
        )
        site.box(where.at(0, 0.12), (wide, 0.3, 0.08), STONE, grey(rng, 0.25, 0.4), low=high)
        set_back = float(rng.uniform(1.5, 2.5))
        _house(site, where.at(0, set_back + 4), wide - 0.4, 0.0, upper + storey, storey, upper_colour)
        if rng.random() < 0.5 and math.hypot(where.x, where.y) > 9:
            props.tree(
                site,
                where.at(float(rng.uniform(-0.3, 0.3)) * wide, 0.9),
                float(rng.uniform(3.5, 5)),
                bare_to=2.2,
            )
    else:
        site.box(
            where.at(0, 4),
            (wide, 8, 3.0),
            material,
            colour,
            tinted(rng, (0.25, 0.24, 0.23)),
            p1=0.7 if not brick else 0.0,
        )
        _house(site, where.at(0, 4), wide + 0.04, 3.0, upper, storey, upper_colour)
    _gate(site, where.at(float(rng.uniform(-0.25, 0.25)) * wide, -0.02))
    for _ in range(int(rng.integers(1, 4))):
        place = where.at(float(rng.uniform(-0.45, 0.45)) * wide, -0.02)
        kind = int(rng.integers(4))
        if kind == 0:
            site.box(place, (0.3, 0.16, 0.4), PAINT, grey(rng, 0.3, 0.5), p0=0.1, low=1.35)
        elif kind == 1:
            site.post(place.at(0, -0.05), 0.045, 5.0, PAINT, grey(rng, 0.3, 0.5), p0=0.05)
        elif kind == 2:
            props.air_conditioner(site, place.at(0, -0.2), float(rng.uniform(2.3, 3.0)))
        else:
            site.box(place, (0.9, 0.06, 0.5), WOOD, tinted(rng, (0.4, 0.38, 0.34), 0.3), low=1.5)


def _house(
    site: Site,
    where: Frame,
    wide: float,
    low: float,
    high: float,
    storey: float,
    colour: tuple[float, float, float],
) -> None:
    rng = site.rng
    site.box(
        where, (wide, 7.9, high), FACADE, tinted(rng, colour, 0.1), grey(rng, 0.1, 0.5), p0=storey,
        p1=float(rng.uniform(2.4, 3.4)), low=low,
    )  # fmt: skip


def _gate(site: Site, where: Frame) -> None:
    """An iron gate, a door or a shutter, a little before the wall."""
    rng = site.rng
    kind = int(rng.integers(3))
    colour = tinted(rng, _GATES[int(rng.integers(len(_GATES)))], 0.2)
    if kind == 0:
        site.box(where, (float(rng.uniform(2.2, 2.8)), 0.08, 2.3), SHUTTER, grey(rng, 0.25, 0.5), low=0.02)
    else:
        wide = 0.95 if kind == 1 else 1.9
        site.box(where, (wide + 0.25, 0.1, 2.2), PAINT, grey(rng, 0.2, 0.4))
        site.box(where.at(0, -0.03), (wide, 0.1, 2.05), BELLOWS if kind == 2 else PAINT, colour, p0=0.15)


def _furnish(site: Site, frame: Frame, half: float, end: float) -> None:
    """Lamps on poles, a parked car, scooters, rubbish, flower pots, bollards."""
    rng = site.rng
    colour = (props.WARM_LAMP, props.WHITE_LAMP, props.ORANGE_LAMP)[int(rng.integers(3))]
    side = float(rng.choice([-1, 1]))
    for u in np.arange(float(rng.uniform(5, 7)), end, float(rng.uniform(9, 13))):
        where = frame.at(float(u), side * (half - 0.22))
        if side > 0:
            where = Frame(where.x, where.y, where.angle, not where.mirror)
        if site.free(where, 0.3, 0.3, 0.4) and math.hypot(where.x, where.y) > 5.0:
            props.utility_pole(site, where, 8.0)
            site.box(where.at(0, 0.5), (0.06, 0.9, 0.06), PAINT, props.GALVANISED, low=4.6)
            site.lamp(where.at(0, 0.95), 4.5, tuple(c * 0.8 for c in colour), 1.2)  # type: ignore[arg-type]
            site.box(where.at(0, 0.95), (0.25, 0.4, 0.1), PAINT, (0.5, 0.5, 0.48), low=4.55)
        side = -side if rng.random() < 0.4 else side
    where = frame.at(
        float(rng.uniform(0.9, 2.0)) * site.rig.distance,
        float(rng.choice([-1, 1])) * (half - 0.98),
        float(rng.choice([0, math.pi])),
    )
    if half > 2.6 and rng.random() < 0.7 and site.free(where, 4.8, 1.9, 0.1):
        site.routes[:] = [route for route in site.routes if _clear_of(site, where, route)]
        props.car(site, where)
    things = (props.scooter, props.bin_, props.planter, props.cone, rubbish, rubbish, flower_pots)
    for _ in range(12):
        v = float(rng.choice([-1, 1])) * (half - 0.38)
        place = frame.at(float(rng.uniform(2, end - 2)), v)
        if site.free(place, 1.7, 0.7, 0.42) and math.hypot(place.x, place.y) > 2.5:
            things[int(rng.integers(len(things)))](site, place)


def _clear_of(site: Site, where: Frame, route: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> bool:
    """Whether a route keeps clear of a car at `where`."""
    own = np.array([where.local(x, y) for x, y in route])
    dense = np.column_stack(
        [np.interp(np.linspace(0, len(own) - 1, 200), np.arange(len(own)), own[:, k]) for k in (0, 1)]
    )
    return not bool(((np.abs(dense[:, 0]) < 2.9) & (np.abs(dense[:, 1]) < 1.45)).any())


def rubbish(site: Site, where: Frame) -> None:
    """Sacks and boxes put out for collection."""
    rng = site.rng
    for _ in range(int(rng.integers(2, 5))):
        place = where.at(
            float(rng.uniform(-0.5, 0.5)), float(rng.uniform(-0.15, 0.2)), float(rng.uniform(0, 3))
        )
        if rng.random() < 0.6:
            colour = ((0.5, 0.5, 0.47), (0.55, 0.38, 0.28), (0.03, 0.03, 0.03))[int(rng.integers(3))]
            size = float(rng.uniform(0.35, 0.55))
            site.blob(place, -0.05, (size, size * 0.8, size * 0.9), PAINT, tinted(rng, colour, 0.15), p0=0.12)
        else:
            size = float(rng.uniform(0.25, 0.5))
            site.box(
                place, (size, size * 0.7, size * 0.8), PAINT, tinted(rng, (0.32, 0.22, 0.13), 0.15), p0=0.02
            )


def flower_pots(site: Site, where: Frame) -> None:
    """A row of plastic tubs with plants before a house."""
    rng = site.rng
    for k in range(int(rng.integers(2, 5))):
        place = where.at(-0.7 + 0.45 * k, 0)
        site.post(place, 0.16, 0.26, PAINT, tinted(rng, (0.16, 0.08, 0.05), 0.4))
        props.shrub(site, place, 0.4, float(rng.uniform(0.45, 0.8)))
