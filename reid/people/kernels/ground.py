"""What the ground is made of: zones of asphalt, paving, grass, tiles and paint, later ones on top.

A zone is a rounded rectangle, one row of a float32 table; the columns are named here.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from reid.people.kernels.compile import compiled
from reid.people.kernels.noise import lattice
from reid.people.kernels.patterns import Surface, clamp, flat_noise, grain, inside, line, mix

F32 = NDArray[np.float32]

# Kinds of ground.
(
    ASPHALT,
    PAVING,
    SLABS,
    GRASS,
    SOIL,
    HALL_TILES,
    TACTILE,
    ROAD_PAINT,
    DASHES,
    KERB,
    GRATING,
    MANHOLE,
    SHEET,
    PATCH,
) = range(14)

# Columns: middle, cosine and sine of the own axes, half sizes, corner radius, two colours, parameters, and
# how
# far the edge frays, metres.
KIND, X, Y, COS, SIN, HALF_X, HALF_Y, ROUND = range(8)
RED, GREEN, BLUE, RED2, GREEN2, BLUE2, P0, P1, SEED, FRAY = range(8, 18)
COLUMNS = 18


@compiled
def asphalt(z: F32, u: float, v: float, lod: float) -> Surface:
    """Aged asphalt: repairs, cracks, worn wheel tracks along v, aggregate."""
    seed = z[SEED]
    broad = grain(u, v * 0.4, seed, 3.0, lod)
    middle = grain(u, v, seed + 5, 0.5, lod)
    fine = grain(u, v, seed, 0.025, lod)
    track = 0.5 + 0.5 * math.cos(u * 3.6)
    k = 0.8 + 0.22 * broad + 0.12 * middle + 0.25 * (fine - 0.5) + 0.05 * track
    warped = u + 1.2 * flat_noise(u * 0.3, v * 0.3, int(seed))
    crack = abs(flat_noise(warped * 0.45, v * 0.45, int(seed + 9)) - 0.5)
    k *= 1 - 0.3 * clamp((0.006 - crack) / 0.006) * clamp(1.2 - lod / 0.04)
    return z[RED] * k, z[GREEN] * k, z[BLUE] * k, 0.04, 0.0, 0.0, 0.0


@compiled
def paving(z: F32, u: float, v: float, lod: float) -> Surface:
    """Concrete blocks P0 long and P1 wide in running bond, in two colours mixed at random."""
    row = math.floor(v / z[P1])
    shifted = u + (0.5 * z[P0] if row % 2 else 0.0)
    joint = max(line(shifted, z[P0], 0.012, lod), line(v, z[P1], 0.012, lod))
    number = math.floor(shifted / z[P0])
    coarse = clamp(lod / z[P1] - 0.4)
    each = mix(lattice(number, row, int(z[SEED])), 0.5, coarse)
    other = mix(1.0 if lattice(number, row, int(z[SEED]) + 1) < 0.35 else 0.0, 0.35, coarse)
    dirt = 0.81 + 0.24 * grain(u, v, z[SEED], 1.3, lod) + 0.1 * grain(u, v, z[SEED] + 3, 0.25, lod)
    k = (0.93 + 0.14 * each) * dirt * (1 - 0.35 * joint) * (0.94 + 0.12 * grain(u, v, z[SEED], 0.02, lod))
    return (
        mix(z[RED], z[RED2], other) * k,
        mix(z[GREEN], z[GREEN2], other) * k,
        mix(z[BLUE], z[BLUE2], other) * k,
        0.03,
        0.0,
        0.0,
        0.0,
    )


@compiled
def slabs(z: F32, u: float, v: float, lod: float) -> Surface:
    """Poured concrete with joints every P0 metres, stains and hairline wear."""
    joint = max(line(u, z[P0], 0.02, lod), line(v, z[P0], 0.02, lod))
    k = (
        0.75
        + 0.3 * grain(u, v, z[SEED], 1.8, lod)
        + 0.15 * grain(u, v, z[SEED] + 2, 0.3, lod)
        + 0.1 * grain(u, v, z[SEED], 0.03, lod)
    )
    k *= 1 - 0.35 * joint
    return z[RED] * k, z[GREEN] * k, z[BLUE] * k, 0.03, 0.0, 0.0, 0.0


@compiled
def grass(z: F32, u: float, v: float, lod: float) -> Surface:
    """Lawn: light and dry patches, blades, bare earth in places."""
    patch = grain(u, v, z[SEED], 2.6, lod)
    tuft = grain(u, v, z[SEED] + 4, 0.22, lod)
    blade = grain(u, v, z[SEED], 0.035, lod)
    k = 0.5 + 0.45 * tuft + 0.5 * (blade - 0.5) + 0.35 * patch
    bare = clamp((grain(u, v, z[SEED] + 8, 1.7, lod) + 0.25 * tuft - z[P0]) * 5)
    dry = clamp(patch * 1.4 - 0.4)
    red, green, blue = (
        mix(z[RED], z[RED2], dry * 0.6),
        mix(z[GREEN], z[GREEN2], dry * 0.6),
        mix(z[BLUE], z[BLUE2], dry * 0.6),
    )
    return (
        mix(red * k, 0.17 * (0.7 + 0.5 * tuft), bare),
        mix(green * k, 0.13 * (0.7 + 0.5 * tuft), bare),
        mix(blue * k, 0.085 * (0.7 + 0.5 * tuft), bare),
        0.01,
        0.0,
        0.0,
        0.0,
    )


@compiled
def soil(z: F32, u: float, v: float, lod: float) -> Surface:
    """Trodden earth or granite sand."""
    k = (
        0.7
        + 0.3 * grain(u, v, z[SEED], 1.5, lod)
        + 0.2 * grain(u, v, z[SEED], 0.2, lod)
        + 0.25 * (grain(u, v, z[SEED], 0.03, lod) - 0.5)
    )
    return z[RED] * k, z[GREEN] * k, z[BLUE] * k, 0.01, 0.0, 0.0, 0.0


@compiled
def hall_tiles(z: F32, u: float, v: float, lod: float) -> Surface:
    """Polished stone tiles of side P0, speckled; P1 is the gloss; every few a tile of the second colour."""
    joint = max(line(u, z[P0], 0.006, lod), line(v, z[P0], 0.006, lod))
    i, j = math.floor(u / z[P0]), math.floor(v / z[P0])
    each = mix(lattice(i, j, int(z[SEED])), 0.5, clamp(lod / z[P0] - 0.4))
    accent = 1.0 if int(z[SEED]) % 3 == 0 and i % 4 == 0 and j % 4 == 0 else 0.0
    speck = grain(u, v, z[SEED], 0.015, lod)
    k = (
        (0.93 + 0.1 * each)
        * (0.85 + 0.3 * speck)
        * (1 - 0.3 * joint)
        * (0.9 + 0.18 * grain(u, v, z[SEED], 1.8, lod))
    )
    return (
        mix(z[RED], z[RED2], accent) * k,
        mix(z[GREEN], z[GREEN2], accent) * k,
        mix(z[BLUE], z[BLUE2], accent) * k,
        z[P1],
        0.0,
        0.0,
        0.0,
    )


@compiled
def tactile(z: F32, u: float, v: float, lod: float) -> Surface:
    """Yellow guiding tiles, 30 cm: bars along v, or dots where P0 is 1."""
    bars = line(u, 0.075, 0.035, lod)
    if z[P0] > 0:
        bars *= line(v, 0.075, 0.035, lod) * 1.6
    joint = max(line(u, 0.3, 0.008, lod), line(v, 0.3, 0.008, lod))
    worn = 0.72 + 0.4 * grain(u, v, z[SEED], 0.5, lod)
    k = (0.85 + 0.25 * bars) * (1 - 0.4 * joint) * worn
    return z[RED] * k, z[GREEN] * k, z[BLUE] * k, 0.04, 0.0, 0.0, 0.0


@compiled
def road_paint(z: F32, u: float, v: float, lod: float) -> tuple[float, float]:
    """Cover and lightness of paint on asphalt: solid, or zebra bars P0 apart across u."""
    bars = line(u - 0.5 * z[P0], z[P0], z[P1], lod) if z[P0] > 0 else 1.0
    worn = grain(u, v, z[SEED], 0.12, lod) * 0.6 + grain(u, v, z[SEED] + 2, 0.8, lod) * 0.5
    cover = bars * clamp(1.75 - 1.2 * worn)
    return cover, 0.9 + 0.2 * grain(u, v, z[SEED], 0.05, lod)


@compiled
def kerb(z: F32, v: float, u: float, lod: float) -> Surface:
    """Granite kerb stones one metre long; a dark line where the road begins."""
    joint = line(v, 1.0, 0.015, lod)
    k = (0.82 + 0.25 * grain(u, v, z[SEED], 0.4, lod) + 0.15 * (grain(u, v, z[SEED], 0.02, lod) - 0.5)) * (
        1 - 0.4 * joint
    )
    k *= 1 - 0.55 * inside(u, z[HALF_X] - 0.06, z[HALF_X] + 0.1, lod)
    return z[RED] * k, z[GREEN] * k, z[BLUE] * k, 0.03, 0.0, 0.0, 0.0


@compiled
def iron(z: F32, kind: int, u: float, v: float, lod: float) -> Surface:
    """A grating with slots across v, or a manhole lid with a ring and a pattern."""
    if kind == GRATING:
        slot = line(v, 0.06, 0.03, lod)
        k = 0.9 - 0.75 * slot
    else:
        out = math.hypot(u, v) / z[HALF_X]
        k = (
            0.7
            + 0.5 * inside(out, 0.86, 0.95, lod / z[HALF_X])
            - 0.3 * max(line(u, 0.09, 0.03, lod), line(v, 0.09, 0.03, lod))
        )
    k *= 0.8 + 0.3 * grain(u, v, z[SEED], 0.1, lod)
    return z[RED] * k, z[GREEN] * k, z[BLUE] * k, 0.08, 0.0, 0.0, 0.0


@compiled
def zone_surface(z: F32, u: float, v: float, lod: float) -> tuple[Surface, float]:
    """Surface of a zone and the share of it that covers what lies below."""
    kind = int(z[KIND])
    if kind == ASPHALT:
        return asphalt(z, u, v, lod), 1.0
    if kind == PAVING:
        return paving(z, u, v, lod), 1.0
    if kind == SLABS:
        return slabs(z, u, v, lod), 1.0
    if kind == GRASS:
        return grass(z, u, v, lod), 1.0
    if kind == SOIL:
        return soil(z, u, v, lod), 1.0
    if kind == HALL_TILES:
        return hall_tiles(z, u, v, lod), 1.0
    if kind == TACTILE:
        return tactile(z, u, v, lod), 1.0
    if kind == KERB:
        return kerb(z, v, u, lod), 1.0
    if kind in (GRATING, MANHOLE):
        return iron(z, kind, u, v, lod), 1.0
    if kind in (ROAD_PAINT, DASHES):
        cover, k = road_paint(z, u, v, lod)
        if kind == DASHES:
            cover *= clamp(line(v, z[P1] * 2, z[P1], lod) * 1.0)
        return (z[RED] * k, z[GREEN] * k, z[BLUE] * k, 0.05, 0.0, 0.0, 0.0), cover
    if kind == PATCH:  # dirt, oil, damp: darkens what lies below
        blot = clamp(grain(u, v, z[SEED], 0.5, lod) * 1.6 - 0.3)
        return (z[RED], z[GREEN], z[BLUE], 0.05, 0.0, 0.0, 0.0), z[P0] * blot
    k = 0.92 + 0.12 * grain(u, v, z[SEED], 0.4, lod)
    return (z[RED] * k, z[GREEN] * k, z[BLUE] * k, z[P1], 0.0, 0.0, 0.0), 1.0


@compiled
def ground_surface(zones: F32, x: float, y: float, lod: float) -> Surface:
    """Colour, gloss and own light of the ground at world x, y."""
    red, green, blue, gloss, left = 0.0, 0.0, 0.0, 0.0, 1.0
    for number in range(zones.shape[0] - 1, -1, -1):
        z = zones[number]
        rx, ry = x - z[X], y - z[Y]
        u, v = z[COS] * rx + z[SIN] * ry, z[COS] * ry - z[SIN] * rx
        qx, qy = abs(u) - z[HALF_X] + z[ROUND], abs(v) - z[HALF_Y] + z[ROUND]
        if qx > z[ROUND] + 0.5 or qy > z[ROUND] + 0.5:
            continue
        outside = math.hypot(max(qx, 0.0), max(qy, 0.0)) + min(max(qx, qy), 0.0) - z[ROUND]
        if z[FRAY] > 0:
            outside += z[FRAY] * (
                flat_noise(x * 2.5, y * 2.5, int(z[SEED]))
                + 0.5 * flat_noise(x * 9, y * 9, int(z[SEED]))
                - 0.75
            )
        cover = clamp(0.5 - outside / max(lod, 0.004))
        if cover <= 0:
            continue
        made, share = zone_surface(z, u, v, lod)
        weight = left * cover * share
        red, green, blue, gloss = (
            red + weight * made[0],
            green + weight * made[1],
            blue + weight * made[2],
            gloss + weight * made[3],
        )
        left -= weight
        if left < 0.01:
            break
    return red, green, blue, gloss, 0.0, 0.0, 0.0
