"""Colours of cloth, each with the basic colour term people would use for it.

The eleven terms are those of Berlin and Kay (1969). Colours are linear RGB, 0..1.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

TERMS = ("black", "grey", "white", "red", "orange", "yellow", "green", "blue", "purple", "pink", "brown")


class Colour(NamedTuple):
    """Linear RGB, 0..1: the share of light a surface reflects."""

    red: float
    green: float
    blue: float


class Dye(NamedTuple):
    """A colour of cloth and the word for it."""

    colour: Colour
    term: str


def srgb(code: str) -> Colour:
    """The colour of `#rrggbb` (sRGB, approximated by a gamma of 2.2)."""
    return Colour(*((int(code[i : i + 2], 16) / 255) ** 2.2 for i in (1, 3, 5)))


_PALETTE = {  # name: (sRGB code, basic term, how often it is worn)
    "black": ("#151517", "black", 20), "charcoal": ("#33363a", "grey", 8), "navy": ("#1c2540", "blue", 11),
    "grey": ("#777a7d", "grey", 8), "light grey": ("#b3b5b6", "grey", 6), "white": ("#e4e3de", "white", 10),
    "cream": ("#d9cfb4", "white", 3), "beige": ("#b9a684", "brown", 5), "camel": ("#9a7646", "brown", 3),
    "brown": ("#54402f", "brown", 4), "khaki": ("#5b5a3c", "green", 4), "red": ("#a3202a", "red", 3),
    "burgundy": ("#541a25", "red", 2.5), "blue": ("#2a52a0", "blue", 4), "sky": ("#86aed0", "blue", 3.5),
    "green": ("#2b6b3f", "green", 2), "mint": ("#9cc9b0", "green", 1.2), "yellow": ("#d8b433", "yellow", 1.6),
    "mustard": ("#a5802c", "yellow", 1), "orange": ("#cf6a2a", "orange", 1.5), "pink": ("#d79aa8", "pink", 3),
    "magenta": ("#a8386e", "pink", 1), "purple": ("#54397a", "purple", 1.5),
    "lavender": ("#a394c2", "purple", 1),
    "teal": ("#1f6a70", "green", 1.2), "rust": ("#8a4526", "brown", 1.2), "lime": ("#c4de35", "yellow", 0.4),
    "denim dark": ("#232c42", "blue", 0), "denim": ("#3d4f70", "blue", 0),
    "denim light": ("#7b90b0", "blue", 0),
}  # fmt: skip
_NAMES = tuple(_PALETTE)
_SHARES = np.array([_PALETTE[name][2] for name in _NAMES], float)
_SHARES /= _SHARES.sum()


def dye(rng: np.random.Generator, names: Sequence[str] | None = None) -> Dye:
    """A colour as worn in the street, or one of `names`, a little off as no two dyes are the same."""
    name = (
        _NAMES[int(rng.choice(len(_NAMES), p=_SHARES))]
        if names is None
        else names[int(rng.integers(len(names)))]
    )
    code, term, _ = _PALETTE[name]
    values = np.array(srgb(code)) * np.exp(rng.normal(0, 0.13)) * np.exp(rng.normal(0, 0.05, 3))
    return Dye(Colour(*np.clip(values, 0.006, 0.88)), term)
