"""The same vectors, filters and questions through other indexes and ours, in one run, at equal recall.

Each index runs in a process of its own. Its search effort is raised until 99.5 % of the ten nearest in scope
are found (recall@10), or as far as it goes. Vectors are those of `vectors.py`, one to a tracklet, their
cameras' means taken out as the product does, so that all compare the same numbers. Told are latency (warm:
all is asked once before), time of the processor, recall, memory, disk, build time, and how many of ten come
back when a filter leaves few vectors, with the effort people use (the first one) and with the most. Ours
reads the records and pictures of the ten, the others give numbers of rows. Needs the extra `bench`; a package
that is missing is left out and told.
"""

from __future__ import annotations

import argparse
import multiprocessing
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.archives import make_archive
from benchmarks.gallery import Scene, ask, districts_of
from benchmarks.machine import memory
from benchmarks.peer_indexes import PEERS, TOP, Columns, Ours, Peer, Question, check_installed, exact
from benchmarks.vectors import F32, Ints
from indexer.cameras import Camera
from indexer.catalogue import Catalogue
from indexer.shard.files import ArchiveFiles
from reid.camera_means import centred
from reid.errors import InputError

WANTED_RECALL = 0.995
_FEW = 1000  # vectors in scope
_SLOW_S = 0.05  # an effort whose question takes longer is the last: comparing everything takes less
_VECTORS, _EACH = 300_000, 40
_QUICK_VECTORS, _QUICK_EACH, _QUICK_DAYS = 12_000, 5, 3
Kind = tuple[str, str]


@dataclass(frozen=True)
class Answered:
    """How an index answered the questions of one kind with one effort.

    Attributes:
        effort: see the index. p50_ms, p95_ms: latency. cpu_ms: of the processor, mean of all questions and
            over all threads; others at work on the machine change it little.
        recall: mean share of the true ten (or fewer) found.
        returned: mean number of answers, of `wanted`. right: of them among the true ones.
    """

    effort: int
    p50_ms: float
    p95_ms: float
    cpu_ms: float
    recall: float
    returned: float
    right: float
    wanted: float


def add_options(parser: argparse.ArgumentParser) -> None:
    """The benchmark's options."""
    parser.add_argument("--vectors", type=int, help=f"how many; default {_VECTORS:,}")
    parser.add_argument(
        "--only", action="append", choices=[*PEERS, "ours"], help="measure only this; repeats"
    )


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Make the data, measure every index, print; the figures.

    Raises:
        InputError: fewer than a thousand vectors.
    """
    vectors = options.vectors or (_QUICK_VECTORS if options.quick else _VECTORS)
    if vectors < 1000:
        raise InputError(f"--vectors: expected at least 1000, got {vectors}")
    scene = Scene(vectors, days=_QUICK_DAYS if options.quick else 30, views=(1.0,))
    names = options.only or [*PEERS, "ours"]
    with tempfile.TemporaryDirectory() as scratch:
        world = prepare(Path(scratch), scene, _QUICK_EACH if options.quick else _EACH)
        measured, missing = {}, {}
        for name in names:
            try:
                measured[name] = _apart(name, world)
            except InputError as error:
                missing[name] = str(error)
    scope = {kind: float(np.mean([count for _, count in world.truth[kind]])) for kind in world.questions}
    _print(measured, missing, scope)
    return {
        "vectors": world.count, "days": scene.days, "seed": scene.seed, "top": TOP,
        "wanted_recall": WANTED_RECALL,
        "in_scope": {_label(kind): count for kind, count in scope.items()},
        "indexes": measured, "missing": missing,
    }  # fmt: skip


@dataclass(frozen=True)
class World:
    """All that the indexes are given, on disk where it is large.

    Attributes:
        folder: with `vectors.npy`, `columns.npz` and the archive.
        count: vectors. offsets: (districts, days), the first row of each.
        questions: by kind. truth: of each question the true rows, best first, and how many are in scope.
        build: what the archive took.
    """

    folder: Path
    count: int
    offsets: Ints
    questions: dict[Kind, list[Question]]
    truth: dict[Kind, list[tuple[Ints, int]]]
    build: dict[str, float]

    @property
    def home(self) -> Path:
        """The archive's folder."""
        return self.folder / "archive"

    def load(self) -> tuple[F32, Columns]:
        """Vectors, mapped, and columns."""
        with np.load(self.folder / "columns.npz") as arrays:
            columns = Columns(**{name: arrays[name] for name in arrays.files})
        return np.load(self.folder / "vectors.npy", mmap_mode="r"), columns


def prepare(folder: Path, scene: Scene, each: int) -> World:
    """Make archive, vectors, questions and the truth about them."""
    home = folder / "archive"
    made = make_archive(home, scene, whole_ledger=False)
    with Catalogue(ArchiveFiles(home)) as catalogue:
        snapshot = catalogue.snapshot()
    count = scene.tracklets * scene.districts * scene.days
    parts: dict[str, list[Ints]] = {"camera": [], "start": [], "end": [], "upper": []}
    cameras: list[Camera] = []
    offsets = np.empty((scene.districts, scene.days), np.int64)
    stored, filled, means = np.empty((0, 0), np.float32), 0, None
    for district in districts_of(scene):
        for day in range(scene.days):
            seen = district.see(day)
            means = means or snapshot.camera_means(seen.vectors.shape[1])
            if not len(stored):
                shape = (count, seen.vectors.shape[1])
                stored = np.lib.format.open_memmap(folder / "vectors.npy", "w+", np.float32, shape)
            taken = means.of([(district.slug, camera.id) for camera in district.cameras])
            halves = seen.vectors.astype(np.float16).astype(np.float32)
            stored[filled : filled + len(halves)] = centred(halves, taken[seen.cameras])
            offsets[district.number, day] = filled
            filled += len(halves)
            for name, values in (("start", seen.start), ("end", seen.end), ("upper", seen.upper)):
                parts[name].append(values)
            parts["camera"].append(seen.cameras + len(cameras))
        cameras += district.cameras
    columns = Columns(**{name: np.concatenate(values) for name, values in parts.items()})
    np.savez(folder / "columns.npz", allow_pickle=False, **vars(columns))
    assert means is not None
    questions = {
        kind: [
            Question(one, centred(one.photo[None], means.overall)[0], one.cameras(cameras)) for one in asks
        ]
        for kind, asks in ask(scene, each).items()
    }
    truth = {kind: [exact(stored, columns, one) for one in asked] for kind, asked in questions.items()}
    build = {"build_s": made.seal_s + made.record_s + made.train_s + made.compact_s}
    return World(folder, count, offsets, questions, truth, build)


def _apart(name: str, world: World) -> dict[str, Any]:
    """Measure one index in a process of its own."""
    if name != "ours":
        check_installed(name)
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(measure, name, world).result()


def measure(name: str, world: World) -> dict[str, Any]:
    """Build an index and ask it everything; its figures."""
    peer: Peer = Ours(world.home, world.offsets) if name == "ours" else PEERS[name]()
    vectors, columns = world.load()
    before = memory()
    folder = world.folder / name
    folder.mkdir()
    begun = time.perf_counter()
    size = peer.build(vectors, columns, folder)
    build_s = time.perf_counter() - begun
    answers = {
        kind: raise_effort(peer, asked, [true for true, _ in world.truth[kind]])
        for kind, asked in world.questions.items()
    }
    now = memory()
    return {
        "name": peer.name, "filtering": peer.filtering, "disk_mb": size / 1e6,
        "build_s": world.build["build_s"] if name == "ours" else build_s, "open_s": build_s,
        "anonymous_mb": now.anonymous_mb - before.anonymous_mb, "file_mb": now.file_mb - before.file_mb,
        "answers": {_label(kind): [asdict(each) for each in tried] for kind, tried in answers.items()},
    }  # fmt: skip


def raise_effort(peer: Peer, asked: Sequence[Question], truth: Sequence[Ints]) -> list[Answered]:
    """What came of each effort, until the recall is reached; that one is the last."""
    for question in asked:  # whatever is done once is not part of a latency
        peer.search(question, peer.efforts[0])
    tried: list[Answered] = []
    for effort in peer.efforts:
        tried.append(answer(peer, asked, truth, effort))
        if tried[-1].recall >= WANTED_RECALL or tried[-1].p95_ms > _SLOW_S * 1000:
            break
    return tried


def answer(peer: Peer, asked: Sequence[Question], truth: Sequence[Ints], effort: int) -> Answered:
    """Ask every question once with this effort."""
    seconds, recalls, returned, right = [], [], [], []
    worked = 0.0
    for question, true in zip(asked, truth, strict=True):
        begun, at_work = time.perf_counter(), time.process_time()
        found = peer.search(question, effort)
        seconds.append(time.perf_counter() - begun)
        worked += time.process_time() - at_work
        hits = len(np.intersect1d(found, true))
        recalls.append(hits / len(true) if len(true) else 1.0)
        returned.append(len(found))
        right.append(hits)
    p50, p95 = np.quantile(seconds, [0.5, 0.95]) * 1000
    wanted = float(np.mean([len(true) for true in truth]))
    return Answered(
        effort, float(p50), float(p95), worked * 1000 / len(asked), float(np.mean(recalls)),
        float(np.mean(returned)), float(np.mean(right)), wanted,
    )  # fmt: skip


def _label(kind: Kind) -> str:
    return " + ".join(part for part in kind if part)


def _print(measured: dict[str, Any], missing: dict[str, str], scope: dict[Kind, float]) -> None:
    console = Console()
    for why in missing.values():
        console.print(f"left out: {why}")
    whole = Table("index", "filter", "build s", "disk MB", "memory MB", "of files MB", title="Indexes")
    for row in measured.values():
        numbers = (row[name] for name in ("build_s", "disk_mb", "anonymous_mb", "file_mb"))
        whole.add_row(row["name"], row["filtering"], *(f"{number:.0f}" for number in numbers))
    console.print(whole)
    names = [row["name"] for row in measured.values()]
    title = (
        "p50/p95 ms, of the processor, at the least effort that finds .995 of the nearest ten, or at the most"
        " (recall)"
    )
    table = Table("questions", "in scope", *names, title=title)
    title = "Answers (right ones) of those wanted, with the effort people use > with the most that was tried"
    few = Table("questions", "in scope", "wanted", *names, title=title)
    for kind, count in sorted(scope.items(), key=lambda item: item[1]):
        tried = [row["answers"][_label(kind)] for row in measured.values()]
        table.add_row(_label(kind), f"{count:.0f}", *(_latency(each[-1]) for each in tried))
        if tried and count < _FEW:
            cells = (f"{_returned(each[0])} >\n{_returned(each[-1])}" for each in tried)
            few.add_row(_label(kind), f"{count:.0f}", f"{tried[0][0]['wanted']:.1f}", *cells)
    console.print(table)
    console.print(few)


def _latency(one: dict[str, float]) -> str:
    missed = "" if one["recall"] >= WANTED_RECALL else f" ({one['recall']:.3f})"
    return f"{one['p50_ms']:.1f}/{one['p95_ms']:.1f}, {one['cpu_ms']:.1f}{missed}"


def _returned(one: dict[str, float]) -> str:
    return f"{one['returned']:.1f} ({one['right']:.1f})"
