"""What is to be exported: the confirmed sightings of a case, and what is known of their cameras and clips.

Frozen facts. Knows not how a folder is written.
"""

from __future__ import annotations

from dataclasses import dataclass

from indexer.cameras import Camera
from indexer.districts import District, Districts
from indexer.ledger import ClipDone
from indexer.shard.records import Record
from indexer.snapshot import Snapshot
from search.case import Case
from search.judged import Judged


@dataclass(frozen=True)
class Confirmed:
    """A sighting that a person confirmed.

    Attributes:
        record: when, by what is known of the camera's clock now, and where in which clip.
        thumbnail: JPEG of the best crop.
        district: where.
        camera: as registered now.
        decided_ms: when it was confirmed, milliseconds since 1970 UTC.
        embedder: sha256 of the model by whose vectors it was found.
        clip: the ledger's row of its clip; None when the archive no longer has it.
        erased_ms: when the archive erased this tracklet, in the same unit; None if it did not.
    """

    record: Record
    thumbnail: bytes
    district: District
    camera: Camera
    decided_ms: int
    embedder: str
    clip: ClipDone | None = None
    erased_ms: int | None = None

    @property
    def camera_name(self) -> str:
        """For people; the id where it has no name."""
        return self.camera.name or self.camera.id

    @property
    def interval_s(self) -> tuple[float, float]:
        """First and last detection, seconds since the clip's first frame."""
        record = self.record
        zero_ms = record.best_ms - record.best_offset_s * 1000
        return (record.start_ms - zero_ms) / 1000, (record.end_ms - zero_ms) / 1000


@dataclass(frozen=True)
class Sheet:
    """What is exported of a case.

    Attributes:
        case: its id.
        opened_ms, closed_ms: milliseconds since 1970 UTC; the latter None while it is open.
        confirmed: by time.
    """

    case: str
    opened_ms: int
    closed_ms: int | None
    confirmed: tuple[Confirmed, ...]


def sheet_of(case: Case, snapshot: Snapshot, districts: Districts) -> Sheet:
    """The confirmed sightings of a case, with what the archive knows of their cameras and clips now.

    Raises:
        UnknownNameError: a sighting's district is not among these.
    """
    clips = {row.sha256: row for row in snapshot.clips}
    confirmed = tuple(
        Confirmed(
            snapshot.clocks.record(each.judged.record), each.judged.thumbnail,
            districts.find(each.judged.district),
            snapshot.cameras.get(each.judged.key)
            or Camera.unregistered(each.judged.record.camera, each.judged.district),
            each.history[-1].at_ms, each.judged.embedder, clips.get(each.judged.record.clip),
            _erased_ms(snapshot, each.judged),
        )
        for each in case.sightings
        if each.verdict == "confirmed"
    )  # fmt: skip
    return Sheet(case.id, case.opened_ms, case.closed_ms, confirmed)


def _erased_ms(snapshot: Snapshot, judged: Judged) -> int | None:
    record = snapshot.clocks.record(judged.record)
    times = []
    for erasure in snapshot.erasures:
        shift = snapshot.moved_ms(erasure, judged.key)
        start_ms, end_ms = record.start_ms - shift, record.end_ms - shift
        if erasure.district == judged.district and erasure.covers(record.camera, record.id, start_ms, end_ms):
            times.append(erasure.erased_ms(start_ms))
    return min(times, default=None)
