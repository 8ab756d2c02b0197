"""Faces of buildings and machines: windows, shop fronts, sign boards, shelves, vending machines, posters."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from reid.people.kernels.compile import compiled
from reid.people.kernels.noise import lattice
from reid.people.kernels.patterns import Surface, clamp, flat_noise, goods, grain, inside, letters, line, mix
from reid.people.kernels.solids import BLUE, BLUE2, GREEN, GREEN2, HALF_X, P0, P1, RED, RED2, SEED

F32 = NDArray[np.float32]


@compiled
def lamplight(number: float) -> tuple[float, float, float]:
    """The colour of a lit room: from warm bulbs to cold tubes."""
    return 1.0, 0.72 + 0.26 * number, 0.42 + 0.55 * number


@compiled
def facade(s: F32, u: float, v: float, lod: float, night: float) -> Surface:
    """An upper front with windows: P0 storey height, P1 distance of windows; RED2.. the frames.

    The seed chooses one of four builds: single windows, pairs, ribbons, balconies.
    """
    seed = int(s[SEED])
    style = seed % 4
    i, j = math.floor(u / s[P1]), math.floor(v / s[P0])
    fu, fv = u / s[P1] - i, v / s[P0] - j
    left = (0.24, 0.12, 0.015, 0.05)[style]
    low = (0.3, 0.28, 0.34, 0.36)[style]
    high = (0.76, 0.74, 0.78, 0.9)[style]
    stain = (
        0.82 + 0.2 * grain(u + s[SEED], v * 0.15, s[SEED], 0.5, lod) + 0.16 * grain(u, v, s[SEED], 2.0, lod)
    )
    slab = inside(fv, -0.1, 0.05, lod / s[P0])
    stain *= 1 - 0.25 * slab
    pane = inside(fu, left, 1 - left, lod / s[P1]) * inside(fv, low, high, lod / s[P0])
    if pane <= 0:
        sill = inside(fv, low - 0.035, low, lod / s[P0]) * inside(fu, left - 0.02, 1.02 - left, lod / s[P1])
        rail = inside(fv, 0.06, low, lod / s[P0]) if style == 3 else 0.0
        k = stain * (1 + 0.25 * sill) * (1 - 0.3 * rail)
        return (
            mix(s[RED], s[RED2], 0.7 * rail) * k,
            mix(s[GREEN], s[GREEN2], 0.7 * rail) * k,
            mix(s[BLUE], s[BLUE2], 0.7 * rail) * k,
            0.02,
            0.0,
            0.0,
            0.0,
        )
    halves = 2.0 if style != 2 else 3.0
    across, up = (fu - left) / (1 - 2 * left), (fv - low) / (high - low)
    wide, tall = (1 - 2 * left) * s[P1], (high - low) * s[P0]
    frame = max(line(across * wide, wide / halves, 0.07, lod), line(up * tall + 0.03, tall, 0.08, lod))
    chance = lattice(i, j, seed)
    curtain = 0.02 + 0.03 * flat_noise(u * 1.7, v * 1.3, int(s[SEED]))
    if chance < 0.45:  # blinds or curtains down to some height
        drawn = inside(up, 1 - 0.9 * lattice(i, j, seed + 7), 2.0, 0.03)
        curtain = mix(curtain, 0.22 + 0.12 * lattice(i, j, seed + 9), drawn)
    curtain *= 1 - 0.5 * inside(up, 0.86, 2.0, 0.1)  # the shadow of the lintel
    red, green, blue = lamplight(lattice(i, j, seed + 3))
    lit = (
        night * (0.05 + 0.5 * curtain) * (0.4 + 0.8 * lattice(i, j, seed + 6))
        if lattice(i, j, seed + 5) < 0.28
        else night * 0.004
    )
    lit *= (1 - frame) * pane
    share = pane * (1 - frame)
    return (
        mix(mix(s[RED] * stain, s[RED2], pane * frame), curtain, share),
        mix(mix(s[GREEN] * stain, s[GREEN2], pane * frame), curtain * 1.03, share),
        mix(mix(s[BLUE] * stain, s[BLUE2], pane * frame), curtain * 1.08, share),
        0.6 * share, red * lit, green * lit, blue * lit,
    )  # fmt: skip


@compiled
def shop_front(s: F32, u: float, v: float, high: float, lod: float, night: float) -> Surface:
    """Ground floor of shops P1 wide: glass, doors, goods, closed shutters, and a sign board above."""
    seed = int(s[SEED])
    number = math.floor(u / s[P1])
    along = u - number * s[P1]
    kind = lattice(number, seed, 1)
    board = high - 0.85
    pier = max(inside(along, -1.0, 0.14, lod), inside(along, s[P1] - 0.14, s[P1] + 1, lod))
    if v > board:
        hue = lattice(number, seed, 2)
        return board_face(number + seed * 31, hue, along, (v - board) / 0.85, s[P1], lod, night)
    if pier > 0.5 or v < 0.12:
        k = 0.8 + 0.3 * grain(u, v, s[SEED], 0.4, lod)
        return s[RED] * k, s[GREEN] * k, s[BLUE] * k, 0.05, 0.0, 0.0, 0.0
    if kind < 0.16:  # closed
        k = (0.8 - 0.3 * line(v, 0.08, 0.015, lod)) * (0.8 + 0.3 * grain(u, v * 0.2, s[SEED], 0.4, lod))
        return 0.36 * k, 0.37 * k, 0.38 * k, 0.1, 0.0, 0.0, 0.0
    mullion = max(line(along, s[P1] / (2 + int(kind * 3)), 0.07, lod), line(v - 2.1, 5.0, 0.07, lod))
    if mullion > 0.5:
        k = 0.06 + 0.4 * (lattice(number, seed, 4) > 0.5)
        return k, k, k * 1.02, 0.2, 0.0, 0.0, 0.0
    depth_u, depth_v = u * 0.8 + 0.3 * flat_noise(u * 0.7, v * 0.5, int(s[SEED])), v
    red, green, blue = goods(depth_u * 0.5, depth_v / 0.5 - math.floor(depth_v / 0.5), seed + number, lod)
    low = 0.8 + 0.5 * lattice(number, seed, 6)
    filled = inside(v, 0.1, low + 0.9, 0.1) * (0.3 + 0.7 * flat_noise(u * 0.9, v * 0.8, int(s[SEED] + 4)))
    film = inside(v, 1.0, 1.35, lod) * (kind > 0.55)  # frosted band or lettering on the pane
    if film > 0:
        film *= 0.35 + 0.65 * letters(along / 0.3, (v - 1.0) / 0.35, seed + number, lod / 0.3)
    warm, mid, cold = lamplight(lattice(number, seed, 8))
    glow = (
        night * (0.03 + 0.12 * inside(v, 1.6, 2.8, 0.5) + 0.14 * filled) * (0.25 + lattice(number, seed, 9))
    )
    dim = 0.05 + 0.28 * filled
    day = 0.05 * clamp(1 - 20 * night) * lattice(number, seed, 9)
    return (
        mix(red * dim + 0.012, 0.5, 0.5 * film), mix(green * dim + 0.012, 0.5, 0.5 * film),
        mix(blue * dim + 0.012, 0.5, 0.5 * film),
        0.55, (glow + day) * warm * (0.4 + red), (glow + day) * mid * (0.4 + green),
        (glow + day) * cold * (0.4 + blue),
    )  # fmt: skip


@compiled
def board_face(seed: int, hue: float, u: float, v: float, width: float, lod: float, night: float) -> Surface:
    """A sign board: writing on a plain ground; u metres, v 0..1 up; colours as Korean shops have them."""
    if hue < 0.3:
        ground, ink = (0.62, 0.61, 0.58), (0.05, 0.05, 0.06)
    elif hue < 0.48:
        ground, ink = (0.04, 0.04, 0.045), (0.7, 0.68, 0.6)
    elif hue < 0.6:
        ground, ink = (0.05, 0.09, 0.2), (0.72, 0.72, 0.7)
    elif hue < 0.7:
        ground, ink = (0.33, 0.05, 0.04), (0.75, 0.72, 0.66)
    elif hue < 0.8:
        ground, ink = (0.06, 0.17, 0.1), (0.7, 0.7, 0.66)
    elif hue < 0.9:
        ground, ink = (0.5, 0.38, 0.12), (0.12, 0.05, 0.03)
    else:
        ground, ink = (0.62, 0.61, 0.58), (0.35, 0.05, 0.05)
    tall = 0.55
    start = 0.25 + 0.4 * width * lattice(seed, 3, 1) * 0.6
    length = 3 + int(4 * lattice(seed, 4, 1))
    x = (u - start) / tall
    drawn = 0.0
    if 0 <= x < length:
        drawn = letters(x, clamp((v - 0.2) / 0.6), seed, lod / tall)
    elif x > length + 0.4 and x < length + 3:
        drawn = letters((x - length) * 2.5, clamp((v - 0.22) / 0.25), seed + 1, lod / tall * 2.5) * 0.8
    edge = 1 - 0.4 * inside(v, -1.0, 0.05, lod)
    glow = night * (0.12 + 0.4 * lattice(seed, 9, 1)) * (lattice(seed, 8, 1) > 0.3)
    face = 0.35 if ground[0] + ground[1] > 0.5 else 0.5
    red, green, blue = (
        mix(ground[0], ink[0], drawn) * edge,
        mix(ground[1], ink[1], drawn) * edge,
        mix(ground[2], ink[2], drawn) * edge,
    )
    return (
        red,
        green,
        blue,
        0.06,
        red * glow * (face + drawn),
        green * glow * (face + drawn),
        blue * glow * (face + drawn),
    )


@compiled
def sign(s: F32, u: float, v: float, high: float, lod: float, night: float) -> Surface:
    """A board of its own: P0 chooses its colours; P1 above 0.5 stands upright, letter below letter."""
    seed = int(s[SEED])
    if s[P1] > 0.5:
        width = 2 * s[HALF_X]
        across = u / width + 0.5
        glow = night * 0.25
        down = (high - v) / width
        drawn = (
            letters(across + math.floor(down) * 3.0, 1 - (down - math.floor(down)), seed, lod / width)
            if 0.0 < across < 1.0
            else 0.0
        )
        red, green, blue = (
            mix(s[RED], s[RED2], drawn),
            mix(s[GREEN], s[GREEN2], drawn),
            mix(s[BLUE], s[BLUE2], drawn),
        )
        return red, green, blue, 0.05, red * glow, green * glow, blue * glow
    return board_face(seed, s[P0], u + s[HALF_X], v / high, 2 * s[HALF_X], lod * 0.85 / high, night)


@compiled
def shelf(s: F32, u: float, v: float, high: float, lod: float) -> Surface:
    """Rows of goods on boards P0 apart, with price tags on their edges; a dark plinth below."""
    if v < 0.14:
        return 0.12, 0.12, 0.12, 0.05, 0.0, 0.0, 0.0
    row = math.floor((v - 0.14) / s[P0])
    up = (v - 0.14) / s[P0] - row
    edge = inside(up, -1.0, 0.13, lod / s[P0])
    if edge > 0.5 or v > high - 0.05:
        tag = line(u, 0.22, 0.09, lod)
        return mix(0.5, 0.72, tag), mix(0.5, 0.7, tag), mix(0.49, 0.5, tag), 0.08, 0.0, 0.0, 0.0
    red, green, blue = goods(u, (up - 0.13) / 0.87, int(s[SEED]) + row * 17, lod)
    shadow = 1 - 0.5 * inside(up, 0.7, 2.0, 0.2)
    return red * shadow, green * shadow, blue * shadow, 0.08, 0.0, 0.0, 0.0


@compiled
def vending(s: F32, u: float, v: float, high: float, lod: float, night: float) -> Surface:
    """The front of a drinks machine: lit rows of cans above, buttons, a flap below."""
    wide = s[HALF_X]
    if abs(u) < wide - 0.07 and high * 0.42 < v < high - 0.12:
        row = (v - high * 0.42) / 0.27
        red, green, blue = goods(u * 0.8, row - math.floor(row), int(s[SEED]) + int(row), lod)
        glow = 0.12 + 0.15 * night
        return red, green, blue, 0.4, (0.3 + red) * glow, (0.3 + green) * glow, (0.32 + blue) * glow
    if abs(u) < wide * 0.6 and 0.25 < v < 0.42:
        return 0.03, 0.03, 0.03, 0.1, 0.0, 0.0, 0.0
    k = 0.92 + 0.1 * grain(u, v, s[SEED], 0.3, lod)
    return s[RED] * k, s[GREEN] * k, s[BLUE] * k, 0.2, 0.0, 0.0, 0.0


@compiled
def poster(s: F32, u: float, v: float, high: float, lod: float, night: float) -> Surface:
    """Framed posters P0 wide: a picture of soft shapes, a block of writing; P1 is their own light."""
    seed = int(s[SEED])
    number = math.floor(u / s[P0])
    x, y = u / s[P0] - number, v / high
    if x < 0.05 or x > 0.95 or y < 0.05 or y > 0.95:
        return s[RED], s[GREEN], s[BLUE], 0.2, 0.0, 0.0, 0.0
    base = 0.15 + 0.45 * lattice(number, seed, 1)
    warm = 0.5 * (lattice(number, seed, 2) - 0.5)
    shape = flat_noise(u * 2.2 + seed, v * 1.6, int(number * 3.7))
    k = base * (0.5 + shape)
    red, green, blue = k * (1 + warm), k * (0.95 + 0.2 * (lattice(number, seed, 3) - 0.5)), k * (1 - warm)
    top = 0.6 + 0.3 * lattice(number, seed, 4)
    if top - 0.22 < y < top and 0.12 < x < 0.88:
        ink = letters(x * 6, (y - top + 0.22) / 0.22, seed + number, lod * 6)
        red, green, blue = mix(red, 0.7, ink), mix(green, 0.7, ink), mix(blue, 0.68, ink)
    glow = s[P1] * (0.35 + 0.65 * night)
    return red, green, blue, 0.25, red * glow, green * glow, blue * glow
