"""Puts a clip in the archive in the place of what the archive held of it before.

Owns what becomes of the segments that hold the earlier state, alone or together with other clips.
"""

from __future__ import annotations

from collections.abc import Sequence

from indexer.cameras import Camera
from indexer.catalogue import Catalogue
from indexer.ledger import ClipDone, Fingerprint
from indexer.rewriting import remove_folders, rewrite
from indexer.shard.files import ArchiveFiles
from indexer.snapshot import Sealed
from reid.errors import DamagedError, FormatError


def record_clip(
    archive: ArchiveFiles, catalogue: Catalogue, clip: ClipDone, fingerprint: Fingerprint, camera: Camera,
    sealed: Sequence[Sealed],
) -> bool:  # fmt: skip
    """One transaction: the clip is done, its segments are in, those of its earlier state are out.

    Args:
        sealed: the clip's segments, in their places.

    Returns:
        Whether segments that were there before left or changed.

    Raises:
        StorageError: the disk refused; the archive is as before.
    """
    old = set(catalogue.superseded(clip))
    holding = [each for each in catalogue.snapshot().segments if old.intersection(each.clips)] if old else []
    gone, lost, rest = [], [], []
    for entry in holding:
        try:
            kept = None
            if not old.issuperset(entry.clips):
                how = "without " + " ".join(sorted(old))
                kept = rewrite(archive, [entry], how, lambda one: one.clip not in old)
            rest += [kept] if kept else []
            gone.append(entry)
        except (DamagedError, FormatError):
            lost.append(entry.segment)  # the other clips in it have to be indexed again too
    taken = [*sealed, *rest]
    catalogue.record_done(clip, fingerprint, camera, taken, [entry.segment for entry in gone], (lost, old))
    names = {each.manifest.segment for each in taken}
    remove_folders(archive, [entry for entry in gone if entry.segment not in names])
    return bool(holding)
