"""What a search takes from a case and gives to it: photos, and sightings that were confirmed or rejected.

Owns the order of events: all is looked up first, and a case is changed in one transaction before the search.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from indexer.purge import Hold
from indexer.shard.files import ArchiveFiles
from indexer.snapshot import Erasure, Snapshot
from reid.errors import InputError, UnknownNameError
from search.case import Case, CasePhoto, Mandate
from search.cases import Cases, check_case_id, refuse_closed
from search.judged import Feedback, Judged, find_judged, still_there


@dataclass(frozen=True)
class Work:
    """What is known before a search.

    Attributes:
        case_id: whose search it is; None: nobody's.
        case: as it is before; None: there is none yet.
        confirmed, rejected: what was decided just now.
        feedback, judged: all that the search is refined by, see `Request`.
    """

    case_id: str | None
    case: Case | None
    confirmed: tuple[Judged, ...]
    rejected: tuple[Judged, ...]
    feedback: Feedback
    judged: tuple[Judged, ...]

    @property
    def has_photos(self) -> bool:
        """Does the case hold any?"""
        return self.case is not None and bool(self.case.photos)

    @property
    def photos(self) -> tuple[CasePhoto, ...]:
        """Those of the case.

        Raises:
            InputError: there are none.
        """
        if self.case is None:
            raise InputError(f"there is no case {self.case_id} yet; give the photo that opens it")
        if not self.case.photos:
            raise InputError(f"case {self.case_id} has no photo; give one with this search")
        return self.case.photos

    def keep(
        self, archive: ArchiveFiles, photos: Sequence[CasePhoto], at_ms: int, mandate: Mandate, by: str
    ) -> bool:
        """Write photos and decisions into the case, if there is one; tells whether it is new.

        Args:
            mandate: of a case that is new. by: who decided.
        """
        if self.case_id is None:
            return False
        with Cases(archive) as cases:
            return cases.record(self.case_id, at_ms, photos, self.confirmed, self.rejected, mandate, by)


def begin(
    archive: ArchiveFiles, snapshot: Snapshot, case_id: str | None, confirm: Sequence[str],
    reject: Sequence[str],
) -> Work:  # fmt: skip
    """Look up all that was given; changes nothing.

    Args:
        case_id: as given. confirm, reject: ids of tracklets, or their first digits.

    Raises:
        InputError: a closed case, no such sighting, or one that is confirmed and rejected.
        DamagedError, FormatError, StorageError: the cases cannot be read.
    """
    case = None
    if case_id is not None:
        case_id = check_case_id(case_id)
        case = _read(archive, case_id, pictures=True)
    if case is not None:
        refuse_closed(case.id, case.closed_ms)
    kept = [each.judged for each in case.sightings] if case else []
    found = find_judged(archive, snapshot, [*confirm, *reject], kept) if confirm or reject else {}
    confirmed = {found[each].record.id: found[each] for each in confirm}
    rejected = {found[each].record.id: found[each] for each in reject}
    Feedback(tuple(confirmed), tuple(rejected))  # refuses what is both
    new = confirmed.keys() | rejected.keys()
    before_yes, before_no = (
        {
            each.record.id: replace(each, in_archive=still_there(archive, snapshot, each))
            for each in (case.judged(verdict) if case else ())
            if each.record.id not in new
        }
        for verdict in ("confirmed", "rejected")
    )
    yes, no = before_yes | confirmed, before_no | rejected
    return Work(
        case_id, case, tuple(confirmed.values()), tuple(rejected.values()),
        Feedback(tuple(yes), tuple(no), case_id), (*yes.values(), *no.values()),
    )  # fmt: skip


def recall(archive: ArchiveFiles, snapshot: Snapshot, feedback: Feedback) -> tuple[Judged, ...]:
    """Copies of the judged sightings of an earlier search, from the archive, or from its case.

    Raises:
        InputError: neither holds one of them.
    """
    if not feedback.ids:
        return ()
    case = _read(archive, feedback.case) if feedback.case is not None else None
    kept = [each.judged for each in case.sightings] if case else []
    return tuple(find_judged(archive, snapshot, feedback.ids, kept).values())


def keeping(archive: ArchiveFiles, erasure: Erasure) -> tuple[str, ...]:
    """Ids of the cases that hold a copy of something that was erased from the archive."""
    if not archive.cases.exists():
        return ()
    with Cases(archive) as cases:
        return tuple(case.id for case in map(cases.get, cases.ids()) if _holds(case, erasure))


def holds(archive: ArchiveFiles) -> tuple[Hold, ...]:
    """The confirmed sightings of open cases, each with its copy read and compared.

    Raises:
        DamagedError: a copy is altered; what it stands for must not be removed from the archive.
        FormatError, StorageError: the cases cannot be read.
    """
    if not archive.cases.exists():
        return ()
    with Cases(archive) as cases:
        open_cases = [case for case in map(cases.get, cases.ids()) if case.closed_ms is None]
    return tuple(
        Hold(case.id, one.record.id, one.record.clip, one.district, one.record.camera, one.record.start_ms)
        for case in open_cases
        for one in case.judged("confirmed")
    )


def _holds(case: Case, erasure: Erasure) -> bool:
    for each in case.sightings:
        record = each.judged.record
        if erasure.tracklet is None and each.judged.district != erasure.district:
            continue
        if erasure.covers(record.camera, record.id, record.start_ms, record.end_ms):
            return True
    return False


def _read(archive: ArchiveFiles, case_id: str, pictures: bool = False) -> Case | None:
    with Cases(archive) as cases:
        try:
            return cases.get(case_id, pictures)
        except UnknownNameError:
            return None
