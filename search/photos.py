"""Whether the photos of one search show one person; knows no archive."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from reid.calibration import Calibration
from search.query import Query

_LEAST = -1.0
"""Log of the likelihood ratio of two photos below which the reader is told: true of 2 to 8 in 100 pairs of
photos of one person and of 86 to 94 in 100 of two people (benchmarks/LOG.md)."""


def disagreements(
    queries: Sequence[Query], vectors: NDArray[np.float32], calibration: Calibration | None
) -> tuple[str, ...]:
    """One warning for each two photos that look like two people; none without a calibration.

    Args:
        queries: the photos.
        vectors: (Q, D) float32 unit rows of them, the mean of the cameras out.
        calibration: of the embedder.
    """
    if calibration is None:
        return ()
    told = []
    for one, other in combinations(range(len(queries)), 2):
        worse = min(queries[one].quality, queries[other].quality)
        alike = np.array([vectors[one] @ vectors[other]])
        if calibration.log_ratio(alike, np.array([worse]))[0] < _LEAST:
            names = (Path(queries[each].photo).name for each in (one, other))
            told.append(
                f"the photos {' and '.join(names)} look like two different people or other clothes; sightings"
                " of either are ranked lower than by a photo alone: search with each photo by itself"
            )
    return tuple(told)
