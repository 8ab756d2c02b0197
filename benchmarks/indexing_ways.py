"""The ways of going through a clip that `benchmarks indexing` compares, in processes of their own."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import indexer.frame
from benchmarks.machine import memory
from indexer.decoder import Decoder
from indexer.motion import Motion
from indexer.pipeline import WHOLE_LOOK_S, Pipeline, PipelineOptions
from indexer.tracker import Tracker
from indexer.tracklets import Sample, TrackCollector, TrackletOptions, TrackSummary
from indexer.video import open_clip
from reid.detector import Detector, load_detector
from reid.embedder import Embedder, load_embedder
from reid.images import crop, sharpness
from reid.quality import crop_quality
from reid.runtimes.pytorch import use_one_thread
from search.trial import peak_bytes

DECODING, PLAIN, PRODUCT = "decoding alone", "plain loop", "as it is"
WAYS = (DECODING, PLAIN, "all of every sampled frame", PRODUCT)

Stages = dict[str, float]
Work = Callable[[Path], tuple[float, tuple[TrackSummary, ...]]]


@dataclass(frozen=True)
class Passed:
    """What one process did.

    Attributes:
        footage_s: seconds of footage. seconds: it took. core_s: of a core, which other work on the machine
            hardly changes. memory_mb: the most it held.
        people: found. stages: seconds of each.
    """

    footage_s: float
    seconds: float
    core_s: float
    memory_mb: float
    people: tuple[TrackSummary, ...]
    stages: Stages


def together(way: str, clip: Path, processes: int) -> list[Passed]:
    """The same clip in several processes at once, models loaded beforehand."""
    context = multiprocessing.get_context("spawn")
    barrier, results = context.Barrier(processes), context.Queue()
    workers = [context.Process(target=_work, args=(way, clip, barrier, results)) for _ in range(processes)]
    with _one_thread():
        for worker in workers:
            worker.start()
        passed = [results.get() for _ in workers]
        for worker in workers:
            worker.join()
    return passed


def memory_over(clip: Path, steps: int) -> list[tuple[float, float, float]]:
    """The product's way through a long clip in a process of its own: seconds of footage done, seconds since
    the beginning, and MB held, so many times.
    """
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    worker = context.Process(target=_work_long, args=(clip, steps, results))
    with _one_thread():
        worker.start()
        found: list[tuple[float, float, float]] = results.get()
        worker.join()
    return found


@contextmanager
def _one_thread() -> Iterator[None]:
    """Processes that start meanwhile compute on one thread each."""
    before = os.environ.get("OMP_NUM_THREADS")
    os.environ["OMP_NUM_THREADS"] = "1"
    yield
    os.environ.pop("OMP_NUM_THREADS")
    if before is not None:
        os.environ["OMP_NUM_THREADS"] = before


def _work(way: str, clip: Path, barrier: Any, results: Any) -> None:
    work = _prepared(way, clip)
    stages = _timed_stages()
    barrier.wait()
    begun, core = time.perf_counter(), time.process_time()
    footage_s, people = work(clip)
    seconds, core_s = time.perf_counter() - begun, time.process_time() - core
    stages["rest"] = core_s - sum(stages.values())
    results.put(Passed(footage_s, seconds, core_s, peak_bytes() / 2**20, people, dict(stages)))


def _work_long(clip: Path, steps: int, results: Any) -> None:
    pipeline = _pipeline(PipelineOptions())
    with open_clip(clip) as opened:
        length_s = opened.duration_s or 0.0
    begun = time.perf_counter()
    found: list[tuple[float, float, float]] = []

    def told(seconds: float) -> None:
        if seconds >= length_s * (len(found) + 1) / steps:
            found.append((seconds, time.perf_counter() - begun, _held_mb()))

    pipeline.run(clip, told)
    results.put([*found, (length_s, time.perf_counter() - begun, _held_mb())])


def _held_mb() -> float:
    now = memory()
    return now.anonymous_mb + now.file_mb


def _timed_stages() -> Stages:
    """Seconds of a core that each stage takes from now on in this process."""
    stages: Stages = defaultdict(float)
    _time(stages, "decoding", Decoder, "_decode")
    _time(stages, "colours", indexer.frame, "to_picture")
    _time(stages, "motion", Motion, "regions")
    _time(stages, "motion", Motion, "shows_nothing_new")
    _time(stages, "detecting", type(load_detector()), "detect")
    _time(stages, "embedding", Embedder, "embed")
    _time(stages, "embedding", Embedder, "attributes")
    return stages


def _time(stages: Stages, stage: str, owner: Any, name: str) -> None:
    work = getattr(owner, name)

    def timed(*given: Any, **named: Any) -> Any:
        begun = time.process_time()
        try:
            return work(*given, **named)
        finally:
            stages[stage] += time.process_time() - begun

    setattr(owner, name, timed)


def _prepared(way: str, clip: Path) -> Work:
    if way == DECODING:
        return _decode
    use_one_thread()
    detector, embedder = load_detector(runtime="auto"), load_embedder(runtime="auto")
    with open_clip(clip) as opened:  # kernels compiled, memory touched
        picture = next(opened.frames()).picture
    detector.detect([picture] * 8)
    embedder.embed([picture] * 16)
    if way == PLAIN:
        return lambda path: _plain_loop(path, detector, embedder)
    options = PipelineOptions(whole_look_s=WHOLE_LOOK_S if way == PRODUCT else 0)
    pipeline = Pipeline(detector, embedder, options)

    def work(path: Path) -> tuple[float, tuple[TrackSummary, ...]]:
        content = pipeline.run(path)
        return content.report.last_time_s, content.people

    if way == PRODUCT:
        work(clip)  # parts have many sizes, each slower the first time
    return work


def _pipeline(options: PipelineOptions) -> Pipeline:
    use_one_thread()
    return Pipeline(load_detector(runtime="auto"), load_embedder(runtime="auto"), options)


def _decode(path: Path) -> tuple[float, tuple[TrackSummary, ...]]:
    last_s = 0.0
    with open_clip(path) as clip:
        for frame in clip.frames():
            last_s = frame.time_s
    return last_s, ()


def _plain_loop(path: Path, detector: Detector, embedder: Embedder) -> tuple[float, tuple[TrackSummary, ...]]:
    """What a user would write with the same parts: every frame searched, everybody embedded in each."""
    tracker, collectors = Tracker(), dict[int, TrackCollector]()
    people: list[TrackSummary] = []
    time_s = 0.0

    def finish(tracks: Any) -> None:
        for track in tracks:
            first, *others = [collectors.pop(number) for number in track.numbers]
            for other in others:
                first.absorb(other)
            if track.is_sure:
                people.append(first.summary())

    with open_clip(path) as clip:
        for frame in clip.frames():
            time_s = frame.time_s
            found = detector.detect([frame.picture])[0]
            crops = [crop(frame.picture, box) for box in found.boxes]
            vectors = embedder.embed(crops)
            crisp = np.array([sharpness(each) for each in crops], np.float32)
            quality = crop_quality(found, crisp, frame.width, frame.height)
            for row, number in enumerate(tracker.update(time_s, found, vectors).tolist()):
                if number >= 0:
                    collector = collectors.setdefault(number, TrackCollector(TrackletOptions()))
                    collector.see(time_s)
                    collector.add(
                        Sample(time_s, found.boxes[row].copy(), float(quality[row]), vectors[row].copy()),
                        crops[row],
                    )
            finish(tracker.finished())
    finish(tracker.flush())
    return time_s, tuple(people)
