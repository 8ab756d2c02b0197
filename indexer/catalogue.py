"""The catalogue of an archive: cameras, clips, failures and sealed segments, in one LMDB file.

Each change is one transaction: a clip is done exactly when its segments are recorded. Knows no pixels.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

import numpy as np

from indexer.cameras import Camera
from indexer.keyvalue import KeyValueFile, Table
from indexer.ledger import ClipDone, ClipFailed, Fingerprint, checked_row, unpack_done, unpack_failed
from indexer.shard.files import ArchiveFiles
from indexer.shard.manifest import Manifest
from reid.camera_means import CameraMeans, Tally
from reid.durable import make_folder
from reid.errors import (
    DamagedError,
    FormatError,
    InputError,
    ModelMismatchError,
    StorageError,
    storage_errors,
)

Mode = Literal["create", "write", "read"]

FORMAT_VERSION = 3
TABLES = ("meta", "cameras", "clips", "failures", "files", "segments", "tallies", "erasures")


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

    def covers(self, camera: str, tracklet: str, start_ms: int, end_ms: int) -> bool:
        """Is this tracklet of the district among what was erased?"""
        if self.tracklet is not None:
            return tracklet == self.tracklet
        here = not self.cameras or camera in self.cameras
        return here and start_ms < self.until_ms and end_ms >= self.since_ms


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

    def camera_means(self, dimension: int) -> CameraMeans:
        """Each camera's mean vector, for vectors of this dimension."""
        return CameraMeans(self.tallies, dimension)

    @cached_property
    def segments_of(self) -> Mapping[str, tuple[SegmentEntry, ...]]:
        """The segments that hold a clip's tracklets, by the clip's sha256."""
        found: dict[str, tuple[SegmentEntry, ...]] = {}
        for entry in self.segments:
            for clip in entry.clips:
                found[clip] = (*found.get(clip, ()), entry)
        return found


class Catalogue:
    """The catalogue, open. One process writes at a time (see `writer_lock`); any number read.

    Args:
        archive: whose catalogue.
        mode: "create" makes archive and catalogue if need be; "write" and "read" need them there.

    Raises:
        StorageError: no archive there, or the disk refuses.
        FormatError: written by a release with another format.
        DamagedError: the file is not intact.
    """

    def __init__(self, archive: ArchiveFiles, mode: Mode = "read") -> None:
        with storage_errors(archive.catalogue):
            exists = archive.catalogue.exists()
        if mode != "create" and not exists:
            raise StorageError(
                f"{archive.home}: no archive there; create one with: reid init --home {archive.home}"
            )
        if mode == "create":
            make_folder(archive.home)
        with storage_errors(archive.catalogue):
            version = _format_version(archive.catalogue, mode) if exists else None
            if version != FORMAT_VERSION and (version is not None or mode != "create"):
                raise FormatError(
                    f"{archive.catalogue}: format version {version}, this release reads {FORMAT_VERSION};"
                    f" {_advice(version)}"
                )
            self._file = KeyValueFile(archive.catalogue, TABLES, "read" if mode == "read" else "write")
        if version is None:
            with self._file.write() as tables:
                tables["meta"].put("format_version", FORMAT_VERSION)

    @property
    def version(self) -> int:
        """Grows with every change; cheap to ask."""
        return self._file.version

    def snapshot(self) -> Snapshot:
        """Everything, read in one transaction.

        Raises:
            DamagedError: a value is not what was stored.
        """
        with self._telling_damage(), self._file.read() as tables:
            return _snapshot(tables, tables["meta"].version)

    @contextmanager
    def _telling_damage(self) -> Iterator[None]:
        try:
            yield
        except (TypeError, KeyError, ValueError, AttributeError) as error:
            raise DamagedError(
                f"{self._file.path}: a stored value cannot be read ({error!r}); restore it from a backup"
            ) from None

    def put_cameras(self, cameras: Iterable[Camera]) -> None:
        """Add or replace cameras."""
        with self._file.write() as tables:
            for camera in cameras:
                tables["cameras"].put(f"{camera.district}/{camera.id}", asdict(camera))

    def remove_camera(self, district: str, camera_id: str) -> None:
        """Take out a camera that has no footage, such as one registered in the wrong district.

        Raises:
            InputError: no such camera, or there is footage of it.
        """
        with self._file.write() as tables:
            for clip in tables["clips"].values():
                if (clip["district"], clip["camera"]) == (district, camera_id):
                    raise InputError(
                        f"camera {district}/{camera_id} has indexed footage ({clip['path']}), so it stays;"
                        " index that under the right camera with --replace first"
                    )
            if not tables["cameras"].delete(f"{district}/{camera_id}"):
                raise InputError(f"camera {district}/{camera_id} is not registered; see: reid cameras list")

    def known_sha256(self, path: Path, fingerprint: Fingerprint) -> str | None:
        """The sha256 computed earlier of the same unchanged file, or None."""
        with self._file.read() as tables:
            value = tables["files"].get(_path_key(path))
        if value and (value["size"], value["modified_ns"]) == (fingerprint.size, fingerprint.modified_ns):
            return str(value["sha256"])
        return None

    def clip(self, sha256: str) -> ClipDone | None:
        """The ledger's row of an indexed clip, or None."""
        with self._file.read() as tables:
            value = tables["clips"].get(sha256)
        with self._telling_damage():
            return None if value is None else unpack_done(value)

    def done_under(self, path: Path) -> ClipDone | None:
        """The clip that was last indexed from this path, whether or not the file is still there."""
        with self._file.read() as tables:
            known = tables["files"].get(_path_key(path))
            value = known and tables["clips"].get(known["sha256"])
        with self._telling_damage():
            return unpack_done(value) if value else None

    def check_embedder(self, sha256: str, name: str) -> None:
        """Is this the model of the archive? The first clip that is recorded decides.

        Raises:
            ModelMismatchError: the archive holds vectors of another model.
        """
        with self._file.read() as tables:
            bound = tables["meta"].get("embedder")
        if bound not in (None, sha256):
            raise ModelMismatchError(
                f"this archive was indexed with embedder {bound[:12]}…, not with {name} ({sha256[:12]}…);"
                " vectors of two models cannot be compared: set that embedder in reid.toml, or index"
                " into another archive with --home"
            )

    def record_done(
        self, clip: ClipDone, fingerprint: Fingerprint, camera: Camera, sealed: Iterable[Sealed],
        gone: Iterable[str] = (), lost: tuple[Iterable[str], Collection[str]] = ((), ()),
    ) -> None:  # fmt: skip
        """Mark a clip done and make its segments part of the archive, in one transaction.

        What the ledger holds of an earlier state of the same file (same place and start) leaves in that
        transaction.

        Args:
            sealed: segments to take in: the clip's, and those that take the place of others.
            gone: segments that leave; their folders are the caller's to delete afterwards.
            lost: segments that cannot be read, and the clips that are no longer to be looked for in them.
        """
        path_key = _path_key(Path(clip.path))
        with self._file.write() as tables:
            earlier = _earlier_state(tables, clip)
            if earlier:
                tables["clips"].delete(earlier["sha256"])
            tables["meta"].put("embedder", clip.embedder)
            _swap(tables, gone, sealed)
            for segment in lost[0]:
                _give_up(tables, segment, lost[1])
            key = f"{camera.district}/{camera.id}"
            if tables["cameras"].get(key) is None:
                tables["cameras"].put(key, asdict(camera))
            tables["clips"].put(clip.sha256, clip.pack())
            tables["files"].put(path_key, {**asdict(fingerprint), "sha256": clip.sha256})
            tables["failures"].delete(path_key)

    def superseded(self, clip: ClipDone) -> tuple[str, ...]:
        """sha256 of the clips whose tracklets leave when `clip` is recorded: itself as it was indexed before,
        and an earlier state of the same file.
        """
        with self._file.read() as tables:
            earlier = _earlier_state(tables, clip)
            own = tables["clips"].get(clip.sha256)
        return tuple(each["sha256"] for each in (own, earlier) if each)

    def swap(
        self, gone: Iterable[str], sealed: Iterable[Sealed], erasure: Erasure | None = None,
        lost: Mapping[str, str] | None = None,
    ) -> None:  # fmt: skip
        """Put sealed segments in the place of others, in one transaction.

        Args:
            gone: segments that leave. sealed: those that come.
            erasure: noted with it.
            lost: segments whose files will be deleted although their clips stay, by name with the reason.
        """
        with self._file.write() as tables:
            _swap(tables, gone, sealed)
            for segment, reason in (lost or {}).items():
                value = tables["segments"].get(segment)
                if value is not None:
                    tables["segments"].put(segment, {**value, "seal": "", "quarantined": reason})
            if erasure:
                key = hashlib.sha256(repr(erasure).encode()).hexdigest()[:16]
                tables["erasures"].put(f"{erasure.at_ms:013d}-{key}", asdict(erasure))

    def quarantine(self, reasons: Mapping[str, str | None]) -> None:
        """Take segments out of every search, by name with the reason; None lets one in again."""
        with self._file.write() as tables:
            for segment, reason in reasons.items():
                value = tables["segments"].get(segment)
                if value is not None:
                    tables["segments"].put(segment, {**value, "quarantined": reason})

    def use_codebook(self, name: str) -> None:
        """Segments sealed from now on are coded by this codebook."""
        with self._file.write() as tables:
            tables["meta"].put("codebook", name)

    def record_seen(self, path: Path, fingerprint: Fingerprint, sha256: str) -> None:
        """Remember that this file is a clip that was indexed before."""
        if self.known_sha256(path, fingerprint) == sha256:
            return
        with self._file.write() as tables:
            tables["files"].put(_path_key(path), {**asdict(fingerprint), "sha256": sha256})
            tables["failures"].delete(_path_key(path))

    def drop_failure(self, path: str) -> None:
        """Forget a failed clip: its file is no longer there."""
        with self._file.write() as tables:
            tables["failures"].delete(_path_key(Path(path)))

    def record_failure(self, failed: ClipFailed) -> None:
        """Add a failed clip, or count one more try of it."""
        with self._file.write() as tables:
            key = _path_key(Path(failed.path))
            before: dict[str, Any] | None = tables["failures"].get(key)
            tries = 1 if before is None else before["tries"] + 1
            tables["failures"].put(key, {**failed.pack(), "tries": tries})

    def close(self) -> None:
        """Unmap the file."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _format_version(path: Path, mode: Mode) -> int | None:
    """The format of a catalogue, asked of the one table that every format has; None while it is made."""
    opened = KeyValueFile(path, ("meta",), "write" if mode == "create" else "read")
    with opened, opened.read() as tables:
        version: int | None = tables["meta"].get("format_version")
        return version


def _advice(version: object) -> str:
    if isinstance(version, int) and version < FORMAT_VERSION:
        return "bring the archive up to date with: reid migrate"
    return "use the release that wrote it, or index the footage into a new archive"


def _snapshot(tables: Mapping[str, Table], version: int) -> Snapshot:
    cameras = [checked_row(Camera(**value)) for value in tables["cameras"].values()]
    clips = [unpack_done(value) for value in tables["clips"].values()]
    segments = [checked_row(_unpack_entry(value)) for value in tables["segments"].values()]
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
        failures=tuple(unpack_failed(value) for value in tables["failures"].values()),
        segments=tuple(sorted(segments, key=lambda entry: (entry.start_ms, entry.segment))),
        tallies=tallies,
        erasures=tuple(_unpack_erasure(value) for value in tables["erasures"].values()),
    )


def _unpack_entry(value: Mapping[str, Any]) -> SegmentEntry:
    lists = {name: tuple(value[name]) for name in ("cameras", "rows_by_camera", "clips")}
    return SegmentEntry(**{**value, **lists})


def _unpack_erasure(value: Mapping[str, Any]) -> Erasure:
    lists = {name: tuple(value[name]) for name in ("cameras", "removed", "replaced")}
    return checked_row(Erasure(**{**value, **lists}))


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


def _path_key(path: Path) -> str:
    """A key of fixed length for a path of any length and any bytes."""
    return hashlib.sha256(os.fsencode(path)).hexdigest()


def _earlier_state(tables: Mapping[str, Table], clip: ClipDone) -> Mapping[str, Any] | None:
    """The ledger's row of what lay under the clip's path before, if it was another state of the same clip."""
    known = tables["files"].get(_path_key(Path(clip.path)))
    earlier: Mapping[str, Any] | None = known and tables["clips"].get(known["sha256"])
    same = ("district", "camera", "start_ms")
    if earlier and earlier["sha256"] != clip.sha256:
        return earlier if all(earlier[name] == getattr(clip, name) for name in same) else None
    return None


def _swap(tables: Mapping[str, Table], gone: Iterable[str], sealed: Iterable[Sealed]) -> None:
    for segment in gone:
        tables["segments"].delete(segment)
        tables["tallies"].delete(segment)
    for each in sealed:
        manifest = each.manifest
        tables["segments"].put(manifest.segment, asdict(SegmentEntry.of(manifest)))
        tables["tallies"].put(manifest.segment, pack_tallies(manifest.district, each.people))


def _give_up(tables: Mapping[str, Table], segment: str, clips: Collection[str]) -> None:
    """A segment that cannot be read no longer answers for these clips."""
    value: dict[str, Any] = tables["segments"].get(segment) or {"clips": ()}
    left = [clip for clip in value["clips"] if clip not in clips]
    if left:
        reason = "damaged, and some of its clips were indexed again; index the others too"
        tables["segments"].put(segment, {**value, "clips": left, "quarantined": reason})
    else:
        _swap(tables, [segment], [])


@contextmanager
def writer_lock(archive: ArchiveFiles) -> Iterator[None]:
    """Hold the archive for writing; released by the system even when the process is killed.

    Raises:
        StorageError: another process holds it (its number is told), or the disk refuses.
    """
    with storage_errors(archive.lock):
        descriptor = os.open(archive.lock, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(descriptor, 64).decode(errors="replace").strip() or "unknown"
            raise StorageError(
                f"{archive.home} is being written by process {holder}; wait for it to end, or stop it"
            ) from None
        with storage_errors(archive.lock):
            os.ftruncate(descriptor, 0)
            os.write(descriptor, f"{os.getpid()}\n".encode())
        yield
    finally:
        os.close(descriptor)
