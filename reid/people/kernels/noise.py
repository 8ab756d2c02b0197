"""Value noise: smooth random numbers in space, the same for the same place."""

from __future__ import annotations

import math

import numpy as np

from reid.people.kernels.compile import compiled


@compiled
def lattice(i: int, j: int, k: int) -> float:
    """A random number in [0, 1) for a point of the integer grid (a mix after Wang's integer hash)."""
    h = np.uint32(i * 73856093) ^ np.uint32(j * 19349663) ^ np.uint32(k * 83492791)
    h = np.uint32(h ^ (h >> np.uint32(15))) * np.uint32(0x2C1B3C6D)
    h = np.uint32(h ^ (h >> np.uint32(12))) * np.uint32(0x297A2D39)
    h = np.uint32(h ^ (h >> np.uint32(15)))
    return float(h & np.uint32(0xFFFFFF)) * (1.0 / 16777216.0)


@compiled
def noise(x: float, y: float, z: float) -> float:
    """Value noise in [0, 1] of period-free unit cells, smoothed by 3t^2 - 2t^3 (Perlin 1985)."""
    fx, fy, fz = math.floor(x), math.floor(y), math.floor(z)
    i, j, k = int(fx), int(fy), int(fz)
    tx, ty, tz = x - fx, y - fy, z - fz
    tx, ty, tz = tx * tx * (3 - 2 * tx), ty * ty * (3 - 2 * ty), tz * tz * (3 - 2 * tz)
    a = lattice(i, j, k) * (1 - tx) + lattice(i + 1, j, k) * tx
    b = lattice(i, j + 1, k) * (1 - tx) + lattice(i + 1, j + 1, k) * tx
    c = lattice(i, j, k + 1) * (1 - tx) + lattice(i + 1, j, k + 1) * tx
    d = lattice(i, j + 1, k + 1) * (1 - tx) + lattice(i + 1, j + 1, k + 1) * tx
    return (a * (1 - ty) + b * ty) * (1 - tz) + (c * (1 - ty) + d * ty) * tz
