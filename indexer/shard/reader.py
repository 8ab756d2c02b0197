"""Opens a sealed segment and reads parts of it, nothing of which is taken on trust.

Files are read, never mapped: a mapped file that is cut off ends the process, and what is mapped counts as
memory. A part that a checksum of its own goes with (a row, a record) is compared with that; of the rest the
whole file is compared when it is first touched, and again when the file changed. Knows nothing of queries.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexer.shard import columns
from indexer.shard.damage import damage
from indexer.shard.files import SegmentFiles
from indexer.shard.handles import Handles, KeptOpen
from indexer.shard.manifest import Manifest, parse_manifest
from indexer.shard.records import MOST_ROWS, Attributes, Record, Stored, read_record
from indexer.shard.rows import pick
from reid.errors import DamagedError

_CHUNK = 1 << 20
_UNIT_ERROR = 4e-3  # of the length of a unit vector in float16, with room to spare
_Stamp = tuple[int, int, int]


class Segment:
    """A sealed segment, open for reading. May be used by several threads.

    Attributes:
        manifest: see `Manifest`.
        files: where it lies. handles: of its files.
    """

    def __init__(self, files: SegmentFiles, manifest: Manifest, handles: Handles | None = None) -> None:
        self.files = files
        self.manifest = manifest
        self._places = columns.places(manifest.vectors, manifest.tracklets)
        paths = {name: os.fspath(files.folder / name) for name in manifest.files}
        self.handles = KeptOpen(paths, handles)
        self._sound: dict[str, _Stamp] = {}

    @classmethod
    def open(cls, folder: Path, seal: str | None = None, handles: Handles | None = None) -> Segment:
        """Open the segment in `folder`: its manifest is read, its files are there in full length.

        Args:
            folder: the segment's folder.
            seal: sha256 the manifest must have; None while the segment is not yet in a catalogue.
            handles: for a process that searches and keeps files open; None: no file stays open.

        Raises:
            FormatError: an unknown format version.
            DamagedError: a file is missing, unreadable or of another length, or counts do not fit.
            StorageError: the machine has no memory or file handles left; says nothing of the segment.
        """
        files = SegmentFiles(folder)
        with damage(folder):
            data = files.manifest.read_bytes()
            if seal is not None and hashlib.sha256(data).hexdigest() != seal:
                raise DamagedError(f"{files.manifest}: altered since the segment was sealed")
            manifest = parse_manifest(data, str(files.manifest))
            for name, each in manifest.files.items():
                _check_length(files.folder / name, (files.folder / name).stat().st_size, each.bytes)
            segment = cls(files, manifest, handles)
            lengths = {
                files.VECTORS: manifest.vectors * manifest.dimension * 2,
                files.COLUMNS: sum(place.bytes for place in segment._places.values()),
            }
            for name, length in lengths.items():
                _check_length(files.folder / name, manifest.files[name].bytes, length)
        return segment

    def column(self, name: columns.Name) -> NDArray[Any]:
        """An array of `columns.bin`, see there.

        Raises:
            DamagedError: the file is altered.
        """
        place = self._places[name]
        with self._opened(self.files.COLUMNS) as descriptor:
            data = _exactly(descriptor, place.bytes, place.offset)
        return np.frombuffer(data, place.dtype.base).reshape(place.count, *place.dtype.shape)

    def halves(self, first: int = 0, last: int | None = None) -> NDArray[np.float16]:
        """(N, D) float16 rows `first` to `last`, the latter left out.

        Raises:
            DamagedError: the file is altered.
        """
        count = (self.manifest.vectors if last is None else last) - first
        out = np.empty((count, self.manifest.dimension), np.float16)
        with self._opened(self.files.VECTORS) as descriptor:
            _read_into(descriptor, out, first * self.manifest.dimension * 2)
        return out

    def blocks(self, size: int) -> Iterator[tuple[int, NDArray[np.float16]]]:
        """(first row, its and the next rows) of the whole segment, `size` rows at a time; what was given is
        overwritten by the next.

        Raises:
            DamagedError: the file is altered.
        """
        buffer = np.empty((size, self.manifest.dimension), np.float16)
        with self._opened(self.files.VECTORS) as descriptor:
            for first in range(0, self.manifest.vectors, size):
                block = buffer[: min(size, self.manifest.vectors - first)]
                _read_into(descriptor, block, first * self.manifest.dimension * 2)
                yield first, block

    def read_into(self, out: NDArray[np.float16]) -> None:
        """All rows into `out`, (N, D) float16, contiguous.

        Raises:
            DamagedError: the file is altered.
        """
        with self._opened(self.files.VECTORS) as descriptor:
            _read_into(descriptor, out, 0)

    def heads(self, positions: Sequence[int]) -> NDArray[np.void]:
        """Heads (n,) `columns.ROW` of the rows at these positions.

        Raises:
            DamagedError: the file is altered.
        """
        size = columns.ROW.itemsize
        with self._opened(self.files.COLUMNS) as descriptor:
            found = b"".join(_exactly(descriptor, size, k * size) for k in positions)
        return np.frombuffer(found, columns.ROW)

    def rows(self, positions: Sequence[int]) -> tuple[NDArray[np.float16], NDArray[np.void]]:
        """(n, D) float16 rows at these positions and their heads (n,) `columns.ROW`, each compared with its
        own checksum: for a few of many.

        Raises:
            DamagedError: a row is altered.
        """
        found = pick([(self, positions)], self.manifest.dimension)
        if found.damaged:
            raise found.damaged[0]
        return found.vectors, found.heads

    def codes(self) -> bytes:
        """The content of `index.faiss`.

        Raises:
            DamagedError: the file is altered.
        """
        with damage(self.files.folder):
            data = self.files.codes.read_bytes()
            if hashlib.sha256(data).hexdigest() != self.manifest.files[self.files.CODES].sha256:
                raise DamagedError(f"{self.files.codes}: altered since the segment was sealed")
        return data

    def read(self, positions: Sequence[int]) -> list[tuple[Record, bytes]]:
        """Records and JPEG thumbnails of the tracklets at these positions.

        Raises:
            DamagedError: a record is altered.
        """
        return [(record, thumbnail) for record, thumbnail, _ in self.contents(positions)]

    def contents(self, positions: Sequence[int]) -> list[tuple[Record, bytes, Attributes]]:
        """The same, with the (COLUMNS,) int8 attributes of each.

        Raises:
            DamagedError: a record or attributes are altered.
        """
        place = self._places["attributes"]
        width = place.dtype.itemsize
        with (
            damage(self.files.folder),
            self.handles.opened(self.files.RECORDS) as in_records,
            self.handles.opened(self.files.COLUMNS) as in_columns,
        ):
            total = os.fstat(in_records).st_size
            shown = []
            heads = self._tracklet_heads(in_columns, positions)
            for position, head in zip(positions, heads, strict=True):
                size, at = int(head["record"]) + int(head["thumbnail"]), int(head["at"])
                if at + size > total:  # altered sizes must not ask for more memory than there is
                    raise DamagedError(f"{self.files.records}: expected {size} bytes at {at} of {total}")
                data = _exactly(in_records, size, at)
                row = _exactly(in_columns, width, place.offset + position * width)
                record, thumbnail = data[: head["record"]], data[head["record"] :]
                _check_record(self.files, head, record, thumbnail, row)
                shown.append((read_record(record), thumbnail, np.frombuffer(row, np.int8)))
            return shown

    def vectors_of(self, positions: Sequence[int]) -> list[tuple[NDArray[np.float16], int]]:
        """Of the tracklets at these positions, the (K, D) float16 rows and the camera's place in the
        manifest; each row compared with its own checksum, and all rows are there.

        Raises:
            DamagedError: something is altered.
        """
        size, length, total = self.manifest.dimension * 2, columns.ROW.itemsize, self.manifest.vectors
        found = []
        with (
            damage(self.files.folder),
            self.handles.opened(self.files.VECTORS) as in_vectors,
            self.handles.opened(self.files.COLUMNS) as in_columns,
        ):
            heads = self._tracklet_heads(in_columns, positions)
            spans = zip(heads["row"].tolist(), heads["rows"].tolist(), strict=True)
            for position, (first, count) in zip(positions, spans, strict=True):
                if not (1 <= count <= MOST_ROWS and first + count <= total):
                    raise DamagedError(f"{self.files.columns}: tracklet {position} is altered")
                before, after = min(first, 1), min(total - first - count, 1)  # neighbours are others' rows
                data = _exactly(in_columns, (before + count + after) * length, (first - before) * length)
                rows = _exactly(in_vectors, count * size, first * size)
                around = np.frombuffer(data, columns.ROW)
                owners = [position - before] * before + [position] * count + [position + 1] * after
                good = around["tracklet"].tolist() == owners and all(
                    columns.row_sum(rows[k * size : (k + 1) * size], head) == columns.sum_of(head)
                    for k in range(count)
                    for head in [data[(before + k) * length : (before + k + 1) * length]]
                )
                if not good:
                    raise DamagedError(f"{self.files.columns}: the rows of tracklet {position} are altered")
                vectors = np.frombuffer(rows, np.float16).reshape(count, -1)
                found.append((vectors, int(around["camera"][before])))
        return found

    def _tracklet_heads(self, in_columns: int, positions: Sequence[int]) -> NDArray[np.void]:
        size, offset = columns.TRACKLET.itemsize, self._places["tracklets"].offset
        found = b"".join([_exactly(in_columns, size, offset + k * size) for k in positions])
        return np.frombuffer(found, columns.TRACKLET)

    def stored(self) -> Iterator[Stored]:
        """All tracklets in the order of the segment, in the form they are stored in.

        Raises:
            DamagedError: something is altered.
        """
        yield from self._stored(self.column("tracklets"), range(self.manifest.tracklets))

    def find(self, tracklet: str) -> Stored | None:
        """The tracklet of this id, or None.

        Raises:
            DamagedError: something is altered.
        """
        try:
            number = int(tracklet, 16)
        except ValueError:
            return None
        heads = self.column("tracklets")
        if not 0 <= number < 1 << 64:
            return None
        return next(self._stored(heads, np.flatnonzero(heads["id"] == number).tolist()), None)

    def _stored(self, tracklets: NDArray[np.void], places: Iterable[int]) -> Iterator[Stored]:
        """The tracklets at these positions."""
        attributes = self.column("attributes")
        rows, size = self.column("rows"), self.manifest.dimension * 2
        end, upper, lower = self.column("end"), self.column("upper"), self.column("lower")
        with self._opened(self.files.VECTORS) as vectors, self._opened(self.files.RECORDS) as records:
            for position in places:
                head = tracklets[position]
                first, count = int(head["row"]), int(head["rows"])
                row, at, length = rows[first], int(head["at"]), int(head["record"])
                halves = np.frombuffer(_exactly(vectors, count * size, first * size), np.float16)
                data = _exactly(records, length + int(head["thumbnail"]), at)
                yield Stored(
                    f"{int(head['id']):016x}", self.manifest.clips[head["clip"]],
                    self.manifest.cameras[row["camera"]], int(row["start"]), int(end[first]),
                    float(row["quality"]), int(upper[first]), int(lower[first]), halves.reshape(count, -1),
                    data[:length], data[length:], attributes[position],
                )  # fmt: skip

    def verify(self, deep: bool = True) -> None:
        """Compare every file with its checksum.

        Args:
            deep: also the meaning: unit vectors, order, counts, every row and every record.

        Raises:
            DamagedError: a file is not what was sealed.
        """
        for name in self.manifest.files:
            self._sound.pop(name, None)
            with self._opened(name):
                pass
        if not deep:
            return
        with damage(self.files.folder):
            count, step = self.manifest.vectors, 4096
            for first in range(0, count, step):
                self.rows(range(first, min(first + step, count)))
                lengths = np.linalg.norm(
                    self.halves(first, min(first + step, count)).astype(np.float32), axis=1
                )
                if not (np.abs(lengths - 1) < _UNIT_ERROR).all():
                    raise DamagedError(f"{self.files.vectors}: a row near {first} is no unit vector")
            self._check_meaning()

    def _check_meaning(self) -> None:
        rows, tracklets = self.column("rows"), self.column("tracklets")
        starts, counts = tracklets["row"].astype(np.int64), tracklets["rows"].astype(np.int64)
        fits = (
            np.array_equal(np.repeat(np.arange(len(tracklets)), counts), rows["tracklet"])
            and np.array_equal(starts, np.cumsum(counts) - counts)
            and bool((np.diff(rows["start"]) >= 0).all())
            and bool((self.column("end") >= rows["start"]).all())
            and np.array_equal(self.column("start"), rows["start"])
            and np.array_equal(self.column("camera"), rows["camera"])
            and np.bincount(rows["camera"]).tolist() == list(self.manifest.rows_by_camera)
        )
        if not fits:
            raise DamagedError(f"{self.files.columns}: counts or order do not fit together")
        for head, one in zip(tracklets, self.stored(), strict=True):
            _check_record(self.files, head, one.record, one.thumbnail, one.attributes.tobytes())
            record = read_record(one.record)
            if (record.id, record.camera, record.start_ms) != (one.id, one.camera, one.start_ms):
                raise DamagedError(f"{self.files.records}: the record of {one.id} says something else")

    @contextmanager
    def _opened(self, name: str) -> Iterator[int]:
        """A file's descriptor; its content is what was sealed."""
        with damage(self.files.folder), self.handles.opened(name) as descriptor:
            status = os.fstat(descriptor)
            stamp = (status.st_size, status.st_mtime_ns, status.st_ino)
            if self._sound.get(name) != stamp:
                path, seal = self.files.folder / name, self.manifest.files[name]
                _check_length(path, status.st_size, seal.bytes)
                found = _sha256(descriptor)
                if found != seal.sha256:
                    raise DamagedError(f"{path}: sha256 {found[:12]}…, sealed as {seal.sha256[:12]}…")
                self._sound[name] = stamp
            yield descriptor


def _check_record(
    files: SegmentFiles, head: np.void, record: bytes, thumbnail: bytes, attributes: bytes
) -> None:
    if columns.tracklet_sum(record, thumbnail, attributes) != head["sum"]:
        raise DamagedError(f"{files.records}: the record of {int(head['id']):016x} is altered")


def _check_length(path: Path | str, found: int, wanted: int) -> None:
    if found != wanted:
        raise DamagedError(f"{path}: expected {wanted} bytes, found {found}")


def _sha256(descriptor: int) -> str:
    digest, offset = hashlib.sha256(), 0
    while data := os.pread(descriptor, _CHUNK, offset):
        digest.update(data)
        offset += len(data)
    return digest.hexdigest()


def _exactly(descriptor: int, size: int, offset: int) -> bytes:
    data = os.pread(descriptor, size, offset)
    if len(data) != size:
        raise DamagedError(f"expected {size} bytes at {offset}, found {len(data)}")
    return data


def _read_into(descriptor: int, out: Any, offset: int) -> None:
    view = memoryview(out).cast("B")
    done = 0
    while done < len(view):
        count = os.preadv(descriptor, [view[done:]], offset + done)
        if not count:
            raise DamagedError(f"expected {len(view)} bytes at {offset}, found {done}")
        done += count
