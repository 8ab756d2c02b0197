"""An archive of another embedder beside the one in use: what leaves this one leaves that one, until it takes
its place.

The other archive lies in `next/` of this one's folder and is whole in itself. Owns how it follows and how it
takes over: its segments are linked into place, then one transaction swaps the catalogue's content, then the
old folders go. Killed before the transaction nothing has changed, killed after it the next run does the rest.
Indexes nothing.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, replace

from indexer.catalogue import Catalogue, erasure_key, writer_lock
from indexer.erasure import part, touches
from indexer.rewriting import open_entry, remove_folders, remove_leftovers, rewrite, swap
from indexer.shard.files import ArchiveFiles, SegmentFiles
from indexer.snapshot import Erasure, Sealed, SegmentEntry, Snapshot
from reid.durable import link_file, make_folder, rename_folder, sync_folder
from reid.errors import DamagedError, FormatError, LockedError, storage_errors


class Generation(Catalogue):
    """A catalogue that follows another, or takes in another's content."""

    def begin(self, salt: str) -> None:
        """Tracklets of this archive get ids of their own, see `id_salt`."""
        with self._file.write() as tables:
            tables["meta"].put("id_salt", salt)

    def follow(self, erasures: Iterable[Erasure], gone: Iterable[str]) -> None:
        """Take these erasures for the archive's, and forget these clips, by sha256."""
        with self._file.write() as tables:
            for key in [key for key, _ in tables["erasures"].under("")]:
                tables["erasures"].delete(key)
            for erasure in erasures:
                tables["erasures"].put(erasure_key(erasure), asdict(erasure))
            for clip in gone:
                tables["clips"].delete(clip)

    def take_over(self, other: Generation) -> None:
        """In one transaction the other's clips, segments and erasures take the place of these. Where a clip
        lies and where its start is known from stays as it was noted here.
        """
        with other._file.read() as new, self._file.write() as tables:
            before = {clip["sha256"]: clip for clip in tables["clips"].values()}
            for name in ("clips", "segments", "tallies", "erasures"):
                for key in [key for key, _ in tables[name].under("")]:
                    tables[name].delete(key)
                for key, value in new[name].under(""):
                    tables[name].put(key, value)
            for sha256, old in before.items():
                clip = tables["clips"].get(sha256)
                if clip is not None:
                    kept = {name: old[name] for name in ("path", "start_source")}
                    tables["clips"].put(sha256, {**clip, **kept})
            for name in ("embedder", "id_salt"):
                tables["meta"].put(name, new["meta"].get(name))
            tables["meta"].delete("codebook")  # of the other model


def id_salt(embedder: str) -> str:
    """What makes the ids of a model's tracklets others than those of the model before: what was decided of
    somebody must not be taken for a decision about whom another model found.
    """
    return f"{embedder}/"


def follow(source: Snapshot, target: ArchiveFiles) -> None:
    """Let everything leave the archive beside that has left this one: erased, expired, replaced.

    A tracklet that was erased cannot be told apart by another model: whoever was before that camera at that
    time goes with it.

    Args:
        source: of the archive in use. target: the one beside it.

    Raises:
        StorageError: another process writes into the target, or the disk refuses.
    """
    with Generation(target, "write") as catalogue, writer_lock(target):
        held = catalogue.snapshot()
        remove_leftovers(target, held)
        erasures = [_by_time(each) for each in source.erasures]
        catalogue.put_cameras(source.cameras.values())
        for asked in erasures:
            if asked not in held.erasures:
                _erase(target, catalogue, replace(asked, first_footage={}, runs=()))
        stale = {clip.sha256 for clip in held.clips} - {clip.sha256 for clip in source.clips}
        _leave_out(target, catalogue, stale)
        catalogue.follow(erasures, stale)


def let_follow(archive: ArchiveFiles, source: Snapshot) -> None:
    """What has left the archive leaves the one that is being made beside it, if there is one.

    While somebody indexes into that one they let it follow themselves, before their next clips and before it
    takes over.

    Raises:
        StorageError: the disk refuses.
    """
    if archive.next.catalogue.exists():
        with suppress(LockedError):
            follow(source, archive.next)


def _by_time(erasure: Erasure) -> Erasure:
    return replace(erasure, tracklet=None)


def _erase(target: ArchiveFiles, catalogue: Catalogue, asked: Erasure) -> None:
    snapshot = catalogue.snapshot()
    entries = [
        entry for entry in snapshot.segments
        if entry.district == asked.district
        and touches(snapshot.clocks, entry, asked.since_ms, asked.until_ms)
    ]  # fmt: skip
    parted = part(target, snapshot, asked, entries)
    swap(target, catalogue, parted.gone, parted.sealed, None, parted.lost)
    remove_folders(target, parted.unreadable)


def _leave_out(target: ArchiveFiles, catalogue: Catalogue, clips: set[str]) -> None:
    """Write the segments that hold these clips anew without them."""
    gone: list[SegmentEntry] = []
    sealed: list[Sealed] = []
    for entry in catalogue.snapshot().segments:
        if clips.intersection(entry.clips):
            how = "without " + " ".join(sorted(clips.intersection(entry.clips)))
            try:
                new = rewrite(target, [entry], how, lambda one: one.clip not in clips)
            except (DamagedError, FormatError):
                new = None  # its other clips are indexed again
            sealed += [new] if new else []
            gone.append(entry)
    swap(target, catalogue, gone, sealed)


def take_over(archive: ArchiveFiles, catalogue: Generation, target: ArchiveFiles) -> None:
    """Put the archive beside in the place of this one; the caller holds the writer's lock.

    Raises:
        StorageError: the disk refuses; all is as before, or the next run finishes.
        DamagedError: a segment beside is gone or altered; all is as before.
    """
    remove_leftovers(archive, catalogue.snapshot())
    with Generation(target) as other:
        for entry in other.snapshot().segments:
            _link_segment(entry, archive, target)
        catalogue.take_over(other)
    finish(archive, catalogue)


def finish(archive: ArchiveFiles, catalogue: Catalogue) -> None:
    """Delete what belonged to the archive before, and what is left of the one beside.

    Raises:
        StorageError: the disk refuses; the next run goes on.
    """
    remove_leftovers(archive, catalogue.snapshot())
    with storage_errors(archive.next.home):
        if archive.next.home.exists():
            shutil.rmtree(archive.next.home)
            sync_folder(archive.home)


def _link_segment(entry: SegmentEntry, archive: ArchiveFiles, target: ArchiveFiles) -> None:
    segment = open_entry(target, entry)
    segment.verify(deep=False)
    source = segment.files
    place = archive.segment(entry.district, entry.day, entry.segment).folder
    staged = SegmentFiles(archive.staging / entry.segment)
    with storage_errors(source.folder):
        make_folder(staged.folder)
        for name in (SegmentFiles.MANIFEST, *segment.manifest.files):
            link_file(source.folder / name, staged.folder / name)
        sync_folder(staged.folder)
        rename_folder(staged.folder, place)
