"""The ledger for people and for machines: what became of each clip. Reads; changes nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from indexer.catalogue import Catalogue
from indexer.ledger import ClipDone, ClipFailed, ClipWaiting
from indexer.shard.files import ArchiveFiles
from indexer.times import from_milliseconds, to_local_iso

DONE, FAILED, GIVEN_UP, WAITING = STATES = ("done", "failed", "given_up", "waiting")


@dataclass(frozen=True)
class ListedClip:
    """One row of the ledger.

    Attributes:
        state: one of `STATES`.
        row: of the ledger.
    """

    state: str
    row: ClipDone | ClipFailed | ClipWaiting

    def to_json(self) -> dict[str, Any]:
        """See docs/contracts.md."""
        row = self.row
        done = row if isinstance(row, ClipDone) else None
        failed = row if isinstance(row, ClipFailed) else None
        tried = done or failed
        return {
            "clip": row.path, "state": self.state, "district": row.district, "camera": row.camera,
            "start": _iso(row.start_ms), "end": _iso(row.end_ms),
            "reason": failed and failed.reason, "message": failed and failed.message,
            "tries": tried.tries if tried else 0, "at": _iso(tried.at_ms if tried else None),
            "seconds_taken": tried and tried.seconds_taken, "sha256": done and done.sha256,
            "frames_read": done and done.frames_read, "frames_corrupt": done and done.frames_corrupt,
            "tracklets": done and done.tracklets,
            "detector": tried and tried.detector, "embedder": tried and tried.embedder,
        }  # fmt: skip

    def cells(self) -> list[str]:
        """The same for a table: state, district, camera, start, tries, what is to be said, clip."""
        told = self.to_json()
        where = [str(told[name] or "") for name in ("district", "camera", "start")]
        frames = f"{told['frames_read']} frames" + (
            f", {told['frames_corrupt']} corrupt" if told["frames_corrupt"] else ""
        )
        said = frames if self.state == DONE else str(told["reason"] or "")
        return [self.state, *where, str(told["tries"]), said, self.row.path]


@dataclass(frozen=True)
class ClipList:
    """What was asked for.

    Attributes:
        clips: those not done first, then by start.
        counts: how many there are, by state.
    """

    clips: tuple[ListedClip, ...]
    counts: dict[str, int]

    def to_json(self) -> dict[str, Any]:
        """See docs/contracts.md."""
        return {"clips": [each.to_json() for each in self.clips], "counts": self.counts}


def list_clips(
    archive: ArchiveFiles, states: Collection[str], districts: Collection[str], tries: int
) -> ClipList:  # fmt: skip
    """The clips in these states, of these districts.

    Args:
        states: of `STATES`; empty: all.
        districts: slugs; empty: all, and clips of unknown districts.
        tries: after so many failures a clip is given up.

    Raises:
        StorageError: no archive there.
    """
    with Catalogue(archive) as catalogue:
        snapshot = catalogue.snapshot()
    rows = [
        *(ListedClip(_state(each, tries), each) for each in snapshot.unfinished),
        *(ListedClip(DONE, each) for each in snapshot.clips),
    ]
    found = [
        each for each in rows
        if (not states or each.state in states) and (not districts or each.row.district in districts)
    ]  # fmt: skip
    found.sort(key=lambda each: (each.state == DONE, each.row.start_ms or 0, each.row.path))
    counted = Counter(each.state for each in found)
    return ClipList(tuple(found), {state: counted[state] for state in STATES})


def _state(row: ClipFailed | ClipWaiting, tries: int) -> str:
    if isinstance(row, ClipWaiting):
        return WAITING
    return GIVEN_UP if row.is_given_up(tries) else FAILED


def _iso(moment_ms: int | None) -> str | None:
    return None if moment_ms is None else to_local_iso(from_milliseconds(moment_ms))
