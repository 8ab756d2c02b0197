"""Buildings: a ground floor of shops, walls or car ports below storeys with windows."""

from __future__ import annotations

import numpy as np

from reid.people.kernels.surfaces import BRICK, FACADE, PLASTER, SHOP_FRONT, SIGN
from reid.people.layouts.props import air_conditioner, facing
from reid.people.layouts.site import Frame, Rgb, Site, grey, tinted

# Render, tiles and granite as on Korean town houses: greys, beiges, brown and red brick.
_WALLS: tuple[Rgb, ...] = (
    (0.46, 0.44, 0.40), (0.36, 0.35, 0.34), (0.52, 0.50, 0.47), (0.42, 0.36, 0.28), (0.28, 0.28, 0.28),
    (0.34, 0.29, 0.24), (0.5, 0.46, 0.38), (0.22, 0.22, 0.23),
)  # fmt: skip
_BRICKS: tuple[Rgb, ...] = ((0.24, 0.10, 0.065), (0.28, 0.15, 0.10), (0.33, 0.25, 0.18), (0.16, 0.085, 0.06))


def wall_colour(rng: np.random.Generator) -> Rgb:
    """A colour houses are painted in."""
    return tinted(rng, _WALLS[int(rng.integers(len(_WALLS)))], 0.12, 0.02)


def brick_colour(rng: np.random.Generator) -> Rgb:
    """A colour of bricks."""
    return tinted(rng, _BRICKS[int(rng.integers(len(_BRICKS)))], 0.15, 0.04)


def building(site: Site, where: Frame, wide: float, deep: float, storeys: int, shops: float = 0.7) -> None:
    """A town house; its front lies along u at v = 0 and looks to -v; it reaches `deep` metres to +v.

    Args:
        shops: chance of shops on the ground floor.
    """
    rng = site.rng
    ground_floor = float(rng.uniform(3.3, 3.9))
    colour, frame = wall_colour(rng), grey(rng, 0.05, 0.5)
    middle = where.at(0, deep / 2)
    has_shops = rng.random() < shops
    seed = float(rng.integers(1, 500))
    if has_shops:
        site.box(
            middle, (wide, deep, ground_floor), SHOP_FRONT, tinted(rng, colour, 0.2),
            p1=float(wide / max(1, round(wide / rng.uniform(3.6, 6)))),
        )  # fmt: skip
        _shop_lights(site, where, wide)
    elif rng.random() < 0.5:
        site.box(middle, (wide, deep, ground_floor), BRICK, brick_colour(rng))
    else:
        site.box(
            middle,
            (wide, deep, ground_floor),
            PLASTER,
            tinted(rng, colour, 0.2),
            tinted(rng, (0.2, 0.2, 0.2)),
            p1=0.6,
        )
    if storeys > 1:
        storey = float(rng.uniform(2.9, 3.4))
        site.box(
            middle, (wide + 0.06, deep + 0.06, storey * (storeys - 1) + rng.uniform(0.3, 1.1)), FACADE,
            colour, frame,
            p0=storey, p1=float(wide / max(2, round(wide / rng.uniform(2.2, 3.6)))), low=ground_floor,
            seed=seed,
        )  # fmt: skip
        _hang_things(site, where, wide, ground_floor, storey, storeys)


def _shop_lights(site: Site, where: Frame, wide: float) -> None:
    """Light from the panes onto the pavement."""
    rng = site.rng
    for u in np.arange(-wide / 2 + 2.5, wide / 2 - 1, 5.0):
        if rng.random() < 0.65:
            warm = float(rng.uniform(0.55, 0.95))
            power = float(rng.uniform(1.5, 5.0))
            site.lamp(
                where.at(float(u), -0.25),
                2.4,
                (power, power * (0.5 + 0.5 * warm), power * warm),
                0.8,
                (0, -1.2),
            )


def _hang_things(site: Site, where: Frame, wide: float, ground: float, storey: float, storeys: int) -> None:
    """Sign boards that stick out, boards on the first floor, outdoor units of air conditioners."""
    rng = site.rng
    for _ in range(int(rng.integers(0, 4))):
        u = float(rng.uniform(-wide / 2 + 0.4, wide / 2 - 0.4))
        ground_colour, ink = (
            ((0.6, 0.6, 0.58), (0.06, 0.06, 0.1)),
            ((0.05, 0.07, 0.18), (0.7, 0.7, 0.7)),
            ((0.32, 0.04, 0.04), (0.7, 0.7, 0.66)),
            ((0.05, 0.14, 0.08), (0.7, 0.68, 0.5)),
        )[int(rng.integers(4))]
        side = facing(where.at(u, -0.5))
        site.box(
            Frame(side.x, side.y, side.angle + np.pi / 2),
            (0.85, 0.16, float(rng.uniform(0.8, 2.6))),
            SIGN,
            ground_colour,
            ink,
            p1=1.0,
            low=ground + rng.uniform(0, 0.8),
        )
    if rng.random() < 0.5:
        site.box(
            facing(where.at(float(rng.uniform(-0.2, 0.2)) * wide, -0.08)),
            (wide * rng.uniform(0.3, 0.7), 0.14, 0.8),
            SIGN,
            (0, 0, 0),
            p0=float(rng.random()),
            low=ground + 0.1,
        )
    for level in range(1, storeys):
        for _ in range(int(rng.integers(0, 3))):
            u = float(rng.uniform(-wide / 2 + 0.6, wide / 2 - 0.6))
            air_conditioner(site, where.at(u, -0.22), ground + storey * (level - 1) + 0.15)


def terrace(
    site: Site,
    frame: Frame,
    start: float,
    end: float,
    storeys: tuple[int, int],
    shops: float,
    deep: float = 10.0,
    gap: float = 0.12,
) -> None:
    """Houses side by side along u from `start` to `end`; none of them covers the camera."""
    rng = site.rng
    u = start
    while u < end - 2:
        wide = min(float(rng.uniform(7, 15)), end - u)
        where = frame.at(u + wide / 2, float(rng.uniform(0, 0.5)))
        if not _swallows_camera(where, wide, deep):
            building(site, where, wide, deep, int(rng.integers(storeys[0], storeys[1] + 1)), shops)
        u += wide + (float(rng.uniform(1.5, 3.5)) if rng.random() < gap else 0.05)


def _swallows_camera(where: Frame, wide: float, deep: float) -> bool:
    """Whether the camera would hang in the house or look at its side from too near."""
    u, v = where.local(0.0, 0.0)
    return abs(u) < wide / 2 + 0.5 and -0.4 < v < deep + 0.5
