"""Kills at random moments while clips are indexed: is the archive that of an undisturbed run, to the bit?

Real clips of a second are decoded, hashed, staged and recorded as always; only the two networks are replaced
by something cheap. The victim is now the process that orders the work, now one of its workers; it is stopped,
asked what it is at, and ended with SIGKILL. After a kill of the former the same run is begun again. When all
clips are indexed, the archive is compared and the next one begun, until there were enough kills.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import mmap
import multiprocessing
import os
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import FrameType
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from indexer.catalogue import Catalogue
from indexer.clips import ClipRequest
from indexer.indexing import index_with
from indexer.pipeline import Kit, Pipeline, PipelineOptions
from indexer.shard.files import ArchiveFiles
from indexer.verification import verify
from indexer.workers import WorkerProcesses
from reid.attributes import COLUMNS
from reid.boxes import Boxes, Detections
from reid.images import Picture
from reid.models import find_model
from reid.registry import DEFAULT_DETECTOR, DEFAULT_EMBEDDER

_START = datetime(2025, 2, 18, tzinfo=UTC)
_NOW = datetime(2025, 6, 1, tzinfo=UTC)
_SIZE = (160, 96)
_RATE, _FRAMES = 10, 10
_WORKERS = 2
_LONGEST_S = 0.6  # between the first clip of a run, or a kill, and the next kill
_EARLY = 0.1  # of kills fall into the first tenth of a second of a process
_MARK_BYTES = 64
_FORK = multiprocessing.get_context("fork")

_STAGES = {  # by the innermost function that has a name here
    "remove_leftovers": "clearing what was left", "survey": "survey",
    "record_waiting": "noting what waits", "record_seen": "skipping", "record_failure": "noting a failure",
    "place_segment": "placing a segment", "record_done": "transaction of a clip", "plan": "deciding",
    "kept": "deciding", "wait": "waiting for workers", "submit": "handing out",
    "read_snapshot": "reading the catalogue",
    "clip_sha256": "hashing", "open_clip": "reading the head", "detect": "decoding, detecting",
    "frames": "decoding, detecting", "_read": "decoding, detecting",
    "embed": "embedding", "update": "tracking",
    "stage_segment": "staging a segment", "_write_content": "staging a segment",
    "sync_file": "staging a segment: fsync", "rename_folder": "placing a segment",
    "recv": "listening", "run": "elsewhere",
}  # fmt: skip
_BEFORE = "starting"


def add_options(parser: argparse.ArgumentParser) -> None:
    """What this benchmark can be told."""
    parser.add_argument("--kills", type=int, help="how many [200; --quick: 12]")
    parser.add_argument("--clips", type=int, help="in one archive [200; --quick: 40]")
    parser.add_argument("--seed", type=int, default=1)


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Kill, compare, print; the figures."""
    kills = options.kills or (12 if options.quick else 200)
    clips = options.clips or (40 if options.quick else 200)
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        trial = Trial(Path(folder), clips, options.seed)
        rounds = trial.rounds(kills)
    figures = {
        "seed": options.seed, "clips": clips, "kills": sum(trial.hits.values()),
        "archives": len(rounds), "equal": sum(each.is_equal for each in rounds),
        "kills_per_archive": [each.kills for each in rounds], "runs": trial.runs,
        "hits": [
            {"victim": victim, "stage": stage, "kills": count}
            for (victim, stage), count in trial.hits.most_common()
        ],
        "seconds": round(time.monotonic() - begun, 1),
    }  # fmt: skip
    _print(figures)
    return figures


def _print(figures: dict[str, Any]) -> None:
    title = (
        f"{figures['kills']} kills over {figures['archives']} archives of {figures['clips']} clips;"
        f" {figures['equal']} equal to the undisturbed one"
    )
    table = Table("stage", "who orders", "worker", title=title)
    by_stage: dict[str, dict[str, int]] = {}
    for row in figures["hits"]:
        by_stage.setdefault(row["stage"], {})[row["victim"]] = row["kills"]
    for stage, hits in by_stage.items():
        table.add_row(stage, str(hits.get("orders", "")), str(hits.get("worker", "")))
    Console().print(table)


@dataclass(frozen=True)
class Round:
    """One archive: how often its making was disturbed, and whether it became what it should."""

    kills: int
    is_equal: bool


class Trial:
    """Archives made again and again from the same clips."""

    def __init__(self, folder: Path, clips: int, seed: int) -> None:
        self._folder, self._footage = folder, folder / "footage"
        self._random = np.random.default_rng(seed)
        self._footage.mkdir()
        for number in range(clips):
            write_clip(self._footage / f"{number:04d}.mp4", number)
        self.hits: Counter[tuple[str, str]] = Counter()
        self.runs = 0

    def rounds(self, kills: int) -> list[Round]:
        """Until there were so many kills."""
        whole = self._folder / "whole"
        self.finish(whole)
        expected, done = content(ArchiveFiles(whole)), list[Round]()
        while (so_far := sum(self.hits.values())) < kills:
            home = self._folder / f"round{len(done)}"
            while sum(self.hits.values()) < kills and self._disturbed(home, kills):
                pass
            self.finish(home)
            equal = content(ArchiveFiles(home)) == expected
            done.append(Round(sum(self.hits.values()) - so_far, equal))
        return done

    def finish(self, home: Path) -> None:
        """Index into an archive until all is there, undisturbed."""
        process = self._start(home)
        process.join()
        if process.exitcode != 0:
            raise RuntimeError(f"an undisturbed run of {home} ended with {process.exitcode}")

    def _start(self, home: Path) -> BaseProcess:
        self.runs += 1
        marks = self._marks(home)
        marks.mkdir(exist_ok=True)
        for mark in marks.iterdir():
            mark.unlink()
        process = _FORK.Process(target=index, args=(home, self._footage, marks))
        process.start()
        return process

    def _marks(self, home: Path) -> Path:
        return home.with_name(f"{home.name}-marks")

    def _disturbed(self, home: Path, kills: int) -> bool:
        """Start, and kill workers and then who orders; False when it came to its end before that."""
        process = self._start(home)
        marks = self._marks(home)
        if self._random.random() < _EARLY:
            time.sleep(self._random.uniform(0, 0.1))
        else:
            while process.is_alive() and not (marks / "begun").exists():
                time.sleep(0.01)
            time.sleep(self._random.uniform(0, _LONGEST_S))
        while self._random.random() < 0.5 and sum(self.hits.values()) < kills - 1:
            self._kill("worker", self._worker(marks), marks)
            time.sleep(self._random.uniform(0, _LONGEST_S))
        alive = process.is_alive()
        self._kill("orders", process.pid if alive else None, marks)
        process.join()
        _wait_for_lock(home)
        return alive

    def _worker(self, marks: Path) -> int | None:
        pids = [int(path.name) for path in marks.iterdir() if path.name.isdigit() and _lives(int(path.name))]
        return int(self._random.choice(pids)) if pids else None

    def _kill(self, victim: str, pid: int | None, marks: Path) -> None:
        """Stop it, ask what it is at, end it; nothing when it is gone already."""
        if pid is None or not _lives(pid):
            return
        os.kill(pid, signal.SIGSTOP)
        name = "orders" if victim == "orders" else str(pid)
        mark = marks / name
        stage = mark.read_bytes().rstrip(b"\0").decode() if mark.exists() else ""
        os.kill(pid, signal.SIGKILL)
        self.hits[victim, stage or _BEFORE] += 1


def _wait_for_lock(home: Path) -> None:
    """Workers that were forked hold their parent's lock until the system has ended them, too."""
    lock = ArchiveFiles(home).lock
    if lock.exists():
        with lock.open() as file:
            fcntl.flock(file, fcntl.LOCK_EX)


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False


def content(archive: ArchiveFiles) -> dict[str, Any]:
    """All of an archive but when, how fast and at which try it was made."""
    shards = archive.home / "shards"
    files = {
        str(path.relative_to(shards)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in shards.rglob("*") if path.is_file()
    }  # fmt: skip
    with Catalogue(archive) as catalogue:
        seen = catalogue.snapshot()
    return {
        "files": files,
        "staged": [str(path) for path in archive.staging.rglob("*")],
        "damaged": verify(archive, deep=True).damaged,
        "clips": [asdict(replace(clip, seconds_taken=0, tries=1)) for clip in seen.clips],
        "segments": [asdict(entry) for entry in seen.segments],
        "unfinished": seen.unfinished,
        "tallies": {key: (each.count, each.total.tolist()) for key, each in seen.tallies.items()},
        "cameras": {key: asdict(camera) for key, camera in seen.cameras.items()},
    }


# What follows runs in the processes that are killed.


def index(home: Path, footage: Path, marks: Path) -> None:
    """Index all clips of a folder with workers; what this process is at stands in `marks`/orders."""
    _watch(marks / "orders")
    paths = sorted(footage.iterdir())
    requests = [
        ClipRequest(path, "songpa", f"C-{k % 7}", _START + timedelta(minutes=10 * k))
        for k, path in enumerate(paths)
    ]
    make = Making(marks)
    (marks / "begun").touch()
    with _ForkedWorkers(make, make.kit(), _WORKERS) as executor:
        report = index_with(executor, ArchiveFiles(home), requests, now=lambda: _NOW)
    bad = [each for each in report.failed if each.reason != "killed"]
    if bad:
        sys.exit(f"{bad[0].reason}: {bad[0].message}")
    sys.exit(len(report.failed))


class _ForkedWorkers(WorkerProcesses):
    """Begins at once: what takes seconds to import is there, and no kill is wasted on that."""

    start_method = "fork"


@dataclass(frozen=True)
class Making:
    """Makes a worker's pipeline and has it say what it is at.

    Attributes:
        marks: the folder for that.
    """

    marks: Path

    def kit(self) -> Kit:
        """What the pipeline looks with."""
        return _pipeline().kit

    def __call__(self) -> Pipeline:
        """The pipeline."""
        _watch(self.marks / str(os.getpid()))
        return _pipeline()


def _pipeline() -> Pipeline:
    return Pipeline(_Detector(), _Embedder(), PipelineOptions())  # type: ignore[arg-type]


class _Detector:
    """Finds what is not grey."""

    spec = find_model(DEFAULT_DETECTOR, "detect")

    def detect(
        self, pictures: Sequence[Picture], regions: Sequence[Boxes | None] | None = None
    ) -> list[Detections]:
        return [self._one(picture) for picture in pictures]

    def _one(self, picture: Picture) -> Detections:
        ys, xs = np.nonzero(np.ptp(picture.astype(int), axis=2) > 60)
        if len(xs) < 100:
            return Detections.empty()
        box = np.array([[xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]], np.float32)
        return Detections(box, np.full(1, 0.9, np.float32))


class _Embedder:
    """The mean colour as a direction."""

    spec = replace(find_model(DEFAULT_EMBEDDER, "embed"), dimension=8)

    def embed(self, crops: Sequence[Picture]) -> NDArray[np.float32]:
        vectors = np.full((len(crops), 8), 0.1, np.float32)
        for row, crop in enumerate(crops):
            vectors[row, :3] = crop.reshape(-1, 3).mean(axis=0) - 120
        return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)

    def attributes(self, crops: Sequence[Picture]) -> NDArray[np.float32] | None:
        return np.zeros((len(crops), COLUMNS), np.float32)


def _watch(mark: Path) -> None:
    """Keep writing what the main thread is at into a mapped file, so that it is there after a kill."""
    temporary = mark.with_suffix(".new")
    temporary.write_bytes(bytes(_MARK_BYTES))
    temporary.rename(mark)
    with mark.open("r+b") as file:
        mapped = mmap.mmap(file.fileno(), _MARK_BYTES)
    main = threading.get_ident()

    def look() -> None:
        while True:
            mapped[:] = _stage(sys._current_frames()[main]).encode().ljust(_MARK_BYTES, b"\0")
            time.sleep(0.0005)

    threading.Thread(target=look, daemon=True).start()


def _stage(frame: FrameType) -> str:
    """What a stack is at: its innermost function that has a name in `_STAGES`."""
    for each in _outwards(frame):
        if each.f_code.co_name in _STAGES:
            return _STAGES[each.f_code.co_name]
    return "between clips"


def _outwards(frame: FrameType | None) -> Iterator[FrameType]:
    while frame is not None:
        yield frame
        frame = frame.f_back


def write_clip(path: Path, number: int) -> None:
    """A second of grey in which a coloured rectangle walks; each number another."""
    random = np.random.default_rng(number)
    colour = random.permutation([30, 30 + number % 150, 220]).tolist()
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=_RATE)
        stream.width, stream.height, stream.pix_fmt = *_SIZE, "yuv444p"
        stream.options = {"crf": "10", "preset": "ultrafast"}
        for moment in range(_FRAMES):
            shown = np.full((_SIZE[1], _SIZE[0], 3), 110, np.uint8)
            left = 6 + 12 * moment
            shown[20:76, left : left + 22] = colour
            container.mux(stream.encode(av.VideoFrame.from_ndarray(shown, "bgr24")))
        container.mux(stream.encode())
