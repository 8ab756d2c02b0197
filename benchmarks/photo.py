"""`python -m benchmarks photo`: how much a photo may lack before the search suffers.

One photo of each person is degraded in one way at a time (fewer pixels, blur, the lower body cut off, a loose
box, darkness, blown highlights, colours gone, another person before them) and searched for among the
undegraded pictures of the other cameras: rank-1, and the cosine with the undegraded photo, camera means taken
out. Beside each level stands what `search.photo` would measure of such a photo, so that its limits are read
off: `limited` where rank-1 has fallen by about a sixth, `poor` by about a third.

Synthetic people need the extra `synthetic`; labelled folders (by default CUHK01, where it lies beside the
repository) only give numbers.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from benchmarks.footage import EVAL
from reid.embedder import Embedder, load_embedder
from reid.images import Picture, blur, resize
from reid.labelled import Skipped, read_folder
from reid.people.crops import make_crops, make_subjects
from reid.people.view import make_view
from reid.vectors import unit_rows
from search.photo import INPUT_HEIGHT, brightness, colourfulness, completed, crispness, glare

SEED = 771_003
_CAMERAS = 4
_FULL = 256  # pixels; photos are brought to this height before they are degraded

F32 = NDArray[np.float32]
Degrade = Callable[[Picture, Picture, float], Picture]
"""From a photo, that of somebody else, and a level, to the degraded photo."""


@dataclass(frozen=True)
class Labelled:
    """Pictures with who and which camera: (N,) int64 each."""

    pictures: Sequence[Picture]
    people: NDArray[np.int64]
    cameras: NDArray[np.int64]


@dataclass(frozen=True)
class Level:
    """What became of the photos at one level of one degradation.

    Attributes:
        kind, level: of the degradation.
        measured: median of what tells it in a photo; None where nothing does.
        rank1: share found first. kept: of the undegraded photos' rank-1. cosine: with the undegraded photo.
    """

    kind: str
    level: float
    measured: float | None
    rank1: float
    kept: float
    cosine: float


def _fewer_pixels(photo: Picture, other: Picture, height: float) -> Picture:
    return resize(photo, max(1, round(photo.shape[1] * height / photo.shape[0])), int(height))


def _blurred(photo: Picture, other: Picture, sigma: float) -> Picture:
    return blur(photo, sigma * photo.shape[0] / INPUT_HEIGHT)


def _cut(photo: Picture, other: Picture, kept: float) -> Picture:
    return photo[: max(1, round(photo.shape[0] * kept))]


def _completed(photo: Picture, other: Picture, kept: float) -> Picture:
    return completed(_cut(photo, other, kept))


def _loose(photo: Picture, other: Picture, share: float) -> Picture:
    height, width = (round(side / share) for side in photo.shape[:2])
    around = blur(resize(photo, width, height), height / 8)
    top, left = (height - photo.shape[0]) // 2, (width - photo.shape[1]) // 2
    around[top : top + photo.shape[0], left : left + photo.shape[1]] = photo
    return around


def _dimmed(photo: Picture, other: Picture, gain: float) -> Picture:
    return np.asarray(np.clip(np.rint(photo * float(gain)), 0, 255), np.uint8)


def _greyed(photo: Picture, other: Picture, share: float) -> Picture:
    grey = photo.mean(axis=2, keepdims=True)
    return np.asarray(np.rint(photo * (1 - share) + grey * share), np.uint8)


def _covered(photo: Picture, other: Picture, share: float) -> Picture:
    covered = photo.copy()
    width = round(photo.shape[1] * share)
    covered[:, :width] = resize(other, photo.shape[1], photo.shape[0])[:, :width]
    return covered


KINDS: Mapping[str, tuple[Degrade, Sequence[float], Callable[[Picture], float] | None]] = {
    "height, pixels": (_fewer_pixels, (128, 96, 80, 64, 48, 40, 32, 24, 16), lambda photo: photo.shape[0]),
    "blur, sigma of 128": (_blurred, (0.5, 1, 1.5, 2, 3, 4, 6), crispness),
    "body from the top": (
        _cut, (0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2), lambda photo: photo.shape[0] / photo.shape[1],
    ),
    "the same, completed": (_completed, (0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2), None),
    "person's share of the box": (_loose, (0.9, 0.8, 0.7, 0.6, 0.5, 0.35), None),
    "gain below 1": (_dimmed, (0.5, 0.3, 0.2, 0.1, 0.05, 0.03), brightness),
    "gain above 1": (_dimmed, (1.5, 2, 2.5, 3, 4, 6), glare),
    "colour taken": (_greyed, (0.5, 0.8, 1), colourfulness),
    "covered by another": (_covered, (0.1, 0.2, 0.3, 0.4, 0.5), None),
}  # fmt: skip


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of this benchmark."""
    parser.add_argument("--people", type=int, default=100, help="synthetic people; 0 for none")
    parser.add_argument("--set", type=Path, action="append", help="a labelled folder; repeats")


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Degrade, search, print; all figures.

    Raises:
        InputError: a folder that is no labelled folder.
    """
    embedder = load_embedder()
    folders = options.set or ([EVAL / "cuhk01"] if (EVAL / "cuhk01").is_dir() else [])
    sets = {folder.name: _folder(folder) for folder in folders}
    if options.people:
        sets["synthetic people"] = _synthetic(20 if options.quick else options.people)
    figures: dict[str, Any] = {"model": embedder.spec.sha256}
    for name, labelled in sets.items():
        levels = measure(embedder, labelled)
        _print(name, levels)
        figures[name] = [asdict(each) for each in levels]
    return figures


def _folder(folder: Path) -> Labelled:
    rows = [row for row in read_folder(folder).pictures() if not isinstance(row[1], Skipped)]
    pictures = [picture for _, picture in rows if not isinstance(picture, Skipped)]
    people = np.unique([image.person for image, _ in rows], return_inverse=True)[1]
    cameras = np.unique([image.camera for image, _ in rows], return_inverse=True)[1]
    return Labelled(pictures, people.astype(np.int64), cameras.astype(np.int64))


def _synthetic(people: int) -> Labelled:
    views = [make_view((SEED << 8) + number) for number in range(_CAMERAS)]
    crops = list(make_crops(make_subjects(SEED, people), views, 1, SEED))
    return Labelled(
        [picture for picture, _ in crops], np.array([label.person_id for _, label in crops], np.int64),
        np.array([label.camera_id for _, label in crops], np.int64),
    )  # fmt: skip


def measure(embedder: Embedder, labelled: Labelled) -> list[Level]:
    """Every level of every degradation; the photo is each person's largest picture.

    Args:
        embedder: in use. labelled: pictures of people seen by two cameras.
    """
    vectors = embedder.embed(labelled.pictures)
    means = np.stack([
        vectors[labelled.cameras == camera].mean(axis=0) for camera in range(labelled.cameras.max() + 1)
    ])  # fmt: skip
    gallery, overall = unit_rows(vectors - means[labelled.cameras]), means.mean(axis=0)
    rows = _photos(labelled)
    photos = [_whole(labelled.pictures[row]) for row in rows]
    plain = unit_rows(embedder.embed(photos) - overall)
    base = _rank1(labelled, rows, gallery, plain)
    levels = [Level("none", 1, None, base, 1.0, 1.0)]
    for kind, (degrade, steps, measured) in KINDS.items():
        for step in steps:
            made = [degrade(photo, photos[place - 1], step) for place, photo in enumerate(photos)]
            found = unit_rows(embedder.embed(made) - overall)
            rank1 = _rank1(labelled, rows, gallery, found)
            told = None if measured is None else float(np.median([measured(each) for each in made]))
            cosine = float(np.mean(np.sum(found * plain, axis=1)))
            levels.append(Level(kind, step, told, rank1, rank1 / base, cosine))
    return levels


def _whole(picture: Picture) -> Picture:
    return resize(picture, round(picture.shape[1] * _FULL / picture.shape[0]), _FULL)


def _photos(labelled: Labelled) -> NDArray[np.int64]:
    """One row a person who was seen by two cameras."""
    heights = np.array([picture.shape[0] for picture in labelled.pictures])
    rows = []
    for person in np.unique(labelled.people):
        mine = np.flatnonzero(labelled.people == person)
        if len(np.unique(labelled.cameras[mine])) > 1:
            rows.append(mine[np.argmax(heights[mine])])
    return np.array(rows, np.int64)


def _rank1(labelled: Labelled, rows: NDArray[np.int64], gallery: F32, queries: F32) -> float:
    scores = queries @ gallery.T
    scores[labelled.cameras[rows][:, None] == labelled.cameras[None]] = -np.inf
    return float(np.mean(labelled.people[scores.argmax(axis=1)] == labelled.people[rows]))


def _print(name: str, levels: Sequence[Level]) -> None:
    table = Table("", "level", "measured", "rank-1", "kept", "cosine", title=name)
    for kind, group in groupby(levels, lambda level: level.kind):
        for level in group:
            told = "" if level.measured is None else f"{level.measured:.3g}"
            table.add_row(
                kind, f"{level.level:g}", told, f"{level.rank1:.3f}", f"{level.kept:.2f}",
                f"{level.cosine:.2f}",
            )  # fmt: skip
        table.add_section()
    Console().print(table)
