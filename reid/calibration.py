"""From a likeness to a probability that it is the same person, fitted on people the model never saw.

The log of the likelihood ratio, same person against another, is a polynomial in the cosine s of two vectors
(camera means taken out, as a search does) and the quality q of the worse picture: w . (1, s, s^2, q, s q),
rising with s. Its weights are those of a logistic regression over all pairs of pictures from two cameras in
their natural proportion, so that it is most exact where few right pairs stand among many wrong ones, as in a
search; the proportion is then taken out of the constant term (King & Zeng 2001).

What a search adds is how many sightings it expects among how many tracklets: see `probabilities`. Models of
the package come with a calibration fitted on synthetic people they never saw, since no real picture goes into
what is shipped; one fitted on a station's own pictures takes its place, see `find_calibration`. Owns the
arithmetic and the file; knows no archive.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reid.durable import make_folder, write_file
from reid.errors import DamagedError, FormatError, InputError
from reid.evaluation import without_camera_means
from reid.labelled import LabelledVectors

FORMAT = 1
EDGES = (0.0, 0.001, 0.01, 0.03, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
"""Borders of the probabilities in which reliability is told: most pairs are near 0."""
PACKAGED = Path(__file__).parent / "weights"
_SUFFIX = ".calibration.json"
_LEAST_PEOPLE = 20
_MOST_WRONG = 2_000_000
_STEPS, _RIDGE = 50, 1e-4
_FLAT = 1e-3  # least slope: a higher score never means less

F64 = NDArray[np.float64]


@dataclass(frozen=True)
class Bin:
    """Pairs of about one predicted probability.

    Attributes:
        low, high: the probabilities. pairs: how many. predicted: their mean. observed: share that was right.
    """

    low: float
    high: float
    pairs: int
    predicted: float
    observed: float


@dataclass(frozen=True)
class Calibration:
    """The fitted model, and how well it held on people it was not fitted on.

    Attributes:
        model: sha256 of the embedder.
        weights: of 1, s, s^2, q, s q: the log of the likelihood ratio.
        qualities: lowest and highest that were fitted on (but for 1 % at each end); others count as these.
        people, right, wrong: people and pairs fitted on.
        reliability: on the other half of the people, fitted on the first.
        error: mean of |predicted - observed| over those pairs predicted above .001 (expected calibration
            error); None where there are none.
    """

    model: str
    weights: tuple[float, float, float, float, float]
    qualities: tuple[float, float]
    people: int
    right: int
    wrong: int
    reliability: tuple[Bin, ...]
    error: float | None

    def log_ratio(self, scores: NDArray[np.floating], qualities: NDArray[np.floating]) -> F64:
        """(N,) log of the likelihood ratio of (N,) scores, -1..1, and (N,) qualities, 0..1."""
        known = np.clip(np.asarray(qualities, np.float64), *self.qualities)
        return np.asarray(_features(np.asarray(scores, np.float64), known) @ np.array(self.weights))

    def probabilities(
        self, scores: NDArray[np.floating], qualities: NDArray[np.floating], compared: int, expected: float
    ) -> F64:
        """(N,) probability that each sighting shows the person; their sum is how many are expected to.

        Args:
            scores, qualities: (N,) of the sightings.
            compared: tracklets in the scope of the search, at least 1.
            expected: sightings of the person among them, above 0, by what is known before looking.
        """
        share = min(expected / compared, 0.5)
        odds = np.exp(np.clip(self.log_ratio(scores, qualities), -700, 700)) * share / (1 - share)
        return np.asarray(odds / (1 + odds))

    def held_on(self, labelled: LabelledVectors) -> tuple[tuple[Bin, ...], float | None]:
        """How well it holds on other labelled pictures: `reliability` and `error` of those.

        Raises:
            ValueError: no qualities.
        """
        qualities = _known_qualities(labelled, *self.qualities)
        pairs = _pairs(
            labelled, without_camera_means(labelled), qualities, np.ones(len(qualities), dtype=np.bool_)
        )
        weights = np.array(self.weights)
        weights[0] += np.log(max(1, int(pairs.same.sum())) / max(1.0, pairs.wrong))
        return _reliability(weights, pairs)

    def save(self, path: Path) -> None:
        """Write as JSON.

        Raises:
            StorageError: the disk refused.
        """
        make_folder(path.parent)
        write_file(path, (json.dumps({"format": FORMAT, **self.to_json()}, indent=1) + "\n").encode())

    def to_json(self) -> dict[str, Any]:
        """All fields."""
        return asdict(self)


def expected_in_first(probabilities: NDArray[np.floating]) -> F64:
    """(N,) how many of the first 1, 2, ... N sightings are expected to be right.

    Args:
        probabilities: (N,) of the sightings, best first, see `Calibration.probabilities`.
    """
    return np.cumsum(np.asarray(probabilities, np.float64))


def packaged_path(name: str) -> Path:
    """Where the calibration that comes with the model `name` of the package lies; it may not exist."""
    return PACKAGED / f"{name}{_SUFFIX}"


def find_calibration(own: Path, model: str) -> Calibration | None:
    """The calibration to use for a model: the station's own, else the one it comes with, else none.

    Args:
        own: where `reid eval --calibrate` would have kept one. model: sha256 of the embedder.

    Raises:
        FormatError, DamagedError: see `load_calibration`.
    """
    if own.is_file():
        return load_calibration(own)
    for path in sorted(PACKAGED.glob(f"*{_SUFFIX}")):
        found = load_calibration(path)
        if found.model == model:
            return found
    return None


def load_calibration(path: Path) -> Calibration:
    """Read what `Calibration.save` wrote.

    Raises:
        FormatError: of another release.
        DamagedError: not a calibration.
    """
    try:
        table = json.loads(path.read_text("utf-8"))
        version = table.pop("format")
        if version == FORMAT:
            table["reliability"] = tuple(Bin(**each) for each in table["reliability"])
            for name in ("weights", "qualities"):
                table[name] = tuple(float(each) for each in table[name])
            return Calibration(**table)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DamagedError(
            f"{path}: expected a calibration ({error!r}); make it again with: reid eval DIR --calibrate"
        ) from None
    raise FormatError(f"{path}: format {version}, this release reads {FORMAT}; make it again")


def calibrate(labelled: LabelledVectors, model: str) -> Calibration:
    """Fit on labelled pictures of people whom neither the model nor anybody's thresholds were made on.

    Args:
        labelled: vectors, labels and qualities.
        model: sha256 of the embedder.

    Raises:
        InputError: fewer than 20 people in two cameras: nothing can be said of them.
        ValueError: no qualities.
    """
    vectors = without_camera_means(labelled)
    low, high = (float(each) for each in np.quantile(_known_qualities(labelled, 0, 1), (0.01, 0.99)))
    qualities = _known_qualities(labelled, low, high)
    people = _seen_twice(labelled)
    if len(people) < _LEAST_PEOPLE:
        raise InputError(
            f"calibration: expected at least {_LEAST_PEOPLE} people seen by two cameras, got {len(people)};"
            " label more people"
        )
    halves = [np.isin(labelled.people, people[start::2]) for start in (0, 1)]
    first, second = (_pairs(labelled, vectors, qualities, half) for half in halves)
    reliability, error = _reliability(_fit(first), second)
    whole = _pairs(labelled, vectors, qualities, np.isin(labelled.people, people))
    right = int(whole.same.sum())
    weights = _fit(whole)
    weights[0] -= np.log(right / whole.wrong)
    one, score, square, quality, both = (float(each) for each in weights)
    return Calibration(
        model, (one, score, square, quality, both), (low, high), len(people), right, int(whole.wrong),
        reliability, error,
    )  # fmt: skip


@dataclass(frozen=True)
class _Pairs:
    """Pairs of pictures from two cameras.

    Attributes:
        features: (P, 5). same: (P,) bool. weight: (P,) how many pairs each stands for. wrong: pairs in all.
    """

    features: F64
    same: NDArray[np.bool_]
    weight: F64
    wrong: float


def _known_qualities(labelled: LabelledVectors, low: float, high: float) -> NDArray[np.float32]:
    if labelled.qualities is None:
        raise ValueError("expected the qualities of the pictures")
    return np.clip(labelled.qualities, low, high)


def _seen_twice(labelled: LabelledVectors) -> NDArray[np.int64]:
    """People with pictures of two cameras, ascending."""
    seen = np.unique(np.stack([labelled.people, labelled.cameras], 1), axis=0)
    people, counts = np.unique(seen[:, 0], return_counts=True)
    return people[counts > 1]


def _pairs(
    labelled: LabelledVectors, vectors: NDArray[np.float32], qualities: NDArray[np.float32],
    rows: NDArray[np.bool_],
) -> _Pairs:  # fmt: skip
    """All right pairs among `rows`, and at most `_MOST_WRONG` evenly drawn wrong ones."""
    chosen = np.flatnonzero(rows)
    step = max(1, int(len(chosen) ** 2 / 2 // _MOST_WRONG))
    features, same = [], []
    wrong = 0
    for row, others in _later(chosen):
        others = others[labelled.cameras[others] != labelled.cameras[row]]
        alike = labelled.people[others] == labelled.people[row]
        wrong += int((~alike).sum())
        kept = alike | ((np.arange(len(others)) + row) % step == 0)
        others, alike = others[kept], alike[kept]
        scores = (vectors[others] @ vectors[row]).astype(np.float64)
        worse = np.minimum(qualities[others], qualities[row]).astype(np.float64)
        features.append(_features(scores, worse))
        same.append(alike)
    right = np.concatenate(same)
    weight = np.where(right, 1.0, wrong / max(1, int((~right).sum())))
    return _Pairs(np.concatenate(features), right, weight, float(wrong))


def _later(rows: NDArray[np.int64]) -> Iterator[tuple[int, NDArray[np.int64]]]:
    """Each row with those after it."""
    for number, row in enumerate(rows):
        yield int(row), rows[number + 1 :]


def _features(scores: F64, qualities: F64) -> F64:
    return np.stack([np.ones_like(scores), scores, scores**2, qualities, scores * qualities], 1)


def _fit(pairs: _Pairs) -> F64:
    """(5,) weights; terms that would make a higher score mean less are left out."""
    for free in ([0, 1, 2, 3, 4], [0, 1, 3, 4], [0, 1, 3], [0, 1]):
        weights = np.zeros(5)
        weights[free] = _logistic(pairs.features[:, free], pairs.same, pairs.weight)
        if _rises(weights):
            return weights
    weights[1] = max(weights[1], _FLAT)
    return weights


def _rises(weights: F64) -> bool:
    """Does the ratio rise with the score, from -1 to 1, at any quality? Its slope is linear in both."""
    corners = ((-1, 0), (-1, 1), (1, 0), (1, 1))
    slopes = [weights[1] + 2 * weights[2] * score + weights[4] * quality for score, quality in corners]
    return bool(min(slopes) >= _FLAT)


def _logistic(features: F64, same: NDArray[np.bool_], weight: F64) -> F64:
    """Newton's method for the weighted logistic likelihood, with a small ridge."""
    weights = np.zeros(features.shape[1])
    ridge = _RIDGE * weight.sum() / len(weight) * np.eye(len(weights))
    for _ in range(_STEPS):
        chance = 1 / (1 + np.exp(-np.clip(features @ weights, -30, 30)))
        slope = features.T @ (weight * (same - chance)) - ridge @ weights
        curve = (features * (weight * chance * (1 - chance))[:, None]).T @ features + ridge
        step = np.linalg.solve(curve, slope)
        weights += step * min(1.0, 5.0 / max(1e-9, float(np.abs(step).max())))
        if np.abs(step).max() < 1e-8:
            break
    return weights


def _reliability(weights: F64, pairs: _Pairs) -> tuple[tuple[Bin, ...], float | None]:
    """Predicted against observed, in the pairs' own proportion of right ones."""
    chance = 1 / (1 + np.exp(-np.clip(pairs.features @ weights, -30, 30)))
    place = np.clip(np.searchsorted(EDGES, chance, "right") - 1, 0, len(EDGES) - 2)
    bins = []
    for number in range(len(EDGES) - 1):
        here = place == number
        count = float(pairs.weight[here].sum())
        if count:
            bins.append(Bin(
                EDGES[number], EDGES[number + 1], round(count),
                float((chance * pairs.weight)[here].sum() / count),
                float((pairs.same * pairs.weight)[here].sum() / count),
            ))  # fmt: skip
    told = [each for each in bins if each.low >= EDGES[1]]
    total = sum(each.pairs for each in told)
    gaps = sum(each.pairs * abs(each.predicted - each.observed) for each in told)
    return tuple(bins), gaps / total if total else None
