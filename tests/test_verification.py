"""Whatever is done to files of a segment: verify finds it, a search answers rightly or says what it lacks."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

from indexer.catalogue import Catalogue
from indexer.clothes import parse_colours
from indexer.codes import Codebook
from indexer.coverage import DAMAGED_SEGMENT, QUARANTINED
from indexer.rewriting import open_entry
from indexer.shard.files import ArchiveFiles, SegmentFiles
from indexer.shard.manifest import FileSeal, Manifest, parse_manifest
from indexer.shard.records import Record
from indexer.snapshot import Sealed, SegmentEntry
from indexer.verification import verify
from reid.errors import DamagedError
from search import planner
from search.engine import Engine
from search.filters import Filters
from search.found import Found
from search.planner import Costs
from search.query import Query
from search.request import Request
from search.sightings import SearchResult, find_sightings
from tests.canned import copy_of, merged_and_coded
from tests.crowd import DAY, HOUR, embedder, fill, midnight, people, snapshot

BOTH = ("songpa", "nowon")
FILES = ("manifest.json", "vectors.f16", "columns.bin", "records.bin", "index.faiss")
CODES = Costs(**{each.name: 1e6 if each.name == "exact_us" else 0.0 for each in fields(Costs)})
SCOPES = (
    Filters(BOTH),
    Filters(BOTH, ("S-0", "N-1"), midnight(DAY) + 9 * HOUR, midnight(DAY) + 14 * HOUR),
    Filters(BOTH, upper=parse_colours(["red", "black", "green"])),
)
Answer = tuple[Record, bytes, float]


@pytest.fixture(scope="module")
def codebook() -> Codebook:
    return Codebook.train(people(np.random.default_rng(3), 1500, 32), embedder().sha256)


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory, codebook: Codebook) -> ArchiveFiles:
    """Three segments, merged and coded."""
    archive = ArchiveFiles(tmp_path_factory.mktemp("sound"))
    fill(archive, BOTH, days=1, cameras=2, hours=(9,), tracklets=8)
    fill(archive, ("songpa",), days=2, cameras=2, hours=(13,), tracklets=8, seed=2)
    return merged_and_coded(archive, codebook, 3)


@pytest.fixture
def archive(sound: ArchiveFiles, tmp_path: Path) -> ArchiveFiles:
    return copy_of(sound, tmp_path)


@pytest.fixture(autouse=True)
def by_codes(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not asked to be exact goes by codes."""
    monkeypatch.setattr(Engine, "costs", lambda engine, view: CODES)
    monkeypatch.setattr(planner, "AFFORDABLE_MS", 0.0)


def victim(archive: ArchiveFiles) -> SegmentEntry:
    return max(snapshot(archive).segments, key=lambda entry: entry.vectors)


def path_of(archive: ArchiveFiles, entry: SegmentEntry, name: str) -> Path:
    return archive.segment(entry.district, entry.day, entry.segment).folder / name


def forget(engine: Engine) -> None:
    """As a search engine that was just opened, but with the pool it has: a new one takes 20 ms."""
    pool = engine.view().pool
    engine._view = None
    engine._new_pool = lambda snapshot: pool  # type: ignore[method-assign]


def answers(found: Found) -> list[Answer]:
    return [
        (each.record, each.thumbnail, hit.score) for each, hit in zip(found.contents, found.hits, strict=True)
    ]


def is_right(found: Found, everything: list[Answer], homes: dict[str, str], top: int) -> None:
    """The best of what the undamaged archive gave for the same question, without what is told as damaged."""
    left = [one for one in everything if homes[one[0].id] not in found.damaged][:top]
    assert [one[:2] for one in answers(found)] == [one[:2] for one in left]
    assert [one[2] for one in answers(found)] == pytest.approx([one[2] for one in left], abs=2e-6)
    for hit, each in zip(found.hits, found.contents, strict=True):
        assert (hit.start_ms, hit.segment) == (each.record.start_ms, homes[each.record.id])


@contextmanager
def damaged(path: Path, data: bytes) -> Iterator[None]:
    """A file with another content, and another time of change than any before."""
    before = path.read_bytes()
    path.write_bytes(data)
    try:
        yield
    finally:
        path.write_bytes(before)


def homes_of(archive: ArchiveFiles) -> dict[str, str]:
    entries = snapshot(archive).segments
    return {one.id: entry.segment for entry in entries for one in open_entry(archive, entry).stored()}


@pytest.mark.parametrize("name", FILES)
def test_bits_flipped_and_files_cut_anywhere(name: str, sound: ArchiveFiles) -> None:
    entry = victim(sound)
    path = path_of(sound, entry, name)
    data, homes = path.read_bytes(), homes_of(sound)
    random = np.random.default_rng(FILES.index(name))
    query = people(random, 1, 32)
    told = 0
    with Engine(sound, embedder()) as engine:
        right = [answers(engine.search(query, scope, 400, exact=True)) for scope in SCOPES]
        assert [len(each) > 10 for each in right] == [True] * len(SCOPES)
        for case in range(48):
            altered = bytearray(data)
            if case % 3:
                altered[int(random.integers(len(data)))] ^= 1 << int(random.integers(8))
            else:
                del altered[int(random.integers(len(data))) :]
            with damaged(path, bytes(altered)):
                with pytest.raises(DamagedError):
                    open_entry(sound, entry).verify()
                scope = case % len(SCOPES)
                for exact in (True, False):
                    forget(engine)
                    found = engine.search(query, SCOPES[scope], 10, exact=exact)
                    is_right(found, right[scope], homes, 10)
                    assert set(found.damaged) <= {entry.segment}
                    told += len(found.damaged)
                    if name == "vectors.f16" and exact and scope == 0:
                        assert found.damaged
                    if name == "manifest.json":
                        assert found.damaged
    assert told > 16
    assert verify(sound, deep=True).damaged == ()


def test_verify_tells_each_file_and_brings_it_back(archive: ArchiveFiles, sound: ArchiveFiles) -> None:
    entry = victim(archive)
    random = np.random.default_rng(8)
    for name in FILES:
        path = path_of(archive, entry, name)
        data = bytearray(path.read_bytes())
        data[int(random.integers(len(data)))] ^= 4
        with damaged(path, bytes(data)):
            found = verify(archive, deep=True)
            [(segment, shard, reason)] = found.damaged
            assert (segment, shard) == (entry.segment, f"{entry.district}/{entry.day}")
            assert name in reason
            assert len(found.clips) == len(entry.clips)
            assert verify(archive).damaged  # a short look does not clear what a deep one found
            assert victim(archive).quarantined
        found = verify(archive)
        assert (found.damaged, found.restored) == ((), (entry.segment,))
        assert verify(archive).restored == ()
    assert snapshot(archive).segments == snapshot(sound).segments


def test_a_short_verify_finds_cut_and_missing_files(archive: ArchiveFiles) -> None:
    for name in FILES:
        path = path_of(archive, victim(archive), name)
        whole = path.read_bytes()
        with damaged(path, whole[:-1]):
            assert len(verify(archive).damaged) == 1
        path.unlink()
        assert len(verify(archive).damaged) == 1
        path.write_bytes(whole)
        assert len(verify(archive).restored) == 1
    shutil.rmtree(path.parent)
    assert "missing" in verify(archive).damaged[0][2]


def ask(engine: Engine, exact: bool = False) -> SearchResult:
    vectors = people(np.random.default_rng(1), 1, 32)
    box = (0.0, 0.0, 9.0, 9.0)
    query = Query("photo.jpg", np.zeros((9, 9, 3), np.uint8), (), box, vectors, 1.0, ())
    return find_sightings(engine, Request((query,), Filters(BOTH), 400, exact))


def lost_hours(result: SearchResult) -> dict[str, float | None]:
    damage = (DAMAGED_SEGMENT, QUARANTINED)
    return {gap.reason: gap.camera_hours for gap in result.coverage.missing if gap.reason in damage}


def test_coverage_tells_what_damage_took(archive: ArchiveFiles) -> None:
    entry = victim(archive)
    with Engine(archive, embedder()) as engine:
        whole = ask(engine)
    assert lost_hours(whole) == {}
    path = path_of(archive, entry, "vectors.f16")
    with damaged(path, path.read_bytes()[:-2]):
        with Engine(archive, embedder()) as engine:
            told = ask(engine)
        assert verify(archive).damaged
        with Engine(archive, embedder()) as engine:
            shut = ask(engine)
    for result, reason in ((told, DAMAGED_SEGMENT), (shut, QUARANTINED)):
        assert lost_hours(result) == {reason: len(entry.clips)}  # each of an hour
        lost = result.coverage.searched_camera_hours - whole.coverage.searched_camera_hours
        assert lost == pytest.approx(-len(entry.clips))
        assert entry.segment not in result.segments
        assert len(result.segments) == 2
        assert len(result.sightings) == len(whole.sightings) - entry.tracklets
    assert [name for name, _ in told.damaged] == [entry.segment]
    assert verify(archive).restored == (entry.segment,)
    with Engine(archive, embedder()) as engine:
        again = ask(engine)
    assert [s.record.id for s in again.sightings] == [s.record.id for s in whole.sightings]
    assert lost_hours(again) == {}


@pytest.mark.parametrize("name", [*FILES, "all of it"])
@pytest.mark.parametrize("exact", [True, False])
def test_a_file_cut_while_the_engine_is_open(archive: ArchiveFiles, name: str, exact: bool) -> None:
    entry, homes = victim(archive), homes_of(archive)
    query = people(np.random.default_rng(2), 1, 32)
    with Engine(archive, embedder()) as engine:
        engine.warm()
        everything = answers(engine.search(query, Filters(BOTH), 400, exact=exact))
        assert len(everything) == len(homes)
        if name == "all of it":
            shutil.rmtree(path_of(archive, entry, "x").parent)
        else:
            path = path_of(archive, entry, name)
            os.truncate(path, path.stat().st_size // 2)
        found = engine.search(query, Filters(BOTH), 400, exact=exact)
        is_right(found, everything, homes, 400)
        if name == "all of it":  # files that are open are read to the end; whoever opens them anew is told
            assert not found.damaged
            forget(engine)
            found = engine.search(query, Filters(BOTH), 400, exact=exact)
            is_right(found, everything, homes, 400)
        if name in ("records.bin", "columns.bin", "vectors.f16", "all of it"):
            assert set(found.damaged) == {entry.segment}
            assert len(found.hits) == len(homes) - entry.tracklets
        else:  # the manifest and the codes are in memory
            assert not found.damaged


def test_nothing_readable_is_an_empty_answer_that_says_so(archive: ArchiveFiles) -> None:
    for entry in snapshot(archive).segments:
        path_of(archive, entry, "manifest.json").write_bytes(b"[]")
    for exact in (True, False):
        with Engine(archive, embedder()) as engine:
            result = ask(engine, exact)
        assert result.sightings == ()
        assert len(result.damaged) == 3
        assert result.coverage.searched_camera_hours == 0
    assert len(verify(archive).damaged) == 3


def test_a_missing_or_altered_codebook_makes_searches_exact(archive: ArchiveFiles) -> None:
    name = snapshot(archive).codebook
    assert name is not None
    path = archive.codebook(name)
    data = path.read_bytes()
    query = people(np.random.default_rng(2), 1, 32)
    with Engine(archive, embedder()) as engine:
        by_code = engine.search(query, Filters(BOTH), 10)
        assert by_code.plan.kind == "codes"
    random = np.random.default_rng(4)
    for case in range(20):
        altered = bytearray(data)
        altered[int(random.integers(len(data)))] ^= 1 << int(random.integers(8))
        path.write_bytes([bytes(altered), data[: int(random.integers(len(data)))]][case % 2])
        if case == 0:
            path.unlink()
        found = verify(archive)
        assert found.damaged == ()
        with Engine(archive, embedder()) as engine:
            exact = engine.search(query, Filters(BOTH), 10)
        assert [one[:2] for one in answers(exact)] == [one[:2] for one in answers(by_code)]
        if found.codebook is None:  # a byte that says nothing, such as a date
            assert exact.plan.kind == "codes"
        else:
            assert exact.plan.kind == "exact"
            assert "codebook" in found.codebook
        assert case or found.codebook
    path.write_bytes(data)
    assert verify(archive, deep=True).codebook is None


def test_codes_that_are_not_those_of_the_codebook_are_told(archive: ArchiveFiles) -> None:
    """Files that are what was sealed, of which one was sealed wrongly."""
    entry = victim(archive)
    files = archive.segment(entry.district, entry.day, entry.segment)
    codes = files.codes.read_bytes()[:-1] + b"?!"
    files.codes.write_bytes(codes)
    manifest = open_manifest(files)
    seals = {**manifest.files, files.CODES: FileSeal(len(codes), hashlib.sha256(codes).hexdigest())}
    wrong = replace(manifest, files=seals)
    files.manifest.write_bytes(wrong.to_bytes())
    with Catalogue(archive, "write") as catalogue:
        catalogue.swap([entry.segment], [Sealed(wrong, {})])
    assert verify(archive).damaged == ()
    homes = homes_of(archive)
    with Engine(archive, embedder()) as engine:
        everything = answers(engine.search(people(np.random.default_rng(2), 1, 32), Filters(BOTH), 400, True))
        found = engine.search(people(np.random.default_rng(2), 1, 32), Filters(BOTH), 10)
    assert set(found.damaged) == {entry.segment}
    is_right(found, everything, homes, 10)
    assert [name for name, _, _ in verify(archive, deep=True).damaged] == [entry.segment]


def open_manifest(files: SegmentFiles) -> Manifest:
    return parse_manifest(files.manifest.read_bytes(), "test")


def test_a_damaged_segment_takes_no_places_from_the_others(
    archive: ArchiveFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A scan of codes gives few rows; those of a segment that cannot be read must not use them up."""
    monkeypatch.setattr(planner, "choose", lambda *given: planner.Plan("codes", 12, 0.9))
    monkeypatch.setattr("search.engine.choose", lambda *given: planner.Plan("codes", 12, 0.9), raising=False)
    monkeypatch.setattr(
        "search.matching.choose", lambda *given: planner.Plan("codes", 12, 0.9), raising=False
    )
    entry = victim(archive)
    query = next(open_entry(archive, entry).blocks(1))[1].astype(np.float32)
    path = path_of(archive, entry, "vectors.f16")
    path.write_bytes(bytes(path.stat().st_size))  # of the right length, so that the codes are scanned
    with Engine(archive, embedder()) as engine:
        told = engine.search(query, Filters(BOTH), 10)
    assert set(told.damaged) == {entry.segment}
    assert verify(archive, deep=True).damaged
    with Engine(archive, embedder()) as engine:
        without = engine.search(query, Filters(BOTH), 10)
    assert answers(told) == answers(without)
    assert len(told.hits) > 5
