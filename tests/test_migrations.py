"""An archive as release 0.1 wrote it becomes one of today, whole or not at all."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import zlib
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from indexer import migrations
from indexer.catalogue import TABLES, Catalogue, Mode
from indexer.codes import Codebook
from indexer.keyvalue import KeyValueFile
from indexer.ledger import ClipFailed, ClipWaiting, Fingerprint
from indexer.migrations import migrate
from indexer.shard.files import ArchiveFiles
from indexer.shard.records import Tracklet, read_record
from indexer.verification import verify
from reid.camera_means import tally
from reid.errors import DamagedError, FormatError, StorageError
from search.engine import Engine
from search.filters import Filters
from tests.canned import Holding, holding, litter, merged_and_coded, snapshot
from tests.crowd import embedder, fill, people

TWO = ("songpa", "nowon")
LINKED = ("vectors.f16", "records.bin", "index.faiss")
STEPS = ("catalogue_2_to_3", "catalogue_3_to_4", "catalogue_4_to_5", "catalogue_5_to_6")


def rewrite_as_before(archive: ArchiveFiles, everybody: Mapping[str, Tracklet]) -> None:
    """Turn an archive of today into one of format 2 by plain means, segments of format 1."""
    seen = snapshot(archive)
    old: dict[str, dict[str, Any]] = {}
    for entry in seen.segments:
        shown = [one for one in everybody.values() if one.record.clip in entry.clips]
        folder = archive.segment(entry.district, entry.day, entry.segment).folder
        for path in folder.iterdir():
            path.unlink()
        old[entry.segment] = _segment_1(folder, entry.segment, entry.district, entry.day, shown)
    archive.catalogue.unlink()
    archive.catalogue.with_name("catalogue.lmdb-lock").unlink()
    with KeyValueFile(archive.catalogue, TABLES[:-1]) as file, file.write() as tables:
        tables["meta"].put("format_version", 2)
        tables["meta"].put("embedder", seen.embedder)
        for (district, name), camera in seen.cameras.items():
            tables["cameras"].put(f"{district}/{name}", asdict(camera))
        for clip in seen.clips:
            segments = [entry.segment for entry in seen.segments_of[clip.sha256]]
            tables["clips"].put(clip.sha256, {**clip.pack(), "segments": segments})
        for name, value in old.items():
            people_seen = tally([one.vectors for one in value.pop("tracklet_list")])
            tables["segments"].put(name, value)
            tables["tallies"].put(name, {
                "district": value["district"], "camera": value["cameras"][0], "count": people_seen.count,
                "total": people_seen.total.astype(np.float32).tobytes(),
            })  # fmt: skip


def _segment_1(folder: Path, name: str, district: str, day: str, shown: list[Tracklet]) -> dict[str, Any]:
    """Write a segment's four files; what the catalogue of format 2 kept of it."""
    shown = sorted(shown, key=lambda one: one.record.start_ms)
    counts = [len(one.vectors) for one in shown]
    np.concatenate([one.vectors for one in shown]).astype(np.float16).tofile(folder / "vectors.f16")
    records = [one.record for one in shown]
    columns = {
        "camera": np.zeros(len(shown), np.int32),
        "start": np.array([each.start_ms for each in records]),
        "end": np.array([each.end_ms for each in records]),
        "tracklet": np.arange(len(shown), dtype=np.uint32),
        "quality": np.array([each.quality for each in records], np.float32),
    }
    of_rows: dict[str, Any] = {key: np.repeat(each, counts) for key, each in columns.items()}
    np.savez(folder / "columns.npz", **of_rows)
    with KeyValueFile(folder / "records.lmdb", ("records", "thumbnails")) as file, file.write() as tables:
        for position, one in enumerate(shown):
            tables["records"].put(f"{position:08d}", one.record.pack())
            tables["thumbnails"].put(f"{position:08d}", one.thumbnail)
    (folder / "records.lmdb-lock").unlink()
    seals: dict[str, dict[str, Any]] = {
        path.name: {"bytes": path.stat().st_size, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
        for path in sorted(folder.iterdir())
    }
    span = {
        "start_ms": min(each.start_ms for each in records),
        "end_ms": max(each.end_ms for each in records),
    }
    common = {
        "segment": name, "district": district, "day": day, "tracklets": len(shown), "vectors": sum(counts),
        "cameras": [records[0].camera], **span,
    }  # fmt: skip
    manifest = {
        **common, "embedder": embedder().sha256, "detector": "d" * 64, "dimension": 32,
        "clips": [records[0].clip], "files": seals, "format_version": 1,
    }  # fmt: skip
    data = json.dumps(manifest).encode()
    (folder / "manifest.json").write_bytes(data)
    size = sum(int(each["bytes"]) for each in seals.values())
    seal = hashlib.sha256(data).hexdigest()
    return {**common, "bytes": size, "seal": seal, "tracklet_list": shown}


@pytest.fixture
def old(tmp_path: Path) -> tuple[ArchiveFiles, Holding, list[str]]:
    """The archive of format 2, and what its content and a search are today, colours apart."""
    archive = ArchiveFiles(tmp_path / "archive")
    everybody = fill(archive, TWO, days=2, cameras=2, hours=(9,), tracklets=5)
    held, found = holding(archive), answer(archive)
    rewrite_as_before(archive, {one.record.id: one for one in everybody})
    return archive, held, found


def answer(archive: ArchiveFiles) -> list[str]:
    with Engine(archive, embedder()) as engine:
        found = engine.search(people(np.random.default_rng(2), 2, 32), Filters(TWO), 400, exact=True)
    assert not found.damaged
    return [
        f"{each.record.id} {hit.score:.4f} {hit.start_ms}"
        for hit, each in zip(found.hits, found.contents, strict=True)
    ]


def uncoloured(held: Holding) -> Holding:
    """Format 1 did not keep the colours of clothes, nor attributes."""
    plain = {name: (*one[:6], 0, 0, *one[8:11], bytes(50)) for name, one in held.tracklets.items()}
    return replace(held, tracklets=plain)


def test_an_old_archive_is_refused_migrated_and_the_same(
    old: tuple[ArchiveFiles, Holding, list[str]],
) -> None:
    archive, held, found = old
    modes: tuple[Mode, ...] = ("read", "write", "create")
    for mode in modes:
        with pytest.raises(FormatError, match=r"format version 2.*reid migrate"):
            Catalogue(archive, mode)
    told: list[tuple[int, int]] = []
    assert migrate(archive, lambda done, of: told.append((done, of))) == STEPS
    assert told == [(k, 8) for k in range(8)] * 2
    assert holding(archive) == uncoloured(held)
    assert answer(archive) == found
    assert verify(archive, deep=True).damaged == ()
    assert litter(archive) == []
    assert {path.name for path in (archive.home / "shards").rglob("*") if path.is_file()} == {
        "manifest.json", "vectors.f16", "columns.bin", "records.bin",
    }  # fmt: skip
    for name, one in holding(archive).tracklets.items():
        assert isinstance(one[9], bytes)
        assert read_record(one[9]).id == name
    entries = snapshot(archive).segments
    assert [entry.day for entry in entries] == ["2025-02-18"] * 4 + ["2025-02-19"] * 4


def test_a_second_run_does_nothing(old: tuple[ArchiveFiles, Holding, list[str]]) -> None:
    archive, _, _ = old
    migrate(archive)
    before = {path: path.stat().st_mtime_ns for path in (archive.home / "shards").rglob("*")}
    assert migrate(archive) == ()
    assert {path: path.stat().st_mtime_ns for path in (archive.home / "shards").rglob("*")} == before


@pytest.mark.parametrize("at", [0, 1, 5, 7, "commit"])
def test_stopped_in_the_middle_it_is_as_before(
    old: tuple[ArchiveFiles, Holding, list[str]], at: int | str, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive, held, found = old
    shards = archive.home / "shards"
    before = {path: path.read_bytes() for path in shards.rglob("*") if path.is_file()}

    def stop(done: int, of: int) -> None:
        if done == at:
            raise KeyboardInterrupt

    def commit(people: object, seen: object) -> None:
        raise KeyboardInterrupt

    if at == "commit":
        monkeypatch.setattr(migrations, "pack_tallies", commit)
    with pytest.raises(KeyboardInterrupt):
        migrate(archive, stop)
    monkeypatch.undo()
    with pytest.raises(FormatError, match="reid migrate"):
        Catalogue(archive)
    assert all(path.read_bytes() == data for path, data in before.items())
    assert migrate(archive) == STEPS
    assert holding(archive) == uncoloured(held)
    assert answer(archive) == found
    assert litter(archive) == []


@pytest.mark.parametrize("name", ["manifest.json", "vectors.f16", "columns.npz", "records.lmdb", "folder"])
def test_a_damaged_old_segment_is_told_and_nothing_is_lost(
    old: tuple[ArchiveFiles, Holding, list[str]], name: str
) -> None:
    archive, held, _ = old
    folder = sorted(archive.segment_folders())[3]
    saved = {path: path.read_bytes() for path in folder.iterdir()}
    if name == "folder":
        folder.rename(archive.home / "elsewhere")
    else:
        data = bytearray(saved[folder / name])
        data[len(data) // 2] ^= 1
        (folder / name).write_bytes(data)
    with pytest.raises(DamagedError, match=folder.name):
        migrate(archive)
    with pytest.raises(FormatError, match="reid migrate"):
        Catalogue(archive)
    folder.mkdir(exist_ok=True)
    for path, content in saved.items():
        path.write_bytes(content)
    migrate(archive)
    assert holding(archive) == uncoloured(held)


def rewrite_as_3(archive: ArchiveFiles) -> None:
    """Turn an archive of today into one of format 3 by plain means, segments of format 2."""
    seals: dict[str, dict[str, Any]] = {}
    for entry in snapshot(archive).segments:
        folder = archive.segment(entry.district, entry.day, entry.segment).folder
        data, records = (folder / "columns.bin").read_bytes(), (folder / "records.bin").read_bytes()
        content = bytearray(data[: -50 * entry.tracklets])
        for number in range(entry.tracklets):
            at = 24 * entry.vectors + 40 * number
            begin, length = (
                np.frombuffer(content, "<u8", 1, at + 8)[0],
                np.frombuffer(content, "<u4", 2, at + 16),
            )
            summed = zlib.crc32(records[int(begin) : int(begin) + int(length.sum())])
            content[at + 36 : at + 40] = summed.to_bytes(4, "little")
        (folder / "columns.bin").write_bytes(content)
        manifest = json.loads((folder / "manifest.json").read_bytes())
        manifest["format_version"] = 2
        manifest["files"]["columns.bin"] = {
            "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()
        }  # fmt: skip
        (folder / "manifest.json").write_text(json.dumps(manifest))
        seal = hashlib.sha256((folder / "manifest.json").read_bytes()).hexdigest()
        seals[entry.segment] = {"seal": seal, "bytes": entry.bytes - 50 * entry.tracklets}
    with KeyValueFile(archive.catalogue, TABLES) as file, file.write() as tables:
        tables["meta"].put("format_version", 3)
        for name, changed in seals.items():
            tables["segments"].put(name, {**(tables["segments"].get(name) or {}), **changed})


def unknown(held: Holding) -> Holding:
    """Format 2 kept no attributes."""
    return replace(held, tracklets={name: (*one[:11], bytes(50)) for name, one in held.tracklets.items()})


@pytest.fixture
def third(tmp_path: Path) -> tuple[ArchiveFiles, Holding, list[str]]:
    """A coded archive of format 3, and what its content and a search are today, attributes apart."""
    archive = ArchiveFiles(tmp_path / "archive")
    fill(archive, TWO, days=1, cameras=2, hours=(9,), tracklets=20)
    random = np.random.default_rng(7)
    merged_and_coded(archive, Codebook.train(people(random, 1500, 32), embedder().sha256), 2)
    held, found = unknown(holding(archive)), answer(archive)
    rewrite_as_3(archive)
    return archive, held, found


@pytest.mark.parametrize("links", [True, False])
def test_attributes_come_in_and_the_rest_is_linked(
    third: tuple[ArchiveFiles, Holding, list[str]], links: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive, held, found = third
    big = {path.stat().st_ino for path in (archive.home / "shards").rglob("*") if path.name in LINKED}

    def refused(source: Path, target: Path) -> None:
        raise PermissionError(errno.EPERM, "no links here")

    if not links:
        monkeypatch.setattr(os, "link", refused)
    assert migrate(archive) == STEPS[1:]
    assert holding(archive) == held
    assert answer(archive) == found
    assert verify(archive, deep=True).damaged == ()
    assert litter(archive) == []
    now = {path.stat().st_ino for path in (archive.home / "shards").rglob("*") if path.name in LINKED}
    assert (now == big) is links
    assert all(entry.codebook for entry in snapshot(archive).segments)


@pytest.mark.parametrize("at", [0, 1, "commit"])
def test_the_last_step_stopped_in_the_middle(
    third: tuple[ArchiveFiles, Holding, list[str]], at: int | str, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive, held, _ = third
    before = {path: path.read_bytes() for path in (archive.home / "shards").rglob("*") if path.is_file()}

    def stop(done: int, of: int) -> None:
        if done == at:
            raise KeyboardInterrupt

    def commit(entry: object) -> None:
        raise KeyboardInterrupt

    if at == "commit":
        monkeypatch.setattr(migrations, "asdict", commit)
    with pytest.raises(KeyboardInterrupt):
        migrate(archive, stop)
    monkeypatch.undo()
    with pytest.raises(FormatError, match="reid migrate"):
        Catalogue(archive)
    assert all(path.read_bytes() == data for path, data in before.items())
    assert migrate(archive) == STEPS[1:]
    assert holding(archive) == held
    assert litter(archive) == []


@pytest.mark.parametrize("name", ["manifest.json", "columns.bin", "records.bin"])
def test_a_damaged_segment_stops_the_last_step_unless_it_is_in_quarantine(
    third: tuple[ArchiveFiles, Holding, list[str]], name: str
) -> None:
    archive, held, _ = third
    folder = next(iter(sorted(archive.segment_folders())))
    if name == "records.bin":
        (folder / name).unlink()
    else:
        (folder / name).write_bytes((folder / name).read_bytes()[:-1] + b"x")
    with pytest.raises(DamagedError, match=folder.name):
        migrate(archive)
    with KeyValueFile(archive.catalogue, TABLES) as file, file.write() as tables:
        entry = tables["segments"].get(folder.name) or {}
        tables["segments"].put(folder.name, {**entry, "quarantined": "damaged"})
    migrate(archive)
    shown = holding(archive)
    assert shown.damaged == {f"{entry['district']}/{entry['day']}"}
    assert shown.tracklets == {
        key: one for key, one in held.tracklets.items() if one[0] != entry["district"]
    }  # fmt: skip


def test_the_ledger_of_format_5_tells_what_it_knew(tmp_path: Path) -> None:
    """Failures of then are told, and are of no known state of the file: it is tried again."""
    archive = ArchiveFiles(tmp_path / "archive")
    fill(archive, ("songpa",), days=1, cameras=1, hours=(9,))
    held = holding(archive)
    failed = ClipFailed("/b.mp4", "songpa", "S-1", 1_700_000_000_000, "crashed", "why", 2, 1_700_000_009_000)
    waiting = ClipWaiting("/c.mp4", "songpa", "S-1", None, None)
    with Catalogue(archive, "write") as catalogue:
        catalogue.record_waiting([waiting])
    with KeyValueFile(archive.catalogue, TABLES) as file, file.write() as tables:
        tables["meta"].put("format_version", 5)
        for row in list(tables["clips"].values()):
            del row["tries"], row["at_ms"]
            tables["clips"].put(row["sha256"], row)
        old = {name: value for name, value in failed.pack().items() if value is not None}
        tables["failures"].put("b", old)
        tables["failures"].put("d", {**old, "path": "/d.mp4", "end_ms": None})
        del old["end_ms"]  # as before lengths were told
        tables["failures"].put("e", {**old, "path": "/e.mp4"})
    with pytest.raises(FormatError, match="reid migrate"):
        Catalogue(archive)
    assert migrate(archive) == STEPS[-1:]
    seen = snapshot(archive)
    assert [(clip.tries, clip.at_ms) for clip in seen.clips] == [(1, None)]
    assert {each.path: each.end_ms for each in seen.failures} == {
        "/b.mp4": failed.end_ms, "/d.mp4": None, "/e.mp4": None
    }  # fmt: skip
    assert next(each for each in seen.failures if each.path == "/b.mp4") == failed
    assert not failed.is_of(Fingerprint(1, 1))
    assert seen.waiting == (waiting,)
    assert holding(archive).tracklets == held.tracklets


def test_what_no_step_begins_with_is_refused(tmp_path: Path) -> None:
    archive = ArchiveFiles(tmp_path / "archive")
    with pytest.raises(StorageError, match="no archive there"):
        migrate(archive)
    archive.home.mkdir()
    for version in (1, 9):
        with KeyValueFile(archive.catalogue, ("meta",)) as file, file.write() as tables:
            tables["meta"].put("format_version", version)
        with pytest.raises(FormatError, match=f"format version {version} cannot be brought"):
            migrate(archive)
        archive.catalogue.unlink()
