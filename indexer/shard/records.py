"""The record of a tracklet, what is searched and shown of it, and the form in which a segment stores it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexer.keyvalue import packed, unpacked
from reid.attributes import COLUMNS

MOST_ROWS = 4
"""Vectors that a tracklet may have."""

Attributes = NDArray[np.int8]
"""(COLUMNS,) or (N, COLUMNS) int8: evidence as `indexer.clothes` stores it; 0 is unknown."""


def nothing_known() -> Attributes:
    """The attributes of somebody of whom nothing is known."""
    return np.zeros(COLUMNS, np.int8)


@dataclass(frozen=True)
class Record:
    """One tracklet as stored.

    Attributes:
        id: 16 hex digits, the same whenever the same clip is indexed with the same models.
        clip: sha256 of the clip.
        path: the clip's path when it was indexed.
        camera: camera id.
        start_ms, end_ms, best_ms: first, last and best detection, milliseconds since 1970 UTC.
        best_offset_s: the best detection, seconds since the clip's first frame.
        box: `[x1, y1, x2, y2]` pixels of the source frame at `best_ms`.
        frame: (width, height) of the source frame.
        quality: of the best crop, 0..1.
        detections: how many detections the track had.
    """

    id: str
    clip: str
    path: str
    camera: str
    start_ms: int
    end_ms: int
    best_ms: int
    best_offset_s: float
    box: tuple[float, float, float, float]
    frame: tuple[int, int]
    quality: float
    detections: int

    def pack(self) -> dict[str, Any]:
        """Plain values for the table."""
        return asdict(self)


def unpack_record(value: Mapping[str, Any]) -> Record:
    """The record packed by `Record.pack`."""
    return Record(**{**value, "box": tuple(value["box"]), "frame": tuple(value["frame"])})


@dataclass(frozen=True)
class Tracklet:
    """A record with what is searched and shown of it.

    Attributes:
        record: see `Record`.
        vectors: (K, D) float32 unit rows, K from 1 to 3.
        thumbnail: JPEG of the best crop.
        upper, lower: colours of the clothes, bit k for `reid.attributes.COLOURS[k]`; 0 is unknown.
        attributes: (COLUMNS,) int8, see `indexer.clothes`; 0 is unknown.
    """

    record: Record
    vectors: NDArray[np.float32]
    thumbnail: bytes
    upper: int = 0
    lower: int = 0
    attributes: Attributes = field(default_factory=nothing_known)


@dataclass(frozen=True)
class Stored:
    """A tracklet as a segment holds it: what goes from one segment into another unchanged.

    Attributes:
        id, clip, camera, start_ms, end_ms, quality: as in its record.
        upper, lower, attributes: as in `Tracklet`.
        vectors: (K, D) float16 unit rows.
        record: msgpack. thumbnail: JPEG.
    """

    id: str
    clip: str
    camera: str
    start_ms: int
    end_ms: int
    quality: float
    upper: int
    lower: int
    vectors: NDArray[np.float16]
    record: bytes
    thumbnail: bytes
    attributes: Attributes

    @classmethod
    def of(cls, tracklet: Tracklet) -> Stored:
        """The stored form of a new tracklet."""
        record = tracklet.record
        return cls(
            record.id, record.clip, record.camera, record.start_ms, record.end_ms, record.quality,
            tracklet.upper, tracklet.lower, tracklet.vectors.astype(np.float16), packed(record.pack()),
            tracklet.thumbnail, tracklet.attributes,
        )  # fmt: skip


def read_record(data: bytes) -> Record:
    """The record packed in `Stored.record`.

    Raises:
        DamagedError: not msgpack.
        TypeError, KeyError: not a record.
    """
    return unpack_record(unpacked(data))
