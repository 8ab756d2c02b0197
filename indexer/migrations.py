"""Brings archives of earlier formats up to date, one named step after the other.

A step takes the catalogue from one format version to the next, in one transaction at its end; until then the
archive is as it was, and a step that was killed begins again. Each step reads the old format by itself, so
that the rest of the code knows one format only.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from indexer.catalogue import FORMAT_VERSION, TABLES, Catalogue, writer_lock
from indexer.keyvalue import KeyValueFile
from indexer.rewriting import remove_leftovers
from indexer.shard.files import ArchiveFiles, SegmentFiles
from indexer.shard.manifest import Manifest
from indexer.shard.records import Stored, Tracklet, unpack_record
from indexer.shard.writer import SegmentOrigin, seal_segment
from indexer.snapshot import SegmentEntry, pack_tallies
from reid.camera_means import Tally, tally
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
    """Segments get the second format (heads of rows, records without LMDB); the segment names its clips, the
    clip no longer its segments; tallies are told by segment and camera.
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


def _version(archive: ArchiveFiles) -> int | None:
    with KeyValueFile(archive.catalogue, ("meta",), "read") as file, file.read() as tables:
        version: int | None = tables["meta"].get("format_version")
        return version


STEPS: Mapping[int | None, Callable[[ArchiveFiles, Progress], None]] = {2: catalogue_2_to_3}
"""By the format version that a step begins with."""
