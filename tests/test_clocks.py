"""Clocks corrected after indexing, and clocks nobody is sure of."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from indexer.cameras import Camera
from indexer.catalogue import Catalogue
from indexer.clocks import RIGHT, clocks_of
from indexer.compaction import compact
from indexer.coverage import NO_FOOTAGE
from indexer.districts import load_districts
from indexer.erasure import erase_time
from indexer.keyvalue import KeyValueFile
from indexer.migrations import migrate
from indexer.shard.files import ArchiveFiles
from search.engine import Engine
from search.filters import Filters
from search.query import Query
from search.report import to_html, to_json
from search.request import Request
from search.sightings import SearchResult, find_sightings
from search.terminal import print_result
from search.wording import clock_doubt
from tests.canned import at, clip, copy_of, index, snapshot
from tests.crowd import embedder, people

ALL = Filters(("songpa",))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> ArchiveFiles:
    """Four people a clip, one every ten seconds: A from 9:00 and 10:00, B from 9:00; all clocks right."""
    folder = tmp_path_factory.mktemp("made")
    archive = ArchiveFiles(folder / "archive")
    requests = [
        clip(folder, "a9", "A", at(9)),
        clip(folder, "a10", "A", at(10)),
        clip(folder, "b9", "B", at(9)),
    ]
    assert not index(archive, *requests).failed
    return archive


@pytest.fixture
def archive(made: ArchiveFiles, tmp_path: Path) -> ArchiveFiles:
    return copy_of(made, tmp_path)


def register(archive: ArchiveFiles, name: str, offset: float, uncertainty: float | None = None) -> None:
    with Catalogue(archive, "write") as catalogue:
        catalogue.put_cameras([Camera(name, "", "songpa", None, None, offset, uncertainty)])


def search(archive: ArchiveFiles, filters: Filters = ALL, top: int = 50) -> SearchResult:
    vectors = people(np.random.default_rng(0), 1, 32)
    nobody = Query("photo.jpg", np.zeros((8, 4, 3), np.uint8), (), (0, 0, 4, 8), vectors, 1.0, ())
    with Engine(archive, embedder()) as engine:
        return find_sightings(engine, Request((nobody,), filters, top))


def starts(result: SearchResult) -> dict[str, int]:
    return {each.record.id: each.record.start_ms for each in result.sightings}


def window(first: float, last: float, *cameras: str) -> Filters:
    """From and to seconds after nine."""
    return Filters(("songpa",), cameras, at(9) + round(first * 1000), at(9) + round(last * 1000))


def test_nothing_is_to_be_done_as_long_as_clocks_stay(archive: ArchiveFiles) -> None:
    assert snapshot(archive).clocks == RIGHT
    register(archive, "A", 0.0, 4.9)  # known so well that nobody asks
    seen = snapshot(archive)
    assert seen.clocks == RIGHT
    assert all(seen.clocks.of(e.district, e.cameras, e.clips) is RIGHT for e in seen.segments)
    assert seen.clocks.clip(seen.clips[0]) is seen.clips[0]


def test_a_corrected_clock_corrects_what_was_indexed_before(archive: ArchiveFiles) -> None:
    before = starts(search(archive))
    register(archive, "A", 90.0)
    result = search(archive)
    for sighting in result.sightings:
        moved = -90_000 if sighting.record.camera == "A" else 0
        assert sighting.record.start_ms == before[sighting.record.id] + moved
        assert sighting.record.end_ms == sighting.record.start_ms + 8000
        assert sighting.record.best_ms == sighting.record.start_ms + 1000
        assert sighting.record.best_offset_s % 10 == 1  # where it is in the clip stays
    assert len(result.sightings) == 12
    register(archive, "A", 0.0)
    assert starts(search(archive)) == before


@pytest.mark.parametrize("merged", [False, True])
@pytest.mark.parametrize("offset", [90.0, -3600.0])
def test_windows_select_by_corrected_times(archive: ArchiveFiles, merged: bool, offset: float) -> None:
    if merged:
        assert len(compact(archive).days) == 1
    register(archive, "A", offset)
    true = search(archive)
    for first, last in [
        (0, 40),
        (-90, -50),
        (-75, 5),
        (3600, 3640),
        (3510, 3530),
        (7200, 7240),
        (-9999, 9999),
    ]:
        asked = window(first, last)
        found = search(archive, asked)
        assert asked.since_ms is not None
        assert asked.until_ms is not None
        inside = {
            each.record.id: each.record.start_ms for each in true.sightings
            if each.record.end_ms >= asked.since_ms and each.record.start_ms < asked.until_ms
        }  # fmt: skip
        assert starts(found) == inside


def test_equal_scores_stand_in_the_order_of_corrected_times(tmp_path: Path) -> None:
    """The same people in two clips of one camera, whose clock was found to be wrong in between."""
    archive = ArchiveFiles(tmp_path / "archive")
    for number, hour in enumerate((9.0, 9.5)):
        folder = tmp_path / str(number)
        folder.mkdir()
        same = clip(folder, "same", "A", at(hour))
        same.path.write_text(str(number))
        index(archive, same)
        register(archive, "A", 7200.0)
    assert [each.start_ms for each in snapshot(archive).clips] == [at(7.5), at(9)]
    first, second = search(archive, top=2).sightings
    assert first.score == second.score
    assert second.record.start_ms - first.record.start_ms == at(9.5) - at(9)
    assert first.record.start_ms < at(7.5)


def test_clips_of_one_camera_by_different_offsets_each_by_its_own(
    archive: ArchiveFiles, tmp_path: Path
) -> None:
    """Indexed by offsets of 0 and of 60 seconds, merged into one segment, corrected to 100."""
    before = starts(search(archive))
    register(archive, "A", 60.0)
    assert not index(archive, clip(tmp_path, "a11", "A", at(11))).failed
    assert snapshot(archive).clips[-1].start_ms == at(11) - 60_000
    assert len(compact(archive).days) == 1
    register(archive, "A", 100.0)
    for sighting in search(archive, Filters(("songpa",), ("A",))).sightings:
        shown = before.get(sighting.record.id, at(11) + 1000 * round(sighting.record.best_offset_s - 1))
        assert sighting.record.start_ms == shown - 100_000
    asked = Filters(("songpa",), ("A",), at(11) - 100_000, at(11) - 99_000)
    assert list(starts(search(archive, asked)).values()) == [at(11) - 100_000]


def test_coverage_is_of_corrected_times(archive: ArchiveFiles) -> None:
    register(archive, "A", 30.0)
    coverage = search(archive, window(-30, 10, "A")).coverage
    assert coverage.searched_camera_hours * 3600 == pytest.approx(40)
    coverage = search(archive, window(0, 40, "A")).coverage
    assert coverage.searched_camera_hours * 3600 == pytest.approx(10)
    [gap] = coverage.missing
    assert gap.reason == NO_FOOTAGE
    assert gap.camera_hours == pytest.approx(30 / 3600)


def test_a_rerun_after_a_correction_has_nothing_to_say_and_a_grown_file_replaces(
    made: ArchiveFiles, archive: ArchiveFiles
) -> None:
    register(archive, "A", 30.5)
    again = clip(made.home.parent, "a9", "A", at(9))
    report = index(archive, again, replace=True)
    assert (report.done, len(report.skipped), report.warnings) == ((), 1, ())
    again.path.write_text("a9, longer")
    assert len(index(archive, again).done) == 1
    assert len(snapshot(archive).clips) == 3  # not a fourth beside its earlier state
    assert sum(entry.tracklets for entry in snapshot(archive).segments) == 12
    again.path.write_text("a9")


def test_what_was_erased_moves_with_the_clock(archive: ArchiveFiles, made: ArchiveFiles) -> None:
    """A shows 9:00:00 to 9:00:40; the clock is 20 s ahead, so erasing until 9:00:00 takes two of four."""
    register(archive, "A", 20.0)
    done = erase_time(archive, "songpa", at(8), at(9) - 1, ["A"])
    assert done.erasure.tracklets == 2
    assert starts(search(archive, Filters(("songpa",), ("A",), None, at(9)))) == {}
    register(archive, "A", 25.0)  # known better now: the same footage, 5 s earlier
    coverage = search(archive, window(-25, 15, "A")).coverage
    gaps = {gap.reason: gap.camera_hours for gap in coverage.missing}
    assert gaps["erased"] is not None
    assert gaps["erased"] * 3600 == pytest.approx(20, abs=0.01)
    assert coverage.searched_camera_hours * 3600 == pytest.approx(20, abs=0.01)
    report = index(archive, clip(made.home.parent, "a9", "A", at(9)))  # does not bring it back
    assert len(report.skipped) == 1
    seen = starts(search(archive, window(-25, 15, "A"))).values()
    assert sorted(each - at(9) for each in seen) == [-5000, 5000]


def test_erased_footage_stays_erased_under_another_offset(archive: ArchiveFiles, made: ArchiveFiles) -> None:
    erase_time(archive, "songpa", at(9), at(9) + 15_000, ["A"])
    register(archive, "A", 3600.0)
    again = clip(made.home.parent, "a9", "A", at(9))
    [sha256] = [each.sha256 for each in snapshot(archive).clips if each.path == str(again.path)]
    with KeyValueFile(archive.catalogue, ("clips",), "write") as file, file.write() as tables:
        tables["clips"].delete(sha256)
    assert index(archive, again).tracklets == 2
    assert sorted(each.record.start_ms for each in search(archive, Filters(("songpa",), ("A",))).sightings)[
        :2
    ] == [at(8) + 20_000, at(8) + 30_000]


def test_an_uncertain_clock_includes_what_may_be_inside_and_says_so(archive: ArchiveFiles) -> None:
    register(archive, "A", 0.0, 11.9)
    found = {
        (each.record.camera, each.record.start_ms - at(9)): each
        for each in search(archive, window(20, 30)).sightings
    }
    # B: 10..18 ends before, 20..28 inside, 30.. begins after. A: 10..18 and 30..38 may be inside.
    assert set(found) == {("B", 20_000), ("A", 10_000), ("A", 20_000), ("A", 30_000)}
    assert {place for place, each in found.items() if each.perhaps_outside} == {
        ("A", 10_000), ("A", 20_000), ("A", 30_000),
    }  # fmt: skip
    assert found["A", 20_000].clock_uncertainty_s == 11.9
    assert found["B", 20_000].clock_uncertainty_s is None
    wide = search(archive, window(-100, 200, "A")).sightings
    assert len(wide) == 4
    assert not any(each.perhaps_outside for each in wide)
    assert not any(each.perhaps_outside for each in search(archive).sightings)  # no window, no border


@pytest.fixture
def unsure(archive: ArchiveFiles) -> SearchResult:
    register(archive, "A", 0.0, 40.0)
    return search(archive, window(20, 30))


@pytest.mark.parametrize("width", [80, 160])
def test_the_doubt_stands_beside_the_time(unsure: SearchResult, width: int) -> None:
    out = io.StringIO()
    print_result(Console(file=out, width=width), unsure, load_districts())
    lines = out.getvalue()
    assert lines.count("± 40 s") == sum(each.record.camera == "A" for each in unsure.sightings) == 4
    assert "clock uncertain" in lines
    page = to_html(unsure, load_districts())
    assert page.count("± 40 s") == 4
    assert "clock uncertain" in page
    told = {(each["camera"], each["clock_uncertainty_s"]) for each in to_json(unsure)["sightings"]}
    assert told == {("A", 40.0), ("B", None)}


def test_doubts_in_words(unsure: SearchResult) -> None:
    one = unsure.sightings[0]
    cases = [(None, ""), (0.0, ""), (4.9, ""), (5.0, "± 5 s"), (179.0, "± 179 s"), (600.0, "± 10 min")]
    for seconds, words in cases:
        assert clock_doubt(replace(one, clock_uncertainty_s=seconds)) == words


def test_an_engine_that_stays_open_sees_the_correction(archive: ArchiveFiles) -> None:
    with Catalogue(archive, "write") as catalogue, Engine(archive, embedder(), catalogue=catalogue) as engine:
        query = people(np.random.default_rng(0), 1, 32)
        asked = window(0, 9, "B")
        assert len(engine.search(query, asked, 9).hits) == 1
        kept = engine.view().segments
        catalogue.put_cameras([Camera("B", "", "songpa", None, None, 100.0)])
        assert engine.search(query, asked, 9).hits == ()
        assert len(engine.search(query, window(-100, -92, "B"), 9).hits) == 1
        same = [old is new for old, new in zip(kept, engine.view().segments, strict=True)]
        assert sorted(same) == [False, True, True]  # those of A are as they were


def test_an_archive_of_format_4_keeps_its_times(archive: ArchiveFiles) -> None:
    register(archive, "A", 70.0)
    erase_time(archive, "songpa", at(20), at(21))
    held = snapshot(archive)
    added = {"cameras": "clock_uncertainty_s", "clips": "clock_offset_s", "erasures": "clock_offsets_s"}
    with KeyValueFile(archive.catalogue, ("meta", *added), "write") as file, file.write() as tables:
        for name, field in added.items():
            for key, value in list(tables[name].under("")):
                del value[field]
                tables[name].put(key, value)
        tables["meta"].put("format_version", 4)
    assert migrate(archive)[0] == "catalogue_4_to_5"
    seen = snapshot(archive)
    assert seen.clocks == RIGHT
    assert [each.start_ms for each in seen.clips] == [each.start_ms for each in held.clips]
    assert {each.clock_offset_s for each in seen.clips if each.camera == "A"} == {70.0}
    assert [each.clock_offsets_s for each in seen.erasures] == [{"A": 70.0}]
    register(archive, "A", 80.0)
    assert set(snapshot(archive).clocks.shifts.values()) == {-10_000}


def test_clips_of_unknown_cameras_are_left_alone(archive: ArchiveFiles) -> None:
    assert clocks_of({}, snapshot(archive).clips) == RIGHT
