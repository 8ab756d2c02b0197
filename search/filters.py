"""Where and when to look: checked once, applied to segments and rows."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from indexer.catalogue import SegmentEntry
from indexer.districts import Districts
from indexer.shard.reader import Segment
from indexer.times import from_milliseconds, to_local_iso
from reid.errors import InputError


def default_districts(districts: Districts, holding: Collection[str]) -> tuple[str, ...]:
    """Slugs to search when nobody names a district: the active ones, and those that hold cameras.

    Args:
        districts: all there are.
        holding: slugs of districts with cameras in the archive; their footage must not be left out unsaid.
    """
    return tuple(row.slug for row in districts.all if row.active or row.slug in holding)


@dataclass(frozen=True)
class Filters:
    """The asked scope.

    Attributes:
        districts: slugs, at least one.
        cameras: camera ids; empty: every camera of these districts.
        since_ms, until_ms: milliseconds since 1970 UTC, half-open [since, until); None: no bound. A
            tracklet counts when any part of it lies inside.

    Raises:
        InputError: no district, or the window ends before it begins.
    """

    districts: tuple[str, ...]
    cameras: tuple[str, ...] = ()
    since_ms: int | None = None
    until_ms: int | None = None

    def __post_init__(self) -> None:
        if not self.districts:
            raise InputError("expected at least one district, got none")
        if self.since_ms is not None and self.until_ms is not None and self.until_ms <= self.since_ms:
            since, until = (to_local_iso(from_milliseconds(ms)) for ms in (self.since_ms, self.until_ms))
            raise InputError(
                f"the window from {since} to {until} is empty or reversed; --until must be later than --since"
            )

    def wants(self, entry: SegmentEntry) -> bool:
        """Could this segment hold anything in scope? Decided without opening it."""
        return (
            entry.district in self.districts
            and (not self.cameras or not set(self.cameras).isdisjoint(entry.cameras))
            and (self.since_ms is None or entry.end_ms >= self.since_ms)
            and (self.until_ms is None or entry.start_ms < self.until_ms)
        )

    def rows(self, segment: Segment) -> NDArray[np.intp] | None:
        """The rows in scope, ascending; None when all of them are."""
        columns = segment.columns
        keep = np.ones(len(columns.start), bool)
        if self.cameras:
            wanted = [i for i, camera in enumerate(segment.manifest.cameras) if camera in self.cameras]
            keep &= np.isin(columns.camera, wanted)
        if self.since_ms is not None:
            keep &= columns.end >= self.since_ms
        if self.until_ms is not None:
            keep &= columns.start < self.until_ms
        return None if keep.all() else np.flatnonzero(keep)
