"""Cloth: colours, pattern, creases and gloss of a garment."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from reid.people.colours import Colour, Dye, dye

PATTERNS = (
    "plain", "stripes", "pinstripes", "check", "print", "two-tone", "dots", "melange", "logo", "fading",
    "reflective", "diagonal", "denim", "quilted",
)  # fmt: skip
"""Order is the number that the shader knows a pattern by."""


@dataclass(frozen=True)
class Cloth:
    """The surface of a garment.

    Attributes:
        main, second, third: linear RGB; which of them show depends on the pattern.
        term: basic colour term of `main`; second_term of `second`.
        pattern: one of `PATTERNS`.
        scale, share, level: the pattern's frequency per metre, share of `second`, and place.
        wrinkle: 0..1, how much it creases.
        gloss: 0..0.2.
        seed: moves the pattern and the folds.
    """

    main: Colour
    second: Colour
    third: Colour
    term: str
    second_term: str
    pattern: str
    scale: float
    share: float
    level: float
    wrinkle: float
    gloss: float
    seed: int


_SCALES = {"stripes": (7, 22), "pinstripes": (14, 40), "check": (7, 18), "print": (9, 20), "dots": (9, 20),
           "diagonal": (4, 9), "logo": (0.6, 1.5), "quilted": (9, 16)}  # fmt: skip
_LEVELS = {"two-tone": (0.3, 0.62), "logo": (0.44, 0.6), "fading": (0, 0.4), "reflective": (0.2, 0.35)}


def make_cloth(
    rng: np.random.Generator, main: Dye, patterns: str, wrinkle: float, gloss: float = 0.02
) -> Cloth:
    """A cloth of colour `main` in one of the space-separated `patterns`, all equally likely."""
    kinds = patterns.split()
    pattern = kinds[int(rng.integers(len(kinds)))]
    second, third = _contrasting(rng, main), dye(rng)
    if pattern == "reflective":
        second = dye(rng, ("light grey",))
    elif pattern == "denim":  # the worn places of the same cloth
        second = Dye(Colour(*(min(0.9, value * 2.2 + 0.02) for value in main.colour)), main.term)
    return Cloth(
        main.colour, second.colour, third.colour, main.term, second.term, pattern,
        scale=float(rng.uniform(*_SCALES.get(pattern, (1, 1)))), share=float(rng.uniform(0.25, 0.6)),
        level=float(rng.uniform(*_LEVELS.get(pattern, (0, 1)))), wrinkle=wrinkle,
        gloss=gloss * float(rng.uniform(0.5, 1.5)), seed=int(rng.integers(1 << 31)),
    )  # fmt: skip


def _contrasting(rng: np.random.Generator, main: Dye) -> Dye:
    """A second colour that can be told from the first."""
    for _ in range(8):
        other = dye(rng)
        if float(np.abs(np.array(other.colour) - main.colour).max()) > 0.12:
            break
    return other
