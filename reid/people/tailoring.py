"""From an outfit to numbers: where each garment ends, how thick it is, what its cloth looks like.

Heights and lengths are in the mean adult's coordinates (sole -0.82, crotch 0.1, shoulder 0.65, chin 0.79,
crown 1.02), so that they fit any body.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from reid.people.accessories import hangs
from reid.people.cloth import PATTERNS, Cloth
from reid.people.colours import Colour, srgb
from reid.people.kernels import cloth as k
from reid.people.outfits import HOODED, Garment, Outfit
from reid.people.persons import Person

_HIDDEN_HEM = 0.19  # a skirt or dress carries the cloth below this
_NO_COLLAR = 0.6


@dataclass(frozen=True)
class _Top:
    """One kind of top: thickness of body and sleeve (m), the sleeve's end along the arm (0..1), hem."""

    body: float
    sleeve: float
    sleeve_end: tuple[float, float] = (1.05, 1.05)
    hem: tuple[float, float] = (0.06, 0.14)
    neck: float = 0.72
    open_neck: bool = False
    collar: tuple[float, ...] = (_NO_COLLAR,)
    opening: tuple[float, ...] = (0.0,)
    zip: bool = False
    skirted: tuple[float, float] | None = None  # where a coat's cloth ends
    flare: float = 0.05


_TOPS: Mapping[str, _Top] = {
    "tee": _Top(0.011, 0.014, (0.28, 0.42), (0.06, 0.15), 0.705),
    "polo": _Top(0.011, 0.013, (0.3, 0.42), (0.06, 0.14), 0.70, True, (0.775,)),
    "tank": _Top(0.005, 0.003, (0.05, 0.06), (0.1, 0.16), 0.66),
    "shirt": _Top(0.013, 0.013, (0.35, 1.05), (0.06, 0.19), 0.70, True, (0.785,), zip=True),
    "blouse": _Top(0.015, 0.016, (0.3, 1.05), (0.06, 0.16), 0.69, True, (_NO_COLLAR, 0.775)),
    "sweater": _Top(0.017, 0.014, hem=(0.06, 0.13), collar=(_NO_COLLAR, 0.74, 0.82)),
    "cardigan": _Top(0.018, 0.014, hem=(0.02, 0.12), neck=0.66, open_neck=True, opening=(0.0, 0.04, 0.07)),
    "hoodie": _Top(0.025, 0.019, hem=(0.05, 0.11), neck=0.8, collar=(0.8,), opening=(0.0, 0.0, 0.05)),
    "windbreaker": _Top(
        0.024, 0.02, hem=(0.04, 0.12), collar=(0.79, 0.81), opening=(0.0, 0.0, 0.05), zip=True
    ),
    "jacket": _Top(0.025, 0.018, hem=(0.04, 0.13), collar=(0.78, 0.80), opening=(0.0, 0.05, 0.08), zip=True),
    "blazer": _Top(
        0.018, 0.015, hem=(0.0, 0.04), neck=0.62, open_neck=True, collar=(0.775,), opening=(0.045,)
    ),
    "quilted vest": _Top(0.034, 0.012, hem=(0.05, 0.12), collar=(0.8,), opening=(0.0, 0.04), zip=True),
    "padded jacket": _Top(
        0.045, 0.034, hem=(0.02, 0.12), neck=0.8, collar=(0.82,), opening=(0.0, 0.0, 0.05), zip=True
    ),
    "padded coat": _Top(
        0.045,
        0.034,
        hem=(0.1, 0.1),
        neck=0.8,
        collar=(0.83,),
        opening=(0.0, 0.0, 0.05),
        zip=True,
        skirted=(-0.5, -0.2),
        flare=0.03,
    ),
    "coat": _Top(
        0.03,
        0.021,
        hem=(0.1, 0.1),
        neck=0.64,
        open_neck=True,
        collar=(0.79,),
        opening=(0.0, 0.05),
        zip=True,
        skirted=(-0.45, -0.08),
        flare=0.1,
    ),
    "work vest": _Top(0.03, 0.014, hem=(0.08, 0.12), neck=0.64, open_neck=True, opening=(0.02,), zip=True),
}
_WORN_OPEN = 0.5  # share of what can be worn open that stands open more widely than it was cut
_OTHER_SLEEVES = ("tee", "hoodie", "windbreaker", "jacket", "sweater")  # some have them in another colour
_SLEEVELESS_OVER = ("quilted vest", "work vest")  # sleeves of what is worn below
_LEG_ENDS = {"jeans": (-0.77, -0.72), "trousers": (-0.785, -0.74), "leggings": (-0.74, -0.55),
             "joggers": (-0.735, -0.70), "shorts": (-0.33, -0.1)}  # fmt: skip
_LEG_LOOSE = {"jeans": (0.008, 0.012), "trousers": (0.014, 0.026), "leggings": (0.003, 0.0),
              "joggers": (0.018, 0.012), "shorts": (0.022, 0.02)}  # fmt: skip
_SKIRT_ENDS = {"skirt": (-0.3, -0.1), "long skirt": (-0.68, -0.5), "dress": (-0.5, -0.15)}


@dataclass(frozen=True)
class Rings:
    """Cloth that hangs free: from `top` down to `bottom` (canonical heights), `slack` metres off the body."""

    material: int
    top: float
    bottom: float
    slack: float
    flare: float


@dataclass(frozen=True)
class Tailoring:
    """Everything the figure and the shader need to know of an outfit.

    Attributes:
        cut: (MEASURES,) float32, see `kernels.cloth`.
        cloths: (MATERIALS, COLUMNS) float32.
        body_thickness, sleeve_thickness: metres of cloth on torso and arms.
        leg_thickness, leg_flare: metres on the legs, and more of it per metre downward.
        rings: skirts, coats and hems.
    """

    cut: NDArray[np.float32]
    cloths: NDArray[np.float32]
    body_thickness: float
    sleeve_thickness: float
    leg_thickness: float
    leg_flare: float
    rings: tuple[Rings, ...]


def tailor(person: Person, outfit: Outfit) -> Tailoring:
    """Measures and cloths of `outfit` on `person`."""
    top = _TOPS[outfit.top.kind]
    rng = np.random.default_rng([outfit.top.seed, 6])
    low = np.random.default_rng([outfit.bottom.seed, 7])
    body = top.body * float(rng.uniform(0.85, 1.25))
    skirt = outfit.bottom.kind in _SKIRT_ENDS
    cut = _cut(person, outfit, top, rng, low)
    loose, flare = _LEG_LOOSE.get(outfit.bottom.kind, (0.002, 0.0))
    rings: list[Rings] = []
    if skirt:
        bottom, slack = float(low.uniform(*_SKIRT_ENDS[outfit.bottom.kind])), 0.012
        rings.append(
            Rings(
                k.BOTTOM,
                0.3 if outfit.bottom.kind == "dress" else 0.24,
                bottom,
                slack,
                float(low.uniform(0, 0.35)),
            )
        )
    if top.skirted:
        rings.append(
            Rings(
                k.TOP,
                0.36,
                float(rng.uniform(*top.skirted)),
                body + 0.002,
                float(rng.uniform(0, 2 * top.flare)),
            )
        )
    elif outfit.bottom.kind != "dress" and cut[k.HEM] < 0.17:
        rings.append(
            Rings(k.TOP, 0.33, float(cut[k.HEM]) - float(rng.uniform(0.015, 0.06)), body + 0.004, top.flare)
        )
    only_dress = outfit.bottom.kind == "dress" and outfit.top.kind == "tee"
    return Tailoring(
        cut, _cloths(person, outfit), 0.006 if only_dress else body,
        top.sleeve, loose, flare * float(low.uniform(0.3, 1.4)), tuple(rings),
    )  # fmt: skip


def _cut(
    person: Person, outfit: Outfit, top: _Top, rng: np.random.Generator, low: np.random.Generator
) -> NDArray[np.float32]:
    def one(values: tuple[float, ...]) -> float:
        return values[int(rng.integers(len(values)))]

    bottom = outfit.bottom.kind
    skirt = bottom in _SKIRT_ENDS
    cut = np.zeros(k.MEASURES, np.float32)
    cut[k.SLEEVE_END] = (
        rng.uniform(*top.sleeve_end) if top.sleeve_end[1] < 1 else one((top.sleeve_end[0], 1.05))
    )
    cut[k.HEM] = _HIDDEN_HEM if skirt else rng.uniform(*top.hem)
    cut[k.LEG_END] = low.uniform(*_LEG_ENDS[bottom]) if bottom in _LEG_ENDS else 0.0
    cut[k.SHOE_TOP] = -0.5 if outfit.shoes.kind == "boots" else -0.72
    cut[k.SOCK_TOP] = 0.2 if skirt and low.random() < 0.45 else low.choice((-0.9, -0.7, -0.62, -0.45))
    cut[k.NECK], cut[k.NECK_OPEN] = top.neck, top.open_neck
    cut[k.COLLAR], cut[k.OPENING] = one(top.collar), one(top.opening)
    cut[k.ZIP] = top.zip
    cut[k.GLOVES] = top.body > 0.03 and rng.random() < 0.3
    _hang(cut, outfit)
    _open(cut, outfit, top)
    cut[k.HOOD] = outfit.hat.kind in ("hood", "headscarf")
    if outfit.hat.kind == "headscarf":
        cut[k.COLLAR] = 0.86
    cut[k.HAIR_KIND] = {"bald": 0, "balding": k.BALDING}.get(person.hair_style, 1)
    cut[k.HAIRLINE] = 0.012 * (person.hair_length - 0.5)
    cut[k.BEARD] = person.beard
    cut[k.GLASSES] = (1 + (outfit.hat.seed % 7 == 0)) * outfit.glasses  # one pair in seven is dark
    cut[k.FACE_MASK] = outfit.mask != "none"
    cut[k.SIDE_STRIPE] = bottom == "joggers" and low.random() < 0.6
    cut[k.BELT] = bottom in ("jeans", "trousers") and cut[k.HEM] > 0.16
    return cut


def _hang(cut: NDArray[np.float32], outfit: Outfit) -> None:
    """The strap of the bag."""
    rng = np.random.default_rng([outfit.bag.seed, 9])
    cut[k.STRAPS] = hangs(outfit.bag)
    cut[k.STRAP_AT] = rng.uniform(0.075, 0.125)
    cut[k.STRAP_HALF] = (
        rng.uniform(0.012, 0.03) if outfit.bag.kind == "backpack" else rng.uniform(0.006, 0.024)
    )


def _open(cut: NDArray[np.float32], outfit: Outfit, top: _Top) -> None:
    """How far the front stands open, its edges, and where what is worn below ends."""
    rng = np.random.default_rng([outfit.top.seed, 9])
    if max(top.opening) > 0 and rng.random() < _WORN_OPEN:
        cut[k.OPENING] = rng.uniform(0.025, 0.13)
    straight = rng.random() < 0.5
    cut[k.OPEN_BELOW] = rng.uniform(0.5, 1.2) if straight else rng.choice((0.05, 1.8))
    cut[k.EDGE] = rng.choice((0.0, 0.006, 0.012, 0.03), p=(0.2, 0.3, 0.3, 0.2))
    cut[k.INNER_HEM] = rng.uniform(-0.05, 0.17)
    cut[k.STRINGS] = rng.uniform(0.1, 0.25) * (outfit.top.kind in HOODED and rng.random() < 0.5)


def _cloths(person: Person, outfit: Outfit) -> NDArray[np.float32]:
    table = np.zeros((k.MATERIALS, k.COLUMNS), np.float32)
    skin, hair = person.skin, person.hair
    sole = srgb("#e2e2dd") if outfit.shoes.seed % 2 else _darker(outfit.shoes.cloth.main, 0.4)
    table[k.SKIN] = _plain(skin, 0.02, 0.03)
    table[k.HAIR] = _plain(hair, 0.5, 0.05)
    table[k.TOP] = _row(outfit.top.cloth)
    table[k.SLEEVE] = _row(_sleeves(outfit).cloth)
    if outfit.top.seed % 8 == 0 and outfit.top.kind in _OTHER_SLEEVES:
        table[k.SLEEVE] = _plain(outfit.top.cloth.second, 0.4, 0.02)
    if outfit.top.cloth.pattern == "logo" and outfit.top.kind not in _SLEEVELESS_OVER:
        table[k.SLEEVE, k.PATTERN] = 0
    table[k.INNER] = _row(outfit.inner.cloth)
    table[k.BOTTOM] = _row(outfit.bottom.cloth)
    table[k.BOTTOM, 6:9] = srgb("#e0e0e0")
    if outfit.bottom.kind == "dress" and outfit.top.kind == "tee":
        table[k.TOP] = table[k.SLEEVE] = table[k.BOTTOM]
    table[k.SHOE] = _row(outfit.shoes.cloth)
    table[k.SOLE] = _plain(sole, 0.0, 0.0)
    table[k.SOCK] = _plain(
        srgb(("#1a1a1c", "#dededa", "#6d7073", "#20283e")[outfit.shoes.seed % 4]), 0.1, 0.0
    )
    table[k.BAG] = _row(outfit.bag.cloth)
    strap = srgb("#232325") if outfit.bag.kind == "none" or outfit.bag.seed % 2 else outfit.bag.cloth.main
    table[k.STRAP] = _plain(_darker(strap, 0.7), 0.1, 0.02)
    table[k.LINING] = _plain(_lining(outfit), 0.1, 0.02)
    table[k.HAT] = _row(outfit.top.cloth if outfit.hat.kind == "hood" else outfit.hat.cloth)
    table[k.DARK] = _plain(srgb("#262322"), 0.0, 0.08)
    table[k.LIP] = _plain(Colour(skin.red * 0.8, skin.green * 0.5, skin.blue * 0.5), 0.0, 0.0)
    table[k.MASK] = _plain(srgb("#1d1d1f" if outfit.mask == "black" else "#dfe3e6"), 0.1, 0.0)
    table[k.AID] = _row(outfit.aid.cloth)
    table[k.METAL] = _plain(srgb("#8d9297"), 0.0, 0.15)
    return table


def _lining(outfit: Outfit) -> Colour:
    """Of edges, zips and strings: near the top's own colour, or another altogether."""
    rng = np.random.default_rng([outfit.top.seed, 10])
    if rng.random() < 0.4:
        return outfit.top.cloth.second
    lighter, main = rng.uniform(0, 0.4), outfit.top.cloth.main
    if rng.random() < 0.5:
        return Colour(*(value * (1 - lighter) * 0.7 + lighter for value in main))
    return _darker(main, 0.4)


def _sleeves(outfit: Outfit) -> Garment:
    return outfit.inner if outfit.top.kind in _SLEEVELESS_OVER else outfit.top


def _darker(colour: Colour, share: float) -> Colour:
    return Colour(*(value * share for value in colour))


def _plain(colour: Colour, wrinkle: float, gloss: float) -> NDArray[np.float32]:
    return _row(Cloth(colour, colour, colour, "", "", "plain", 1, 0.5, 0, wrinkle, gloss, 1))


def _row(cloth: Cloth) -> NDArray[np.float32]:
    row = np.zeros(k.COLUMNS, np.float32)
    row[:9] = (*cloth.main, *cloth.second, *cloth.third)
    row[k.PATTERN] = PATTERNS.index(cloth.pattern)
    row[k.SCALE], row[k.SHARE], row[k.LEVEL] = cloth.scale, cloth.share, cloth.level
    row[k.WRINKLE], row[k.GLOSS] = cloth.wrinkle, cloth.gloss
    row[k.SHIFT_X :] = np.random.default_rng(cloth.seed).uniform(0, 20, 3)
    return row
