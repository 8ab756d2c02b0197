"""What all people before one camera have in common, taken out of their vectors.

Light, colours and viewing angle move every vector of a camera the same way. Subtracting each camera's mean
vector brings the same person before two cameras nearer together, without any label. Measured on real people
in benchmarks/LOG.md. Owns the arithmetic; knows no archive and no picture.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reid.vectors import unit_rows

F32 = NDArray[np.float32]

_SAME = 0.75
"""Tracklets of one clip more alike than this count once: one person who comes and goes is one person."""
_SHRINK = 10.0
"""People whose mean weighs as much as what is known without them."""
_LIMIT = 1.5
"""Most that a camera may differ from all cameras, in medians of how much cameras differ."""
_FEW = 3
"""Cameras below which there is no median to speak of."""


@dataclass(frozen=True)
class Tally:
    """Different people seen by a camera: how many, and the sum of their unit vectors, (D,) float64."""

    count: int
    total: NDArray[np.float64]

    def __add__(self, other: Tally) -> Tally:
        return Tally(self.count + other.count, self.total + other.total)


def tally(tracklets: Sequence[F32]) -> Tally:
    """Count the different people among tracklets of one camera and clip.

    Args:
        tracklets: at least one, each (K, D) float32 unit rows.
    """
    means = unit_rows(np.stack([vectors.mean(axis=0) for vectors in tracklets]).astype(np.float32))
    alike = means @ means.T > _SAME
    kept: list[int] = []
    for row in range(len(means)):
        if not alike[row, kept].any():
            kept.append(row)
    return Tally(len(kept), means[kept].sum(axis=0, dtype=np.float64))


class CameraMeans:
    """The mean vectors of an archive's cameras.

    A camera that saw few people is taken to be like the others, and one that differs from them far more
    than cameras do is believed only in part: it may have seen one person all day, who must not vanish.

    Args:
        tallies: by camera, whatever names one; may be empty.
        dimension: D, of a vector.

    Attributes:
        overall: (D,) float32, the mean of the cameras: for a picture of unknown origin, such as a photo.
        rows: (K, D) float32, the mean of each camera, and last `overall`.
    """

    def __init__(self, tallies: Mapping[Any, Tally], dimension: int) -> None:
        counts = np.array([each.count for each in tallies.values()], np.float64)
        totals = np.array([each.total for each in tallies.values()]).reshape(-1, dimension)
        trust = counts / (counts + _SHRINK)
        means = totals / np.maximum(counts, 1)[:, None]
        people = float(counts.sum())
        middle = trust @ means / max(float(trust.sum()), 1e-9)
        self.overall: F32 = (middle * (people / (people + _SHRINK))).astype(np.float32)
        apart = (means - middle) * trust[:, None]
        lengths = np.linalg.norm(apart, axis=1)
        if len(lengths) >= _FEW:
            most = _LIMIT * float(np.median(lengths))
            apart *= np.minimum(1.0, most / np.maximum(lengths, 1e-9))[:, None]
        self.rows: F32 = np.vstack([(self.overall + apart).astype(np.float32), self.overall])
        self._places = {camera: place for place, camera in enumerate(tallies)}

    def of(self, cameras: Iterable[Hashable]) -> F32:
        """(C, D) float32 means of C cameras; `overall` of one nothing is known of."""
        return self.rows[self.places(cameras)]

    def places(self, cameras: Iterable[Hashable]) -> NDArray[np.int64]:
        """(C,) where the means of C cameras stand in `rows`."""
        last = len(self.rows) - 1
        return np.array([self._places.get(camera, last) for camera in cameras], np.int64)


def centred(vectors: F32, means: F32) -> F32:
    """(N, D) float32 unit rows: `vectors` less `means`, (N, D) or (D,)."""
    return unit_rows(np.asarray(vectors - means, np.float32))
