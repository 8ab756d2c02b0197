"""Indexes clips into an archive: skips what is done, seals what is found, records what failed.

Owns the order of events that makes a run safe to kill: a clip's segments are sealed first, then one
transaction makes them part of the archive and marks the clip done. Knows no queries.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from indexer.cameras import Camera
from indexer.catalogue import Catalogue, writer_lock
from indexer.clips import ClipRequest, StartSource
from indexer.ledger import ClipDone, ClipFailed, ClipWaiting, Fingerprint, clip_sha256
from indexer.pipeline import ClipContent, Pipeline
from indexer.rewriting import open_entry, remove_folders, remove_leftovers, rewrite
from indexer.shard.files import ArchiveFiles
from indexer.shard.records import Record, Stored, Tracklet
from indexer.shard.writer import SegmentOrigin, seal_segment
from indexer.snapshot import Erasure, Sealed, Snapshot
from indexer.times import from_milliseconds, local_day, milliseconds, to_local_iso
from indexer.video import clip_start, open_clip
from reid.camera_means import tally
from reid.errors import DamagedError, FootageError, FormatError
from reid.images import encode_jpeg

_CLOCK_TOLERANCE = timedelta(minutes=10)


@dataclass(frozen=True)
class IndexReport:
    """What a run did.

    Attributes:
        done: clips indexed now.
        skipped: (path, why) of clips that were indexed before.
        failed: clips that could not be indexed.
        warnings: what was odd, for people.
        seconds_taken: wall-clock seconds of the run.
    """

    done: tuple[ClipDone, ...]
    skipped: tuple[tuple[str, str], ...]
    failed: tuple[ClipFailed, ...]
    warnings: tuple[str, ...]
    seconds_taken: float

    @property
    def footage_s(self) -> float:
        """Seconds of footage indexed now."""
        return sum(clip.footage_s for clip in self.done)

    @property
    def tracklets(self) -> int:
        """Tracklets added now."""
        return sum(clip.tracklets for clip in self.done)

    def lines(self) -> list[str]:
        """The report for people: what was odd, what failed, and a closing line of figures."""
        return [
            *(f"warning: {warning}" for warning in self.warnings),
            *(f"failed ({clip.reason}): {clip.message}" for clip in self.failed),
            f"{len(self.done)} clips indexed, {len(self.skipped)} done before, {len(self.failed)} failed; "
            f"{self.tracklets} tracklets; {self.footage_s:.0f} s of footage in {self.seconds_taken:.0f} s",
        ]

    def to_json(self) -> dict[str, Any]:
        """The report for machines; see docs/contracts.md."""
        return {
            "done": [clip.to_json() for clip in self.done],
            "skipped": [{"clip": path, "reason": reason} for path, reason in self.skipped],
            "failed": [
                {"clip": clip.path, "reason": clip.reason, "message": clip.message} for clip in self.failed
            ],
            "warnings": list(self.warnings),
            "tracklets": self.tracklets,
            "footage_s": round(self.footage_s, 3),
            "seconds_taken": round(self.seconds_taken, 3),
        }


class Progress:
    """What a run tells while it goes; override to show it."""

    def clip_started(self, path: Path, number: int, total: int) -> None:
        """Clip `number` of `total` is next."""

    def clip_advanced(self, seconds: float) -> None:
        """So many seconds of the current clip are done."""


@dataclass
class _Run:
    """The state of one run.

    `snapshot` is of its beginning, or of the last time segments were replaced; `sound` says of segments, by
    seal, whether they could be read; `waiting` is what is new to the archive; of the time of
    `expired` nothing is kept.
    """

    archive: ArchiveFiles
    catalogue: Catalogue
    pipeline: Pipeline
    snapshot: Snapshot
    cameras: dict[tuple[str, str], Camera]
    now: Callable[[], datetime]
    replace: bool
    sound: dict[str, bool] = field(default_factory=dict)
    waiting: dict[Path, ClipWaiting] = field(default_factory=dict)
    expired: set[Path] = field(default_factory=set)
    done: list[ClipDone] = field(default_factory=list)
    skipped: list[tuple[str, str]] = field(default_factory=list)
    failed: list[ClipFailed] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def index_clips(
    archive: ArchiveFiles,
    requests: Sequence[ClipRequest],
    pipeline: Pipeline,
    progress: Progress | None = None,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
    *,
    replace: bool = False,
) -> IndexReport:
    """Index every clip that is not yet in the archive; a failing clip never stops the others.

    Args:
        archive: created if need be.
        requests: which clips.
        pipeline: its embedder must be the archive's.
        progress: is told how far it is.
        now: the clock, aware UTC; a clip that starts later is refused.
        replace: index clips anew whose start, place or settings differ from what the archive holds.

    Raises:
        ModelMismatchError: the archive belongs to another embedder.
        StorageError: another writer, or the disk refuses; what was done is kept.
    """
    begun = time.monotonic()
    shown = progress or Progress()
    with Catalogue(archive, "create") as catalogue, writer_lock(archive):
        catalogue.check_embedder(pipeline.embedder.spec.sha256, pipeline.embedder.spec.name)
        snapshot = catalogue.snapshot()
        remove_leftovers(archive, snapshot)
        unfinished = [*(each.path for each in snapshot.failures), *(each.path for each in snapshot.waiting)]
        for path in unfinished:
            if not os.path.lexists(path):
                catalogue.drop_failure(path)
        run = _Run(archive, catalogue, pipeline, snapshot, dict(snapshot.cameras), now, replace)
        _announce(run, requests)
        for number, request in enumerate(requests, start=1):
            shown.clip_started(request.path, number, len(requests))
            try:
                _index_one(run, request, shown)
            except FootageError as error:
                _record_failure(run, request, error)
    return IndexReport(
        tuple(run.done), tuple(run.skipped), tuple(run.failed), tuple(run.warnings), time.monotonic() - begun
    )


def _announce(run: _Run, requests: Sequence[ClipRequest]) -> None:
    """Record what this run is about to index, so that searches tell it as not yet indexed until it is."""
    for request in requests:
        try:
            fingerprint = Fingerprint.of(request.path)
        except FootageError:
            continue
        sha256 = run.catalogue.known_sha256(request.path, fingerprint)
        if sha256 is None or run.catalogue.clip(sha256) is None:
            outline = _outlined(run, request)
            if _has_expired(run, outline):
                run.expired.add(request.path)
            else:
                run.waiting[request.path] = outline
    run.catalogue.record_waiting(run.waiting.values())


def _has_expired(run: _Run, clip: ClipWaiting) -> bool:
    """Does all of a clip lie in a time that has expired? It is not looked at again."""
    if not clip.is_measured or clip.end_ms is None:
        return False
    return clip.end_ms <= run.snapshot.expired_until((clip.district or "", clip.camera or ""))


def _outlined(run: _Run, request: ClipRequest) -> ClipWaiting:
    """What a clip covers by its name and its header; unknown where they do not say, or cannot be right."""
    container_start, duration_s = None, None
    with suppress(FootageError), open_clip(request.path) as clip:
        container_start, duration_s = clip.container_start, clip.duration_s
    start = _known_start(run, request, container_start)
    if start is not None and start > run.now() + _CLOCK_TOLERANCE:
        start = None
    start_ms = None if start is None else milliseconds(start)
    end_ms = None if start_ms is None or duration_s is None else start_ms + round(duration_s * 1000)
    return ClipWaiting(str(request.path), request.district, request.camera, start_ms, end_ms)


def _index_one(run: _Run, request: ClipRequest, progress: Progress) -> None:
    begun = time.monotonic()
    if request.path in run.expired:
        run.skipped.append((str(request.path), "of a time that has expired in its district"))
        return
    fingerprint = Fingerprint.of(request.path)
    sha256 = run.catalogue.known_sha256(request.path, fingerprint) or clip_sha256(request.path)
    before = run.catalogue.clip(sha256)
    is_wanted = before is None or (run.replace and _differences(run, request, before))
    if before is not None and not is_wanted and _is_sound(run, before):
        _skip(run, request, before, fingerprint)
        return
    district, camera_id = request.origin()
    shown_start, source = _start_of(request)
    camera = _camera(run, district, camera_id)
    start = camera.true_time(shown_start)
    if start > run.now() + _CLOCK_TOLERANCE:
        raise FootageError(
            "future_start",
            f"{request.path}: starts at {to_local_iso(start)}, which is in the future;"
            " check the camera's clock, this machine's clock and --start",
        )
    content = run.pipeline.run(request.path, progress.clip_advanced)
    if Fingerprint.of(request.path) != fingerprint:
        raise FootageError("still_written", f"{request.path}: still being written; index it when it is whole")
    sealed, erased = _seal(run, request.path, sha256, camera, start, content)
    end = start + timedelta(seconds=content.report.last_time_s)
    clip = ClipDone(
        sha256=sha256, path=str(request.path), district=district, camera=camera_id,
        start_ms=milliseconds(start), end_ms=milliseconds(end), spans=_true_spans(start, content),
        start_source=source,
        detector=run.pipeline.detector.spec.sha256, embedder=run.pipeline.embedder.spec.sha256,
        frames_per_second=run.pipeline.options.frames_per_second,
        frames_read=content.report.frames_decoded, frames_sampled=content.sampled,
        frames_corrupt=content.report.frames_corrupt,
        tracklets=sum(each.manifest.tracklets for each in sealed),
        vectors=sum(each.manifest.vectors for each in sealed),
        warnings=tuple(content.report.warnings), seconds_taken=time.monotonic() - begun,
        clock_offset_s=camera.clock_offset_s,
    )  # fmt: skip
    _record(run, clip, fingerprint, camera, sealed)
    run.done.append(clip)
    if erased:
        run.warnings.append(
            f"{request.path}: {erased} tracklets lie in a time that was erased (reid erase); left out"
        )
    if source == "container":
        run.warnings.append(
            f"{request.path}: start {to_local_iso(start)} taken from the file's metadata, which may be the"
            " time of its export; give --start if it is wrong"
        )
    run.warnings += [f"{request.path}: {warning}" for warning in clip.warnings]


def _true_spans(start: datetime, content: ClipContent) -> tuple[tuple[int, int], ...]:
    zero = milliseconds(start)
    return tuple((zero + round(begin * 1000), zero + round(end * 1000)) for begin, end in content.spans)


def _skip(run: _Run, request: ClipRequest, before: ClipDone, fingerprint: Fingerprint) -> None:
    run.skipped.append((str(request.path), f"indexed before as {before.district}/{before.camera}"))
    differences = _differences(run, request, before)
    if differences:
        run.warnings.append(
            f"{request.path}: in the archive {' and '.join(differences)}; left as it is,"
            " index it with --replace to change that"
        )
    run.catalogue.record_seen(request.path, fingerprint, before.sha256)


def _differences(run: _Run, request: ClipRequest, before: ClipDone) -> list[str]:
    """In what the archive's state of a clip is not what a new indexing would give."""
    found = []
    place = (request.district or before.district, request.camera or before.camera)
    if place != (before.district, before.camera):
        found.append(f"as {before.district}/{before.camera}, not {place[0]}/{place[1]}")
    shown = _shown_start(request)
    # On the camera's own clock: its offset may be known better today, and every search corrects by that.
    if shown is not None and abs(milliseconds(shown) - before.shown_ms) > 1:
        was = to_local_iso(from_milliseconds(before.shown_ms))
        found.append(f"with start {was} on the camera's clock, not {to_local_iso(shown)}")
    settings = (run.pipeline.detector.spec.sha256, run.pipeline.options.frames_per_second)
    if settings != (before.detector, before.frames_per_second):
        found.append("with another detector or frame rate")
    return found


def _is_sound(run: _Run, before: ClipDone) -> bool:
    """Can the segments of an indexed clip still be read? If not, indexing it again mends the archive."""
    for entry in run.snapshot.segments_of.get(before.sha256, ()):
        if entry.seal not in run.sound:  # a merged day holds many clips
            try:
                open_entry(run.archive, entry).verify(deep=False)
                run.sound[entry.seal] = True
            except (DamagedError, FormatError):
                run.sound[entry.seal] = False
        if not run.sound[entry.seal]:
            return False
    return True


def _record(
    run: _Run, clip: ClipDone, fingerprint: Fingerprint, camera: Camera, sealed: Sequence[Sealed]
) -> None:
    """Make a clip's segments part of the archive, in the place of what the archive held of it before."""
    old = set(run.catalogue.superseded(clip))
    holding = (
        [each for each in run.catalogue.snapshot().segments if old.intersection(each.clips)] if old else []
    )
    gone, lost, rest = [], [], []
    for entry in holding:
        try:
            kept = None
            if not old.issuperset(entry.clips):
                how = "without " + " ".join(sorted(old))
                kept = rewrite(run.archive, [entry], how, lambda one: one.clip not in old)
            rest += [kept] if kept else []
            gone.append(entry)
        except (DamagedError, FormatError):
            lost.append(entry.segment)  # the other clips in it have to be indexed again too
    taken = [*sealed, *rest]
    run.catalogue.record_done(
        clip, fingerprint, camera, taken, [entry.segment for entry in gone], (lost, old)
    )
    names = {each.manifest.segment for each in taken}
    remove_folders(run.archive, [entry for entry in gone if entry.segment not in names])
    if holding:
        run.snapshot = run.catalogue.snapshot()


def _known_start(run: _Run, request: ClipRequest, container_start: datetime | None = None) -> datetime | None:
    """The true start as far as it is known without decoding the clip."""
    shown = _shown_start(request, container_start)
    camera = run.cameras.get((request.district or "", request.camera or ""))
    return shown if shown is None or camera is None else camera.true_time(shown)


def _shown_start(request: ClipRequest, container_start: datetime | None = None) -> datetime | None:
    """The start on the camera's clock as far as it is known without decoding the clip."""
    named = clip_start(request.path, container_start)
    return request.start or (named[0] if named else None)


def _start_of(request: ClipRequest) -> tuple[datetime, StartSource]:
    if request.start is not None:
        return request.start, "given"
    with open_clip(request.path) as clip:
        found = clip_start(request.path, clip.container_start)
    if found is None:
        raise FootageError(
            "no_start",
            f"{request.path}: no start time in the file's name or metadata; give --start, or name clips"
            " like 20251103T153000.mp4",
        )
    return found


def _camera(run: _Run, district: str, camera_id: str) -> Camera:
    key = (district, camera_id)
    if key not in run.cameras:
        run.cameras[key] = Camera.unregistered(camera_id, district)
        run.warnings.append(
            f"camera {camera_id} in {district} is not registered: no position, clock taken as right;"
            " register it with: reid cameras add CAMERAS.csv"
        )
    return run.cameras[key]


def _seal(
    run: _Run, path: Path, sha256: str, camera: Camera, start: datetime, content: ClipContent
) -> tuple[list[Sealed], int]:
    """The clip's segments, one a day, and how many tracklets lie in a time that was erased."""
    erasures = [each for each in run.snapshot.erasures if each.district == camera.district]
    by_day: dict[str, list[Tracklet]] = defaultdict(list)
    erased = 0
    for number, person in enumerate(content.people):
        tracklet = _tracklet(path, sha256, camera, start, content, number)
        record = tracklet.record
        if any(_is_erased(each, record, camera) for each in erasures):
            erased += 1
            continue
        by_day[local_day(start + timedelta(seconds=person.start_s)).isoformat()].append(tracklet)
    sealed = []
    for day, tracklets in sorted(by_day.items()):
        origin = SegmentOrigin(
            district=camera.district,
            day=day,
            embedder=run.pipeline.embedder.spec.sha256,
            detectors=(run.pipeline.detector.spec.sha256,),
            dimension=run.pipeline.embedder.spec.dimension,
            made_of=(
                camera.id, sha256, str(milliseconds(start)), str(run.pipeline.options.frames_per_second),
                f"{erased} erased",
            ),
        )  # fmt: skip
        stored = sorted(map(Stored.of, tracklets), key=lambda one: (one.start_ms, one.id))
        people = {camera.id: tally([one.vectors.astype(np.float32) for one in stored])}
        sealed.append(Sealed(seal_segment(run.archive, origin, stored), people))
    return sealed, erased


def _is_erased(erasure: Erasure, record: Record, camera: Camera) -> bool:
    """By the time that the camera was thought to show when that was erased."""
    moved = erasure.moved_ms(camera.id, camera.clock_offset_s)
    return erasure.covers(record.camera, record.id, record.start_ms - moved, record.end_ms - moved)


def _tracklet(
    path: Path, sha256: str, camera: Camera, start: datetime, content: ClipContent, number: int
) -> Tracklet:
    zero, person = milliseconds(start), content.people[number]
    left, top, right, bottom = (round(float(edge), 1) for edge in person.best.box)
    record = Record(
        id=hashlib.sha256(f"{sha256}/{camera.district}/{camera.id}/{number}".encode()).hexdigest()[:16],
        clip=sha256, path=str(path), camera=camera.id,
        start_ms=zero + round(person.start_s * 1000), end_ms=zero + round(person.end_s * 1000),
        best_ms=zero + round(person.best.time_s * 1000), best_offset_s=round(person.best.time_s, 3),
        box=(left, top, right, bottom), frame=(content.width, content.height),
        quality=person.best.quality, detections=person.detections,
    )  # fmt: skip
    seen = content.looks[number]
    return Tracklet(record, person.vectors, encode_jpeg(person.crop), seen.upper, seen.lower, seen.attributes)


def _record_failure(run: _Run, request: ClipRequest, error: FootageError) -> None:
    gone = error.reason == "missing"
    if gone and run.catalogue.done_under(request.path):
        run.skipped.append((str(request.path), "indexed before; the file is gone"))
        return
    outline = run.waiting.get(request.path) or _outlined(run, request)
    failed = ClipFailed(
        outline.path, outline.district, outline.camera, outline.start_ms, error.reason, str(error),
        end_ms=outline.end_ms,
    )  # fmt: skip
    if gone:  # what is not there is no footage that failed
        run.catalogue.drop_failure(failed.path)
    else:
        run.catalogue.record_failure(failed)
    run.failed.append(failed)
