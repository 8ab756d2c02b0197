"""The catalogue of an archive as it is at one moment, and the rows that it is made of.

Knows what is stored of segments, erasures and people; `indexer.catalogue` owns when.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from indexer.cameras import Camera
from indexer.clocks import Clocks, clocks_of
from indexer.keyvalue import Table
from indexer.ledger import (
    ClipDone,
    ClipFailed,
    ClipWaiting,
    checked_ms,
    checked_row,
    unpack_done,
    unpack_unfinished,
)
from indexer.shard.manifest import Manifest
from reid.camera_means import CameraMeans, Tally


@dataclass(frozen=True)
class SegmentEntry:
    """What the catalogue knows of a sealed segment without opening it.

    Attributes:
        seal: sha256 of its manifest; empty when its files were deleted and are not to come back.
        quarantined: why it must not be searched; None for a sound one.
        (others): as in its manifest; `bytes` of all its files.
    """

    segment: str
    district: str
    day: str
    cameras: tuple[str, ...]
    rows_by_camera: tuple[int, ...]
    clips: tuple[str, ...]
    start_ms: int
    end_ms: int
    tracklets: int
    vectors: int
    bytes: int
    codebook: str | None
    seal: str
    quarantined: str | None = None

    @classmethod
    def of(cls, manifest: Manifest) -> SegmentEntry:
        """The entry of a segment just sealed."""
        return cls(
            manifest.segment, manifest.district, manifest.day, manifest.cameras, manifest.rows_by_camera,
            manifest.clips, manifest.start_ms, manifest.end_ms, manifest.tracklets, manifest.vectors,
            sum(seal.bytes for seal in manifest.files.values()), manifest.codebook,
            hashlib.sha256(manifest.to_bytes()).hexdigest(),
        )  # fmt: skip


@dataclass(frozen=True)
class Sealed:
    """A segment just sealed.

    Attributes:
        manifest: its own.
        people: the different people it shows, by camera id.
    """

    manifest: Manifest
    people: Mapping[str, Tally]


@dataclass(frozen=True)
class Erasure:
    """What was erased, and the proof of it. Nothing of that time and place comes into the archive again.

    Attributes:
        district: slug. cameras: ids; empty for all of the district.
        since_ms, until_ms: milliseconds since 1970 UTC, half-open; a tracklet goes when any part of it lies
            inside.
        tracklet: the id of the one tracklet that went; None for all of that time.
        at_ms: when, in the same unit.
        tracklets, vectors: how many went.
        removed: sha256 of the manifests of the segments that are gone; `replaced`: of those that took the
            place of some, without what was erased.
        clock_offsets_s: by camera id, the offset by which its times were understood; without those of 0.
        first_footage: of retention, by camera id: from which moment on there was footage whose rows left the
            ledger.
        runs: of retention: (until_ms, at_ms) of each run, oldest first; the manifests are in its proof.
    """

    district: str
    cameras: tuple[str, ...]
    since_ms: int
    until_ms: int
    tracklet: str | None
    at_ms: int
    tracklets: int
    vectors: int
    removed: tuple[str, ...]
    replaced: tuple[str, ...]
    clock_offsets_s: Mapping[str, float] = field(default_factory=dict)
    first_footage: Mapping[str, int] = field(default_factory=dict)
    runs: tuple[tuple[int, int], ...] = ()

    @property
    def is_expiry(self) -> bool:
        """Did everything of the district up to a moment go, as retention asks? What a person asks to have
        erased has a beginning.
        """
        return self.tracklet is None and not self.cameras and self.since_ms == 0

    def covers(self, camera: str, tracklet: str, start_ms: int, end_ms: int) -> bool:
        """Is this tracklet of the district among what was erased?"""
        if self.tracklet is not None:
            return tracklet == self.tracklet
        here = not self.cameras or camera in self.cameras
        return here and start_ms < self.until_ms and end_ms >= self.since_ms

    def erased_ms(self, start_ms: int) -> int:
        """When what begins at this moment went, milliseconds since 1970 UTC."""
        return next((at_ms for until_ms, at_ms in self.runs if start_ms < until_ms), self.at_ms)

    def moved_ms(self, camera: str, clock_offset_s: float) -> int:
        """Milliseconds to add to its times when a camera's clock is known to be ahead by so much."""
        return round((self.clock_offsets_s.get(camera, 0.0) - clock_offset_s) * 1000)


@dataclass(frozen=True)
class Snapshot:
    """All of the catalogue at one moment; later changes do not reach it.

    Attributes:
        version: grows with every change.
        embedder: sha256 of the model all vectors were made by; None while nothing is indexed.
        codebook: name of the codebook in use; None without one.
        cameras: by (district, camera id).
        clips: indexed clips, oldest first.
        failures: clips that could not be indexed.
        segments: sealed segments, oldest first.
        tallies: by (district, camera id), the different people whose vectors make the camera's mean.
        erasures: what was erased, oldest first.
        waiting: clips that a run was told to index and has not come to.
        id_salt: goes into the ids of tracklets, so that those of another model are others.
    """

    version: int
    embedder: str | None
    codebook: str | None
    cameras: Mapping[tuple[str, str], Camera]
    clips: tuple[ClipDone, ...]
    failures: tuple[ClipFailed, ...]
    segments: tuple[SegmentEntry, ...]
    tallies: Mapping[tuple[str, str], Tally]
    erasures: tuple[Erasure, ...]
    waiting: tuple[ClipWaiting, ...] = ()
    id_salt: str = ""

    @property
    def unfinished(self) -> tuple[ClipFailed | ClipWaiting, ...]:
        """Clips that are known and not indexed."""
        return (*self.failures, *self.waiting)

    @cached_property
    def places(self) -> frozenset[tuple[str, str]]:
        """(district, camera id) of the cameras, and of those whose only footage is not indexed or gone."""
        return (
            frozenset(self.cameras)
            | {(each.district or "", each.camera or "") for each in self.unfinished if each.is_measured}
            | {(each.district, camera) for each in self.erasures for camera in each.first_footage}
        )

    def camera_means(self, dimension: int) -> CameraMeans:
        """Each camera's mean vector, for vectors of this dimension."""
        return CameraMeans(self.tallies, dimension)

    def moved_ms(self, erasure: Erasure, key: tuple[str, str]) -> int:
        """Milliseconds to add to an erasure's times by what is known of a camera's clock at this moment."""
        known = self.cameras.get(key)
        return erasure.moved_ms(key[1], known.clock_offset_s) if known else 0

    def expired_until(self, key: tuple[str, str]) -> int:
        """The moment up to which everything of a camera has expired, milliseconds since 1970 UTC; 0: nothing
        has.
        """
        ends = [each.until_ms + self.moved_ms(each, key) for each in self._expiries.get(key[0], ())]
        return max(ends, default=0)

    @cached_property
    def _expiries(self) -> Mapping[str, list[Erasure]]:
        found: dict[str, list[Erasure]] = defaultdict(list)
        for each in self.erasures:
            if each.is_expiry:
                found[each.district].append(each)
        return found

    @cached_property
    def clocks(self) -> Clocks:
        """How far stored times are off by what is known of the clocks at this moment."""
        return clocks_of(self.cameras, self.clips)

    @cached_property
    def segments_of(self) -> Mapping[str, tuple[SegmentEntry, ...]]:
        """The segments that hold a clip's tracklets, by the clip's sha256."""
        found: dict[str, tuple[SegmentEntry, ...]] = {}
        for entry in self.segments:
            for clip in entry.clips:
                found[clip] = (*found.get(clip, ()), entry)
        return found


def read_snapshot(tables: Mapping[str, Table], version: int, with_clips: bool = True) -> Snapshot:
    """All of the tables, read in one transaction; `version` is that of what is read.

    Args:
        with_clips: see `Catalogue.snapshot`.

    Raises:
        TypeError, KeyError, ValueError: a value is not what was stored.
    """
    cameras = [checked_row(Camera(**value)) for value in tables["cameras"].values()]
    clips = [unpack_done(value) for value in tables["clips"].values()] if with_clips else []
    unfinished = [unpack_unfinished(value) for value in tables["failures"].values()]
    segments = [checked_row(_unpack_entry(value)) for value in tables["segments"].values()]
    erasures = [_unpack_erasure(value) for value in tables["erasures"].values()]
    tallies: dict[tuple[str, str], Tally] = {}
    for value in tables["tallies"].values():
        for key, people in _unpack_tallies(value):
            tallies[key] = tallies[key] + people if key in tallies else people
    return Snapshot(
        version=version,
        embedder=tables["meta"].get("embedder"),
        codebook=tables["meta"].get("codebook"),
        cameras={(camera.district, camera.id): camera for camera in cameras},
        clips=tuple(sorted(clips, key=lambda clip: (clip.start_ms, clip.sha256))),
        failures=tuple(each for each in unfinished if isinstance(each, ClipFailed)),
        segments=tuple(sorted(segments, key=lambda entry: (entry.start_ms, entry.segment))),
        tallies=tallies,
        erasures=tuple(sorted(erasures, key=lambda each: each.at_ms)),
        waiting=tuple(each for each in unfinished if isinstance(each, ClipWaiting)),
        id_salt=tables["meta"].get("id_salt") or "",
    )


def _unpack_entry(value: Mapping[str, Any]) -> SegmentEntry:
    lists = {name: tuple(value[name]) for name in ("cameras", "rows_by_camera", "clips")}
    return SegmentEntry(**{**value, **lists})


def _unpack_erasure(value: Mapping[str, Any]) -> Erasure:
    lists = {name: tuple(value[name]) for name in ("cameras", "removed", "replaced")}
    runs = tuple((checked_ms(until), checked_ms(at)) for until, at in value.get("runs", ()))
    return checked_row(Erasure(**{**value, **lists, "runs": runs}))


def pack_tallies(district: str, people: Mapping[str, Tally]) -> list[dict[str, Any]]:
    """The value of the table `tallies`: the different people of a segment, by camera."""
    return [
        {"district": district, "camera": camera, "count": each.count,
         "total": each.total.astype(np.float32).tobytes()}
        for camera, each in sorted(people.items())
    ]  # fmt: skip


def _unpack_tallies(values: Iterable[Mapping[str, Any]]) -> Iterator[tuple[tuple[str, str], Tally]]:
    for value in values:
        people = Tally(int(value["count"]), np.frombuffer(value["total"], np.float32).astype(np.float64))
        yield (value["district"], value["camera"]), people
