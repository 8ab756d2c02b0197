import io
import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from rich.console import Console

from indexer.clothes import parse_colours
from indexer.coverage import Coverage, Missing
from indexer.districts import load_districts
from search.filters import Filters, Near
from search.planner import Plan
from search.report import to_html, to_json
from search.sightings import SearchResult
from search.terminal import print_result
from search.wording import chance
from tests.test_search import made, red, search  # noqa: F401  fixtures
from tests.world import COLOURS, colour_vector

DISTRICTS = load_districts()
SIGHTING = {
    *("rank", "id", "score", "probability", "district", "camera", "start", "end", "best_time", "box", "clip"),
    "clip_offset_s",
}


@pytest.fixture
def result(made, red) -> SearchResult:  # type: ignore[no-untyped-def]  # noqa: F811
    return search(made, red)


def test_json_is_the_contract(result: SearchResult) -> None:
    shown = json.loads(json.dumps(to_json(result)))
    assert set(shown) >= {"query", "sightings", "coverage", "plan", "model", "segments", "timing_ms"}
    assert set(shown["query"]) >= {"photo", "person_box", "warnings"}
    first = shown["sightings"][0]
    names = [
        "rank",
        "id",
        "score",
        "probability",
        "district",
        "camera",
        "start",
        "end",
        "best_time",
        "box",
        "clip",
        "clip_offset_s",
    ]
    assert set(first) >= set(names)
    assert first["probability"] > 0.9
    assert shown["expected_right"] == pytest.approx(
        sum(s["probability"] for s in shown["sightings"]), abs=0.01
    )
    assert set(first["evidence"]) == {"likeness", "company", "one at a time"}
    assert re.fullmatch(r"2025-02-18T1[23]:34:0\d(\.\d+)?\+09:00", first["start"])
    assert first["start"] <= first["best_time"] <= first["end"]
    assert len(first["box"]) == 4
    assert set(shown["coverage"]) >= {"asked_camera_hours", "searched_camera_hours", "missing"}
    assert shown["plan"] == "exact"
    assert all(set(gap) >= {"reason", "camera_hours"} for gap in shown["coverage"]["missing"])


class Loads(HTMLParser):
    """Collects everything a page would load."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.found += [str(value) for name, value in attrs if name in ("src", "href", "action", "poster")]


def test_the_report_loads_nothing_and_runs_nothing(result: SearchResult) -> None:
    page = Loads()
    page.feed(to_html(result, DISTRICTS))
    assert page.found
    assert all(link.startswith("data:image/jpeg;base64,") for link in page.found)
    assert not {"script", "iframe", "link", "object"} & set(page.tags)


def test_the_report_says_what_was_not_searched(result: SearchResult) -> None:
    html = to_html(result, DISTRICTS)
    for text in ("송파구", "no footage", "failed clip", "not identity", "동일인", result.model):
        assert text in html


def test_names_from_outside_are_escaped(made, red) -> None:  # type: ignore[no-untyped-def]  # noqa: F811
    found = search(made, red)
    evil = "<script>alert(1)</script>"
    query = replace(red, photo=evil, warnings=(evil,))
    shown = replace(found, request=replace(found.request, queries=(query,)))
    assert "<script" not in to_html(shown, DISTRICTS)


def test_the_terminal_always_tells_coverage(result: SearchResult) -> None:
    console = Console(record=True, width=140, highlight=False)
    print_result(console, result, DISTRICTS)
    text = console.export_text()
    assert "Searched " in text
    assert "Not searched: no footage" in text
    assert "Not searched: failed clip, length unknown" in text
    assert "likeness" in text
    assert "송파구 songpa" in text


def test_a_narrow_terminal_loses_nothing(result: SearchResult) -> None:
    console = Console(record=True, width=44, highlight=False, markup=False)
    print_result(console, result, DISTRICTS)
    text = console.export_text()
    for sighting in result.sightings:
        assert f"{sighting.rank}. probability {chance(sighting.probability)}, score" in text
        assert sighting.record.id in text
    assert "2025-02-18 12:34:00" in text
    assert "송파구 songpa" in text


def test_no_sighting_is_not_called_not_seen(result: SearchResult) -> None:
    coverage = Coverage(0, 3_600_000, 1, 1.0, 0.004, (Missing("no footage", 0.996, ("songpa/A",)),))
    empty = SearchResult(**{**vars(result), "sightings": (), "coverage": coverage})
    console = Console(record=True, width=140, highlight=False)
    print_result(console, empty, DISTRICTS)
    text = console.export_text()
    page = to_html(empty, DISTRICTS)
    for shown in (" ".join(text.split()), page):
        assert "ONLY under 1 % of the asked camera time was searched" in shown
        assert "this says nothing of the rest (99 %), where the person may have been" in shown
        assert "검색한 것은 요청한 카메라 시간의 1 % 미만뿐입니다" in shown
        assert "나머지(99 %)에 대해서는 아무것도 알 수 없으며" in shown
    assert page.index('class="alert"') < page.index("What was searched")


def test_the_fakes_tell_colours_apart() -> None:
    vectors = {name: colour_vector(name)[0] for name in COLOURS}
    for one in vectors:
        for other in vectors:
            assert (float(vectors[one] @ vectors[other]) > 0.95) == (one == other)


def test_filters_and_an_approximate_answer_are_told(made, red, result: SearchResult) -> None:  # type: ignore[no-untyped-def]  # noqa: F811
    scope = Filters(("songpa", "nowon"), near=Near(37.5, 127.1, 1500), upper=parse_colours(["빨강", "green"]))
    filtered = search(made, red, scope)
    assert {sighting.record.camera for sighting in filtered.sightings} == {"S-1"}
    gaps = {gap.reason: gap.where for gap in filtered.coverage.missing}
    assert gaps["camera without a place"] == ("nowon/N-1", "songpa/S-2", "songpa/S-9")
    shown = to_json(filtered)
    assert shown["filters"]["near"] == [37.5, 127.1]
    assert shown["filters"]["upper"] == ["red", "green"]
    console = Console(record=True, width=160, file=io.StringIO())
    print_result(console, replace(filtered, plan=Plan("codes", 400, 0.9973)), DISTRICTS)
    text = console.export_text()
    assert "look red or green or whose colour is unknown" in text
    assert "within 1.5 km" in text
    assert "approximate: expected to find 99.7% of the ten nearest" in text
    page = to_html(replace(filtered, plan=Plan("codes", 400, 0.9973)), DISTRICTS)
    assert "approximately (expected to find 99.7%" in page
    assert "whoever was taken for another colour is left out" in page
    assert to_json(result)["expected_recall"] == 1


@pytest.mark.parametrize(
    ("probability", "shown"),
    [
        (None, "-"),
        (0.0, "under 1 %"),
        (0.004, "under 1 %"),
        (0.26, "26 %"),
        (0.996, "over 99 %"),
        (1.0, "over 99 %"),
    ],
)
def test_a_probability_is_never_a_certainty(probability: float | None, shown: str) -> None:
    assert chance(probability) == shown
