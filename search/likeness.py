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
from reid.camera_means import centred
from reid.vectors import unit_rows
from search.evidence import Evidence
from search.found import Found
from search.request import Request

OTHER_CLOTHES = 0.15
"""What likeness says of a person in other clothes, as a share of what it says in the same: .08 to .16 on two
sets of synthetic people in two outfits (benchmarks/LOG.md)."""
F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
Bools = NDArray[np.bool_]

_SLOPE = 12.0  # of a model without a calibration: its order is right, its scale means nothing
_SAME = 0.003  # share of pairs of a shortlist that are taken to show one person, before looking
_WEIGHT = 3.0  # of a unit of difference; a likeness itself weighs seven times as much
_NEAREST = 8  # others that are looked at for each hit
_TOGETHER_MS = 1000  # two tracks of one person may overlap by a few frames


@dataclass(frozen=True)
class Compared:
    """The shortlist compared with the photos.

    Attributes:
        scores: (N,) float64, -1..1, see `likenesses`.
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
    photos = centred(request.vectors, found.view.means.overall)
    vectors = pooled([content.vectors for content in found.contents])
    return Compared(
        likenesses(vectors, photos), vectors, np.array([each.record.quality for each in found.contents]),
        max(each.quality for each in request.queries), apart_from(found),
    )  # fmt: skip


def apart_from(found: Found) -> Bools:
    """(N, N) which hits were in one clip at one time and so are two people."""
    records = [content.record for content in found.contents]
    start, end = (np.array([getattr(each, name) for each in records]) for name in ("start_ms", "end_ms"))
    clip = np.unique([each.clip for each in records], return_inverse=True)[1]
    shared = np.minimum(end[:, None], end) - np.maximum(start[:, None], start)
    apart = (clip[:, None] == clip) & (shared > _TOGETHER_MS)
    np.fill_diagonal(apart, False)
    return np.asarray(apart, np.bool_)


def likenesses(vectors: F32, photos: F32) -> F64:
    """(N,) how like the photos, (Q, D) unit rows, each of (N, D) unit rows is: the cosine of one photo.

    Of several it is the product with their mean, brought half of the way to unit length, as a logarithm. At
    its own length people would seem less alike than by one photo, at unit length strangers more, since what
    is particular to a photo is averaged out.
    """
    mean = photos.mean(axis=0, dtype=np.float64)
    return np.asarray(vectors @ (mean / max(float(np.linalg.norm(mean)), 1e-9) ** 0.5), np.float64)


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
    pictures of one person are to be about as like the photo. (Not as like as each other: cameras show people
    more alike than a phone's photo and a camera do.) A neighbour of the hit is heard as in k-reciprocal
    re-ranking (Zhong et al. 2017), but one, and weighed by the probability that it shows the same person, so
    that a hit without company loses nothing. Nearly all of a shortlist are strangers, over whom a likelihood
    ratio is 1 on average: so it is scaled.
    """
    alike = (compared.vectors @ compared.vectors.T).astype(np.float64)
    alike[compared.apart | np.eye(len(alike), dtype=bool)] = -1
    count = min(_NEAREST, len(alike))
    others = np.argpartition(-alike, count - 1, axis=1)[:, :count]
    worse = np.minimum(compared.qualities[:, None], compared.qualities[others])
    scores = np.take_along_axis(alike, others, axis=1)
    ratios = calibration.log_ratio(scores.ravel(), worse.ravel()).reshape(scores.shape) + np.log(_SAME)
    rows, best = np.arange(len(alike)), ratios.argmax(axis=1)
    same = 1 / (1 + np.exp(-np.clip(ratios[rows, best], -30, 30)))
    told = _WEIGHT * same * (compared.scores[others[rows, best]] - compared.scores)
    return Evidence("company", told - np.log(np.exp(told).mean()))


def one_at_a_time(apart: Bools, chances: F64) -> Evidence:
    """That of people who are in one clip at one time at most one is the person.

    Args:
        apart: (N, N) bool, see `Compared`. chances: (N,) the probability of each hit by all other evidence.
    """
    odds = chances / np.maximum(1 - chances, 1e-3)
    return Evidence("one at a time", -np.log1p(apart @ odds))
