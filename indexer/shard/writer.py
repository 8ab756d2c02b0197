"""Seals a segment: staged, fsynced, verified, renamed. It exists whole or not at all."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexer.keyvalue import KeyValueFile
from indexer.shard.files import ArchiveFiles, SegmentFiles
from indexer.shard.manifest import FileSeal, Manifest
from indexer.shard.reader import Segment
from indexer.shard.records import RECORDS_TABLE, THUMBNAILS_TABLE, Tracklet, record_key
from reid.durable import make_folder, rename_folder, sync_file, sync_folder, write_file
from reid.errors import storage_errors
from reid.weights import sha256_of


@dataclass(frozen=True)
class SegmentOrigin:
    """What a segment is made of, besides its tracklets.

    Attributes:
        district, day: the shard.
        camera: id.
        clip: sha256 of the clip.
        start_ms: true start of the clip, milliseconds since 1970 UTC.
        frames_per_second: how much of it was looked at.
        embedder, detector: sha256 of the models.
        dimension: length of a vector.
    """

    district: str
    day: str
    camera: str
    clip: str
    start_ms: int
    frames_per_second: float
    embedder: str
    detector: str
    dimension: int

    @property
    def segment(self) -> str:
        """The segment's name: the same for the same origin, so that a rerun replaces itself."""
        return hashlib.sha256(repr(self).encode()).hexdigest()[:16]


def seal_segment(archive: ArchiveFiles, origin: SegmentOrigin, tracklets: Sequence[Tracklet]) -> Manifest:
    """Write the tracklets as one sealed segment and return its manifest.

    A folder left under the same name by a run that was stopped before it recorded the segment is
    replaced; the caller holds the archive's lock and has checked that the catalogue lacks it.

    Args:
        tracklets: at least one, any order; vectors (K, `origin.dimension`).

    Raises:
        StorageError: the disk refused; nothing is left behind but staged files.
        DamagedError: what was read back is not what was written.
    """
    staged = SegmentFiles(archive.staging / origin.segment)
    final = archive.segment(origin.district, origin.day, origin.segment)
    with storage_errors(archive.staging):
        shutil.rmtree(staged.folder, ignore_errors=True)
        make_folder(staged.folder)
        manifest = _write_content(staged, origin, sorted(tracklets, key=lambda t: t.record.start_ms))
        write_file(staged.manifest, manifest.to_bytes())
        sync_folder(staged.folder)
        Segment.open(staged.folder).verify()
        if final.folder.exists():
            shutil.rmtree(final.folder)
        rename_folder(staged.folder, final.folder)
    return manifest


def _write_content(files: SegmentFiles, origin: SegmentOrigin, tracklets: Sequence[Tracklet]) -> Manifest:
    cameras = tuple(sorted({tracklet.record.camera for tracklet in tracklets}))
    counts = [len(tracklet.vectors) for tracklet in tracklets]
    vectors = np.concatenate([tracklet.vectors for tracklet in tracklets])
    if vectors.shape[1] != origin.dimension:
        raise ValueError(f"expected vectors of dimension {origin.dimension}, got {vectors.shape[1]}")
    vectors.astype(np.float16).tofile(files.vectors)
    per_tracklet: dict[str, NDArray[Any]] = {
        "camera": np.array([cameras.index(t.record.camera) for t in tracklets], np.int32),
        "start": np.array([t.record.start_ms for t in tracklets], np.int64),
        "end": np.array([t.record.end_ms for t in tracklets], np.int64),
        "tracklet": np.arange(len(tracklets), dtype=np.uint32),
        "quality": np.array([t.record.quality for t in tracklets], np.float32),
    }
    columns = {name: np.repeat(values, counts) for name, values in per_tracklet.items()}
    with files.columns.open("wb") as stream:
        np.savez(stream, allow_pickle=False, **columns)
    with (
        KeyValueFile(files.records, (RECORDS_TABLE, THUMBNAILS_TABLE), "private") as store,
        store.write() as tables,
    ):
        for position, tracklet in enumerate(tracklets):
            tables[RECORDS_TABLE].put(record_key(position), tracklet.record.pack())
            tables[THUMBNAILS_TABLE].put(record_key(position), tracklet.thumbnail)
    seals = {}
    for name in files.CONTENT:
        path = files.folder / name
        sync_file(path)
        seals[name] = FileSeal(path.stat().st_size, sha256_of(path))
    return Manifest(
        segment=origin.segment, district=origin.district, day=origin.day, embedder=origin.embedder,
        detector=origin.detector, dimension=origin.dimension, tracklets=len(tracklets), vectors=len(vectors),
        start_ms=min(t.record.start_ms for t in tracklets), end_ms=max(t.record.end_ms for t in tracklets),
        cameras=cameras, clips=(origin.clip,), files=seals,
    )  # fmt: skip
