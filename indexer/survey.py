"""Tells, before a run begins, what it is about to index: names first, then the lengths that the files state.

Owns what is known of a clip that nobody has looked at. Searches count it as not yet indexed, also after a run
that was stopped. Decides nothing about what is indexed.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from indexer.cameras import Camera
from indexer.catalogue import Catalogue
from indexer.clips import ClipRequest
from indexer.executors import Executor, Failure, done_by
from indexer.ledger import ClipWaiting, Fingerprint
from indexer.snapshot import Snapshot
from indexer.times import milliseconds
from indexer.video import clip_start
from indexer.work import Examine, Examined
from reid.errors import FootageError

CLOCK_TOLERANCE = timedelta(minutes=10)
"""A clip may start so much later than this machine's clock says it is."""
_AT_ONCE = 500  # clips in one transaction


@dataclass(frozen=True)
class Outliner:
    """What a clip covers by its name and its head; unknown where they do not say, or cannot be right.

    Attributes:
        snapshot: what has expired.
        cameras: by (district, camera id).
        now: the clock, aware UTC.
    """

    snapshot: Snapshot
    cameras: Mapping[tuple[str, str], Camera]
    now: Callable[[], datetime]

    def outline(self, request: ClipRequest, head: Examined | None) -> ClipWaiting:
        """The ledger's row of a clip that waits; `head` is None while nobody has read it."""
        start = self._true_start(request, head.container_start if head else None)
        if start is not None and start > self.now() + CLOCK_TOLERANCE:
            start = None
        start_ms = None if start is None else milliseconds(start)
        length_s = head.duration_s if head else None
        end_ms = None if start_ms is None or length_s is None else start_ms + round(length_s * 1000)
        return ClipWaiting(str(request.path), request.district, request.camera, start_ms, end_ms)

    def has_expired(self, clip: ClipWaiting) -> bool:
        """Does all of a clip lie in a time that has expired? It is not looked at again."""
        if not clip.is_measured or clip.end_ms is None:
            return False
        return clip.end_ms <= self.snapshot.expired_until((clip.district or "", clip.camera or ""))

    def _true_start(self, request: ClipRequest, container_start: datetime | None) -> datetime | None:
        shown = shown_start(request, container_start)
        camera = self.cameras.get((request.district or "", request.camera or ""))
        return shown if shown is None or camera is None else camera.true_time(shown)


def shown_start(request: ClipRequest, container_start: datetime | None = None) -> datetime | None:
    """The start on the camera's clock as far as it is known without decoding the clip."""
    named = clip_start(request.path, container_start)
    return request.start or (named[0] if named else None)


@dataclass(frozen=True)
class Surveyed:
    """What is not to be indexed.

    Attributes:
        hopeless: clips whose heads a worker could not bear, and why.
        expired: clips of a time of which nothing is kept.
    """

    hopeless: dict[Path, Failure] = field(default_factory=dict)
    expired: set[Path] = field(default_factory=set)


def survey(
    executor: Executor, catalogue: Catalogue, new: Sequence[ClipRequest], outliner: Outliner,
    limit_s: Callable[[int], float], stop_when: Callable[[], bool],
) -> Surveyed:  # fmt: skip
    """Record what a run is about to index.

    Args:
        new: those of its requests that the archive does not hold.
        limit_s: seconds to read the head of a file of so many bytes.
        stop_when: once it says so the rest is known by name only.
    """
    catalogue.record_waiting(outliner.outline(request, None) for request in new)
    found = Surveyed()
    rows: list[ClipWaiting] = []
    for request, outcome in done_by(executor, _heads(new, limit_s), stop_when):
        if outcome.failure is None:
            outline = outliner.outline(request, outcome.value)
            if outliner.has_expired(outline):
                found.expired.add(request.path)
                catalogue.drop_failure(outline.path)
            else:
                rows.append(outline)
        elif outcome.failure.stops:
            raise outcome.failure.error()
        else:
            found.hopeless[request.path] = outcome.failure
        if len(rows) == _AT_ONCE:
            catalogue.record_waiting(rows)
            rows.clear()
    if rows:
        catalogue.record_waiting(rows)
    return found


def is_new(catalogue: Catalogue, request: ClipRequest) -> bool:
    """Is there a file that nobody has seen indexed in this state?"""
    try:
        fingerprint = Fingerprint.of(request.path)
    except FootageError:
        return False
    sha256 = catalogue.known_sha256(request.path, fingerprint)
    return sha256 is None or catalogue.clip(sha256) is None


def is_gone(path: str) -> bool:
    """Was the file deleted? One whose whole folder is away or empty may be on a disk that is not there now:
    that footage exists, and must not become 'no footage'.
    """
    if os.path.lexists(path):
        return False
    try:
        with os.scandir(Path(path).parent) as beside:
            return next(beside, None) is not None
    except OSError:
        return False


def _heads(
    requests: Sequence[ClipRequest], limit_s: Callable[[int], float]
) -> Iterator[tuple[ClipRequest, Examine, float]]:
    for request in requests:
        try:
            size = request.path.stat().st_size
        except OSError:
            continue
        yield request, Examine(request.path, hashed=False), limit_s(size)
