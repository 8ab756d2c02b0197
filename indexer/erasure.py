"""Erases: a time in a district or before its cameras, expired days, or a single tracklet.

What is erased is gone from vectors, codes, columns, records and thumbnails when this returns, and footage
of that time that is indexed again does not bring it back. A segment is written anew without it, or goes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from indexer.catalogue import Catalogue, writer_lock
from indexer.clocks import Clocks
from indexer.codebooks import coding, load_codebook
from indexer.rewriting import open_entry, remove_folders, remove_leftovers, rewrite, swap
from indexer.shard.files import ArchiveFiles
from indexer.shard.reader import Segment
from indexer.shard.records import Stored
from indexer.shard.writer import Coding
from indexer.snapshot import Erasure, Sealed, SegmentEntry, Snapshot
from indexer.times import from_milliseconds, milliseconds, to_local_iso
from reid.errors import ArchiveError, DamagedError, FormatError, InputError

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Erased:
    """An erasure that was carried out.

    Attributes:
        erasure: as the catalogue keeps it.
        bytes: that the segments concerned have become smaller.
        unreadable: segments that could not be read and went as a whole.
    """

    erasure: Erasure
    bytes: int
    unreadable: tuple[str, ...]

    @property
    def proof(self) -> str:
        """One line: what went, how much, the checksums of the manifests that are gone, and when."""
        what = self.erasure
        place = ",".join(f"{what.district}/{camera}" for camera in what.cameras) or what.district
        if what.tracklet is not None:
            place += f" tracklet {what.tracklet}"
        else:
            place += f" from {_iso(what.since_ms)} to {_iso(what.until_ms)}"
        removed = " ".join(seal[:16] for seal in what.removed) or "none"
        replaced = " ".join(seal[:16] for seal in what.replaced) or "none"
        return (
            f"erased {place}: {what.tracklets} tracklets, {what.vectors} vectors, {self.bytes} bytes;"
            f" manifests gone: {removed}; in their place: {replaced}; at {_iso(what.at_ms)}"
        )


def _iso(moment: int) -> str:
    return to_local_iso(from_milliseconds(moment))


def erase_time(
    archive: ArchiveFiles, district: str, since_ms: int, until_ms: int, cameras: Sequence[str] = (),
    progress: Progress = lambda done, of: None, now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Erased:  # fmt: skip
    """Erase every tracklet of a district of which any part lies in a time.

    Args:
        district: slug.
        since_ms, until_ms: milliseconds since 1970 UTC, half-open.
        cameras: ids; empty for all of the district.

    Raises:
        InputError: the time is empty, or a camera is unknown.
        StorageError: another writer, or the disk refused; a rerun erases the rest.
    """
    if until_ms <= since_ms:
        raise InputError(
            f"expected a time that ends after it begins, got {_iso(since_ms)} to {_iso(until_ms)}"
        )
    with Catalogue(archive, "write") as catalogue, writer_lock(archive):
        snapshot = catalogue.snapshot()
        for camera in cameras:
            if (district, camera) not in snapshot.cameras:
                raise InputError(f"camera {district}/{camera} is not registered; see: reid cameras list")
        asked = Erasure(
            district, tuple(cameras), since_ms, until_ms, None, milliseconds(now()), 0, 0, (), (),
            offsets(snapshot, district, cameras),
        )  # fmt: skip
        entries = [
            entry for entry in snapshot.segments
            if entry.district == district and touches(snapshot.clocks, entry, since_ms, until_ms)
            and entry.seal
            and (not cameras or not set(cameras).isdisjoint(entry.cameras))
        ]  # fmt: skip
        return _erase(archive, catalogue, snapshot, asked, entries, progress)


def erase_tracklet(
    archive: ArchiveFiles, tracklet: str, progress: Progress = lambda done, of: None,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Erased:  # fmt: skip
    """Erase one tracklet, by the id that a sighting shows.

    Raises:
        InputError: no such tracklet; it may be in a segment that cannot be read, and then that is told.
        StorageError: another writer, or the disk refused.
    """
    unreadable = 0
    with Catalogue(archive, "write") as catalogue, writer_lock(archive):
        snapshot = catalogue.snapshot()
        for entry in snapshot.segments:
            try:
                one = open_entry(archive, entry).find(tracklet)
            except (DamagedError, FormatError):
                unreadable += 1
                continue
            if one is not None:
                shift = snapshot.clocks.shifts.get(one.clip, 0)
                asked = Erasure(
                    entry.district, (one.camera,), one.start_ms + shift, one.end_ms + shift + 1, one.id,
                    milliseconds(now()), 0, 0, (), (), offsets(snapshot, entry.district, (one.camera,)),
                )  # fmt: skip
                return _erase(archive, catalogue, snapshot, asked, [entry], progress)
    hint = "give the id that a sighting shows"
    if unreadable:
        hint = f"but {unreadable} segments cannot be read: erase the time it lies in, and they go as a whole"
    raise InputError(f"no tracklet {tracklet!r} in the archive; {hint}")


def _erase(
    archive: ArchiveFiles, catalogue: Catalogue, snapshot: Snapshot, asked: Erasure,
    entries: Sequence[SegmentEntry], progress: Progress,
) -> Erased:  # fmt: skip
    remove_leftovers(archive, snapshot)
    parted = part(archive, snapshot, asked, entries, progress)
    done = replace(
        asked, tracklets=parted.tracklets, vectors=parted.vectors, removed=parted.removed,
        replaced=parted.replaced,
    )  # fmt: skip
    swap(archive, catalogue, parted.gone, parted.sealed, done, parted.lost)
    remove_folders(archive, parted.unreadable)
    return Erased(done, parted.bytes, tuple(parted.lost))


@dataclass(frozen=True)
class Parted:
    """Segments from which something is to go.

    Attributes:
        gone: those that leave the catalogue.
        sealed: what takes the place of some of them.
        unreadable: those that could not be read: their files go as a whole.
        tracklets, vectors: that are to go from what could be read.
    """

    gone: tuple[SegmentEntry, ...] = ()
    sealed: tuple[Sealed, ...] = ()
    unreadable: tuple[SegmentEntry, ...] = ()
    tracklets: int = 0
    vectors: int = 0

    @property
    def removed(self) -> tuple[str, ...]:
        """sha256 of the manifests that go."""
        return tuple(each.seal for each in (*self.gone, *self.unreadable) if each.seal)

    @property
    def replaced(self) -> tuple[str, ...]:
        """sha256 of those that come."""
        return tuple(SegmentEntry.of(each.manifest).seal for each in self.sealed)

    @property
    def bytes(self) -> int:
        """By which the segments concerned become smaller."""
        come = sum(SegmentEntry.of(each.manifest).bytes for each in self.sealed)
        return sum(each.bytes for each in (*self.gone, *self.unreadable) if each.seal) - come

    @property
    def lost(self) -> dict[str, str]:
        """Why segments stay in quarantine without their files: what cannot be read cannot be sorted."""
        reason = "damaged, and its files were deleted when a part of it had to be erased"
        return {each.segment: reason for each in self.unreadable}


def part(
    archive: ArchiveFiles, snapshot: Snapshot, asked: Erasure, entries: Sequence[SegmentEntry],
    progress: Progress = lambda done, of: None, *, write: bool = True,
) -> Parted:  # fmt: skip
    """Sort out what is asked to go from segments, and seal what stays of them; the catalogue stays as it is.

    Args:
        entries: all of one district.
        write: False only counts.
    """
    gone: list[SegmentEntry] = []
    sealed: list[Sealed] = []
    unreadable: list[SegmentEntry] = []
    tracklets = vectors = 0
    for number, entry in enumerate(entries):
        progress(number, len(entries))
        try:
            if asked.is_expiry and _is_before(snapshot.clocks, entry, asked.until_ms):
                counts = entry.tracklets, entry.vectors
            else:
                segment = open_entry(archive, entry)
                rows = _asked_rows(segment, asked, snapshot.clocks)
                counts = len(np.unique(segment.column("rows")["tracklet"][rows])), int(rows.sum())
            if not counts[1]:
                continue
            if write and counts[1] < entry.vectors:
                new = rewrite(
                    archive, [entry], f"without {asked!r}",
                    lambda one: not _is_asked(asked, one, snapshot.clocks),
                    _coding(archive, snapshot, entry),
                )  # fmt: skip
                sealed += [new] if new else []
            gone.append(entry)
            tracklets, vectors = tracklets + counts[0], vectors + counts[1]
        except (DamagedError, FormatError):
            unreadable.append(entry)
    return Parted(tuple(gone), tuple(sealed), tuple(unreadable), tracklets, vectors)


def _is_before(clocks: Clocks, entry: SegmentEntry, until_ms: int) -> bool:
    """Does all of a segment end before a moment, whatever is in it, be it damaged?"""
    latest = max((clocks.shifts.get(clip, 0) for clip in entry.clips), default=0)
    return entry.end_ms + latest < until_ms


def offsets(snapshot: Snapshot, district: str, cameras: Sequence[str]) -> dict[str, float]:
    """By which offsets the times of an erasure are understood."""
    return {
        camera.id: camera.clock_offset_s
        for camera in snapshot.cameras.values()
        if camera.district == district and camera.clock_offset_s and (not cameras or camera.id in cameras)
    }


def touches(clocks: Clocks, entry: SegmentEntry, since_ms: int, until_ms: int) -> bool:
    """May anything of a segment lie in a time?"""
    start_ms, end_ms = clocks.bounds(entry.start_ms, entry.end_ms, entry.clips)
    return start_ms < until_ms and end_ms >= since_ms


def _is_asked(asked: Erasure, one: Stored, clocks: Clocks) -> bool:
    shift = clocks.shifts.get(one.clip, 0)
    return asked.covers(one.camera, one.id, one.start_ms + shift, one.end_ms + shift)


def _asked_rows(segment: Segment, asked: Erasure, clocks: Clocks) -> NDArray[np.bool_]:
    """(N,) which rows of a segment are to go; as `Erasure.covers`."""
    if asked.tracklet is not None:
        which = segment.column("tracklets")["id"] == int(asked.tracklet, 16)
        return np.asarray(which[segment.column("rows")["tracklet"]], bool)
    cameras = [
        k for k, name in enumerate(segment.manifest.cameras) if not asked.cameras or name in asked.cameras
    ]
    here = np.isin(segment.column("camera"), cameras)
    start, end = segment.column("start"), segment.column("end")
    shifts = clocks.of_tracklets(segment)
    if shifts is not None:
        of_rows = shifts[segment.column("rows")["tracklet"]]
        start, end = start + of_rows, end + of_rows
    return here & (start < asked.until_ms) & (end >= asked.since_ms)


def _coding(archive: ArchiveFiles, snapshot: Snapshot, entry: SegmentEntry) -> Coding | None:
    if entry.codebook is None or entry.codebook != snapshot.codebook:
        return None
    try:
        codebook = load_codebook(archive, entry.codebook)
    except ArchiveError:  # `reid verify` tells; what is asked to be erased does not wait for its mending
        return None
    return coding(codebook, entry.district, snapshot.camera_means(codebook.dimension))
