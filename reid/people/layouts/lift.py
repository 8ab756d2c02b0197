"""The cabin of a lift, seen from a ceiling corner; the door stands open onto a landing."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from reid.people.kernels import ground
from reid.people.kernels.surfaces import CEILING, GLOW, PAINT, PLASTER, POSTER, STEEL, WALL_TILES, WOOD
from reid.people.layouts.rooms import wall
from reid.people.layouts.site import Frame, Rgb, Site, tinted
from reid.people.scene import Scene

_PANELS: tuple[Rgb, ...] = ((0.36, 0.36, 0.355), (0.4, 0.37, 0.3), (0.3, 0.26, 0.2), (0.22, 0.22, 0.225))


def lift(site: Site) -> Scene:
    """A cabin about 1.6 m by 1.6 m; the camera hangs in a corner at the back and looks at the door."""
    rng = site.rng
    wide, deep = float(rng.uniform(1.6, 2.0)), float(rng.uniform(1.6, 2.2))
    corner = float(rng.choice([-1, 1]))
    turn = -corner * math.atan2(wide / 2 - 0.12, deep) * float(rng.uniform(0.75, 1.05))
    # u across, v towards the door; the camera is at u = corner * (wide / 2 - 0.12), v = 0.1
    base = Frame(0.0, 0.0, turn)
    x, y = base.world(-corner * (wide / 2 - 0.12), -0.1)
    frame = Frame(x, y, turn)
    high = site.rig.height + 0.12
    opening = min(1.1, wide - 0.5)
    _shell(site, frame, wide, deep, high, opening)
    _landing(site, frame, deep)
    _routes(site, frame, wide, deep, corner)
    _fittings(site, frame, wide, deep, high, opening)
    return site.finish("lift", (-8.0, -3.0, 8.0, 12.0))


def _shell(site: Site, frame: Frame, wide: float, deep: float, high: float, opening: float) -> None:
    """Panels, floor, ceiling with its lamps."""
    rng = site.rng
    panel = tinted(rng, _PANELS[int(rng.integers(4))], 0.12)
    panels = STEEL if rng.random() < 0.7 else PAINT
    side = wide / 2
    floor = tinted(
        rng, ((0.12, 0.115, 0.11), (0.26, 0.24, 0.21), (0.17, 0.1, 0.07))[int(rng.integers(3))], 0.15
    )
    site.zone(
        frame, ground.HALL_TILES, (60, 60), tinted(rng, (0.34, 0.33, 0.31), 0.1), (0.3, 0.3, 0.3), 0.45, 0.3
    )
    site.zone(
        frame.at(0, deep / 2),
        ground.HALL_TILES,
        (wide, deep),
        floor,
        tinted(rng, floor, 0.3),
        float(rng.choice([0.2, 0.4])),
        0.2,
    )
    site.zone(frame.at(0, deep + 0.12), ground.GRATING, (wide, 0.22), (0.3, 0.3, 0.3))
    for sign in (-1, 1):
        wall(
            site,
            frame,
            (sign * (side + 0.12), -0.3),
            (sign * (side + 0.12), deep + 0.1),
            high,
            panels,
            panel,
            p0=0.5,
        )
        jamb = side - opening / 2
        wall(
            site,
            frame,
            (sign * (opening / 2), deep + 0.12),
            (sign * (opening / 2 + jamb + 0.3), deep + 0.12),
            high,
            STEEL,
            panel,
            p0=0.6,
        )
    wall(site, frame, (-side - 0.2, -0.32), (side + 0.2, -0.32), high, panels, panel, p0=0.5)
    wall(
        site,
        frame,
        (-opening / 2, deep + 0.12),
        (opening / 2, deep + 0.12),
        high,
        STEEL,
        panel,
        low=2.1,
        p0=3.0,
    )
    site.box(
        frame.at(0, deep / 2),
        (wide + 0.6, deep + 0.6, 0.2),
        CEILING,
        (0.5, 0.5, 0.5),
        p0=1000.0,
        p1=1000.0,
        low=high,
    )
    power = float(rng.uniform(1.6, 2.4))
    for v in (0.3, 0.75):
        site.box(
            frame.at(0, deep * v),
            (wide * 0.6, 0.2, 0.04),
            GLOW,
            (1.0, 0.98, 0.94),
            p0=2.5,
            p1=2.5,
            low=high - 0.05,
        )
        site.lamp(frame.at(0, deep * v), high - 0.06, (power, power * 0.98, power * 0.92), 0.8)


def _landing(site: Site, frame: Frame, deep: float) -> None:
    """The landing: a wall with doors opposite, walls at both ends behind which people come and go."""
    rng = site.rng
    far = deep + float(rng.uniform(2.2, 3.4))
    colour = tinted(rng, (0.48, 0.46, 0.42), 0.12)
    wall(
        site,
        frame,
        (-9, far),
        (9, far),
        2.6,
        WALL_TILES if rng.random() < 0.5 else PLASTER,
        colour,
        tinted(rng, (0.3, 0.28, 0.25), 0.2),
        0.45,
        0.9,
    )
    for sign in (-1, 1):
        wall(
            site,
            frame,
            (sign * 1.2, deep + 0.3),
            (sign * 9, deep + 0.3),
            2.6,
            PLASTER,
            colour,
            (0.3, 0.3, 0.3),
        )
    site.box(frame.at(0, deep + 2.2), (20, 4.2, 0.2), CEILING, (0.5, 0.5, 0.5), p0=6.0, p1=9.0, low=2.6)
    site.box(
        frame.at(float(rng.uniform(-0.6, 0.6)), far - 0.14),
        (0.95, 0.08, 2.1),
        PAINT,
        tinted(rng, (0.16, 0.12, 0.1), 0.4),
        p0=0.15,
    )
    site.lamp(frame.at(0, deep + 1.6), 2.5, (2.2, 2.1, 1.9), 1.0)
    site.lamp(frame.at(-4, deep + 1.6), 2.5, (2.2, 2.1, 1.9), 1.0)


def _routes(site: Site, frame: Frame, wide: float, deep: float, corner: float) -> None:
    """In from either end of the landing, to a place in the cabin, and out again to either end."""
    rng = site.rng
    reach = wide / 2 - 0.36
    for k in range(8):
        come, go = float(rng.choice([-1, 1])), float(rng.choice([-1, 1]))
        stand = (float(rng.uniform(-reach, reach)), float(rng.uniform(0.6, deep - 0.35)))
        lane = 0.12 if k % 2 else -0.12
        away = deep + 1.15
        site.routes.append(
            _straight(frame, [(come * 6, away), (lane, away), (lane, deep + 0.1), stand, (-lane,
            deep + 0.1), (-lane, away + 0.2), (go * 6, away + 0.2)])
        )  # fmt: skip


def _straight(frame: Frame, points: list[tuple[float, float]]) -> NDArray[np.float64]:
    """World points without softened corners: a door leaves no room for them."""
    return np.array([frame.world(u, v) for u, v in points])


def _fittings(site: Site, frame: Frame, wide: float, deep: float, high: float, opening: float) -> None:
    """Buttons, handrail, notices, a mirror strip, a mat."""
    rng = site.rng
    side = wide / 2
    panel = frame.at(side - 0.015, deep - 0.35, math.pi / 2)
    site.box(panel, (0.26, 0.03, 1.1), STEEL, (0.2, 0.2, 0.2), p0=1.0, low=0.75)
    for k in range(6):
        site.box(
            panel.at(-0.05 + 0.1 * (k % 2), 0.02),
            (0.05, 0.03, 0.05),
            GLOW,
            (0.9, 0.55, 0.2),
            p0=0.35,
            p1=0.35,
            low=0.95 + 0.12 * (k // 2),
        )
    if rng.random() < 0.7:
        for sign in (-1, 1):
            site.box(
                frame.at(sign * (side - 0.06), deep / 2),
                (0.04, deep - 0.5, 0.05),
                STEEL,
                (0.45, 0.45, 0.45),
                p0=3.0,
                low=0.86,
            )
    for _ in range(int(rng.integers(1, 4))):
        notice = frame.at(
            float(rng.choice([-1, 1])) * (side - 0.01), float(rng.uniform(0.5, deep - 0.6)), math.pi / 2
        )
        site.box(
            notice,
            (float(rng.uniform(0.3, 0.5)), 0.02, float(rng.uniform(0.35, 0.6))),
            POSTER,
            (0.6, 0.6, 0.58),
            p0=0.5,
            p1=0.0,
            low=1.25,
        )
    if rng.random() < 0.5:
        site.zone(
            frame.at(0, deep / 2),
            ground.SHEET,
            (wide * 0.75, deep * 0.7),
            tinted(rng, (0.09, 0.04, 0.035), 0.4),
            p1=0.01,
        )
    if rng.random() < 0.3:
        site.box(
            frame.at(side - 0.02, deep * 0.45, math.pi / 2),
            (deep * 0.6, 0.03, 0.9),
            WOOD,
            (0.26, 0.17, 0.1),
            low=0.0,
        )
