"""What a point of a dressed body is made of, and its colour: clothes drawn in the body's own coordinates.

Nothing has a texture map. A point knows where on the mean adult it lies; hems, necklines, sleeves,
stripes and prints are functions of that place, so every garment fits every body and its edges are sharp
at any size. Used by `shade`.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from reid.people.kernels.compile import compiled
from reid.people.kernels.noise import noise

F32 = NDArray[np.float32]

# Materials: rows of the cloth table.
(
    SKIN, HAIR, TOP, SLEEVE, INNER, BOTTOM, SHOE, SOLE, SOCK, BAG, STRAP, HAT, DARK, LIP, MASK, AID, METAL,
    LINING,
) = range(18)  # fmt: skip
MATERIALS = 18

# Measures of the cut: entries of the cut vector. Heights and lengths in the mean adult's metres.
(
    SLEEVE_END, HEM, LEG_END, SHOE_TOP, SOCK_TOP, NECK, NECK_OPEN, OPENING, ZIP, COLLAR, GLOVES, STRAPS, HOOD,
    HAIR_KIND, HAIRLINE, BEARD, GLASSES, FACE_MASK, SIDE_STRIPE, BELT, VEST, STRAP_AT, STRAP_HALF, OPEN_BELOW,
    EDGE, INNER_HEM, STRINGS,
) = range(27)  # fmt: skip
MEASURES = 27
BALDING = 2.0

# How a bag hangs: the entry `STRAPS`, 0 for no strap.
BOTH_SHOULDERS, ACROSS, ACROSS_OTHER, LEFT_SHOULDER, RIGHT_SHOULDER = range(1, 6)

# Columns of the cloth table: three colours, then these.
PATTERN, SCALE, SHARE, LEVEL, WRINKLE, GLOSS, SHIFT_X, SHIFT_Y, SHIFT_Z = range(9, 18)
COLUMNS = 18


@compiled
def material(
    x: float, y: float, z: float, arm: float, head: float, hand: float, foot: float, cut: F32
) -> int:
    """What covers this point: x left, y back, z up on the mean adult; the rest are 0..1 (see `figure`)."""
    if head > 0.5:
        return head_material(x, y, z, cut)
    if hand > 0.5:
        return SHOE if cut[GLOVES] > 0 else SKIN
    if arm > 0.03:
        return SLEEVE if arm < cut[SLEEVE_END] else SKIN
    if z > 0.755:
        return SKIN if z > cut[COLLAR] else TOP
    if z > cut[HEM]:
        return torso_material(x, y, z, cut)
    if z > cut[LEG_END] and foot < 0.5:
        return BOTTOM
    if z > cut[SHOE_TOP] and foot < 0.5:
        return SOCK if z < cut[SOCK_TOP] else SKIN
    return SOLE if z < -0.795 else SHOE


@compiled
def on_strap(x: float, y: float, z: float, cut: F32) -> bool:
    """Whether the strap of a bag lies here."""
    hangs, at = int(cut[STRAPS]), cut[STRAP_AT]
    if hangs == BOTH_SHOULDERS:  # down the chest, then back under the arms
        off = abs(x) - at - 0.5 * max(0.0, 0.48 - z) if y < 0.03 and z > 0.34 else 1.0
    elif hangs in (ACROSS, ACROSS_OTHER):
        off = (x if hangs == ACROSS else -x) * 0.75 + (z - 0.42)
    else:
        off = (x if hangs == LEFT_SHOULDER else -x) - at - 0.1 * (0.75 - z) if z > 0.3 else 1.0
    return bool(abs(off) < cut[STRAP_HALF])


@compiled
def front(x: float, y: float, z: float, cut: F32) -> int:
    """What shows at the front of a top or a coat: itself, or through its opening what is worn below."""
    if y >= 0.0:
        return TOP
    wide = abs(x)
    if cut[OPENING] > 0:
        half = cut[OPENING] * (
            cut[OPEN_BELOW] + (1.2 - cut[OPEN_BELOW]) * min(1.0, max(0.0, (z - 0.1) / 0.6))
        )
        if wide < half:
            return INNER if z > cut[INNER_HEM] else BOTTOM
        if wide < half + cut[EDGE]:
            return LINING
    elif cut[ZIP] > 0 and wide < 0.006:
        return LINING
    if cut[STRINGS] > 0 and abs(wide - 0.03) < 0.005 and z > 0.74 - cut[STRINGS]:
        return LINING
    return TOP


@compiled
def torso_material(x: float, y: float, z: float, cut: F32) -> int:
    """Top, what shows through its opening, neckline, straps, belt."""
    wide = abs(x)
    if cut[STRAPS] > 0 and on_strap(x, y, z, cut):
        return STRAP
    shown = front(x, y, z, cut)
    if shown != TOP:
        return shown
    if cut[NECK] < 0.8 and y < 0.02:
        if cut[NECK_OPEN] == 0:
            if x * x + (z - 0.78) * (z - 0.78) < (0.78 - cut[NECK]) * (0.78 - cut[NECK]):
                return SKIN
        elif z > cut[NECK] + wide * 1.6 and wide < 0.1:
            return INNER if cut[OPENING] > 0 else SKIN
    if cut[BELT] > 0 and abs(z - cut[HEM] - 0.02) < 0.018:
        return DARK
    return TOP


@compiled
def hairline(y: float) -> float:
    """Height above which hair grows, from forehead (y = -0.16) to nape."""
    if y < -0.11:
        return 0.982 + (y + 0.17) / 0.06 * (-0.014)
    if y < -0.065:
        return 0.968 - (y + 0.11) / 0.045 * 0.068
    if y < -0.01:
        return 0.90 - (y + 0.065) / 0.055 * 0.06
    return 0.825


@compiled
def head_material(x: float, y: float, z: float, cut: F32) -> int:
    """Face, hair, hood, mask, glasses."""
    wide = abs(x)
    if cut[HOOD] > 0 and not (y < -0.075 and wide < 0.068 and z < 0.972):
        return HAT
    line = hairline(y) + cut[HAIRLINE] + 0.01 * (noise(x * 60 + 3, y * 60, z * 60) - 0.5)
    if cut[HAIR_KIND] > 0 and z > line:
        return SKIN if cut[HAIR_KIND] == BALDING and z > 0.955 + 0.3 * max(0.0, y + 0.02) else HAIR
    if y < -0.085 and cut[FACE_MASK] > 0 and z < 0.872 + 0.01 * (wide < 0.02):
        return MASK
    if cut[BEARD] > 0 and y < -0.06 and 0.775 < z < 0.852 and not (wide < 0.018 and z > 0.826):
        return HAIR
    if y < -0.115:
        if cut[GLASSES] > 0 and (abs(z - 0.904) < 0.016 and abs(wide - 0.032) < 0.024):
            on_rim = abs(abs(z - 0.904) - 0.014) < 0.004 or abs(abs(wide - 0.032) - 0.021) < 0.004
            if on_rim or cut[GLASSES] > 1:
                return DARK
        if abs(z - 0.903) < 0.006 and abs(wide - 0.031) < 0.014:
            return DARK
        if abs(z - 0.922) < 0.004 and abs(wide - 0.034) < 0.018:
            return HAIR
        if abs(z - 0.836) < 0.006 and wide < 0.021:
            return LIP
    if z < cut[COLLAR]:
        return HAT if cut[HOOD] > 0 else TOP
    return SKIN


@compiled
def blend(x: float, y: float, z: float, arm: float, cloth: F32) -> float:
    """How much of the second colour shows here: 0..1, or 2 for the third colour."""
    pattern = int(cloth[PATTERN])
    scale, share, level = cloth[SCALE], cloth[SHARE], cloth[LEVEL]
    sx, sy, sz = x + cloth[SHIFT_X], y + cloth[SHIFT_Y], z + cloth[SHIFT_Z]
    if pattern == 1:  # stripes
        return 1.0 if z * scale - math.floor(z * scale) < share else 0.0
    if pattern == 2:  # pinstripes
        return 1.0 if x * scale - math.floor(x * scale) < share * 0.5 else 0.0
    if pattern == 3:  # check
        across, up = x * scale, z * scale
        return (0.5 if across - math.floor(across) < share else 0.0) + (
            0.5 if up - math.floor(up) < share else 0.0
        )
    if pattern == 4:  # print
        value = noise(sx * scale, sy * scale, sz * scale) + 0.5 * noise(
            sx * scale * 2.3, sy * scale * 2.3, sz * scale * 2.3
        )
        return 1.0 if value > 0.92 else (2.0 if value < 0.5 else 0.0)
    if pattern == 5:  # two-tone
        return 1.0 if z > level else 0.0
    if pattern == 6:  # dots
        across, up = sx * scale, sz * scale
        dx, dy = across - math.floor(across) - 0.5, up - math.floor(up) - 0.5
        return 1.0 if dx * dx + dy * dy < share * share * 0.4 else 0.0
    if pattern == 7:  # melange
        return float(share) * noise(sx * 180, sy * 180, sz * 180)
    if pattern == 8:  # logo on the chest, the back, or both
        here = y < -0.02 if share < 0.4 else (y > 0.02 if share < 0.5 else True)
        if here and arm < 0.03 and abs(z - level) < 0.07 * scale and abs(x) < 0.1 * scale:
            drawn = noise(
                x * 40 / scale + cloth[SHIFT_X] * 9,
                1.5 + cloth[SHIFT_Y] * 7,
                z * 40 / scale + cloth[SHIFT_Z] * 5,
            )
            return 1.0 if drawn > 0.45 else 0.0
        return 0.0
    if pattern == 9:  # fading
        return float(min(1.0, max(0.0, (z - level) / 0.5)))
    if pattern == 10:  # reflective bands
        return 1.0 if abs(z - level) < 0.03 or abs(z - level - 0.16) < 0.03 else 0.0
    if pattern == 11:  # diagonal
        along = (x + z) * scale
        return 1.0 if along - math.floor(along) < share else 0.0
    if pattern == 12:  # denim, faded on the thighs
        worn = max(0.0, 1 - abs(z + 0.1) / 0.3) * max(0.0, 1 - abs(abs(x) - 0.12) / 0.09)
        return 0.35 * float(share) * worn + 0.06 * noise(sx * 90, sy * 90, sz * 90)
    return 0.0
