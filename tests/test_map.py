"""Drawings: whole, escaped, to scale, and honest about what they leave out."""

import re
from dataclasses import replace
from math import hypot
from xml.etree import ElementTree

import numpy as np
import pytest

from indexer.cameras import Camera
from indexer.distances import distance_m
from indexer.districts import load_districts
from indexer.times import milliseconds
from search.drawing import Point, outline, radius, spread
from search.last_seen import LastSeen, Place, place_of
from search.map import RINGS_MIN, Frame, draw_map
from search.report import to_html
from search.route import Hop, Route
from search.sightings import SearchResult, Sighting
from search.timeline import draw_timeline
from search.travel import walking_m
from tests.test_report import Loads, result  # noqa: F401  fixture
from tests.test_search import START, made, red  # noqa: F401  fixtures

DISTRICTS = load_districts()
EVIL = '<script x="1">&석촌'
BEGIN = milliseconds(START)
MIDDLES = {"songpa": (37.5056, 127.1153), "gangdong": (37.5502, 127.147), "nowon": (37.65, 127.07)}
MAP, TIMELINE = "Map of sightings", "Timeline of sightings"
SVG = "{http://www.w3.org/2000/svg}"


def scene(base: SearchResult, count: int = 12) -> SearchResult:
    """Cameras of three districts, sightings along a walk through one of them, some of them elsewhere."""
    random = np.random.default_rng(2)
    cameras = [
        Camera(f"{slug}-{k}", EVIL, slug, *(np.array(middle) + random.normal(0, 0.011, 2)).tolist())
        for slug, middle in MIDDLES.items()
        for k in range(40)
    ]
    walk = sorted(cameras[:40], key=lambda camera: camera.longitude or 0)[8:30:4]
    seen_by = [*walk, walk[1], walk[1], cameras[45], cameras[100], cameras[50], Camera("dark", "", "songpa")]
    chances = [0.97, 0.9, 0.62, 0.55, 0.4, 0.3, 0.2, 0.1, 0.08, 0.015, 0.01, 0.004]
    sightings = []
    for number in range(count):
        camera, start = seen_by[number], BEGIN + (number % 6) * 17 * 60_000 + number // 6 * 240_000
        record = replace(
            base.sightings[0].record, id=f"{number:016x}", camera=camera.id, start_ms=start,
            end_ms=start + 9000, best_ms=start + 4000,
        )  # fmt: skip
        sightings.append(
            replace(
                base.sightings[0], rank=number + 1, probability=chances[number], district=camera.district,
                camera_name=camera.name or camera.id, record=record, place=place_of(camera),
            )
        )  # fmt: skip
    sureness = [5.0, 2.0, 0.4, 4.0, None, 1.5]
    hops = tuple(
        Hop(each.record.id, 700.0, 900.0, 1.0, margin, ())
        for each, margin in zip(sightings, sureness, strict=False)
    )
    first = place_of(walk[0])
    assert first
    seen = LastSeen("home", first[0] + 0.003, first[1] - 0.004, BEGIN - 20 * 60_000, "elder")
    request = replace(base.request, last_seen=seen)
    return replace(
        base, request=request, cameras=tuple(cameras), sightings=tuple(sightings), route=Route(hops)
    )


def parsed(svg: str) -> ElementTree.Element:
    return ElementTree.fromstring(svg)


def text_of(svg: str) -> str:
    return " ".join("".join(each.itertext()) for each in parsed(svg).iter())


def test_drawings_are_whole_and_escape_names(result: SearchResult) -> None:  # noqa: F811
    shown = scene(result)
    for svg in (draw_map(shown, DISTRICTS), draw_timeline(shown)):
        root = parsed(svg)
        assert root.tag == f"{SVG}svg"
        assert {each.tag.removeprefix(SVG) for each in root} >= {"title", "desc"}
        tags = {each.tag.removeprefix(SVG) for each in root.iter()}
        assert not {"script", "image", "use", "style", "a"} & tags
        assert "<script" not in svg
        assert EVIL in text_of(svg)
    page = Loads()
    html = to_html(shown, DISTRICTS)
    page.feed(html)
    assert MAP in html
    assert TIMELINE in html
    assert "script" not in page.tags
    assert all(link.startswith("data:image/jpeg;base64,") for link in page.found)


def test_each_sighting_is_on_the_map_or_named_as_left_out(result: SearchResult) -> None:  # noqa: F811
    """Ten is far away in Nowon and hardly probable, twelve at a camera without a place."""
    svg = draw_map(scene(result), DISTRICTS)
    drawn = {each.text for each in parsed(svg).iter(f"{SVG}text") if each.get("font-weight") == "bold"}
    assert {str(rank) for rank in range(1, 12) if rank != 10} <= drawn
    assert not {"10", "12"} & drawn
    assert "지도에 없음: 10, 12" in svg
    assert "not its boundaries" in svg
    assert "구 경계가 아니라" in svg
    timeline = parsed(draw_timeline(scene(result)))
    ranks = {each.text for each in timeline.iter(f"{SVG}text") if each.get("font-weight") == "bold"}
    assert ranks == {str(rank) for rank in range(1, 13)}


def test_the_map_is_to_scale(result: SearchResult) -> None:  # noqa: F811
    shown = scene(result)
    root = parsed(draw_map(shown, DISTRICTS))
    rings = [float(each.get("r", 0)) for each in root.iter(f"{SVG}circle") if each.get("stroke-dasharray")]
    paths = [str(each.get("d")) for each in root.iter(f"{SVG}path")]
    bar = next(path for path in paths if re.search("v6h[0-9.]+v-6", path))
    texts = [str(each.text) for each in root.iter(f"{SVG}text")]
    label = next(text for text in texts if re.fullmatch("[0-9]+ k?m", text))
    metres = float(label.split()[0]) * (1000 if label.endswith("km") else 1)
    long = re.search("h([0-9.]+)", str(bar))
    assert long
    assert [ring / float(long[1]) * metres for ring in rings] == [
        pytest.approx(walking_m(minutes * 60, "elder"), rel=0.01) for minutes in RINGS_MIN
    ]


def test_the_projection_keeps_distances_and_holds_all_it_should() -> None:
    random = np.random.default_rng(6)
    for size in (0.0, 0.002, 0.05, 0.3):
        places: list[Place] = [
            (37.5 + float(a) * size, 127.0 + float(b) * size) for a, b in random.uniform(-1, 1, (6, 2))
        ]
        frame = Frame.around(places)
        assert all(frame.holds(frame(place)) for place in places)
        (a, b), true = places[:2], distance_m(*places[0], *places[1])
        pixels = hypot(frame(a)[0] - frame(b)[0], frame(a)[1] - frame(b)[1])
        assert pixels / frame.scale == pytest.approx(true, rel=0.01, abs=1)
    north, south = frame((37.6, 127.0)), frame((37.4, 127.0))
    assert north[1] < south[1]


def test_marks_do_not_cover_each_other() -> None:
    random = np.random.default_rng(7)
    wanted: list[tuple[Point, float]] = [((100.0, 100.0), 12.0)] * 20
    wanted += [((float(x), float(y)), 9.0) for x, y in random.uniform(60, 140, (20, 2))]
    spots = spread(wanted, [((100.0, 100.0), 9.0)])
    for one, (spot, (_, size)) in enumerate(zip(spots, wanted, strict=True)):
        assert hypot(spot[0] - 100, spot[1] - 100) >= size + 9
        for other in range(one):
            apart = hypot(spot[0] - spots[other][0], spot[1] - spots[other][1])
            assert apart >= size + wanted[other][1]
    assert spread([((5.0, 6.0), 9.0)], []) == [(5.0, 6.0)]


@pytest.mark.parametrize("count", [1, 2, 3, 60])
def test_an_outline_holds_its_points_and_their_margin(count: int) -> None:
    points = [(float(x), float(y)) for x, y in np.random.default_rng(count).uniform(0, 100, (count, 2))]
    edge = outline(points, 10)
    for (ax, ay), (bx, by) in zip(edge, [*edge[1:], edge[0]], strict=True):
        for x, y in points:  # to the left of each side, and away from it
            assert ((bx - ax) * (y - ay) - (by - ay) * (x - ax)) / hypot(bx - ax, by - ay) >= 9


def test_a_more_probable_sighting_is_larger() -> None:
    sizes = [radius(chance) for chance in (0.0, 0.2, 0.9)]
    assert sizes == sorted(set(sizes))


def test_without_places_sightings_or_a_report(result: SearchResult) -> None:  # noqa: F811
    shown = scene(result)
    nowhere = replace(
        shown, request=replace(shown.request, last_seen=None), cameras=(),
        sightings=tuple(replace(each, place=None) for each in shown.sightings),
    )  # fmt: skip
    assert draw_map(nowhere, DISTRICTS) == ""
    parsed(draw_timeline(nowhere))
    empty = replace(shown, sightings=(), route=Route(()))
    assert "last seen" in draw_map(empty, DISTRICTS)
    assert draw_timeline(empty) == ""
    assert MAP in to_html(empty, DISTRICTS)
    plain = replace(shown, request=replace(shown.request, last_seen=None, route=False), route=None)
    assert MAP not in to_html(plain, DISTRICTS)
    assert TIMELINE not in to_html(plain, DISTRICTS)


@pytest.mark.parametrize("days", [0.0, 0.01, 0.9, 5, 200, 3000])
def test_a_timeline_of_any_length_has_few_ticks(result: SearchResult, days: float) -> None:  # noqa: F811
    late = round(days * 86_400_000)
    base = result.sightings[0]
    sightings: list[Sighting] = [
        replace(base, rank=k + 1, record=replace(base.record, best_ms=BEGIN + late * k)) for k in range(2)
    ]
    svg = draw_timeline(replace(result, sightings=tuple(sightings)))
    ticks = [each for each in parsed(svg).iter(f"{SVG}path") if str(each.get("d")).endswith("v5")]
    assert 2 <= len(ticks) <= 12
