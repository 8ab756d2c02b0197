"""The one way from a query to ranked sightings, with what was searched and what was not.

Owns the result. Never writes to the archive; a damaged segment is told, it never fails the search.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from indexer.catalogue import Catalogue, SegmentEntry, Snapshot
from indexer.coverage import Coverage, measure_coverage
from indexer.shard.files import ArchiveFiles
from indexer.shard.reader import Segment
from indexer.shard.records import Record
from indexer.times import milliseconds
from reid.camera_means import CameraMeans, centred
from reid.errors import DamagedError, FormatError, ModelMismatchError, StorageError
from reid.registry import ModelSpec
from search.engine import Hit, first, scan
from search.filters import Filters
from search.query import Query


@dataclass(frozen=True)
class Sighting:
    """A tracklet shown to an analyst: perhaps the person, to be judged by a human.

    Attributes:
        rank: from 1.
        score: cosine with the query, the means of the cameras taken out, -1..1: likeness, neither an
            identity nor a probability.
        district: slug.
        camera_name: for people; the camera's id where it has no name.
        record: when, where in which clip.
        thumbnail: JPEG of the best crop.
    """

    rank: int
    score: float
    district: str
    camera_name: str
    record: Record
    thumbnail: bytes


@dataclass(frozen=True)
class SearchResult:
    """All of an answer.

    Attributes:
        query: whom.
        filters: where and when.
        sightings: best first.
        coverage: what was searched and what was not.
        damaged: (segment, why) that could not be read.
        model: sha256 of the embedder.
        segments: names of the segments that were read.
        rows: how many vectors were compared.
        timing_ms: wall-clock milliseconds of each step.
    """

    query: Query
    filters: Filters
    sightings: tuple[Sighting, ...]
    coverage: Coverage
    damaged: tuple[tuple[str, str], ...]
    model: str
    segments: tuple[str, ...]
    rows: int
    timing_ms: dict[str, float]


def find_sightings(
    archive: ArchiveFiles, query: Query, embedder: ModelSpec, filters: Filters, top: int
) -> SearchResult:
    """Rank the tracklets in scope by likeness to the query, every one compared exactly.

    Nobody knows which camera took a photo, so the mean of all cameras is taken out of its vector.

    Args:
        archive: must exist and hold at least one indexed clip.
        query: embedded by `embedder`.
        embedder: the model in use; must be the archive's.
        filters: where and when.
        top: how many sightings at most.

    Raises:
        StorageError: no archive, nothing indexed in it, or the machine is out of memory or file handles.
        ModelMismatchError: the archive holds vectors of another model.
    """
    begun = time.perf_counter()
    with Catalogue(archive) as catalogue:
        snapshot = catalogue.snapshot()
    _check(snapshot, embedder, archive)
    scope = _Scope(archive, {entry.segment: entry for entry in snapshot.segments if filters.wants(entry)})
    means = snapshot.camera_means(embedder.dimension)
    hits, rows = scope.scan(centred(query.vectors, means.overall), means, filters, top, embedder.sha256)
    scanned = time.perf_counter()
    found = scope.read_first(hits, top)
    done = time.perf_counter()
    sightings = [_sighting(rank, hit, scope, snapshot, *found[hit]) for rank, hit in enumerate(found, 1)]
    coverage = measure_coverage(
        snapshot, filters.districts, filters.cameras, filters.since_ms, filters.until_ms,
        now_ms=milliseconds(datetime.now(UTC)), damaged=scope.damaged,
    )  # fmt: skip
    return SearchResult(
        query, filters, tuple(sightings), coverage, tuple(scope.damaged.items()), embedder.sha256,
        tuple(name for name in scope.entries if name not in scope.damaged),
        sum(count for name, count in rows.items() if name not in scope.damaged),
        {"scan": (scanned - begun) * 1000, "read": (done - scanned) * 1000},
    )  # fmt: skip


class _Scope:
    """The segments in scope. Each is opened when needed and closed again: there may be thousands."""

    def __init__(self, archive: ArchiveFiles, entries: dict[str, SegmentEntry]) -> None:
        self._archive = archive
        self.entries = entries
        self.damaged: dict[str, str] = {}

    def scan(
        self, vectors: NDArray[np.float32], means: CameraMeans, filters: Filters, top: int, model: str
    ) -> tuple[list[Hit], dict[str, int]]:
        """The best hits of each segment, and how many rows of it were compared."""
        hits: list[Hit] = []
        rows: dict[str, int] = {}
        for name in self.entries:
            with self._noting_damage(name):
                segment = self._open(name)
                if segment.manifest.embedder != model:
                    raise ModelMismatchError(f"{name}: holds vectors of another model; index it again")
                cameras = [(segment.manifest.district, camera) for camera in segment.manifest.cameras]
                found, rows[name] = scan(segment, vectors, means.of(cameras), filters, top)
                hits += found
        return hits, rows

    def read_first(self, hits: list[Hit], top: int) -> dict[Hit, tuple[Record, bytes]]:
        """Record and thumbnail of the `top` best hits, best first, without those of damaged segments."""
        while True:
            best = first([hit for hit in hits if hit.segment not in self.damaged], top)
            contents: dict[Hit, tuple[Record, bytes]] = {}
            for name in dict.fromkeys(hit.segment for hit in best):
                group = [hit for hit in best if hit.segment == name]
                with self._noting_damage(name):
                    read = self._open(name).read([hit.tracklet for hit in group])
                    contents |= dict(zip(group, read, strict=True))
            if len(contents) == len(best):
                return {hit: contents[hit] for hit in best}

    def _open(self, name: str) -> Segment:
        entry = self.entries[name]
        return Segment.open(self._archive.segment(entry.district, entry.day, name).folder, entry.seal)

    @contextmanager
    def _noting_damage(self, name: str) -> Iterator[None]:
        try:
            yield
        except (DamagedError, FormatError, ModelMismatchError) as error:
            self.damaged[name] = str(error)


def _sighting(
    rank: int, hit: Hit, scope: _Scope, snapshot: Snapshot, record: Record, thumbnail: bytes
) -> Sighting:
    district = scope.entries[hit.segment].district
    camera = snapshot.cameras.get((district, record.camera))
    name = camera.name if camera and camera.name else record.camera
    return Sighting(rank, hit.score, district, name, record, thumbnail)


def _check(snapshot: Snapshot, embedder: ModelSpec, archive: ArchiveFiles) -> None:
    if not snapshot.clips:
        raise StorageError(
            f"{archive.home}: the archive is empty, so nothing can be found or ruled out; index footage with:"
            " reid index PATH --district NAME --camera ID"
        )
    if snapshot.embedder != embedder.sha256:
        raise ModelMismatchError(
            f"{archive.home}: indexed with embedder {str(snapshot.embedder)[:12]}…, but {embedder.name}"
            f" ({embedder.sha256[:12]}…) is set; set the archive's embedder in {archive.settings}"
        )
