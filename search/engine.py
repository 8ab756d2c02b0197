"""Scans a segment for the rows most like the query. The only module that imports faiss.

Exact: every row in scope is compared at the precision it is stored in. Knows no photo and no person.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import faiss
import numpy as np
from numpy.typing import NDArray

from indexer.shard.reader import Segment
from reid.camera_means import centred
from search.filters import Filters

_CHUNK_ROWS = 65_536  # 64 MB of float32 at 256 dimensions: bounds memory whatever a segment's size


@dataclass(frozen=True)
class Hit:
    """The best match of one tracklet.

    Attributes:
        score: cosine of the query with the nearest of the tracklet's centred vectors, -1..1.
        segment: name of its segment.
        tracklet: position in that segment.
        start_ms: when the tracklet starts; orders equal scores.
    """

    score: float
    segment: str
    tracklet: int
    start_ms: int


def scan(
    segment: Segment, vectors: NDArray[np.float32], means: NDArray[np.float32], filters: Filters, top: int
) -> tuple[list[Hit], int]:
    """The `top` best tracklets of a segment, best first, and how many rows were compared.

    Args:
        segment: open.
        vectors: (Q, D) float32 unit rows; a tracklet's score is its best over all of them.
        means: (C, D) float32, of the cameras in the manifest's order; taken out of their rows.
        filters: which rows count.
        top: how many tracklets, at least 1.
    """
    best: dict[int, Hit] = {}
    compared = 0
    for chunk in _row_chunks(segment, filters):
        compared += len(chunk)
        rows = centred(np.asarray(segment.vectors[chunk], np.float32), means[segment.columns.camera[chunk]])
        for score, row in _nearest(rows, vectors, _enough_rows(segment, chunk, top)):
            tracklet = int(segment.columns.tracklet[chunk[row]])
            before = best.get(tracklet)
            if before is None or score > before.score:
                start = int(segment.columns.start[chunk[row]])
                best[tracklet] = Hit(score, segment.manifest.segment, tracklet, start)
    return first(best.values(), top), compared


def first(hits: Iterable[Hit], top: int) -> list[Hit]:
    """The `top` best hits, best first; equal scores by time."""
    return heapq.nsmallest(top, hits, key=lambda hit: (-hit.score, hit.start_ms, hit.segment, hit.tracklet))


def _row_chunks(segment: Segment, filters: Filters) -> Iterator[NDArray[np.intp]]:
    rows = filters.rows(segment)
    if rows is None:
        rows = np.arange(len(segment.vectors))
    for start in range(0, len(rows), _CHUNK_ROWS):
        yield rows[start : start + _CHUNK_ROWS]


def _enough_rows(segment: Segment, chunk: NDArray[np.intp], top: int) -> int:
    """So many best rows are sure to hold the `top` best tracklets: one tracklet owns only a few."""
    most = int(np.bincount(segment.columns.tracklet[chunk]).max()) if len(chunk) else 1
    return min(top * most, len(chunk))


def _nearest(
    rows: NDArray[np.float32], vectors: NDArray[np.float32], count: int
) -> Iterator[tuple[float, int]]:
    """(score, row) of the `count` best rows of each query vector."""
    if count == 0:
        return
    scores, found = faiss.knn(vectors, rows, count, metric=faiss.METRIC_INNER_PRODUCT)
    for score, row in zip(scores.ravel(), found.ravel(), strict=True):
        if row >= 0:
            yield float(score), int(row)
