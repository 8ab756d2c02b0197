"""Standing searches: every open case with photos, asked again of footage that is new to the archive.

Owns what counts as news for a case. A lead is reported once; it is a hint to look, never an identification.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from indexer.journal import event
from indexer.ledger import ClipDone
from indexer.shard.files import ArchiveFiles
from indexer.snapshot import Snapshot
from indexer.times import from_milliseconds, local_day
from reid.errors import InputError, PhotoError
from search.cases import Cases
from search.casework import begin
from search.desk import Desk, GivenPhoto
from search.filters import Filters
from search.leads import Lead, gone
from search.policy import is_expired
from search.request import Request
from search.sightings import SHORTLIST, Sighting


@dataclass(frozen=True)
class Threshold:
    """From which on a sighting is news.

    Attributes:
        probability: where the model is calibrated.
        score: where it is not; 0: nothing is news then, and that is told.
    """

    probability: float
    score: float

    def passes(self, sighting: Sighting) -> bool:
        """Is it at least so likely, or so alike?"""
        if sighting.probability is not None:
            return sighting.probability >= self.probability
        return self.score > 0 and sighting.score is not None and sighting.score >= self.score


@dataclass(frozen=True)
class Searched:
    """What a standing search found.

    Attributes:
        case: its id.
        leads: new to the case.
        clips: new clips of that time and place that it could look into.
        damaged: segments in its scope that could not be read.
        refused: why it was not asked; None when it was.
        final: the same would come of asking again, so the footage need not wait for it.
    """

    case: str
    leads: tuple[Lead, ...] = ()
    clips: int = 0
    damaged: tuple[str, ...] = ()
    refused: str | None = None
    final: bool = True


@dataclass(frozen=True)
class Scope:
    """New footage that is asked in one search: that of one local day.

    Attributes:
        filters: its districts and its time. clips: sha256.
    """

    filters: Filters
    clips: frozenset[str]

    def within(self, districts: tuple[str, ...] | None) -> Scope | None:
        """The part of it that a case reaches; None: nothing. `districts` None: everything."""
        if districts is None:
            return self
        here = tuple(slug for slug in self.filters.districts if slug in districts)
        return replace(self, filters=replace(self.filters, districts=here)) if here else None


def open_cases(archive: ArchiveFiles, now_ms: int) -> tuple[tuple[str, ...], frozenset[str]]:
    """Ids of the open cases that have photos and have not expired, and slugs of the districts where sightings
    of open cases were confirmed, or that their cases alone reach: whose footage is awaited most.

    Args:
        now_ms: the present, milliseconds since 1970 UTC.

    Raises:
        DamagedError, FormatError, StorageError: the cases cannot be read.
    """
    if not archive.cases.exists():
        return (), frozenset()
    with Cases(archive) as cases:
        every = map(cases.get, cases.ids())
        found = [case for case in every if case.closed_ms is None and not is_expired(case, now_ms)]
    districts = {each.district for case in found for each in case.judged("confirmed")}
    districts |= {slug for case in found for slug in case.mandate.districts or ()}
    return tuple(case.id for case in found if case.photos), frozenset(districts)


def scopes(snapshot: Snapshot, new: Sequence[str]) -> tuple[Scope, ...]:
    """Clips that are new, put together by local day, oldest first: footage that arrives weeks late is not
    drowned in what was seen before between then and now.
    """
    wanted = set(new)
    by_day: dict[str, list[ClipDone]] = defaultdict(list)
    for clip in map(snapshot.clocks.clip, snapshot.clips):
        if clip.sha256 in wanted:
            by_day[local_day(from_milliseconds(clip.start_ms)).isoformat()].append(clip)
    return tuple(
        Scope(
            Filters(
                tuple(sorted({clip.district for clip in clips})), (),
                min(clip.start_ms for clip in clips), max(clip.end_ms for clip in clips) + 1,
            ),
            frozenset(clip.sha256 for clip in clips),
        )
        for _, clips in sorted(by_day.items())
    )  # fmt: skip


def search_standing(
    desk: Desk, cases: Sequence[str], asked: Sequence[Scope], threshold: Threshold, now_ms: Callable[[], int]
) -> Iterator[Searched]:
    """Ask each case of the new footage, and keep with it what is new; one that cannot be asked is told.

    Args:
        desk: of the archive. cases: ids. asked: see `scopes`.
        now_ms: the present, milliseconds since 1970 UTC.

    Raises:
        ArchiveError: the archive or the cases are not fit.
    """
    for case_id in cases:
        try:
            found = _search(desk, case_id, asked, threshold, now_ms())
        except InputError as error:  # closed meanwhile, or its photo cannot be read
            found = Searched(case_id, refused=str(error), final=isinstance(error, PhotoError))
        event("standing_search", case=found.case, leads=len(found.leads), refused=found.refused)
        yield found


def _search(desk: Desk, case_id: str, asked: Sequence[Scope], threshold: Threshold, now_ms: int) -> Searched:
    if desk.engine.calibration is None and not threshold.score:
        return Searched(
            case_id,
            refused="the model has no calibration, so no probability can be compared; calibrate it with: reid"
            " eval --calibrate, or set lead_score under [nightly]",
        )
    snapshot = desk.snapshot()
    work = begin(desk.archive, snapshot, case_id, (), ())
    queries = tuple(
        desk.query(GivenPhoto(photo.name, photo.data, box=photo.person_box)) for photo in work.photos
    )
    leads: dict[str, Lead] = {}
    damaged: dict[str, str] = {}
    assert work.case is not None
    for scope in filter(None, (each.within(work.case.mandate.districts) for each in asked)):
        request = Request(queries, scope.filters, SHORTLIST, feedback=work.feedback, judged=work.judged)
        result = desk.ask_standing(request, case_id)
        damaged |= dict(result.damaged)
        for sighting in result.sightings:
            if sighting.record.clip in scope.clips and threshold.passes(sighting):
                leads[sighting.record.id] = _lead(sighting, now_ms)
    with Cases(desk.archive) as cases:
        cases.drop_leads(case_id, gone(cases.get(case_id).leads, snapshot.erasures))
        new = cases.add_leads(case_id, tuple(leads.values()))
    clips = sum(len(scope.clips) for scope in asked)
    return Searched(case_id, new, clips, tuple(damaged), final=not damaged)


def _lead(sighting: Sighting, now_ms: int) -> Lead:
    seen = sighting.record
    return Lead(
        seen.id, sighting.district, seen.camera, seen.start_ms, seen.end_ms,
        None if sighting.score is None else round(sighting.score, 6),
        None if sighting.probability is None else round(sighting.probability, 6), now_ms,
    )  # fmt: skip
