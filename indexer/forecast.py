"""How fast an archive grows and when its disk is full, by what whole days of footage have taken so far.

Owns the arithmetic; a forecast without enough days is told as unknown.
"""

from __future__ import annotations

import shutil
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import NamedTuple

from indexer.shard.files import ArchiveFiles
from indexer.snapshot import SegmentEntry
from reid.errors import storage_errors

MOST_DAYS, LEAST_DAYS = 7, 3
"""So many whole days of footage growth is measured on, if there are at least so few."""

_FORESEEN = 3650  # days; what is further off is told as not foreseen


@dataclass(frozen=True)
class Growth:
    """What a day of footage takes on the disk.

    Attributes:
        bytes_a_day: of the segments of the measured days, divided by `days`.
        days: whole local days that were measured, those without footage between them included.
        last: the last of them, ISO 8601.
    """

    bytes_a_day: float
    days: int
    last: str


@dataclass(frozen=True)
class Disk:
    """The disk of the archive.

    Attributes:
        total, free: bytes, by the file system.
        segments, catalogue: bytes the archive's segments and its catalogue take.
        bytes_a_day: by which the segments grow with each day of footage; None when nobody can tell.
        full_on: ISO 8601 day on which it is full if each day brings as much and `reid purge` keeps to the
            settings; None when it is not foreseen.
        forecast: in words, with what it is computed from.
    """

    total: int
    free: int
    segments: int
    catalogue: int
    bytes_a_day: float | None
    full_on: str | None
    forecast: str


class Filling(NamedTuple):
    """A district: its name, bytes of its segments, how they grow, and how many days are kept."""

    district: str
    bytes: int
    growth: Growth | None
    keeps_days: int


def bytes_of_days(entries: Iterable[SegmentEntry]) -> dict[str, dict[date, int]]:
    """By district and local day, what its segments take."""
    found: dict[str, dict[date, int]] = defaultdict(lambda: defaultdict(int))
    for entry in entries:
        if entry.seal:
            found[entry.district][date.fromisoformat(entry.day)] += entry.bytes
    return found


def growth_of(of_day: Mapping[date, int], today: date) -> Growth | None:
    """What a day takes, of the bytes of each day; today, which is not over, does not count."""
    whole = {day: size for day, size in of_day.items() if day < today}
    if not whole:
        return None
    last = max(whole)
    first = max(min(whole), last - timedelta(days=MOST_DAYS - 1))
    days = (last - first).days + 1
    if days < LEAST_DAYS:
        return None
    measured = sum(size for day, size in whole.items() if day >= first)
    return Growth(measured / days, days, last.isoformat())


def disk_of(archive: ArchiveFiles, districts: Sequence[Filling], today: date) -> Disk:
    """The disk, and the forecast.

    Raises:
        StorageError: it cannot be asked.
    """
    with storage_errors(archive.home):
        usage = shutil.disk_usage(archive.home)
        catalogue = archive.catalogue.stat().st_blocks * 512
    segments = sum(each.bytes for each in districts)
    known = [(each.bytes, each.growth, each.keeps_days) for each in districts if each.growth]
    unknown = [each.district for each in districts if each.bytes and not each.growth]
    if unknown or not known:
        where = ", ".join(unknown) or "any district"
        told = f"unknown: fewer than {LEAST_DAYS} whole days are indexed of {where}"
        return Disk(usage.total, usage.free, segments, catalogue, None, None, told)
    grows = sum(growth.bytes_a_day for _, growth, _ in known)
    basis = (
        f"{grows / 1e6:,.1f} MB of segments a day, the mean of the last whole days (at most {MOST_DAYS}) of"
        " each district; if reid purge runs each night, and nothing else fills the disk"
    )
    days = days_until_full([(size, growth.bytes_a_day, kept) for size, growth, kept in known], usage.free)
    full_on = None if days is None else (today + timedelta(days=days)).isoformat()
    told = f"full on {full_on}" if full_on else f"not foreseen within {_FORESEEN // 365} years"
    return Disk(usage.total, usage.free, segments, catalogue, grows, full_on, f"{told}: {basis}")


def days_until_full(districts: Sequence[tuple[int, float, int]], free: int) -> int | None:
    """After how many days the free bytes are used up; None: not within ten years.

    Args:
        districts: of each, bytes now, bytes a day, days kept: it grows until the days kept are all there,
            and then what comes goes. free: bytes.
    """
    for days in range(1, _FORESEEN + 1):
        more = sum(
            max(0.0, min(size + a_day * days, max(float(size), a_day * kept)) - size)
            for size, a_day, kept in districts
        )
        if more >= free:
            return days
    return None
