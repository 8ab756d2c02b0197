"""What has expired of a district, and what the catalogue keeps of it. Knows no disk and no clock."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import date, datetime, time, timedelta
from typing import Any

from indexer.ledger import ClipDone, ClipFailed, ClipWaiting, checked_ms
from indexer.snapshot import Erasure, Snapshot
from indexer.times import SEOUL, milliseconds


@dataclass(frozen=True)
class Expired:
    """What leaves the ledger when a time of a district expires.

    Attributes:
        erasure: what is kept instead: up to which moment everything went.
        clips: sha256 of the clips whose rows go.
        unfinished: paths of the failed and waiting clips whose rows go.
    """

    erasure: Erasure
    clips: tuple[str, ...]
    unfinished: tuple[str, ...]


@dataclass(frozen=True)
class Retained:
    """What the catalogue knows of the runs of retention.

    Attributes:
        looked_ms: when retention last ran, milliseconds since 1970 UTC; 0: never.
        number: of the last proof; 0: there is none.
        sha256: of the last proof's bytes; empty without one.
        unwritten: its text as long as its file is not known to be written; None otherwise.
    """

    looked_ms: int = 0
    number: int = 0
    sha256: str = ""
    unwritten: str | None = None

    def pack(self) -> dict[str, Any]:
        """Plain values for the table."""
        return asdict(self)

    @classmethod
    def unpack(cls, value: Mapping[str, Any]) -> Retained:
        """What `pack` packed; raises TypeError or ValueError for something else."""
        found = cls(**value)
        checked_ms(found.looked_ms)
        return found


def first_day_kept(today: date, days: int) -> date:
    """The first of the last `days` local days, today among them: nothing kept is older than `days` times 24
    hours at any moment of today.
    """
    return today - timedelta(days=days - 1)


def midnight_ms(day: date) -> int:
    """Milliseconds since 1970 UTC at which a Seoul day begins."""
    return milliseconds(datetime.combine(day, time(), SEOUL))


def expiry(
    snapshot: Snapshot, district: str, until_ms: int, at_ms: int, offsets: Mapping[str, float],
    kept: Collection[str] = (),
) -> Expired:  # fmt: skip
    """What of a district leaves the ledger when everything up to a moment goes.

    Args:
        until_ms, at_ms: milliseconds since 1970 UTC; what expired before stays expired.
        offsets: of the clocks of its cameras.
        kept: sha256 of clips whose rows stay.
    """
    before = next((each for each in snapshot.erasures if each.runs and each.district == district), None)
    if before is not None:
        until_ms = max(until_ms, before.until_ms)
    clips = [
        clip for clip in map(snapshot.clocks.clip, snapshot.clips)
        if clip.district == district and clip.end_ms <= until_ms and clip.sha256 not in kept
    ]  # fmt: skip
    known: tuple[ClipFailed | ClipWaiting, ...] = (*snapshot.failures, *snapshot.waiting)
    unfinished = [
        each for each in known
        if each.district == district and each.is_measured and each.end_ms is not None
        and each.end_ms <= until_ms
    ]  # fmt: skip
    runs = before.runs if before else ()
    erasure = Erasure(
        district, (), 0, until_ms, None, at_ms, 0, 0, (), (), offsets,
        _first(before.first_footage if before else {}, [*clips, *unfinished]),
        runs if runs and runs[-1][0] == until_ms else (*runs, (until_ms, at_ms)),
    )  # fmt: skip
    return Expired(erasure, tuple(clip.sha256 for clip in clips), tuple(each.path for each in unfinished))


def _first(before: Mapping[str, int], gone: Iterable[ClipDone | ClipFailed | ClipWaiting]) -> dict[str, int]:
    """By camera, from when on there was footage whose rows are gone."""
    found = dict(before)
    for clip in gone:
        if clip.camera is not None and clip.start_ms is not None:
            found[clip.camera] = min(found.get(clip.camera, clip.start_ms), clip.start_ms)
    return dict(sorted(found.items()))
