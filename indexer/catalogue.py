"""The catalogue of an archive: cameras, clips, failures and sealed segments, in one LMDB file.

Each change is one transaction: a clip is done exactly when its segments are recorded. Knows no pixels.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
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

FORMAT_VERSION = 2
_TABLES = ("meta", "cameras", "clips", "failures", "files", "segments", "tallies")


@dataclass(frozen=True)
class SegmentEntry:
    """What the catalogue knows of a sealed segment without opening it; `seal` is its manifest's sha256."""

    segment: str
    district: str
    day: str
    cameras: tuple[str, ...]
    start_ms: int
    end_ms: int
    tracklets: int
    vectors: int
    bytes: int
    seal: str

    @classmethod
    def of(cls, manifest: Manifest) -> SegmentEntry:
        """The entry of a segment just sealed."""
        return cls(
            manifest.segment, manifest.district, manifest.day, manifest.cameras, manifest.start_ms,
            manifest.end_ms, manifest.tracklets, manifest.vectors,
            sum(seal.bytes for seal in manifest.files.values()),
            hashlib.sha256(manifest.to_bytes()).hexdigest(),
        )  # fmt: skip


@dataclass(frozen=True)
class Snapshot:
    """All of the catalogue at one moment; later changes do not reach it.

    Attributes:
        embedder: sha256 of the model all vectors were made by; None while nothing is indexed.
        cameras: by (district, camera id).
        clips: indexed clips, oldest first.
        failures: clips that could not be indexed.
        segments: sealed segments, oldest first.
        tallies: by (district, camera id), the different people whose vectors make the camera's mean.
    """

    embedder: str | None
    cameras: Mapping[tuple[str, str], Camera]
    clips: tuple[ClipDone, ...]
    failures: tuple[ClipFailed, ...]
    segments: tuple[SegmentEntry, ...]
    tallies: Mapping[tuple[str, str], Tally]

    def camera_means(self, dimension: int) -> CameraMeans:
        """Each camera's mean vector, for vectors of this dimension."""
        return CameraMeans(self.tallies, dimension)


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
                    " use the release that wrote it, or index the footage into a new archive"
                )
            self._file = KeyValueFile(archive.catalogue, _TABLES, "read" if mode == "read" else "write")
        if version is None:
            with self._file.write() as tables:
                tables["meta"].put("format_version", FORMAT_VERSION)

    def snapshot(self) -> Snapshot:
        """Everything, read in one transaction.

        Raises:
            DamagedError: a value is not what was stored.
        """
        with self._telling_damage(), self._file.read() as tables:
            return _snapshot(tables)

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
        self, clip: ClipDone, fingerprint: Fingerprint, camera: Camera,
        segments: Iterable[tuple[Manifest, Tally]],
    ) -> None:  # fmt: skip
        """Mark a clip done and make its segments part of the archive, in one transaction.

        What the archive held of the same clip, or of an earlier state of the same file (same place and
        start), leaves in that transaction; the folders go when the next run begins.
        """
        path_key = _path_key(Path(clip.path))
        with self._file.write() as tables:
            known = tables["files"].get(path_key)
            _forget(tables, tables["clips"].get(clip.sha256))
            earlier = known and tables["clips"].get(known["sha256"])
            same = ("district", "camera", "start_ms")
            if earlier and all(earlier[name] == getattr(clip, name) for name in same):
                _forget(tables, earlier)
            tables["meta"].put("embedder", clip.embedder)
            for manifest, people in segments:
                tables["segments"].put(manifest.segment, asdict(SegmentEntry.of(manifest)))
                tables["tallies"].put(manifest.segment, _pack_tally(camera, people))
            key = f"{camera.district}/{camera.id}"
            if tables["cameras"].get(key) is None:
                tables["cameras"].put(key, asdict(camera))
            tables["clips"].put(clip.sha256, clip.pack())
            tables["files"].put(path_key, {**asdict(fingerprint), "sha256": clip.sha256})
            tables["failures"].delete(path_key)

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


def _snapshot(tables: Mapping[str, Table]) -> Snapshot:
    cameras = [checked_row(Camera(**value)) for value in tables["cameras"].values()]
    clips = [unpack_done(value) for value in tables["clips"].values()]
    segments = [
        checked_row(SegmentEntry(**{**value, "cameras": tuple(value["cameras"])}))
        for value in tables["segments"].values()
    ]
    tallies: dict[tuple[str, str], Tally] = {}
    for value in tables["tallies"].values():
        key, people = _unpack_tally(value)
        tallies[key] = tallies[key] + people if key in tallies else people
    return Snapshot(
        embedder=tables["meta"].get("embedder"),
        cameras={(camera.district, camera.id): camera for camera in cameras},
        clips=tuple(sorted(clips, key=lambda clip: (clip.start_ms, clip.sha256))),
        failures=tuple(unpack_failed(value) for value in tables["failures"].values()),
        segments=tuple(sorted(segments, key=lambda entry: (entry.start_ms, entry.segment))),
        tallies=tallies,
    )


def _pack_tally(camera: Camera, people: Tally) -> dict[str, Any]:
    total = people.total.astype(np.float32).tobytes()
    return {"district": camera.district, "camera": camera.id, "count": people.count, "total": total}


def _unpack_tally(value: Mapping[str, Any]) -> tuple[tuple[str, str], Tally]:
    people = Tally(int(value["count"]), np.frombuffer(value["total"], np.float32).astype(np.float64))
    return (value["district"], value["camera"]), people


def _path_key(path: Path) -> str:
    """A key of fixed length for a path of any length and any bytes."""
    return hashlib.sha256(os.fsencode(path)).hexdigest()


def _forget(tables: Mapping[str, Table], clip: Mapping[str, Any] | None) -> None:
    """Take a clip and its segments out of the tables."""
    if clip:
        for segment in clip["segments"]:
            tables["segments"].delete(segment)
            tables["tallies"].delete(segment)
        tables["clips"].delete(clip["sha256"])


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
