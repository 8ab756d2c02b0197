"""Compares every row of a segment, as exact searches do and as the planner times them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from indexer.codes import inner_products
from indexer.shard.reader import Segment

BLOCK = 1024
"""Rows read and compared at a time: half a megabyte, which the processor keeps near."""

F32 = NDArray[np.float32]


def scan(segment: Segment, vectors: F32, off: F32, camera: NDArray[np.uint16], scale: F32) -> F32:
    """(N,) how like each row less its camera's mean is to the vector it is most like.

    Args:
        segment: of N rows and C cameras.
        vectors: (Q, D) float32 unit rows. off: (C, Q) their products with the cameras' means.
        camera: (N,) of each row. scale: (N,) one over the length of each row less its camera's mean.

    Raises:
        DamagedError: the segment is altered.
    """
    scores = np.empty(segment.manifest.vectors, np.float32)
    for first, block in segment.blocks(BLOCK):
        here = slice(first, first + len(block))
        scores[here] = (inner_products(block, vectors) - off[camera[here]]).max(axis=1)
    scores *= scale
    return scores


def highest(scores: F32, count: int) -> NDArray[np.int64]:
    """Places of the `count` highest finite scores, in no order."""
    best = np.argpartition(-scores, count)[:count] if count < len(scores) else np.arange(len(scores))
    return best[np.isfinite(scores[best])]
