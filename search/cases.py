"""Cases: whom somebody looks for, with the photos and what was confirmed and rejected, in one LMDB file.

A case holds copies of the sightings that were judged, so that footage may expire while the case goes on; they
and the photos go with the case. One process at a time has the file open, for moments only, and each change is
one transaction. Knows no ranking; accounts and permissions are not its part.
"""

from __future__ import annotations

import fcntl
import os
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from indexer.cameras import check_name
from indexer.keyvalue import KeyValueFile, Table
from indexer.ledger import checked_ms
from indexer.shard.files import ArchiveFiles
from indexer.times import from_milliseconds, to_local_iso
from reid.closing import Closing
from reid.durable import sync_folder
from reid.errors import DamagedError, FormatError, InputError, StorageError, UnknownNameError, storage_errors
from search.case import (
    Approval,
    Case,
    CasePhoto,
    CaseSighting,
    Mandate,
    Step,
    pack_mandate,
    pack_photo,
    pack_sighting,
    read_approval,
    read_mandate,
    read_photo,
    read_sighting,
)
from search.judged import Judged, Verdict, contradiction
from search.leads import Lead, read_lead
from search.sealing import PhotoKey, photo_key

FORMAT_VERSION = 2
TABLES = ("meta", "cases", "photos", "sightings", "approvals", "leads", "shown")
_OF_A_CASE = TABLES[2:]  # their keys begin with its id

_TURNS: defaultdict[Path, threading.Lock] = defaultdict(threading.Lock)
"""Threads of this process take turns without polling."""

_UNSEALED = 1  # the format in which photos were not sealed
_WAIT_S, _PAUSE_S = 10.0, 0.02  # for another process that has the cases open


class Cases(Closing):
    """The cases of an archive, open: nobody else has them open meanwhile, so close them soon.

    Args:
        archive: must exist; an archive without cases is one with none.
        wait_s: how long to wait for another process.

    Raises:
        StorageError: another process has them open all that time, or the disk refuses.
        FormatError: written by a release with another format.
        DamagedError: the file is not intact.
    """

    def __init__(self, archive: ArchiveFiles, wait_s: float = _WAIT_S) -> None:
        self._archive = archive
        self._turn = _TURNS[archive.cases_lock]
        if not self._turn.acquire(timeout=wait_s):
            raise _busy(archive)
        try:
            self._lock = _locked(archive, wait_s)
        except BaseException:
            self._turn.release()
            raise
        try:
            self._file = self._opened()
            if self._meta("format_version") == _UNSEALED:
                self._seal_all()
            if self._meta("unfinished"):
                self._purge()
        except BaseException:
            self._release()
            raise

    def close(self) -> None:
        """Let others in."""
        self._file.close()
        self._release()

    def _release(self) -> None:
        os.close(self._lock)
        self._turn.release()

    def _opened(self) -> KeyValueFile:
        path = self._archive.cases
        with KeyValueFile(path, ("meta",)) as file, file.write() as tables:
            version = tables["meta"].get("format_version")
            if version is None:
                tables["meta"].put("format_version", FORMAT_VERSION)
            elif version not in (_UNSEALED, FORMAT_VERSION):
                raise FormatError(
                    f"{path}: format version {version}, this release reads {FORMAT_VERSION}; use the release"
                    " that wrote it"
                )
        return KeyValueFile(path, TABLES)

    def _meta(self, key: str) -> Any:
        with self._file.read() as tables:
            return tables["meta"].get(key)

    def ids(self) -> tuple[str, ...]:
        """Ids of all cases, in their order."""
        with self._file.read() as tables:
            return tuple(key for key, _ in tables["cases"].under(""))

    def get(self, case_id: str, pictures: bool = False) -> Case:
        """All of a case.

        Args:
            pictures: open its photos too; else they come without their pictures, and no key is needed.

        Raises:
            UnknownNameError: no such case.
            DamagedError: what is kept of it is not what was stored.
            StorageError: the key of the photos is not there.
        """
        with self._telling_damage(), self._file.read() as tables:
            value = _known(tables["cases"], case_id)
            key = self._key(tables) if pictures else None
            return Case(
                case_id, checked_ms(value["opened_ms"]),
                None if value["closed_ms"] is None else checked_ms(value["closed_ms"]),
                tuple(sorted(
                    (read_photo(place, each, key) for place, each in tables["photos"].under(f"{case_id}/")),
                    key=lambda photo: photo.added_ms,
                )),
                tuple(sorted(
                    (read_sighting(place, each) for place, each in tables["sightings"].under(f"{case_id}/")),
                    key=lambda each: (each.judged.record.start_ms, each.judged.record.id),
                )),
                read_mandate(value.get("mandate")),
                tuple(sorted(
                    (read_approval(each) for _, each in tables["approvals"].under(f"{case_id}/")),
                    key=lambda approval: approval.asked_ms,
                )),
                tuple(sorted(
                    (read_lead(each, tables["shown"].get(place))
                     for place, each in tables["leads"].under(f"{case_id}/")),
                    key=lambda lead: (lead.start_ms, lead.tracklet),
                )),
            )  # fmt: skip

    def open_case(self, case_id: str, at_ms: int, mandate: Mandate) -> None:
        """Open a new case.

        Raises:
            InputError: no id for a case, or there is one of this id.
        """
        case_id = check_case_id(case_id)
        with self._telling_damage(), self._file.write() as tables:
            if tables["cases"].get(case_id) is not None:
                raise InputError(f"case {case_id} is there already; choose another id, or use that case")
            tables["cases"].put(case_id, _case_row(at_ms, mandate))

    def put_approval(self, case_id: str, approval: Approval) -> None:
        """Keep what a second person is asked, or what they decided.

        Raises:
            UnknownNameError: no such case.
            InputError: a case that is closed.
        """
        with self._telling_damage(), self._file.write() as tables:
            refuse_closed(case_id, _known(tables["cases"], case_id)["closed_ms"])
            tables["approvals"].put(f"{case_id}/{approval.id}", asdict(approval))

    def record(
        self, case_id: str, at_ms: int, photos: Sequence[CasePhoto] = (), confirmed: Sequence[Judged] = (),
        rejected: Sequence[Judged] = (), mandate: Mandate | None = None, by: str = "",
    ) -> bool:  # fmt: skip
        """Add photos and decisions to a case, in one transaction; a new id opens a case.

        What was decided of a sighting before is replaced and kept as history; the same once more is nothing
        new. Of a rejected sighting, which shows somebody else, no picture is kept.

        Args:
            at_ms: when, milliseconds since 1970 UTC.
            mandate: of a case that is new. by: who decided.

        Returns:
            Whether the case is new.

        Raises:
            InputError: no id for a case, a case that is closed, or a sighting confirmed and rejected at once.
        """
        case_id = check_case_id(case_id)
        both = {each.record.id for each in confirmed} & {each.record.id for each in rejected}
        if both:
            raise contradiction(min(both))
        with self._telling_damage(), self._file.write() as tables:
            value = tables["cases"].get(case_id)
            if value is None:
                tables["cases"].put(case_id, _case_row(at_ms, mandate or Mandate()))
            else:
                refuse_closed(case_id, value["closed_ms"])
            if photos:
                self._put_photos(tables, case_id, photos)
            for each in confirmed:
                _decide(
                    tables["sightings"], f"{case_id}/{each.record.id}", each, Step("confirmed", at_ms, by)
                )
            for each in rejected:
                _decide(tables["sightings"], f"{case_id}/{each.record.id}", each, Step("rejected", at_ms, by))
            return value is None

    def add_leads(self, case_id: str, leads: Sequence[Lead]) -> tuple[Lead, ...]:
        """Keep what a standing search found; returns what is new: not found, shown or judged before.

        Of a case that was closed meanwhile nothing is kept.

        Raises:
            UnknownNameError: no such case.
        """
        with self._telling_damage(), self._file.write() as tables:
            if _known(tables["cases"], case_id)["closed_ms"] is not None:
                return ()
            keys = {f"{case_id}/{lead.tracklet}": lead for lead in leads}
            before = ("leads", "shown", "sightings")
            new = {
                key: lead for key, lead in keys.items() if not any(tables[name].holds(key) for name in before)
            }
            for key, lead in new.items():
                tables["leads"].put(key, lead.pack())
            return tuple(new.values())

    def drop_leads(self, case_id: str, tracklets: Sequence[str]) -> None:
        """Forget leads, since the archive no longer holds what they point to."""
        with self._file.write() as tables:
            for tracklet in tracklets:
                tables["leads"].delete(f"{case_id}/{tracklet}")
                tables["shown"].delete(f"{case_id}/{tracklet}")

    def show(self, case_id: str, tracklets: Sequence[str], at_ms: int) -> None:
        """Note that a search of the case showed these sightings; the first time counts."""
        with self._file.write() as tables:
            if tables["cases"].holds(case_id):
                for tracklet in tracklets:
                    if not tables["shown"].holds(f"{case_id}/{tracklet}"):
                        tables["shown"].put(f"{case_id}/{tracklet}", at_ms)

    def _put_photos(self, tables: Mapping[str, Table], case_id: str, photos: Sequence[CasePhoto]) -> None:
        key = photo_key(self._archive, tables["meta"].get("photo_key"))
        tables["meta"].put("photo_key", key.id)
        for photo in photos:
            place = f"{case_id}/{photo.sha256}"
            tables["photos"].put(place, pack_photo(photo, place, key))

    def _key(self, tables: Mapping[str, Table]) -> PhotoKey | None:
        known = tables["meta"].get("photo_key")
        return None if known is None else photo_key(self._archive, known)

    def _seal_all(self) -> None:
        """Bring an archive of the format before up to date: seal its photos, leave no other copy of them."""
        with self._telling_damage(), self._file.write() as tables:
            for place, value in list(tables["photos"].under("")):
                x1, y1, x2, y2 = value["person_box"]
                photo = CasePhoto(value["name"], value["data"], (x1, y1, x2, y2), value["added_ms"])
                self._put_photos(tables, place.rpartition("/")[0], [photo])
            tables["meta"].put("format_version", FORMAT_VERSION)
            tables["meta"].put("unfinished", True)

    def undo(self, case_id: str, tracklet: str, at_ms: int, by: str = "") -> Verdict:
        """Withdraw what was decided of a sighting; its picture goes, that it was decided stays.

        Args:
            tracklet: its id, or the first digits of it.

        Returns:
            What was withdrawn.

        Raises:
            UnknownNameError: no such case.
            InputError: a case that is closed, or not one such sighting with a decision.
        """
        with self._telling_damage(), self._file.write() as tables:
            refuse_closed(case_id, _known(tables["cases"], case_id)["closed_ms"])
            wanted = tables["sightings"].under(f"{case_id}/{tracklet.lower()}")
            found = [(key, each) for key, each in wanted if each["history"][-1][0] is not None]
            if len(found) != 1 or not tracklet:
                told = f"{len(found)} decisions" if found else "no decision"
                raise InputError(
                    f"case {case_id}: expected one decision about {tracklet!r}, found {told}; see: reid case"
                    f" show {case_id}"
                )
            [(key, value)] = found
            sighting = read_sighting(key, value)
            verdict = sighting.verdict
            assert verdict is not None
            tables["sightings"].put(key, pack_sighting(sighting, Step(None, at_ms, by)))
            return verdict

    def close_case(self, case_id: str, at_ms: int | None) -> None:
        """Close a case: it can be read, not searched or changed. None opens it again.

        Raises:
            UnknownNameError: no such case.
        """
        with self._telling_damage(), self._file.write() as tables:
            value = _known(tables["cases"], case_id)
            tables["cases"].put(case_id, {**value, "closed_ms": at_ms})

    def delete(self, case_id: str) -> tuple[int, int]:
        """Delete a case with its photos and copies; nothing of them is left in the file when this returns.

        Returns:
            How many photos and how many sightings went.

        Raises:
            UnknownNameError: no such case.
            StorageError: the disk refused; the rest is done when the cases are next opened.
        """
        with self._telling_damage(), self._file.write() as tables:
            _known(tables["cases"], case_id)
            tables["cases"].delete(case_id)
            gone = []
            for name in _OF_A_CASE:
                keys = [key for key, _ in tables[name].under(f"{case_id}/")]
                gone.append(len(keys))
                for key in keys:
                    tables[name].delete(key)
            tables["meta"].put("unfinished", True)
        self._purge()
        return gone[0], gone[1]

    def _purge(self) -> None:
        """Write the file anew without the pages of what was deleted; LMDB would keep them for later."""
        path = self._archive.cases
        copy = path.with_name(f"{path.name}.tmp")
        self._file.copy_compact(copy)
        self._file.close()
        with storage_errors(path):
            copy.replace(path)
            sync_folder(path.parent)
        self._file = self._opened()
        with self._file.write() as tables:
            tables["meta"].delete("unfinished")

    @contextmanager
    def _telling_damage(self) -> Iterator[None]:
        try:
            yield
        except (TypeError, KeyError, ValueError, AttributeError, IndexError) as error:
            raise DamagedError(
                f"{self._archive.cases}: a stored value cannot be read ({error!r}); restore it from a backup"
            ) from None


def check_case_id(case_id: str) -> str:
    """The id in composed Unicode, e.g. 2026-SP-0142; raises InputError as `check_name`."""
    return check_name(case_id, "case", "choose another")


def _busy(archive: ArchiveFiles) -> StorageError:
    return StorageError(
        f"{archive.cases}: another process has the cases open; wait for it to end, or stop it"
    )


def _locked(archive: ArchiveFiles, wait_s: float) -> int:
    """A descriptor that holds the cases' lock; the system lets go of it when the process ends."""
    with storage_errors(archive.cases_lock):
        descriptor = os.open(archive.cases_lock, os.O_RDWR | os.O_CREAT, 0o644)
        until = time.monotonic() + wait_s
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() < until:
                    time.sleep(_PAUSE_S)
                    continue
                os.close(descriptor)
                raise _busy(archive) from None
            return descriptor


def _known(cases: Table, case_id: str) -> Mapping[str, Any]:
    value: Mapping[str, Any] | None = cases.get(case_id)
    if value is None:
        raise UnknownNameError("case", case_id, [key for key, _ in cases.under("")])
    return value


def refuse_closed(case_id: str, closed_ms: int | None) -> None:
    """Raises InputError for a case that was closed."""
    if closed_ms is not None:
        when = to_local_iso(from_milliseconds(closed_ms))
        raise InputError(
            f"case {case_id} was closed at {when}; open it again with: reid case reopen {case_id}"
        )


def _case_row(at_ms: int, mandate: Mandate) -> dict[str, Any]:
    return {"opened_ms": at_ms, "closed_ms": None, "mandate": pack_mandate(mandate)}


def _decide(sightings: Table, key: str, judged: Judged, step: Step) -> None:
    before = sightings.get(key)
    history = read_sighting(key, before).history if before else ()
    if not history or history[-1].verdict != step.verdict:
        sightings.put(key, pack_sighting(CaseSighting(judged, history), step))
