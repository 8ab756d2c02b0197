"""Opens a sealed segment: rows mapped from disk, columns in memory, records on demand.

Refuses what does not match its manifest. Knows nothing of queries.
"""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from indexer.keyvalue import KeyValueFile
from indexer.shard.files import SegmentFiles
from indexer.shard.manifest import Manifest, parse_manifest
from indexer.shard.records import RECORDS_TABLE, THUMBNAILS_TABLE, Record, record_key, unpack_record
from reid.errors import DamagedError
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
    def open(cls, folder: Path) -> Segment:
        """Open the segment in `folder`; sizes and counts are checked, checksums are not (see `verify`).

        Raises:
            FormatError: an unknown format version.
            DamagedError: a file is missing, unreadable, of another size, or counts do not fit.
        """
        files = SegmentFiles(folder)
        try:
            manifest = parse_manifest(files.manifest.read_bytes(), str(files.manifest))
            for name, seal in manifest.files.items():
                size = (folder / name).stat().st_size
                if size != seal.bytes:
                    raise DamagedError(f"{folder / name}: expected {seal.bytes} bytes, found {size}")
            shape = (manifest.vectors, manifest.dimension)
            vectors = np.memmap(files.vectors, np.float16, "r", shape=shape)
            with np.load(files.columns, allow_pickle=False) as arrays:
                columns = Columns(**{name: arrays[name] for name in arrays.files})
        except (OSError, ValueError, TypeError, KeyError, zipfile.BadZipFile) as error:
            raise DamagedError(f"{folder}: the segment cannot be read ({error})") from None
        if any(len(column) != manifest.vectors for column in vars(columns).values()):
            raise DamagedError(f"{files.columns}: expected {manifest.vectors} rows in each column")
        return cls(files, manifest, vectors, columns)

    def verify(self) -> None:
        """Read every file and compare its sha256 with the manifest's.

        Raises:
            DamagedError: a file is not what was sealed.
        """
        for name, seal in self.manifest.files.items():
            path = self._files.folder / name
            try:
                found = sha256_of(path)
            except OSError as error:
                raise DamagedError(f"{path}: cannot be read ({error})") from None
            if found != seal.sha256:
                raise DamagedError(f"{path}: sha256 {found[:12]}…, sealed as {seal.sha256[:12]}…")

    def read(self, positions: list[int]) -> list[tuple[Record, bytes]]:
        """Records and JPEG thumbnails of the tracklets at these positions.

        Raises:
            DamagedError: a record is missing or unreadable.
        """
        tables = (RECORDS_TABLE, THUMBNAILS_TABLE)
        with KeyValueFile(self._files.records, tables, "sealed") as store, store.read() as table:
            found = []
            for position in positions:
                value = table[RECORDS_TABLE].get(record_key(position))
                thumbnail = table[THUMBNAILS_TABLE].get(record_key(position))
                if value is None or thumbnail is None:
                    raise DamagedError(f"{self._files.records}: tracklet {position} is missing")
                found.append((unpack_record(value), thumbnail))
            return found
