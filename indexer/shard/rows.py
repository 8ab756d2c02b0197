"""A few rows of each of hundreds of segments, read and compared with their checksums in one go.

That is what a search by codes refines: a thousand rows, mostly one or two of a file. Nothing is done for a
row but reading its vector and its head side by side into one buffer and adding up its CRC-32. Knows no query.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from indexer.shard import columns
from indexer.shard.damage import told
from indexer.shard.files import SegmentFiles
from indexer.shard.handles import KeptOpen
from reid.errors import ArchiveError, DamagedError, StorageError

Ints = NDArray[np.int64]


class Source(Protocol):
    """A segment whose rows are read: where it lies, and its open files."""

    files: SegmentFiles
    handles: KeptOpen


@dataclass(frozen=True)
class Picked:
    """Rows that are as they were sealed.

    Attributes:
        owners: (n,) which of the segments asked each is of, in their order. positions: (n,) rows there.
        vectors: (n, D) float16. heads: (n,) `columns.ROW`.
        damaged: why some segments could not be read, by their place; nothing of those is among the rows.
    """

    owners: Ints
    positions: Ints
    vectors: NDArray[np.float16]
    heads: NDArray[np.void]
    damaged: Mapping[int, ArchiveError]


def pick(asked: Sequence[tuple[Source, Sequence[int]]], dimension: int) -> Picked:
    """Rows of some segments, all of vectors of D numbers, each compared with its own checksum.

    Args:
        asked: segments and which of their rows.
        dimension: D.

    Raises:
        StorageError: the machine has no memory or file handles left; says nothing of a segment.
    """
    row = _row(dimension)
    blocks: list[bytes] = []
    places: list[int] = []
    damaged: dict[int, ArchiveError] = {}
    for place, (source, wanted) in enumerate(asked):
        try:
            blocks.append(_read(source, wanted, dimension * 2))
            places += wanted
        except Exception as error:  # noqa: BLE001  damaged bytes reach parsers with errors of every kind
            blocks.append(b"")
            damaged[place] = told(error, source.files.folder)
            if isinstance(damaged[place], StorageError):
                raise damaged[place] from None
    counts = np.array([len(block) // row.itemsize for block in blocks], np.int64)
    owners = np.repeat(np.arange(len(asked)), counts)
    positions = np.array(places, np.int64)
    data = bytearray().join(blocks)
    rows: NDArray[Any] = np.frombuffer(data, row)
    sums = rows["head"]["sum"].copy()
    rows["head"]["sum"] = 0  # it counts as 0 in what it is the sum of
    view = memoryview(data)
    found = [crc32(view[at : at + row.itemsize]) for at in range(0, len(data), row.itemsize)]
    rows["head"]["sum"] = sums
    wrong = np.flatnonzero(sums != np.array(found, np.uint32))[::-1]  # the first of a segment is told
    for place, position in zip(owners[wrong].tolist(), positions[wrong].tolist(), strict=True):
        damaged[place] = DamagedError(f"{asked[place][0].files.vectors}: row {position} is altered")
    if len(wrong):
        good = ~np.isin(owners, list(damaged))
        owners, positions, rows = owners[good], positions[good], rows[good]
    return Picked(owners, positions, rows["vector"], rows["head"], damaged)


def _row(dimension: int) -> np.dtype[Any]:
    """Vector and head side by side, as their CRC-32 is taken."""
    return np.dtype([("vector", "<f2", (dimension,)), ("head", columns.ROW)])


def _read(source: Source, positions: Sequence[int], size: int) -> bytes:
    """Vector, head, vector, head..., whose vectors take `size` bytes each; not compared with anything."""
    length, pread = columns.ROW.itemsize, os.pread
    handles, files = source.handles, source.files
    vectors = handles.take(files.VECTORS)
    try:
        heads = handles.take(files.COLUMNS)
        try:
            data = b"".join(
                [
                    part
                    for k in positions
                    for part in (pread(vectors, size, k * size), pread(heads, length, k * length))
                ]
            )
        finally:
            handles.done(files.COLUMNS, heads)
    finally:
        handles.done(files.VECTORS, vectors)
    wanted = len(positions) * (size + length)
    if len(data) != wanted:
        raise DamagedError(
            f"{files.folder}: expected {wanted} bytes of {len(positions)} rows, found {len(data)}"
        )
    return data
