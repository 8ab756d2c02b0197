"""The one way from a query to ranked sightings, with what was searched and what was not.

Owns the result. Never writes to the archive; a damaged segment is told, it never fails the search.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from indexer.coverage import UNPLACED, Coverage, Missing
from indexer.shard.records import Record
from indexer.times import milliseconds
from search.engine import Engine
from search.filters import Filters
from search.matching import Found
from search.planner import Plan
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
        plan: how vectors were compared.
        segments: names of the segments that were searched.
        rows: how many vectors were in scope.
        timing_ms: wall-clock milliseconds of each step.
    """

    query: Query
    filters: Filters
    sightings: tuple[Sighting, ...]
    coverage: Coverage
    damaged: tuple[tuple[str, str], ...]
    model: str
    plan: Plan
    segments: tuple[str, ...]
    rows: int
    timing_ms: dict[str, float]


def find_sightings(
    engine: Engine, query: Query, filters: Filters, top: int, exact: bool = False
) -> SearchResult:
    """Rank the tracklets in scope by likeness to the query.

    Args:
        engine: the archive, open.
        query: embedded by the engine's embedder.
        filters: where, when and in which colours.
        top: how many sightings at most.
        exact: compare every vector, however many there are.

    Raises:
        StorageError: nothing indexed, or the machine is out of memory or file handles.
        ModelMismatchError: the archive holds vectors of another model.
    """
    begun = time.perf_counter()
    found = engine.search(query.vectors, filters, top, exact)
    done = time.perf_counter()
    coverage = _coverage(found, filters)
    return SearchResult(
        query, filters, _sightings(found), coverage, tuple(found.damaged.items()), engine.embedder.sha256,
        found.plan, found.segments, found.rows,
        {"search": (done - begun) * 1000, "coverage": (time.perf_counter() - done) * 1000},
    )  # fmt: skip


def _coverage(found: Found, filters: Filters) -> Coverage:
    coverage = found.view.footage(found.damaged).measure(
        filters.districts, filters.cameras, filters.since_ms, filters.until_ms,
        now_ms=milliseconds(datetime.now(UTC)), keys=found.scope.keys,
    )  # fmt: skip
    if not found.scope.unplaced:
        return coverage
    unplaced = Missing(UNPLACED, None, tuple("/".join(key) for key in found.scope.unplaced))
    return replace(coverage, missing=(*coverage.missing, unplaced))


def _sightings(found: Found) -> tuple[Sighting, ...]:
    sightings = []
    for rank, (hit, (record, thumbnail)) in enumerate(zip(found.hits, found.contents, strict=True), 1):
        district = found.view.by_name[hit.segment].entry.district
        camera = found.view.snapshot.cameras.get((district, record.camera))
        name = camera.name if camera and camera.name else record.camera
        sightings.append(Sighting(rank, hit.score, district, name, record, thumbnail))
    return tuple(sightings)
