"""Which camera-time of an asked window was searched, and why the rest was not.

Owns the reasons. A camera's time counts as searched only where an indexed clip covers it, its segments could
be read and nothing of it was erased.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from indexer.ledger import ClipDone
from indexer.snapshot import Erasure, Snapshot

NO_FOOTAGE = "no footage"
FAILED_CLIP = "failed clip"
DAMAGED_SEGMENT = "damaged segment"
ERASED = "erased"
NO_CAMERA = "no camera in district"
UNKNOWN_CAMERA = "unknown camera"
UNPLACED = "camera without a place"

_MS_PER_HOUR = 3_600_000
_NEVER = 1 << 62

Interval = tuple[int, int]
"""Start and end, milliseconds since 1970 UTC."""


@dataclass(frozen=True)
class Missing:
    """Camera-time that was asked for and not searched.

    Attributes:
        reason: one of this module's words.
        camera_hours: how much; None when nobody can know (a clip that does not open has no length).
        where: "district/camera" (or the district, or the clip's path) it concerns.
    """

    reason: str
    camera_hours: float | None
    where: tuple[str, ...]


@dataclass(frozen=True)
class Coverage:
    """What a search covered.

    Attributes:
        since_ms, until_ms: the window, milliseconds since 1970 UTC; where the caller gave no bound it
            is that of the indexed footage; the present when there is none.
        cameras: how many cameras were asked.
        asked_camera_hours: cameras times window.
        searched_camera_hours: the part that indexed, readable clips cover.
        missing: the rest, by reason.
    """

    since_ms: int
    until_ms: int
    cameras: int
    asked_camera_hours: float
    searched_camera_hours: float
    missing: tuple[Missing, ...]


class Footage:
    """The camera-time of an archive, sorted once and measured often.

    Args:
        snapshot: the catalogue.
        damaged: names of segments that could not be read, besides those in quarantine.
    """

    def __init__(self, snapshot: Snapshot, damaged: Collection[str] = ()) -> None:
        self._snapshot = snapshot
        unreadable = {
            clip for entry in snapshot.segments if entry.quarantined or entry.segment in damaged
            for clip in entry.clips
        }  # fmt: skip
        clips: dict[tuple[str, str], list[ClipDone]] = defaultdict(list)
        for clip in snapshot.clips:
            clips[clip.district, clip.camera].append(clip)
        self._keys = sorted(snapshot.cameras.keys() | clips.keys())
        searched: list[list[Interval]] = []
        readable: list[list[Interval]] = []
        whole: list[list[Interval]] = []
        for key in self._keys:
            erased = _union(_erased_at(key, snapshot.erasures))
            spans = _union(span for clip in clips[key] for span in clip.spans)
            good = spans
            if any(clip.sha256 in unreadable for clip in clips[key]):
                good = _union(s for clip in clips[key] if clip.sha256 not in unreadable for s in clip.spans)
            whole.append(spans)
            readable.append(_without(spans, erased))
            searched.append(_without(good, erased))
        self._searched, self._readable, self._whole = _Spans(searched), _Spans(readable), _Spans(whole)
        every = [[clip.start_ms for clip in clips[key]] for key in self._keys]
        self._begin = np.array([min(each, default=_NEVER) for each in every])
        self._end = np.array([max((clip.end_ms for clip in clips[key]), default=-1) for key in self._keys])

    def measure(
        self, districts: Collection[str], cameras: Collection[str], since_ms: int | None,
        until_ms: int | None, now_ms: int, keys: Collection[tuple[str, str]] | None = None,
    ) -> Coverage:  # fmt: skip
        """The coverage of a window.

        Args:
            districts: slugs asked.
            cameras: camera ids asked; empty: all of these districts.
            since_ms, until_ms: the window, milliseconds since 1970 UTC. With neither it is that of the
                footage; `since_ms` alone asks until now, `until_ms` alone from where the footage begins.
            now_ms: the present, in the same unit.
            keys: (district, camera id) asked, if more than districts and ids decides.
        """
        if keys is None:
            keys = {key for key in self._keys if key[0] in districts and (not cameras or key[1] in cameras)}
        asked = np.array([key in keys for key in self._keys], bool)
        begin = int(self._begin[asked].min(initial=_NEVER))
        begin = now_ms if begin == _NEVER else begin
        since = min(begin, now_ms if until_ms is None else until_ms) if since_ms is None else since_ms
        last = int(self._end[asked].max(initial=-1))
        end = (last if last >= 0 else since) if since_ms is None else now_ms
        until = max(end, since) if until_ms is None else until_ms
        window = max(until - since, 0)
        searched, readable, whole = (
            np.where(asked, spans.inside(since, until, len(self._keys)), 0)
            for spans in (self._searched, self._readable, self._whole)
        )
        amounts = (
            (NO_FOOTAGE, np.where(asked, window - whole, 0)),
            (DAMAGED_SEGMENT, readable - searched),
            (ERASED, whole - readable),
        )
        missing = [
            Missing(
                reason, float(amount.sum()) / _MS_PER_HOUR,
                tuple("/".join(self._keys[k]) for k in np.flatnonzero(amount)),
            )
            for reason, amount in amounts
            if amount.any()
        ]  # fmt: skip
        missing += _unmeasurable(self._snapshot, districts, cameras, until_ms)
        count = int(asked.sum())
        return Coverage(
            since, until, count, count * window / _MS_PER_HOUR, float(searched.sum()) / _MS_PER_HOUR,
            tuple(missing),
        )  # fmt: skip


class _Spans:
    """The disjoint spans of many cameras in three arrays."""

    def __init__(self, spans: Sequence[Sequence[Interval]]) -> None:
        flat = np.array([span for each in spans for span in each], np.int64).reshape(-1, 2)
        self._start, self._end = flat[:, 0], flat[:, 1]
        self._camera = np.repeat(np.arange(len(spans)), [len(each) for each in spans])

    def inside(self, since: int, until: int, cameras: int) -> NDArray[np.float64]:
        """(cameras,) milliseconds of each camera's spans inside the window."""
        lengths = np.minimum(self._end, until) - np.maximum(self._start, since)
        return np.bincount(self._camera, np.maximum(lengths, 0), cameras).astype(np.float64)


def _unmeasurable(
    snapshot: Snapshot, districts: Collection[str], cameras: Collection[str], until_ms: int | None
) -> list[Missing]:
    """What is missing without a known length."""
    failed = tuple(
        clip.path
        for clip in snapshot.failures
        if (clip.district is None or clip.district in districts)
        and (clip.camera is None or not cameras or clip.camera in cameras)
        and (clip.start_ms is None or until_ms is None or clip.start_ms < until_ms)
    )
    known = {camera for district, camera in snapshot.cameras if district in districts}
    silent = tuple(sorted(set(districts) - {district for district, _ in snapshot.cameras}))
    strange = tuple(sorted(set(cameras) - known))
    rows = ((FAILED_CLIP, failed), (NO_CAMERA, silent), (UNKNOWN_CAMERA, strange))
    return [Missing(reason, None, where) for reason, where in rows if where]


def _erased_at(key: tuple[str, str], erasures: Iterable[Erasure]) -> list[Interval]:
    district, camera = key
    return [
        (each.since_ms, each.until_ms)
        for each in erasures
        if each.tracklet is None and each.district == district
        and (not each.cameras or camera in each.cameras)
    ]  # fmt: skip


def _union(spans: Iterable[Interval]) -> list[Interval]:
    """Overlapping spans merged."""
    merged: list[Interval] = []
    for start, end in sorted(spans):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        elif end > start:
            merged.append((start, end))
    return merged


def _without(spans: Sequence[Interval], holes: Sequence[Interval]) -> list[Interval]:
    """Disjoint spans less the holes."""
    left = list(spans)
    for low, high in holes:
        left = [
            piece
            for start, end in left
            for piece in ((start, min(end, low)), (max(start, high), end))
            if piece[1] > piece[0]
        ]
    return left
