"""What it costs to index clips, part by part: while nobody is in view, and what people add to it.

Owns the clocks around decoding, motion, both models and the rest. Knows no wanted load, and no searching.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import numpy as np

from indexer.catalogue import Catalogue
from indexer.clips import ClipRequest
from indexer.indexing import index_clips
from indexer.ledger import ClipDone
from indexer.motion import Motion
from indexer.pipeline import ClipContent, Pipeline, PipelineOptions
from indexer.shard.files import ArchiveFiles
from indexer.snapshot import SegmentEntry
from indexer.video import open_clip
from reid.boxes import Boxes, Detections
from reid.detector import Detector
from reid.embedder import Embedder
from reid.errors import InputError
from reid.images import Picture

_START = datetime(2025, 11, 3, tzinfo=UTC)
_NEVER_S = 86_400.0
_NOBODY = np.zeros((0, 4), np.float32)


@dataclass(frozen=True)
class Costs:
    """What the clips cost.

    Attributes:
        footage: what the trial's clips are, in words. footage_s: seconds of them.
        people: tracklets in them. crops: detections of these. peopled: frames with somebody in them.
        decode_core_s: core-seconds for a second of such footage.
        motion_core_s: for finding what moves in a frame.
        whole_look_core_s: for a look at the whole of a frame.
        somebody_core_s, person_core_s: for a look at the parts of a frame where people are: once, and for
            each of them.
        embed_core_s: for a crop, with what it shows of clothes; the mean over all, few of which are embedded.
        rest_core_s: for a crop, cutting out, tracking, choosing and sealing: what is left of the whole.
    """

    footage: str
    footage_s: float
    people: int
    crops: int
    peopled: int
    decode_core_s: float
    motion_core_s: float
    whole_look_core_s: float
    somebody_core_s: float
    person_core_s: float
    embed_core_s: float
    rest_core_s: float


def costs_of(
    folder: Path, detector: Detector, embedder: Embedder, rate: float, clips: Sequence[Path]
) -> tuple[Costs, ClipDone, tuple[SegmentEntry, ...]]:
    """Look at clips as indexing does; after its first frame, each is looked at where something moves.

    Args:
        folder: empty, for the archives of the trial.
        rate: frames a second.
        clips: that show people.

    Returns:
        The costs, a row of the ledger, and the segments that came of it.

    Raises:
        InputError: nobody is in the clips, or one cannot be read.
    """
    pipeline = _ClockedPipeline(detector, embedder, rate)
    _indexed(folder / "first", pipeline, clips)  # each size of a picture is slower the first time
    watched = _watched(rate, clips)
    whole_s = _whole_look(detector, clips)
    pipeline = _ClockedPipeline(detector, embedder, rate)
    begun = time.process_time()
    done, entries = _indexed(folder / "archive", pipeline, clips)
    all_s = time.process_time() - begun
    looks, embed_s = pipeline.looks, pipeline.clocked.core_s
    seen = looks.first + looks.others
    crops = sum(look.people for look in seen)
    tracklets = sum(entry.tracklets for entry in entries)
    if not tracklets:
        raise InputError("nobody is in the trial's clips; give clips with people: --footage CLIP")
    rest_s = all_s - watched.decode_s - watched.motion_s - looks.core_s - embed_s
    costs = Costs(
        watched.footage, watched.seconds, tracklets, crops,
        sum(look.peopled for look in seen),
        watched.decode_s / watched.seconds, watched.motion_s / watched.frames, whole_s,
        *share_out(looks.others), embed_s / crops, max(0.0, rest_s) / crops,
    )  # fmt: skip
    return costs, done, entries


@dataclass(frozen=True)
class Look:
    """A run of the detector over some frames: those with somebody, the people in them, its core-seconds."""

    peopled: int
    people: int
    core_s: float


def share_out(looks: Sequence[Look]) -> tuple[float, float]:
    """Core-seconds for a frame with somebody and for each person in it, together those of `looks`.

    The second by least squares; what was spent on frames in which nobody was found, where people had been a
    moment before, is shared out over those with people.
    """
    counts = np.array([(look.peopled, look.people) for look in looks], float).reshape(-1, 2)
    frames, people = counts.sum(axis=0).tolist()
    if not frames:
        return 0.0, 0.0
    core_s = np.array([look.core_s for look in looks])
    fitted, spent = np.linalg.lstsq(counts, core_s, rcond=None)[0], float(core_s.sum())
    person = float(np.clip(fitted[1], 0.0, spent / people))
    return (spent - person * people) / frames, person


def _indexed(
    home: Path, pipeline: Pipeline, clips: Sequence[Path]
) -> tuple[ClipDone, tuple[SegmentEntry, ...]]:
    """Index the clips into a new archive."""
    archive = ArchiveFiles(home)
    requests = [
        ClipRequest(clip.absolute(), "songpa", "T-1", _START + timedelta(hours=number))
        for number, clip in enumerate(clips)
    ]
    report = index_clips(archive, requests, pipeline)
    if report.failed:
        raise InputError(f"the trial could not index a clip: {report.failed[0].message}")
    with Catalogue(archive) as catalogue:
        return report.done[0], catalogue.snapshot().segments


class _ClockedPipeline(Pipeline):
    """A pipeline that looks at the whole of a clip's first frame only, and how long its models took."""

    def __init__(self, detector: Detector, embedder: Embedder, rate: float) -> None:
        self.looks, self.clocked = _ClockedDetector(detector), _ClockedEmbedder(embedder)
        super().__init__(self.looks, cast(Embedder, self.clocked), PipelineOptions(rate, _NEVER_S))

    def run(self, path: Path, progress: Callable[[float], None] = lambda seconds: None) -> ClipContent:
        """See `Pipeline.run`."""
        self.looks.is_first = True
        return super().run(path, progress)


class _ClockedDetector:
    """A detector, its core-seconds, its first look at each clip and the others."""

    def __init__(self, detector: Detector) -> None:
        self._detector = detector
        self.spec = detector.spec
        self.is_first = True
        self.core_s = 0.0
        self.first: list[Look] = []
        self.others: list[Look] = []

    def detect(
        self, pictures: Sequence[Picture], regions: Sequence[Boxes | None] | None = None
    ) -> list[Detections]:
        begun = time.process_time()
        found = self._detector.detect(pictures, regions)
        core_s = time.process_time() - begun
        self.core_s += core_s
        people = [len(each) for each in found]
        looks = self.first if self.is_first else self.others
        looks.append(Look(sum(map(bool, people)), sum(people), core_s))
        self.is_first = False
        return found


class _ClockedEmbedder:
    """An embedder and its core-seconds."""

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        self.spec = embedder.spec
        self.core_s = 0.0

    def embed(self, pictures: Sequence[Picture]) -> Any:
        return self._clocked(self._embedder.embed, pictures)

    def attributes(self, pictures: Sequence[Picture]) -> Any:
        return self._clocked(self._embedder.attributes, pictures)

    def _clocked(self, work: Callable[[Sequence[Picture]], Any], pictures: Sequence[Picture]) -> Any:
        begun = time.process_time()
        found = work(pictures)
        self.core_s += time.process_time() - begun
        return found


@dataclass
class _Watched:
    """What the clips are, their seconds and sampled frames, and the core-seconds to decode and watch them."""

    kinds: dict[str, None] = field(default_factory=dict)
    seconds: float = 0.0
    frames: int = 0
    decode_s: float = 0.0
    motion_s: float = 0.0

    @property
    def footage(self) -> str:
        """In words."""
        return "; ".join(self.kinds)


def _watched(rate: float, clips: Sequence[Path]) -> _Watched:
    """Decode clips and find what moves in them."""
    watched = _Watched()
    for path in clips:
        with open_clip(path) as clip:
            watched.kinds[f"{clip.width} x {clip.height}, {clip.average_rate:.0f} frames a second"] = None
            motion = Motion(clip.width, clip.height, _NEVER_S)
            begun, before_s = time.process_time(), watched.motion_s
            for frame in clip.frames(rate):
                seen = time.process_time()
                motion.regions(frame.time_s, frame.grey(), _NOBODY)
                watched.motion_s += time.process_time() - seen
                watched.frames += 1
            watched.decode_s += time.process_time() - begun - (watched.motion_s - before_s)
            watched.seconds += clip.report().last_time_s
    return watched


def _whole_look(detector: Detector, clips: Sequence[Path]) -> float:
    """Core-seconds for converting a frame and looking at all of it: the mean over one of each second."""

    def looks() -> Iterator[float]:
        for path in clips:
            with open_clip(path) as clip:
                for frame in clip.frames(1.0):
                    begun = time.process_time()
                    detector.detect([frame.picture], [None])
                    yield time.process_time() - begun

    return float(np.mean(list(looks())))
