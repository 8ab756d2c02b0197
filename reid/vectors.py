"""Arithmetic of embeddings that needs no network."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_SHORTEST = 1e-12


def unit_rows(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """(N, D) float32 rows scaled to length 1; a row without direction becomes the first axis."""
    # float64: the squares of huge but finite float32 numbers overflow.
    lengths = np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)
    known = np.isfinite(lengths) & (lengths > _SHORTEST)
    if known.all():
        return np.asarray(vectors / lengths, np.float32)
    first_axis = np.eye(1, vectors.shape[1])
    scaled = np.divide(vectors, lengths, out=np.tile(first_axis, (len(vectors), 1)), where=known)
    return np.asarray(scaled, np.float32)
