"""Retention: what is older than its district keeps goes, whole days at a time, with a proof.

Owns the order of events: segments and rows of the ledger leave in one transaction, which also holds the
proof; then the folders go; then the proof is put into its file. Killed anywhere, the next run finishes. Knows
no case: what is held, the caller says.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from indexer.catalogue import Catalogue, writer_lock
from indexer.erasure import Parted, offsets, part, touches
from indexer.expiry import Expired, Retained, expiry, first_day_kept, midnight_ms
from indexer.generations import let_follow
from indexer.proofs import next_proof, proof_path, write_proof
from indexer.purge import Days, DistrictPurge, Hold, Order, Purge
from indexer.rewriting import remove_folders, remove_leftovers
from indexer.shard.files import ArchiveFiles
from indexer.snapshot import Snapshot
from indexer.times import from_milliseconds, local_day, milliseconds, to_local_iso
from reid.errors import ClockError, InputError, UnknownNameError

Progress = Callable[[int, int], None]

_TOLERANCE_MS = 10 * 60_000  # by which clocks of two machines may differ
_FAR_DAYS = 7  # longer without a run or new footage, and somebody must look at the clock
_DAY_MS = 86_400_000


def purge(
    archive: ArchiveFiles, days: Days, order: Order, holds: Sequence[Hold] = (),
    progress: Progress = lambda done, of: None, now: Callable[[], datetime] = lambda: datetime.now(UTC), *,
    dry_run: bool = False,
) -> Purge:  # fmt: skip
    """Remove what has expired. Safe to stop; a rerun finishes.

    Args:
        days: how many are kept.
        order: whose, and of what.
        holds: sightings of open cases, whose copies the caller has read. The archive's own copy goes with its
            day; that of the case stays, and the ledger's row of the clip, so that an export finds the
            original.
        progress: told (segments looked at, of how many), district by district.
        now: the clock, aware UTC.
        dry_run: only tell what would go.

    Raises:
        ClockError: the clock cannot be right; nothing is removed.
        InputError: a day that has not ended.
        UnknownNameError: a district that is not in the archive.
        StorageError: no archive, another writer, or the disk refused; a rerun goes on.
    """
    moment = now()
    if dry_run:
        with Catalogue(archive) as catalogue:
            snapshot, retained = catalogue.snapshot(), catalogue.retained
        _check_clock(snapshot, retained, order, moment)
        return _told(_work(archive, snapshot, days, order, holds, moment, progress, False), order, moment)
    with Catalogue(archive, "write") as catalogue, writer_lock(archive):
        snapshot = catalogue.snapshot()
        remove_leftovers(archive, snapshot)
        retained = _finish(archive, catalogue, catalogue.retained)
        _check_clock(snapshot, retained, order, moment)
        work = _work(archive, snapshot, days, order, holds, moment, progress, True)
        found = replace(_told(work, order, moment), dry_run=False)
        after = replace(retained, looked_ms=milliseconds(moment))
        if found.districts:
            after = next_proof(retained, _proof(found, days, order), milliseconds(moment))
            path = str(proof_path(archive, after.number))
            found = replace(found, proof=path, sha256=after.sha256)
        _carry_out(archive, catalogue, work, after)
        let_follow(archive, catalogue.snapshot())
    return found


@dataclass(frozen=True)
class _Work:
    """What a run removes, district by district, and which held sightings are among it."""

    expired: tuple[Expired, ...]
    parted: tuple[Parted, ...]
    held: tuple[tuple[str, str], ...]


def _work(
    archive: ArchiveFiles, snapshot: Snapshot, days: Days, order: Order, holds: Sequence[Hold],
    moment: datetime, progress: Progress, write: bool,
) -> _Work:  # fmt: skip
    today = local_day(moment)
    if order.before is not None and order.before > today:
        raise InputError(f"expected a day until {today}, got {order.before}, before which time goes on")
    expired, parted, held = [], [], []
    for district in _districts(snapshot, order):
        first = order.before or first_day_kept(today, days[district])
        mine = [hold for hold in holds if hold.district == district]
        goes = expiry(
            snapshot, district, midnight_ms(first), milliseconds(moment),
            offsets(snapshot, district, ()), {hold.clip for hold in mine},
        )  # fmt: skip
        asked = replace(goes.erasure, first_footage={}, runs=())
        entries = [
            entry for entry in snapshot.segments
            if entry.district == district and touches(snapshot.clocks, entry, 0, asked.until_ms)
        ]  # fmt: skip
        expired.append(goes)
        parted.append(part(archive, snapshot, asked, entries, progress, write=write))
        held += [(hold.case, hold.tracklet) for hold in mine if _goes_now(snapshot, hold, asked.until_ms)]
    return _Work(tuple(expired), tuple(parted), tuple(held))


def _goes_now(snapshot: Snapshot, hold: Hold, until_ms: int) -> bool:
    start_ms = hold.start_ms + snapshot.clocks.shifts.get(hold.clip, 0)
    return snapshot.expired_until((hold.district, hold.camera)) <= start_ms < until_ms


def _districts(snapshot: Snapshot, order: Order) -> list[str]:
    known = {district for district, _ in snapshot.places} | {entry.district for entry in snapshot.segments}
    for district in order.districts:
        if district not in known:
            raise UnknownNameError("district of this archive", district, sorted(known))
    return sorted(set(order.districts) or known)


def _carry_out(archive: ArchiveFiles, catalogue: Catalogue, work: _Work, after: Retained) -> None:
    sealed = [one for each in work.parted for one in each.sealed]
    gone = [entry for each in work.parted for entry in each.gone]
    lost = {name: why for each in work.parted for name, why in each.lost.items()}
    catalogue.expire([entry.segment for entry in gone], sealed, lost, work.expired, after)
    kept = {one.manifest.segment for one in sealed}
    remove_folders(archive, (entry for entry in gone if entry.segment not in kept))
    remove_folders(archive, (entry for each in work.parted for entry in each.unreadable))
    _finish(archive, catalogue, after)


def _finish(archive: ArchiveFiles, catalogue: Catalogue, retained: Retained) -> Retained:
    """What the last run removed is gone, so its proof may be read."""
    if retained.unwritten is None:
        return retained
    written = write_proof(archive, retained)
    catalogue.retention_seen(written)
    return written


def _told(work: _Work, order: Order, moment: datetime) -> Purge:
    found = [_district(*each) for each in zip(work.expired, work.parted, strict=True)]
    going = tuple(each for each in found if not each.is_empty)
    return Purge(to_local_iso(moment), order.by, True, going, work.held)


def _district(expired: Expired, parted: Parted) -> DistrictPurge:
    what = expired.erasure
    return DistrictPurge(
        what.district, to_local_iso(from_milliseconds(what.until_ms)),
        tuple(sorted({entry.day for entry in (*parted.gone, *parted.unreadable)})),
        parted.tracklets, parted.vectors, parted.bytes, len(expired.clips), len(expired.unfinished),
        parted.removed, parted.replaced, tuple(parted.lost),
    )  # fmt: skip


def _proof(found: Purge, days: Days, order: Order) -> dict[str, Any]:
    """What a proof says; see docs/contracts.md."""
    kept = {each.district: days[each.district] for each in found.districts}
    told = found.to_json()
    return {
        "at": found.at, "by": found.by, "clock_is_right": order.clock_is_right,
        "before": str(order.before) if order.before else None, "retention_days": kept,
        "districts": told["districts"], "held": told["held"],
    }  # fmt: skip


def _check_clock(snapshot: Snapshot, retained: Retained, order: Order, moment: datetime) -> None:
    """Is the clock plausible by what is known to have happened? By it whole days are deleted."""
    if order.clock_is_right:
        return
    now_ms, shown = milliseconds(moment), to_local_iso(moment)
    newest = max((snapshot.clocks.clip(clip).end_ms for clip in snapshot.clips), default=0)
    advice = "nothing was removed: set the clock, or, if it is right, give --clock-is-right"
    for known_ms, what in ((newest, "newest footage"), (retained.looked_ms, "last purge")):
        if now_ms < known_ms - _TOLERANCE_MS:
            raise ClockError(f"the clock says {shown}, but the {what} is of {_iso(known_ms)}; {advice}")
    last = max(newest, retained.looked_ms)
    if last and now_ms - last > _FAR_DAYS * _DAY_MS:
        raise ClockError(
            f"the clock says {shown}, {(now_ms - last) // _DAY_MS} days after the newest footage and the last"
            f" purge ({_iso(last)}); more than {_FAR_DAYS} days are not taken on trust; {advice}"
        )


def _iso(moment_ms: int) -> str:
    return to_local_iso(from_milliseconds(moment_ms))
