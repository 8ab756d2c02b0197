"""The one way from a query to ranked sightings, with what was searched and what was not.

Owns the result. Never writes to the archive; a damaged segment is told, it never fails the search.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from indexer.catalogue import Catalogue, SegmentEntry, Snapshot
from indexer.coverage import Coverage, measure_coverage
from indexer.shard.files import ArchiveFiles
from indexer.shard.reader import Segment
from indexer.shard.records import Record
from reid.errors import ArchiveError, ModelMismatchError, StorageError
from reid.registry import ModelSpec
from search.engine import scan
from search.filters import Filters
from search.query import Query


@dataclass(frozen=True)
class Sighting:
    """A tracklet shown to an analyst: perhaps the person, to be judged by a human.

    Attributes:
        rank: from 1.
        score: cosine with the query, -1..1: likeness, neither an identity nor a probability.
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

    Args:
        archive: must exist and hold at least one indexed clip.
        query: embedded by `embedder`.
        embedder: the model in use; must be the archive's.
        filters: where and when.
        top: how many sightings at most.

    Raises:
        StorageError: no archive, or nothing indexed in it.
        ModelMismatchError: the archive holds vectors of another model.
    """
    begun = time.perf_counter()
    with Catalogue(archive) as catalogue:
        snapshot = catalogue.snapshot()
    _check(snapshot, embedder, archive)
    wanted = [entry for entry in snapshot.segments if filters.wants(entry)]
    opened, damaged = _open(archive, wanted, embedder.sha256)
    ready = time.perf_counter()
    hits, rows = scan(opened, query.vectors, filters, top)
    scanned = time.perf_counter()
    sightings: list[Sighting] = []
    for hit in hits:
        segment = opened[hit.segment]
        try:
            record, thumbnail = segment.read([hit.tracklet])[0]
        except ArchiveError as error:
            damaged.append((segment.manifest.segment, str(error)))
            continue
        camera = snapshot.cameras.get((segment.manifest.district, record.camera))
        name = camera.name if camera and camera.name else record.camera
        rank = len(sightings) + 1
        sightings.append(Sighting(rank, hit.score, segment.manifest.district, name, record, thumbnail))
    done = time.perf_counter()
    coverage = measure_coverage(
        snapshot, filters.districts, filters.cameras, filters.since_ms, filters.until_ms,
        {name for name, _ in damaged},
    )  # fmt: skip
    return SearchResult(
        query, filters, tuple(sightings), coverage, tuple(damaged), embedder.sha256,
        tuple(segment.manifest.segment for segment in opened), rows,
        {
            "open": (ready - begun) * 1000,
            "scan": (scanned - ready) * 1000,
            "read": (done - scanned) * 1000,
        },
    )  # fmt: skip


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


def _open(
    archive: ArchiveFiles, entries: Sequence[SegmentEntry], model: str
) -> tuple[list[Segment], list[tuple[str, str]]]:
    opened, damaged = [], []
    for entry in entries:
        try:
            segment = Segment.open(archive.segment(entry.district, entry.day, entry.segment).folder)
            if segment.manifest.embedder != model:
                raise ModelMismatchError(f"{entry.segment}: holds vectors of another model; index it again")
            opened.append(segment)
        except ArchiveError as error:
            damaged.append((entry.segment, str(error)))
    return opened, damaged
