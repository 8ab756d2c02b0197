"""What an indexing run tells: while it goes, and when it has ended. Knows no order of events."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from indexer.ledger import ClipDone, ClipFailed

EXPIRED = "of a time that has expired in its district"
"""Why a clip is skipped of whose time nothing is kept."""


@dataclass(frozen=True)
class IndexReport:
    """What a run did; all in the order of the requests.

    Attributes:
        done: clips indexed now.
        skipped: (path, why) of clips that were indexed before.
        failed: clips that could not be indexed.
        warnings: what was odd, for people.
        seconds_taken: wall-clock seconds of the run.
        given_up: clips that failed so often before that they were not tried again.
        left: how many clips the run did not come to because it was asked to stop.
    """

    done: tuple[ClipDone, ...]
    skipped: tuple[tuple[str, str], ...]
    failed: tuple[ClipFailed, ...]
    warnings: tuple[str, ...]
    seconds_taken: float
    given_up: tuple[ClipFailed, ...] = ()
    left: int = 0

    @property
    def footage_s(self) -> float:
        """Seconds of footage indexed now."""
        return sum(clip.footage_s for clip in self.done)

    @property
    def tracklets(self) -> int:
        """Tracklets added now."""
        return sum(clip.tracklets for clip in self.done)

    def lines(self) -> list[str]:
        """The report for people: what was odd, what failed, and a closing line of figures."""
        expired = sum(reason == EXPIRED for _, reason in self.skipped)
        before = len(self.skipped) - expired
        counts = f"{len(self.done)} clips indexed, {before} done before, {len(self.failed)} failed"
        left = f", {expired} of a time that has expired" if expired else ""
        left += f", {len(self.given_up)} given up" if self.given_up else ""
        left += f", {self.left} not come to" if self.left else ""
        return [
            *(f"warning: {warning}" for warning in self.warnings),
            *(f"failed ({clip.reason}): {clip.message}" for clip in self.failed),
            *(f"given up ({clip.reason}, {clip.tries} tries): {clip.path}" for clip in self.given_up),
            f"{counts}{left}; {self.tracklets} tracklets; {self.footage_s:.0f} s of footage"
            f" in {self.seconds_taken:.0f} s",
        ]

    def to_json(self) -> dict[str, Any]:
        """The report for machines; see docs/contracts.md."""
        return {
            "done": [clip.to_json() for clip in self.done],
            "skipped": [{"clip": path, "reason": reason} for path, reason in self.skipped],
            "failed": [
                {"clip": clip.path, "reason": clip.reason, "message": clip.message} for clip in self.failed
            ],
            "given_up": [
                {"clip": clip.path, "reason": clip.reason, "tries": clip.tries} for clip in self.given_up
            ],
            "left": self.left,
            "warnings": list(self.warnings),
            "tracklets": self.tracklets,
            "footage_s": round(self.footage_s, 3),
            "seconds_taken": round(self.seconds_taken, 3),
        }


class Progress:
    """What a run tells while it goes; override to show it. Several clips may be under way at once."""

    def clip_started(self, path: Path, number: int, total: int) -> None:
        """Clip `number` of `total`, counted from 1, is next."""

    def clip_advanced(self, path: Path, seconds: float) -> None:
        """So many seconds of this clip are done."""

    def clip_done(self, clip: ClipDone) -> None:
        """This clip is in the archive now; its end is told after that."""

    def clip_failed(self, clip: ClipFailed) -> None:
        """This clip could not be indexed; its end is told after that."""

    def clip_ended(self, path: Path, ended: int, total: int) -> None:
        """This clip is done, skipped or failed, as are `ended` of `total`."""
