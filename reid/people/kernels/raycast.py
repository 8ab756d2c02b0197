"""The ray caster: what each pixel of an empty scene sees, and how the light falls on it.

`see` finds the nearest solid of each pixel; `paint` lights them. Depth is along the camera's
forward axis. Shadow and mirror rays walk over a grid of cells on the ground (`neighbours`).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from reid.people.kernels.compile import compiled
from reid.people.kernels.ground import ground_surface
from reid.people.kernels.noise import lattice
from reid.people.kernels.patterns import Surface, clamp, flat_noise, mix
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
    WITH_HOLES,
    X,
    Y,
    meet,
    normal_of,
)
from reid.people.kernels.surfaces import surface

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
I32 = NDArray[np.int32]

GROUND, SKY = -1, -2  # in place of a solid's number

# Rows of the light table, each a vector of three.
DIRECTION, COLOUR, AMBIENT, BOUNCE, ZENITH, HORIZON, NUMBERS = range(7)
# Entries of its last row.
HAZE, NIGHT, WET = range(3)
# Columns of the lamp table: place, colour, axis, then exponent and squared reach.
FOCUS, REACH = 9, 10
LAMP_COLUMNS = 11


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
def see(solids: F32, spans: I32, eye: F64, rotation: F64, lens: F64, table: F32, depth: F32, seen: I32) -> None:
    """Find the nearest solid of each pixel.

    Args:
        solids: (N, columns); spans: (N, 4) first column, first row, last column, last row (exclusive) of the
            pixels that may see each.
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
    for number in range(solids.shape[0]):
        solid = solids[number]
        for row in range(spans[number, 1], spans[number, 3]):
            for column in range(spans[number, 0], spans[number, 2]):
                dx, dy, dz = aim(rotation, slopes[row, column, 0], slopes[row, column, 1])
                t, _ = meet(solid, eye[0], eye[1], eye[2], dx, dy, dz, depth[row, column])
                if t < depth[row, column]:
                    depth[row, column], seen[row, column] = t, number


@compiled
def see_one(solids: F32, seen: I32, row: int, column: int, eye: F64, dx: float, dy: float, dz: float) -> tuple[float, int]:
    """Depth and number of what one more ray in a pixel sees, among what its 3 x 3 neighbours see."""
    best, found = FAR, SKY
    if dz < -1e-5:
        best, found = -eye[2] / dz, GROUND
    tried = SKY
    for i in range(max(0, row - 1), min(seen.shape[0], row + 2)):
        for j in range(max(0, column - 1), min(seen.shape[1], column + 2)):
            number = seen[i, j]
            if number < 0 or number == tried or number == found:
                continue
            tried = number
            t, _ = meet(solids[number], eye[0], eye[1], eye[2], dx, dy, dz, best)
            if t < best:
                best, found = t, number
    return best, found


@compiled
def trace(
    solids: F32, starts: I32, members: I32, grid: F64, ox: float, oy: float, oz: float, dx: float, dy: float,
    dz: float, limit: float, anything: bool,
) -> tuple[float, int]:  # fmt: skip
    """Follow a ray over the grid.

    Args:
        solids: (N, columns).
        starts, members: solids of cell c are members[starts[c] : starts[c + 1]].
        grid: x and y of the first corner, cell size, columns, rows, height of the highest solid.
        limit: metres (direction of unit length); anything: stop at the first solid, for shadows.

    Returns:
        (t, number of the solid); FAR and `SKY` when nothing is met.
    """
    size, columns, rows = grid[2], int(grid[3]), int(grid[4])
    i, j = int(math.floor((ox - grid[0]) / size)), int(math.floor((oy - grid[1]) / size))
    step_x, step_y = (1 if dx > 0 else -1), (1 if dy > 0 else -1)
    next_x = FAR if abs(dx) < 1e-9 else (grid[0] + (i + (dx > 0)) * size - ox) / dx
    next_y = FAR if abs(dy) < 1e-9 else (grid[1] + (j + (dy > 0)) * size - oy) / dy
    gap_x = FAR if abs(dx) < 1e-9 else size / abs(dx)
    gap_y = FAR if abs(dy) < 1e-9 else size / abs(dy)
    best, found, entered = limit, SKY, 0.0
    while 0 <= i < columns and 0 <= j < rows and entered < best and oz + dz * entered < grid[5]:
        cell = j * columns + i
        for k in range(starts[cell], starts[cell + 1]):
            t, _ = meet(solids[members[k]], ox, oy, oz, dx, dy, dz, best)
            if t < best:
                best, found = t, members[k]
                if anything:
                    return best, found
        if next_x < next_y:
            entered, next_x, i = next_x, next_x + gap_x, i + step_x
        else:
            entered, next_y, j = next_y, next_y + gap_y, j + step_y
    return (best, found) if found >= 0 else (FAR, SKY)


@compiled
def sky(dx: float, dy: float, dz: float, light: F32) -> tuple[float, float, float]:
    """Radiance of the sky: haze at the horizon, thin clouds."""
    up = clamp(dz * 2.2)
    flat = 1.0 / (max(dz, 0.0) + 0.25)
    cloud = 0.6 * flat_noise(dx * flat * 1.5, dy * flat * 1.5, 3) + 0.4 * flat_noise(dx * flat * 4, dy * flat * 4, 8)
    k = clamp(cloud * 2.4 - 0.9) * 0.6
    red = light[HORIZON, 0] + (light[ZENITH, 0] - light[HORIZON, 0]) * up
    green = light[HORIZON, 1] + (light[ZENITH, 1] - light[HORIZON, 1]) * up
    blue = light[HORIZON, 2] + (light[ZENITH, 2] - light[HORIZON, 2]) * up
    white = max(red, green, blue) * 1.05
    return red + (white - red) * k, green + (white - green) * k, blue + (white - blue) * k


@compiled
def contact_at(contact: F32, grid: F64, x: float, y: float) -> float:
    """Openness of the ground to the sky, bilinear: 0..1; cells of `grid` are divided to the map's size."""
    wide = grid[3] * grid[2]
    scale = contact.shape[1] / wide
    u, v = (x - grid[0]) * scale - 0.5, (y - grid[1]) * scale - 0.5
    if not (0 <= u < contact.shape[1] - 1 and 0 <= v < contact.shape[0] - 1):
        return 1.0
    i, j = int(u), int(v)
    du, dv = u - i, v - j
    above = contact[j, i] * (1 - du) + contact[j, i + 1] * du
    below = contact[j + 1, i] * (1 - du) + contact[j + 1, i + 1] * du
    return above * (1 - dv) + below * dv


@compiled
def material_at(
    solids: F32, zones: F32, number: int, x: float, y: float, z: float, dx: float, dy: float, dz: float, lod: float,
    night: float,
) -> tuple[Surface, float, float, float]:  # fmt: skip
    """Surface and world normal where a ray (dx, dy, dz) has met a solid or the ground."""
    if number < 0:
        return ground_surface(zones, x, y, lod / max(0.12, -dz)), 0.0, 0.0, 1.0
    s = solids[number]
    rx, ry, rz = x - s[X], y - s[Y], z - s[BOTTOM]
    cos, sin = s[COS], s[SIN]
    lx, ly = cos * rx + sin * ry, cos * ry - sin * rx
    face = 2
    if int(s[KIND]) != ELLIPSOID:
        back = 0.5  # from in front of the surface, so that the same face is met again
        _, face = meet(s, x - dx * back, y - dy * back, z - dz * back, dx, dy, dz, FAR)
        face = 2 if face < 0 else face
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
def lit(
    solids: F32, starts: I32, members: I32, grid: F64, light: F32, lamps: F32, contact: F32, shadows: bool, leaf: bool,
    grounded: bool, x: float, y: float, z: float, nx: float, ny: float, nz: float, jitter: float,
) -> tuple[float, float, float]:  # fmt: skip
    """Light that arrives at a surface: sun, sky, lamps, with their shadows."""
    up = 0.5 + 0.5 * nz
    open_sky = contact_at(contact, grid, x + nx * 0.3, y + ny * 0.3)
    if not grounded:
        open_sky = 1 - (1 - open_sky) * clamp(1.2 - z * 0.6)
        open_sky *= 0.62 + 0.38 * clamp(z / 0.9) if abs(nz) < 0.5 else (1.0 if nz > 0 else 0.55)
    red = (light[AMBIENT, 0] * up + light[BOUNCE, 0] * (1 - up)) * open_sky
    green = (light[AMBIENT, 1] * up + light[BOUNCE, 1] * (1 - up)) * open_sky
    blue = (light[AMBIENT, 2] * up + light[BOUNCE, 2] * (1 - up)) * open_sky
    px, py, pz = x + nx * 0.02, y + ny * 0.02, z + nz * 0.02
    sx, sy, sz = light[DIRECTION, 0], light[DIRECTION, 1], light[DIRECTION, 2]
    facing = nx * sx + ny * sy + nz * sz
    if leaf:
        facing = 0.3 + 0.7 * facing
    if facing > 0 and light[COLOUR, 0] > 0.01:
        share = facing
        if shadows:
            off = 0.012 * (jitter - 0.5)
            t, _ = trace(solids, starts, members, grid, px, py, pz, sx + off, sy - off, sz, 90.0, True)
            share *= 0.0 if t < FAR else 1.0
        red, green, blue = red + light[COLOUR, 0] * share, green + light[COLOUR, 1] * share, blue + light[COLOUR, 2] * share
    for k in range(lamps.shape[0]):
        wx, wy, wz = lamps[k, 0] - px, lamps[k, 1] - py, lamps[k, 2] - pz
        squared = wx * wx + wy * wy + wz * wz + 0.25
        window = 1 - squared / lamps[k, REACH]
        if window <= 0:
            continue
        away = math.sqrt(squared)
        wx, wy, wz = wx / away, wy / away, wz / away
        facing = nx * wx + ny * wy + nz * wz
        if leaf:
            facing = 0.3 + 0.7 * abs(facing)
        spread = -(wx * lamps[k, 6] + wy * lamps[k, 7] + wz * lamps[k, 8])
        if spread <= 0:
            continue
        strength = spread ** lamps[k, FOCUS] / squared * window * window
        bounced = 0.1 * strength * open_sky
        share = strength * max(0.0, facing)
        if shadows and facing > 0 and share * lamps[k, 4] > 0.02:
            t, _ = trace(solids, starts, members, grid, px, py, pz, wx, wy, wz, away - 0.45, True)
            share *= 0.06 if t < FAR else 1.0
        share += bounced
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
    made, nx, ny, nz = material_at(solids, zones, number, px, py, pz, dx, dy, dz, max(lod, 0.12), light[NUMBERS, NIGHT])
    red, green, blue = lit(
        solids, starts, members, grid, light, lamps, contact, False, False, number < 0, px, py, pz, nx, ny, nz, 0.5
    )
    return made[0] * red + made[4], made[1] * green + made[5], made[2] * blue + made[6]


@compiled
def radiance(
    solids: F32, zones: F32, starts: I32, members: I32, grid: F64, light: F32, lamps: F32, contact: F32, number: int,
    eye: F64, dx: float, dy: float, dz: float, t: float, focal: float, jitter: float,
) -> tuple[float, float, float]:  # fmt: skip
    """Light that comes to the camera along (dx, dy, dz), one metre of depth long, from t metres of depth."""
    length = math.sqrt(dx * dx + dy * dy + dz * dz)
    ux, uy, uz = dx / length, dy / length, dz / length
    if number == SKY:
        return sky(ux, uy, uz, light)
    x, y, z = eye[0] + dx * t, eye[1] + dy * t, eye[2] + dz * t
    lod = t / focal
    made, nx, ny, nz = material_at(solids, zones, number, x, y, z, ux, uy, uz, lod, light[NUMBERS, NIGHT])
    leaf = number >= 0 and int(solids[number, MATERIAL]) < WITH_HOLES
    red, green, blue = lit(
        solids, starts, members, grid, light, lamps, contact, True, leaf, number < 0, x, y, z, nx, ny, nz, jitter
    )
    wet = light[NUMBERS, WET] if nz > 0.7 and z < 0.5 else 0.0
    damp = 1 - 0.45 * wet
    red, green, blue = made[0] * red * damp + made[4], made[1] * green * damp + made[5], made[2] * blue * damp + made[6]
    puddle = wet * (0.35 + 0.65 * clamp(flat_noise(x * 0.8, y * 0.8, 4) * 3 - 1.2)) if wet > 0 else 0.0
    gloss = max(made[3], 0.8 * puddle)
    if gloss > 0.09:
        facing = -(ux * nx + uy * ny + uz * nz)
        share = gloss * (0.05 + 0.95 * (1 - clamp(facing)) ** 4.0)
        rough = 0.03 * (1 - gloss)
        mx = ux + 2 * facing * nx + rough * (jitter - 0.5)
        my = uy + 2 * facing * ny + rough * (lattice(int(x * 200), int(y * 200), int(z * 200)) - 0.5)
        mz = uz + 2 * facing * nz
        if share > 0.012:
            if share > 0.07:
                r, g, b = mirrored(
                    solids, zones, starts, members, grid, light, lamps, contact, x + nx * 0.03, y + ny * 0.03, z + nz * 0.03,
                    mx, my, mz, lod,
                )  # fmt: skip
            else:  # too faint to follow: sky above, the dark street below
                k = clamp(mz * 3 + 0.3)
                r = mix(light[AMBIENT, 0] * 0.15, light[HORIZON, 0], k)
                g = mix(light[AMBIENT, 1] * 0.15, light[HORIZON, 1], k)
                b = mix(light[AMBIENT, 2] * 0.15, light[HORIZON, 2], k)
            red, green, blue = red * (1 - share) + r * share, green * (1 - share) + g * share, blue * (1 - share) + b * share
    haze = 1 - math.exp(-light[NUMBERS, HAZE] * t * length)
    return (
        red + (light[HORIZON, 0] * 0.8 - red) * haze,
        green + (light[HORIZON, 1] * 0.8 - green) * haze,
        blue + (light[HORIZON, 2] * 0.8 - blue) * haze,
    )


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
def paint(
    solids: F32, zones: F32, starts: I32, members: I32, grid: F64, light: F32, lamps: F32, contact: F32, eye: F64,
    rotation: F64, lens: F64, table: F32, depth: F32, seen: I32, picture: F32,
) -> None:  # fmt: skip
    """Light what `see` found; 2 x 2 rays a pixel along edges.

    Args:
        depth, seen: (H, W) of `see`.
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
                r, g, c = radiance(
                    solids, zones, starts, members, grid, light, lamps, contact, number, eye, dx, dy, dz, t, lens[0], jitter
                )
                red, green, blue = red + r, green + g, blue + c
            picture[row, column, 0], picture[row, column, 1], picture[row, column, 2] = red / rays, green / rays, blue / rays


@compiled
def sun_share(
    solids: F32, starts: I32, members: I32, grid: F64, direction: F32, origin: F64, cell: float, share: F32
) -> None:
    """How much of the sun reaches people who stand in each cell of a map: four rays, 0.4 to 1.6 m high.

    Args:
        direction: (3,) unit, towards the sun.
        origin: (2,) first corner of the map; cell: metres; share: (rows, columns) written, 0..1.
    """
    for row in range(share.shape[0]):
        for column in range(share.shape[1]):
            free = 0
            for k in range(4):
                x = origin[0] + (column + 0.25 + 0.5 * (k % 2)) * cell
                y = origin[1] + (row + 0.25 + 0.5 * (k // 2)) * cell
                t, _ = trace(
                    solids, starts, members, grid, x, y, 0.4 + 0.4 * k, direction[0], direction[1], direction[2], 90.0, True
                )
                free += t == FAR
            share[row, column] = free / 4.0
