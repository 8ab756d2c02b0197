"""Verifies sealed segments and takes those that cannot be trusted out of every search.

A damaged segment goes into quarantine: its files stay, a search leaves it out and tells its time as damaged.
One that is sound again, restored from a backup, comes out; indexing its clips again replaces it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

from indexer.catalogue import Catalogue, writer_lock
from indexer.codebooks import load_codebook
from indexer.codes import Codebook
from indexer.rewriting import open_entry
from indexer.shard.files import ArchiveFiles
from indexer.snapshot import SegmentEntry, Snapshot
from reid.errors import ArchiveError, DamagedError, FormatError

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Verification:
    """What was verified.

    Attributes:
        segments: how many. bytes: that were read.
        damaged: (segment, "district/day", why), all in quarantine now.
        restored: segments that came out of quarantine.
        clips: paths of the clips to index again for what is damaged.
        sound_to_the_byte: segments that were compared deeply, and hold.
        codebook: why the codebook in use cannot be used; None if it can, or if there is none.
    """

    segments: int
    bytes: int
    damaged: tuple[tuple[str, str, str], ...]
    restored: tuple[str, ...]
    clips: tuple[str, ...]
    codebook: str | None
    sound_to_the_byte: int = 0


def verify(
    archive: ArchiveFiles, deep: bool = False, progress: Progress = lambda done, of: None,
    fresh: Collection[str] = (),
) -> Verification:  # fmt: skip
    """Verify every segment.

    Args:
        deep: compare every byte with its checksum, and the meaning of it; else manifests and lengths.
        fresh: sha256 of clips whose segments are compared deeply in any case.

    Raises:
        StorageError: no archive, another writer, or the machine is not fit.
    """
    with Catalogue(archive, "write") as catalogue, writer_lock(archive):
        snapshot = catalogue.snapshot(clips=False)
        codebook, problem = _codebook(archive, snapshot)
        damaged: list[tuple[str, str, str]] = []
        restored: list[str] = []
        read, looked, new = 0, 0, frozenset(fresh)
        for number, entry in enumerate(snapshot.segments):
            progress(number, len(snapshot.segments))
            try:
                # Damage that only a deep look found must not be believed gone because a short one sees none.
                closely = deep or entry.quarantined is not None or not new.isdisjoint(entry.clips)
                _verify_one(archive, entry, closely, codebook)
                if entry.quarantined is not None:
                    restored.append(entry.segment)
                read += entry.bytes if closely else 0
                looked += closely
            except (DamagedError, FormatError) as error:
                damaged.append((entry.segment, f"{entry.district}/{entry.day}", str(error)))
        if damaged or restored:
            reasons = {name: reason for name, _, reason in damaged}
            catalogue.quarantine({**reasons, **dict.fromkeys(restored)})
        bad = {name for name, _, _ in damaged}
        lost = {clip for entry in snapshot.segments if entry.segment in bad for clip in entry.clips}
        clips = tuple(sorted(clip.path for clip in map(catalogue.clip, lost) if clip))
    return Verification(
        len(snapshot.segments), read, tuple(damaged), tuple(restored), clips, problem, looked
    )  # fmt: skip


def _codebook(archive: ArchiveFiles, snapshot: Snapshot) -> tuple[Codebook | None, str | None]:
    if snapshot.codebook is None:
        return None, None
    try:
        return load_codebook(archive, snapshot.codebook), None
    except ArchiveError as error:
        return None, str(error)


def _verify_one(archive: ArchiveFiles, entry: SegmentEntry, deep: bool, codebook: Codebook | None) -> None:
    segment = open_entry(archive, entry)
    if segment.manifest.clips != entry.clips:
        where = segment.files.folder
        raise DamagedError(f"{where}: some of its clips were indexed again; index the others too")
    if deep:
        segment.verify()
        if codebook is not None and entry.codebook == codebook.name:
            codebook.codes_in(segment.codes(), entry.vectors, str(segment.files.codes))
