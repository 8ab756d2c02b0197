"""What confirmed and rejected sightings say of the others on the shortlist, as evidence.

With a confirmed sighting, photos and confirmed ones are told apart from rejected ones and from people who
only look alike by a regularised logistic regression of the vectors, made anew for each search: the lower half
of the shortlist stands for the people who look alike (an exemplar against many: Malisiewicz et al. 2011). The
slope and height of its log-odds were fitted on synthetic people (benchmarks/LOG.md); it takes the place of
what the photos alone say. With rejected ones only, whoever is likelier the same person as one of them loses
by Bayes' rule. Owns the arithmetic; knows no case.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from reid.calibration import Calibration
from reid.camera_means import centred
from reid.vectors import unit_rows
from search.evidence import Evidence
from search.filters import Key
from search.found import Found
from search.judged import Judged
from search.request import Request

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]

NAME = "feedback"
MOST_QUERIES = 8
"""Confirmed sightings that are searched by; of more, those most unlike one another."""

_REJECTED = 0.2  # weight of all rejected ones; what is left of 1 is that of those who look alike
_RIDGE = 0.003
_CONSTANT = 2.0  # of each row: the larger, the freer the height
_STEPS, _ENOUGH = 30, 1e-3
_FIT, _FIT_CONFIRMED = (3.8, 4.3), (2.0, 2.2)
"""Slope and height of the log-odds, against the shortlist: with rejected sightings, and without."""


def further_pictures(request: Request, model: str) -> list[tuple[Key, F32]]:
    """Camera and (D,) unit vector of each confirmed sighting that the shortlist is also searched by.

    Args:
        model: sha256 of the embedder; copies of another model's vectors cannot be compared.
    """
    confirmed = _usable(request.confirmed, model)
    rows = examples([each.vectors.astype(np.float32) for each in confirmed])
    return [(confirmed[place].key, rows[place]) for place in most_unlike(rows).tolist()]


def without_rejected(found: Found, request: Request) -> Found:
    """What was found, but for the sightings that were rejected."""
    kept = [
        (hit, content)
        for hit, content in zip(found.hits, found.contents, strict=True)
        if content.record.id not in request.feedback.rejected
    ]
    return replace(found, hits=tuple(hit for hit, _ in kept), contents=tuple(each for _, each in kept))


def feedback(
    request: Request, found: Found, model: str, shown: F64, calibration: Calibration | None
) -> Evidence:
    """Of each hit.

    Args:
        request: with judged sightings. found: at least one hit, none of them rejected.
        model: sha256 of the embedder.
        shown: (N,) log ratios of what the photos alone say of looks.
        calibration: of the embedder; None: rejected sightings alone change no order.
    """
    means = found.view.means
    confirmed, rejected = (
        examples([
            centred(each.vectors.astype(np.float32), means.of([each.key])[0])
            for each in _usable(judged, model)
        ])
        for judged in (request.confirmed, request.rejected)
    )  # fmt: skip
    hits = [content.vectors for content in found.contents]
    if len(confirmed):
        right = confirmed
        if request.queries:
            right = np.concatenate([centred(request.vectors, means.overall), confirmed])
        judged = np.array([each.record.id in request.feedback.confirmed for each in found.contents])
        return Evidence(NAME, as_confirmed(hits, right, rejected, judged, found.tracklets) - shown)
    if not len(rejected) or calibration is None:
        return Evidence(NAME, np.zeros(len(hits)))
    qualities = np.array([content.record.quality for content in found.contents])
    return Evidence(NAME, as_rejected(hits, qualities, rejected, found.tracklets, calibration))


def _usable(judged: Sequence[Judged], model: str) -> list[Judged]:
    return [each for each in judged if each.embedder == model]


def examples(vectors: Sequence[F32]) -> F32:
    """(N, D) unit rows: the middle of each tracklet's (K, D) rows; N may be 0.

    Args:
        vectors: unit rows, the mean of their camera taken out.
    """
    return unit_rows(np.stack([rows.mean(axis=0) for rows in vectors])) if vectors else np.empty((0, 0), "f4")


def most_unlike(rows: F32, count: int = MOST_QUERIES) -> NDArray[np.int64]:
    """Places of at most `count` of (N, D) unit rows, each the most unlike those before; the first is 0."""
    chosen = [0] if len(rows) else []
    while len(chosen) < min(count, len(rows)):
        nearest = (rows @ rows[chosen].T).max(axis=1)
        nearest[chosen] = np.inf
        chosen.append(int(nearest.argmin()))
    return np.array(chosen, np.int64)


def as_confirmed(
    hits: Sequence[F32], right: F32, rejected: F32, is_judged: NDArray[np.bool_], compared: int
) -> F64:
    """(N,) log of the likelihood ratio of each hit by photos and confirmed sightings, against everybody.

    Args:
        hits: best first, each (K, D) float32 unit rows, the mean of its camera out.
        right: (P, D) photos and confirmed sightings, likewise. rejected: (R, D), R may be 0.
        is_judged: (N,) which hits were judged; they stand for nobody else.
        compared: tracklets in the scope of the search.
    """
    free = np.flatnonzero(~is_judged)
    others = examples([hits[place] for place in free[len(free) // 2 :]])
    nobody = np.zeros((1, right.shape[1]), np.float32)  # the middle of everybody
    wrong = [rows for rows in (rejected, others) if len(rows)]
    rows = np.concatenate([right, *wrong, nobody])
    weighs = _REJECTED if len(rejected) else 0.0
    weights = np.repeat(
        [1 / len(right), weighs / max(len(rejected), 1), (1 - weighs) / (len(others) + 1)],
        [len(right), len(rejected), len(others) + 1],
    )
    direction, height = _logistic(rows, np.arange(len(rows)) < len(right), weights)
    odds = np.array([float((each @ direction).max()) for each in hits]) + height
    slope, constant = _FIT if len(rejected) else _FIT_CONFIRMED
    return np.asarray(slope * odds + constant + np.log(max(compared, len(hits)) / len(hits)), np.float64)


def _logistic(rows: F32, right: NDArray[np.bool_], weights: F64) -> tuple[F64, float]:
    """Direction (D,) and height of a logistic regression with a ridge, by Newton's method in the dual."""
    wide = np.column_stack([rows, np.full(len(rows), _CONSTANT)]).astype(np.float64)
    products, odds = wide @ wide.T, np.zeros(len(rows))
    for _ in range(_STEPS):
        expected = 1 / (1 + np.exp(-odds))
        curve = weights * np.maximum(expected * (1 - expected), 1e-5)
        target = odds + weights * (right - expected) / curve
        dual = np.linalg.solve(products + _RIDGE * np.diag(1 / curve), target)
        before, odds = odds, products @ dual
        if np.abs(odds - before).max() < _ENOUGH:
            break
    found = wide.T @ dual
    return found[:-1], float(found[-1] * _CONSTANT)


def as_rejected(hits: Sequence[F32], qualities: F64, rejected: F32, compared: int, fit: Calibration) -> F64:
    """(N,) what likeness to rejected sightings takes from each hit: 0 or less.

    Somebody who was rejected is as often before the cameras as the person is, so that a hit is compared with
    everybody else and with them: the log of p(hit | anybody) / p(hit | anybody, or one of the rejected).

    Args:
        hits, rejected, compared: as in `as_confirmed`. qualities: (N,) of the hits' best crops, 0..1.
        fit: of the embedder.
    """
    scores = np.stack([(each @ rejected.T).max(axis=0) for each in hits], axis=1)
    ratios = [np.exp(fit.log_ratio(each, qualities)) for each in scores]
    return np.asarray(-np.log1p(np.sum(ratios, axis=0) / max(compared, 1)), np.float64)
