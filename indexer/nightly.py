"""The indexing part of a night: discover, index the most valuable first, verify, compact, let expire.

Owns the order of events and that no stage stops the next. Knows no queries: whose districts come first it is
told.
"""

from __future__ import annotations

import logging
import os
import traceback
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path

from indexer.catalogue import Catalogue
from indexer.compaction import compact
from indexer.deadline import Clock, Deadline
from indexer.decisions import RunOptions
from indexer.districts import Districts
from indexer.executors import Executor
from indexer.footage_patterns import find_pattern
from indexer.footage_roots import Discovery, NewClip, Root, discover
from indexer.index_report import Progress
from indexer.indexing import index_with
from indexer.journal import event, expire
from indexer.ledger import ClipDone, ClipFailed, Fingerprint
from indexer.night_record import SHOWN, NightRecord, Problem
from indexer.night_settings import NightlySettings
from indexer.purge import Days, Hold, Order
from indexer.retention import purge
from indexer.shard.files import ArchiveFiles
from indexer.verification import verify
from reid.errors import FootageError, InputError, LockedError, ReidError

_PORTION = 5000  # clips given to one run of indexing, whose lengths it looks up before it begins
_SAVE_S = 30.0  # how often the record is kept while clips are indexed
_ORDERED_BY = "reid nightly, as retention_days is set"


@dataclass(frozen=True)
class Work:
    """Who works on clips, and how.

    Attributes:
        executor: gives one for so many clips; as a context it is closed.
        options: of the run.
    """

    executor: Callable[[int], AbstractContextManager[Executor]]
    options: RunOptions = field(default_factory=RunOptions)


@dataclass
class Night:
    """A night under way.

    Attributes:
        archive: whose night. settings: of nightly. districts: all there are.
        work: who does the work on clips.
        record: what has become of it.
        first: slugs of the districts that come first.
        days: how many each district keeps. holds: gives the sightings of open cases.
        deadline: when indexing stops.
        progress: of a run of indexing.
    """

    archive: ArchiveFiles
    settings: NightlySettings
    districts: Districts
    work: Work
    record: NightRecord
    first: Collection[str]
    days: Days
    holds: Callable[[], Sequence[Hold]]
    deadline: Deadline
    clock: Clock
    progress: Progress = field(default_factory=Progress)

    def run(self) -> None:
        """All of it. What fails is in the record, and the next stage is done all the same."""
        found: Discovery | None = None
        with self.stage("discover"):
            found = self.discover()
        if found is not None:
            with self.stage("index"):
                self.index(found)
        with self.stage("verify"):
            self.verify()
        with self.stage("compact"):
            self.compact()
        with self.stage("retention"):
            self.retain()
        with self.stage("expire"):
            expire(self.archive, self.clock.now(), self.settings.keep_days)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """One stage: told in the log, kept in the record, and never the end of the night."""
        event("stage_started", stage=name)
        begun, failed = self.clock.elapsed(), len(self.record.problems)
        try:
            yield
        except ReidError as error:
            unfit = error.exit_code == 3 and not isinstance(error, LockedError)  # that passes by itself
            self.problem(name, "", str(error), 3 if unfit else 1)
        except Exception as error:  # noqa: BLE001  nobody watches: the rest must be done all the same
            event("bug", logging.ERROR, stage=name, traceback=traceback.format_exc())
            self.problem(name, "", f"an error nobody expected ({error!r}); the log has its place: report it")
        seconds, problems = self.clock.elapsed() - begun, len(self.record.problems) - failed
        event("stage_ended", stage=name, seconds=round(seconds, 3), problems=problems)
        self.record.save(self.archive)

    def problem(self, stage: str, where: str, message: str, exit_code: int = 1) -> None:
        """Note what could not be done."""
        self.record.problems.append(Problem(stage, where, message, exit_code))
        event("problem", logging.ERROR, stage=stage, where=where, message=message)

    def discover(self) -> Discovery:
        """What is new, and what is wrong with the roots; the ledger is told what waits."""
        with Catalogue(self.archive, "create") as catalogue:
            found = find_new(self.settings, self.districts, catalogue, self.clock.now())
            self.record.roots = found.roots
            self._tell_roots(found, catalogue)
            found.clips.sort(key=lambda clip: priority(clip, self.first))
            catalogue.record_waiting(clip.waiting() for clip in (*found.clips, *found.growing))
        self.record.planned = self.record.not_reached = len(found.clips)
        self._put_off(found.growing)
        event("discovered", new=len(found.clips), growing=len(found.growing), unread=self.record.unread)
        return found

    def _tell_roots(self, found: Discovery, catalogue: Catalogue) -> None:
        usable = False
        for root in found.roots:
            usable |= bool(root.videos)
            for path, why in root.failures:
                known = _known_below(catalogue, path) if path == root.path and not root.videos else 0
                more = f"; {known} clips of it are in the archive" if known else ""
                self.problem("discover", path, why + more)
            if root.failure_count > len(root.failures):
                left = root.failure_count - len(root.failures)
                self.problem("discover", root.path, f"{left} further files and folders could not be read")
            for path, why in root.unread:
                event("name_not_understood", logging.WARNING, clip=path, message=why)
        if not usable:
            self.problem("discover", "", "no root holds any footage that can be read", 2)

    def index(self, found: Discovery) -> None:
        """The clips that are new, then those that no longer grow."""
        if not found.clips and not found.growing:
            return
        with self.work.executor(max(len(found.clips), 1)) as executor:
            self._index(executor, found.clips)
            settled = self._settled(found.growing) if found.growing and not self.deadline.reached() else []
            self.record.planned += len(settled)
            self.record.not_reached += len(settled)
            self._index(executor, settled)

    def _index(self, executor: Executor, clips: Sequence[NewClip]) -> None:
        told = _Told(self)
        for begin in range(0, len(clips), _PORTION):
            if not self.deadline.reached():
                portion = [clip.request() for clip in clips[begin : begin + _PORTION]]
                report = index_with(
                    executor, self.archive, portion, told, self.clock.now, options=self.work.options,
                    stop_when=lambda: self.deadline.reached() is not None,
                )  # fmt: skip
                self.record.warn(report.warnings)
                self.record.given_up += len(report.given_up)
            self.record.stopped = self.record.stopped or self.deadline.reached()
            if not self.record.not_reached:  # it was reached after the last clip
                self.record.stopped = None

    def _settled(self, growing: Sequence[NewClip]) -> list[NewClip]:
        """Those that have not changed since they were met, once the time of settling is over."""
        since = (self.clock.now() - self.record.started).total_seconds()
        wait = max(0.0, self.settings.settle_s - since)
        if wait:
            event("waiting", seconds=round(wait, 1), clips=len(growing))
            self.clock.sleep(min(wait, self.deadline.left_s()))
        if self.deadline.reached():
            return []
        settled: list[NewClip] = []
        still: list[NewClip] = []
        for clip in growing:
            try:
                same = Fingerprint.of(Path(clip.path)) == clip.fingerprint
            except FootageError:  # moved on by its recorder, or gone: the next night meets it, or not
                same = False
            (settled if same else still).append(clip)
        self._put_off(still)
        return settled

    def _put_off(self, growing: Sequence[NewClip]) -> None:
        self.record.put_off_count = len(growing)
        self.record.put_off = [clip.path for clip in growing[:SHOWN]]

    def verify(self) -> None:
        """Every byte of what was sealed since the last night that came to its end; manifests and lengths of
        the rest.
        """
        with Catalogue(self.archive) as catalogue:
            fresh = catalogue.unsearched()
        done = verify(self.archive, fresh=fresh)
        for segment, shard, reason in done.damaged:
            self.problem("verify", f"{shard}/{segment}", f"{reason}; in quarantine, and told by every search")
        if done.codebook:
            self.problem("verify", "codebook", done.codebook)
        self.record.stages["verify"] = {
            **asdict(done),
            "said": f"{done.segments} segments verified, {done.sound_to_the_byte} of them found sound to the"
            f" byte, {len(done.damaged)} damaged",
        }  # fmt: skip

    def compact(self) -> None:
        """One segment a district and day."""
        done = compact(self.archive, workers=len(os.sched_getaffinity(0)))
        for shard, reason in done.failed:
            self.problem("compact", shard, f"{reason}; see: reid verify --deep")
        self.record.stages["compact"] = {
            **asdict(done),
            "said": f"{len(done.days)} days written anew from {done.merged} segments",
        }

    def retain(self) -> None:
        """What is older than its district keeps goes, by the order of the settings."""
        done = purge(self.archive, self.days, Order(_ORDERED_BY), self.holds(), now=self.clock.now)
        for name in done.unreadable:
            self.problem("retention", name, "could not be read, and went as a whole")
        self.record.stages["retention"] = {**done.to_json(), "said": "; ".join(done.lines())}
        event("retention", districts=[each.district for each in done.districts], proof=done.proof)


class _Told(Progress):
    """Takes down what becomes of each clip as it happens, and passes on to whoever is shown it."""

    def __init__(self, night: Night) -> None:
        self._night, self._shown = night, night.progress
        self._saved = night.clock.elapsed()

    def clip_started(self, path: Path, number: int, total: int) -> None:
        self._shown.clip_started(path, number, total)
        event("clip_started", clip=str(path), number=number, of=total)

    def clip_advanced(self, path: Path, seconds: float) -> None:
        self._shown.clip_advanced(path, seconds)

    def clip_done(self, clip: ClipDone) -> None:
        self._night.record.add_done(clip)
        told = clip.to_json()
        event("clip_done", **told, seconds_taken=round(clip.seconds_taken, 3))

    def clip_failed(self, clip: ClipFailed) -> None:
        self._night.record.add_failed(clip)
        event(
            "clip_failed", logging.WARNING, clip=clip.path, district=clip.district, camera=clip.camera,
            reason=clip.reason, message=clip.message,
        )  # fmt: skip

    def clip_ended(self, path: Path, ended: int, total: int) -> None:
        self._shown.clip_ended(path, ended, total)
        self._night.record.not_reached -= 1
        if self._night.clock.elapsed() - self._saved >= _SAVE_S:
            self._saved = self._night.clock.elapsed()
            self._night.record.save(self._night.archive)


def find_new(
    settings: NightlySettings, districts: Districts, catalogue: Catalogue, now: datetime
) -> Discovery:
    """What lies below the roots and is not in the archive, or only in damaged segments.

    Raises:
        InputError: no root is set, or a root's district is unknown.
    """
    snapshot = catalogue.snapshot(clips=False)
    lost = {sha for entry in snapshot.segments if entry.quarantined is not None for sha in entry.clips}
    return discover(
        footage_roots(settings, districts), districts, lambda files: catalogue.indexed(files, lost),
        settings.settle_s, now, snapshot.expired_until,
    )  # fmt: skip


def footage_roots(settings: NightlySettings, districts: Districts) -> list[Root]:
    """The roots that are set.

    Raises:
        InputError: there is none, or a district nobody knows.
    """
    if not settings.roots:
        raise InputError(
            "no footage roots are set: in reid.toml, under [nightly], give roots = ['/footage']; see"
            " docs/nightly.md"
        )
    return [
        Root(
            Path(root.path).expanduser().absolute(),
            tuple(find_pattern(each, root.zone) for each in root.patterns),
            districts.find(root.district).slug if root.district else None,
            root.camera or None,
        )
        for root in settings.roots
    ]


def priority(clip: NewClip, first: Collection[str]) -> tuple[bool, int, str]:
    """Least first: districts with open cases, then the newest; what has no start comes last."""
    start = clip.start_ms if clip.start_ms is not None else -1
    return clip.district not in first, -start, clip.path


def _known_below(catalogue: Catalogue, root: str) -> int:
    """How many clips of the archive lay below a root that is empty or gone now."""
    below = root.rstrip("/") + "/"
    return sum(clip.path.startswith(below) for clip in catalogue.snapshot().clips)
