"""How far stored times are off by what is known of the cameras' clocks today.

A stored time is true by the offset that its camera was known to have when the clip was indexed; the ledger
keeps that offset, so a camera corrected later corrects its old times too, whenever they are read. Owns the
arithmetic; sealed files never change.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from indexer.cameras import Camera
from indexer.ledger import ClipDone
from indexer.shard.reader import Segment
from indexer.shard.records import Record

MATTERS_S = 5.0
"""An uncertainty below this is neither shown nor reckoned with: nobody acts on it."""

Ints = NDArray[np.int64]
Key = tuple[str, str]


@dataclass(frozen=True)
class Clocks:
    """What is to be done to stored times; empty, and free, as long as no camera is corrected or uncertain.

    Attributes:
        shifts: milliseconds to add to the stored times of a clip, by its sha256; without those of 0.
        slack: milliseconds that times of a camera may be off either way, by (district, camera id); without
            those below `MATTERS_S`.
    """

    shifts: Mapping[str, int]
    slack: Mapping[Key, int]

    def of(self, district: str, cameras: Iterable[str], clips: Iterable[str]) -> Clocks:
        """What of this concerns a segment that holds these."""
        if not self.shifts and not self.slack:
            return RIGHT
        keys = {(district, camera) for camera in cameras} & self.slack.keys()
        return Clocks(
            {clip: self.shifts[clip] for clip in clips if clip in self.shifts},
            {key: self.slack[key] for key in sorted(keys)},
        )

    def bounds(self, start_ms: int, end_ms: int, clips: Collection[str]) -> tuple[int, int]:
        """The earliest and the latest moment that something stored between these may be of.

        Args:
            start_ms, end_ms: milliseconds since 1970 UTC. clips: all that lie there.
        """
        shifts = [self.shifts.get(clip, 0) for clip in clips] if self.shifts else [0]
        slack = max(self.slack.values(), default=0)
        return start_ms + min(shifts, default=0) - slack, end_ms + max(shifts, default=0) + slack

    def of_tracklets(self, segment: Segment) -> Ints | None:
        """(T,) milliseconds to add to the times of a segment's tracklets; None for nothing.

        Raises:
            DamagedError: the segment is altered.
        """
        shifts = np.array([self.shifts.get(clip, 0) for clip in segment.manifest.clips], np.int64)
        return shifts[segment.column("tracklets")["clip"]] if shifts.any() else None

    def record(self, record: Record) -> Record:
        """With its times corrected; where it lies in the clip stays."""
        shift = self.shifts.get(record.clip, 0)
        if not shift:
            return record
        return replace(
            record, start_ms=record.start_ms + shift, end_ms=record.end_ms + shift,
            best_ms=record.best_ms + shift,
        )  # fmt: skip

    def clip(self, clip: ClipDone) -> ClipDone:
        """With its times corrected."""
        shift = self.shifts.get(clip.sha256, 0)
        if not shift:
            return clip
        return replace(
            clip, start_ms=clip.start_ms + shift, end_ms=clip.end_ms + shift,
            spans=tuple((start + shift, end + shift) for start, end in clip.spans),
        )  # fmt: skip


RIGHT = Clocks({}, {})
"""Nothing to be done."""


def clocks_of(cameras: Mapping[Key, Camera], clips: Iterable[ClipDone]) -> Clocks:
    """What the clips' offsets of then and the cameras' of today come to."""
    now = {key: camera.clock_offset_s for key, camera in cameras.items()}
    shifts = {
        clip.sha256: round((clip.clock_offset_s - now[clip.district, clip.camera]) * 1000)
        for clip in clips
        if clip.clock_offset_s != now.get((clip.district, clip.camera), clip.clock_offset_s)
    }
    unsure = {key: camera.clock_uncertainty_s for key, camera in cameras.items()}
    slack = {
        key: round(seconds * 1000)
        for key, seconds in unsure.items()
        if seconds is not None and seconds >= MATTERS_S
    }
    return Clocks({clip: shift for clip, shift in shifts.items() if shift}, slack)
