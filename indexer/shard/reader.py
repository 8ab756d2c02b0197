"""Opens a sealed segment: rows mapped from disk, columns in memory, records on demand.

Refuses what does not match its manifest. Knows nothing of queries.
"""

from __future__ import annotations

import errno
import hashlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from indexer.keyvalue import KeyValueFile
from indexer.shard.files import SegmentFiles
from indexer.shard.manifest import Manifest, parse_manifest
from indexer.shard.records import RECORDS_TABLE, THUMBNAILS_TABLE, Record, record_key, unpack_record
from reid.errors import DamagedError, ReidError, StorageError
from reid.weights import sha256_of


@dataclass(frozen=True)
class Columns:
    """One value per vector row; rows are sorted by `start`.

    Attributes:
        camera: (N,) int32, position in the manifest's cameras.
        start, end: (N,) int64, milliseconds since 1970 UTC.
        tracklet: (N,) uint32, position of the row's tracklet.
        quality: (N,) float32, 0..1.
    """

    camera: NDArray[np.int32]
    start: NDArray[np.int64]
    end: NDArray[np.int64]
    tracklet: NDArray[np.uint32]
    quality: NDArray[np.float32]


class Segment:
    """A sealed segment, open for reading.

    Attributes:
        manifest: see `Manifest`.
        vectors: (N, D) float16, mapped read-only from disk.
        columns: see `Columns`.
    """

    def __init__(
        self, files: SegmentFiles, manifest: Manifest, vectors: NDArray[np.float16], columns: Columns
    ) -> None:
        self._files = files
        self.manifest = manifest
        self.vectors = vectors
        self.columns = columns

    @classmethod
    def open(cls, folder: Path, seal: str | None = None) -> Segment:
        """Open the segment in `folder`; what a search reads of it is compared with its checksums.

        Args:
            folder: the segment's folder.
            seal: sha256 the manifest must have; None while the segment is not yet in a catalogue.

        Raises:
            FormatError: an unknown format version.
            DamagedError: a file is missing, unreadable or altered, or counts do not fit.
            StorageError: the machine has no memory or file handles left; says nothing of the segment.
        """
        files = SegmentFiles(folder)
        with _damage(folder):
            data = files.manifest.read_bytes()
            manifest = parse_manifest(data, str(files.manifest))
            if seal is not None and hashlib.sha256(data).hexdigest() != seal:
                raise DamagedError(f"{files.manifest}: altered since the segment was sealed")
            _compare(files, manifest, (files.VECTORS, files.COLUMNS))
            shape = (manifest.vectors, manifest.dimension)
            vectors = np.memmap(files.vectors, np.float16, "r", shape=shape)
            with np.load(files.columns, allow_pickle=False) as arrays:
                columns = Columns(**{name: arrays[name] for name in arrays.files})
            if any(len(column) != manifest.vectors for column in vars(columns).values()):
                raise DamagedError(f"{files.columns}: expected {manifest.vectors} rows in each column")
        return cls(files, manifest, vectors, columns)

    def verify(self) -> None:
        """Compare every file with its checksum.

        Raises:
            DamagedError: a file is not what was sealed.
        """
        with _damage(self._files.folder):
            _compare(self._files, self.manifest, self._files.CONTENT)

    def read(self, positions: list[int]) -> list[tuple[Record, bytes]]:
        """Records and JPEG thumbnails of the tracklets at these positions.

        Raises:
            DamagedError: the file is altered, or a record is missing or unreadable.
        """
        tables = (RECORDS_TABLE, THUMBNAILS_TABLE)
        found = []
        with _damage(self._files.folder):
            _compare(self._files, self.manifest, (self._files.RECORDS,))
        with (
            _damage(self._files.folder),
            KeyValueFile(self._files.records, tables, "sealed") as store,
            store.read() as table,
        ):
            for position in positions:
                value = table[RECORDS_TABLE].get(record_key(position))
                thumbnail = table[THUMBNAILS_TABLE].get(record_key(position))
                if value is None or thumbnail is None:
                    raise DamagedError(f"{self._files.records}: tracklet {position} is missing")
                found.append((unpack_record(value), thumbnail))
            return found


def _compare(files: SegmentFiles, manifest: Manifest, names: Iterable[str]) -> None:
    for name in names:
        path, seal = files.folder / name, manifest.files[name]
        size = path.stat().st_size
        if size != seal.bytes:
            raise DamagedError(f"{path}: expected {seal.bytes} bytes, found {size}")
        found = sha256_of(path)
        if found != seal.sha256:
            raise DamagedError(f"{path}: sha256 {found[:12]}…, sealed as {seal.sha256[:12]}…")


@contextmanager
def _damage(folder: Path) -> Iterator[None]:
    """Turn whatever altered bytes make numpy, zipfile, msgpack and LMDB raise into `DamagedError`."""
    try:
        yield
    except ReidError:
        raise
    except MemoryError:
        raise StorageError(f"{folder}: not enough memory to read the segment; search fewer days") from None
    except Exception as error:  # noqa: BLE001  damaged bytes reach parsers with errors of every kind
        if isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOMEM):
            raise StorageError(
                f"{folder}: {error.strerror}; raise the limit (ulimit -n) and try again"
            ) from None
        raise DamagedError(f"{folder}: the segment cannot be read ({error!r})") from None
