"""The cross-camera protocol of person re-identification: rank-k, mAP, mINP and how the scores lie.

One query per person and camera, drawn with a fixed seed. All pictures are the gallery; those of the query's
person in the query's camera are ignored, and a query without any picture of its person in another camera
does not count (how many is reported). Scores are cosines rounded to six decimals, so that they do not hang
on the arithmetic of the machine. **Of equal scores the wrong ones stand first**: a model that cannot tell
gains nothing from the order of the files.

- rank-k: the share of queries with a right picture among the first k.
- mAP: the mean over queries of the average precision, the mean precision at each right picture.
- mINP: the mean over queries of right pictures / rank of the last one (Ye et al., "Deep Learning for Person
  Re-identification: A Survey and Outlook", TPAMI 2021): how long until everything was found.

By condition means the condition of the query; the gallery stays whole. Owns the numbers; knows no file.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reid.errors import InputError
from reid.labelled import LabelledVectors

SEED = 1
BINS = 40
RANKS = (1, 5, 10)
_TICKS = 1_000_000
_BLOCK = 4_000_000  # scores held at a time: some 60 MB with what is made of them
_SHORTEST = 1e-6

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Figures:
    """The protocol's result over some queries; not a number where no query counts.

    Attributes:
        ranks: share of queries with a right picture among the first 1, 5, 10 (`RANKS`).
        mean_ap, mean_inp: see the module.
        queries: how many counted.
        unanswerable: queries left out, whose person no other camera saw.
        images: pictures in the gallery.
    """

    ranks: tuple[float, ...]
    mean_ap: float
    mean_inp: float
    queries: int
    unanswerable: int
    images: int

    def to_json(self) -> dict[str, Any]:
        """The fields of `reid eval --json`; null where no query counts."""
        values = dict(zip((f"rank{k}" for k in RANKS), self.ranks, strict=True))
        values |= {"mAP": self.mean_ap, "mINP": self.mean_inp}
        shown = {name: value if self.queries else None for name, value in values.items()}
        return {
            **shown, "queries": self.queries, "queries_without_right_image": self.unanswerable,
            "images": self.images,
        }  # fmt: skip


@dataclass(frozen=True)
class Histogram:
    """How alike pictures of two cameras are, each pair counted once.

    Attributes:
        same, different: (`BINS`,) int64 pairs of one person, and of two; bins of equal width from -1 to 1,
            each with its lower edge, the last with both.
    """

    same: Ints
    different: Ints

    def to_json(self) -> dict[str, Any]:
        """`edges` (one more than bins) and the counts."""
        edges = [round(-1 + 2 * number / BINS, 6) for number in range(BINS + 1)]
        return {"edges": edges, "same": self.same.tolist(), "different": self.different.tolist()}


@dataclass(frozen=True)
class Outcome:
    """One way of comparing: over all queries, by the query's condition, and the scores."""

    overall: Figures
    by_condition: dict[str, Figures]
    histogram: Histogram

    def to_json(self) -> dict[str, Any]:
        """One flat object, `by_condition` and `histogram` in it."""
        conditions = {name: figures.to_json() for name, figures in self.by_condition.items()}
        return {
            **self.overall.to_json(), "by_condition": conditions, "histogram": self.histogram.to_json(),
        }  # fmt: skip


@dataclass(frozen=True)
class Evaluation:
    """Plain, and with each camera's mean vector subtracted."""

    plain: Outcome
    camera_means: Outcome

    def to_json(self) -> dict[str, Any]:
        """The contract of `reid eval --json`, without the model's name."""
        return {**self.plain.to_json(), "camera_means": self.camera_means.to_json()}


def evaluate(labelled: LabelledVectors, seed: int = SEED) -> Evaluation:
    """Measure how well the vectors find a person again in another camera.

    Args:
        labelled: vectors and labels; the order of rows decides which pictures a seed draws as queries.
        seed: of the drawing.

    Raises:
        InputError: nobody was seen by two cameras, so there is no query.
    """
    queries = choose_queries(labelled, seed)
    plain = _outcome(labelled, labelled.vectors, queries)
    if not plain.overall.queries:
        cameras, people = (len(np.unique(labels)) for labels in (labelled.cameras, labelled.people))
        raise InputError(
            f"expected people seen by two or more cameras, got {cameras} camera(s) and {people} person(s),"
            " none of them in two cameras: label pictures of the same people in another camera"
        )
    return Evaluation(plain, _outcome(labelled, without_camera_means(labelled), queries))


def choose_queries(labelled: LabelledVectors, seed: int) -> Ints:
    """(Q,) int64 rows: one picture of each person in each camera, ascending by person, then camera."""
    order = np.lexsort((labelled.cameras, labelled.people))
    keys = np.stack([labelled.people[order], labelled.cameras[order]], 1)
    starts = np.flatnonzero(np.r_[True, (keys[1:] != keys[:-1]).any(axis=1)])
    counts = np.diff(np.r_[starts, len(order)])
    drawn = np.random.default_rng(seed).random(len(starts))
    return np.asarray(order[starts + (drawn * counts).astype(np.int64)], np.int64)


def without_camera_means(labelled: LabelledVectors) -> NDArray[np.float32]:
    """(N, D) float32: each camera's mean vector subtracted, then of unit length again.

    Where nothing is left (a camera with one picture, or all alike) the row is zero: it resembles nobody.
    """
    vectors = labelled.vectors.astype(np.float64)
    for camera in np.unique(labelled.cameras):
        rows = labelled.cameras == camera
        vectors[rows] -= vectors[rows].mean(axis=0)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    scaled = np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > _SHORTEST)
    return np.asarray(scaled, np.float32)


def right_ranks(labelled: LabelledVectors, vectors: NDArray[np.float32], queries: Ints) -> list[Ints]:
    """For each query the ranks (from 1, ascending, int64) of its right pictures; empty where it has none.

    Args:
        labelled: the labels.
        vectors: (N, D) float32 rows to compare, of unit length or zero.
        queries: (Q,) rows.
    """
    ranks: list[Ints] = []
    size = max(1, _BLOCK // len(vectors))
    for start in range(0, len(queries), size):
        rows = queries[start : start + size]
        scores = _scores(vectors[rows], vectors)
        same = labelled.people[rows][:, None] == labelled.people[None, :]
        right = same & (labelled.cameras[rows][:, None] != labelled.cameras[None, :])
        wrong = np.where(same, np.int32(-2 * _TICKS), scores)
        wrong.sort(axis=1)
        for row in range(len(rows)):
            found = -np.sort(-scores[row, right[row]])
            before = len(vectors) - np.searchsorted(wrong[row], found, "left")
            ranks.append(before + np.arange(1, len(found) + 1))
    return ranks


def histogram(labelled: LabelledVectors, vectors: NDArray[np.float32]) -> Histogram:
    """Scores of all pairs of pictures from two cameras; `vectors` (N, D) as in `right_ranks`."""
    counts = np.zeros((3, BINS), np.int64)
    size = max(1, _BLOCK // len(vectors))
    for start in range(0, len(vectors), size):
        rows = slice(start, start + size)
        ticks = _scores(vectors[rows], vectors[start:]) + _TICKS
        bins = np.clip(ticks // (2 * _TICKS // BINS), 0, BINS - 1)
        kinds = (labelled.people[rows, None] == labelled.people[None, start:]).astype(np.int32)
        kinds[labelled.cameras[rows, None] == labelled.cameras[None, start:]] = 2
        kinds[np.tril_indices(len(kinds), m=kinds.shape[1])] = 2
        counts += np.bincount((kinds * BINS + bins).ravel(), minlength=3 * BINS).reshape(3, BINS)
    return Histogram(counts[1], counts[0])


def _outcome(labelled: LabelledVectors, vectors: NDArray[np.float32], queries: Ints) -> Outcome:
    ranks = right_ranks(labelled, vectors, queries)
    conditions = labelled.conditions[queries]
    by_condition = {
        name: _figures([each for each, row in zip(ranks, conditions, strict=True) if row == number], vectors)
        for number, name in enumerate(labelled.condition_names)
    }
    return Outcome(_figures(ranks, vectors), by_condition, histogram(labelled, vectors))


def _figures(ranks: list[Ints], vectors: NDArray[np.float32]) -> Figures:
    counted = [each for each in ranks if len(each)]
    first = np.array([each[0] for each in counted])
    precisions = [float((np.arange(1, len(each) + 1) / each).mean()) for each in counted]
    last = [len(each) / each[-1] for each in counted]
    some = bool(counted)
    return Figures(
        tuple(float((first <= k).mean()) if some else float("nan") for k in RANKS),
        float(np.mean(precisions)) if some else float("nan"),
        float(np.mean(last)) if some else float("nan"),
        len(counted),
        len(ranks) - len(counted),
        len(vectors),
    )


def _scores(queries: NDArray[np.float32], gallery: NDArray[np.float32]) -> NDArray[np.int32]:
    """(Q, N) int32 cosines in millionths."""
    return np.asarray(np.rint((queries @ gallery.T) * np.float32(_TICKS)), np.int32)
