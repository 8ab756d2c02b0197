"""Where and when somebody was last seen: what is read, what is refused, and what it does to a ranking."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner, Result

import cli
from indexer.cameras import Camera
from indexer.catalogue import Catalogue
from indexer.districts import load_districts
from indexer.shard.files import ArchiveFiles
from indexer.times import milliseconds
from reid.errors import InputError, UnknownNameError
from search.description import read_description
from search.engine import Engine
from search.filters import Filters
from search.last_seen import PLACE_AND_TIME, LastSeen, apart, apart_ko, read_last_seen
from search.report import to_html, to_json
from search.request import Request
from search.sightings import SearchResult, find_sightings
from search.terminal import print_result
from tests.crowd import embedder, fill
from tests.test_search import SCOPE, START, made, red  # noqa: F401  fixtures
from tests.world import FakeEmbedder

DISTRICTS = load_districts()
AT = "2025-02-18 12:24"
CAMERAS = {
    (camera.district, camera.id): camera
    for camera in (
        Camera("S-1", "석촌 1", "songpa", 37.5, 127.1),
        Camera("S-2", "", "songpa"),
        Camera("Gate", "", "songpa", 37.5, 127.1),
        Camera("Gate", "", "nowon", 37.65, 127.07),
    )
}


@pytest.mark.parametrize(
    "where", ["S-1", "석촌 1", "songpa/S-1", "송파구/S-1", "37.5,127.1", " 37.5 , 127.1 "]
)
def test_a_place_and_a_time_are_read(where: str) -> None:
    seen = read_last_seen(where, AT, CAMERAS, DISTRICTS)
    assert seen is not None
    assert (seen.latitude, seen.longitude, seen.age) == (37.5, 127.1, "adult")
    assert seen.at_ms == milliseconds(datetime(2025, 2, 18, 3, 24, tzinfo=UTC))


def test_nothing_is_nothing() -> None:
    assert read_last_seen(None, None, CAMERAS, DISTRICTS) is None


def test_the_age_group_is_that_of_the_description() -> None:
    said = [read_description(age=[text]) for text in ("Elder", "노인", "어린이", " adult ")]
    assert [each.age if each else None for each in said] == ["elder", "elder", "child", "adult"]
    seen = read_last_seen("S-1", AT, CAMERAS, DISTRICTS, "child")
    assert seen is not None
    assert seen.age == "child"


@pytest.mark.parametrize(
    ("where", "when", "message"),
    [
        ("S-1", None, "needs the time: --at"),
        (None, AT, "needs the place: --last-seen"),
        ("S-1", "2025-02-18", "time of day"),
        ("S-1", "yesterday", "expected a Seoul time"),
        ("S-1", "2099-01-01 10:00", "still to come"),
        ("S-11", AT, "unknown camera 'S-11'; did you mean S-1"),
        ("nowon/S-1", AT, "unknown camera"),
        ("songpo/S-1", AT, "did you mean songpa"),
        ("Gate", AT, "give nowon/Gate or songpa/Gate"),
        ("S-2", AT, "reid cameras add"),
        ("127.1,37.5", AT, "swapped"),
        ("51.5,0.1", AT, "in Korea"),
        ("3..7,127.1", AT, "in degrees"),
        ("", AT, "unknown camera"),
    ],
)
def test_what_cannot_be_used_is_told(where: str | None, when: str | None, message: str) -> None:
    with pytest.raises((InputError, UnknownNameError), match=message.replace("(", r"\(")):
        read_last_seen(where, when, CAMERAS, DISTRICTS)


def seen_at(minutes: float, latitude: float = 37.5, longitude: float = 127.1) -> LastSeen:
    """Minutes after the first clips begin."""
    return LastSeen("here", latitude, longitude, milliseconds(START + timedelta(minutes=minutes)))


def search(archive: ArchiveFiles, query, seen: LastSeen | None, filters: Filters = SCOPE) -> SearchResult:  # type: ignore[no-untyped-def]
    with Engine(archive, FakeEmbedder().spec) as engine:
        return find_sightings(engine, Request((query,), filters, 10, last_seen=seen))


def test_near_counts_more_and_nobody_is_hidden(made, red) -> None:  # type: ignore[no-untyped-def]  # noqa: F811
    """Camera S-1 has a place; N-1 and S-2 have none, so nothing is said of them."""
    plain, near, far = (search(made, red, seen) for seen in (None, seen_at(-5), seen_at(-5, 37.65, 127.0)))
    assert len(plain.sightings) == len(near.sightings) == len(far.sightings)
    assert near.sightings[0].record.camera == "S-1"
    assert far.sightings[0].record.camera == "N-1"
    said = {s.record.id: s.evidence[PLACE_AND_TIME] for s in near.sightings}
    for sighting in near.sightings:
        if sighting.record.camera == "S-1":
            assert sighting.distance_m == pytest.approx(0, abs=1)
            assert sighting.minutes_after == pytest.approx(5, abs=0.1)
        else:
            assert said[sighting.record.id] == 0
            assert sighting.distance_m is None
    blamed = [s for s in far.sightings if s.record.camera == "S-1"]
    assert all(-4 <= s.evidence[PLACE_AND_TIME] < -2 for s in blamed)
    assert {s.record.camera for s in far.sightings[:2]} == {"N-1", "S-1"}  # red stays before all others
    assert plain.sightings[0].minutes_after is None
    assert PLACE_AND_TIME not in plain.sightings[0].evidence


def test_it_is_shown_everywhere(made, red) -> None:  # type: ignore[no-untyped-def]  # noqa: F811
    result = search(made, red, replace(seen_at(-25), place="<b>here</b>"))
    shown = json.loads(json.dumps(to_json(result)))
    assert shown["last_seen"]["at"] == "2025-02-18T12:09:00+09:00"
    assert shown["sightings"][0]["distance_m"] == 0
    assert shown["sightings"][0]["minutes_after"] == pytest.approx(25, abs=0.1)
    for width in (160, 60):
        console = Console(record=True, width=width, highlight=False, markup=False)
        print_result(console, result, DISTRICTS)
        text = console.export_text()
        assert "0 m, 25 min after" in text
        assert "hides nobody" in text
    page = to_html(result, DISTRICTS)
    assert "0 m, 25 min after" in page
    assert "<b>here" not in page


def test_a_report_later_than_all_footage_is_told(made, red) -> None:  # type: ignore[no-untyped-def]  # noqa: F811
    result = search(made, red, seen_at(600))
    assert all(s.minutes_after is not None and s.minutes_after < 0 for s in result.sightings)
    console = Console(record=True, width=160, highlight=False)
    print_result(console, result, DISTRICTS)
    assert "before the person was last seen" in " ".join(console.export_text().split())


def test_last_seen_after_the_window_is_refused(red) -> None:  # type: ignore[no-untyped-def]  # noqa: F811
    until = milliseconds(START)
    with pytest.raises(InputError, match="after the window's end"):
        Request((red,), Filters(("songpa",), until_ms=until), last_seen=seen_at(1))


def test_cameras_without_any_place_say_nothing(tmp_path: Path, red) -> None:  # type: ignore[no-untyped-def]  # noqa: F811
    archive = ArchiveFiles(tmp_path)
    fill(archive, ("songpa",), days=1, cameras=1, hours=[9], dimension=8)
    with Catalogue(archive, "write") as catalogue:
        catalogue.put_cameras([Camera("S-0", "", "songpa")])
    with Engine(archive, embedder(8)) as engine:
        result = find_sightings(engine, Request((red,), Filters(("songpa",)), last_seen=seen_at(0)))
    assert result.sightings
    assert all(s.evidence[PLACE_AND_TIME] == 0 and s.distance_m is None for s in result.sightings)


@pytest.mark.parametrize(
    ("metres", "minutes", "english", "korean"),
    [
        (1234.0, 25.0, "1.2 km, 25 min after", "1.2 km, 25분 후"),
        (949.0, -119.0, "950 m, 119 min before", "950 m, 119분 전"),
        (4.0, 125.0, "0 m, 2 h 05 min after", "0 m, 2시간 05분 후"),
        (None, 3.0, "place unknown, 3 min after", "위치 모름, 3분 후"),
    ],
)
def test_apart_in_words(metres: float | None, minutes: float, english: str, korean: str) -> None:
    assert apart(metres, minutes) == english
    assert apart_ko(metres, minutes) == korean


def reid(*arguments: object) -> Result:
    return CliRunner().invoke(cli.app, [str(argument) for argument in arguments])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--at", AT], "needs the place"),
        (["--last-seen", "S-1"], "needs the time"),
        (["--last-seen", "S-11", "--at", AT], "did you mean S-1"),
        (["--last-seen", "S-9", "--at", AT], "reid cameras add"),
    ],
)
def test_the_command_line_says_one_clear_line(made, options: list[str], message: str) -> None:  # type: ignore[no-untyped-def]  # noqa: F811
    result = reid("search", "photo.jpg", "--home", made.home, *options)
    assert result.exit_code == 2
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert not result.stdout
