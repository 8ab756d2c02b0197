"""Detection: average precision and milliseconds a frame of each detector on PETS09-S2L1.

A found box is right when its IoU with a person of the truth is 0.5 or more and no better-scored box of
that picture took the person; each box takes, best score first, the free person it overlaps most. Average
precision is the area under the precision envelope over all recall steps (all-point interpolation, as
PASCAL VOC since 2010). The other detectors' files are taken from `../shared/eval/models` where present.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from benchmarks.footage import TruthFrame, sequences
from benchmarks.known_peers import at_hand, peers_folder
from indexer.video import open_clip
from reid.boxes import Boxes, Detections, iou
from reid.detector import Detector, load_detector
from reid.images import Picture
from reid.looks import DetectorOptions
from reid.registry import DEFAULT_DETECTOR

_STRIDE = 8
_BATCH = 8
_LEAST_SCORE = 0.05
_SHOWN_SCORES = (0.2, 0.3, 0.4, 0.5, 0.6)
_NOBODY = TruthFrame(np.zeros(0, np.int64), np.zeros((0, 4), np.float32))


@dataclass(frozen=True)
class Outcome:
    """Every found box of a run, best score first.

    Attributes:
        scores: (N,) float32.
        right: (N,) bool, whether it found a person nobody better found.
        people: how many boxes the truth has.
    """

    scores: NDArray[np.float32]
    right: NDArray[np.bool_]
    people: int

    def average_precision(self) -> float:
        """Area under the precision envelope; 0 where there is nobody to find."""
        if not self.people or not len(self.right):
            return 0.0
        hits = np.cumsum(self.right)
        precision = hits / np.arange(1, len(hits) + 1)
        envelope = np.maximum.accumulate(precision[::-1])[::-1]
        steps = np.diff(hits, prepend=0) / self.people
        return float(steps @ envelope)

    def at(self, score: float) -> tuple[float, float]:
        """(precision, recall) of the boxes with at least this score."""
        hits = int(self.right[self.scores >= score].sum())
        return hits / max(1, int((self.scores >= score).sum())), hits / max(1, self.people)


def judge(found: Sequence[Detections], truth: Sequence[Boxes], overlap: float = 0.5) -> Outcome:
    """Compare the boxes of each picture with its truth; see the module's docstring."""
    rights = [_right(boxes, people, overlap) for boxes, people in zip(found, truth, strict=True)]
    scores = np.concatenate([np.zeros(0, np.float32), *(boxes.scores for boxes in found)])
    right = np.concatenate([np.zeros(0, bool), *rights])
    order = np.argsort(-scores, kind="stable")
    return Outcome(scores[order], right[order], sum(len(people) for people in truth))


def _right(found: Detections, people: Boxes, overlap: float) -> NDArray[np.bool_]:
    right = np.zeros(len(found), bool)
    if not len(people):
        return right
    overlaps = iou(found.boxes, people)
    for row in np.argsort(-found.scores, kind="stable"):
        person = int(np.argmax(overlaps[row]))
        if overlaps[row, person] >= overlap:
            right[row] = True
            overlaps[:, person] = -1
    return right


def run(quick: bool) -> dict[str, Any]:
    """Measure each detector that is there; prints a table and returns its figures.

    Args:
        quick: every 8th frame only; otherwise the embedded detector also sees all frames.

    Raises:
        InputError: the footage is not beside the repository.
    """
    pets = sequences()[0]
    with open_clip(pets.clip) as clip:
        wanted = (frame for frame in clip.frames() if not quick or frame.index % _STRIDE == 0)
        pictures = {frame.index: frame.picture for frame in wanted}
    sampled = {index: picture for index, picture in pictures.items() if index % _STRIDE == 0}
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        models = peers_folder(Path(folder) / "models")
        for name, options in _candidates():
            rows.append(_measure(load_detector(name, models, options), options, sampled, pets.truth))
        if not quick:
            options = DetectorOptions(min_score=_LEAST_SCORE)
            rows.append(_measure(load_detector(options=options), options, pictures, pets.truth))
    _print(rows)
    return {"sequence": pets.name, "least_score": _LEAST_SCORE, "overlap": 0.5, "rows": rows}


def _candidates() -> Iterator[tuple[str, DetectorOptions]]:
    plain = DetectorOptions(min_score=_LEAST_SCORE)
    yield DEFAULT_DETECTOR, plain
    yield DEFAULT_DETECTOR, DetectorOptions(min_score=_LEAST_SCORE, fine_pixels=345_000)
    yield DEFAULT_DETECTOR, DetectorOptions(min_score=_LEAST_SCORE, fine_pixels=0)
    for spec in at_hand("detect"):
        if spec.name != DEFAULT_DETECTOR:
            yield spec.name, plain


def _measure(
    detector: Detector, options: DetectorOptions, pictures: dict[int, Picture], truth: dict[int, TruthFrame]
) -> dict[str, Any]:
    frames = list(pictures.values())
    detector.detect(frames[:1])  # the first call sets up the framework
    found: list[Detections] = []
    seconds = []
    for start in range(0, len(frames), _BATCH):
        part = frames[start : start + _BATCH]
        begun = time.perf_counter()
        found += detector.detect(part)
        seconds.append((time.perf_counter() - begun) / len(part))
    outcome = judge(found, [truth.get(index, _NOBODY).boxes for index in pictures])
    return {
        "detector": detector.spec.name,
        "fine_pixels": options.fine_pixels if detector.spec.name == DEFAULT_DETECTOR else None,
        "frames": len(frames),
        "average_precision": outcome.average_precision(),
        "at_score": {
            str(s): dict(zip(("precision", "recall"), outcome.at(s), strict=True)) for s in _SHOWN_SCORES
        },
        "ms_per_frame_median": 1000 * float(np.median(seconds)),
        "ms_per_frame_least": 1000 * float(np.min(seconds)),
    }


def _print(rows: list[dict[str, Any]]) -> None:
    table = Table("detector", "finer px", "frames", "AP", "P/R at .3", "P/R at .5", "ms (least)")
    for row in rows:
        shown = ["{precision:.2f}/{recall:.2f}".format(**row["at_score"][score]) for score in ("0.3", "0.5")]
        look = "" if row["fine_pixels"] is None else f"{row['fine_pixels']:,}"
        speed = f"{row['ms_per_frame_median']:.0f} ({row['ms_per_frame_least']:.0f})"
        precision = f"{row['average_precision']:.3f}"
        table.add_row(row["detector"], look, str(row["frames"]), precision, *shown, speed)
    Console().print(table)
