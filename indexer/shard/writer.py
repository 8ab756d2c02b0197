"""Seals a segment: staged, fsynced, verified, renamed. It exists whole or not at all.

Content goes to disk while it comes, so a segment may be larger than memory; only heads are kept.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexer.shard import columns
from indexer.shard.files import ArchiveFiles, SegmentFiles
from indexer.shard.manifest import FileSeal, Manifest
from indexer.shard.reader import Segment
from indexer.shard.records import MOST_ROWS, Attributes, Stored
from reid.attributes import COLUMNS
from reid.durable import make_folder, rename_folder, sync_file, sync_folder, write_file
from reid.errors import DamagedError, FormatError, storage_errors
from reid.weights import sha256_of

MOST_CAMERAS = 1 << 16
"""In one segment."""


@dataclass(frozen=True)
class SegmentOrigin:
    """What a segment is made of, besides its tracklets.

    Attributes:
        district, day: the shard.
        embedder: sha256 of the model of the vectors. detectors: of those that found the people.
        dimension: length of a vector.
        made_of: everything else that decides the content: a clip and how it was looked at, or the segments
            it is rewritten from.
    """

    district: str
    day: str
    embedder: str
    detectors: tuple[str, ...]
    dimension: int
    made_of: tuple[str, ...]

    @property
    def segment(self) -> str:
        """The segment's name: the same for the same origin, so that a rerun replaces itself."""
        return hashlib.sha256(repr(self).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Coding:
    """How the rows of a segment become codes.

    Attributes:
        codebook: its name.
        encode: from (N, D) float16 rows and the N cameras they come from, to the content of `index.faiss`.
    """

    codebook: str
    encode: Callable[[NDArray[np.float16], Sequence[str]], bytes]


def seal_segment(
    archive: ArchiveFiles, origin: SegmentOrigin, tracklets: Iterable[Stored], coding: Coding | None = None
) -> Manifest:
    """Write the tracklets as one sealed segment in its place and return its manifest.

    Args, errors: as of `stage_segment` and `place_segment`, which it calls.
    """
    folder = archive.staging / origin.segment
    manifest = stage_segment(folder, origin, tracklets, coding)
    place_segment(archive, folder, manifest)
    return manifest


def stage_segment(
    folder: Path, origin: SegmentOrigin, tracklets: Iterable[Stored], coding: Coding | None = None
) -> Manifest:
    """Write the tracklets as one sealed segment at `folder`, fsynced and verified; its manifest.

    Args:
        folder: replaced if it is there.
        tracklets: at least one, by start and id; vectors (K, `origin.dimension`).
        coding: also write codes.

    Raises:
        StorageError: the disk refused; nothing is left behind but staged files.
        DamagedError: what was read back is not what was written.
    """
    staged = SegmentFiles(folder)
    with storage_errors(folder):
        shutil.rmtree(folder, ignore_errors=True)
        make_folder(folder)
        manifest = _write_content(staged, origin, tracklets, coding)
        write_file(staged.manifest, manifest.to_bytes())
        sync_folder(folder)
        Segment.open(folder).verify()
    return manifest


def place_segment(archive: ArchiveFiles, folder: Path, manifest: Manifest) -> None:
    """Move the segment staged at `folder` to its place.

    A folder left under the same name by a run that was stopped before it recorded the segment is
    replaced; the caller holds the archive's lock and has checked that the catalogue lacks it.

    Raises:
        StorageError: the disk refused.
    """
    final = archive.segment(manifest.district, manifest.day, manifest.segment)
    with storage_errors(folder):
        if final.folder.exists():
            if _is_sealed(final, manifest):  # and may be in the catalogue: it must not be gone for a moment
                shutil.rmtree(folder)
                return
            shutil.rmtree(final.folder)
        rename_folder(folder, final.folder)


def _is_sealed(files: SegmentFiles, manifest: Manifest) -> bool:
    """Does this very segment lie there already, whole?"""
    try:
        segment = Segment.open(files.folder)
        segment.verify()
    except (DamagedError, FormatError):
        return False
    return segment.manifest == manifest


class _Heads:
    """What is known of rows and tracklets, gathered while their bytes go to disk."""

    def __init__(self) -> None:
        self.cameras: dict[str, int] = {}
        self.clips: dict[str, int] = {}
        self.last: tuple[int, str] = (-1, "")
        self._rows: list[tuple[Any, ...]] = []
        self._tracklets: list[tuple[Any, ...]] = []
        self._attributes: list[Attributes] = []
        self._at = 0

    def add(self, one: Stored) -> None:
        """Take the next tracklet."""
        key = (one.start_ms, one.id)
        if key <= self.last:
            raise ValueError(f"expected tracklets by start and id, got {key} after {self.last}")
        self.last = key
        camera = self.cameras.setdefault(one.camera, len(self.cameras))
        clip = self.clips.setdefault(one.clip, len(self.clips))
        if camera >= MOST_CAMERAS:
            raise ValueError(f"expected at most {MOST_CAMERAS} cameras in one segment")
        if not 1 <= len(one.vectors) <= MOST_ROWS:
            raise ValueError(f"expected 1 to {MOST_ROWS} vectors of a tracklet, got {len(one.vectors)}")
        number, first = len(self._tracklets), len(self._rows)
        if one.attributes.shape != (COLUMNS,) or one.attributes.dtype != np.int8:
            raise ValueError(
                f"expected ({COLUMNS},) int8 attributes of a tracklet, got {one.attributes.shape}"
            )
        summed = columns.tracklet_sum(one.record, one.thumbnail, one.attributes.tobytes())
        self._attributes.append(one.attributes)
        place = (self._at, len(one.record), len(one.thumbnail))
        self._tracklets.append((int(one.id, 16), *place, first, len(one.vectors), clip, summed))
        self._at += len(one.record) + len(one.thumbnail)
        for _ in one.vectors:
            self._rows.append((one.start_ms, one.end_ms, number, one.quality, camera, one.upper, one.lower))

    def arrays(self, vectors: NDArray[np.float16]) -> dict[columns.Name, NDArray[Any]]:
        """The content of `columns.bin` for these (N, D) rows; cameras and clips are numbered by name."""
        start, end, tracklet, quality, camera, upper, lower = zip(*self._rows, strict=True)
        renumbered = np.argsort(np.argsort(np.array(list(self.cameras))))
        tracklets = np.array(self._tracklets, columns.TRACKLET)
        tracklets["clip"] = np.argsort(np.argsort(np.array(list(self.clips))))[tracklets["clip"]]
        rows = np.zeros(len(start), columns.ROW)
        rows["start"], rows["tracklet"], rows["quality"] = start, tracklet, quality
        rows["camera"] = renumbered[list(camera)]
        rows["sum"] = [
            columns.row_sum(vector.tobytes(), head.tobytes())
            for vector, head in zip(vectors, rows, strict=True)
        ]
        return {
            "rows": rows, "tracklets": tracklets, "start": np.array(start), "end": np.array(end),
            "camera": rows["camera"], "upper": np.array(upper), "lower": np.array(lower),
            "attributes": np.stack(self._attributes),
        }  # fmt: skip


def _write_content(
    files: SegmentFiles, origin: SegmentOrigin, tracklets: Iterable[Stored], coding: Coding | None
) -> Manifest:
    heads = _Heads()
    with files.vectors.open("wb") as vectors, files.records.open("wb") as records:
        for one in tracklets:
            if one.vectors.shape[1] != origin.dimension:
                raise ValueError(f"expected dimension {origin.dimension}, got {one.vectors.shape[1]}")
            heads.add(one)
            vectors.write(one.vectors.tobytes())
            records.write(one.record + one.thumbnail)
    if not heads.cameras:
        raise ValueError("expected at least one tracklet, got none")
    stored = np.memmap(files.vectors, np.float16, "r").reshape(-1, origin.dimension)
    arrays = heads.arrays(stored)
    files.columns.write_bytes(columns.to_bytes(arrays))
    cameras = tuple(sorted(heads.cameras))
    names = [files.VECTORS, files.COLUMNS, files.RECORDS]
    if coding:
        files.codes.write_bytes(coding.encode(stored, [cameras[k] for k in arrays["camera"]]))
        names.append(files.CODES)
    seals = {}
    for name in names:
        path = files.folder / name
        sync_file(path)
        seals[name] = FileSeal(path.stat().st_size, sha256_of(path))
    return Manifest(
        segment=origin.segment, district=origin.district, day=origin.day, embedder=origin.embedder,
        detectors=origin.detectors, dimension=origin.dimension, tracklets=len(arrays["tracklets"]),
        vectors=len(stored), start_ms=int(arrays["start"].min()), end_ms=int(arrays["end"].max()),
        cameras=cameras, rows_by_camera=tuple(np.bincount(arrays["camera"], minlength=len(cameras)).tolist()),
        clips=tuple(sorted(heads.clips)), codebook=coding.codebook if coding else None, files=seals,
    )  # fmt: skip
