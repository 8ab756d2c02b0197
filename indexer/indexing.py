"""Indexes clips into an archive: skips what is done, seals what is found, records what failed.

Owns the order of events that makes a run safe to kill: a clip's segments are sealed first, then one
transaction makes them part of the archive and marks the clip done. Knows no queries.
"""

from __future__ import annotations

import hashlib
import shutil
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from indexer.cameras import Camera
from indexer.catalogue import Catalogue, Snapshot, writer_lock
from indexer.clips import ClipRequest, StartSource
from indexer.ledger import ClipDone, ClipFailed, Fingerprint, clip_sha256
from indexer.pipeline import ClipContent, Pipeline
from indexer.shard.files import ArchiveFiles
from indexer.shard.manifest import Manifest
from indexer.shard.records import Record, Tracklet
from indexer.shard.writer import SegmentOrigin, seal_segment
from indexer.times import local_day, milliseconds, to_local_iso
from indexer.tracklets import TrackSummary
from indexer.video import clip_start, open_clip
from reid.errors import FootageError, storage_errors
from reid.images import encode_jpeg, fit_within

_CLOCK_TOLERANCE = timedelta(minutes=10)
_THUMBNAIL = (192, 384)  # pixels, width and height at most: readable on a screen, 5-10 kB


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
    """The state of one run."""

    archive: ArchiveFiles
    catalogue: Catalogue
    pipeline: Pipeline
    cameras: dict[tuple[str, str], Camera]
    now: Callable[[], datetime]
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
) -> IndexReport:
    """Index every clip that is not yet in the archive; a failing clip never stops the others.

    Args:
        archive: created if need be.
        requests: which clips.
        pipeline: its embedder must be the archive's.
        progress: is told how far it is.
        now: the clock, aware UTC; a clip that starts later is refused.

    Raises:
        ModelMismatchError: the archive belongs to another embedder.
        StorageError: another writer, or the disk refuses; what was done is kept.
    """
    begun = time.monotonic()
    shown = progress or Progress()
    with Catalogue(archive, "create") as catalogue, writer_lock(archive):
        catalogue.bind_embedder(pipeline.embedder.spec.sha256, pipeline.embedder.spec.name)
        with storage_errors(archive.staging):
            shutil.rmtree(archive.staging, ignore_errors=True)
        snapshot: Snapshot = catalogue.snapshot()
        run = _Run(archive, catalogue, pipeline, dict(snapshot.cameras), now)
        for number, request in enumerate(requests, start=1):
            shown.clip_started(request.path, number, len(requests))
            try:
                _index_one(run, request, shown)
            except FootageError as error:
                _record_failure(run, request, error)
    return IndexReport(
        tuple(run.done), tuple(run.skipped), tuple(run.failed), tuple(run.warnings), time.monotonic() - begun
    )


def _index_one(run: _Run, request: ClipRequest, progress: Progress) -> None:
    begun = time.monotonic()
    fingerprint = Fingerprint.of(request.path)
    sha256 = run.catalogue.known_sha256(request.path, fingerprint) or clip_sha256(request.path)
    before = run.catalogue.clip(sha256)
    if before is not None:
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
    manifests = _seal(run, request.path, sha256, camera, start, content)
    end = start + timedelta(seconds=content.report.last_time_s)
    clip = ClipDone(
        sha256=sha256, path=str(request.path), district=district, camera=camera_id,
        start_ms=milliseconds(start), end_ms=milliseconds(end), spans=_true_spans(start, content),
        start_source=source,
        detector=run.pipeline.detector.spec.sha256, embedder=run.pipeline.embedder.spec.sha256,
        frames_read=content.report.frames_decoded, frames_sampled=content.sampled,
        frames_corrupt=content.report.frames_corrupt, tracklets=len(content.people),
        vectors=sum(manifest.vectors for manifest in manifests),
        segments=tuple(manifest.segment for manifest in manifests),
        warnings=tuple(content.report.warnings), seconds_taken=time.monotonic() - begun,
    )  # fmt: skip
    run.catalogue.record_done(clip, fingerprint, camera, manifests)
    run.done.append(clip)
    run.warnings += [f"{request.path}: {warning}" for warning in clip.warnings]


def _true_spans(start: datetime, content: ClipContent) -> tuple[tuple[int, int], ...]:
    zero = milliseconds(start)
    return tuple((zero + round(begin * 1000), zero + round(end * 1000)) for begin, end in content.spans)


def _skip(run: _Run, request: ClipRequest, before: ClipDone, fingerprint: Fingerprint) -> None:
    run.skipped.append((str(request.path), f"indexed before as {before.district}/{before.camera}"))
    asked = (request.district or before.district, request.camera or before.camera)
    if asked != (before.district, before.camera):
        run.warnings.append(
            f"{request.path}: the same footage is in the archive as {before.district}/{before.camera},"
            f" not indexed again as {asked[0]}/{asked[1]}"
        )
    run.catalogue.record_seen(request.path, fingerprint, before.sha256)


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
) -> list[Manifest]:
    by_day: dict[str, list[Tracklet]] = defaultdict(list)
    for number, person in enumerate(content.people):
        seen = start + timedelta(seconds=person.start_s)
        tracklet = _tracklet(path, sha256, camera, start, content, number, person)
        by_day[local_day(seen).isoformat()].append(tracklet)
    manifests = []
    for day, tracklets in sorted(by_day.items()):
        origin = SegmentOrigin(
            camera.district, day, sha256, run.pipeline.embedder.spec.sha256,
            run.pipeline.detector.spec.sha256, run.pipeline.embedder.spec.dimension,
        )  # fmt: skip
        manifests.append(seal_segment(run.archive, origin, tracklets))
    return manifests


def _tracklet(
    path: Path, sha256: str, camera: Camera, start: datetime, content: ClipContent, number: int,
    person: TrackSummary,
) -> Tracklet:  # fmt: skip
    zero = milliseconds(start)
    left, top, right, bottom = (round(float(edge), 1) for edge in person.best.box)
    record = Record(
        id=hashlib.sha256(f"{sha256}/{camera.district}/{camera.id}/{number}".encode()).hexdigest()[:16],
        clip=sha256, path=str(path), camera=camera.id,
        start_ms=zero + round(person.start_s * 1000), end_ms=zero + round(person.end_s * 1000),
        best_ms=zero + round(person.best.time_s * 1000), best_offset_s=round(person.best.time_s, 3),
        box=(left, top, right, bottom), frame=(content.width, content.height),
        quality=person.best.quality, detections=person.detections,
    )  # fmt: skip
    return Tracklet(record, person.vectors, person.weights, encode_jpeg(fit_within(person.crop, *_THUMBNAIL)))


def _record_failure(run: _Run, request: ClipRequest, error: FootageError) -> None:
    start = None if request.start is None else milliseconds(request.start)
    failed = ClipFailed(str(request.path), request.district, request.camera, start, error.reason, str(error))
    run.catalogue.record_failure(failed)
    run.failed.append(failed)
