"""What two confirmations and three rejections are worth: right sightings in the first 20, before and after.

Vectors are those of `vectors.py`, as embeddings of synthetic people are spread, and once more with passages
that differ more than theirs do, for real footage is harder. A quarter of the people have a sibling who looks
much like them, and half of the questions are about those. An analyst looks at the first 20 by the photo,
confirms the first two that are right and rejects the first three that are wrong; then each way of using that
ranks anew. Counts what was confirmed like any other right sighting; nobody is left out but people of whom
fewer than two sightings were in the first 20, and of those it is told how many.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from benchmarks.vectors import F32, Crowd, Ints, VectorModel
from reid.calibration import Calibration, find_calibration, packaged_path
from reid.camera_means import CameraMeans, Tally, centred
from reid.vectors import unit_rows
from search.evidence import probabilities
from search.feedback import as_confirmed, as_rejected, examples
from search.sightings import SHORTLIST

SHOWN, CONFIRMED, REJECTED = 20, 2, 3
F64 = NDArray[np.float64]

_CAMERAS = 400
_SIBLINGS, _ALIKE = 0.25, 0.65  # share of people who have one, and of what siblings have in common
_PASSAGES = 8  # of each person, on average
_HARDER = 1.6  # times the deviation of a passage
_QUALITY = 0.6
_EDGES = (0.001, 0.01, 0.03, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)


@dataclass(frozen=True)
class World:
    """T tracklets of a crowd, and who is asked for.

    Attributes:
        rows: (N, D) float32 unit rows, their cameras' means out; first: (T + 1,) where each tracklet begins.
        people: (T,). siblings: (people,) who looks like whom, -1 for nobody.
        asked: (Q,) people. photos: (Q, D) of them.
    """

    rows: F32
    first: Ints
    people: Ints
    siblings: Ints
    asked: Ints
    photos: F32

    def tracklet(self, number: int) -> F32:
        """(K, D) its rows."""
        return self.rows[self.first[number] : self.first[number + 1]]


def make_world(model: VectorModel, tracklets: int, asked: int, seed: int) -> World:
    """The same for the same numbers."""
    people = tracklets // _PASSAGES
    crowd = Crowd(model, people, _CAMERAS, seed)
    rng = np.random.default_rng([seed, 20])
    half = int(people * _SIBLINGS / 2)
    order = rng.permutation(people)
    ones, others, alone = order[:half], order[half : 2 * half], order[2 * half :]
    crowd.relate(ones, others, _ALIKE)
    siblings = np.full(people, -1)
    siblings[ones], siblings[others] = others, ones
    sample = crowd.sample(0, tracklets)
    first = np.searchsorted(sample.tracklets, np.arange(tracklets + 1))
    middles = unit_rows(np.add.reduceat(sample.vectors, first[:-1]))
    tallies = {
        camera: Tally(int(here.sum()), middles[here].sum(axis=0, dtype=np.float64))
        for camera in range(_CAMERAS)
        if (here := sample.cameras == camera).any()
    }
    means = CameraMeans(tallies, model.dimension)
    rows = centred(sample.vectors, means.of(range(_CAMERAS))[sample.cameras[sample.tracklets]])
    who = np.concatenate([rng.permutation(ones)[: asked // 2], rng.permutation(alone)[: asked // 2]])
    return World(
        rows, first, sample.people, siblings, who, centred(crowd.photos_of(who, seed), means.overall)
    )


@dataclass(frozen=True)
class Judgement:
    """A question after an analyst has looked at the first page.

    Attributes:
        photo: (1, D). confirmed: (C, D), rejected: (R, D) the middles of their rows.
        pool: (N,) tracklets of the shortlist. hits: the rows of each. by_photo: (N,) log ratios of the photo.
        judged: (N,) which are confirmed. compared: tracklets in all.
    """

    photo: F32
    confirmed: F32
    rejected: F32
    pool: Ints
    hits: Sequence[F32]
    by_photo: F64
    judged: NDArray[np.bool_]
    compared: int

    def best(self, rows: F32) -> F64:
        """(N,) cosine of each hit with the nearest of some rows."""
        return np.array([float((hit @ rows.T).max()) for hit in self.hits])

    @property
    def right(self) -> F32:
        """Photo and confirmed sightings."""
        return np.concatenate([self.photo, self.confirmed])


def _regression(case: Judgement, right: F32, rejected: F32) -> F64:
    return as_confirmed(case.hits, right, rejected, case.judged, case.compared)


def strategies(fit: Calibration) -> Mapping[str, Callable[[Judgement], F64]]:
    """Ways to rank anew, by name: (N,) values, higher is better."""

    def rocchio(share: float) -> Callable[[Judgement], F64]:
        return lambda case: case.best(
            (case.right.mean(axis=0) - share * case.rejected.mean(axis=0))[None]
            if len(case.rejected) else case.right.mean(axis=0)[None]
        )  # fmt: skip

    def less(case: Judgement) -> F64:
        if not len(case.rejected):
            return case.by_photo
        quality = np.full(len(case.hits), _QUALITY)
        return case.by_photo + as_rejected(case.hits, quality, case.rejected, case.compared, fit)

    nobody = np.empty((0, 0), np.float32)
    return {
        "rejected not shown": lambda case: case.by_photo,
        "rejected by Bayes (ours without confirmed)": less,
        "nearest of photo and confirmed": lambda case: case.best(case.right),
        "mean of photo and confirmed": rocchio(0),
        "Rocchio, a quarter of the rejected": rocchio(0.25),
        "Rocchio, half of the rejected": rocchio(0.5),
        "regression, photo alone": lambda case: _regression(case, case.photo, nobody),
        "regression, confirmed alone": lambda case: _regression(case, case.right, nobody),
        "regression, both (ours)": lambda case: _regression(case, case.right, case.rejected),
    }


BEFORE, OURS = "photo alone, before", "regression, both (ours)"


def measure(world: World, fit: Calibration) -> dict[str, Any]:
    """Every strategy on every question."""
    counts = dict.fromkeys(("asked", "too few right", "with a sibling"), 0)
    found: dict[str, list[tuple[bool, float, float, int]]] = {}
    told: list[tuple[F64, NDArray[np.bool_]]] = []
    ways, total = strategies(fit), len(world.first) - 1
    for who, photo in zip(world.asked.tolist(), world.photos, strict=True):
        right = world.people == who
        sibling = int(world.siblings[who])
        counts["asked"] += 1
        alike = np.maximum.reduceat(world.rows @ photo, world.first[:-1])
        order = np.argsort(-alike, kind="stable")
        page = order[:SHOWN]
        confirmed, rejected = page[right[page]][:CONFIRMED], page[~right[page]][:REJECTED]
        if len(confirmed) < CONFIRMED:
            counts["too few right"] += 1
            continue
        counts["with a sibling"] += sibling >= 0
        case = _judge(world, photo, confirmed, rejected, fit)

        def note(name: str, ranked: Ints, right: NDArray[np.bool_] = right, sibling: int = sibling) -> None:
            shown, hits = ranked[:SHOWN], right[ranked]
            precision = np.cumsum(hits) / np.arange(1, len(hits) + 1)
            found.setdefault(name, []).append((
                sibling >= 0, right[shown].sum() / min(SHOWN, right.sum()),
                precision[hits].sum() / right.sum(), int((world.people[shown] == sibling).sum()),
            ))  # fmt: skip

        note(BEFORE, order[:SHORTLIST])
        for name, way in ways.items():
            values = way(case)
            note(name, case.pool[np.argsort(-values, kind="stable")])
            if name == OURS:
                free = ~case.judged
                told.append((probabilities(values, total)[free], right[case.pool][free]))
    return {"tracklets": total, **counts, "strategies": _means(found), "probability": _held(told)}


def _judge(world: World, photo: F32, confirmed: Ints, rejected: Ints, fit: Calibration) -> Judgement:
    yes, no = (
        examples([world.tracklet(each) for each in chosen.tolist()]).reshape(-1, len(photo))
        for chosen in (confirmed, rejected)
    )
    right = np.concatenate([photo[None], yes])
    alike = np.maximum.reduceat((world.rows @ right.T).max(axis=1), world.first[:-1])
    alike[rejected] = -np.inf
    pool = np.argsort(-alike, kind="stable")[:SHORTLIST]
    hits = [world.tracklet(each) for each in pool.tolist()]
    scores = np.array([float((hit @ photo).max()) for hit in hits])
    by_photo = fit.log_ratio(scores, np.full(len(hits), _QUALITY))
    judged = np.isin(pool, confirmed)
    return Judgement(photo[None], yes, no, pool, hits, by_photo, judged, len(world.first) - 1)


def _means(found: Mapping[str, Sequence[tuple[bool, float, float, int]]]) -> dict[str, dict[str, float]]:
    """By strategy: share of the right ones in the first 20 and average precision, without and with a sibling,
    and how many of the first 20 show the sibling.
    """
    means = {}
    for name, rows in found.items():
        values, has = np.array([row[1:] for row in rows], float), np.array([row[0] for row in rows])
        means[name] = {
            "right in 20": float(values[~has, 0].mean()), "AP": float(values[~has, 1].mean()),
            "right in 20, sibling": float(values[has, 0].mean()), "AP, sibling": float(values[has, 1].mean()),
            "siblings in 20": float(values[has, 2].mean()),
        }  # fmt: skip
    return means


def _held(told: Sequence[tuple[F64, NDArray[np.bool_]]]) -> dict[str, float]:
    """Expected and real right sightings a question beyond the confirmed ones, and the calibration error over
    probabilities above .001.
    """
    chances, right = (np.concatenate([each[k] for each in told]) for k in (0, 1))
    bins = np.digitize(chances, _EDGES)
    gaps = [abs(chances[bins == k].sum() - right[bins == k].sum()) for k in range(1, len(_EDGES) + 1)]
    return {
        "expected": float(chances.sum() / len(told)),
        "right": float(right.sum() / len(told)),
        "error": float(sum(gaps) / max((bins > 0).sum(), 1)),
    }


def run(quick: bool) -> dict[str, Any]:
    """Measure and print."""
    model = VectorModel.load()
    fit = find_calibration(packaged_path(str(model.embedder[0])), str(model.embedder[0]))
    assert fit is not None
    harder = replace(model, passage=model.passage * np.float32(_HARDER))
    sizes = [8_000] if quick else [30_000, 100_000]
    figures: dict[str, Any] = {}
    console = Console()
    for title, chosen in (("as synthetic people", model), ("harder", harder)):
        for size in sizes:
            world = make_world(chosen, size, 80 if quick else 240, seed=11)
            name = f"{title}, {size:,} tracklets"
            figures[name] = measure(world, fit)
            console.print(_table(name, figures[name]))
    return figures


def _table(title: str, figures: Mapping[str, Any]) -> Table:
    names = next(iter(figures["strategies"].values()))
    table = Table("strategy", *names, title=title)
    for strategy, values in figures["strategies"].items():
        table.add_row(strategy, *(f"{value:.3f}" for value in values.values()))
    held = figures["probability"]
    table.caption = (
        f"{figures['asked']} asked, {figures['too few right']} with fewer than {CONFIRMED} right ones to"
        f" confirm left out; ours expects {held['expected']:.2f} more right ones, there are"
        f" {held['right']:.2f}, error {held['error']:.3f}"
    )
    return table
