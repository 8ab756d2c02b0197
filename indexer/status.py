"""How an archive stands: district by district what is indexed and what is not, and when its disk is full.

Every figure is counted in the catalogue or asked of the file system; what cannot be known is None. Changes
nothing.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from indexer.catalogue import Catalogue
from indexer.forecast import Disk, Filling, Growth, bytes_of_days, disk_of, growth_of
from indexer.ledger import ClipFailed, ClipWaiting
from indexer.purge import Days
from indexer.shard.files import ArchiveFiles
from indexer.snapshot import SegmentEntry, Snapshot
from indexer.times import from_milliseconds, local_day, to_local_iso

_MS_PER_HOUR = 3_600_000


@dataclass(frozen=True)
class Backlog:
    """Clips that are known and not indexed.

    Attributes:
        clips: how many.
        camera_hours: of those whose length their files state.
        unmeasured: how many of them state none.
    """

    clips: int = 0
    camera_hours: float = 0.0
    unmeasured: int = 0


@dataclass(frozen=True)
class DistrictStatus:
    """How a district stands.

    Attributes:
        district: slug.
        newest: the end of its newest indexed clip, ISO 8601; None when nothing is indexed.
        cameras, clips, tracklets, vectors, segments: in the archive now.
        waiting, failed: what is not indexed.
        quarantined: segments that no search reads.
        bytes: of its segments.
        growth: None when too few whole days are indexed to tell.
        keeps_days: by the settings.
    """

    district: str
    newest: str | None
    cameras: int
    clips: int
    tracklets: int
    vectors: int
    segments: int
    waiting: Backlog
    failed: Backlog
    quarantined: int
    bytes: int
    growth: Growth | None
    keeps_days: int


@dataclass(frozen=True)
class Status:
    """How an archive stands.

    Attributes:
        home: its folder.
        at: when, ISO 8601.
        districts: by slug.
        elsewhere: clips whose district nobody knows.
        disk: see there.
        last_purge: when retention last ran, ISO 8601; None: never. proofs: of what it removed.
        last_night: of the newest summary: `night`, `state`, `started`, `ended`, `exit_code`, `done`,
            `failed`, `not_reached`; None without one.
    """

    home: str
    at: str
    districts: tuple[DistrictStatus, ...]
    elsewhere: Backlog
    disk: Disk
    last_purge: str | None
    proofs: int
    last_night: dict[str, Any] | None

    def to_json(self) -> dict[str, Any]:
        """See docs/contracts.md."""
        return asdict(self)

    def rows(self) -> list[list[str]]:
        """A line for each district, see `HEADER`."""
        return [
            [
                each.district, (each.newest or "")[:16].replace("T", " "), f"{each.clips:,}",
                _shown(each.waiting), _shown(each.failed), str(each.quarantined or ""),
                f"{each.bytes / 1e6:,.1f}",
                f"{each.growth.bytes_a_day / 1e6:,.1f}" if each.growth else "unknown", str(each.keeps_days),
            ]
            for each in self.districts
        ]  # fmt: skip

    def notes(self) -> list[str]:
        """What concerns the archive as a whole."""
        disk, night = self.disk, self.last_night
        told = [
            f"disk: {disk.free / 1e9:,.1f} of {disk.total / 1e9:,.1f} GB free; segments take"
            f" {disk.segments / 1e9:,.3f} GB, the catalogue {disk.catalogue / 1e9:,.3f} GB",
            f"disk full: {disk.forecast}",
            f"last purge: {self.last_purge or 'never'}; {self.proofs} proofs",
        ]
        if self.elsewhere.clips:
            told.append(f"not indexed, of unknown place: {_shown(self.elsewhere)}")
        if night:
            code = "not ended" if night["exit_code"] is None else f"exit code {night['exit_code']}"
            told.append(
                f"last night, {night['started']}: {night['state']}, {code}; {night['done']} clips indexed,"
                f" {night['failed']} failed, {night['not_reached']} left"
            )
        return told


HEADER = (
    "district", "newest", "clips", "waiting", "failed", "quarantined", "MB", "MB a day", "keeps days",
)  # fmt: skip
"""Of `Status.rows`."""


def _shown(backlog: Backlog) -> str:
    if not backlog.clips:
        return ""
    unknown = f", {backlog.unmeasured} of unknown length" if backlog.unmeasured else ""
    return f"{backlog.clips:,} ({backlog.camera_hours:,.1f} h{unknown})"


def read_status(
    archive: ArchiveFiles, days: Days, now: Callable[[], datetime] = lambda: datetime.now(UTC),
    catalogue: Catalogue | None = None,
) -> Status:  # fmt: skip
    """How the archive stands now.

    Args:
        days: how many are kept.
        catalogue: of the archive, if this process has it open: LMDB opens a file once.

    Raises:
        ArchiveError: there is none, or its catalogue cannot be read.
    """
    moment = now()
    with nullcontext(catalogue) if catalogue else Catalogue(archive) as opened:
        snapshot, retained = opened.snapshot(), opened.retained
    today = local_day(moment)
    unfinished: tuple[ClipFailed | ClipWaiting, ...] = (*snapshot.failures, *snapshot.waiting)
    names = {place[0] for place in snapshot.places} | {entry.district for entry in snapshot.segments}
    known = sorted(names | {each.district for each in unfinished if each.district is not None})
    failed, waiting = _backlogs(snapshot.failures), _backlogs(snapshot.waiting)
    of_day = bytes_of_days(snapshot.segments)
    counted = _Counted(snapshot)
    districts = tuple(
        counted.district(
            name, waiting.get(name, Backlog()), failed.get(name, Backlog()),
            growth_of(of_day[name], today), days[name],
        )
        for name in known
    )  # fmt: skip
    fillings = [Filling(each.district, each.bytes, each.growth, each.keeps_days) for each in districts]
    lost = [each for each in unfinished if each.district is None]
    return Status(
        str(archive.home), to_local_iso(moment), districts, _backlog(lost), disk_of(archive, fillings, today),
        to_local_iso(from_milliseconds(retained.looked_ms)) if retained.looked_ms else None, retained.number,
        _last_night(archive),
    )  # fmt: skip


class _Counted:
    """What a snapshot holds of each district."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.newest: dict[str, int] = defaultdict(int)
        self.clips: Counter[str] = Counter()
        for clip in map(snapshot.clocks.clip, snapshot.clips):
            self.clips[clip.district] += 1
            self.newest[clip.district] = max(self.newest[clip.district], clip.end_ms)
        self.cameras = Counter(district for district, _ in snapshot.cameras)
        self.segments: dict[str, list[SegmentEntry]] = defaultdict(list)
        for entry in snapshot.segments:
            self.segments[entry.district].append(entry)

    def district(
        self, name: str, waiting: Backlog, failed: Backlog, growth: Growth | None, keeps_days: int
    ) -> DistrictStatus:
        """One district's state, with what waits and failed there."""
        entries = self.segments[name]
        newest = self.newest.get(name)
        return DistrictStatus(
            name, to_local_iso(from_milliseconds(newest)) if newest else None, self.cameras[name],
            self.clips[name], sum(entry.tracklets for entry in entries),
            sum(entry.vectors for entry in entries), len(entries), waiting, failed,
            sum(entry.quarantined is not None for entry in entries),
            sum(entry.bytes for entry in entries if entry.seal), growth, keeps_days,
        )  # fmt: skip


def _backlogs(clips: Iterable[ClipFailed | ClipWaiting]) -> dict[str, Backlog]:
    found: dict[str, list[ClipFailed | ClipWaiting]] = defaultdict(list)
    for clip in clips:
        if clip.district is not None:
            found[clip.district].append(clip)
    return {district: _backlog(theirs) for district, theirs in found.items()}


def _backlog(clips: Sequence[ClipFailed | ClipWaiting]) -> Backlog:
    lengths = [
        clip.end_ms - clip.start_ms for clip in clips if clip.start_ms is not None and clip.end_ms is not None
    ]
    return Backlog(len(clips), sum(lengths) / _MS_PER_HOUR, len(clips) - len(lengths))


def _last_night(archive: ArchiveFiles) -> dict[str, Any] | None:
    """Of the newest summary that can be read."""
    for path in sorted(archive.nights(), reverse=True):
        try:
            told = json.loads(path.read_bytes())
            return {
                name: told[key]
                for name, key in (
                    ("night", "night"), ("state", "state"), ("started", "started"), ("ended", "ended"),
                    ("exit_code", "exit_code"), ("done", "done"), ("failed", "failed_count"),
                    ("not_reached", "not_reached"),
                )
            }  # fmt: skip
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return None
