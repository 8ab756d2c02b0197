"""The work on one clip as a value: it can be sent to another process, and needs nothing but the disk.

Owns all of indexing that needs no catalogue: reading, hashing, looking, staging segments. What is staged
belongs to nothing until the coordinator puts it in its place (`indexer.indexing`), so work that is done twice
or given up half-way leaves no trace in the archive. Knows no ledger, no order, and not who else is at work.
"""

from __future__ import annotations

import hashlib
import secrets
import socket
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np

from indexer.cameras import Camera
from indexer.ledger import Fingerprint, clip_sha256
from indexer.pipeline import ClipContent, Pipeline
from indexer.shard.files import ArchiveFiles
from indexer.shard.records import Record, Stored, Tracklet
from indexer.shard.writer import SegmentOrigin, stage_segment
from indexer.snapshot import Erasure, Sealed
from indexer.times import local_day, milliseconds
from indexer.video import open_clip
from reid.camera_means import tally
from reid.errors import FootageError, StorageError
from reid.images import encode_jpeg

Advanced = Callable[[float], None]
"""Told the seconds of a clip that are done."""


@dataclass(frozen=True)
class Examined:
    """What a file is, without looking at its frames.

    Attributes:
        sha256: of its bytes, None when nobody asked.
        container_start: start in the container's metadata, aware UTC; None if absent.
        duration_s: its length as the file states it; None if it does not.
        refusal: (reason, message) when no frame can be decoded.
    """

    sha256: str | None
    container_start: datetime | None = None
    duration_s: float | None = None
    refusal: tuple[str, str] | None = None


@dataclass(frozen=True)
class Examine:
    """Read the head of a clip and, if asked, hash all of it: a decoder may crash on the first frame already.

    Attributes:
        path: the clip.
        hashed: also compute the sha256.
    """

    path: Path
    hashed: bool

    def run(self, pipeline: Pipeline, advanced: Advanced) -> Examined:
        """What the file is.

        Raises:
            FootageError: its bytes cannot be read.
        """
        sha256 = clip_sha256(self.path) if self.hashed else None
        try:
            with open_clip(self.path) as clip:
                return Examined(sha256, clip.container_start, clip.duration_s)
        except FootageError as error:
            return Examined(sha256, refusal=(error.reason, str(error)))


@dataclass(frozen=True)
class Looked:
    """What came of a clip.

    Attributes:
        staged: each of its segments, one a day, with the folder in which it is staged.
        start_ms, end_ms, spans: as of `ClipDone`.
        frames_read, frames_sampled, frames_corrupt: counts.
        warnings: what was odd, for people.
        erased: tracklets left out since they lie in a time that was erased.
        seconds_taken: wall-clock seconds of the work.
    """

    staged: tuple[tuple[Path, Sealed], ...]
    start_ms: int
    end_ms: int
    spans: tuple[tuple[int, int], ...]
    frames_read: int
    frames_sampled: int
    frames_corrupt: int
    warnings: tuple[str, ...]
    erased: int
    seconds_taken: float


@dataclass(frozen=True)
class Look:
    """Find everybody in a clip and stage the segments.

    Attributes:
        archive: where to stage; on many machines, the same path on all.
        path, fingerprint, sha256: the clip; one that is being written meanwhile is refused.
        camera: which recorded it.
        start: true moment of its first frame, aware UTC.
        erasures: of its district.
        id_salt: of the archive.
    """

    archive: ArchiveFiles
    path: Path
    fingerprint: Fingerprint
    sha256: str
    camera: Camera
    start: datetime
    erasures: tuple[Erasure, ...]
    id_salt: str = ""

    def run(self, pipeline: Pipeline, advanced: Advanced) -> Looked:
        """Decode, detect, embed, track, seal: the same result, to the bit, wherever it runs.

        Raises:
            FootageError: no frame of it can be decoded, or it is still being written.
            StorageError: the disk refuses.
        """
        begun = time.monotonic()
        if not self.archive.catalogue.exists():
            raise StorageError(
                f"{self.archive.home}: no archive there on {socket.gethostname()}; mount its storage under"
                " the same path on every machine that works for it"
            )
        content = pipeline.run(self.path, advanced)
        if Fingerprint.of(self.path) != self.fingerprint:
            raise FootageError(
                "still_written", f"{self.path}: still being written; index it when it is whole"
            )
        by_day, erased = self._tracklets(content)
        staged = tuple(
            self._stage(pipeline, day, tracklets, erased) for day, tracklets in sorted(by_day.items())
        )
        report, zero = content.report, milliseconds(self.start)
        return Looked(
            staged, zero, milliseconds(self.start + timedelta(seconds=report.last_time_s)),
            tuple((zero + round(begin * 1000), zero + round(end * 1000)) for begin, end in content.spans),
            report.frames_decoded + report.frames_left_out, content.sampled, report.frames_corrupt,
            tuple(report.warnings), erased, time.monotonic() - begun,
        )  # fmt: skip

    def _tracklets(self, content: ClipContent) -> tuple[dict[str, list[Tracklet]], int]:
        """By local day; and how many lie in a time that was erased."""
        by_day: dict[str, list[Tracklet]] = defaultdict(list)
        erased = 0
        for number, person in enumerate(content.people):
            tracklet = self._tracklet(content, number)
            if any(_is_erased(each, tracklet.record, self.camera) for each in self.erasures):
                erased += 1
                continue
            by_day[local_day(self.start + timedelta(seconds=person.start_s)).isoformat()].append(tracklet)
        return by_day, erased

    def _tracklet(self, content: ClipContent, number: int) -> Tracklet:
        zero, person, camera = milliseconds(self.start), content.people[number], self.camera
        left, top, right, bottom = (round(float(edge), 1) for edge in person.best.box)
        named = f"{self.id_salt}{self.sha256}/{camera.district}/{camera.id}/{number}"
        record = Record(
            id=hashlib.sha256(named.encode()).hexdigest()[:16],
            clip=self.sha256, path=str(self.path), camera=camera.id,
            start_ms=zero + round(person.start_s * 1000), end_ms=zero + round(person.end_s * 1000),
            best_ms=zero + round(person.best.time_s * 1000), best_offset_s=round(person.best.time_s, 3),
            box=(left, top, right, bottom), frame=(content.width, content.height),
            quality=person.best.quality, detections=person.detections,
        )  # fmt: skip
        seen = content.looks[number]
        return Tracklet(
            record, person.vectors, encode_jpeg(person.crop), seen.upper, seen.lower, seen.attributes
        )

    def _stage(
        self, pipeline: Pipeline, day: str, tracklets: list[Tracklet], erased: int
    ) -> tuple[Path, Sealed]:
        origin = SegmentOrigin(
            district=self.camera.district,
            day=day,
            embedder=pipeline.embedder.spec.sha256,
            detectors=(pipeline.detector.spec.sha256,),
            dimension=pipeline.embedder.spec.dimension,
            made_of=(
                self.camera.id, self.sha256, str(milliseconds(self.start)),
                str(pipeline.options.frames_per_second), f"whole look {pipeline.options.whole_look_s}",
                f"{erased} erased",
            ),
        )  # fmt: skip
        stored = sorted(map(Stored.of, tracklets), key=lambda one: (one.start_ms, one.id))
        people = {self.camera.id: tally([one.vectors.astype(np.float32) for one in stored])}
        # A name of its own: whoever was taken for dead and works on stages beside, not into, this.
        folder = self.archive.staging / f"{origin.segment}-{secrets.token_hex(4)}"
        return folder, Sealed(stage_segment(folder, origin, stored), people)


Job = Examine | Look


def _is_erased(erasure: Erasure, record: Record, camera: Camera) -> bool:
    """By the time that the camera was thought to show when that was erased."""
    moved = erasure.moved_ms(camera.id, camera.clock_offset_s)
    return erasure.covers(record.camera, record.id, record.start_ms - moved, record.end_ms - moved)
