"""The catalogue of an archive: cameras, clips, failures and sealed segments, in one LMDB file.

Each change is one transaction: a clip is done exactly when its segments are recorded. Knows no pixels.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Literal

from indexer.cameras import Camera
from indexer.expiry import Expired, Retained
from indexer.keyvalue import KeyValueFile, Table
from indexer.ledger import ClipDone, ClipFailed, ClipWaiting, Fingerprint, unpack_done, unpack_unfinished
from indexer.shard.files import ArchiveFiles
from indexer.snapshot import Erasure, Sealed, SegmentEntry, Snapshot, pack_tallies, read_snapshot
from reid.closing import Closing
from reid.durable import make_folder
from reid.errors import (
    DamagedError,
    FormatError,
    InputError,
    LockedError,
    ModelMismatchError,
    StorageError,
    storage_errors,
)

Mode = Literal["create", "write", "read"]

_UNSEARCHED = "unsearched/"  # keys of `meta`: clips that no standing search has seen

FORMAT_VERSION = 6
TABLES = ("meta", "cameras", "clips", "failures", "files", "segments", "tallies", "erasures")


class Catalogue(Closing):
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

    def snapshot(self, clips: bool = True) -> Snapshot:
        """Everything, read in one transaction.

        Args:
            clips: with the rows of indexed clips, of which there may be millions. Without them nothing may be
                asked that depends on them, such as `Snapshot.clocks`.

        Raises:
            DamagedError: a value is not what was stored.
        """
        with self._telling_damage(), self._file.read() as tables:
            return read_snapshot(tables, tables["meta"].version, clips)

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

    def indexed(self, files: Sequence[tuple[str, Fingerprint]], lost: Collection[str] = ()) -> list[bool]:
        """Of each file, by its path, whether it is unchanged since its clip was indexed; nothing is hashed.

        Args:
            lost: sha256 of clips that count as not indexed, since their segments are damaged.
        """
        with self._file.read() as tables:
            return [_is_indexed(tables, path, fingerprint, lost) for path, fingerprint in files]

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
                " vectors of two models cannot be compared: set that embedder in reid.toml, or index its"
                " footage with another by: reid reindex --model NAME"
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
            tables["meta"].put(f"{_UNSEARCHED}{clip.sha256}", True)
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
            _lose(tables, lost or {})
            if erasure:
                tables["erasures"].put(erasure_key(erasure), asdict(erasure))

    @property
    def retained(self) -> Retained:
        """What is known of the last run of retention."""
        with self._telling_damage(), self._file.read() as tables:
            return Retained.unpack(tables["meta"].get("retention") or {})

    def expire(
        self, gone: Iterable[str], sealed: Iterable[Sealed], lost: Mapping[str, str],
        expired: Sequence[Expired], retained: Retained,
    ) -> None:  # fmt: skip
        """What has expired leaves, in one transaction: segments, see `swap`, and rows of the ledger."""
        with self._file.write() as tables:
            _swap(tables, gone, sealed)
            _lose(tables, lost)
            for each in expired:
                tables["erasures"].put(erasure_key(each.erasure), asdict(each.erasure))
                for clip in each.clips:
                    tables["clips"].delete(clip)
                for path in each.unfinished:
                    tables["failures"].delete(_path_key(Path(path)))
            clips = {clip for each in expired for clip in each.clips}
            if clips:
                for key in [key for key, file in tables["files"].under("") if file["sha256"] in clips]:
                    tables["files"].delete(key)
            tables["meta"].put("retention", retained.pack())

    def retention_seen(self, retained: Retained) -> None:
        """Note what is known of the last run of retention."""
        with self._file.write() as tables:
            tables["meta"].put("retention", retained.pack())

    def quarantine(self, reasons: Mapping[str, str | None]) -> None:
        """Take segments out of every search, by name with the reason; None lets one in again."""
        with self._file.write() as tables:
            for segment, reason in reasons.items():
                value = tables["segments"].get(segment)
                if value is not None:
                    tables["segments"].put(segment, {**value, "quarantined": reason})

    def unsearched(self) -> tuple[str, ...]:
        """sha256 of the clips in which no standing search has looked; some may be gone from the ledger."""
        with self._file.read() as tables:
            return tuple(key.removeprefix(_UNSEARCHED) for key, _ in tables["meta"].under(_UNSEARCHED))

    def searched(self, clips: Iterable[str]) -> None:
        """Every standing search has looked into these clips."""
        with self._file.write() as tables:
            for clip in clips:
                tables["meta"].delete(f"{_UNSEARCHED}{clip}")

    def use_codebook(self, name: str) -> None:
        """Segments sealed from now on are coded by this codebook."""
        with self._file.write() as tables:
            tables["meta"].put("codebook", name)

    def record_seen(self, path: Path, fingerprint: Fingerprint, sha256: str) -> None:
        """Remember that this file is a clip that was indexed before, and its place if it was moved there."""
        clip = self.clip(sha256)
        moved = clip is not None and clip.path != str(path) and not os.path.lexists(clip.path)
        with self._file.read() as tables:
            is_unfinished = tables["failures"].get(_path_key(path)) is not None
        if self.known_sha256(path, fingerprint) == sha256 and not moved and not is_unfinished:
            return
        with self._file.write() as tables:
            tables["files"].put(_path_key(path), {**asdict(fingerprint), "sha256": sha256})
            tables["failures"].delete(_path_key(path))
            if clip is not None and moved:
                tables["clips"].put(sha256, replace(clip, path=str(path)).pack())

    def record_waiting(self, clips: Iterable[ClipWaiting]) -> None:
        """Note which clips a run is about to index; one that failed before stays a failed one, and a length
        that was found stays known.
        """
        with self._file.write() as tables:
            for clip in clips:
                key = _path_key(Path(clip.path))
                before = tables["failures"].get(key)
                measured = before is not None and before["end_ms"] is not None
                if before is None or not (before["tries"] or (measured and clip.end_ms is None)):
                    tables["failures"].put(key, clip.pack())

    def unfinished(self, path: Path) -> ClipFailed | ClipWaiting | None:
        """The ledger's row of a failed or waiting clip, or None."""
        with self._file.read() as tables:
            value = tables["failures"].get(_path_key(path))
        with self._telling_damage():
            return None if value is None else unpack_unfinished(value)

    def drop_failure(self, path: str) -> None:
        """Forget a failed or waiting clip: its file is no longer there."""
        with self._file.write() as tables:
            tables["failures"].delete(_path_key(Path(path)))

    def record_failure(self, failed: ClipFailed) -> None:
        """Add a failed clip, or count one more try of it; a file that changed since begins anew."""
        packed = failed.pack()
        with self._file.write() as tables:
            key = _path_key(Path(failed.path))
            before: dict[str, Any] | None = tables["failures"].get(key)
            same = before and all(before.get(each) == packed[each] for each in ("size", "modified_ns"))
            tries = before["tries"] + 1 if before and (same or not before["tries"]) else 1
            tables["failures"].put(key, {**packed, "tries": tries})

    def close(self) -> None:
        """Unmap the file."""
        self._file.close()


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


def _is_indexed(
    tables: Mapping[str, Table], path: str, fingerprint: Fingerprint, lost: Collection[str]
) -> bool:
    value = tables["files"].get(_path_key(path))
    if not value or (value["size"], value["modified_ns"]) != (fingerprint.size, fingerprint.modified_ns):
        return False
    return value["sha256"] not in lost and tables["clips"].holds(value["sha256"])


def _path_key(path: Path | str) -> str:
    """A key of fixed length for a path of any length and any bytes."""
    return hashlib.sha256(os.fsencode(path)).hexdigest()


def erasure_key(erasure: Erasure) -> str:
    """Of the table: one for each, but for retention one a district."""
    if erasure.runs:
        return f"retention/{erasure.district}"
    return f"{erasure.at_ms:013d}-{hashlib.sha256(repr(erasure).encode()).hexdigest()[:16]}"


def _earlier_state(tables: Mapping[str, Table], clip: ClipDone) -> Mapping[str, Any] | None:
    """The ledger's row of what lay under the clip's path before, if it was another state of the same clip."""
    known = tables["files"].get(_path_key(Path(clip.path)))
    earlier: Mapping[str, Any] | None = known and tables["clips"].get(known["sha256"])
    if not earlier or earlier["sha256"] == clip.sha256:
        return None
    same_place = (earlier["district"], earlier["camera"]) == (clip.district, clip.camera)
    return earlier if same_place and unpack_done(earlier).shows_start_of(clip) else None


def _swap(tables: Mapping[str, Table], gone: Iterable[str], sealed: Iterable[Sealed]) -> None:
    for segment in gone:
        tables["segments"].delete(segment)
        tables["tallies"].delete(segment)
    for each in sealed:
        manifest = each.manifest
        tables["segments"].put(manifest.segment, asdict(SegmentEntry.of(manifest)))
        tables["tallies"].put(manifest.segment, pack_tallies(manifest.district, each.people))


def _lose(tables: Mapping[str, Table], lost: Mapping[str, str]) -> None:
    for segment, reason in lost.items():
        value = tables["segments"].get(segment)
        if value is not None:
            tables["segments"].put(segment, {**value, "seal": "", "quarantined": reason})


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
        LockedError: another process holds it; its number is told.
        StorageError: the disk refuses.
    """
    with storage_errors(archive.lock):
        descriptor = os.open(archive.lock, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(descriptor, 64).decode(errors="replace").strip() or "unknown"
            raise LockedError(
                f"{archive.home} is being written by process {holder}; wait for it to end, or stop it"
            ) from None
        with storage_errors(archive.lock):
            os.ftruncate(descriptor, 0)
            os.write(descriptor, f"{os.getpid()}\n".encode())
        yield
    finally:
        os.close(descriptor)
