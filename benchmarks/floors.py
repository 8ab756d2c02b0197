"""What any embedder must beat: colour histograms, and chance."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from reid.images import Picture, resize
from reid.vectors import unit_rows

_STRIPES = 6
_LEVELS = 4  # of each channel
_SIZE = (48, 96)  # width, height in pixels; the outer sixths are mostly not the person


class ColourHistograms:
    """BGR histograms of six stripes from head to foot, compared by their roots (Hellinger)."""

    def embed(self, crops: Sequence[Picture]) -> NDArray[np.float32]:
        """(N, 384) float32 unit vectors."""
        bins = _LEVELS**3
        vectors = np.empty((len(crops), _STRIPES * bins), np.float32)
        margin = _SIZE[0] // 6
        for row, crop in enumerate(crops):
            levels = resize(crop, *_SIZE)[:, margin:-margin].astype(np.int64) * _LEVELS // 256
            codes = (levels[..., 0] * _LEVELS + levels[..., 1]) * _LEVELS + levels[..., 2]
            stripes = codes.reshape(_STRIPES, -1) + bins * np.arange(_STRIPES)[:, None]
            vectors[row] = np.sqrt(np.bincount(stripes.ravel(), minlength=_STRIPES * bins))
        return unit_rows(vectors)


class Chance:
    """Random directions that do not depend on the picture."""

    def __init__(self, seed: int = 1) -> None:
        self._random = np.random.default_rng(seed)

    def embed(self, crops: Sequence[Picture]) -> NDArray[np.float32]:
        """(N, 64) float32 unit vectors."""
        return unit_rows(self._random.normal(size=(len(crops), 64)).astype(np.float32))
