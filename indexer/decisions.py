"""What is to be done with a clip: nothing, since it is in the archive; a look at it, from which moment of
which camera; or a failure that can be told without looking.

Owns the comparison of what is asked with what the archive holds. Does none of it, and changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from indexer.cameras import Camera
from indexer.catalogue import Catalogue
from indexer.clips import ClipRequest, StartSource
from indexer.ledger import ClipDone, ClipFailed, Fingerprint
from indexer.pipeline import Kit
from indexer.rewriting import open_entry
from indexer.shard.files import ArchiveFiles
from indexer.snapshot import Snapshot
from indexer.survey import CLOCK_TOLERANCE, shown_start
from indexer.times import from_milliseconds, milliseconds, to_local_iso
from indexer.video import clip_start
from indexer.work import Examined, Look, Looked
from reid.errors import DamagedError, FootageError, FormatError

_SLOWEST_BYTES_PER_S = 1_000_000  # of a disk or a network on which hashing is not yet given up
_LEAST_BYTES_PER_S = 500  # of footage: a file that states to be longer lies
_USUAL_BYTES_PER_S = 16_000  # of footage whose length the file does not state; few cameras make less


@dataclass(frozen=True)
class RunOptions:
    """How a run goes about it.

    Attributes:
        replace: index clips anew whose start, place or settings differ from what the archive holds.
        time_factor, time_floor_s: a clip is given up after so many times its length and so many seconds.
        tries: how often a clip that fails is tried, until its file changes; None: always.
    """

    replace: bool = False
    time_factor: float = 10.0
    time_floor_s: float = 300.0
    tries: int | None = 3

    def look_limit_s(self, size: int, duration_s: float | None) -> float:
        """Seconds that a clip of `size` bytes may take, given the length that it states."""
        stated = size / _USUAL_BYTES_PER_S if duration_s is None else duration_s
        return self.time_floor_s + self.time_factor * min(stated, size / _LEAST_BYTES_PER_S)

    def examine_limit_s(self, size: int) -> float:
        """Seconds that reading `size` bytes once may take."""
        return self.time_floor_s + size / _SLOWEST_BYTES_PER_S


@dataclass(frozen=True)
class Plan:
    """A clip that is to be looked at.

    Attributes:
        look: the work. limit_s: seconds that it may take.
        source: where its start is known from.
        replaces: something that was indexed before leaves for it.
        warnings: what is odd, for people.
    """

    look: Look
    limit_s: float
    source: StartSource
    replaces: bool
    warnings: tuple[str, ...]

    def oddities(self, looked: Looked) -> list[str]:
        """What is odd about what came of it, for people."""
        path, found = self.look.path, []
        if looked.erased:
            found.append(
                f"{path}: {looked.erased} tracklets lie in a time that was erased (reid erase); left out"
            )
        if self.source == "container":
            found.append(
                f"{path}: start {to_local_iso(self.look.start)} taken from the file's metadata, which may be"
                " the time of its export; give --start if it is wrong"
            )
        return [*found, *(f"{path}: {warning}" for warning in looked.warnings)]


class Decisions:
    """Decides by the archive as it is; `refresh` when segments that were there have changed.

    Args:
        archive, catalogue: open for writing.
        kit: what clips are looked at with.
        options: of the run.
        now: the clock, aware UTC.
    """

    def __init__(
        self, archive: ArchiveFiles, catalogue: Catalogue, kit: Kit, options: RunOptions,
        now: Callable[[], datetime],
    ) -> None:  # fmt: skip
        self.snapshot = catalogue.snapshot()
        self.cameras = dict(self.snapshot.cameras)
        self.options = options
        self._archive, self._catalogue, self._kit, self._now = archive, catalogue, kit, now
        self._sound: dict[str, bool] = {}

    def refresh(self) -> Snapshot:
        """Take the catalogue as it is now."""
        self.snapshot = self._catalogue.snapshot()
        return self.snapshot

    def kept(self, request: ClipRequest, sha256: str) -> ClipDone | None:
        """The clip as the archive holds it, when that is to stay; None when it is to be indexed."""
        before = self._catalogue.clip(sha256)
        if before is None or (self.options.replace and any(self.differences(request, before))):
            return None
        return before if self._is_sound(before) else None

    def given_up(self, request: ClipRequest) -> ClipFailed | None:
        """The clip as it failed, when it is not to be tried again; a file that changed since is."""
        row = self._catalogue.unfinished(request.path)
        if not isinstance(row, ClipFailed) or not row.is_given_up(self.options.tries):
            return None
        try:
            return row if row.is_of(Fingerprint.of(request.path)) else None
        except FootageError:
            return None

    def plan(
        self, request: ClipRequest, fingerprint: Fingerprint, sha256: str, examined: Examined
    ) -> Plan:  # fmt: skip
        """What there is to look at.

        Raises:
            FootageError: its district, camera or start is unknown, or the start lies in the future.
        """
        district, camera_id = request.origin()
        shown, source = _start_of(request, examined)
        camera, warnings = self._camera(district, camera_id)
        start = camera.true_time(shown)
        if start > self._now() + CLOCK_TOLERANCE:
            raise FootageError(
                "future_start",
                f"{request.path}: starts at {to_local_iso(start)}, which is in the future;"
                " check the camera's clock, this machine's clock and --start",
            )
        erasures = tuple(each for each in self.snapshot.erasures if each.district == district)
        look = Look(
            self._archive, request.path, fingerprint, sha256, camera, start, erasures, self.snapshot.id_salt
        )
        limit_s = self.options.look_limit_s(fingerprint.size, examined.duration_s)
        under = self._catalogue.done_under(request.path)
        if under is not None and under.sha256 != sha256 and under.path == str(request.path):
            warnings.append(f"{request.path}: its content has changed since it was indexed; indexed anew")
        replaces = (self._catalogue.clip(sha256) or under) is not None
        return Plan(look, limit_s, source, replaces, tuple(warnings))

    def differences(self, request: ClipRequest, before: ClipDone) -> Iterator[str]:
        """In what the archive's state of a clip is not what a new indexing would give."""
        place = (request.district or before.district, request.camera or before.camera)
        if place != (before.district, before.camera):
            yield f"as {before.district}/{before.camera}, not {place[0]}/{place[1]}"
        shown = shown_start(request)
        # On the camera's own clock: its offset may be known better today, and every search corrects by that.
        if shown is not None and abs(milliseconds(shown) - before.shown_ms) > 1:
            was = to_local_iso(from_milliseconds(before.shown_ms))
            yield f"with start {was} on the camera's clock, not {to_local_iso(shown)}"
        settings = (self._kit.detector.sha256, self._kit.options.frames_per_second)
        if settings != (before.detector, before.frames_per_second):
            yield "with another detector or frame rate"

    def _is_sound(self, before: ClipDone) -> bool:
        """Can the segments of an indexed clip still be read? If not, indexing it again mends the archive."""
        for entry in self.snapshot.segments_of.get(before.sha256, ()):
            if entry.seal not in self._sound:  # a merged day holds many clips
                try:
                    open_entry(self._archive, entry).verify(deep=False)
                    self._sound[entry.seal] = True
                except (DamagedError, FormatError):
                    self._sound[entry.seal] = False
            if not self._sound[entry.seal]:
                return False
        return True

    def _camera(self, district: str, camera_id: str) -> tuple[Camera, list[str]]:
        """The camera, and a warning when it is met for the first time."""
        key = (district, camera_id)
        if key in self.cameras:
            return self.cameras[key], []
        self.cameras[key] = Camera.unregistered(camera_id, district)
        return self.cameras[key], [
            f"camera {camera_id} in {district} is not registered: no position, clock taken as right;"
            " register it with: reid cameras add CAMERAS.csv"
        ]


def _start_of(request: ClipRequest, examined: Examined) -> tuple[datetime, StartSource]:
    if request.start is not None:
        return request.start, "given"
    if examined.refusal is not None and clip_start(Path(request.path.name), None) is None:
        raise FootageError(*examined.refusal)
    found = clip_start(request.path, examined.container_start)
    if found is None:
        raise FootageError(
            "no_start",
            f"{request.path}: no start time in the file's name or metadata; give --start, or name clips"
            " like 20251103T153000.mp4",
        )
    return found
