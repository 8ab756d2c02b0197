"""`python -m benchmarks reliability`: fits and checks the calibration that comes with the default embedder.

Fitted on synthetic people of a seed nobody was trained on, since no real picture goes into what is shipped;
checked on synthetic people of yet another seed, and on labelled folders (by default CUHK01, where it lies
beside the repository), which decide nothing. Draws docs/reliability.svg: what was told against what was true,
and how many of the first k sightings were expected to be right against how many were. `--write` puts the
calibration into the package.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from benchmarks.footage import EVAL
from benchmarks.reliability_plot import Panel, Series, draw
from reid.calibration import Bin, Calibration, calibrate, expected_in_first, packaged_path
from reid.durable import write_file
from reid.embedder import Embedder, load_embedder
from reid.evaluation import without_camera_means
from reid.labelled import LabelledVectors, embed_folder, read_folder
from reid.people.crops import make_crops, make_subjects
from reid.people.view import make_view
from reid.quality import picture_quality
from reid.registry import DEFAULT_EMBEDDER

PLOT = Path(__file__).parent.parent / "docs" / "reliability.svg"
KS = (1, 5, 10, 20)
_FIT_SEED, _CHECK_SEED = 771_001, 771_002
_BLOCK, _CAMERAS = 50, 4  # people who are seen by the same cameras, and how many those are


@dataclass(frozen=True)
class Checked:
    """How a calibration held on one set.

    Attributes:
        name: of the set. people, pictures: how many.
        reliability, error: see `Calibration.held_on`.
        expected, right: at each of `KS`, the mean over queries of right pictures told and found.
    """

    name: str
    people: int
    pictures: int
    reliability: tuple[Bin, ...]
    error: float | None
    expected: tuple[float, ...]
    right: tuple[float, ...]


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of this tool."""
    parser.add_argument("--people", type=int, default=400, help="synthetic people fitted on; half to check")
    parser.add_argument("--set", type=Path, action="append", help="a labelled folder to check on; repeats")
    parser.add_argument("--plot", type=Path, default=PLOT, help="where the picture is written")
    parser.add_argument("--write", action="store_true", help="put the calibration into the package")


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Fit, check, draw; all figures.

    Raises:
        InputError: too few people, or a folder that is no labelled folder.
    """
    embedder = load_embedder(DEFAULT_EMBEDDER, None)
    calibration = calibrate(synthetic(embedder, _FIT_SEED, options.people), embedder.spec.sha256)
    sets = {"synthetic people": synthetic(embedder, _CHECK_SEED, max(_BLOCK, options.people // 2))}
    folders = options.set or ([EVAL / "cuhk01"] if (EVAL / "cuhk01").is_dir() else [])
    sets |= {folder.name: embed_folder(read_folder(folder), embedder)[0] for folder in folders}
    checked = [check(name, calibration, labelled) for name, labelled in sets.items()]
    _print(checked)
    write_file(options.plot, plot(checked).encode())
    if options.write:
        calibration.save(packaged_path(DEFAULT_EMBEDDER))
    return {"calibration": calibration.to_json(), "checked": [asdict(each) for each in checked]}


def synthetic(embedder: Embedder, seed: int, people: int) -> LabelledVectors:
    """Vectors and qualities of synthetic people in blocks, each before its own cameras."""
    vectors, qualities, rows = [], [], []
    for block in range(-(-people // _BLOCK)):
        subjects = make_subjects(seed + 100 * block, min(_BLOCK, people - block * _BLOCK))
        views = [make_view((seed << 8) + block * _CAMERAS + number) for number in range(_CAMERAS)]
        crops = list(make_crops(subjects, views, 1, seed + block, block * _CAMERAS))
        vectors.append(embedder.embed([picture for picture, _ in crops]))
        qualities += [picture_quality(picture) for picture, _ in crops]
        rows += [(block * _BLOCK + label.person_id, label.camera_id) for _, label in crops]
    columns = np.array(rows, np.int64).T
    none = np.zeros(len(rows), np.int64)
    return LabelledVectors(
        np.concatenate(vectors), columns[0].copy(), columns[1].copy(), none, (),
        np.array(qualities, np.float32),
    )  # fmt: skip


def check(name: str, calibration: Calibration, labelled: LabelledVectors) -> Checked:
    """How the calibration holds on a labelled set."""
    reliability, error = calibration.held_on(labelled)
    expected, right = expected_and_right(calibration, labelled)
    people = len(np.unique(labelled.people))
    return Checked(name, people, len(labelled.people), reliability, error, expected, right)


def expected_and_right(
    calibration: Calibration, labelled: LabelledVectors
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Right pictures in the first k of a search for each picture among those of other cameras: told, true.

    How many there are in all is told to each search, as a user would who knows the footage; what is tried is
    how the probabilities spread over the ranks.
    """
    vectors, qualities = without_camera_means(labelled), labelled.qualities
    assert qualities is not None
    others = labelled.cameras[:, None] != labelled.cameras[None]
    same = (labelled.people[:, None] == labelled.people[None]) & others
    queries = np.flatnonzero(same.any(axis=1))
    share = same[queries].sum() / len(queries)
    told, true = np.zeros(len(KS)), np.zeros(len(KS))
    for query in queries:
        rows = np.flatnonzero(others[query])
        scores = vectors[rows] @ vectors[query]
        order = np.argsort(-scores, kind="stable")[: KS[-1]]
        first, worse = rows[order], np.minimum(qualities[rows[order]], qualities[query])
        sums = expected_in_first(calibration.probabilities(scores[order], worse, len(rows), float(share)))
        told += _at(sums)
        true += _at(np.cumsum(same[query, first]).astype(np.float64))
    return tuple((told / len(queries)).tolist()), tuple((true / len(queries)).tolist())


def _at(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.array([sums[min(k, len(sums)) - 1] for k in KS])


def plot(checked: Sequence[Checked]) -> str:
    """The picture, SVG."""
    pairs = [
        Series(each.name, [
            (row.predicted, row.observed, row.pairs) for row in each.reliability if row.low >= _LEAST_TOLD
        ])
        for each in checked
    ]  # fmt: skip
    sums = [Series(each.name, [*zip(each.expected, each.right, KS, strict=True)]) for each in checked]
    highest = max(max(each.x, each.y) for one in sums for each in one.points)
    return draw([
        Panel("Pairs of pictures", "probability told", "share that was right", (0.001, 1.0), True, pairs),
        Panel(
            f"Right ones in the first {', '.join(map(str, KS))}", "expected", "found",
            (0.0, float(np.ceil(highest))), False, sums,
        ),
    ])  # fmt: skip


_LEAST_TOLD = 0.001


def _print(checked: Sequence[Checked]) -> None:
    console = Console()
    for each in checked:
        error = "-" if each.error is None else f"{each.error:.4f}"
        table = Table("told", "pairs", "mean told", "right", title=f"{each.name}: off by {error}")
        for row in each.reliability:
            cells = f"{row.pairs:,}", f"{row.predicted:.4f}", f"{row.observed:.4f}"
            table.add_row(f"{row.low:g} to {row.high:g}", *cells)
        console.print(table)
        for k, told, true in zip(KS, each.expected, each.right, strict=True):
            console.print(f"  in the first {k}: {told:.2f} expected, {true:.2f} right")
