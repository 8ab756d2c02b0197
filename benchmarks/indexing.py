"""How fast footage becomes tracklets, beside what a user would write, and whether speed costs people.

The same models look in every way of going about it: the plain loop (every frame converted, searched for
people all over, everybody embedded, as the examples of detector libraries do it), the product with all of
every sampled frame searched, and the product as it is. Beside them decoding alone, the bound of them all.
Each way runs in as many processes as there are cores, a thread each, over copies of the same clip; ratios are
of core-seconds. Sparse footage is made of a clip with people in it, and for the rest of the time of what its
camera shows when nobody passes, with fresh noise.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, cast

import av
import numpy as np
from av.video.stream import VideoStream
from rich.console import Console
from rich.table import Table

from benchmarks.embedding_peers import crops_a_second
from benchmarks.footage import TruthFrame, sequences
from indexer.pipeline import WHOLE_LOOK_S, Pipeline, PipelineOptions
from indexer.tracklets import TrackSummary
from indexer.video import open_clip
from reid.boxes import Boxes, Detections, iou
from reid.detector import load_detector
from reid.embedder import Embedder, load_embedder
from reid.errors import InputError
from reid.images import Picture
from reid.registry import ModelSpec

_EVERY_FRAME = 60.0  # frames a second: all there are
_EMPTY_SHARE = 11  # of sparse footage: so many times as long nobody is there as somebody is
_SPARSE_RATE = 15
_NOISE = 1.5  # grey levels of the noise of an empty frame
_SAME = 0.3  # IoU of a person in the truth and a tracklet's best box
_QUICK_S = 8.0

WAYS = ("decoding alone", "plain loop", "all of every sampled frame", "as it is")


@dataclass(frozen=True)
class Footage:
    """A clip with who is where in it, by frame; nothing where nobody knows."""

    name: str
    clip: Path
    truth: dict[int, TruthFrame]


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
    stages: dict[str, float]


def add_options(parser: argparse.ArgumentParser) -> None:
    """The benchmark's options."""
    parser.add_argument("--clip", type=Path, action="append", help="a clip of one's own; repeats")
    parser.add_argument("--city", type=Path, help="a city of `benchmarks city`, to make sparse footage of")


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Measure every way on every clip; prints tables and returns the figures.

    Raises:
        InputError: no footage at hand, or no such clip.
    """
    cores = len(os.sched_getaffinity(0))
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        for footage in _footage(options, Path(folder)):
            rows += _measure(footage, cores)
        embedding = crops_a_second(Path(folder), options.quick)
    _print(rows, embedding)
    return {"cores": cores, "rows": rows, "crops_a_second": embedding}


def _footage(options: argparse.Namespace, folder: Path) -> Iterator[Footage]:
    given = [Footage(path.stem, path, {}) for path in options.clip or ()]
    if options.city:
        clips = sorted((options.city / "footage").rglob("*.mp4"))
        if not clips:
            raise InputError(f"{options.city}: no city; make one with: python -m benchmarks city")
        by_size = sorted(clips, key=lambda path: path.stat().st_size)
        calmest = next((path for path in by_size if _rate(path) >= _SPARSE_RATE), by_size[0])
        given += [
            Footage("city, busiest", by_size[-1], {}),
            Footage("city, sparse", make_sparse(calmest, folder / "sparse.mp4"), {}),
        ]
    if not given or not options.quick:
        real = sequences()[: 1 if options.quick else None]
        given += [Footage(each.name, each.clip, each.truth) for each in real]
    for footage in given:
        if not footage.clip.exists():
            raise InputError(f"{footage.clip}: no such clip")
        if options.quick and footage.truth:
            short = _copy(footage.clip, folder / f"{footage.name}.mp4", _QUICK_S)
            yield Footage(footage.name, short, footage.truth)
        else:
            yield footage


def _rate(path: Path) -> float:
    with open_clip(path) as clip:
        return clip.average_rate


def make_sparse(source: Path, path: Path, codec: str = "libx264", scale: float = 1.0) -> Path:
    """The clip `source`, and before and after it what its camera shows when nobody passes."""
    with open_clip(source) as clip:
        pictures = [frame.picture for frame in clip.frames(_SPARSE_RATE)]
    empty = np.median(np.stack(pictures[:: max(1, len(pictures) // 15)]), axis=0)
    random = np.random.default_rng(0)
    count = len(pictures) * _EMPTY_SHARE

    def street() -> Iterator[Picture]:
        for _ in range(count // 2):
            noise = random.normal(0, _NOISE, (*empty.shape[:2], 1))
            yield np.clip(empty + noise, 0, 255).astype(np.uint8)

    return _write(chain(street(), pictures, street()), path, codec, scale)


def _copy(source: Path, path: Path, seconds: float) -> Path:
    with open_clip(source) as clip:
        rate = round(clip.average_rate)
        pictures = (frame.picture for frame in clip.frames() if frame.time_s < seconds)
        return _write(pictures, path, rate=rate)


def _write(
    pictures: Iterator[Picture], path: Path, codec: str = "libx264", scale: float = 1.0,
    rate: int = _SPARSE_RATE,
) -> Path:  # fmt: skip
    with av.open(str(path), "w") as container:
        stream = cast(VideoStream, container.add_stream(codec, rate=rate))
        stream.options = {"bf": "0", "g": str(2 * rate), "preset": "veryfast", "crf": "26", "threads": "1"}
        stream.pix_fmt = "yuv420p"
        for number, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(picture, format="bgr24")
            if number == 0:
                stream.width, stream.height = (
                    2 * round(side * scale / 2) for side in (frame.width, frame.height)
                )
            container.mux(stream.encode(frame.reformat(stream.width, stream.height, "yuv420p")))
        container.mux(stream.encode(None))
    return path


def _measure(footage: Footage, cores: int) -> list[dict[str, Any]]:
    """A row for each way."""
    rows: list[dict[str, Any]] = []
    plain: tuple[TrackSummary, ...] = ()
    for way in WAYS:
        passed = _together(way, footage.clip, cores)
        first = passed[0]
        speed = sum(each.footage_s for each in passed) / max(each.seconds for each in passed)
        if way == "plain loop":
            plain = first.people
        rows.append(
            {
                "footage": footage.name, "way": way, "times_real_time": speed,
                "core_s_per_s": float(np.mean([each.core_s / each.footage_s for each in passed])),
                "memory_mb": max(each.memory_mb for each in passed), "tracklets": len(first.people),
                "of_the_plain_loops": again(plain, first.people) if plain and first.people else None,
                "people_in_truth": _in_truth(footage, first.people) if footage.truth else None,
                "stages_s_per_s": {
                    name: seconds / first.footage_s for name, seconds in first.stages.items()
                },
            }
        )  # fmt: skip
    cost = {row["way"]: row["core_s_per_s"] for row in rows}
    for row in rows:
        row["times_the_plain_loop"] = cost["plain loop"] / row["core_s_per_s"]
        row["share_of_decoding"] = cost["decoding alone"] / row["core_s_per_s"]
    return rows


def _together(way: str, clip: Path, processes: int) -> list[Passed]:
    """The same clip in several processes at once, models loaded beforehand."""
    context = multiprocessing.get_context("spawn")
    barrier, results = context.Barrier(processes), context.Queue()
    workers = [context.Process(target=_work, args=(way, clip, barrier, results)) for _ in range(processes)]
    before = os.environ.get("OMP_NUM_THREADS")
    os.environ["OMP_NUM_THREADS"] = "1"
    for worker in workers:
        worker.start()
    passed = [results.get() for _ in workers]
    for worker in workers:
        worker.join()
    os.environ.pop("OMP_NUM_THREADS")
    if before is not None:
        os.environ["OMP_NUM_THREADS"] = before
    return passed


def _work(way: str, clip: Path, barrier: Any, results: Any) -> None:
    work = _prepared(way)
    work(clip, _QUICK_S / 8)  # kernels compiled, memory touched
    barrier.wait()
    begun, core = time.perf_counter(), time.process_time()
    footage_s, people, stages = work(clip, float("inf"))
    seconds, core_s = time.perf_counter() - begun, time.process_time() - core
    results.put(Passed(footage_s, seconds, core_s, _most_memory_mb(), people, stages))


def _most_memory_mb() -> float:
    """Of this process; what the operating system's accounting says is that of whoever started it, too."""
    lines = Path("/proc/self/status").read_text("utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


Work = Callable[[Path, float], tuple[float, tuple[TrackSummary, ...], dict[str, float]]]


def _prepared(way: str) -> Work:
    if way == "decoding alone":
        return _decode
    every, whole_look_s = {
        "plain loop": (_EVERY_FRAME, 0.0),
        "all of every sampled frame": (PipelineOptions.frames_per_second, 0.0),
        "as it is": (PipelineOptions.frames_per_second, WHOLE_LOOK_S),
    }[way]
    detector, embedder = _TimedDetector(), _TimedEmbedder()
    pipeline = Pipeline(detector, embedder, PipelineOptions(every, whole_look_s))

    def work(clip: Path, until_s: float) -> tuple[float, tuple[TrackSummary, ...], dict[str, float]]:
        if until_s < float("inf"):
            with open_clip(clip) as opened:
                picture = next(opened.frames()).picture
            detector.detect([picture] * 8)
            embedder.embed([picture] * 16)
            return 0.0, (), {}
        detector.seconds = embedder.seconds = 0.0
        content = pipeline.run(clip)
        stages = {"detecting": detector.seconds, "embedding": embedder.seconds}
        return content.report.last_time_s, content.people, stages

    return work


def _decode(clip: Path, until_s: float) -> tuple[float, tuple[TrackSummary, ...], dict[str, float]]:
    last_s = 0.0
    with open_clip(clip) as opened:
        for frame in opened.frames():
            last_s = frame.time_s
            if last_s > until_s:
                break
    return last_s, (), {}


class _TimedDetector:
    """The default detector, with the seconds it took."""

    def __init__(self) -> None:
        self._detector = load_detector(runtime="auto")
        self.spec: ModelSpec = self._detector.spec
        self.seconds = 0.0

    def detect(
        self, pictures: Sequence[Picture], regions: Sequence[Boxes | None] | None = None
    ) -> list[Detections]:
        begun = time.perf_counter()
        found = self._detector.detect(pictures, regions)
        self.seconds += time.perf_counter() - begun
        return found


class _TimedEmbedder(Embedder):
    """The default embedder, with the seconds it took."""

    def __init__(self) -> None:
        self.__dict__ = load_embedder(runtime="auto").__dict__
        self.seconds = 0.0

    def embed(self, crops: Sequence[Picture]) -> Any:
        begun = time.perf_counter()
        vectors = super().embed(crops)
        self.seconds += time.perf_counter() - begun
        return vectors


def again(wanted: Sequence[TrackSummary], found: Sequence[TrackSummary], alike: float = 0.8) -> float:
    """The share of the tracklets `wanted` that are among `found`: at one time, and as one person looks."""

    def is_same(one: TrackSummary, other: TrackSummary) -> bool:
        together = min(one.end_s, other.end_s) >= max(one.start_s, other.start_s)
        return together and float((one.vectors @ other.vectors.T).max()) >= alike

    return sum(any(is_same(one, other) for other in found) for one in wanted) / len(wanted)


def _in_truth(footage: Footage, people: Sequence[TrackSummary]) -> int:
    """How many of the people in the truth have a tracklet whose best box is theirs."""
    rate, seen = _rate(footage.clip), set()
    for person in people:
        row = footage.truth.get(round(person.best.time_s * rate))
        if row is not None and len(row.people):
            overlaps = iou(row.boxes, person.best.box[None])[:, 0]
            if overlaps.max() >= _SAME:
                seen.add(int(row.people[overlaps.argmax()]))
    return len(seen)


def _print(rows: list[dict[str, Any]], embedding: dict[str, float]) -> None:
    console = Console()
    table = Table(
        "footage", "way", "x real time", "core-s a s", "x plain loop", "of decoding",
        "detecting, embedding s/s",
        "tracklets", "of the plain loop's", "people in truth", "memory MB",
    )  # fmt: skip
    for row in rows:
        share, truth = row["of_the_plain_loops"], row["people_in_truth"]
        table.add_row(
            row["footage"], row["way"], f"{row['times_real_time']:.2f}", f"{row['core_s_per_s']:.4f}",
            f"{row['times_the_plain_loop']:.2f}", f"{row['share_of_decoding']:.2f}",
            ", ".join(f"{seconds:.3f}" for seconds in row["stages_s_per_s"].values()),
            str(row["tracklets"]), "" if share is None else f"{share:.3f}",
            "" if truth is None else str(truth), f"{row['memory_mb']:.0f}",
        )  # fmt: skip
    console.print(table)
    table = Table("embedding, one process on all cores", "crops/s", "times the first")
    first = next(iter(embedding.values()), 1.0)
    for name, rate in embedding.items():
        table.add_row(name, f"{rate:.0f}", f"{rate / first:.2f}")
    console.print(table)
