"""Light that arrives at a place, and what it looks like there: sun, sky, lamps, shadows, mirrors, sky."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from reid.people.kernels.compile import compiled
from reid.people.kernels.ground import ground_surface
from reid.people.kernels.patterns import Surface, clamp, flat_noise
from reid.people.kernels.solids import (
    BOTTOM,
    BOX,
    COS,
    ELLIPSOID,
    FAR,
    HALF_X,
    KIND,
    MATERIAL,
    SIN,
    TOP,
    X,
    Y,
    meet,
    normal_of,
)
from reid.people.kernels.surfaces import surface
from reid.people.kernels.trace import GROUND, SKY, contact_at, trace

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
I32 = NDArray[np.int32]

# Rows of the light table, each a vector of three.
DIRECTION, COLOUR, AMBIENT, BOUNCE, ZENITH, HORIZON, NUMBERS = range(7)
# Entries of its last row.
HAZE, NIGHT, WET = range(3)
# Columns of the lamp table: place, colour, axis, then exponent and squared reach.
FOCUS, REACH = 9, 10
LAMP_COLUMNS = 11

_SUN_M = 90.0  # farther things cast no shadow
_FAINT = 0.02  # light that needs no shadow
_LEAK = 0.06  # what reaches the shadow of a lamp


@compiled
def sky(dx: float, dy: float, dz: float, light: F32) -> tuple[float, float, float]:
    """Radiance of the sky: haze at the horizon, thin clouds."""
    up = clamp(dz * 2.2)
    flat = 1.0 / (max(dz, 0.0) + 0.25)
    cloud = 0.6 * flat_noise(dx * flat * 1.5, dy * flat * 1.5, 3) + 0.4 * flat_noise(
        dx * flat * 4, dy * flat * 4, 8
    )
    k = clamp(cloud * 2.4 - 0.9) * 0.6
    red = light[HORIZON, 0] + (light[ZENITH, 0] - light[HORIZON, 0]) * up
    green = light[HORIZON, 1] + (light[ZENITH, 1] - light[HORIZON, 1]) * up
    blue = light[HORIZON, 2] + (light[ZENITH, 2] - light[HORIZON, 2]) * up
    white = max(red, green, blue) * 1.05
    return red + (white - red) * k, green + (white - green) * k, blue + (white - blue) * k


@compiled
def face_at(s: F32, x: float, y: float, z: float, dx: float, dy: float, dz: float) -> int:
    """The face of a solid that a ray of unit direction has met at a place."""
    if int(s[KIND]) == ELLIPSOID:
        return 2
    back = 0.5  # from in front of the surface, so that the same face is met again
    _, face = meet(s, x - dx * back, y - dy * back, z - dz * back, dx, dy, dz, FAR)
    return 2 if face < 0 else face


@compiled
def normal_at(
    solids: F32, number: int, x: float, y: float, z: float, dx: float, dy: float, dz: float
) -> tuple[float, float, float]:
    """World normal where a ray has met a solid or the ground."""
    if number < 0:
        return 0.0, 0.0, 1.0
    s = solids[number]
    rx, ry = x - s[X], y - s[Y]
    cos, sin = s[COS], s[SIN]
    face = face_at(s, x, y, z, dx, dy, dz)
    nx, ny, nz = normal_of(s, face, cos * rx + sin * ry, cos * ry - sin * rx, z - s[BOTTOM])
    return cos * nx - sin * ny, sin * nx + cos * ny, nz


@compiled
def material_at(
    solids: F32, zones: F32, number: int, x: float, y: float, z: float, dx: float, dy: float, dz: float,
    lod: float,
    night: float,
) -> tuple[Surface, float, float, float]:  # fmt: skip
    """Surface and world normal where a ray (dx, dy, dz) has met a solid or the ground."""
    if number < 0:
        return ground_surface(zones, x, y, lod / max(0.12, -dz)), 0.0, 0.0, 1.0
    s = solids[number]
    rx, ry, rz = x - s[X], y - s[Y], z - s[BOTTOM]
    cos, sin = s[COS], s[SIN]
    lx, ly = cos * rx + sin * ry, cos * ry - sin * rx
    face = face_at(s, x, y, z, dx, dy, dz)
    nx, ny, nz = normal_of(s, face, lx, ly, rz)
    facing = max(0.15, abs((cos * dx + sin * dy) * nx + (cos * dy - sin * dx) * ny + dz * nz))
    u, v = lx, rz  # u to the right of somebody who stands before the face
    if face == 2 or face == 3:
        u = ly if face == 2 else -ly
    elif face == 4:
        u = -lx
    elif face < 2:
        v = ly
    if int(s[KIND]) != BOX and face == 2:
        u = math.atan2(ly, lx) * s[HALF_X]
    made = surface(s, int(s[MATERIAL]), face, lx, ly, rz, u, v, s[TOP] - s[BOTTOM], lod / facing, night)
    return made, cos * nx - sin * ny, sin * nx + cos * ny, nz


@compiled
def lamp_at(
    lamps: F32, k: int, x: float, y: float, z: float, nx: float, ny: float, nz: float, leaf: bool
) -> tuple[float, float, float, float, float, float]:
    """Direction to a lamp, distance, strength, and the share of it that a surface catches."""
    wx, wy, wz = lamps[k, 0] - x, lamps[k, 1] - y, lamps[k, 2] - z
    squared = wx * wx + wy * wy + wz * wz + 0.25
    window = 1 - squared / lamps[k, REACH]
    if window <= 0:
        return 0.0, 0.0, 1.0, 1.0, 0.0, 0.0
    away = math.sqrt(squared)
    wx, wy, wz = wx / away, wy / away, wz / away
    spread = -(wx * lamps[k, 6] + wy * lamps[k, 7] + wz * lamps[k, 8])
    if spread <= 0:
        return wx, wy, wz, away, 0.0, 0.0
    strength = spread ** lamps[k, FOCUS] / squared * window * window
    facing = nx * wx + ny * wy + nz * wz
    if leaf:
        facing = 0.3 + 0.7 * abs(facing)
    return wx, wy, wz, away, strength, strength * max(0.0, facing)


@compiled
def blocked(
    solids: F32, starts: I32, members: I32, grid: F64, light: F32, lamps: F32, leaf: bool, x: float,
    y: float, z: float,
    nx: float, ny: float, nz: float, jitter: float,
) -> int:  # fmt: skip
    """Which lights a thing keeps from a place: bit 0 the sun, bit k + 1 lamp k (the first thirty)."""
    bits = 0
    px, py, pz = x + nx * 0.02, y + ny * 0.02, z + nz * 0.02
    sx, sy, sz = light[DIRECTION, 0], light[DIRECTION, 1], light[DIRECTION, 2]
    facing = nx * sx + ny * sy + nz * sz
    if (facing > 0 or leaf) and light[COLOUR, 0] > 0.01:
        off = 0.012 * (jitter - 0.5)
        t, _ = trace(solids, starts, members, grid, px, py, pz, sx + off, sy - off, sz, _SUN_M, True)
        if t < FAR:
            bits |= 1
    for k in range(min(30, lamps.shape[0])):
        wx, wy, wz, away, _, share = lamp_at(lamps, k, px, py, pz, nx, ny, nz, leaf)
        if share * lamps[k, 4] > _FAINT:
            t, _ = trace(solids, starts, members, grid, px, py, pz, wx, wy, wz, away - 0.45, True)
            if t < FAR:
                bits |= 2 << k
    return bits


@compiled
def lit(
    light: F32, lamps: F32, contact: F32, grid: F64, bits: int, leaf: bool, grounded: bool, x: float,
    y: float, z: float,
    nx: float, ny: float, nz: float,
) -> tuple[float, float, float]:  # fmt: skip
    """Light that arrives at a surface from sun, sky and lamps; `bits` of `blocked`."""
    up = 0.5 + 0.5 * nz
    open_sky = contact_at(contact, grid, x + nx * 0.3, y + ny * 0.3)
    if not grounded:
        open_sky = 1 - (1 - open_sky) * clamp(1.2 - z * 0.6)
        open_sky *= 0.62 + 0.38 * clamp(z / 0.9) if abs(nz) < 0.5 else (1.0 if nz > 0 else 0.55)
    red = (light[AMBIENT, 0] * up + light[BOUNCE, 0] * (1 - up)) * open_sky
    green = (light[AMBIENT, 1] * up + light[BOUNCE, 1] * (1 - up)) * open_sky
    blue = (light[AMBIENT, 2] * up + light[BOUNCE, 2] * (1 - up)) * open_sky
    facing = nx * light[DIRECTION, 0] + ny * light[DIRECTION, 1] + nz * light[DIRECTION, 2]
    if leaf:
        facing = 0.3 + 0.7 * facing
    if facing > 0 and not bits & 1:
        red, green, blue = (
            red + light[COLOUR, 0] * facing,
            green + light[COLOUR, 1] * facing,
            blue + light[COLOUR, 2] * facing,
        )
    px, py, pz = x + nx * 0.02, y + ny * 0.02, z + nz * 0.02
    for k in range(lamps.shape[0]):
        _, _, _, _, strength, share = lamp_at(lamps, k, px, py, pz, nx, ny, nz, leaf)
        if k < 30 and bits & (2 << k):
            share *= _LEAK
        share += 0.1 * strength * open_sky
        red, green, blue = red + lamps[k, 3] * share, green + lamps[k, 4] * share, blue + lamps[k, 5] * share
    return red, green, blue


@compiled
def mirrored(
    solids: F32, zones: F32, starts: I32, members: I32, grid: F64, light: F32, lamps: F32, contact: F32,
    x: float, y: float, z: float, dx: float, dy: float, dz: float, lod: float,
) -> tuple[float, float, float]:  # fmt: skip
    """What a smooth surface at a place mirrors, seen along (dx, dy, dz), without shadows."""
    t, number = trace(solids, starts, members, grid, x, y, z, dx, dy, dz, 60.0, False)
    if number < 0 and dz < -1e-3:
        t = z / -dz
        number = GROUND
    if number == SKY or (number == GROUND and t > 60.0):
        red, green, blue = sky(dx, dy, max(dz, 0.0), light)
        return red, green, blue
    px, py, pz = x + dx * t, y + dy * t, z + dz * t
    made, nx, ny, nz = material_at(
        solids, zones, number, px, py, pz, dx, dy, dz, max(lod, 0.12), light[NUMBERS, NIGHT]
    )
    red, green, blue = lit(light, lamps, contact, grid, 0, False, number < 0, px, py, pz, nx, ny, nz)
    return made[0] * red + made[4], made[1] * green + made[5], made[2] * blue + made[6]
