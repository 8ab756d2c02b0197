"""Indexing without decoding: a pipeline that knows what each clip shows. And all that an archive holds."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from indexer import compaction
from indexer.catalogue import Catalogue
from indexer.clips import ClipRequest
from indexer.clothes import Look
from indexer.codes import Codebook
from indexer.index_report import IndexReport
from indexer.indexing import index_clips
from indexer.pipeline import ClipContent, Pipeline, PipelineOptions
from indexer.rewriting import open_entry
from indexer.shard.files import ArchiveFiles
from indexer.snapshot import SegmentEntry, Snapshot
from indexer.times import from_milliseconds
from indexer.tracklets import Sample, TrackSummary
from indexer.video import ReadReport
from reid.attributes import COLUMNS
from reid.durable import make_folder, write_file
from reid.errors import DamagedError
from tests.crowd import DAY, HOUR, embedder, midnight, people
from tests.world import FakeDetector

NOW = datetime(2025, 6, 1, tzinfo=UTC)


class KnownEmbedder:
    """Of 32 numbers; never asked for any."""

    spec = embedder()


class KnownPipeline(Pipeline):
    """Gives for each file the people that its name seeds: `count` of them, one every 10 seconds."""

    def __init__(self, count: int = 4) -> None:
        super().__init__(FakeDetector(), KnownEmbedder(), PipelineOptions())  # type: ignore[arg-type]
        self.count = count
        self.calls: list[str] = []

    def run(self, path: Path, progress: Callable[[float], None] = lambda seconds: None) -> ClipContent:
        self.calls.append(path.stem)
        random = np.random.default_rng(int.from_bytes(path.stem.encode(), "little"))
        seen = tuple(self._person(random, 10.0 * number) for number in range(self.count))
        looks = tuple(Look(1, 2, random.integers(-127, 128, COLUMNS, np.int8)) for _ in seen)
        length = 10.0 * self.count
        return ClipContent(seen, looks, 32, 18, 9, ((0.0, length),), ReadReport(9, last_time_s=length))

    def _person(self, random: np.random.Generator, start_s: float) -> TrackSummary:
        [seed] = people(random, 1, 32)
        rows = seed + 0.05 * random.normal(size=(int(random.integers(1, 4)), 32))
        vectors = np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)
        best = Sample(start_s + 1, np.array([1, 2, 9, 17], np.float32), float(random.random()), vectors[0])
        crop = random.integers(0, 255, (16, 8, 3)).astype(np.uint8)
        return TrackSummary(start_s, start_s + 8, best, (crop,), vectors, 4)


def clip(folder: Path, name: str, camera: str, start_ms: int, district: str = "songpa") -> ClipRequest:
    """A file that stands for a clip; its content is its name."""
    path = folder / f"{name}.mp4"
    path.write_text(name)
    return ClipRequest(path, district, camera, from_milliseconds(start_ms))


def at(hour: float) -> int:
    """Milliseconds since 1970 UTC of an hour of the first day, or of a later one."""
    return midnight(DAY) + round(hour * HOUR)


def index(
    archive: ArchiveFiles, *requests: ClipRequest, replace: bool = False, pipeline: Pipeline | None = None
) -> IndexReport:
    return index_clips(archive, requests, pipeline or KnownPipeline(), now=lambda: NOW, replace=replace)


def use(archive: ArchiveFiles, codebook: Codebook) -> None:
    """As if it had been trained on the archive."""
    make_folder(archive.codebook(codebook.name).parent)
    write_file(archive.codebook(codebook.name), codebook.to_bytes())
    with Catalogue(archive, "write") as catalogue:
        catalogue.use_codebook(codebook.name)


@dataclass(frozen=True)
class Holding:
    """All that a search of an archive could see, whatever segments it is kept in.

    Attributes:
        tracklets: by id: where, when, vectors, colours, record, thumbnail and attributes.
        damaged: "district/day" of what cannot be read or is in quarantine.
        rest: clips, cameras, failures, erasures and the different people of each camera.
    """

    tracklets: Mapping[str, tuple[Any, ...]]
    damaged: frozenset[str]
    rest: tuple[object, ...]


def holding(archive: ArchiveFiles) -> Holding:
    seen = snapshot(archive)
    found: dict[str, tuple[Any, ...]] = {}
    damaged: set[str] = set()
    for entry in seen.segments:
        try:
            kept = _stored(archive, entry)
        except DamagedError:
            damaged.add(f"{entry.district}/{entry.day}")
            continue
        assert not kept.keys() & found.keys(), "a tracklet is in two segments"
        found |= kept
    tallies = {key: (each.count, each.total.round(3).tolist()) for key, each in seen.tallies.items()}
    clips = tuple(replace(each, seconds_taken=0) for each in seen.clips)
    failures = tuple(replace(each, seconds_taken=0) for each in seen.failures)
    rest = (clips, sorted(seen.cameras), failures, seen.erasures, sorted(tallies.items()))
    return Holding(found, frozenset(damaged), rest)


def _stored(archive: ArchiveFiles, entry: SegmentEntry) -> dict[str, tuple[Any, ...]]:
    if entry.quarantined is not None:
        raise DamagedError(entry.quarantined)
    segment = open_entry(archive, entry)
    return {
        one.id: (
            entry.district, one.clip, one.camera, one.start_ms, one.end_ms, one.quality, one.upper, one.lower,
            one.vectors.tobytes(), one.record, one.thumbnail, one.attributes.tobytes(),
        )
        for one in segment.stored()
    }  # fmt: skip


def snapshot(archive: ArchiveFiles) -> Snapshot:
    with Catalogue(archive) as catalogue:
        return catalogue.snapshot()


def litter(archive: ArchiveFiles) -> list[str]:
    """What lies in the archive and belongs to nothing."""
    known = {entry.segment for entry in snapshot(archive).segments if entry.seal}
    found = [path for path in archive.segment_folders() if path.name not in known]
    found += [
        path for path in (archive.home / "shards").rglob("*") if path.is_dir() and not any(path.iterdir())
    ]
    found += [path for path in archive.home.rglob("*") if path.suffix == ".tmp"]
    found += list(archive.staging.rglob("*")) if archive.staging.exists() else []
    return sorted({str(path.relative_to(archive.home)) for path in found})


def traces(archive: ArchiveFiles, gone: Mapping[str, tuple[Any, ...]]) -> list[str]:
    """Files below `shards` and `staging` in which something of these tracklets is left."""
    needles: list[bytes] = []
    for name, one in gone.items():
        vectors, thumbnail, attributes = one[8], one[10], one[11]
        assert isinstance(vectors, bytes)
        assert isinstance(thumbnail, bytes)
        assert isinstance(attributes, bytes)
        assert len(thumbnail) > 8
        needles += [vectors[k : k + 64] for k in range(0, len(vectors), 64)]
        needles += [name.encode(), int(name, 16).to_bytes(8, "little"), thumbnail, attributes]
    return [
        str(path.relative_to(archive.home))
        for folder in ("shards", "staging")
        for path in (archive.home / folder).rglob("*")
        if path.is_file() and any(needle in path.read_bytes() for needle in needles)
    ]


def merged_and_coded(archive: ArchiveFiles, codebook: Codebook, segments: int) -> ArchiveFiles:
    """Leave so many segments, coded however small they are."""
    use(archive, codebook)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compaction, "CODED_ROWS", 1)
        assert compaction.compact(archive).segments == segments
    return archive


def copy_of(archive: ArchiveFiles, folder: Path) -> ArchiveFiles:
    """The same archive once more, to be damaged."""
    copy = ArchiveFiles(folder / "archive")
    shutil.copytree(archive.home, copy.home)
    return copy
