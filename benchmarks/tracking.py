"""Tracking: our tracker, ByteTrack and OC-SORT (package `trackers`) on the same detections of real clips.

The embedded models find and describe the people once; then every tracker gets the same boxes, ours the
vectors too, at the clip's full rate and at the indexer's five frames a second. Measured by the package's
metrics at IoU 0.5 against the people of the truth; no tracker's gaps are filled in. The others' thresholds
are the best of a grid over these clips; ours were tuned on these clips too, one setting for all.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import supervision as sv
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from trackers import ByteTrackTracker, OCSORTTracker
from trackers.eval import compute_clear_metrics, compute_hota_metrics, compute_identity_metrics

from benchmarks import footage
from benchmarks.footage import TruthFrame
from indexer.tracker import Tracker
from indexer.video import open_clip
from reid.boxes import Detections, iou
from reid.detector import Detector, load_detector
from reid.embedder import Embedder, load_embedder
from reid.images import crop

_RATE = 5.0
_QUICK_SECONDS = 20.0
_BATCH = 8
_NOBODY = TruthFrame(np.zeros(0, np.int64), np.zeros((0, 4), np.float32))


@dataclass(frozen=True)
class Seen:
    """What the models saw in one frame, and who is truly there.

    Attributes:
        index: 0-based number of the frame in the clip.
        time_s: seconds of the clip.
        found: the people detected.
        vectors: (N, D) float32 unit rows, one a detection.
        truth: who is where.
    """

    index: int
    time_s: float
    found: Detections
    vectors: NDArray[np.float32]
    truth: TruthFrame


Numbers = list[NDArray[np.int64]]
"""One (N,) array a frame: the track of each detection, -1 for none."""


def run(quick: bool) -> dict[str, Any]:
    """Measure each tracker on each clip; prints a table and returns its figures.

    Args:
        quick: five frames a second and the first twenty seconds of each clip only.

    Raises:
        InputError: the footage is not beside the repository.
    """
    sequences = footage.sequences()
    detector, embedder = load_detector(), load_embedder()
    rows = []
    for sequence in sequences:
        seen, rate = see(sequence, detector, embedder, *((_RATE, _QUICK_SECONDS) if quick else ()))
        step = max(1, round(rate / _RATE))
        for every in sorted({step} if quick else {1, step}):
            chosen = [frame for frame in seen if frame.index % every == 0]
            for name, follow in TRACKERS.items():
                numbers, ms = follow(chosen, rate / every)
                figures = measure(chosen, numbers)
                head = {"clip": sequence.name, "rate": rate / every, "frames": len(chosen), "tracker": name}
                rows.append(head | figures | {"ms_per_frame": ms})
    _print(rows)
    return {"detector": detector.spec.name, "embedder": embedder.spec.name, "rows": rows}


def measure(seen: Sequence[Seen], numbers: Numbers) -> dict[str, float]:
    """Identity (Ristani et al. 2016), CLEAR (Bernardin et al. 2008) and HOTA (Luiten et al. 2021) figures."""
    people = [frame.truth.people for frame in seen]
    tracked = [given[given >= 0] for given in numbers]
    overlaps = [
        iou(frame.truth.boxes, frame.found.boxes[given >= 0])
        for frame, given in zip(seen, numbers, strict=True)
    ]
    figures = compute_identity_metrics(people, tracked, overlaps)
    figures |= compute_clear_metrics(people, tracked, overlaps)
    figures |= compute_hota_metrics(people, tracked, overlaps)
    wanted = {name: float(figures[name]) for name in ("IDF1", "IDP", "IDR", "MOTA", "HOTA", "IDSW")}
    return wanted | {
        "tracks": float(len(np.unique(np.concatenate(tracked)))),
        "people": float(len(np.unique(np.concatenate(people)))),
    }


def see(
    sequence: footage.Sequence,
    detector: Detector,
    embedder: Embedder,
    wanted_rate: float = math.inf,
    until_s: float = math.inf,
) -> tuple[list[Seen], float]:
    """The frames as the models see them, and the clip's own frames per second.

    Args:
        wanted_rate: about so many frames a second, every n-th frame of the clip.
        until_s: only frames before this time.
    """
    with open_clip(sequence.clip) as clip:
        frames = list(clip.frames())
    rate = (len(frames) - 1) / (frames[-1].time_s - frames[0].time_s)
    step = max(1, round(rate / wanted_rate))
    frames = [frame for frame in frames[::step] if frame.time_s < until_s]
    seen = []
    for start in range(0, len(frames), _BATCH):
        part = frames[start : start + _BATCH]
        for frame, found in zip(part, detector.detect([frame.picture for frame in part]), strict=True):
            vectors = embedder.embed([crop(frame.picture, box) for box in found.boxes])
            truth = sequence.truth.get(frame.index, _NOBODY)
            seen.append(Seen(frame.index, frame.time_s, found, vectors, truth))
    return seen, rate


def follow_people(seen: Sequence[Seen], rate: float) -> tuple[Numbers, float]:
    """Our tracker's numbers, fragments united and unsure tracks dropped; and milliseconds a frame."""
    tracker = Tracker()
    begun = time.perf_counter()
    numbers, tracks = [], []
    for frame in seen:
        numbers.append(tracker.update(frame.time_s, frame.found, frame.vectors))
        tracks += tracker.finished()
    tracks += tracker.flush()
    seconds = time.perf_counter() - begun
    person = {number: track.numbers[0] for track in tracks if track.is_sure for number in track.numbers}
    kept = [np.array([person.get(int(n), -1) for n in given], np.int64) for given in numbers]
    return kept, 1000 * seconds / len(seen)


def _bytetrack(seen: Sequence[Seen], rate: float) -> tuple[Numbers, float]:
    tracker = ByteTrackTracker(
        frame_rate=rate, lost_track_buffer=60, track_activation_threshold=0.5, high_conf_det_threshold=0.3
    )
    return _peer(tracker, seen)


def _ocsort(seen: Sequence[Seen], rate: float) -> tuple[Numbers, float]:
    return _peer(OCSORTTracker(frame_rate=rate, high_conf_det_threshold=0.4), seen)


def _peer(tracker: Any, seen: Sequence[Seen]) -> tuple[Numbers, float]:
    numbers, seconds = [], 0.0
    for frame in seen:
        rows = np.arange(len(frame.found))
        given = sv.Detections(
            xyxy=frame.found.boxes, confidence=frame.found.scores, class_id=rows * 0, data={"row": rows}
        )
        begun = time.perf_counter()
        tracked = tracker.update(given, timestamp=frame.time_s)
        seconds += time.perf_counter() - begun
        kept = np.full(len(rows), -1, np.int64)
        if len(tracked):
            kept[tracked.data["row"]] = tracked.tracker_id
        numbers.append(kept)
    return numbers, 1000 * seconds / len(seen)


TRACKERS: dict[str, Callable[[Sequence[Seen], float], tuple[Numbers, float]]] = {
    "ours": follow_people,
    "ByteTrack": _bytetrack,
    "OC-SORT": _ocsort,
}


def _print(rows: list[dict[str, Any]]) -> None:
    heads = ("clip", "fps", "tracker", "IDF1", "IDP/IDR", "MOTA", "HOTA", "IDSW", "tracks", "ms")
    table = Table(*heads, box=None)
    for row in rows:
        figures = [f"{row['IDF1']:.3f}", f"{row['IDP']:.2f}/{row['IDR']:.2f}"]
        figures += [f"{row[name]:.3f}" for name in ("MOTA", "HOTA")]
        figures += [f"{row['IDSW']:.0f}", f"{row['tracks']:.0f}/{row['people']:.0f}"]
        table.add_row(
            row["clip"], f"{row['rate']:.0f}", row["tracker"], *figures, f"{row['ms_per_frame']:.2f}"
        )
    Console().print(table)
