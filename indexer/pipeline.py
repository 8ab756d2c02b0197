"""One clip from pixels to tracklets: decode, detect, embed, track, pool.

Owns the order of the steps and the batching. Knows no disk layout and no calendar: times are seconds
since the clip's first frame.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from indexer.clothes import Look, look
from indexer.frame import Frame
from indexer.motion import Motion
from indexer.tracker import Tracker
from indexer.tracklets import Sample, TrackCollector, TrackletOptions, TrackSummary
from indexer.tracks import Track, TrackerOptions
from indexer.video import ReadReport, open_clip
from reid.boxes import Boxes, Detections, pad
from reid.detector import Detector, load_detector
from reid.embedder import Embedder, load_embedder
from reid.images import Grey, crop, sharpness
from reid.models import find_model
from reid.quality import crop_quality
from reid.registry import ModelSpec
from reid.runtimes import Wanted
from reid.runtimes.pytorch import use_one_thread

WHOLE_LOOK_S = 15.0
_BATCH = 8  # frames decoded ahead: enough for the detector's batches, little memory even at 4K

CONTEXT = 0.06
"""Of a person's height around the shown crop: a detector's box often cuts hats and shoes."""
_EDGE = 2.0  # pixels
_GAP_S = 3.0  # a longer time between two frames is time nobody looked at, unless the clip is that slow
_LOST_S = 1.0  # so often is looked where somebody was lost a moment ago, if nothing moves there

Watched = tuple[Frame, Boxes | None]
"""A frame and the parts of it to look at; None for all of it."""


@dataclass(frozen=True)
class PipelineOptions:
    """How a clip is looked at.

    Attributes:
        frames_per_second: how many frames of each second of footage are looked at.
        whole_look_s: seconds between looks at the whole picture; between them only what moves and who is
            followed is looked at. 0: all of every frame.
        tracklets: see there.
    """

    frames_per_second: float = 5.0
    whole_look_s: float = WHOLE_LOOK_S
    tracklets: TrackletOptions = field(default_factory=TrackletOptions)


@dataclass(frozen=True)
class Kit:
    """What a pipeline looks with, told without loading it.

    Attributes:
        detector, embedder: rows of the registry.
        options: how a clip is looked at.
    """

    detector: ModelSpec
    embedder: ModelSpec
    options: PipelineOptions


@dataclass(frozen=True)
class PipelineChoice:
    """Which pipeline to load; small, and can be sent to another process. Called, it loads it.

    Attributes:
        detector, embedder: names.
        models: the folder models were added to.
        options: how a clip is looked at.
        runtime: see `reid.runtimes.Wanted`.
    """

    detector: str
    embedder: str
    models: Path | None
    options: PipelineOptions
    runtime: Wanted = "torch"

    def kit(self) -> Kit:
        """What it looks with.

        Raises:
            UnknownNameError: no model has the name.
        """
        detector = find_model(self.detector, "detect", self.models)
        return Kit(detector, find_model(self.embedder, "embed", self.models), self.options)

    def __call__(self) -> Pipeline:
        """The pipeline, its networks on one thread: with more, sums are taken in another order, and what a
        clip gives would depend on the machine. Cores are used by clips side by side.

        Raises:
            UnknownNameError, ModelError: see `load_detector`.
        """
        use_one_thread()
        detector = load_detector(self.detector, self.models, runtime=self.runtime)
        return Pipeline(detector, load_embedder(self.embedder, self.models, self.runtime), self.options)


@dataclass(frozen=True)
class ClipContent:
    """What one clip gave.

    Attributes:
        people: one summary per person's passage, by first appearance.
        looks: how each one looks.
        width, height: of its frames, pixels.
        sampled: frames looked at.
        spans: (start, end) of the stretches without a gap, seconds since the clip's first frame; damage
            can leave minutes between two frames, and nobody looked there.
        report: what the decoder met.
    """

    people: tuple[TrackSummary, ...]
    looks: tuple[Look, ...]
    width: int
    height: int
    sampled: int
    spans: tuple[tuple[float, float], ...]
    report: ReadReport


class Pipeline:
    """A detector and an embedder with the steps between them; reusable over clips."""

    def __init__(self, detector: Detector, embedder: Embedder, options: PipelineOptions) -> None:
        self.detector = detector
        self.embedder = embedder
        self.options = options

    @property
    def kit(self) -> Kit:
        """What it looks with."""
        return Kit(self.detector.spec, self.embedder.spec, self.options)

    def run(self, path: Path, progress: Callable[[float], None] = lambda seconds: None) -> ClipContent:
        """Find everybody in a clip.

        Args:
            path: the clip.
            progress: told the seconds of footage done so far, now and then.

        Raises:
            FootageError: no frame of it can be decoded.
        """
        with open_clip(path) as clip:
            interval_s = 1 / min(self.options.frames_per_second, clip.average_rate)
            follower = _Follower(interval_s, self.options.tracklets, self.embedder)
            width, height = clip.width, clip.height
            gap_s = max(_GAP_S, 3 * interval_s)
            motion = Motion(width, height, self.options.whole_look_s)
            watch = _Watch(motion, follower)
            moments: list[float] = []
            watcher = watch if self.options.whole_look_s > 0 else None
            for frames in watch.batches(clip.frames(self.options.frames_per_second, watcher=watcher)):
                for (frame, _), found in zip(frames, self._detect(frames, motion), strict=True):
                    follower.follow(frame, found)
                moments += [frame.time_s for frame, _ in frames]
                progress(moments[-1])
            report = clip.report()
        spans = spans_between_gaps([*moments, report.last_time_s], gap_s)
        people, looks = follower.people()
        return ClipContent(people, looks, width, height, len(moments), spans, report)

    def _detect(self, frames: list[Watched], motion: Motion) -> list[Detections]:
        """The people in each frame; nobody where there is nothing to look at."""
        looked = [row for row, (_, parts) in enumerate(frames) if parts is None or len(parts)]
        seen = self.detector.detect(
            [frames[row][0].picture for row in looked], [frames[row][1] for row in looked]
        )
        found = [Detections.empty() for _ in frames]
        for row, people in zip(looked, seen, strict=True):
            frame, parts = frames[row]
            motion.learn_found(frame.time_s, parts, people.boxes)
            cut = _cut(people, frame, parts)
            if cut.any():
                motion.look_everywhere()
            found[row] = people.pick(~cut)
        return found


class _Watch:
    """What of a clip is worth a look, while it is read."""

    def __init__(self, motion: Motion, follower: _Follower) -> None:
        self._motion, self._follower = motion, follower
        self._batch: list[Watched] = []
        self._time_s, self._sought_s = 0.0, -math.inf

    def batches(self, frames: Iterable[Frame]) -> Iterator[list[Watched]]:
        """Frames with where to look in them, some at a time: as many as are seen by who was followed before.

        A look at the whole picture ends a batch, for it may find people who do not move; so does any look
        while nobody is followed, for it tells whether to go on decoding.
        """
        for frame in frames:
            self._time_s = frame.time_s
            followed = self._follower.expected(frame.time_s)
            is_alone = not len(followed)
            if frame.time_s - self._sought_s >= _LOST_S:
                self._sought_s = frame.time_s
                followed = np.concatenate([followed, self._follower.lost(frame.time_s)])
            parts = self._motion.regions(frame.time_s, frame.grey(), followed)
            self._batch.append((frame, parts))
            if parts is None or len(self._batch) == _BATCH or (is_alone and len(parts)):
                yield self._batch
                self._batch = []
        if self._batch:
            yield self._batch

    def is_quiet(self) -> bool:
        """See `indexer.video.Watcher`."""
        is_seen = not any(len(parts) for _, parts in self._batch if parts is not None)
        is_alone = not len(self._follower.expected(self._time_s))
        return is_seen and is_alone and self._motion.is_quiet(self._time_s)

    def shows_nothing_new(self, grey: Grey) -> bool:
        """See `indexer.video.Watcher`."""
        return self.is_quiet() and self._motion.shows_nothing_new(grey)


class _Follower:
    """The people of one clip while it is read."""

    def __init__(self, interval_s: float, options: TrackletOptions, embedder: Embedder) -> None:
        self._options = options
        self._embedder = embedder
        self._tracker = Tracker(TrackerOptions.for_interval(interval_s))
        self._open: dict[int, TrackCollector] = {}
        self._done: list[tuple[TrackSummary, Look]] = []

    def follow(self, frame: Frame, found: Detections) -> None:
        """Take the next frame's people."""
        crops = [crop(frame.picture, box) for box in found.boxes]
        crisp = np.array([sharpness(picture) for picture in crops], np.float32)
        quality = crop_quality(found, crisp, frame.width, frame.height)
        wanted = [
            row
            for row, number in enumerate(self._tracker.evident(frame.time_s, found).tolist())
            if number == -1
            or (number >= 0 and self._collector(number).wants(frame.time_s, float(quality[row])))
        ]
        vectors = np.full((len(crops), self._embedder.spec.dimension), np.nan, np.float32)
        vectors[wanted] = self._embedder.embed([crops[row] for row in wanted])
        numbers = self._tracker.update(frame.time_s, found, vectors).tolist()
        for number in numbers:
            if number >= 0:
                self._collector(number).see(frame.time_s)
        shown = pad(found.boxes, CONTEXT)
        for row in wanted:
            if numbers[row] >= 0:
                sample = Sample(
                    frame.time_s, found.boxes[row].copy(), float(quality[row]), vectors[row].copy()
                )
                self._collector(numbers[row]).add(sample, crop(frame.picture, shown[row]))
        self._finish(self._tracker.finished())

    def expected(self, time_s: float) -> Boxes:
        """(N, 4) about where everybody is who is followed."""
        return self._tracker.expected(time_s)

    def lost(self, time_s: float) -> Boxes:
        """(N, 4) about where those are who were followed until a moment ago."""
        return self._tracker.lost(time_s)

    def people(self) -> tuple[tuple[TrackSummary, ...], tuple[Look, ...]]:
        """Everybody, after the last frame, and how each looks."""
        self._finish(self._tracker.flush())
        done = sorted(self._done, key=lambda each: (each[0].start_s, each[0].end_s))
        return tuple(person for person, _ in done), tuple(seen for _, seen in done)

    def _collector(self, number: int) -> TrackCollector:
        if number not in self._open:
            self._open[number] = TrackCollector(self._options)
        return self._open[number]

    def _finish(self, tracks: Iterable[Track]) -> None:
        for track in tracks:
            first, *others = [self._open.pop(number) for number in track.numbers]
            for other in others:
                first.absorb(other)
            if track.is_sure:
                person = first.summary()
                seen = look(self._embedder, person.crops)
                self._done.append((replace(person, crops=person.crops[:1]), seen))  # a clip's fill memory


def _cut(found: Detections, frame: Frame, regions: Boxes | None) -> NDArray[np.bool_]:
    """(N,) whose box ends where a part that was looked at ends, and the picture goes on."""
    cut = np.zeros(len(found), bool)
    left_top, right_bottom = found.boxes[:, :2], found.boxes[:, 2:]
    middle = (left_top + right_bottom) / 2
    picture = np.array([0, 0, frame.width, frame.height], np.float32)
    for part in np.zeros((0, 4), np.float32) if regions is None else regions:
        inner = np.abs(part - picture) > _EDGE
        reaches = np.hstack([left_top < part[:2] + _EDGE, right_bottom > part[2:] - _EDGE])
        inside = ((middle >= part[:2]) & (middle <= part[2:])).all(axis=1)
        cut |= inside & (reaches & inner).any(axis=1)
    return cut


def spans_between_gaps(moments: list[float], gap_s: float) -> tuple[tuple[float, float], ...]:
    """The stretches of ascending `moments` in which neighbours are at most `gap_s` apart; all in seconds."""
    spans: list[tuple[float, float]] = []
    for moment in moments:
        if spans and moment - spans[-1][1] <= gap_s:
            spans[-1] = (spans[-1][0], moment)
        else:
            spans.append((moment, moment))
    return tuple(spans)
