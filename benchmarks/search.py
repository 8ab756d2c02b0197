"""End to end on real footage: index PETS09-S2L1, then search for each of its 19 people by one crop.

The crop is cut at random from the person's unoccluded appearances. Counted is whether the first
sighting shows the same person; once with every tracklet, and once, harder, without the tracklets that
cover the moment of the crop (only for people who were tracked more than once).
"""

from __future__ import annotations

import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from benchmarks.footage import EVAL, Sequence, sequences
from indexer.clips import ClipRequest
from indexer.indexing import index_clips
from indexer.pipeline import Pipeline, PipelineOptions
from indexer.shard.files import ArchiveFiles
from indexer.times import milliseconds
from indexer.video import open_clip
from reid.adding import add_model
from reid.boxes import intersection, iou
from reid.detector import load_detector
from reid.embedder import load_embedder
from reid.images import Picture, crop, encode_jpeg
from reid.registry import DEFAULT_DETECTOR, DEFAULT_EMBEDDER
from search.engine import Engine
from search.filters import Filters
from search.query import read_query
from search.request import Request
from search.sightings import Sighting, find_sightings
from search.trial import peak_bytes

_SEED = 0
_START = datetime(2025, 2, 18, 3, 34, tzinfo=UTC)
_MATCH = 0.4  # IoU from which a sighting's box shows the person of a truth box
_PADDING = 0.25  # of the box's height around the crop: a family's photo is not cut to the pixel


_PEERS = (("yolox-nano", "person-reidentification-retail-0277"),)
_PEER_FILES = ("yolox_nano_416x416.onnx", "person-reidentification-retail-0277.xml")


def run(quick: bool) -> dict[str, Any]:
    """Measure the embedded models and a stronger pair; `quick` indexes at 2 frames a second, not 5."""
    with tempfile.TemporaryDirectory() as folder:
        models = Path(folder) / "models"
        for name in _PEER_FILES:
            add_model(EVAL / "models" / name, models)
        pairs = [(DEFAULT_DETECTOR, DEFAULT_EMBEDDER), *_PEERS]
        measured = {" + ".join(pair): measure(pair, models, Path(folder), quick) for pair in pairs}
    table = Table("figure", *measured, title="Search on PETS09-S2L1, one photo of each person")
    for figure in next(iter(measured.values())):
        if figure != "by_person":
            values = [row[figure] for row in measured.values()]
            table.add_row(figure, *(f"{v:.3f}" if isinstance(v, float) else str(v) for v in values))
    Console().print(table)
    return {"seed": _SEED, "pairs": measured}


def measure(pair: tuple[str, str], models: Path, folder: Path, quick: bool) -> dict[str, Any]:
    """The figures of one (detector, embedder); `folder` takes the archive and the photos."""
    pets = sequences()[0]
    options = PipelineOptions(frames_per_second=2 if quick else 5)
    pipeline = Pipeline(load_detector(pair[0], models), load_embedder(pair[1], models), options)
    archive = ArchiveFiles(folder / pair[1])
    [clip] = index_clips(archive, [ClipRequest(pets.clip, "songpa", "SP-PETS", _START)], pipeline).done
    rows = [_search_one(pets, person, archive, pipeline, folder) for person in _people(pets)]
    again = [row for row in rows if row["others"]]
    return {
        "people": len(rows),
        "first_right": sum(row["first_right"] for row in rows),
        "people_tracked_again": len(again),
        "first_right_without_own_tracklet": sum(row["first_right_without_own"] for row in again),
        "average_precision_mean": float(np.mean([row["average_precision"] for row in rows])),
        "tracklets": clip.tracklets,
        "seconds_of_footage": clip.footage_s,
        "seconds_to_index": clip.seconds_taken,
        "seconds_per_minute_of_footage": clip.seconds_taken / clip.footage_s * 60,
        "search_ms_median": float(np.median([row["search_ms"] for row in rows])),
        "photo_to_vector_ms_median": float(np.median([row["query_ms"] for row in rows])),
        "peak_memory_mb": peak_bytes() / 2**20,
        "by_person": rows,
    }


def _people(sequence: Sequence) -> list[int]:
    return sorted({int(person) for frame in sequence.truth.values() for person in frame.people})


def _search_one(
    sequence: Sequence, person: int, archive: ArchiveFiles, pipeline: Pipeline, folder: Path
) -> dict[str, Any]:
    frame, photo = _photo(sequence, person)
    path = folder / f"{person}.jpg"
    path.write_bytes(encode_jpeg(photo, 95))
    begun = time.perf_counter()
    query = read_query(path, pipeline.detector, pipeline.embedder)
    asked = time.perf_counter()
    with Engine(archive, pipeline.embedder.spec) as engine:
        result = find_sightings(engine, Request((query,), Filters(("songpa",)), 1000))
    ended = time.perf_counter()
    with open_clip(sequence.clip) as clip:
        rate = clip.average_rate
    moment = milliseconds(_START) + round(frame / rate * 1000)
    right = [_person_in(sequence, sighting, rate) == person for sighting in result.sightings]
    own = [s.record.start_ms <= moment <= s.record.end_ms for s in result.sightings]
    others = [is_right for is_right, is_own in zip(right, own, strict=True) if not (is_right and is_own)]
    return {
        "person": person,
        "frame": frame,
        "tracklets": sum(right),
        "first_right": bool(right and right[0]),
        "others": sum(others),
        "first_right_without_own": bool(others and others[0]),
        "average_precision": _average_precision(right),
        "query_ms": (asked - begun) * 1000,
        "search_ms": (ended - asked) * 1000,
    }


def _photo(sequence: Sequence, person: int) -> tuple[int, Picture]:
    """A random frame in which the person is whole and nobody overlaps, and the padded crop from it."""
    choices = []
    for frame, truth in sorted(sequence.truth.items()):
        row = np.flatnonzero(truth.people == person)
        if not len(row):
            continue
        box = truth.boxes[row[0]]
        shared = intersection(box[None], truth.boxes)[0]
        shared[row[0]] = 0
        choices.append((float(shared.max(initial=0)) > 0, frame, box))
    free = [choice for choice in choices if not choice[0]] or choices
    _, frame, box = free[int(np.random.default_rng([_SEED, person]).integers(len(free)))]
    with open_clip(sequence.clip) as clip:
        picture = clip.frame_at(frame / clip.average_rate).picture
    margin = _PADDING * (box[3] - box[1])
    return frame, crop(picture, box + np.array([-margin, -margin, margin, margin], np.float32))


def _person_in(sequence: Sequence, sighting: Sighting, rate: float) -> int | None:
    truth = sequence.truth.get(round(sighting.record.best_offset_s * rate))
    if truth is None:
        return None
    box: NDArray[np.float32] = np.array([sighting.record.box], np.float32)
    overlaps = iou(box, truth.boxes)[0]
    best = int(np.argmax(overlaps))
    return int(truth.people[best]) if overlaps[best] >= _MATCH else None


def _average_precision(right: list[bool]) -> float:
    ranks = [rank for rank, is_right in enumerate(right, 1) if is_right]
    return float(np.mean([(i + 1) / rank for i, rank in enumerate(ranks)])) if ranks else 0.0
