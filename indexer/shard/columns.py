"""What `columns.bin` holds of each row and each tracklet, and where in the file it lies.

One array after the other, without headers: row heads, tracklet heads, then the columns that filters read.
Counts come from the manifest, so every place is known without reading. Owns the layout, reads nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from reid.attributes import COLUMNS

ROW = np.dtype(
    [
        ("start", "<i8"),
        ("tracklet", "<u4"),
        ("sum", "<u4"),
        ("quality", "<f4"),
        ("camera", "<u2"),
        ("spare", "<u2"),
    ]
)
"""Of a row, to be read beside its vector. `sum` is the CRC-32 of the vector's bytes and of this head with a
sum of 0, so that one row read out of a million needs no checksum of the file."""

TRACKLET = np.dtype(
    [("id", "<u8"), ("at", "<u8"), ("record", "<u4"), ("thumbnail", "<u4"), ("row", "<u4"), ("rows", "<u4"),
     ("clip", "<u4"), ("sum", "<u4")]
)  # fmt: skip
"""Of a tracklet: its id as a number, where its record begins in `records.bin` and how long record and
thumbnail are, its first row and how many rows it has, its clip (position in the manifest's clips), and the
CRC-32 of record, thumbnail and attributes."""

_ATTRIBUTES = np.dtype((np.int8, (COLUMNS,)))

_SUM_AT = 12


def row_sum(vector: bytes, head: bytes) -> int:
    """The `sum` of a row of these bytes; the one in the head counts as 0."""
    return crc32(head[:_SUM_AT] + b"\0\0\0\0" + head[_SUM_AT + 4 :], crc32(vector))


def sum_of(head: bytes) -> int:
    """The `sum` that a row's head holds."""
    return int.from_bytes(head[_SUM_AT : _SUM_AT + 4], "little")


def tracklet_sum(record: bytes, thumbnail: bytes, attributes: bytes) -> int:
    """The `sum` of a tracklet of these bytes."""
    return crc32(attributes, crc32(thumbnail, crc32(record)))


Clothes = Literal["upper", "lower"]
Name = Literal["rows", "tracklets", "start", "end", "camera", "upper", "lower", "attributes"]
_ORDER: tuple[tuple[Name, np.dtype[Any]], ...] = (
    ("rows", ROW), ("tracklets", TRACKLET), ("start", np.dtype("<i8")), ("end", np.dtype("<i8")),
    ("camera", np.dtype("<u2")), ("upper", np.dtype("<u2")), ("lower", np.dtype("<u2")),
    ("attributes", _ATTRIBUTES),
)  # fmt: skip
"""`upper` and `lower` are sets of colours, bit k for `reid.attributes.COLOURS[k]`; 0 is unknown.
`attributes` is what a tracklet shows of each answer in `reid.attributes`, see `indexer.clothes`."""
_OF_TRACKLETS = ("tracklets", "attributes")


@dataclass(frozen=True)
class Place:
    """Where an array lies in the file."""

    offset: int
    count: int
    dtype: np.dtype[Any]

    @property
    def bytes(self) -> int:
        """Its size."""
        return self.count * self.dtype.itemsize


def places(vectors: int, tracklets: int) -> dict[Name, Place]:
    """Every array's place in the columns of a segment with so many vectors and tracklets."""
    found: dict[Name, Place] = {}
    offset = 0
    for name, dtype in _ORDER:
        place = Place(offset, tracklets if name in _OF_TRACKLETS else vectors, dtype)
        found[name] = place
        offset += place.bytes
    return found


def to_bytes(arrays: dict[Name, NDArray[Any]]) -> bytes:
    """The file's content; every array of the type of its place."""
    return b"".join(np.ascontiguousarray(arrays[name], dtype.base).tobytes() for name, dtype in _ORDER)
