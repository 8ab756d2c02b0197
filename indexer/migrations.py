"""Brings archives of earlier formats up to date, one named step after the other.

A step takes the catalogue from one format version to the next, in one transaction at its end; until then the
archive is as it was, and a step that was killed begins again. Each step reads the old format by itself, so
that the rest of the code knows one format only.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from indexer.catalogue import FORMAT_VERSION, TABLES, Catalogue, writer_lock
from indexer.keyvalue import KeyValueFile
from indexer.rewriting import remove_leftovers
from indexer.shard import columns
from indexer.shard.files import ArchiveFiles, SegmentFiles
from indexer.shard.manifest import FORMAT_VERSION as SEGMENT_FORMAT
from indexer.shard.manifest import Manifest, parse_manifest
from indexer.shard.reader import Segment
from indexer.shard.records import Stored, Tracklet, unpack_record
from indexer.shard.writer import SegmentOrigin, seal_segment
from indexer.snapshot import SegmentEntry, pack_tallies
from reid.attributes import COLUMNS
from reid.camera_means import Tally, tally
from reid.durable import link_file, make_folder, rename_folder, sync_file, sync_folder, write_file
from reid.errors import DamagedError, FormatError, StorageError, storage_errors
from reid.weights import sha256_of

Progress = Callable[[int, int], None]


def migrate(archive: ArchiveFiles, progress: Progress = lambda done, of: None) -> tuple[str, ...]:
    """Take the archive to the format of this release; the names of the steps that were needed.

    Raises:
        StorageError: no archive, another writer, or the disk refused; the archive is as before the step.
        FormatError: a format no step begins with.
        DamagedError: a segment of the old format is damaged; the archive is as it was.
    """
    if not archive.catalogue.exists():
        raise StorageError(f"{archive.home}: no archive there; check --home")
    done: list[str] = []
    with writer_lock(archive):
        while (version := _version(archive)) != FORMAT_VERSION:
            step = STEPS.get(version)
            if step is None:
                raise FormatError(
                    f"{archive.catalogue}: format version {version} cannot be brought to {FORMAT_VERSION}"
                    " by this release; index the footage into a new archive"
                )
            step(archive, progress)
            done.append(step.__name__)
        if done:
            with Catalogue(archive) as catalogue:
                remove_leftovers(archive, catalogue.snapshot())
    return tuple(done)


def catalogue_2_to_3(archive: ArchiveFiles, progress: Progress) -> None:
    """Segments are sealed anew (heads of rows, records without LMDB); the segment names its clips, the clip
    no longer its segments; tallies are told by segment and camera.
    """
    with KeyValueFile(archive.catalogue, TABLES[:-1], "read") as old, old.read() as tables:
        before = {value["segment"]: value for value in tables["segments"].values()}
        clips = list(tables["clips"].values())
    entries: dict[str, SegmentEntry] = {}
    people: dict[str, dict[str, Tally]] = {}
    for number, (name, value) in enumerate(before.items()):
        progress(number, len(before))
        manifest, people[name] = _segment_1_to_2(archive, value)
        entries[name] = SegmentEntry.of(manifest)
    with KeyValueFile(archive.catalogue, TABLES, "write") as new, new.write() as tables:
        for name in before:
            tables["segments"].delete(name)
            tables["tallies"].delete(name)
        for name, entry in entries.items():
            tables["segments"].put(entry.segment, asdict(entry))
            tables["tallies"].put(entry.segment, pack_tallies(entry.district, people[name]))
        for clip in clips:
            clip.pop("segments", None)
            tables["clips"].put(clip["sha256"], clip)
        tables["meta"].put("format_version", 3)


def _segment_1_to_2(archive: ArchiveFiles, entry: Mapping[str, Any]) -> tuple[Manifest, dict[str, Tally]]:
    """Seal the content of a segment of the first format in the second."""
    folder = archive.segment(entry["district"], entry["day"], entry["segment"]).folder
    with storage_errors(folder):
        manifest = _manifest_1(folder, entry["seal"])
        stored = list(_stored_1(folder, manifest))
    origin = SegmentOrigin(
        manifest["district"], manifest["day"], manifest["embedder"], (manifest["detector"],),
        manifest["dimension"], ("segment_1_to_2", entry["seal"]),
    )  # fmt: skip
    by_clip: dict[tuple[str, str], list[Any]] = defaultdict(list)
    for one in stored:
        by_clip[one.camera, one.clip].append(one.vectors.astype(np.float32))
    people: dict[str, Tally] = {}
    for (camera, _), vectors in by_clip.items():
        counted = tally(vectors)
        people[camera] = people[camera] + counted if camera in people else counted
    return seal_segment(archive, origin, sorted(stored, key=lambda one: (one.start_ms, one.id))), people


def _manifest_1(folder: Path, seal: str) -> dict[str, Any]:
    path = folder / SegmentFiles.MANIFEST
    try:
        if sha256_of(path) != seal:
            raise DamagedError(f"{path}: altered since the segment was sealed")
        manifest: dict[str, Any] = json.loads(path.read_bytes())
        if manifest["format_version"] != 1:
            raise FormatError(f"{path}: expected format version 1, got {manifest['format_version']}")
        for name, each in manifest["files"].items():
            if sha256_of(folder / name) != each["sha256"]:
                raise DamagedError(f"{folder / name}: altered since the segment was sealed")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DamagedError(
            f"{folder}: the segment cannot be read ({error!r}); index its clip again with the release that"
            " wrote it, then migrate"
        ) from None
    return manifest


def _stored_1(folder: Path, manifest: Mapping[str, Any]) -> Iterator[Stored]:
    shape = (manifest["vectors"], manifest["dimension"])
    vectors = np.fromfile(folder / SegmentFiles.VECTORS, np.float16).reshape(shape)
    with np.load(folder / "columns.npz", allow_pickle=False) as arrays:
        owners = arrays["tracklet"]
    tables = ("records", "thumbnails")
    with KeyValueFile(folder / "records.lmdb", tables, "read") as file, file.read() as store:
        for position in range(manifest["tracklets"]):
            record = unpack_record(store["records"].get(f"{position:08d}") or {})
            thumbnail: bytes = store["thumbnails"].get(f"{position:08d}") or b""
            rows = vectors[owners == position].astype(np.float32)
            yield Stored.of(Tracklet(record, rows, thumbnail))


def catalogue_3_to_4(archive: ArchiveFiles, progress: Progress) -> None:
    """Segments get attributes, of which nothing is known; what did not change is linked, not copied.

    One that is in quarantine stays as it is: indexing its clips again replaces it.
    """
    with KeyValueFile(archive.catalogue, TABLES, "read") as old, old.read() as tables:
        before = {value["segment"]: value for value in tables["segments"].values()}
        tallies = {name: tables["tallies"].get(name) for name in before}
    entries: dict[str, SegmentEntry] = {}
    for number, (name, value) in enumerate(before.items()):
        progress(number, len(before))
        manifest = None if value.get("quarantined") else _segment_2_to_3(archive, value)
        if manifest is not None:
            entries[name] = SegmentEntry.of(manifest)
    with KeyValueFile(archive.catalogue, TABLES, "write") as new, new.write() as tables:
        for name, entry in entries.items():
            tables["segments"].delete(name)
            tables["tallies"].delete(name)
            tables["segments"].put(entry.segment, {**asdict(entry), "clips": before[name]["clips"]})
            tables["tallies"].put(entry.segment, tallies[name])
        tables["meta"].put("format_version", 4)


def _segment_2_to_3(archive: ArchiveFiles, entry: Mapping[str, Any]) -> Manifest | None:
    """Lay a segment of the third format beside one of the second; None for one that is of the third."""
    old = archive.segment(entry["district"], entry["day"], entry["segment"])
    with storage_errors(old.folder):
        data, content = _manifest_2(old, entry["seal"])
        if data["format_version"] == SEGMENT_FORMAT:
            return None
        count, offset = data["tracklets"], columns.places(data["vectors"], 0)["tracklets"].offset
        columns_3 = _columns_3(content, offset, count)
        name = hashlib.sha256(f"segment_2_to_3 {entry['seal']}".encode()).hexdigest()[:16]
        seal = {"bytes": len(columns_3), "sha256": hashlib.sha256(columns_3).hexdigest()}
        changed = {
            **data, "segment": name, "format_version": SEGMENT_FORMAT,
            "files": {**data["files"], old.COLUMNS: seal},
        }  # fmt: skip
        manifest = parse_manifest(json.dumps(changed).encode(), str(old.manifest))
        staged = SegmentFiles(archive.staging / name)
        shutil.rmtree(staged.folder, ignore_errors=True)
        make_folder(staged.folder)
        for each in sorted(data["files"].keys() - {old.COLUMNS}):
            try:
                link_file(old.folder / each, staged.folder / each)
            except FileNotFoundError as error:
                raise DamagedError(
                    f"{old.folder / each}: missing; put the segment into quarantine with reid verify"
                ) from error
        staged.columns.write_bytes(columns_3)
        sync_file(staged.columns)
        write_file(staged.manifest, manifest.to_bytes())
        sync_folder(staged.folder)
        Segment.open(staged.folder)
        final = archive.segment(entry["district"], entry["day"], name)
        shutil.rmtree(final.folder, ignore_errors=True)  # of a run that was stopped
        rename_folder(staged.folder, final.folder)
    return manifest


def _manifest_2(files: SegmentFiles, seal: str) -> tuple[dict[str, Any], bytes]:
    """The manifest of a segment of the second or third format, and its columns, both compared."""
    try:
        data = files.manifest.read_bytes()
        if hashlib.sha256(data).hexdigest() != seal:
            raise DamagedError(f"{files.manifest}: altered since the segment was sealed")
        manifest: dict[str, Any] = json.loads(data)
        if manifest["format_version"] not in (2, SEGMENT_FORMAT):
            raise FormatError(
                f"{files.manifest}: expected format version 2, got {manifest['format_version']}"
            )
        content = files.columns.read_bytes()
        if hashlib.sha256(content).hexdigest() != manifest["files"][files.COLUMNS]["sha256"]:
            raise DamagedError(f"{files.columns}: altered since the segment was sealed")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DamagedError(
            f"{files.folder}: the segment cannot be read ({error!r}); with the release that wrote it, run"
            " reid verify, which puts it into quarantine, then migrate"
        ) from None
    return manifest, content


def _columns_3(content: bytes, offset: int, tracklets: int) -> bytes:
    """Columns of the second format with attributes of which nothing is known; the heads' sums cover them."""
    nothing = bytes(COLUMNS)
    end = offset + tracklets * columns.TRACKLET.itemsize
    heads = np.frombuffer(content[offset:end], columns.TRACKLET).copy()
    heads["sum"] = [zlib.crc32(nothing, summed) for summed in heads["sum"].tolist()]
    return content[:offset] + heads.tobytes() + content[end:] + nothing * tracklets


def catalogue_4_to_5(archive: ArchiveFiles, progress: Progress) -> None:
    """Clips and erasures say by which clock offset they were understood. Nobody noted it then, so it is taken
    to be the camera's of today: times stay as they are.
    """
    with KeyValueFile(archive.catalogue, TABLES, "write") as file, file.write() as tables:
        offsets: dict[str, dict[str, float]] = defaultdict(dict)
        for camera in tables["cameras"].values():
            offsets[camera["district"]][camera["id"]] = camera["clock_offset_s"]
        for clip in list(tables["clips"].values()):
            clip["clock_offset_s"] = offsets[clip["district"]].get(clip["camera"], 0.0)
            tables["clips"].put(clip["sha256"], clip)
        for key, erasure in list(tables["erasures"].under("")):
            known = offsets[erasure["district"]].items()
            erasure["clock_offsets_s"] = {camera: offset for camera, offset in known if offset}
            tables["erasures"].put(key, erasure)
        tables["meta"].put("format_version", 5)


def catalogue_5_to_6(archive: ArchiveFiles, progress: Progress) -> None:
    """The ledger tells when a clip was tried and how often, and of a failed one which state of the file."""
    unknown = dict.fromkeys(("at_ms", "seconds_taken", "size", "modified_ns", "detector", "embedder"))
    with KeyValueFile(archive.catalogue, TABLES, "write") as file, file.write() as tables:
        for clip in list(tables["clips"].values()):
            tables["clips"].put(clip["sha256"], {**clip, "tries": 1, "at_ms": None})
        for key, row in list(tables["failures"].under("")):
            if row["tries"]:
                tables["failures"].put(key, {"end_ms": None, **row, **unknown})
        tables["meta"].put("format_version", 6)


def _version(archive: ArchiveFiles) -> int | None:
    with KeyValueFile(archive.catalogue, ("meta",), "read") as file, file.read() as tables:
        version: int | None = tables["meta"].get("format_version")
        return version


STEPS: Mapping[int | None, Callable[[ArchiveFiles, Progress], None]] = {
    2: catalogue_2_to_3, 3: catalogue_3_to_4, 4: catalogue_4_to_5, 5: catalogue_5_to_6,
}  # fmt: skip
"""By the format version that a step begins with."""
