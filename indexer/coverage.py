"""Which camera-time of an asked window was searched, and why the rest was not.

Owns the reasons and their order of precedence. A moment of a camera's time has one reason only, the first of
`_STATES` that holds, so that reasons add up to what was asked, camera by camera.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from indexer.camera_time import Bools, Ints, Pieces, Stretch
from indexer.ledger import ClipFailed, ClipWaiting
from indexer.snapshot import Snapshot
from indexer.unfinished import NONE, Found, Unfinished

NO_FOOTAGE = "no footage"
"""No clip that the archive knows covers it."""
NOT_INDEXED = "not yet indexed"
"""A clip that `reid index` was told to index covers it, and its turn has not come: the run goes on or was
stopped."""
FAILED_CLIP = "failed clip"
"""Only a clip that could not be indexed covers it. One whose length nobody can tell counts no time here."""
QUARANTINED = "quarantined segment"
"""Indexed, but `reid verify` found the segment damaged, and no search reads it."""
DAMAGED_SEGMENT = "damaged segment"
"""Indexed, but this search could not read the segment."""
ERASED = "erased"
"""There is footage of it, and that was erased on request."""
EXPIRED = "expired"
"""There was footage of it, and all of the district up to a later moment went (`reid purge`, or
`reid erase --until`). Between a camera's first footage and that moment nobody knows gaps any more."""
CLOCK_UNCERTAIN = "clock uncertain"
"""So much less was searched if the camera's clock is off by as much as it may be."""
NO_CAMERA = "no camera in district"
UNKNOWN_CAMERA = "unknown camera"
UNPLACED = "camera without a place"

REASONS = (
    NO_FOOTAGE, NOT_INDEXED, FAILED_CLIP, QUARANTINED, DAMAGED_SEGMENT, ERASED, EXPIRED, CLOCK_UNCERTAIN,
)  # fmt: skip
"""Those with an amount of camera-time."""

_SEARCHED = "searched"
_FORGOTTEN = "forgotten"  # there was footage, and the ledger's rows went with it: never the first that holds
# What time has gone by rule is told before what somebody asked to erase: a request leaves no trace longer
# than the footage would have. What one sound clip shows is searched, whatever befell others of that time.
_STATES = (EXPIRED, ERASED, _SEARCHED, QUARANTINED, DAMAGED_SEGMENT, FAILED_CLIP, NOT_INDEXED, _FORGOTTEN)
_FOOTAGE = [_STATES.index(state) for state in _STATES if state not in (EXPIRED, ERASED)]

_PARTS = (-1, -0.75, -0.5, -0.25, 0.25, 0.5, 0.75, 1)  # of what a clock may be off, that are tried

_MS_PER_HOUR = 3_600_000
_NEVER = 1 << 62

Key = tuple[str, str]
"""District and camera id."""


@dataclass(frozen=True)
class Missing:
    """Camera-time that was asked for and not searched.

    Attributes:
        reason: one of this module's words.
        camera_hours: how much; None when nobody can know (a clip that does not open has no length).
        where: "district/camera" (or the district, or the clip's path) it concerns; cameras with the most
            missing time first.
        unmeasured: clips among them of unknown time or length, which `camera_hours` leaves out.
    """

    reason: str
    camera_hours: float | None
    where: tuple[str, ...]
    unmeasured: int = 0


@dataclass(frozen=True)
class CameraCoverage:
    """What a search covered of one camera.

    Attributes:
        district: slug. camera: id.
        asked_camera_hours: the window.
        searched_camera_hours: the part that was searched.
        missing: (reason, camera-hours) of the rest, the largest first.
    """

    district: str
    camera: str
    asked_camera_hours: float
    searched_camera_hours: float
    missing: tuple[tuple[str, float], ...]


@dataclass(frozen=True, eq=False)
class CameraTimes:
    """The coverage of each camera that was asked. For each, what was searched and what is missing for each
    reason add up to the window.

    Attributes:
        keys: the cameras, sorted.
        window_ms: length of the window.
        searched_ms: (C,) int64.
        missing_ms: (C, R) int64, by `REASONS`.
    """

    keys: tuple[Key, ...] = ()
    window_ms: int = 0
    searched_ms: Ints = field(default_factory=lambda: np.zeros(0, np.int64))
    missing_ms: Ints = field(default_factory=lambda: np.zeros((0, len(REASONS)), np.int64))

    def __iter__(self) -> Iterator[CameraCoverage]:
        """In the order of the keys."""
        return map(self._one, range(len(self.keys)))

    def worst_first(self) -> list[CameraCoverage]:
        """Those of which least was searched first."""
        return [self._one(place) for place in np.argsort(self.searched_ms, kind="stable").tolist()]

    def _one(self, place: int) -> CameraCoverage:
        row = self.missing_ms[place]
        largest = np.argsort(-row, kind="stable")
        missing = tuple((REASONS[k], float(row[k]) / _MS_PER_HOUR) for k in largest.tolist() if row[k])
        searched = float(self.searched_ms[place]) / _MS_PER_HOUR
        return CameraCoverage(*self.keys[place], self.window_ms / _MS_PER_HOUR, searched, missing)


@dataclass(frozen=True)
class Coverage:
    """What a search covered.

    Attributes:
        since_ms, until_ms: the window, milliseconds since 1970 UTC; where the caller gave no bound it
            is that of the known footage that has not expired; the present when there is none.
        cameras: how many cameras were asked.
        asked_camera_hours: cameras times window.
        searched_camera_hours: the part that indexed, readable clips cover.
        missing: the rest, by reason: the largest first, then what has no known length.
        by_camera: the same, camera by camera.
    """

    since_ms: int
    until_ms: int
    cameras: int
    asked_camera_hours: float
    searched_camera_hours: float
    missing: tuple[Missing, ...]
    by_camera: CameraTimes = field(default_factory=CameraTimes)

    @property
    def searched_share(self) -> float:
        """Searched part of the asked camera-time, 0..1; 0 when nothing was asked."""
        return self.searched_camera_hours / self.asked_camera_hours if self.asked_camera_hours else 0.0


class Footage:
    """The camera-time of an archive, sorted once and measured often.

    Args:
        snapshot: the catalogue.
        damaged: names of segments that could not be read, besides those in quarantine.
    """

    def __init__(self, snapshot: Snapshot, damaged: Collection[str] = ()) -> None:
        self._snapshot = snapshot
        self._keys = sorted(snapshot.places | {(clip.district, clip.camera) for clip in snapshot.clips})
        self._names = ["/".join(key) for key in self._keys]
        number = {key: place for place, key in enumerate(self._keys)}
        self._expiry = np.array([snapshot.expired_until(key) for key in self._keys], np.int64)
        stretches = [
            *_indexed(snapshot, damaged, number),
            *_not_indexed(snapshot.failures, FAILED_CLIP, number),
            *_not_indexed(snapshot.waiting, NOT_INDEXED, number),
            *_forgotten(snapshot, self._expiry, number),
        ]
        ends = [
            (number[clip.district, clip.camera], clip.start_ms, clip.end_ms)
            for clip in map(snapshot.clocks.clip, snapshot.clips)
        ]
        ends += [
            (each.camera, each.start_ms, each.end_ms)
            for each in stretches if _STATES[each.layer] in (FAILED_CLIP, NOT_INDEXED, _FORGOTTEN)
        ]  # fmt: skip
        self._clips = np.array(ends, np.int64).reshape(-1, 3)
        stretches += [
            Stretch(place, 0, until, _STATES.index(EXPIRED))
            for place, until in enumerate(self._expiry.tolist()) if until
        ]  # fmt: skip
        stretches += _erased(snapshot, self._keys)
        self._pieces = Pieces(stretches, len(_STATES), _states)
        self._slack = np.array([snapshot.clocks.slack.get(key, 0) for key in self._keys], np.int64)
        self._failures = Unfinished(snapshot.failures, number)
        self._waiting = Unfinished(snapshot.waiting, number)

    def measure(
        self, districts: Collection[str], cameras: Collection[str], since_ms: int | None,
        until_ms: int | None, now_ms: int, keys: Collection[Key] | None = None,
    ) -> Coverage:  # fmt: skip
        """The coverage of a window.

        Args:
            districts: slugs asked.
            cameras: camera ids asked; empty: all of these districts.
            since_ms, until_ms: the window, milliseconds since 1970 UTC. With neither it is that of the
                known footage that has not expired; `since_ms` alone asks until now, `until_ms` alone from
                where such footage begins.
            now_ms: the present, in the same unit.
            keys: (district, camera id) asked, if more than districts and ids decides.
        """
        if keys is None:
            keys = {key for key in self._keys if key[0] in districts and (not cameras or key[1] in cameras)}
        asked = np.array([key in keys for key in self._keys], bool)
        since, until = self._window(asked, since_ms, until_ms, now_ms)
        window = max(until - since, 0)
        times = self._pieces.inside(since, until, len(self._keys), len(_STATES))
        found = {state: times[:, place] for place, state in enumerate(_STATES)}
        found[NO_FOOTAGE] = window - times.sum(axis=1)
        found[CLOCK_UNCERTAIN] = np.zeros(len(self._keys), np.int64)
        if self._slack.any() and (since_ms, until_ms) != (None, None):
            least = self._least_searched(found[_SEARCHED], since, until)
            found[CLOCK_UNCERTAIN], found[_SEARCHED] = found[_SEARCHED] - least, least
        missing = np.stack([found[reason] for reason in REASONS], axis=1)
        rows = np.flatnonzero(asked)
        by_camera = CameraTimes(
            tuple(self._keys[row] for row in rows.tolist()), window, found[_SEARCHED][rows], missing[rows]
        )
        failed, waiting = (
            clips.within(asked, districts, cameras, since, until, until_ms)
            for clips in (self._failures, self._waiting)
        )
        return Coverage(
            since, until, len(rows), len(rows) * window / _MS_PER_HOUR,
            float(by_camera.searched_ms.sum()) / _MS_PER_HOUR,
            (
                *self._measured(rows, missing, failed, waiting),
                *_unmeasurable(self._snapshot, districts, cameras),
            ),
            by_camera,
        )  # fmt: skip

    def _least_searched(self, searched: Ints, since: int, until: int) -> Ints:
        """(C,) milliseconds of the window that were searched however far off the clocks are."""
        least = searched
        for part in _PARTS:
            moved = np.round(self._slack * part).astype(np.int64)
            inside = self._pieces.inside(since + moved, until + moved, len(self._keys), len(_STATES))
            least = np.minimum(least, inside[:, _STATES.index(_SEARCHED)])
        return least

    def _window(
        self, asked: Bools, since_ms: int | None, until_ms: int | None, now_ms: int
    ) -> tuple[int, int]:
        camera, start, end = self._clips[asked[self._clips[:, 0]]].T
        kept = np.maximum(start, self._expiry[camera])
        there = (end > self._expiry[camera]) & (kept < (_NEVER if until_ms is None else until_ms))
        if there.any():  # else all of it has expired, and that is what must be told
            start, end = kept[there], end[there]
        begin = int(start.min(initial=_NEVER))
        begin = now_ms if begin == _NEVER else begin
        since = min(begin, now_ms if until_ms is None else until_ms) if since_ms is None else since_ms
        last = int(end.max(initial=-1))
        close = (last if last >= 0 else since) if since_ms is None else now_ms
        return since, max(close, since) if until_ms is None else until_ms

    def _measured(
        self, rows: NDArray[np.int64], missing: Ints, failed: Found, waiting: Found
    ) -> Iterator[Missing]:
        """By reason, the largest first."""
        amounts = missing[rows].sum(axis=0)
        for place in np.argsort(-amounts, kind="stable").tolist():
            reason, amount = REASONS[place], int(amounts[place])
            clips = {FAILED_CLIP: failed, NOT_INDEXED: waiting}.get(reason, NONE)
            if not amount and not clips.unmeasured:
                continue
            most = rows[np.argsort(-missing[rows, place], kind="stable")]
            names = [self._names[row] for row in most.tolist() if missing[row, place]]
            if reason == FAILED_CLIP:  # the file is what somebody must look at
                names = [name for name, row in failed.measured if missing[row, place]]
            hours = amount / _MS_PER_HOUR if amount else None
            yield Missing(reason, hours, (*names, *clips.unmeasured), len(clips.unmeasured))


def _states(covered: Bools) -> NDArray[np.int64]:
    """(N,) the state of pieces that these layers cover, (L, N); -1 where there is no footage."""
    known = covered[_FOOTAGE].any(axis=0)
    return np.where(known, covered.argmax(axis=0), -1)  # the first that covers it


def _indexed(snapshot: Snapshot, damaged: Collection[str], number: Mapping[Key, int]) -> Iterator[Stretch]:
    quarantined = {clip for entry in snapshot.segments if entry.quarantined for clip in entry.clips}
    unread = {clip for entry in snapshot.segments if entry.segment in damaged for clip in entry.clips}
    searched, held, bad = (_STATES.index(each) for each in (_SEARCHED, QUARANTINED, DAMAGED_SEGMENT))
    for clip in map(snapshot.clocks.clip, snapshot.clips):
        layer = held if clip.sha256 in quarantined else bad if clip.sha256 in unread else searched
        camera = number[clip.district, clip.camera]
        for start, end in clip.spans:
            yield Stretch(camera, start, end, layer)


def _not_indexed(
    clips: Iterable[ClipFailed | ClipWaiting], state: str, number: Mapping[Key, int]
) -> Iterator[Stretch]:
    for clip in clips:
        if clip.is_measured and clip.start_ms is not None and clip.end_ms is not None:
            camera = number[clip.district or "", clip.camera or ""]
            yield Stretch(camera, clip.start_ms, clip.end_ms, _STATES.index(state))


def _forgotten(snapshot: Snapshot, expiry: Ints, number: Mapping[Key, int]) -> Iterator[Stretch]:
    """From each camera's first footage on, up to where it has expired."""
    for each in snapshot.erasures:
        for camera, first in each.first_footage.items():
            place = number.get((each.district, camera), -1)
            if place >= 0 and first < expiry[place]:
                yield Stretch(place, first, int(expiry[place]), _STATES.index(_FORGOTTEN))


def _erased(snapshot: Snapshot, keys: Sequence[Key]) -> Iterator[Stretch]:
    asked = [each for each in snapshot.erasures if each.tracklet is None and not each.is_expiry]
    for place, (district, camera) in enumerate(keys):
        for each in asked:
            if each.district == district and (not each.cameras or camera in each.cameras):
                moved = snapshot.moved_ms(each, (district, camera))
                since, until = max(each.since_ms + moved, 0), max(each.until_ms + moved, 0)
                yield Stretch(place, since, until, _STATES.index(ERASED))


def _unmeasurable(snapshot: Snapshot, districts: Collection[str], cameras: Collection[str]) -> list[Missing]:
    """Places that were asked for and that the archive does not know."""
    known = {camera for district, camera in snapshot.places if district in districts}
    silent = tuple(sorted(set(districts) - {district for district, _ in snapshot.places}))
    strange = tuple(sorted(set(cameras) - known))
    return [
        Missing(reason, None, where)
        for reason, where in ((NO_CAMERA, silent), (UNKNOWN_CAMERA, strange)) if where
    ]  # fmt: skip
