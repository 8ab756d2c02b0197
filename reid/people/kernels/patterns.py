"""Patterns that stay quiet far away: lines, grain and letters, faded by how much one pixel covers.

`lod` is everywhere the size of a pixel on the surface, metres.
"""

from __future__ import annotations

import math

from reid.people.kernels.compile import compiled
from reid.people.kernels.noise import lattice, noise

Surface = tuple[float, float, float, float, float, float, float]
"""Red, green, blue 0..1; gloss 0..1; red, green, blue of its own light."""


@compiled
def clamp(value: float) -> float:
    """Between 0 and 1."""
    return min(1.0, max(0.0, value))


@compiled
def mix(a: float, b: float, share: float) -> float:
    """From a to b."""
    return a + (b - a) * share


@compiled
def line(x: float, period: float, width: float, lod: float) -> float:
    """How much of a pixel a line `width` wide covers that returns every `period`: 0..1."""
    blur = clamp(lod / period * 2 - 0.5)
    if blur >= 1:
        return width / period
    off = abs(x / period - math.floor(x / period + 0.5)) * period
    cover = clamp((0.5 * width - off) / max(lod, 1e-4) + 0.5) * min(1.0, width / max(lod, 1e-4))
    return mix(cover, width / period, blur)


@compiled
def flat_noise(x: float, y: float, layer: int) -> float:
    """Value noise in [0, 1] on a plane; `layer` chooses which."""
    fx, fy = math.floor(x), math.floor(y)
    i, j = int(fx), int(fy)
    tx, ty = x - fx, y - fy
    tx, ty = tx * tx * (3 - 2 * tx), ty * ty * (3 - 2 * ty)
    a = mix(lattice(i, j, layer), lattice(i + 1, j, layer), tx)
    b = mix(lattice(i, j + 1, layer), lattice(i + 1, j + 1, layer), tx)
    return a + (b - a) * ty


@compiled
def grain(x: float, y: float, layer: float, size: float, lod: float) -> float:
    """Noise of blots `size` large on a plane, 0..1 around 0.5; flat where a pixel covers more."""
    fade = clamp(1.6 - lod / size * 1.6)
    if fade <= 0:
        return 0.5
    return 0.5 + (flat_noise(x / size, y / size, int(layer * 7)) - 0.5) * fade


@compiled
def lump(x: float, y: float, z: float, size: float, lod: float) -> float:
    """`grain` in space."""
    fade = clamp(1.6 - lod / size * 1.6)
    if fade <= 0:
        return 0.5
    return 0.5 + (noise(x / size, y / size, z / size) - 0.5) * fade


@compiled
def inside(x: float, low: float, high: float, lod: float) -> float:
    """Soft test whether low < x < high: 0..1."""
    soft = max(lod, 1e-4)
    return clamp((x - low) / soft + 0.5) * clamp((high - x) / soft + 0.5)


@compiled
def letters(u: float, v: float, seed: int, lod: float) -> float:
    """A line of writing, one block a unit of u, v 0..1 upwards: strokes as in Korean syllables, 0..1.

    Args:
        u, v: place, in heights of the line.
        seed: which text.
        lod: of a pixel, in heights of the line.
    """
    if v <= 0.08 or v >= 0.92:
        return 0.0
    column = math.floor(u)
    x, y = u - column, (v - 0.08) / 0.84
    if lattice(column, seed, 5) < 0.14:
        return 0.0
    ink = 0.0
    for stroke in range(5):
        kind = lattice(column, seed, 20 + stroke)
        at = 0.15 + 0.7 * lattice(column, seed, 40 + stroke)
        reach = 0.25 + 0.3 * lattice(column, seed, 60 + stroke)
        middle = 0.3 + 0.4 * lattice(column, seed, 80 + stroke)
        if kind < 0.5:
            on = inside(y, at - 0.055, at + 0.055, lod) * inside(
                x, max(0.08, middle - reach), min(0.9, middle + reach), lod
            )
        else:
            on = inside(x, at - 0.05, at + 0.05, lod) * inside(
                y, max(0.05, middle - reach), min(0.95, middle + reach), lod
            )
        ink = max(ink, on)
    return ink


@compiled
def goods(u: float, v: float, seed: int, lod: float) -> tuple[float, float, float]:
    """Coloured packets on a shelf: u metres along, v 0..1 up to the next shelf."""
    kind = math.floor(u / 0.55)
    width = 0.07 + 0.09 * lattice(kind, seed, 3)
    packet = math.floor(u / width)
    high = 0.45 + 0.4 * lattice(kind, seed, 4)
    if v > high + 0.08 * lattice(packet, seed, 1):
        return 0.05, 0.05, 0.05
    light = 0.12 + 0.5 * lattice(kind, seed, 7) ** 2
    warm, strong = lattice(kind, seed, 8) - 0.5, 0.25 + 0.6 * lattice(kind, seed, 9)
    green = lattice(kind, seed, 10) - 0.5
    red, green, blue = (
        light * (1 + strong * warm * 1.6),
        light * (1 + strong * green),
        light * (1 - strong * warm * 1.5),
    )
    label = inside(v / high, 0.25, 0.6, 0.05) * inside(u / width - packet, 0.15, 0.85, 0.1)
    edge = 1 - 0.5 * line(u, width, 0.012, lod)
    return (
        mix(red, 0.55, 0.5 * label) * edge,
        mix(green, 0.55, 0.5 * label) * edge,
        mix(blue, 0.52, 0.5 * label) * edge,
    )
