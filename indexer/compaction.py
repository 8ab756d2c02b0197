"""Merges the segments of each district and day into one, with codes of the codebook in use."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass

from indexer.catalogue import Catalogue, SegmentEntry, Snapshot, writer_lock
from indexer.codebooks import coding, load_codebook
from indexer.codes import Codebook
from indexer.rewriting import remove_leftovers, rewrite, swap
from indexer.shard.files import ArchiveFiles
from reid.errors import DamagedError, FormatError

CODED_ROWS = 512
"""A segment with fewer is scanned exactly in no time."""

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Compaction:
    """What a compaction did.

    Attributes:
        days: "district/day" that were written anew.
        merged: segments that went into them.
        segments: in the archive now.
        failed: ("district/day", why) of those left as they were; `reid verify` takes damaged ones out.
    """

    days: tuple[str, ...]
    merged: int
    segments: int
    failed: tuple[tuple[str, str], ...]


def compact(archive: ArchiveFiles, progress: Progress = lambda done, of: None) -> Compaction:
    """Leave one segment a district and day, coded where it is large. Safe to stop; a rerun goes on.

    Raises:
        StorageError: another writer, no codebook file, or the disk refused; what was done is kept.
    """
    with Catalogue(archive, "write") as catalogue, writer_lock(archive):
        snapshot = catalogue.snapshot()
        remove_leftovers(archive, snapshot)
        codebook = load_codebook(archive, snapshot.codebook) if snapshot.codebook else None
        wanted = [group for group in _by_day(snapshot) if _needs_it(group, codebook)]
        days, merged, failed = [], 0, []
        for number, group in enumerate(wanted):
            progress(number, len(wanted))
            day = f"{group[0].district}/{group[0].day}"
            try:
                _merge(archive, catalogue, snapshot, group, codebook)
                days.append(day)
                merged += len(group)
            except (DamagedError, FormatError) as error:
                failed.append((day, str(error)))
        segments = len(catalogue.snapshot().segments)
    return Compaction(tuple(days), merged, segments, tuple(failed))


def _by_day(snapshot: Snapshot) -> list[list[SegmentEntry]]:
    days: dict[tuple[str, str], list[SegmentEntry]] = defaultdict(list)
    for entry in snapshot.segments:
        if entry.quarantined is None:
            days[entry.district, entry.day].append(entry)
    return [days[key] for key in sorted(days)]


def _needs_it(group: list[SegmentEntry], codebook: Codebook | None) -> bool:
    coded = codebook is not None and sum(entry.vectors for entry in group) >= CODED_ROWS
    return len(group) > 1 or (coded and codebook is not None and group[0].codebook != codebook.name)


def _merge(
    archive: ArchiveFiles, catalogue: Catalogue, snapshot: Snapshot, group: list[SegmentEntry],
    codebook: Codebook | None,
) -> None:  # fmt: skip
    wanted = None
    if codebook is not None and sum(entry.vectors for entry in group) >= CODED_ROWS:
        wanted = coding(codebook, group[0].district, snapshot.camera_means(codebook.dimension))
    sealed = rewrite(archive, group, "merged", coding=wanted)
    if sealed is not None:
        swap(archive, catalogue, group, [sealed])
