"""Where, when and in which colours to look: checked once, applied to cameras, segments and rows."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from functools import reduce
from itertools import compress
from operator import and_
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from indexer.cameras import Camera
from indexer.clothes import UNKNOWN
from indexer.distances import distances_m
from indexer.districts import Districts
from indexer.rowmask import RowMask
from indexer.shard.columns import Clothes, Name
from indexer.snapshot import SegmentEntry, Snapshot
from indexer.times import from_milliseconds, to_local_iso
from reid.errors import InputError

Key = tuple[str, str]
"""District and camera id."""


class Columns(Protocol):
    """Columns of a segment by name; all of it lies between `start_ms` and `end_ms`."""

    start_ms: int
    end_ms: int

    def __getitem__(self, name: Name, /) -> NDArray[Any]: ...

    def coloured(self, name: Clothes, colours: int) -> RowMask:
        """The rows whose clothes have one of these colours, or may."""
        ...


def default_districts(districts: Districts, holding: Collection[str]) -> tuple[str, ...]:
    """Slugs to search when nobody names a district: the active ones, and those that hold cameras.

    Args:
        districts: all there are.
        holding: slugs of districts with cameras in the archive; their footage must not be left out unsaid.
    """
    return tuple(row.slug for row in districts.all if row.active or row.slug in holding)


@dataclass(frozen=True)
class Near:
    """Within a radius around a point.

    Attributes:
        latitude, longitude: degrees, WGS 84.
        metres: the radius.

    Raises:
        InputError: no such point, or no radius.
    """

    latitude: float
    longitude: float
    metres: float

    def __post_init__(self) -> None:
        if not (-90 <= self.latitude <= 90 and -180 <= self.longitude <= 180):
            raise InputError(
                "expected latitude -90..90 and longitude -180..180, got"
                f" {self.latitude:g}, {self.longitude:g}"
            )
        if not 0 < self.metres < 1e6:
            raise InputError(f"expected a radius above 0 and below 1,000 km, got {self.metres:g} m")

    def hold(self, cameras: Sequence[Camera]) -> list[bool | None]:
        """Is each camera within the radius? None when nobody knows where it is."""
        places = np.array(
            [(camera.latitude, camera.longitude) for camera in cameras], np.float64
        ).reshape(-1, 2)  # fmt: skip
        metres = distances_m(self.latitude, self.longitude, places[:, 0], places[:, 1])
        return [None if each != each else each <= self.metres for each in metres.tolist()]


@dataclass(frozen=True)
class Filters:
    """The asked scope.

    Attributes:
        districts: slugs, at least one.
        cameras: camera ids; empty: every camera of these districts.
        since_ms, until_ms: milliseconds since 1970 UTC, half-open [since, until); None: no bound. A
            tracklet counts when any part of it lies inside, or may by the uncertainty of its camera's clock.
        near: only cameras within this radius; one whose place is unknown is left out, and told.
        upper, lower: sets of colours as `indexer.clothes`, any of which the clothes may have; empty: any. A
            tracklet whose colours are unknown always counts.

    Raises:
        InputError: no district, or the window ends before it begins.
    """

    districts: tuple[str, ...]
    cameras: tuple[str, ...] = ()
    since_ms: int | None = None
    until_ms: int | None = None
    near: Near | None = None
    upper: int = UNKNOWN
    lower: int = UNKNOWN

    def __post_init__(self) -> None:
        if not self.districts:
            raise InputError("expected at least one district, got none")
        if self.since_ms is not None and self.until_ms is not None and self.until_ms <= self.since_ms:
            since, until = (to_local_iso(from_milliseconds(ms)) for ms in (self.since_ms, self.until_ms))
            raise InputError(
                f"the window from {since} to {until} is empty or reversed; --until must be later than --since"
            )

    def within(self, snapshot: Snapshot) -> Scope:
        """These filters applied to an archive's cameras."""
        asked = {
            key for key in snapshot.places
            if key[0] in self.districts and (not self.cameras or key[1] in self.cameras)
        }  # fmt: skip
        if self.near is None:
            return Scope(self, frozenset(asked), ())
        known = snapshot.cameras
        placed = [key for key in asked if key in known]
        inside = dict(zip(placed, self.near.hold([known[key] for key in placed]), strict=True))
        return Scope(
            self, frozenset(key for key, is_inside in inside.items() if is_inside),
            tuple(sorted(key for key in asked if inside.get(key) is None)),
        )  # fmt: skip


class _Chosen(NamedTuple):
    """Which of some cameras count: one by one, as (C,), whether some do and whether every one does."""

    kept: list[bool]
    mask: NDArray[np.bool_]
    some: bool
    every: bool


@dataclass(frozen=True)
class Scope:
    """Filters applied to the cameras of an archive.

    Attributes:
        filters: see there.
        keys: the cameras asked.
        unplaced: cameras left out because nobody knows where they are.
    """

    filters: Filters
    keys: frozenset[Key]
    unplaced: tuple[Key, ...]
    _chosen: dict[tuple[str, tuple[str, ...]], _Chosen] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    @property
    def is_partial(self) -> bool:
        """Are some cameras of the districts left out?"""
        return bool(self.filters.cameras) or self.filters.near is not None

    def wants(self, entry: SegmentEntry) -> bool:
        """Does this segment, of the asked districts and time, show a camera in scope?"""
        return self._chosen_of(entry).some

    def cameras_of(self, entry: SegmentEntry) -> NDArray[np.bool_] | None:
        """(C,) which of a segment's cameras count; None when all do."""
        if not self.is_partial:
            return None
        chosen = self._chosen_of(entry)
        return None if chosen.every else chosen.mask

    def rows_at_most(self, entry: SegmentEntry) -> int:
        """How many of a segment's rows can count, told by its cameras alone."""
        if not self.is_partial:
            return entry.vectors
        return sum(compress(entry.rows_by_camera, self._chosen_of(entry).kept))

    def _chosen_of(self, entry: SegmentEntry) -> _Chosen:
        """Found once for all segments of the same cameras: there are hundreds, each of them asked thrice."""
        key = entry.district, entry.cameras
        found = self._chosen.get(key)
        if found is None:
            kept = [(entry.district, camera) in self.keys for camera in entry.cameras]
            found = self._chosen[key] = _Chosen(kept, np.array(kept, bool), any(kept), all(kept))
        return found

    def all_rows(self, start_ms: NDArray[np.int64], end_ms: NDArray[np.int64]) -> NDArray[np.bool_]:
        """(S,) of segments of the asked districts with these first and last times: do all rows count?"""
        since, until = self.filters.since_ms, self.filters.until_ms
        if self.is_partial or self.filters.upper or self.filters.lower:
            return np.zeros(len(start_ms), bool)
        inside = np.ones(len(start_ms), bool) if since is None else start_ms >= since
        return inside if until is None else inside & (end_ms < until)

    def within_time(self, start_ms: int, end_ms: int) -> bool:
        """Does all between these moments lie in the window?"""
        since, until = self.filters.since_ms, self.filters.until_ms
        return (since is None or start_ms >= since) and (until is None or end_ms < until)

    def rows(self, entry: SegmentEntry, columns: Columns) -> RowMask | None:
        """Which rows of a segment count; None when all do.

        Args:
            columns: of the segment; asked only as needed.
        """
        kept: list[RowMask] = []
        cameras = self.cameras_of(entry)
        if cameras is not None:
            kept.append(RowMask.of(cameras[columns["camera"]]))
        if not self.within_time(columns.start_ms, columns.end_ms):
            if self.filters.since_ms is not None:
                kept.append(RowMask.of(columns["end"] >= self.filters.since_ms))
            if self.filters.until_ms is not None:
                kept.append(RowMask.of(columns["start"] < self.filters.until_ms))
        if self.filters.upper:
            kept.append(columns.coloured("upper", self.filters.upper))
        if self.filters.lower:
            kept.append(columns.coloured("lower", self.filters.lower))
        if not kept:
            return None
        keep = reduce(and_, kept)
        return None if keep.count == keep.rows else keep
