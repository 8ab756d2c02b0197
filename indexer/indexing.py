"""Indexes clips into an archive: skips what is done, seals what is found, records what failed.

Owns the order of events that makes a run safe to kill: work is done by an executor and staged; here alone a
clip's segments are put in their place, and then one transaction makes them part of the archive and marks the
clip done. What to do with a clip is decided in the order of the requests, so that the archive is the same
however many clips are under way at once. Knows no queries.
"""

from __future__ import annotations

import shutil
import time
from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from indexer.catalogue import Catalogue, writer_lock
from indexer.clips import ClipRequest
from indexer.decisions import Decisions, Plan, RunOptions
from indexer.executors import Executor, Failure, InProcess
from indexer.index_report import EXPIRED, IndexReport, Progress
from indexer.ledger import ClipDone, ClipFailed, ClipWaiting, Fingerprint
from indexer.pipeline import Pipeline
from indexer.replacing import record_clip
from indexer.rewriting import remove_leftovers
from indexer.shard.files import ArchiveFiles
from indexer.shard.writer import place_segment
from indexer.survey import Outliner, Surveyed, is_gone, is_new, survey
from indexer.times import milliseconds
from indexer.work import Examine, Examined, Job, Look, Looked
from reid.errors import FootageError, ReidError


def index_clips(
    archive: ArchiveFiles,
    requests: Sequence[ClipRequest],
    pipeline: Pipeline,
    progress: Progress | None = None,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
    *,
    replace: bool = False,
) -> IndexReport:
    """`index_with` in this process, one clip after the other."""
    options = RunOptions(replace=replace)
    return index_with(InProcess(pipeline), archive, requests, progress, now, options=options)


def index_with(
    executor: Executor,
    archive: ArchiveFiles,
    requests: Sequence[ClipRequest],
    progress: Progress | None = None,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
    *,
    options: RunOptions | None = None,
    stop_when: Callable[[], bool] = lambda: False,
) -> IndexReport:
    """Index every clip that is not yet in the archive; a failing clip never stops the others.

    Args:
        executor: does the work; its embedder must be the archive's. After an error close it: work may be
            under way. At the end there is none, and it can be used again.
        archive: created if need be.
        requests: which clips, each path once, in the order in which they are begun.
        progress: is told how far it is.
        now: the clock, aware UTC; a clip that starts later is refused.
        stop_when: asked before each clip is begun; once it says so, those under way are finished and the
            rest stays as not yet indexed.

    Raises:
        ModelMismatchError: the archive belongs to another embedder.
        StorageError: another writer, or the disk refuses; what was done is kept.
        ArchiveError: workers cannot be started.
    """
    begun = time.monotonic()
    with Catalogue(archive, "create") as catalogue, writer_lock(archive):
        embedder = executor.kit.embedder
        catalogue.check_embedder(embedder.sha256, embedder.name)
        decisions = Decisions(archive, catalogue, executor.kit, options or RunOptions(), now)
        remove_leftovers(archive, decisions.snapshot)
        for path in filter(is_gone, [each.path for each in decisions.snapshot.unfinished]):
            catalogue.drop_failure(path)
        run = _Run(executor, archive, catalogue, decisions, requests, progress or Progress(), now, stop_when)
        run.index()
        shutil.rmtree(archive.staging, ignore_errors=True)  # of work that was given up
    return run.report(time.monotonic() - begun)


@dataclass
class _Clip:
    """A request on its way; what is None is not known yet; `begun` is when work on it was handed out last."""

    number: int
    request: ClipRequest
    fingerprint: Fingerprint | None = None
    sha256: str | None = None
    begun: float | None = None
    examined: Examined | Failure | None = None
    plan: Plan | None = None


@dataclass
class _Run:
    """The state of one run.

    A clip goes from `undecided`, in the order of the requests, by `ready` to `under_way`; another of the same
    bytes is meanwhile among `following`, by sha256. Those that take the place of something do so in the order
    of `replacing`: `held` are done, and wait for that. Results are by the number of the request.
    """

    executor: Executor
    archive: ArchiveFiles
    catalogue: Catalogue
    decisions: Decisions
    requests: Sequence[ClipRequest]
    progress: Progress
    now: Callable[[], datetime]
    stop_when: Callable[[], bool]
    begun: int = 0
    ended: int = 0
    stopping: bool = False
    undecided: deque[_Clip] = field(default_factory=deque)
    ready: deque[_Clip] = field(default_factory=deque)
    under_way: dict[int, tuple[_Clip, Job]] = field(default_factory=dict)
    following: dict[str, list[_Clip]] = field(default_factory=dict)
    replacing: deque[int] = field(default_factory=deque)
    held: dict[int, tuple[_Clip, Looked | Failure]] = field(default_factory=dict)
    done: dict[int, ClipDone] = field(default_factory=dict)
    skipped: dict[int, tuple[str, str]] = field(default_factory=dict)
    failed: dict[int, ClipFailed] = field(default_factory=dict)
    given_up: dict[int, ClipFailed] = field(default_factory=dict)
    warnings: dict[int, list[str]] = field(default_factory=lambda: defaultdict(list))

    def __post_init__(self) -> None:
        self.outliner = Outliner(self.decisions.snapshot, self.decisions.cameras, self.now)
        self.limit_s = self.decisions.options.examine_limit_s
        self.surveyed = Surveyed()

    def report(self, seconds_taken: float) -> IndexReport:
        """What it did."""
        return IndexReport(
            tuple(self.done[each] for each in sorted(self.done)),
            tuple(self.skipped[each] for each in sorted(self.skipped)),
            tuple(self.failed[each] for each in sorted(self.failed)),
            tuple(line for each in sorted(self.warnings) for line in self.warnings[each]),
            seconds_taken, tuple(self.given_up[each] for each in sorted(self.given_up)),
            len(self.requests) - self.ended,
        )  # fmt: skip

    def index(self) -> None:
        """Do everything, or until it is told to stop."""
        new = [
            request for request in self.requests
            if is_new(self.catalogue, request) and self.decisions.given_up(request) is None
        ]  # fmt: skip
        self.surveyed = survey(self.executor, self.catalogue, new, self.outliner, self.limit_s, self._stops)
        while True:
            while len(self.under_way) < self.executor.slots and self._hand_out():
                pass
            if not self.under_way:
                return
            outcome = self.executor.wait(self._advanced)
            clip, job = self.under_way.pop(outcome.ticket)
            if outcome.failure is not None and outcome.failure.stops:
                raise outcome.failure.error()
            if isinstance(job, Look):
                self._land(clip, outcome.failure or outcome.value)
            else:
                clip.examined = outcome.failure or outcome.value
                while self.undecided and self.undecided[0].examined is not None:
                    self._decide(self.undecided.popleft())

    def _stops(self) -> bool:
        self.stopping = self.stopping or self.stop_when()
        return self.stopping

    def _advanced(self, ticket: int, seconds: float) -> None:
        self.progress.clip_advanced(self.under_way[ticket][0].request.path, seconds)

    def _hand_out(self) -> bool:
        """Submit one more job, or begin with one more clip; False when there is none."""
        if self._stops():
            return False
        if self.ready:
            clip = self.ready.popleft()
            assert clip.plan is not None
            self._submit(clip, clip.plan.look, clip.plan.limit_s)
            return True
        if len(self.undecided) >= 2 * self.executor.slots or self.begun == len(self.requests):
            return False
        self.begun += 1
        self._begin(self.begun - 1, self.requests[self.begun - 1])
        return True

    def _submit(self, clip: _Clip, job: Job, limit_s: float) -> None:
        self.under_way[clip.number], clip.begun = (clip, job), time.monotonic()
        self.executor.submit(clip.number, job, limit_s)

    def _begin(self, number: int, request: ClipRequest) -> None:
        self.progress.clip_started(request.path, number + 1, len(self.requests))
        clip = _Clip(number, request)
        if self._passes_over(clip):
            self._end(clip)
            return
        try:
            clip.fingerprint = Fingerprint.of(request.path)
            if request.path in self.surveyed.hopeless:
                raise self.surveyed.hopeless[request.path].error()
        except ReidError as error:
            self._fail(clip, error)
            return
        clip.sha256 = self.catalogue.known_sha256(request.path, clip.fingerprint)
        if not self._skip(clip):
            self.undecided.append(clip)
            job = Examine(request.path, hashed=clip.sha256 is None)
            self._submit(clip, job, self.limit_s(clip.fingerprint.size))

    def _passes_over(self, clip: _Clip) -> bool:
        """Is a clip not even to be opened?"""
        if clip.request.path in self.surveyed.expired:
            why = EXPIRED
            self.skipped[clip.number] = (str(clip.request.path), why)
            return True
        row = self.decisions.given_up(clip.request)
        if row is not None:
            self.given_up[clip.number] = row
        return row is not None

    def _decide(self, clip: _Clip) -> None:
        """Skip a clip that was examined, fail it, or make it ready; in the order of the requests."""
        if isinstance(clip.examined, Failure):
            self._fail(clip, clip.examined.error())
            return
        assert clip.examined is not None
        assert clip.fingerprint is not None
        clip.sha256 = clip.sha256 or clip.examined.sha256
        assert clip.sha256 is not None
        if clip.sha256 in self.following:
            self.following[clip.sha256].append(clip)
            return
        try:
            if self._skip(clip):
                return
            clip.plan = self.decisions.plan(clip.request, clip.fingerprint, clip.sha256, clip.examined)
        except FootageError as error:
            self._fail(clip, error)
            return
        self.warnings[clip.number] += clip.plan.warnings
        self.following[clip.sha256] = []
        if clip.plan.replaces:
            self.replacing.append(clip.number)
        self.ready.append(clip)

    def _land(self, clip: _Clip, result: Looked | Failure) -> None:
        """Take what came of a clip; what takes the place of something waits for its turn."""
        if clip.number not in self.replacing:
            self._settle(clip, result)
            return
        self.held[clip.number] = (clip, result)
        while self.replacing and self.replacing[0] in self.held:
            self._settle(*self.held.pop(self.replacing.popleft()))

    def _settle(self, clip: _Clip, result: Looked | Failure) -> None:
        if isinstance(result, Failure):
            self._fail(clip, result.error())
        else:
            self._commit(clip, result)
        for other in self.following.pop(clip.sha256 or ""):
            self._decide(other)

    def _commit(self, clip: _Clip, looked: Looked) -> None:
        assert clip.plan is not None
        assert clip.fingerprint is not None
        path, look, kit = clip.request.path, clip.plan.look, self.executor.kit
        for folder, sealed in looked.staged:
            place_segment(self.archive, folder, sealed.manifest)
        all_sealed = [sealed for _, sealed in looked.staged]
        row = ClipDone(
            sha256=look.sha256, path=str(path), district=look.camera.district, camera=look.camera.id,
            start_ms=looked.start_ms, end_ms=looked.end_ms, spans=looked.spans,
            start_source=clip.plan.source, detector=kit.detector.sha256, embedder=kit.embedder.sha256,
            frames_per_second=kit.options.frames_per_second,
            frames_read=looked.frames_read, frames_sampled=looked.frames_sampled,
            frames_corrupt=looked.frames_corrupt,
            tracklets=sum(each.manifest.tracklets for each in all_sealed),
            vectors=sum(each.manifest.vectors for each in all_sealed),
            warnings=looked.warnings, seconds_taken=looked.seconds_taken,
            clock_offset_s=look.camera.clock_offset_s,
            tries=self._tries_before(path) + 1, at_ms=milliseconds(self.now()),
        )  # fmt: skip
        if record_clip(self.archive, self.catalogue, row, clip.fingerprint, look.camera, all_sealed):
            self.decisions.refresh()
        self.done[clip.number] = row
        self.progress.clip_done(row)
        self.warnings[clip.number] += clip.plan.oddities(looked)
        self._end(clip)

    def _skip(self, clip: _Clip) -> bool:
        """Leave a clip that is in the archive; False when it is to be indexed."""
        request = clip.request
        before = self.decisions.kept(request, clip.sha256) if clip.sha256 else None
        if before is None or clip.fingerprint is None:
            return False
        differences = list(self.decisions.differences(request, before))
        if differences:
            self.warnings[clip.number].append(
                f"{request.path}: in the archive {' and '.join(differences)}; left as it is,"
                " index it with --replace to change that"
            )
        self.catalogue.record_seen(request.path, clip.fingerprint, before.sha256)
        self.skipped[clip.number] = (
            str(request.path),
            f"indexed before as {before.district}/{before.camera}",
        )
        self._end(clip)
        return True

    def _fail(self, clip: _Clip, error: ReidError) -> None:
        assert isinstance(error, FootageError)
        path, gone = clip.request.path, error.reason == "missing"
        if gone and self.catalogue.done_under(path):
            self.skipped[clip.number] = (str(path), "indexed before; the file is gone")
        else:
            failed = self._failed(clip, error)
            if not gone:
                self.catalogue.record_failure(failed)
            elif is_gone(failed.path):  # what is not there is no footage that failed
                self.catalogue.drop_failure(failed.path)
            self.failed[clip.number] = failed
            self.progress.clip_failed(failed)
        self._end(clip)

    def _failed(self, clip: _Clip, error: FootageError) -> ClipFailed:
        row, state, kit = self.catalogue.unfinished(clip.request.path), clip.fingerprint, self.executor.kit
        head = clip.examined if isinstance(clip.examined, Examined) else None
        outline = row if isinstance(row, ClipWaiting) else self.outliner.outline(clip.request, head)
        return ClipFailed(
            outline.path, outline.district, outline.camera, outline.start_ms, error.reason, str(error),
            end_ms=outline.end_ms, at_ms=milliseconds(self.now()),
            seconds_taken=time.monotonic() - clip.begun if clip.begun else None,
            size=state.size if state else None, modified_ns=state.modified_ns if state else None,
            detector=kit.detector.sha256, embedder=kit.embedder.sha256,
        )  # fmt: skip

    def _tries_before(self, path: Path) -> int:
        row = self.catalogue.unfinished(path)
        return row.tries if isinstance(row, ClipFailed) else 0

    def _end(self, clip: _Clip) -> None:
        self.ended += 1
        self.progress.clip_ended(clip.request.path, self.ended, len(self.requests))
