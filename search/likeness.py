"""How much like the person each tracklet of the shortlist looks, and what its company says of that.

Owns the exact comparison of photos and tracklets as sets of vectors. A set is compared by its mean: the best
of several comparisons would be higher for strangers too, and the calibration is of single ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from reid.calibration import Calibration
from reid.vectors import unit_rows
from search.evidence import Evidence
from search.matching import Found
from search.request import Request

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
Bools = NDArray[np.bool_]

_SLOPE = 12.0  # of a model without a calibration: its order is right, its scale means nothing
_SAME = 0.003  # share of pairs of a shortlist that are taken to show one person, before looking
_WEIGHT = 5.0  # of a unit of difference; a likeness itself weighs four times as much
_TOGETHER_MS = 1000  # two tracks of one person may overlap by a few frames


@dataclass(frozen=True)
class Compared:
    """The shortlist compared with the photos.

    Attributes:
        scores: (N,) float64 cosines of the mean of the photos and the mean of each tracklet's vectors.
        vectors: (N, D) float32 unit rows, these means of the tracklets.
        qualities: (N,) of the tracklets, 0..1. photo: of the best photo, 0..1.
        apart: (N, N) bool, which were in one clip at one time and so are two people.
    """

    scores: F64
    vectors: F32
    qualities: F64
    photo: float
    apart: Bools


def compare(request: Request, found: Found) -> Compared:
    """The hits, at least one, compared exactly by all their vectors."""
    query = pooled([found.query])[0]
    vectors = pooled([content.vectors for content in found.contents])
    records = [content.record for content in found.contents]
    start, end = (np.array([getattr(each, name) for each in records]) for name in ("start_ms", "end_ms"))
    clip = np.unique([each.clip for each in records], return_inverse=True)[1]
    shared = np.minimum(end[:, None], end) - np.maximum(start[:, None], start)
    apart = (clip[:, None] == clip) & (shared > _TOGETHER_MS)
    np.fill_diagonal(apart, False)
    return Compared(
        (vectors @ query).astype(np.float64), vectors, np.array([each.quality for each in records]),
        max(each.quality for each in request.queries), apart,
    )  # fmt: skip


def pooled(sets: Sequence[F32]) -> F32:
    """(N, D) float32 unit rows: the mean of each of N sets (K, D) of unit rows, K at least 1."""
    starts = np.cumsum([0, *(len(each) for each in sets[:-1])])
    return unit_rows(np.add.reduceat(np.concatenate(sets), starts, axis=0))


def likeness(compared: Compared, calibration: Calibration | None) -> Evidence:
    """Of each hit; without a calibration of the embedder only their order means anything."""
    if calibration is None:
        return Evidence("likeness", compared.scores * _SLOPE)
    worse = np.minimum(compared.qualities, compared.photo)
    return Evidence("likeness", calibration.log_ratio(compared.scores, worse))


def company(compared: Compared, calibration: Calibration) -> Evidence:
    """What the likeliest other tracklet of the same person says of each hit.

    Who looks like the photo by chance is often in the archive once more, where they look less like it: two
    pictures of one person are to be about as like the photo as they are like each other. A neighbour of the
    hit is heard as in k-reciprocal re-ranking (Zhong et al. 2017), but one, and weighed by the probability
    that it shows the same person, so that a hit without company loses nothing. Nearly all of a shortlist are
    strangers, over whom a likelihood ratio is 1 on average: so it is scaled.
    """
    alike = (compared.vectors @ compared.vectors.T).astype(np.float64)
    worse = np.minimum(compared.qualities[:, None], compared.qualities)
    ratio = calibration.log_ratio(alike.ravel(), worse.ravel()).reshape(alike.shape) + np.log(_SAME)
    same = 1 / (1 + np.exp(-np.clip(ratio, -30, 30)))
    same[compared.apart | np.eye(len(same), dtype=bool)] = 0
    rows, nearest = np.arange(len(same)), same.argmax(axis=1)
    less = alike[rows, nearest] - compared.scores[nearest]
    told = -_WEIGHT * same[rows, nearest] * less
    return Evidence("company", told - np.log(np.exp(told).mean()))


def one_at_a_time(compared: Compared, chances: F64) -> Evidence:
    """That of people who are in one clip at one time at most one is the person.

    Args:
        compared: the shortlist. chances: (N,) the probability of each hit by all other evidence.
    """
    odds = chances / np.maximum(1 - chances, 1e-3)
    return Evidence("one at a time", -np.log1p(compared.apart @ odds))
