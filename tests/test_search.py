import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from indexer.cameras import Camera
from indexer.catalogue import Catalogue
from indexer.clips import ClipRequest
from indexer.indexing import index_clips
from indexer.shard.files import ArchiveFiles, SegmentFiles
from indexer.times import milliseconds
from reid.errors import FormatError, InputError, ModelMismatchError, StorageError
from reid.images import encode_jpeg
from search.engine import Engine
from search.filters import Filters
from search.query import Query, read_query
from search.request import Request
from search.sightings import SearchResult, find_sightings
from tests.world import NOW, FakeDetector, FakeEmbedder, Walk, fake_pipeline, picture_of, write_scene

START = datetime(2025, 2, 18, 3, 34, tzinfo=UTC)
SCOPE = Filters(("songpa", "nowon"))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> ArchiveFiles:
    """Red passes S-1 at 12:34 and N-1 at 13:34; blue S-1; green S-2; a broken clip at N-1."""
    folder = tmp_path_factory.mktemp("made")
    archive = ArchiveFiles(folder / "archive")
    broken = folder / "broken.mp4"
    broken.write_bytes(b"no video")
    hour = timedelta(hours=1)
    requests = [
        ClipRequest(
            write_scene(folder / "a.mp4", [Walk("red", 0, 29), Walk("blue", 0, 29, 1)]),
            "songpa",
            "S-1",
            START,
        ),
        ClipRequest(write_scene(folder / "b.mp4", [Walk("green", 0, 29)]), "songpa", "S-2", START),
        ClipRequest(write_scene(folder / "c.mp4", [Walk("red", 3, 25)]), "nowon", "N-1", START + hour),
        ClipRequest(broken, "nowon", "N-1", START + 2 * hour),
    ]
    with Catalogue(archive, "create") as catalogue:
        catalogue.put_cameras([Camera("S-1", "석촌 1", "songpa", 37.5, 127.1), Camera("S-9", "", "songpa")])
    index_clips(archive, requests, fake_pipeline(), now=lambda: NOW)
    return archive


@pytest.fixture(scope="module")
def red(tmp_path_factory: pytest.TempPathFactory) -> Query:
    return query_for(tmp_path_factory.mktemp("photo"), [Walk("red", 0, 1)])


def query_for(folder: Path, walks: list[Walk], **choice: object) -> Query:
    photo = folder / "photo.jpg"
    photo.write_bytes(encode_jpeg(picture_of(walks, 0), 98))
    return read_query(photo, FakeDetector(), FakeEmbedder(), **choice)  # type: ignore[arg-type]


def search(archive: ArchiveFiles, query: Query, filters: Filters = SCOPE, top: int = 10) -> SearchResult:
    with Engine(archive, FakeEmbedder().spec) as engine:
        return find_sightings(engine, Request((query,), filters, top))


def cameras(result: SearchResult) -> list[str]:
    return [sighting.record.camera for sighting in result.sightings]


def test_the_person_is_ranked_first_in_both_cameras(made: ArchiveFiles, red: Query) -> None:
    result = search(made, red)
    assert set(cameras(result)[:2]) == {"S-1", "N-1"}
    assert [sighting.rank for sighting in result.sightings] == [1, 2, 3, 4]
    scores = [sighting.score or 0.0 for sighting in result.sightings]
    assert scores[1] > 0.95 > scores[2]
    assert result.sightings[0].thumbnail.startswith(b"\xff\xd8")
    assert {s.camera_name for s in result.sightings[:2]} == {"석촌 1", "N-1"}


def after(minutes: int) -> int:
    return milliseconds(START + timedelta(minutes=minutes))


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        (Filters(("songpa",)), ["S-1", "S-1", "S-2"]),
        (Filters(("nowon",)), ["N-1"]),
        (Filters(("dobong",)), []),
        (Filters(("songpa", "nowon"), cameras=("S-2",)), ["S-2"]),
        (Filters(("songpa",), cameras=("N-1",)), []),
        (Filters(("songpa", "nowon"), since_ms=milliseconds(START + timedelta(minutes=30))), ["N-1"]),
        (
            Filters(("songpa", "nowon"), until_ms=milliseconds(START + timedelta(minutes=30))),
            ["S-1", "S-1", "S-2"],
        ),
        (Filters(("nowon",), since_ms=milliseconds(START + timedelta(hours=1, seconds=1))), ["N-1"]),
        (Filters(("nowon",), until_ms=milliseconds(START + timedelta(hours=1))), []),
    ],
)
def test_filters(made: ArchiveFiles, red: Query, filters: Filters, found: list[str]) -> None:
    assert sorted(cameras(search(made, red, filters))) == sorted(found)


def test_top_limits_the_list(made: ArchiveFiles, red: Query) -> None:
    assert len(search(made, red, top=1).sightings) == 1


def test_reversed_dates_and_no_district() -> None:
    with pytest.raises(InputError, match="reversed"):
        Filters(("songpa",), since_ms=2000, until_ms=1000)
    with pytest.raises(InputError, match="district"):
        Filters(())


def test_coverage_tells_what_was_not_searched(made: ArchiveFiles, red: Query) -> None:
    day = milliseconds(START - timedelta(hours=12)), milliseconds(START + timedelta(hours=12))
    coverage = search(made, red, Filters(("songpa", "nowon", "jongno"), (), *day)).coverage
    assert coverage.cameras == 4
    assert coverage.asked_camera_hours == pytest.approx(4 * 24)
    assert coverage.searched_camera_hours == pytest.approx(3 * 2.9 / 3600, rel=0.05)
    gaps = {gap.reason: gap for gap in coverage.missing}
    assert set(gaps) == {"no footage", "failed clip", "no camera in district"}
    measured = gaps["no footage"].camera_hours
    assert measured is not None
    assert measured + coverage.searched_camera_hours == pytest.approx(coverage.asked_camera_hours)
    assert "songpa/S-9" in gaps["no footage"].where
    assert gaps["failed clip"].camera_hours is None
    assert gaps["no camera in district"].where == ("jongno",)


def test_an_unknown_camera_is_told(made: ArchiveFiles, red: Query) -> None:
    coverage = search(made, red, Filters(("songpa",), cameras=("S-1", "S-77"))).coverage
    assert [gap.where for gap in coverage.missing if gap.reason == "unknown camera"] == [("S-77",)]


def damage_missing(files: SegmentFiles) -> None:
    files.manifest.unlink()


def damage_short(files: SegmentFiles) -> None:
    files.vectors.write_bytes(files.vectors.read_bytes()[:-16])


def damage_columns(files: SegmentFiles) -> None:
    files.columns.write_bytes(bytes(files.columns.stat().st_size))


def damage_records(files: SegmentFiles) -> None:
    files.records.write_bytes(bytes(files.records.stat().st_size))


def damage_manifest(files: SegmentFiles) -> None:
    files.manifest.write_text("{}")


def damage_version(files: SegmentFiles) -> None:
    fields = json.loads(files.manifest.read_text())
    files.manifest.write_text(json.dumps({**fields, "format_version": 99}))


def damage_model(files: SegmentFiles) -> None:
    fields = json.loads(files.manifest.read_text())
    files.manifest.write_text(json.dumps({**fields, "embedder": "0" * 64}))


@pytest.mark.parametrize(
    "damage",
    [
        damage_missing,
        damage_short,
        damage_columns,
        damage_records,
        damage_manifest,
        damage_version,
        damage_model,
    ],
)
def test_a_damaged_segment_is_told_and_does_not_fail_the_search(
    tmp_path: Path, red: Query, damage: object
) -> None:
    archive = ArchiveFiles(tmp_path / "archive")
    paths = [write_scene(tmp_path / f"{n}.mp4", [Walk("red", 0, 20 + n)]) for n in range(2)]
    requests = [ClipRequest(path, "songpa", f"S-{n}", START) for n, path in enumerate(paths)]
    index_clips(archive, requests, fake_pipeline(), now=lambda: NOW)
    with Catalogue(archive) as catalogue:
        entry = next(e for e in catalogue.snapshot().segments if e.cameras == ("S-1",))
    damage(archive.segment(entry.district, entry.day, entry.segment))  # type: ignore[operator]
    result = search(archive, red, Filters(("songpa",)))
    assert cameras(result) == ["S-0"]
    assert [name for name, _ in result.damaged] == [entry.segment]
    gaps = {gap.reason: gap for gap in result.coverage.missing}
    assert gaps["damaged segment"].where == ("songpa/S-1",)


def test_empty_absent_and_foreign_archives(tmp_path: Path, made: ArchiveFiles, red: Query) -> None:
    with pytest.raises(StorageError, match="reid init"):
        search(ArchiveFiles(tmp_path / "absent"), red)
    empty = ArchiveFiles(tmp_path / "empty")
    with Catalogue(empty, "create"):
        pass
    with pytest.raises(StorageError, match="empty"):
        search(empty, red)
    with pytest.raises(ModelMismatchError, match="indexed with"):
        Engine(made, FakeEmbedder("e" * 64).spec)


def test_another_format_of_the_catalogue_is_refused(tmp_path: Path) -> None:
    archive = ArchiveFiles(tmp_path / "archive")
    with Catalogue(archive, "create") as catalogue, catalogue._file.write() as tables:
        tables["meta"].put("format_version", 99)
    with pytest.raises(FormatError, match="99"):
        Catalogue(archive)


TWO = [Walk("red", 0, 1), Walk("blue", 0, 1, lane=1)]


def test_choosing_the_person_in_the_photo(tmp_path: Path) -> None:
    both = query_for(tmp_path, TWO)
    assert len(both.people) == 2
    assert "2 people" in both.warnings[0]
    assert "--person" in both.warnings[0]
    second = query_for(tmp_path, TWO, person=2)
    assert second.person_box == both.people[1]
    assert not second.warnings
    boxed = query_for(tmp_path, TWO, box=(10.0, 98.0, 42.0, 178.0))
    assert boxed.person_box == (10.0, 98.0, 42.0, 178.0)
    assert (
        float(second.vectors[0] @ boxed.vectors[0]) > 0.9 or float(both.vectors[0] @ boxed.vectors[0]) > 0.9
    )


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({"person": 3}, "2 people were found"),
        ({"person": 1, "box": (0, 0, 10, 10)}, "exclude"),
        ({"box": (10, 0, 5, 10)}, "x1<x2"),
        ({"box": (0, 0, 1000, 10)}, "within 0..320"),
        ({"box": (-1, 0, 10, 20)}, "within 0..320"),
        ({"box": (0, 0, 2, 20)}, "at least 4 x 8"),
        ({"box": (float("nan"), 0, 20, 20)}, "x1<x2"),
    ],
)
def test_a_person_who_is_not_there(tmp_path: Path, choice: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        query_for(tmp_path, TWO, **choice)


@pytest.fixture(scope="module")
def two_cameras(tmp_path_factory: pytest.TempPathFactory) -> ArchiveFiles:
    folder = tmp_path_factory.mktemp("two")
    archive = ArchiveFiles(folder / "archive")
    paths = [write_scene(folder / f"{n}.mp4", [Walk("red", 0, 20 + n)]) for n in range(2)]
    requests = [ClipRequest(path, "songpa", f"S-{n}", START) for n, path in enumerate(paths)]
    index_clips(archive, requests, fake_pipeline(), now=lambda: NOW)
    return archive


@pytest.mark.parametrize("name", ["manifest.json", "vectors.f16", "columns.bin", "records.bin"])
def test_any_altered_byte_is_noticed(two_cameras: ArchiveFiles, red: Query, name: str) -> None:
    """Altered bytes may neither crash a search nor silently change a time, a place or a ranking."""
    [path, _] = sorted((two_cameras.home / "shards").rglob(name))
    whole = path.read_bytes()
    random = np.random.default_rng(11)
    try:
        for _ in range(40):
            data = bytearray(whole)
            data[int(random.integers(len(data)))] ^= 1 << int(random.integers(8))
            path.write_bytes(data)
            result = search(two_cameras, red, Filters(("songpa",)))
            assert [segment for segment, _ in result.damaged] == [path.parent.name]
            assert len(result.sightings) == 1
            assert path.parent.name not in result.segments
    finally:
        path.write_bytes(whole)
    assert not search(two_cameras, red, Filters(("songpa",))).damaged


def test_a_damaged_first_sighting_makes_room_for_the_next(two_cameras: ArchiveFiles, red: Query) -> None:
    [best] = search(two_cameras, red, Filters(("songpa",)), top=1).sightings
    with Catalogue(two_cameras) as catalogue:
        entries = {entry.cameras[0]: entry for entry in catalogue.snapshot().segments}
    entry = entries[best.record.camera]
    records = two_cameras.segment(entry.district, entry.day, entry.segment).records
    whole = records.read_bytes()
    try:
        records.write_bytes(bytes(len(whole)))
        [other] = search(two_cameras, red, Filters(("songpa",)), top=1).sightings
        assert other.rank == 1
        assert other.record.camera != best.record.camera
    finally:
        records.write_bytes(whole)
