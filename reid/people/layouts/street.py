"""A street with two pavements, and a crossing with zebra stripes."""

from __future__ import annotations

import math

import numpy as np

from reid.people.kernels import ground
from reid.people.layouts import props
from reid.people.layouts.fronts import terrace
from reid.people.layouts.site import Frame, Rgb, Site, grey, tinted
from reid.people.scene import Scene

_FLOOR = (-60.0, -8.0, 60.0, 90.0)
_PAVING: tuple[tuple[Rgb, Rgb], ...] = (
    ((0.30, 0.295, 0.285), (0.25, 0.245, 0.24)), ((0.27, 0.265, 0.26), (0.25, 0.2, 0.18)),
    ((0.33, 0.30, 0.25), (0.29, 0.26, 0.22)), ((0.25, 0.25, 0.25), (0.3, 0.29, 0.28)), ((0.26, 0.2, 0.175),
    (0.28, 0.25, 0.23)),
)  # fmt: skip
WHITE, YELLOW = (0.62, 0.62, 0.6), (0.55, 0.38, 0.06)


class Section:
    """The cross section of a street: v of the kerbs and of the house fronts, metres."""

    def __init__(self, rng: np.random.Generator, lanes: int) -> None:
        self.road = 3.2 * lanes + float(rng.uniform(0.3, 1.2))
        self.near_walk, self.far_walk = (float(rng.uniform(2.6, 4.6)) for _ in range(2))
        self.near, self.far = 0.0, self.road  # kerbs
        self.near_front, self.far_front = -self.near_walk, self.road + self.far_walk


def street(site: Site) -> Scene:
    """A street that runs along, across or slanting to the view."""
    rng = site.rng
    section = Section(rng, int(rng.choice([2, 3], p=[0.75, 0.25])))
    frame = _street_frame(
        site,
        section,
        float(rng.choice([rng.uniform(0.1, 0.4), rng.uniform(0.5, 1.0), rng.uniform(1.1, 1.5)])),
    )
    end = site.rig.distance * float(rng.uniform(1.9, 2.6)) + 6
    _pave(site, frame, section)
    _walks(site, frame, section, end)
    if rng.random() < 0.5:
        zebra(
            site, frame.at(float(rng.uniform(0.6, 1.3)) * site.rig.distance, section.road / 2), section.road
        )
    _fronts(site, frame, section, end)
    _furnish(site, frame, section)
    return site.finish("street", _FLOOR)


def crossing(site: Site) -> Scene:
    """A zebra crossing near the camera, with people who cross on it and along both pavements."""
    rng = site.rng
    section = Section(rng, int(rng.choice([2, 3, 4])))
    frame = _street_frame(site, section, float(rng.uniform(0.15, 1.2)))
    middle = _seen_at(site, frame, section.road / 2)
    end = site.rig.distance * float(rng.uniform(1.9, 2.5)) + 6
    _pave(site, frame, section)
    for offset in (-1.2, 0.0, 1.3):
        u = middle + offset
        turn = float(rng.choice([-1, 1]))
        reach = float(rng.uniform(14, 26))
        near, far = -section.near_walk * 0.45, section.road + section.far_walk * 0.5
        site.route(
            frame, [(u - turn * reach, near), (u, near), (u, far), (u + turn * reach, far + 0.3 * offset)]
        )
        site.route(frame, [(u + turn * reach, near), (u, near - 0.2), (u, far), (u + turn * reach, far)])
    _walks(site, frame, section, end)
    zebra(site, frame.at(middle, section.road / 2), section.road)
    _fronts(site, frame, section, end)
    _furnish(site, frame, section, middle)
    return site.finish("crossing", _FLOOR)


def _street_frame(site: Site, section: Section, angle: float) -> Frame:
    """The street's frame: u along it, `angle` from the line of sight; v = 0 is the near kerb.

    The camera hangs at the near pavement, so that the street runs away from it to the left or right.
    """
    mirror = bool(site.rng.random() < 0.5)
    back = -float(site.rng.uniform(0.2, 1.0)) - (
        0.0 if angle < 0.45 else max(0.0, 0.55 * site.rig.distance - 0.6 * section.road)
    )
    direction = math.pi / 2 + angle if mirror else math.pi / 2 - angle
    turned = Frame(0.0, 0.0, direction, mirror)
    x, y = turned.world(0.0, -back)
    return Frame(x, y, direction, mirror)


def _seen_at(site: Site, frame: Frame, v: float) -> float:
    """The u at which the line v crosses the camera's line of sight, kept at a sensible distance."""
    best = min(
        (abs(math.hypot(*frame.world(u, v)) - site.rig.distance) + 2 * abs(frame.world(u, v)[0]), u)
        for u in np.arange(-5, 30, 0.5)
    )
    return float(best[1])


def _pave(site: Site, frame: Frame, section: Section) -> None:
    """Road, kerbs, gutters, pavements and markings."""
    rng = site.rng
    long = 160.0
    site.zone(frame, ground.SLABS, (400, 400), grey(rng, 0.22, 0.3), p0=4.0)
    along = frame.at(0, section.road / 2, math.pi / 2)  # ground patterns run along v
    site.zone(along, ground.ASPHALT, (section.road, long), tinted(rng, (0.105, 0.105, 0.108), 0.2, 0.01))
    first, second = _PAVING[int(rng.integers(len(_PAVING)))]
    length, wide = ((0.2, 0.1), (0.3, 0.3), (0.4, 0.2))[int(rng.integers(3))]
    for v, walk in (
        (-section.near_walk / 2, section.near_walk),
        (section.road + section.far_walk / 2, section.far_walk),
    ):
        site.zone(
            frame.at(0, v),
            ground.PAVING,
            (long, walk),
            tinted(rng, first, 0.08, 0.01),
            tinted(rng, second, 0.08, 0.01),
            length,
            wide,
        )
        if rng.random() < 0.6:
            site.zone(
                frame.at(0, v + 0.2, math.pi / 2),
                ground.TACTILE,
                (0.3, long),
                tinted(rng, (0.36, 0.28, 0.075), 0.15),
            )
    for v, side in ((0.0, 1), (section.road, -1)):
        site.zone(
            frame.at(0, v, math.pi / 2 if side > 0 else -math.pi / 2),
            ground.KERB,
            (0.18, long),
            grey(rng, 0.36, 0.46),
        )
        site.zone(frame.at(0, v + 0.27 * side), ground.SHEET, (long, 0.35), grey(rng, 0.2, 0.26))
        style = int(rng.integers(3))
        if style:
            colour = (YELLOW, WHITE)[style - 1]
            site.zone(frame.at(0, v + 0.55 * side), ground.ROAD_PAINT, (long, 0.13), colour)
        site.zone(
            frame.at(float(rng.uniform(3, 20)), v + 0.27 * side, math.pi / 2),
            ground.GRATING,
            (0.35, 0.6),
            (0.06, 0.06, 0.06),
        )
    middle = frame.at(0, section.road / 2, math.pi / 2)
    if rng.random() < 0.6:
        for off in (-0.12, 0.12):
            site.zone(middle.at(off, 0), ground.ROAD_PAINT, (0.12, long), YELLOW)
    else:
        site.zone(middle, ground.DASHES, (0.13, long), YELLOW, p1=3.0)
    for _ in range(int(rng.integers(2, 6))):
        place = frame.at(float(rng.uniform(0, 30)), float(rng.uniform(-section.near_walk, section.far_front)))
        if rng.random() < 0.5:
            site.zone(place, ground.MANHOLE, (0.7, 0.7), (0.1, 0.098, 0.095), corner=0.35)
        else:
            site.zone(
                place.at(0, 0, 0.3),
                ground.PATCH,
                (rng.uniform(1, 3), rng.uniform(0.8, 2)),
                (0.05, 0.048, 0.045),
                p0=0.6,
                corner=0.4,
                fray=0.6,
            )
    if rng.random() < 0.5:  # a repaired trench
        site.zone(
            frame.at(float(rng.uniform(4, 25)), section.road / 2),
            ground.ASPHALT,
            (rng.uniform(1, 2.5), section.road * 0.8),
            tinted(rng, (0.06, 0.06, 0.062), 0.2, 0.01),
        )


def zebra(site: Site, where: Frame, road: float) -> None:
    """A crossing over the whole road (along v), with stop lines."""
    site.zone(where.at(0, 0, math.pi / 2), ground.ROAD_PAINT, (road - 0.9, 4.0), WHITE, p0=0.95, p1=0.5)
    for side in (-1, 1):
        site.zone(where.at(side * 4.2, side * road / 4), ground.ROAD_PAINT, (0.4, road / 2 - 0.6), WHITE)
        dots = where.at(0, side * (road / 2 + 0.5), math.pi / 2)
        site.zone(dots, ground.TACTILE, (0.6, 3.6), (0.36, 0.28, 0.075), p0=1.0)


def _walks(site: Site, frame: Frame, section: Section, end: float) -> None:
    """Routes along both pavements that turn off behind a corner far away, and slanting over the road."""
    rng = site.rng
    near, far = -section.near_walk, section.road
    for share in (0.3, 0.55):
        v, corner = near * share, end + 2 * share
        site.route(frame, [(-24, v), (end - 5, v), (corner, v), (corner, near - 25)])
    for share in (0.35, 0.6):
        v, corner = far + section.far_walk * share, end + 1.5 - 2 * share
        site.route(frame, [(-24, v), (end - 5, v), (corner, v), (corner, section.far_front + 25)])
    for _ in range(6):  # over the road, where there is no crossing
        u = float(rng.uniform(0.3, 1.1)) * site.rig.distance + float(rng.uniform(-3, 3))
        slant = float(rng.uniform(-5, 5))
        a, b = near * float(rng.uniform(0.3, 0.6)), far + section.far_walk * float(rng.uniform(0.3, 0.7))
        reach = float(rng.choice([-1, 1])) * float(rng.uniform(14, 24))
        site.route(frame, [(u - abs(reach) - 6, a), (u, a), (u + slant, b), (u + slant + reach, b)])


def _fronts(site: Site, frame: Frame, section: Section, end: float) -> None:
    """Houses on both sides and one that closes the street."""
    rng = site.rng
    storeys = (2, int(rng.integers(3, 7)))
    terrace(site, frame.at(0, section.far_front), -30, end - 4, storeys, 0.75)
    turned = frame.at(0, section.near_front)
    back = Frame(turned.x, turned.y, turned.angle, not turned.mirror)
    terrace(site, back, 1.5, end - 4, storeys, 0.75)
    across = frame.at(end + 6, section.road / 2, -math.pi / 2)
    if not frame.mirror:
        across = frame.at(end + 6, section.road / 2, -math.pi / 2)
    terrace(site, across, -26, 26, (3, 7), 0.6)


def _furnish(site: Site, frame: Frame, section: Section, keep_clear: float | None = None) -> None:
    """Parked cars, lamps, poles, trees, bollards and what else stands at a kerb."""
    rng = site.rng
    tall, colour = (
        float(rng.uniform(4.5, 7.5)),
        (props.WARM_LAMP, props.WHITE_LAMP, props.ORANGE_LAMP)[int(rng.integers(3))],
    )
    for number, u in enumerate(np.arange(-6, 48, float(rng.uniform(11, 16)))):
        v, flip = (
            ((-0.45, 1) if number % 2 else (section.road + 0.45, -1)) if rng.random() < 0.9 else (-0.45, 1)
        )
        where = frame.at(float(u) + float(rng.uniform(-1, 1)), v)
        if flip < 0:
            where = Frame(where.x, where.y, where.angle, not where.mirror)
        if site.free(where, 0.4, 0.4) and math.hypot(where.x, where.y) > 2.5:
            props.street_lamp(site, where, tall, colour)
    parked = float(rng.uniform(0.2, 0.75))
    for v, turn in ((1.25, 0.0), (section.road - 1.25, math.pi)):
        for u in np.arange(-9, 40, 5.6):
            where = frame.at(float(u) + float(rng.uniform(-0.3, 0.3)), v, turn + float(rng.normal(0, 0.02)))
            clear = keep_clear is None or abs(u - keep_clear) > 7
            if (
                rng.random() < parked
                and clear
                and site.free(where, 4.9, 2.0, 0.6)
                and math.hypot(where.x, where.y) > 5.0
            ):
                (props.truck if rng.random() < 0.12 else props.car)(site, where)
    _kerb_things(site, frame, section)


def _kerb_things(site: Site, frame: Frame, section: Section) -> None:
    """Rows of trees or bollards, poles, and single things by the houses."""
    rng = site.rng
    style, trees, high = int(rng.integers(3)), rng.random() < 0.6, float(rng.uniform(5, 8))
    gap = float(rng.uniform(6, 9)) if trees else float(rng.uniform(1.5, 2.5))
    for v in (-0.55, section.road + 0.55):
        for u in np.arange(-6, 42, gap):
            where = frame.at(float(u) + float(rng.uniform(-0.2, 0.2)), v)
            if not site.free(where, 0.4, 0.4) or math.hypot(where.x, where.y) < 4 or rng.random() < 0.2:
                continue
            if trees and v > 0:
                site.zone(where, ground.SOIL, (1.1, 1.1), (0.13, 0.1, 0.07))
                props.tree(site, where, high * float(rng.uniform(0.85, 1.15)))
            else:
                props.bollard(site, where, style)
    for _ in range(40):
        v = -section.near_walk + 0.45 if rng.random() < 0.35 else section.far_front - 0.45
        where = frame.at(float(rng.uniform(1, 2.2)) * site.rig.distance + float(rng.uniform(-9, 3)), v)
        thing = (
            props.bin_,
            props.planter,
            props.banner,
            props.banner,
            props.vending_machine,
            props.scooter,
            props.utility_pole,
        )[int(rng.integers(7))]
        if v < 0:
            where = Frame(where.x, where.y, where.angle, not where.mirror)
        if site.free(where, 1.7, 0.8) and math.hypot(where.x, where.y) > 4:
            thing(site, where)
    where = frame.at(float(rng.uniform(0.8, 2.0)) * site.rig.distance, section.road + 0.7)
    if rng.random() < 0.3 and section.far_walk > 3.4 and site.free(where, 4.6, 1.7):
        props.bus_shelter(site, Frame(where.x, where.y, where.angle, where.mirror))
