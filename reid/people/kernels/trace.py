"""Rays that walk over a grid of cells on the ground, for shadows, mirrors and the map of the sun."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from reid.people.kernels.compile import compiled
from reid.people.kernels.solids import FAR, meet

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
I32 = NDArray[np.int32]

GROUND, SKY = -1, -2  # in place of a solid's number


@compiled
def trace(
    solids: F32, starts: I32, members: I32, grid: F64, ox: float, oy: float, oz: float, dx: float, dy: float,
    dz: float, limit: float, anything: bool,
) -> tuple[float, int]:  # fmt: skip
    """Follow a ray over the grid.

    Args:
        solids: (N, columns).
        starts, members: solids of cell c are members[starts[c] : starts[c + 1]].
        grid: x and y of the first corner, cell size, columns, rows,
        height of the highest solid; then the height
            of the highest solid of each cell.
        limit: metres (direction of unit length); anything: stop at the first solid, for shadows.

    Returns:
        (t, number of the solid); FAR and `SKY` when nothing is met.
    """
    size, columns, rows = grid[2], int(grid[3]), int(grid[4])
    i, j = math.floor((ox - grid[0]) / size), math.floor((oy - grid[1]) / size)
    step_x, step_y = (1 if dx > 0 else -1), (1 if dy > 0 else -1)
    next_x = FAR if abs(dx) < 1e-9 else (grid[0] + (i + (dx > 0)) * size - ox) / dx
    next_y = FAR if abs(dy) < 1e-9 else (grid[1] + (j + (dy > 0)) * size - oy) / dy
    gap_x = FAR if abs(dx) < 1e-9 else size / abs(dx)
    gap_y = FAR if abs(dy) < 1e-9 else size / abs(dy)
    best, found, entered = limit, SKY, 0.0
    while 0 <= i < columns and 0 <= j < rows and entered < best and oz + dz * entered < grid[5]:
        cell = j * columns + i
        leaving = min(next_x, next_y, best)
        if oz + dz * (entered if dz > 0 else leaving) > grid[6 + cell]:
            starting = starts[cell + 1]  # the ray passes over all that stands here
        else:
            starting = starts[cell]
        for k in range(starting, starts[cell + 1]):
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
    return float(above * (1 - dv) + below * dv)


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
                    solids,
                    starts,
                    members,
                    grid,
                    x,
                    y,
                    0.4 + 0.4 * k,
                    direction[0],
                    direction[1],
                    direction[2],
                    90.0,
                    True,
                )
                free += t == FAR
            share[row, column] = free / 4.0
