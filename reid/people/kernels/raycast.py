"""The ray caster: what each pixel of an empty scene sees.

`see` finds the nearest solid of each pixel, `darken` the shadows, `paint` the colours. Depth is along the
camera's forward axis.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from reid.people.kernels.compile import compiled
from reid.people.kernels.lighting import (
    AMBIENT,
    HAZE,
    HORIZON,
    NIGHT,
    NUMBERS,
    WET,
    blocked,
    lit,
    material_at,
    mirrored,
    normal_at,
    sky,
)
from reid.people.kernels.noise import lattice
from reid.people.kernels.patterns import clamp, flat_noise, mix
from reid.people.kernels.solids import FAR, MATERIAL, WITH_HOLES, meet
from reid.people.kernels.trace import GROUND, SKY

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
I32 = NDArray[np.int32]


@compiled
def slope(column: float, row: float, lens: F64, table: F32) -> tuple[float, float]:
    """Slopes right and down of the forward axis for a place in the picture.

    Args:
        lens: focal length, half width and half height, table steps per unit of squared radius.
        table: undistorted over distorted radius by squared distorted radius.
    """
    a, b = (column - lens[1]) / lens[0], (row - lens[2]) / lens[0]
    at = (a * a + b * b) * lens[3]
    i = min(int(at), table.shape[0] - 2)
    k = table[i] + (table[i + 1] - table[i]) * (at - i)
    return a * k, b * k


@compiled
def aim(rotation: F64, a: float, b: float) -> tuple[float, float, float]:
    """World direction, one metre of depth long, of slopes a to the right and b down."""
    return (
        rotation[0, 0] * a + rotation[1, 0] * b + rotation[2, 0],
        rotation[0, 1] * a + rotation[1, 1] * b + rotation[2, 1],
        rotation[0, 2] * a + rotation[1, 2] * b + rotation[2, 2],
    )


@compiled
def see(
    solids: F32, spans: I32, nearest: F32, order: I32, eye: F64, rotation: F64, lens: F64, table: F32,
    depth: F32, seen: I32,
) -> None:  # fmt: skip
    """Find the nearest solid of each pixel.

    Args:
        solids: (N, columns); spans: (N, 4) first column, first row, last column, last row (exclusive) of the
            pixels that may see each.
        nearest: (N,) depth before which each cannot be; order: (N,) their numbers, the nearest first.
        eye: (3,) the camera's place; rotation: (3, 3) right, down, forward; lens, table: see `slope`.
        depth: (H, W) written, metres; seen: (H, W) written, number of the solid, `GROUND` or `SKY`.
    """
    rows, columns = depth.shape
    slopes = np.empty((rows, columns, 2), np.float32)
    for row in range(rows):
        for column in range(columns):
            a, b = slope(column + 0.5, row + 0.5, lens, table)
            slopes[row, column, 0], slopes[row, column, 1] = a, b
            dz = rotation[0, 2] * a + rotation[1, 2] * b + rotation[2, 2]
            if dz < -1e-5:
                depth[row, column], seen[row, column] = -eye[2] / dz, GROUND
            else:
                depth[row, column], seen[row, column] = FAR, SKY
    for at in range(order.shape[0]):
        number = order[at]
        solid = solids[number]
        for row in range(spans[number, 1], spans[number, 3]):
            for column in range(spans[number, 0], spans[number, 2]):
                if depth[row, column] < nearest[number]:
                    continue
                dx, dy, dz = aim(rotation, slopes[row, column, 0], slopes[row, column, 1])
                t, _ = meet(solid, eye[0], eye[1], eye[2], dx, dy, dz, depth[row, column])
                if t < depth[row, column]:
                    depth[row, column], seen[row, column] = t, number


@compiled
def see_one(
    solids: F32, seen: I32, row: int, column: int, eye: F64, dx: float, dy: float, dz: float
) -> tuple[float, int]:
    """Depth and number of what one more ray in a pixel sees, among what its 3 x 3 neighbours see."""
    best, found = FAR, SKY
    if dz < -1e-5:
        best, found = -eye[2] / dz, GROUND
    tried = SKY
    for i in range(max(0, row - 1), min(seen.shape[0], row + 2)):
        for j in range(max(0, column - 1), min(seen.shape[1], column + 2)):
            number = seen[i, j]
            if number < 0 or number in (tried, found):
                continue
            tried = number
            t, _ = meet(solids[number], eye[0], eye[1], eye[2], dx, dy, dz, best)
            if t < best:
                best, found = t, number
    return best, found


@compiled
def shadow_of(
    solids: F32, starts: I32, members: I32, grid: F64, light: F32, lamps: F32, eye: F64, rotation: F64,
    lens: F64,
    table: F32, depth: F32, seen: I32, row: int, column: int,
) -> int:  # fmt: skip
    """`blocked` for what a pixel sees."""
    number, t = seen[row, column], depth[row, column]
    if number == SKY:
        return 0
    a, b = slope(column + 0.5, row + 0.5, lens, table)
    dx, dy, dz = aim(rotation, a, b)
    x, y, z = eye[0] + dx * t, eye[1] + dy * t, eye[2] + dz * t
    length = math.sqrt(dx * dx + dy * dy + dz * dz)
    nx, ny, nz = normal_at(solids, number, x, y, z, dx / length, dy / length, dz / length)
    leaf = number >= 0 and int(solids[number, MATERIAL]) < WITH_HOLES
    return blocked(
        solids, starts, members, grid, light, lamps, leaf, x, y, z, nx, ny, nz, lattice(column, row, 7)
    )


@compiled
def darken(
    solids: F32, starts: I32, members: I32, grid: F64, light: F32, lamps: F32, eye: F64, rotation: F64,
    lens: F64,
    table: F32, depth: F32, seen: I32, shadows: I32,
) -> None:  # fmt: skip
    """Find the shadows in the picture: rays from every second pixel, and where those disagree.

    Args:
        depth, seen: (H, W) of `see`; shadows: (H, W) written, bits of `blocked`.
    """
    rows, columns = seen.shape
    for row in range(0, rows, 2):
        for column in range(0, columns, 2):
            shadows[row, column] = shadow_of(
                solids,
                starts,
                members,
                grid,
                light,
                lamps,
                eye,
                rotation,
                lens,
                table,
                depth,
                seen,
                row,
                column,
            )
    for row in range(rows):
        for column in range(columns):
            if row % 2 == 0 and column % 2 == 0:
                continue
            top, left = row - row % 2, column - column % 2
            bottom, right = (
                min(top + 2 * (row % 2), rows - 1 - (rows - 1) % 2),
                min(left + 2 * (column % 2), columns - 1 - (columns - 1) % 2),
            )
            bits, number = shadows[top, left], seen[row, column]
            same = True
            for i, j in ((top, left), (top, right), (bottom, left), (bottom, right)):
                same = same and seen[i, j] == number and shadows[i, j] == bits
            if not same:
                bits = shadow_of(
                    solids,
                    starts,
                    members,
                    grid,
                    light,
                    lamps,
                    eye,
                    rotation,
                    lens,
                    table,
                    depth,
                    seen,
                    row,
                    column,
                )
            shadows[row, column] = bits


@compiled
def is_edge(solids: F32, seen: I32, row: int, column: int) -> bool:
    """Whether a neighbour of a pixel sees another thing; leaves of one tree do not count."""
    number = seen[row, column]
    leaf = number >= 0 and solids[number, MATERIAL] == 0
    for i in range(max(0, row - 1), min(seen.shape[0], row + 2)):
        for j in range(max(0, column - 1), min(seen.shape[1], column + 2)):
            other = seen[i, j]
            if other != number and not (leaf and other >= 0 and solids[other, MATERIAL] == 0):
                return True
    return False


@compiled
def radiance(
    solids: F32, zones: F32, starts: I32, members: I32, grid: F64, light: F32, lamps: F32, contact: F32,
    number: int,
    eye: F64, dx: float, dy: float, dz: float, t: float, focal: float, jitter: float, bits: int,
) -> tuple[float, float, float]:  # fmt: skip
    """Light that comes to the camera along (dx, dy, dz), one metre of depth long, from t metres of depth.

    `bits` of `blocked`, or -1 to find them.
    """
    length = math.sqrt(dx * dx + dy * dy + dz * dz)
    ux, uy, uz = dx / length, dy / length, dz / length
    if number == SKY:
        return sky(ux, uy, uz, light)
    x, y, z = eye[0] + dx * t, eye[1] + dy * t, eye[2] + dz * t
    lod = t / focal
    made, nx, ny, nz = material_at(solids, zones, number, x, y, z, ux, uy, uz, lod, light[NUMBERS, NIGHT])
    leaf = number >= 0 and int(solids[number, MATERIAL]) < WITH_HOLES
    if bits < 0:
        bits = blocked(solids, starts, members, grid, light, lamps, leaf, x, y, z, nx, ny, nz, jitter)
    red, green, blue = lit(light, lamps, contact, grid, bits, leaf, number < 0, x, y, z, nx, ny, nz)
    wet = light[NUMBERS, WET] if nz > 0.7 and z < 0.5 else 0.0
    damp = 1 - 0.45 * wet
    red, green, blue = (
        made[0] * red * damp + made[4],
        made[1] * green * damp + made[5],
        made[2] * blue * damp + made[6],
    )
    puddle = wet * (0.25 + 0.5 * clamp(flat_noise(x * 0.7, y * 0.7, 4) * 3 - 1.6)) if wet > 0 else 0.0
    gloss = max(made[3], 0.8 * puddle)
    rough = 0.03 * (1 - gloss) + 0.12 * wet
    if gloss > 0.09:
        facing = -(ux * nx + uy * ny + uz * nz)
        share = gloss * (0.05 + 0.95 * (1 - clamp(facing)) ** 4.0)
        mx = ux + 2 * facing * nx + rough * (jitter - 0.5)
        my = uy + 2 * facing * ny + rough * (lattice(int(x * 200), int(y * 200), int(z * 200)) - 0.5)
        mz = uz + 2 * facing * nz
        if share > 0.012:
            k = clamp(mz * 3 + 0.3)  # what is too faint to follow: sky above, the dark street below
            r = mix(light[AMBIENT, 0] * 0.15, light[HORIZON, 0], k)
            g = mix(light[AMBIENT, 1] * 0.15, light[HORIZON, 1], k)
            b = mix(light[AMBIENT, 2] * 0.15, light[HORIZON, 2], k)
            followed = clamp((share - 0.05) * 25)
            if followed > 0:
                r2, g2, b2 = mirrored(
                    solids, zones, starts, members, grid, light, lamps, contact, x + nx * 0.03,
                    y + ny * 0.03, z + nz * 0.03,
                    mx, my, mz, lod,
                )  # fmt: skip
                r, g, b = mix(r, r2, followed), mix(g, g2, followed), mix(b, b2, followed)
            red, green, blue = (
                red * (1 - share) + r * share,
                green * (1 - share) + g * share,
                blue * (1 - share) + b * share,
            )
    haze = 1 - math.exp(-light[NUMBERS, HAZE] * t * length)
    return (
        red + (light[HORIZON, 0] * 0.8 - red) * haze,
        green + (light[HORIZON, 1] * 0.8 - green) * haze,
        blue + (light[HORIZON, 2] * 0.8 - blue) * haze,
    )


@compiled
def paint(
    solids: F32, zones: F32, starts: I32, members: I32, grid: F64, light: F32, lamps: F32, contact: F32,
    eye: F64,
    rotation: F64, lens: F64, table: F32, depth: F32, seen: I32, shadows: I32, hard: bool, picture: F32,
) -> None:  # fmt: skip
    """Light what `see` found; 2 x 2 rays a pixel along edges.

    Args:
        depth, seen: (H, W) of `see`; shadows: (H, W) of `darken`; hard: whether edges need their own.
        picture: (H, W, 3) linear RGB, written.
    """
    for row in range(seen.shape[0]):
        for column in range(seen.shape[1]):
            number, t = seen[row, column], depth[row, column]
            jitter = lattice(column, row, 7)
            rays = 4 if is_edge(solids, seen, row, column) else 1
            red, green, blue = 0.0, 0.0, 0.0
            for k in range(rays):
                off_x, off_y = (0.5, 0.5) if rays == 1 else (0.25 + 0.5 * (k % 2), 0.25 + 0.5 * (k // 2))
                a, b = slope(column + off_x, row + off_y, lens, table)
                dx, dy, dz = aim(rotation, a, b)
                if rays == 4:
                    t, number = see_one(solids, seen, row, column, eye, dx, dy, dz)
                bits = shadows[row, column] if number == seen[row, column] or not hard else -1
                r, g, c = radiance(
                    solids, zones, starts, members, grid, light, lamps, contact, number, eye, dx, dy, dz,
                    t, lens[0],
                    jitter, bits,
                )  # fmt: skip
                red, green, blue = red + r, green + g, blue + c
            picture[row, column, 0], picture[row, column, 1], picture[row, column, 2] = (
                red / rays,
                green / rays,
                blue / rays,
            )
