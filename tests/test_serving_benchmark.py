"""The serving benchmark: what it asks, counts and draws; the product's answers checked apart."""

import mmap
from functools import cache
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from benchmarks import machine, serving
from benchmarks.archives import make_archive, place_of, tracklet_id
from benchmarks.gallery import CLASSES, EXTRAS, Ask, Scene, ask, districts_of
from benchmarks.plot import log_log
from benchmarks.serving_measures import ask_one, names_of, needed_bytes, open_engine, recall
from benchmarks.vectors import VectorModel
from indexer.cameras import Camera
from indexer.catalogue import Catalogue
from indexer.shard.files import ArchiveFiles
from reid.camera_means import CameraMeans, centred
from search.planner import Plan

SCENE = Scene(3000, districts=3, days=2, seed=5)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("serving") / "archive"
    made = make_archive(folder, SCENE, workers=1, whole_ledger=False)
    assert made.tracklets == SCENE.tracklets * 6
    return folder


@cache
def means_of(home: Path) -> CameraMeans:
    with Catalogue(ArchiveFiles(home)) as catalogue:
        return catalogue.snapshot().camera_means(VectorModel.load().dimension)


def best_by_hand(home: Path, one: Ask) -> list[tuple[float, str]]:
    """(score, id) of every tracklet in scope, best first, without engine, filters and shards."""
    means = means_of(home)
    query = centred(one.photo[None], means.overall)[0]
    found: dict[str, float] = {}
    for district in districts_of(SCENE):
        inside = one.cameras(list(district.cameras))
        taken = means.of([(district.slug, camera.id) for camera in district.cameras])
        for day in range(SCENE.days):
            seen = district.see(day)
            halves = seen.vectors.astype(np.float16).astype(np.float32)
            scores = centred(halves, taken[seen.cameras[seen.tracklets]]) @ query
            for score, number in zip(scores, seen.tracklets, strict=True):
                in_time = seen.start[number] < one.until_ms and seen.end[number] >= one.since_ms
                colour = int(seen.upper[number])
                if inside[seen.cameras[number]] and in_time and (not one.upper or colour in (0, one.upper)):
                    name = tracklet_id(district.number, day, int(number))
                    found[name] = max(found.get(name, -1.0), float(score))
    return sorted(((score, name) for name, score in found.items()), reverse=True)


@pytest.mark.parametrize("kind", CLASSES)
@pytest.mark.parametrize("extra", EXTRAS)
def test_the_product_finds_what_brute_force_finds(home: Path, kind: str, extra: str) -> None:
    for one in ask(SCENE, 3, (kind,), (extra,))[kind, extra]:
        true = best_by_hand(home, one)
        with open_engine(home) as engine:
            found = ask_one(engine, one, exact=True)
        assert found.plan.kind == "exact"
        scores = [hit.score for hit in found.hits]
        np.testing.assert_allclose(scores, [score for score, _ in true[:10]], atol=2e-4)
        assert set(names_of(found)) <= {name for _, name in true}
        assert recall(names_of(found), [name for _, name in true[:10]]) >= 0.9


def test_scenes_and_questions_follow_from_the_seed() -> None:
    first, again = (ask(SCENE, 4)["city-day", "colour"] for _ in range(2))
    assert [one.filters() for one in first] == [one.filters() for one in again]
    np.testing.assert_array_equal([one.photo for one in first], [one.photo for one in again])
    district = next(districts_of(SCENE))
    assert 12 <= len(district.cameras) <= 40
    seen = district.see(1)
    assert (np.diff(seen.start) >= 0).all()
    assert (seen.end > seen.start).all()
    assert seen.end.max() < SCENE.first_ms + 2 * 86_400_000


def test_a_radius_is_that_of_the_product() -> None:
    one = ask(SCENE, 1, ("district-day",), ("radius",))["district-day", "radius"][0]
    near = one.filters().near
    assert near is not None
    cameras = [camera for district in districts_of(SCENE) for camera in district.cameras]
    here = [camera for camera in cameras if camera.district in one.districts]
    inside = dict(zip(cameras, one.cameras(cameras), strict=True))
    assert [bool(inside[camera]) for camera in here] == near.hold(here)
    assert 0 < sum(map(int, inside.values())) < len(here)
    assert not inside[next(camera for camera in cameras if camera.district not in one.districts)]


def test_ids_tell_their_place() -> None:
    assert place_of(tracklet_id(18, 29, 123_456)) == (18, 29, 123_456)
    assert len(tracklet_id(18, 29, 1)) == 16


@pytest.mark.parametrize(
    ("found", "true", "wanted"),
    [
        ([], [], 1.0),
        (["a"], [], 1.0),
        ([], ["a"], 0.0),
        (["b", "a"], ["a", "b"], 1.0),
        (["a", "c"], ["a", "b"], 0.5),
    ],
)
def test_recall(found: list[str], true: list[str], wanted: float) -> None:
    assert recall(found, true) == wanted


def test_needed_bytes_are_rows_or_codes_and_refined_rows() -> None:
    class Told:
        rows = 1000
        plan = Plan("exact")

    assert needed_bytes(Told(), 256) == 1000 * 512  # type: ignore[arg-type]
    Told.plan = Plan("codes", 200)
    assert needed_bytes(Told(), 256) == 1000 * 32 + 200 * 512  # type: ignore[arg-type]


def test_growth_is_the_power() -> None:
    assert serving.slope([1e5, 1e6, 1e7], [2.0, 20.0, 200.0]) == pytest.approx(1)
    assert serving.slope([1e5, 1e6, 1e7], [3.0, 3.0, 3.0]) == pytest.approx(0)


def test_the_plot_has_a_line_for_each_series() -> None:
    text = log_log({"a < b": [(1e5, 2.0), (1e7, 40.0)], "c": [(1e5, 9.0)]}, "title", "across", "up")
    root = ElementTree.fromstring(text)
    lines = root.findall("{*}polyline")
    places = [[float(value) for value in point.split(",")] for point in lines[0].attrib["points"].split()]
    assert len(lines) == 2
    assert places[0][0] < places[1][0]
    assert places[0][1] > places[1][1]
    with pytest.raises(ValueError, match="above 0"):
        log_log({"a": [(0.0, 1.0)]}, "", "", "")


def test_the_machine_is_measured(tmp_path: Path) -> None:
    before = machine.memory().anonymous_mb
    private = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS  # not the allocator's, which may hold freed memory
    with mmap.mmap(-1, 50 << 20, private) as block:
        block.write(b"x" * len(block))
        assert machine.memory().anonymous_mb - before > 45
    (tmp_path / "file").write_bytes(b"x" * 100_000)
    machine.forget_pages(tmp_path)
    assert 100_000 <= machine.folder_bytes(tmp_path) < 200_000
    assert machine.bandwidth(1, megabytes=8, seconds=0.01) > 0.05


def test_cameras_have_places() -> None:
    for district in districts_of(SCENE):
        for camera in district.cameras:
            assert isinstance(camera, Camera)
            assert camera.latitude is not None
            assert 37 < camera.latitude < 38
