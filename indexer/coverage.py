"""Which camera-time of an asked window was searched, and why the rest was not.

Owns the reasons. A camera's time counts as searched only where an indexed clip covers it and its
segments could be read.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from indexer.catalogue import Snapshot
from indexer.ledger import ClipDone

NO_FOOTAGE = "no footage"
FAILED_CLIP = "failed clip"
DAMAGED_SEGMENT = "damaged segment"
NO_CAMERA = "no camera in district"
UNKNOWN_CAMERA = "unknown camera"

_MS_PER_HOUR = 3_600_000

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


def measure_coverage(
    snapshot: Snapshot,
    districts: Collection[str],
    cameras: Collection[str],
    since_ms: int | None,
    until_ms: int | None,
    now_ms: int,
    damaged: Collection[str] = (),
) -> Coverage:
    """The coverage of a window.

    Args:
        snapshot: the catalogue.
        districts: slugs asked.
        cameras: camera ids asked; empty: all of these districts.
        since_ms, until_ms: the window, milliseconds since 1970 UTC. With neither it is that of the footage;
            `since_ms` alone asks until now, `until_ms` alone from where the footage begins.
        now_ms: the present, in the same unit.
        damaged: names of segments that could not be read.
    """
    asked = {key for key in snapshot.cameras if key[0] in districts and (not cameras or key[1] in cameras)}
    clips: dict[tuple[str, str], list[ClipDone]] = defaultdict(list)
    for clip in snapshot.clips:
        if (clip.district, clip.camera) in asked:
            clips[clip.district, clip.camera].append(clip)
    every = [clip for group in clips.values() for clip in group]
    begin = min((c.start_ms for c in every), default=now_ms)
    since = min(begin, now_ms if until_ms is None else until_ms) if since_ms is None else since_ms
    end = max((c.end_ms for c in every), default=since) if since_ms is None else now_ms
    until = max(end, since) if until_ms is None else until_ms
    window = max(until - since, 0)

    searched, unreadable, no_footage = 0, 0, 0
    unreadable_at, no_footage_at = [], []
    for key in sorted(asked):
        good = _length(_union(_spans(clips[key], set(damaged), False), since, until))
        whole = _length(_union(_spans(clips[key], set(damaged), True), since, until))
        searched += good
        if whole > good:
            unreadable += whole - good
            unreadable_at.append("/".join(key))
        if window > whole:
            no_footage += window - whole
            no_footage_at.append("/".join(key))

    missing = []
    if no_footage:
        missing.append(Missing(NO_FOOTAGE, no_footage / _MS_PER_HOUR, tuple(no_footage_at)))
    if unreadable:
        missing.append(Missing(DAMAGED_SEGMENT, unreadable / _MS_PER_HOUR, tuple(unreadable_at)))
    missing += _unmeasurable(snapshot, districts, cameras, until_ms)
    return Coverage(
        since, until, len(asked), len(asked) * window / _MS_PER_HOUR, searched / _MS_PER_HOUR, tuple(missing)
    )


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


def _spans(clips: Iterable[ClipDone], damaged: set[str], even_damaged: bool) -> list[Interval]:
    return [
        span
        for clip in clips
        if even_damaged or not damaged.intersection(clip.segments)
        for span in clip.spans
    ]


def _union(spans: Iterable[Interval], since: int, until: int) -> list[Interval]:
    """The spans inside the window, overlapping ones merged."""
    merged: list[Interval] = []
    for start, end in sorted((max(start, since), min(end, until)) for start, end in spans):
        if end <= start:
            continue
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        else:
            merged.append((start, end))
    return merged


def _length(spans: Iterable[Interval]) -> int:
    return sum(end - start for start, end in spans)
