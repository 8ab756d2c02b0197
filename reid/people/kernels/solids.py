"""Solids that rays meet: boxes that may narrow upwards, upright and lying cylinders, ellipsoids.

A solid is one row of a float32 table; the columns are named here. Fences and foliage have holes.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from reid.people.kernels.compile import compiled
from reid.people.kernels.noise import noise

F32 = NDArray[np.float32]
Meeting = tuple[float, float, int]

# Kinds of solid. A wheel is a cylinder that lies along its own x axis.
BOX, CYLINDER, ELLIPSOID, WHEEL = range(4)

# Columns. Metres; the own axes are the world's turned by the angle of COS and SIN; HALF_X and HALF_Y are half
# sizes (radius and half length of cylinders). SHRINK_X narrows the top on both sides, FRONT at +y, BACK at
# -y.
KIND, X, Y, BOTTOM, TOP, COS, SIN, HALF_X, HALF_Y, SHRINK_X, FRONT, BACK, MATERIAL = range(13)
RED, GREEN, BLUE, RED2, GREEN2, BLUE2, P0, P1, SEED = range(13, 22)
COLUMNS = 22

# Materials that have holes come first.
FOLIAGE, HEDGE, FENCE = range(3)
WITH_HOLES = 3

FAR = 1e9
_NEAR = 0.04


@compiled
def narrow(enter: float, leave: float, face: int, along: float, above: float, side: int) -> Meeting:
    """Cut a span by a half space: `above` is the start's height over its plane, `along` the ray's rise."""
    if along < -1e-9:
        t = -above / along
        return (t, leave, side) if t > enter else (enter, leave, face)
    if along > 1e-9:
        return enter, min(leave, -above / along), face
    return (enter, leave, face) if above <= 0 else (FAR, -FAR, face)


@compiled
def through_box(s: F32, ox: float, oy: float, oz: float, dx: float, dy: float, dz: float) -> Meeting:
    """Entry, exit and face of entry of a ray, own axes; 0 bottom, 1 top, 2 +x, 3 -x, 4 +y, 5 -y."""
    high = s[TOP] - s[BOTTOM]
    enter, leave, face = narrow(-FAR, FAR, -1, -dz, -oz, 0)
    enter, leave, face = narrow(enter, leave, face, dz, oz - high, 1)
    if enter >= leave:
        return FAR, -FAR, -1
    lean = s[SHRINK_X] / high
    rise, above = lean * dz, lean * oz - s[HALF_X]
    enter, leave, face = narrow(enter, leave, face, dx + rise, ox + above, 2)
    enter, leave, face = narrow(enter, leave, face, rise - dx, above - ox, 3)
    if enter >= leave:
        return FAR, -FAR, -1
    ahead, behind = s[FRONT] / high, s[BACK] / high
    enter, leave, face = narrow(enter, leave, face, dy + ahead * dz, oy + ahead * oz - s[HALF_Y], 4)
    return narrow(enter, leave, face, behind * dz - dy, behind * oz - oy - s[HALF_Y], 5)


@compiled
def through_round(a: float, b: float, c: float) -> tuple[float, float]:
    """Both roots of a t^2 + 2 b t + c = 0, or an empty span."""
    under = b * b - a * c
    if under <= 0 or a < 1e-12:
        return FAR, -FAR
    root = math.sqrt(under)
    return (-b - root) / a, (-b + root) / a


@compiled
def through_cylinder(
    s: F32, lies: bool, ox: float, oy: float, oz: float, dx: float, dy: float, dz: float
) -> Meeting:
    """Entry, exit and face (2 the round side, 1 an end) of a ray and a cylinder."""
    radius = s[HALF_X]
    if lies:
        oz = oz - radius
        enter, leave = through_round(
            dy * dy + dz * dz, oy * dy + oz * dz, oy * oy + oz * oz - radius * radius
        )
        o, d, low, up = ox, dx, -s[HALF_Y], s[HALF_Y]
    else:
        enter, leave = through_round(
            dx * dx + dy * dy, ox * dx + oy * dy, ox * ox + oy * oy - radius * radius
        )
        o, d, low, up = oz, dz, 0.0, s[TOP] - s[BOTTOM]
        if dx * dx + dy * dy < 1e-12 and ox * ox + oy * oy < radius * radius:
            enter, leave = -FAR, FAR
    face = 2
    if abs(d) < 1e-9:
        return (enter, leave, face) if low < o < up else (FAR, -FAR, -1)
    first, second = (low - o) / d, (up - o) / d
    if first > second:
        first, second = second, first
    if first > enter:
        enter, face = first, 1
    return enter, min(leave, second), face


@compiled
def has_matter(s: F32, x: float, y: float, z: float, facing: float) -> bool:
    """Whether a point of the surface (own axes) is more than a hole; `facing` is |cosine| to the ray."""
    material = int(s[MATERIAL])
    if material >= WITH_HOLES:
        return True
    if material == FENCE:
        along = x if s[HALF_X] > s[HALF_Y] else y
        if z > s[TOP] - s[BOTTOM] - 0.06 or 0.08 < z < 0.13:
            return True
        across = (along + 50.0) / s[P0]
        return bool(across - math.floor(across) < s[P1] / s[P0])
    size = s[P0]
    grown = noise(x * size + s[SEED], y * size + s[SEED], z * size)
    rim = 0.18 if material == HEDGE else 0.62
    return bool(grown > rim * (1.0 - facing) ** 1.5 + s[P1])


@compiled
def meet(
    s: F32, ox: float, oy: float, oz: float, dx: float, dy: float, dz: float, limit: float
) -> tuple[float, int]:
    """Where a ray of world coordinates first meets a solid before `limit`.

    Returns:
        (t, face): FAR and -1 for a miss. A ray that starts inside meets only the far side of holes.
    """
    rx, ry = ox - s[X], oy - s[Y]
    cos, sin = s[COS], s[SIN]
    lx, ly, lz = cos * rx + sin * ry, cos * ry - sin * rx, oz - s[BOTTOM]
    ex, ey = cos * dx + sin * dy, cos * dy - sin * dx
    kind = int(s[KIND])
    if kind == BOX:
        enter, leave, face = through_box(s, lx, ly, lz, ex, ey, dz)
    elif kind == ELLIPSOID:
        hz = 0.5 * (s[TOP] - s[BOTTOM])
        ax, ay, az = lx / s[HALF_X], ly / s[HALF_Y], (lz - hz) / hz
        bx, by, bz = ex / s[HALF_X], ey / s[HALF_Y], dz / hz
        enter, leave = through_round(
            bx * bx + by * by + bz * bz, ax * bx + ay * by + az * bz, ax * ax + ay * ay + az * az - 1.0
        )
        face = 2
    else:
        enter, leave, face = through_cylinder(s, kind == WHEEL, lx, ly, lz, ex, ey, dz)
    if enter >= leave or leave < _NEAR or enter >= limit:
        return FAR, -1
    if int(s[MATERIAL]) >= WITH_HOLES:
        return (enter, face) if enter > _NEAR else (FAR, -1)
    length = math.sqrt(ex * ex + ey * ey + dz * dz)
    for t in (enter, leave):
        if _NEAR < t < limit:
            px, py, pz = lx + t * ex, ly + t * ey, lz + t * dz
            facing = 1.0
            if kind == ELLIPSOID:
                nx, ny, nz = normal_of(s, 2, px, py, pz)
                facing = abs(nx * ex + ny * ey + nz * dz) / length
            if has_matter(s, px, py, pz, facing):
                return t, face
    return FAR, -1


@compiled
def normal_of(s: F32, face: int, x: float, y: float, z: float) -> tuple[float, float, float]:
    """Unit normal, own axes, at a point of the surface (own axes)."""
    kind = int(s[KIND])
    nx, ny, nz = 0.0, 0.0, 0.0
    high = s[TOP] - s[BOTTOM]
    if kind == BOX:
        if face == 0:
            nz = -1.0
        elif face == 1:
            nz = 1.0
        elif face == 2 or face == 3:
            nx, nz = (1.0 if face == 2 else -1.0), s[SHRINK_X] / high
        elif face == 4:
            ny, nz = 1.0, s[FRONT] / high
        else:
            ny, nz = -1.0, s[BACK] / high
    elif kind == ELLIPSOID:
        nx, ny, nz = x / s[HALF_X] ** 2, y / s[HALF_Y] ** 2, (z - 0.5 * high) / (0.5 * high) ** 2
    elif kind == CYLINDER:
        if face == 1:
            nz = 1.0 if z > 0.5 * high else -1.0
        else:
            nx, ny = x, y
    elif face == 1:
        nx = 1.0 if x > 0 else -1.0
    else:
        ny, nz = y, z - s[HALF_X]
    length = 1.0 / (math.sqrt(nx * nx + ny * ny + nz * nz) + 1e-12)
    return nx * length, ny * length, nz * length
