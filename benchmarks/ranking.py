"""`python -m benchmarks ranking`: what each step of the ranking gains, and whether its probabilities hold.

Searches for people who pass a known number of times among strangers who pass three times each, with vectors
of `vectors.py` (calibrated on people of another seed), and, where CUHK01 lies beside the repository, for
people of one of its cameras among tracklets made of the two pictures of the other (calibrated as shipped).
Steps: the best of all pairs of vectors; sets of vectors by their means; company; further photos of the
person. Owns the cases and the figures; what is measured is `search.likeness`.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from benchmarks.footage import EVAL
from benchmarks.vectors import F32, Crowd, Ints, VectorModel
from reid.calibration import Calibration, calibrate, find_calibration
from reid.embedder import load_embedder
from reid.labelled import LabelledVectors, embed_folder, read_folder
from reid.vectors import unit_rows
from search.evidence import probabilities
from search.likeness import Compared, company, likeness, likenesses, pooled
from search.sightings import SHORTLIST

SEED = 12
RIGHT = (0, 1, 2, 5, 15)
"""Tracklets that show the person, in the scenes of sampled vectors."""
PAGE = 20
STEPS = ("best of all pairs", "+ multi-vector", "+ company", "+ further photos")
_CAMERAS, _PHOTOS, _PASSAGES = 60, 3, 3
_QUALITY = 0.6  # of all sampled vectors: their model knows none
_LEAST = 0.001  # probabilities below it are too many and too easy to count
_BINS = 10

Bools = NDArray[np.bool_]
F64 = NDArray[np.float64]


@dataclass(frozen=True)
class Case:
    """One search, its shortlist by the best of all pairs with the first photo.

    Attributes:
        photos: (Q, D) float32 unit rows. photo_quality: of the best of them.
        sets: of each tracklet (K, D) unit rows, the mean of its camera out. qualities: of each.
        shows: (N,) whether it shows the person. right: how many of all that were compared do.
        compared: tracklets.
    """

    photos: F32
    photo_quality: float
    sets: list[F32]
    qualities: F64
    shows: Bools
    right: int
    compared: int


def run(quick: bool) -> dict[str, Any]:
    """Measure all steps on all sets; the figures."""
    people, each = (1000, 30) if quick else (4000, 200)
    model = VectorModel.load()
    fitted = calibrate(_labelled(model, SEED + 1), str(model.embedder[0]))
    sets = {"sampled vectors": (fitted, list(scenes(model, SEED, people, each)))}
    if (EVAL / "cuhk01").is_dir():
        sets["CUHK01, one camera among the other's"] = _cuhk01(quick)
    figures = {name: measure(cases, calibration) for name, (calibration, cases) in sets.items()}
    for name, found in figures.items():
        _print(name, found)
    return {"seed": SEED, "shortlist": SHORTLIST, "page": PAGE, "sets": figures}


def _labelled(model: VectorModel, seed: int) -> LabelledVectors:
    """Single pictures of other people than the scenes', to calibrate on."""
    people = 1000
    sample = Crowd(model, people, 8, seed, views=(1.0,)).sample(0, people * 4)
    none = np.zeros(len(sample.people), np.int64)
    quality = np.full(len(none), _QUALITY, np.float32)
    return LabelledVectors(sample.vectors, sample.people, sample.cameras, none, (), quality)


def scenes(model: VectorModel, seed: int, strangers: int, each: int) -> Iterator[Case]:
    """`each` searches for every number of `RIGHT`, among `_PASSAGES` tracklets of each stranger."""
    rng = np.random.default_rng([seed, 20])
    crowd = Crowd(model, strangers + each * len(RIGHT), _CAMERAS, seed)
    right = np.repeat(RIGHT, each)
    wanted = strangers + np.arange(len(right))
    who = np.r_[np.repeat(np.arange(strangers), _PASSAGES), np.repeat(wanted, right)]
    places = [rng.choice(_CAMERAS, count, replace=False) for count in right]
    where = np.concatenate([rng.integers(_CAMERAS, size=strangers * _PASSAGES), *places])
    sample = crowd.passing(who, where)
    means = _means(sample.vectors, where[sample.tracklets], _CAMERAS)
    vectors = unit_rows(sample.vectors - means[where[sample.tracklets]])
    begins = np.searchsorted(sample.tracklets, np.arange(len(who) + 1))
    photos = [unit_rows(crowd.photos_of(wanted, k) - means.mean(axis=0)) for k in range(_PHOTOS)]
    others = np.arange(strangers * _PASSAGES)
    quality = np.full(len(who), _QUALITY)
    for number, person in enumerate(wanted.tolist()):
        own = np.flatnonzero(who == person)
        mine = np.stack([photo[number] for photo in photos])
        rows = np.r_[others, own]
        yield _case(mine, _QUALITY, vectors, begins, quality, rows, who == person)


def _means(vectors: F32, cameras: Ints, count: int) -> F32:
    """(count, D) mean vectors of the cameras."""
    return np.stack([vectors[cameras == camera].mean(axis=0) for camera in range(count)])


def _case(
    photos: F32, photo_quality: float, vectors: F32, begins: Ints, qualities: F64, rows: Ints, shows: Bools
) -> Case:
    """The search among the tracklets `rows`; tracklet t has the vectors begins[t] to begins[t + 1]."""
    best = np.maximum.reduceat(vectors @ photos[0], begins[:-1])[rows]
    chosen = rows[np.argsort(-best, kind="stable")[:SHORTLIST]]
    sets = [vectors[begins[row] : begins[row + 1]] for row in chosen.tolist()]
    right = int(shows[rows].sum())
    return Case(photos, photo_quality, sets, qualities[chosen], shows[chosen], right, len(rows))


def _cuhk01(quick: bool) -> tuple[Calibration, list[Case]]:
    embedder = load_embedder()
    labelled, _ = embed_folder(read_folder(EVAL / "cuhk01"), embedder)
    calibration = find_calibration(EVAL / "none", embedder.spec.sha256)
    assert calibration is not None, "the default embedder comes with one"
    return calibration, list(folder_cases(labelled))[:: 4 if quick else 1]


def folder_cases(labelled: LabelledVectors) -> Iterator[Case]:
    """A search for each picture, its camera unknown, among the people of each other camera: one tracklet a
    person, of all its pictures. The further photos are those of the same person by the same camera.
    """
    assert labelled.qualities is not None
    order = np.lexsort((labelled.people, labelled.cameras))
    people, qualities = labelled.people[order], labelled.qualities[order].astype(np.float64)
    names, cameras = np.unique(labelled.cameras[order], return_inverse=True)
    means = _means(labelled.vectors[order], cameras, len(names))
    vectors = unit_rows(labelled.vectors[order] - means[cameras])
    photos = unit_rows(labelled.vectors[order] - means.mean(axis=0))
    fresh = np.r_[True, (np.diff(people) != 0) | (np.diff(cameras) != 0)]
    begins = np.r_[np.flatnonzero(fresh), len(people)]
    best = np.maximum.reduceat(qualities, begins[:-1])
    who, where = people[begins[:-1]], cameras[begins[:-1]]
    for photo in range(len(people)):
        same = (people == people[photo]) & (cameras == cameras[photo])
        same[photo] = False
        mine = np.r_[photo, np.flatnonzero(same)]
        for camera in range(len(names)):
            if camera != cameras[photo]:
                rows = np.flatnonzero(where == camera)
                quality = float(qualities[photo])
                yield _case(photos[mine], quality, vectors, begins, best, rows, who == people[photo])


def measure(cases: Sequence[Case], calibration: Calibration) -> dict[str, Any]:
    """Figures of each step: the calibration's error and time over all cases, the rest by right ones."""
    return {
        name: _measure(cases, partial(ratios, step=number, calibration=calibration))
        for number, name in enumerate(STEPS)
    }


def ratios(case: Case, step: int, calibration: Calibration) -> F64:
    """(N,) log of the likelihood ratio of each tracklet of the shortlist after so many steps."""
    photos = case.photos if step == 3 else case.photos[:1]
    if step == 0:
        scores = np.array([(each @ photos.T).max() for each in case.sets], np.float64)
        return calibration.log_ratio(scores, np.minimum(case.qualities, case.photo_quality))
    vectors = pooled(case.sets)
    apart = np.zeros((len(vectors), len(vectors)), np.bool_)
    compared = Compared(likenesses(vectors, photos), vectors, case.qualities, case.photo_quality, apart)
    told = likeness(compared, calibration).log_ratios
    return told if step == 1 else told + company(compared, calibration).log_ratios


def _measure(cases: Sequence[Case], ranked: Callable[[Case], F64]) -> dict[str, Any]:
    by_right: dict[int, list[tuple[float, ...]]] = defaultdict(list)
    told, true, took = [], [], []
    for case in cases:
        begun = time.perf_counter()
        logs = ranked(case)
        chances = probabilities(logs, case.compared)
        order = np.argsort(-logs, kind="stable")
        took.append((time.perf_counter() - begun) * 1000)
        shows, page = case.shows[order], chances[order][:PAGE]
        told.append(page)
        true.append(shows[:PAGE])
        by_right[case.right].append((
            float(shows[0]), average_precision(shows, case.right), float(shows[:10].sum()),
            float(page.sum()), float(shows[:PAGE].sum()),
        ))  # fmt: skip
    names = "rank1", "mAP", "found_at_10", "expected", "true"
    rows = {
        str(right): {"searches": len(rows), **dict(zip(names, np.mean(rows, axis=0).tolist(), strict=True))}
        for right, rows in sorted(by_right.items())
    }
    error = calibration_error(np.concatenate(told), np.concatenate(true))
    return {"ece": error, "ms": float(np.median(took)), "by_right": rows}


def average_precision(shows: Bools, right: int) -> float:
    """Of a ranked list of which `right` tracklets exist; those not on the list count as never found."""
    places = np.flatnonzero(shows)
    return float((np.arange(1, len(places) + 1) / (places + 1)).sum() / right) if right else 0.0


def calibration_error(told: F64, true: Bools) -> float:
    """Mean of |told - true| over ten bins of probability, weighed by how many are in each."""
    told, true = told[told >= _LEAST], true[told >= _LEAST]
    place = np.minimum((told * _BINS).astype(int), _BINS - 1)
    gaps = np.bincount(place, told - true, _BINS)
    return float(np.abs(gaps).sum() / max(1, len(told)))


def _print(name: str, found: dict[str, Any]) -> None:
    heads = "step", "right", "rank-1", "mAP", "in first 10", "expected", "true", "ECE", "ms"
    table = Table(*heads, title=name)
    for step, figures in found.items():
        for right, row in figures["by_right"].items():
            table.add_row(
                step, right, *(f"{row[key]:.3f}" for key in ("rank1", "mAP")),
                *(f"{row[key]:.2f}" for key in ("found_at_10", "expected", "true")),
                f"{figures['ece']:.3f}", f"{figures['ms']:.1f}",
            )  # fmt: skip
    Console().print(table)
