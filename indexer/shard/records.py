"""The record of a tracklet: what a sighting shows, beside its thumbnail."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

RECORDS_TABLE = "records"
THUMBNAILS_TABLE = "thumbnails"


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
    """

    record: Record
    vectors: NDArray[np.float32]
    thumbnail: bytes


def record_key(position: int) -> str:
    """Key of the tracklet at `position` of its segment; sorts like the positions."""
    return f"{position:08d}"
