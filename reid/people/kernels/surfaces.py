"""What solids are made of: colour, gloss and own light at a point of a surface.

Materials are drawn as functions of the place on the solid, in metres; nothing has a texture map.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from reid.people.kernels.compile import compiled
from reid.people.kernels.fronts import facade, poster, shelf, shop_front, sign, vending
from reid.people.kernels.noise import lattice
from reid.people.kernels.patterns import Surface, clamp, flat_noise, grain, inside, line, lump, mix
from reid.people.kernels.solids import (
    BLUE,
    BLUE2,
    FENCE,
    GREEN,
    GREEN2,
    HALF_X,
    HALF_Y,
    P0,
    P1,
    RED,
    RED2,
    SEED,
    SHRINK_X,
    WITH_HOLES,
)

F32 = NDArray[np.float32]

# Materials; see `solids` for those with holes.
(
    PLASTER, BRICK, FACADE, SHOP_FRONT, SIGN, SHUTTER, GLASS, PAINT, WOOD, BARK, CAR_BODY, CABIN, TYRE,
    SHELF, VENDING,
    POSTER, WALL_TILES, STEEL, CEILING, GLOW, STONE, BANDS, UNIT, BELLOWS,
) = range(WITH_HOLES, WITH_HOLES + 24)  # fmt: skip


@compiled
def weathered(s: F32, u: float, v: float, lod: float) -> float:
    """Darkening of a wall by rain streaks and splashes, around 1."""
    seed = s[SEED]
    streak = grain(u + seed, v * 0.12, seed, 0.35, lod)
    stain = grain(u, v, seed + 3.1, 1.4, lod)
    splash = 0.72 + 0.28 * clamp(v / 0.5 + 0.4 * (stain - 0.5))
    fine = grain(u, v, seed, 0.04, lod)
    return (0.78 + 0.24 * streak + 0.2 * stain) * splash * (0.95 + 0.1 * fine)


@compiled
def plaster(s: F32, u: float, v: float, lod: float) -> Surface:
    """Painted or bare concrete; P0 above 0 is the distance of panel joints."""
    k = weathered(s, u, v, lod)
    if s[P0] > 0:
        k *= 1 - 0.4 * max(line(u, s[P0], 0.02, lod), line(v, s[P0] * 0.75, 0.02, lod))
    low = inside(v, -1.0, s[P1], lod) if s[P1] > 0 else 0.0
    return (
        mix(s[RED], s[RED2], low) * k,
        mix(s[GREEN], s[GREEN2], low) * k,
        mix(s[BLUE], s[BLUE2], low) * k,
        0.02,
        0.0,
        0.0,
        0.0,
    )


@compiled
def brick(s: F32, u: float, v: float, lod: float) -> Surface:
    """Running bond, 23 x 7.5 cm, with lighter joints."""
    row = math.floor(v / 0.075)
    shifted = u + (0.115 if row % 2 == 0 else 0.0)
    joint = max(line(v, 0.075, 0.011, lod), line(shifted, 0.23, 0.01, lod))
    each = mix(lattice(math.floor(shifted / 0.23), row, int(s[SEED])), 0.5, clamp(lod / 0.1 - 0.3))
    k = (0.75 + 0.5 * each) * weathered(s, u, v, lod)
    return (
        mix(s[RED], 0.36, joint * 0.6) * k,
        mix(s[GREEN], 0.34, joint * 0.6) * k,
        mix(s[BLUE], 0.31, joint * 0.6) * k,
        0.02,
        0.0,
        0.0,
        0.0,
    )


@compiled
def shutter(s: F32, u: float, v: float, lod: float) -> Surface:
    """Rolling shutter: ribs every 8 cm."""
    k = 0.85 + 0.25 * math.sin(v * 78.5) * clamp(1 - lod / 0.05) - 0.35 * line(v, 0.08, 0.012, lod)
    k *= weathered(s, u, v, lod)
    return s[RED] * k, s[GREEN] * k, s[BLUE] * k, 0.1, 0.0, 0.0, 0.0


@compiled
def foliage(s: F32, x: float, y: float, z: float, lod: float) -> Surface:
    """Leaves: clumps of light and dark green."""
    seed = s[SEED]
    clump = lump(x + seed, y, z, 0.32, lod)
    leaf = 0.5 * lump(x, y + seed, z, 0.11, lod) + 0.5 * lump(x, y, z + seed, 0.045, lod)
    k = 0.15 + 0.7 * clump * clump + 1.1 * leaf * leaf
    warm = 0.8 + 0.4 * clump
    return s[RED] * k * warm, s[GREEN] * k, s[BLUE] * k, 0.03, 0.0, 0.0, 0.0


@compiled
def car_body(s: F32, face: int, x: float, y: float, z: float, lod: float) -> Surface:
    """Paint, door gaps, handles; head lamps, grille and plate at the ends. P0: 1 is the upper shell."""
    red, green, blue, gloss = s[RED], s[GREEN], s[BLUE], 0.35
    dirt = 0.86 + 0.14 * clamp(z / 0.3)
    half_x, half_y = s[HALF_X], s[HALF_Y]
    if face == 2 or face == 3:
        gap = 1 - 0.65 * max(
            line(y + 0.05, 1.05, 0.02, lod) * inside(y, -1.2, 1.2, lod), inside(z, 0.0, 0.04, lod)
        )
        handle = (
            inside(z, 0.08, 0.12, lod) * max(inside(y, 0.55, 0.75, lod), inside(y, -0.5, -0.3, lod)) * s[P0]
        )
        k = dirt * gap * (1 - 0.5 * handle)
        return red * k, green * k, blue * k, gloss, 0.0, 0.0, 0.0
    if face == 4 or face == 5:
        wide = abs(x) / half_x
        if s[P0] > 0.5 and wide > 0.62 and 0.04 < z < 0.22:
            return (
                (0.6, 0.6, 0.58, 0.5, 0.0, 0.0, 0.0) if face == 4 else (0.35, 0.02, 0.02, 0.4, 0.0, 0.0, 0.0)
            )
        if s[P0] < 0.5:
            if abs(x) < 0.27 and 0.12 < z < 0.25:
                return 0.62, 0.63, 0.62, 0.1, 0.0, 0.0, 0.0
            if z < 0.1 or (face == 4 and wide < 0.6 and z > 0.26):
                return 0.02, 0.02, 0.022, 0.15, 0.0, 0.0, 0.0
    elif face == 1 and abs(y) > half_y - 0.02:
        dirt *= 0.8
    return red * dirt, green * dirt, blue * dirt, gloss, 0.0, 0.0, 0.0


@compiled
def cabin(s: F32, face: int, x: float, y: float, z: float, high: float, lod: float) -> Surface:
    """The upper part of a car: dark glass between painted pillars under a painted roof."""
    glass = 0.0
    up = z / high
    if face == 2 or face == 3:
        open_sides = max(inside(y, -s[HALF_Y] * 0.72, -0.06, lod), inside(y, 0.06, s[HALF_Y] * 0.66, lod))
        glass = open_sides * inside(up, 0.08, 0.88, lod)
    elif face == 4 or face == 5:
        glass = inside(abs(x), -1.0, (s[HALF_X] - s[SHRINK_X] * up) * 0.9, lod) * inside(up, 0.06, 0.9, lod)
    seat = 0.4 + 0.6 * inside(up, -0.1, 0.45, 0.2) * flat_noise(x * 2.0, y * 2.0, 3)
    return (
        mix(s[RED], 0.025 * seat, glass), mix(s[GREEN], 0.028 * seat, glass), mix(s[BLUE], 0.032 * seat,
        glass),
        mix(0.35, 0.9, glass), 0.0, 0.0, 0.0,
    )  # fmt: skip


@compiled
def tyre(s: F32, face: int, y: float, z: float) -> Surface:
    """Rubber with a rim of light metal spokes."""
    if face == 1:
        out = math.hypot(y, z - s[HALF_X]) / s[HALF_X]
        if out < 0.62:
            spoke = 0.5 + 0.5 * math.cos(5 * math.atan2(z - s[HALF_X], y))
            k = 0.08 + 0.3 * spoke
            return k, k, k, 0.2, 0.0, 0.0, 0.0
    return 0.018, 0.018, 0.019, 0.05, 0.0, 0.0, 0.0


@compiled
def wall_tiles(s: F32, u: float, v: float, lod: float) -> Surface:
    """Glazed or stone wall tiles of side P0; a band of the second colour at height P1."""
    joint = max(line(u, s[P0], 0.008, lod), line(v, s[P0] * 0.5, 0.008, lod))
    each = lattice(math.floor(u / s[P0]), math.floor(v / s[P0] * 2), int(s[SEED]))
    band = inside(v, s[P1], s[P1] + 0.3, lod) if s[P1] > 0 else 0.0
    k = (
        (0.94 + 0.1 * each)
        * (1 - 0.35 * joint)
        * (0.8 + 0.2 * clamp(v / 0.4))
        * (0.92 + 0.14 * grain(u, v, s[SEED], 1.6, lod))
    )
    return (
        mix(s[RED], s[RED2], band) * k,
        mix(s[GREEN], s[GREEN2], band) * k,
        mix(s[BLUE], s[BLUE2], band) * k,
        0.12,
        0.0,
        0.0,
        0.0,
    )


@compiled
def steel(s: F32, u: float, v: float, lod: float) -> Surface:
    """Brushed metal panels of width P0 with upright streaks."""
    streak = grain(u, v * 0.03, s[SEED], 0.01, lod) - 0.5 + grain(u, v * 0.2, s[SEED], 0.3, lod) - 0.5
    k = (0.9 + 0.25 * streak) * (1 - 0.6 * line(u, s[P0], 0.012, lod)) * (0.9 + 0.1 * clamp(v))
    return s[RED] * k, s[GREEN] * k, s[BLUE] * k, 0.45, 0.0, 0.0, 0.0


@compiled
def ceiling(s: F32, u: float, v: float, lod: float) -> Surface:
    """Suspended ceiling of 60 cm boards; every P0-th board along x and P1-th along y is a lamp."""
    i, j = math.floor(u / 0.6), math.floor(v / 0.6)
    joint = 1 - 0.25 * max(line(u, 0.6, 0.02, lod), line(v, 0.6, 0.02, lod))
    if i % int(s[P0]) == 0 and j % int(s[P1]) < 2:
        return 0.8, 0.8, 0.8, 0.0, 2.6, 2.6, 2.5
    return s[RED] * joint, s[GREEN] * joint, s[BLUE] * joint, 0.0, 0.0, 0.0, 0.0


@compiled
def unit(s: F32, face: int, u: float, v: float, high: float) -> Surface:
    """The outdoor unit of an air conditioner: a light case with a dark round grille in front."""
    k = 0.9 + 0.1 * flat_noise(u * 3, v * 3, int(s[SEED]))
    if face >= 2 and s[P0] > 0:
        out = math.hypot(u + 0.1, v - 0.5 * high) / (0.42 * high)
        if out < 1:
            k *= 0.28 + 0.2 * (0.5 + 0.5 * math.cos(out * 22))
    return s[RED] * k, s[GREEN] * k, s[BLUE] * k, 0.06, 0.0, 0.0, 0.0


@compiled
def paint(s: F32, u: float, v: float, lod: float) -> Surface:
    """Painted metal or plastic of gloss P0, a little dirty."""
    k = 0.88 + 0.2 * grain(u, v, s[SEED], 0.5, lod)
    return s[RED] * k, s[GREEN] * k, s[BLUE] * k, s[P0], 0.0, 0.0, 0.0


@compiled
def small(s: F32, material: int, u: float, v: float, high: float, lod: float, night: float) -> Surface:
    """The rest: wood, bark, stone, glass, bands, lamps."""
    red, green, blue, gloss, glow = s[RED], s[GREEN], s[BLUE], 0.02, 0.0
    if material == GLOW:
        glow = mix(s[P0], s[P1], night)
        return red, green, blue, 0.0, red * glow, green * glow, blue * glow
    if material == BANDS:  # two colours by height, P0 metres each; bollards, cones, barriers
        share = line(v - 0.5 * s[P1], s[P0], s[P1], lod)
        return (
            mix(red, s[RED2], share),
            mix(green, s[GREEN2], share),
            mix(blue, s[BLUE2], share),
            0.08,
            0.0,
            0.0,
            0.0,
        )
    if material == GLASS:
        frame = max(line(u, s[P0], 0.06, lod), max(line(v, 1.1, 0.05, lod), inside(v, -1.0, 0.12, lod)))
        return (
            mix(red, 0.3, frame),
            mix(green, 0.3, frame),
            mix(blue, 0.3, frame),
            mix(0.75, 0.1, frame),
            0.0,
            0.0,
            0.0,
        )
    k = 1.0
    if material == WOOD:
        k = (0.7 + 0.5 * grain(u * 0.15, v, s[SEED], 0.03, lod)) * (
            1 - 0.6 * line(v if high > 0.3 else u, 0.11, 0.012, lod)
        )
    elif material == BARK:
        k = 0.5 + 0.9 * grain(u, v * 0.25, s[SEED], 0.05, lod)
    elif material == STONE:
        k = (0.8 + 0.2 * grain(u, v, s[SEED], 0.5, lod) + 0.2 * grain(u, v, s[SEED], 0.02, lod)) * (
            0.75 + 0.25 * clamp(v / 0.25)
        )
        k *= 1 - 0.3 * line(u, 1.0, 0.015, lod)
    elif material == BELLOWS:  # ribs: gratings, escalator skirts, louvred doors
        k, gloss = 1 - 0.5 * line(v, 0.1, 0.03, lod), 0.1
    return red * k, green * k, blue * k, gloss, 0.0, 0.0, 0.0


@compiled
def surface(
    s: F32, material: int, face: int, x: float, y: float, z: float, u: float, v: float, high: float,
    lod: float,
    night: float,
) -> Surface:  # fmt: skip
    """Colour, gloss and own light at a place of a solid.

    Args:
        s: the solid's row.
        material: see the names above.
        face: of `solids.meet`.
        x, y, z: own axes, metres; z above its bottom.
        u, v: along and up the face, metres.
        high: of the solid, metres.
        lod: size of a pixel there, metres.
        night: 0 by day to 1 when windows and signs are lit.
    """
    if material == PLASTER:
        return plaster(s, u, v, lod)
    if material == FACADE and face >= 2:
        return facade(s, u, v, lod, night)
    if material == SHOP_FRONT and face >= 2:
        return shop_front(s, u, v, high, lod, night)
    if material < WITH_HOLES and material != FENCE:
        return foliage(s, x, y, z, lod)
    if material == BRICK:
        return brick(s, u, v, lod)
    if material == SIGN and face >= 2:
        return sign(s, u, v, high, lod, night)
    if material == CAR_BODY:
        return car_body(s, face, x, y, z, lod)
    if material == CABIN:
        return cabin(s, face, x, y, z, high, lod)
    if material == TYRE:
        return tyre(s, face, y, z)
    if material == SHUTTER:
        return shutter(s, u, v, lod)
    if material == SHELF and face >= 2:
        return shelf(s, u, v, high, lod)
    if material == VENDING and face == 4:
        return vending(s, u, v, high, lod, night)
    if material == POSTER and face >= 2:
        return poster(s, u, v, high, lod, night)
    if material == WALL_TILES:
        return wall_tiles(s, u, v, lod)
    if material == STEEL:
        return steel(s, u, v, lod)
    if material == CEILING and face == 0:
        return ceiling(s, u, v, lod)
    if material == UNIT:
        return unit(s, face, u, v, high)
    if material in (GLOW, BANDS, GLASS, WOOD, BARK, STONE, BELLOWS):
        return small(s, material, u, v, high, lod, night)
    return paint(s, u, v, lod)
