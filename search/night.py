"""A whole night: everything the indexer does, then the standing searches, then who is told.

Owns what of a case reaches a notice, and the order around the indexing. The command line calls `run_nightly`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from indexer.catalogue import Catalogue, writer_lock
from indexer.deadline import Clock, Deadline
from indexer.districts import Districts
from indexer.index_report import Progress
from indexer.journal import LogFormat, event, journal
from indexer.metrics import write_metrics
from indexer.night_lock import night_lock
from indexer.night_record import NightRecord
from indexer.night_settings import CLOCK
from indexer.nightly import Night, Work, find_new, footage_roots, priority
from indexer.purge import Days
from indexer.settings import Settings
from indexer.shard.files import ArchiveFiles
from indexer.status import read_status
from indexer.times import milliseconds
from reid.errors import BusyError, InputError, LockedError
from search.actors import Actor
from search.casebook import delete_due
from search.casework import holds
from search.desk import Desk, Loader
from search.leads import Lead
from search.notify import Notice, tell
from search.standing import Searched, Threshold, open_cases, scopes, search_standing

_FEW = 10  # clips shown by a dry run, cases in a notice's subject


@dataclass(frozen=True)
class NightOptions:
    """What is asked of one night, instead of what the settings say.

    Attributes:
        until: a time of day in Seoul, e.g. 06:30. max_hours: how long indexing may go on.
        shown: form of the events on stderr; None: none there.

    Raises:
        InputError: no such time of day.
    """

    until: str | None = None
    max_hours: float | None = None
    shown: LogFormat | None = None

    def __post_init__(self) -> None:
        if self.until is not None and not CLOCK.fullmatch(self.until):
            raise InputError(f"--until {self.until!r}: expected a time of day like 06:30")


def run_nightly(
    archive: ArchiveFiles, settings: Settings, districts: Districts, work: Work, models: Loader,
    options: NightOptions | None = None, progress: Progress | None = None, clock: Clock | None = None,
) -> NightRecord:  # fmt: skip
    """Do the night. What cannot be done is in the record, which is also kept in the archive.

    Args:
        work: who works on clips. models: gives those of the archive, for standing searches, when needed.
        progress: of indexing.

    Raises:
        InputError: nothing is set that could be done. BusyError: another night, or another writer.
        ArchiveError: no archive, or one that cannot even be opened.
    """
    asked, time = options or NightOptions(), clock or Clock()
    footage_roots(settings.nightly, districts)
    with Catalogue(archive):  # an unfit archive is told before anything is written
        pass
    began = time.now()
    with night_lock(archive, began) as (holder, earlier), journal(archive, began, asked.shown):
        _refuse_writers(archive)
        for left in archive.unfinished_nights():  # nobody else writes there while this one holds the lock
            left.unlink(missing_ok=True)
        record = NightRecord.begin(began)
        record.holder, record.interrupted = holder, earlier
        record.save(archive)
        event("night_started", night=record.name, holder=str(holder))
        with _ending(record, archive, time):
            night = _night(archive, settings, districts, work, models, asked, progress, time, record)
        _measure(night, settings)
        event("night_ended", night=record.name, exit_code=record.exit_code, done=record.done)
    return record


@contextmanager
def _ending(record: NightRecord, archive: ArchiveFiles, clock: Clock) -> Iterator[None]:
    """However it ends, the record says how; of a night that is killed it goes on saying `running`."""
    try:
        yield
    except BaseException:
        record.state, record.ended = "interrupted", clock.now()
        record.save(archive)
        event("night_interrupted", night=record.name)
        raise
    record.state, record.ended = "done", clock.now()
    record.save(archive)


def _measure(night: Night, settings: Settings) -> None:
    """The metrics, which tell of this night too."""
    if settings.metrics_file:
        with night.stage("metrics"):
            found = read_status(night.archive, night.days, night.clock.now)
            write_metrics(Path(settings.metrics_file), found)


def _refuse_writers(archive: ArchiveFiles) -> None:
    """A night beside another writer could do nothing at all."""
    try:
        with writer_lock(archive):
            pass
    except LockedError as error:
        raise BusyError(str(error)) from None


def _night(
    archive: ArchiveFiles, settings: Settings, districts: Districts, work: Work, models: Loader,
    options: NightOptions, progress: Progress | None, clock: Clock, record: NightRecord,
) -> Night:  # fmt: skip
    until = settings.nightly.until if options.until is None else options.until
    hours = settings.nightly.max_hours if options.max_hours is None else options.max_hours
    night = Night(
        archive, settings.nightly, districts, work, record, frozenset(), Days.of(settings, districts),
        lambda: holds(archive), Deadline.of(clock, until, hours), clock, progress or Progress(),
    )  # fmt: skip
    cases: tuple[str, ...] | None = None
    with night.stage("cases"):
        gone = delete_due(archive, settings, Actor.system())
        if gone:
            record.stages["cases"] = {
                "deleted": list(gone),
                "said": f"cases deleted, as due: {', '.join(gone)}",
            }
        cases, night.first = open_cases(archive, milliseconds(clock.now()))
    night.run()
    searched: tuple[Searched, ...] = ()
    if cases is not None:  # else nobody knows whom to ask for, and the footage waits until somebody does
        with night.stage("standing_searches"):
            searched = _standing(night, settings, cases, models)
    if "retention" in record.stages:  # it ran, so the clock by which cases are deleted is plausible
        with night.stage("cases_due"):
            gone = delete_due(archive, settings, Actor.system())
            said = f"cases deleted, as due: {', '.join(gone)}" if gone else ""
            record.stages["cases_due"] = {"deleted": list(gone), "said": said}
    record.ended = clock.now()
    with night.stage("notify"):
        _notify(night, settings, searched)
    return night


def _standing(
    night: Night, settings: Settings, cases: tuple[str, ...], models: Loader
) -> tuple[Searched, ...]:
    """Ask every open case of all that no standing search has seen, this night or one that was killed."""
    archive, record = night.archive, night.record
    with Catalogue(archive) as catalogue:
        new = catalogue.unsearched()
        asked = scopes(catalogue.snapshot(), new) if cases and new else ()
    searched: tuple[Searched, ...] = ()
    if cases and asked:
        threshold = Threshold(settings.nightly.lead_probability, settings.nightly.lead_score)
        with Desk(archive, settings, models) as desk:
            desk.models  # noqa: B018  before the engine, which is opened for what they are
            now_ms = lambda: milliseconds(night.clock.now())  # noqa: E731
            searched = tuple(search_standing(desk, cases, asked, threshold, now_ms))
    for each in searched:
        if each.refused is not None:
            night.problem("standing_searches", f"case {each.case}", each.refused)
        if each.damaged:
            said = f"{len(each.damaged)} segments could not be read; it is asked again the next night"
            night.problem("standing_searches", f"case {each.case}", said)
    if all(each.final for each in searched):
        with Catalogue(archive, "write") as catalogue:
            catalogue.searched(new)
    leads = sum(len(each.leads) for each in searched)
    record.stages["standing_searches"] = {
        "cases": [_searched_json(each) for each in searched], "clips": len(new), "new_sightings": leads,
        "said": f"{len(searched)} open cases asked again of {len(new)} new clips: {leads} new sightings"
        + "".join(f"; {line}" for line in _news(searched)),
    }  # fmt: skip
    return searched


def _searched_json(each: Searched) -> dict[str, Any]:
    return {
        "case": each.case, "clips": each.clips, "refused": each.refused, "damaged": list(each.damaged),
        "new_sightings": [lead.to_json() for lead in each.leads],
    }  # fmt: skip


def _news(searched: tuple[Searched, ...]) -> list[str]:
    """For each case with news, how much and where to look."""
    return [
        f"case {each.case}: {len(each.leads)}{_best(each.leads)}, see: reid case show {each.case}"
        for each in searched
        if each.leads
    ]


def _best(leads: tuple[Lead, ...]) -> str:
    best = max((lead.probability for lead in leads if lead.probability is not None), default=None)
    return "" if best is None else f" (the likeliest {best:.0%})"


def _notify(night: Night, settings: Settings, searched: tuple[Searched, ...]) -> None:
    record, news = night.record, _news(searched)
    code = record.exit_code
    if settings.notify.when == "news" and not news and code == 0:
        return
    leads = sum(len(each.leads) for each in searched)
    subject = f"reid night {record.name}: {leads} new sightings in {len(news)} cases; exit code {code}"
    text = "\n".join([
        *news, "A sighting is a hint to look, not an identification.", "", *record.lines(), "",
        f"All of it: {night.archive.night(record.name)}",
    ])  # fmt: skip
    content = {
        "kind": "reid-night", "night": record.name, "exit_code": code, "problems": len(record.problems),
        "done": record.done, "failed": record.failed_count, "not_reached": record.not_reached,
        "put_off": record.put_off_count,
        "cases": [{"case": each.case, "new_sightings": len(each.leads)} for each in searched if each.leads],
        "look": "reid case show CASE",
    }  # fmt: skip
    told = tell(settings.notify, Notice(subject, text, content), night.clock.sleep)
    for each in told:
        if each.error is not None:
            night.problem("notify", each.way, each.error)
    record.stages["notify"] = {"told": [asdict(each) for each in told]}


@dataclass(frozen=True)
class DryRun:
    """What a night would do now.

    Attributes:
        record: what was met below the roots; nothing of it is kept.
        clips: (district, camera, path) in the order in which they would be indexed.
        cases: open cases that would be asked again.
    """

    record: NightRecord
    clips: tuple[tuple[str | None, str | None, str], ...]
    cases: tuple[str, ...]

    @property
    def exit_code(self) -> int:
        """0: all that lies below the roots can be read and placed; 1: what cannot is listed."""
        return 1 if any(root.failure_count or root.unread_count for root in self.record.roots) else 0

    def to_json(self) -> dict[str, Any]:
        """See docs/contracts.md."""
        order = [
            {"district": district, "camera": camera, "clip": path} for district, camera, path in self.clips
        ]
        return {**self.record.to_json(), "dry_run": True, "order": order, "cases": list(self.cases)}

    def lines(self) -> list[str]:
        """For people."""
        lines = [f"would index {path}" for _, _, path in self.clips[:_FEW]]
        if len(self.clips) > _FEW:
            lines.append(f"... and {len(self.clips) - _FEW} more clips; --json has all, in their order")
        lines += [
            f"cannot read {path}: {why}" for root in self.record.roots for path, why in root.failures[:_FEW]
        ]
        lines += [
            f"name not understood: {path}: {why}"
            for root in self.record.roots
            for path, why in root.unread[:_FEW]
        ]
        known = sum(root.known for root in self.record.roots)
        lines.append(
            f"{len(self.clips)} clips new, {known} in the archive, {self.record.put_off_count} still written"
            f" to, {self.record.unread} with names not understood; {len(self.cases)} open cases would be"
            " asked again; nothing was written"
        )
        return lines


def plan_night(
    archive: ArchiveFiles, settings: Settings, districts: Districts, now: datetime | None = None
) -> DryRun:
    """What `run_nightly` would do; writes nothing and takes no lock.

    Raises:
        InputError, ArchiveError: as `run_nightly`.
    """
    moment = now or datetime.now(UTC)
    record = NightRecord.begin(moment)
    with Catalogue(archive) as catalogue:
        found = find_new(settings.nightly, districts, catalogue, moment)
    cases, first = open_cases(archive, milliseconds(moment))
    found.clips.sort(key=lambda clip: priority(clip, first))
    record.roots, record.planned = found.roots, len(found.clips)
    record.put_off = [clip.path for clip in found.growing]
    record.put_off_count = len(found.growing)
    clips = tuple((clip.district, clip.camera, clip.path) for clip in found.clips)
    return DryRun(record, clips, cases)
