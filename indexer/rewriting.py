"""Writes segments anew: several into one, or one without some of its tracklets. Sealed files never change.

Owns the order of events: the new segment is sealed first, one transaction puts it in the place of the old
ones, then their folders go. Killed anywhere, the archive is as before or as after, and what lies about
belongs to no segment and goes with the next run.
"""

from __future__ import annotations

import heapq
import shutil
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from indexer.catalogue import Catalogue
from indexer.shard.files import ArchiveFiles
from indexer.shard.handles import Handles
from indexer.shard.reader import Segment
from indexer.shard.records import Stored
from indexer.shard.writer import Coding, SegmentOrigin, seal_segment
from indexer.snapshot import Erasure, Sealed, SegmentEntry, Snapshot
from reid.camera_means import Tally, tally
from reid.durable import sync_folder
from reid.errors import storage_errors

_PATIENCE = 20

Keep = Callable[[Stored], bool]


def open_entry(archive: ArchiveFiles, entry: SegmentEntry, handles: Handles | None = None) -> Segment:
    """The segment of a catalogue's entry; as `Segment.open`."""
    folder = archive.segment(entry.district, entry.day, entry.segment).folder
    return Segment.open(folder, entry.seal, handles)


def rewrite(
    archive: ArchiveFiles, entries: Sequence[SegmentEntry], how: str, keep: Keep = lambda one: True,
    coding: Coding | None = None,
) -> Sealed | None:  # fmt: skip
    """Seal one segment with what `entries`, all of one shard, hold; None when nothing of it is kept.

    Args:
        how: names what is left out, so that another choice makes another name.
        keep: which tracklets.
        coding: also write codes.

    Raises:
        DamagedError, FormatError: an old segment cannot be read.
        StorageError: the disk refused.
    """
    segments = [open_entry(archive, entry) for entry in entries]
    first = segments[0].manifest
    people = _People()
    held = (_of_clips(each, entry.clips) for each, entry in zip(segments, entries, strict=True))
    merged = heapq.merge(*held, key=lambda one: (one.start_ms, one.id))
    kept = people.watch(one for one in merged if keep(one))
    head = next(kept, None)
    if head is None:
        return None
    origin = SegmentOrigin(
        first.district, first.day, first.embedder,
        tuple(sorted({name for each in segments for name in each.manifest.detectors})), first.dimension,
        (how, coding.codebook if coding else "", *sorted(entry.seal for entry in entries)),
    )  # fmt: skip
    manifest = seal_segment(archive, origin, _again(head, kept), coding)
    return Sealed(manifest, people.tallies())


def remove_folders(archive: ArchiveFiles, entries: Iterable[SegmentEntry]) -> None:
    """Delete the folders of segments that the catalogue no longer holds.

    Raises:
        StorageError: the disk refused; what is left goes with the next run.
    """
    for entry in entries:
        folder = archive.segment(entry.district, entry.day, entry.segment).folder
        with storage_errors(folder):
            if folder.exists():
                shutil.rmtree(folder)
                sync_folder(folder.parent)  # what was erased must not be back after a power cut
                _remove_if_empty(folder.parent)
                _remove_if_empty(folder.parent.parent)


def remove_leftovers(archive: ArchiveFiles, snapshot: Snapshot) -> None:
    """Delete what a stopped run left: staged files, files half written, folders that the catalogue does
    not hold or whose files were to be deleted, and days in which nothing is left.

    Raises:
        StorageError: the disk refused.
    """
    with storage_errors(archive.home):
        _clear(archive.staging)
        for temporary in archive.unfinished_files():
            temporary.unlink()
        known = {entry.segment for entry in snapshot.segments if entry.seal}
        for folder in list(archive.segment_folders()):
            if folder.name not in known:
                shutil.rmtree(folder)
        for folder in archive.shard_folders():
            _remove_if_empty(folder)


def swap(
    archive: ArchiveFiles, catalogue: Catalogue, gone: Sequence[SegmentEntry], sealed: Sequence[Sealed],
    erasure: Erasure | None = None, lost: Mapping[str, str] | None = None,
) -> None:  # fmt: skip
    """One transaction, see `Catalogue.swap`, then the old folders go."""
    catalogue.swap([entry.segment for entry in gone], sealed, erasure, lost)
    kept = {each.manifest.segment for each in sealed}
    remove_folders(archive, (entry for entry in gone if entry.segment not in kept))


class _People:
    """Counts the different people of each camera, clip by clip, while tracklets pass."""

    def __init__(self) -> None:
        self._vectors: dict[tuple[str, str], list[NDArray[np.float32]]] = defaultdict(list)

    def watch(self, tracklets: Iterator[Stored]) -> Iterator[Stored]:
        for one in tracklets:
            self._vectors[one.camera, one.clip].append(one.vectors.astype(np.float32))
            yield one

    def tallies(self) -> dict[str, Tally]:
        found: dict[str, Tally] = {}
        for (camera, _), vectors in sorted(self._vectors.items()):
            people = tally(vectors)
            found[camera] = found[camera] + people if camera in found else people
        return found


def _of_clips(segment: Segment, clips: Sequence[str]) -> Iterator[Stored]:
    """What a segment holds of these clips; the others may have been indexed again while it was lost."""
    return (one for one in segment.stored() if one.clip in clips)


def _again(head: Stored, rest: Iterator[Stored]) -> Iterator[Stored]:
    yield head
    yield from rest


def _clear(folder: Path) -> None:
    """Delete a folder into which a worker that has not yet heard of its end may still write."""
    for _ in range(_PATIENCE):
        if not folder.exists():
            return
        shutil.rmtree(folder, ignore_errors=True)
        time.sleep(0.01)
    if folder.exists():
        shutil.rmtree(folder)


def _remove_if_empty(folder: Path) -> None:
    """Take away the folder of a day or a district in which nothing is left."""
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()
        sync_folder(folder.parent)
