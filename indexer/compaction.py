"""Merges the segments of each district and day into one, with codes of the codebook in use."""

from __future__ import annotations

import multiprocessing
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

from indexer.catalogue import Catalogue, writer_lock
from indexer.codebooks import coding, load_codebook
from indexer.codes import Codebook
from indexer.orphans import die_with_parent
from indexer.rewriting import remove_leftovers, rewrite, swap
from indexer.shard.files import ArchiveFiles
from indexer.snapshot import Sealed, SegmentEntry, Snapshot
from reid.camera_means import CameraMeans
from reid.errors import DamagedError, FormatError

CODED_ROWS = 32
"""A segment with fewer gets no codes: a block of them is 32."""

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


def compact(
    archive: ArchiveFiles, progress: Progress = lambda done, of: None, workers: int = 1
) -> Compaction:
    """Leave one segment a district and day, coded where it is large. Safe to stop; a rerun goes on.

    Args:
        progress: told (days done, days to do).
        workers: processes that write segments.

    Raises:
        StorageError: another writer, no codebook file, or the disk refused; what was done is kept.
    """
    with Catalogue(archive, "write") as catalogue, writer_lock(archive):
        snapshot = catalogue.snapshot(clips=False)
        remove_leftovers(archive, snapshot)
        codebook = load_codebook(archive, snapshot.codebook) if snapshot.codebook else None
        wanted = [group for group in _by_day(snapshot) if _needs_it(group, codebook)]
        days, merged, failed = [], 0, []
        work = _Work(archive, codebook, snapshot.camera_means(codebook.dimension) if codebook else None)
        for number, (group, sealed) in enumerate(_merged(work, wanted, workers)):
            progress(number, len(wanted))
            day = f"{group[0].district}/{group[0].day}"
            if isinstance(sealed, str):
                failed.append((day, sealed))
                continue
            swap(archive, catalogue, group, [sealed] if sealed else [])
            days.append(day)
            merged += len(group)
        segments = len(catalogue.snapshot(clips=False).segments)
    return Compaction(tuple(days), merged, segments, tuple(failed))


@dataclass(frozen=True)
class _Work:
    """What merging a day needs besides its segments."""

    archive: ArchiveFiles
    codebook: Codebook | None
    means: CameraMeans | None

    def merge(self, group: Sequence[SegmentEntry]) -> Sealed | str | None:
        """The segment that takes the place of these; None when nothing is in them, or why it cannot be."""
        wanted = None
        if self.codebook and self.means and sum(entry.vectors for entry in group) >= CODED_ROWS:
            wanted = coding(self.codebook, group[0].district, self.means)
        try:
            return rewrite(self.archive, group, "merged", coding=wanted)
        except (DamagedError, FormatError) as error:
            return str(error)


_work: _Work | None = None
"""In a worker process."""


def _begin(work: _Work) -> None:
    global _work
    die_with_parent()
    _work = work


def _merge(group: Sequence[SegmentEntry]) -> Sealed | str | None:
    assert _work is not None
    return _work.merge(group)


def _merged(
    work: _Work, groups: Sequence[list[SegmentEntry]], workers: int
) -> Iterator[tuple[list[SegmentEntry], Sealed | str | None]]:
    """Each group with what it became, as it is done."""
    if workers < 2 or len(groups) < 2:
        yield from ((group, work.merge(group)) for group in groups)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context, _begin, (work,)) as pool:
        yield from zip(groups, pool.map(_merge, groups), strict=True)


def _by_day(snapshot: Snapshot) -> list[list[SegmentEntry]]:
    days: dict[tuple[str, str], list[SegmentEntry]] = defaultdict(list)
    for entry in snapshot.segments:
        if entry.quarantined is None:
            days[entry.district, entry.day].append(entry)
    return [days[key] for key in sorted(days)]


def _needs_it(group: list[SegmentEntry], codebook: Codebook | None) -> bool:
    coded = codebook is not None and sum(entry.vectors for entry in group) >= CODED_ROWS
    return len(group) > 1 or (coded and codebook is not None and group[0].codebook != codebook.name)
