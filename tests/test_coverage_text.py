"""No answer over a part of the time may be read as 'was not there'."""

import io
import re
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from rich.console import Console

from indexer import coverage as words
from indexer.coverage import REASONS, CameraTimes, Coverage, Missing
from indexer.districts import load_districts
from search.coverage_text import (
    WORDS_KO,
    Verdict,
    bar,
    coverage_json,
    verdict,
)
from search.report import to_html
from search.sightings import SearchResult
from search.terminal import print_coverage, print_result
from search.wording import camera_time, camera_time_ko, percent, percent_ko
from tests.test_search import made, red, search  # noqa: F401  fixtures

HOUR = 3_600_000


def covered(searched: int, unmeasured: tuple[Missing, ...] = (), **missing: int) -> Coverage:
    """One camera, so many hours searched and missing; `no_footage` is the reason 'no footage'."""
    amounts = {name.replace("_", " "): hours for name, hours in missing.items()}
    asked = searched + sum(amounts.values())
    row = np.array([[amounts.get(reason, 0) * HOUR for reason in REASONS]])
    gaps = tuple(Missing(reason, float(hours), ("songpa/A",)) for reason, hours in amounts.items())
    times = CameraTimes((("songpa", "A"),), asked * HOUR, np.array([searched * HOUR]), row)
    return Coverage(0, asked * HOUR, 1, float(asked), float(searched), (*gaps, *unmeasured), times)


UNKNOWN = (Missing("failed clip", None, ("/a.mp4",)),)
CASES = [
    # (what is known, sightings, expected right, urgent, English holds, Korean holds)
    (covered(10, no_footage=90), 0, None, True, ["ONLY 10 %", "No sighting", "rest (90 %)", "may have been"],
     ["10 %뿐", "후보가 없습니다", "나머지(90 %)", "있었을 수"]),
    (covered(40, no_footage=60), 3, 0.1, True, ["ONLY 40 %", "Likelier than not, no", "rest (60 %)"],
     ["40 %뿐", "없을 가능성이 더", "나머지(60 %)"]),
    (covered(40, expired=60), 3, 2.1, True, ["ONLY 40 %", "This list says nothing of the rest (60 %)"],
     ["40 %뿐", "나머지(60 %)"]),
    (covered(40, expired=60), 3, None, True, ["ONLY 40 %", "This list"], ["40 %뿐"]),
    (covered(93, erased=7), 0, None, False, ["No sighting. Of the asked camera time 93 %", "rest (7 %)"],
     ["후보가 없습니다", "93 %를 검색", "나머지(7 %)", "있었을 수"]),
    (covered(999, erased=1), 2, 0.4, False, ["Likelier than not, no", "99 %", "rest (under 1 %)"],
     ["없을 가능성이 더", "99 %를 검색", "나머지(1 % 미만)"]),
    (covered(9, UNKNOWN), 0, None, False, ["what could not be searched: failed clip"],
     ["검색하지 못한 것(읽지 못한 영상)"]),
    (covered(9), 0, None, False, ["All of the asked camera time", "can be missed"],
     ["모두 검색했지만", "놓칠"]),
    (covered(0, no_footage=9), 0, None, True, ["NOTHING of what was asked was searched"], ["전혀 알 수 없"]),
    (covered(0), 0, None, True, ["NOTHING of what was asked was searched"], ["전혀 알 수 없"]),
]  # fmt: skip


@pytest.mark.parametrize(("coverage", "shown", "right", "is_urgent", "english", "korean"), CASES)
def test_what_nothing_found_means(
    coverage: Coverage, shown: int, right: float | None, is_urgent: bool, english: list[str],
    korean: list[str],
) -> None:  # fmt: skip
    told = verdict(coverage, shown, right)
    assert told is not None
    assert told.is_urgent == is_urgent
    assert [each for each in english if each not in told.english] == []
    assert [each for each in korean if each not in told.korean] == []


@pytest.mark.parametrize(
    ("coverage", "right"),
    [(covered(50, no_footage=50), 0.6), (covered(9), 3.0), (covered(60, erased=40), None)],
)
def test_sightings_over_half_of_the_time_need_no_verdict(coverage: Coverage, right: float | None) -> None:
    assert verdict(coverage, 2, right) is None


def test_no_answer_over_a_part_is_silent_or_whole() -> None:
    """Whatever the share: nothing found is never told without the share that was not searched."""
    for searched in range(0, 1000, 7):
        coverage = covered(searched, no_footage=1000 - searched)
        for shown, right in ((0, None), (5, 0.2)):
            told = verdict(coverage, shown, right)
            assert isinstance(told, Verdict)
            rest, rest_ko = (f"({each(1 - searched / 1000)})" for each in (percent, percent_ko))
            assert told.is_urgent == (searched < 500)
            assert not searched or (rest in told.english and rest_ko in told.korean)
            assert "All of" not in told.english


@pytest.mark.parametrize(
    ("share", "shown"), [(0, "0 %"), (0.0001, "under 1 %"), (0.37, "37 %"), (0.9999, "99 %"), (1, "100 %")]
)
def test_shares_are_not_rounded_into_lies(share: float, shown: str) -> None:
    assert percent(share) == shown


@pytest.mark.parametrize(
    ("hours", "shown"),
    [(0, "0.0 s"), (0.001, "3.6 s"), (0.05, "3.0 min"), (1.25, "1.2 h"), (817, "817.0 h")],
)
def test_camera_time_in_words(hours: float, shown: str) -> None:
    assert camera_time(hours) == shown


def test_shares_in_korean() -> None:
    assert [percent_ko(share) for share in (0.004, 0.37)] == ["1 % 미만", "37 %"]
    assert [camera_time_ko(hours) for hours in (0.001, 0.05, 12)] == ["3.6초", "3.0분", "12.0시간"]


def test_every_word_is_known_in_korean() -> None:
    others = {words.NO_CAMERA, words.UNKNOWN_CAMERA, words.UNPLACED}
    assert WORDS_KO.keys() == {"searched", *REASONS, *others}


def test_the_bar_shows_everything_there_is() -> None:
    coverage = covered(300, no_footage=690, erased=9, expired=1)
    parts = bar(coverage)
    assert [part.word for part in parts] == ["searched", "no footage", "erased", "expired"]
    assert parts[0].x == 0
    assert parts[-1].x + parts[-1].width == pytest.approx(1)
    for part, after in pairwise(parts):
        assert part.x + part.width == pytest.approx(after.x)
    assert [part.width for part in parts] == pytest.approx([0.3, 0.69, 0.009, 0.001], abs=0.006)
    assert parts[-1].width > 0.005
    assert bar(covered(0)) == []


def many_cameras(count: int) -> Coverage:
    """Every reason before each camera, the last cameras the worst."""
    lost = np.outer(np.arange(count), np.arange(1, len(REASONS) + 1)) * 1000
    searched = 100 * HOUR - lost.sum(axis=1)
    keys = tuple(("songpa", f"S-{k:04d}") for k in range(count))
    times = CameraTimes(keys, 100 * HOUR, searched, lost)
    where = tuple("/".join(key) for key in keys[:0:-1])
    gaps = [Missing(reason, float(lost[:, k].sum()) / HOUR, where) for k, reason in enumerate(REASONS)]
    gaps[2] = replace(gaps[2], where=("/a.mp4", "/b.mp4", "/c.mp4"), unmeasured=2)  # failed clips
    gaps += [Missing("no camera in district", None, ("jung",)), Missing("unknown camera", None, ("S-77",))]
    return Coverage(
        0, 100 * HOUR, count, 100.0 * count, float(searched.sum()) / HOUR, tuple(gaps), times
    )  # fmt: skip


def shown(coverage: Coverage, width: int = 200) -> list[str]:
    console = Console(record=True, width=width, file=io.StringIO())
    print_coverage(console, coverage)
    return console.export_text().splitlines()


def test_the_terminal_needs_few_lines_however_many_cameras() -> None:
    coverage = many_cameras(2000)
    lines = shown(coverage)
    assert len(lines) <= 6  # and two of the verdict
    text = "\n".join(lines)
    for gap in coverage.missing:
        assert gap.reason in text
    assert "songpa/S-1999, songpa/S-1998, songpa/S-1997 and 1,996 more" in text
    assert "and 2 of unknown length" in text
    assert all(line.startswith("Not searched: ") for line in lines[1:])


def test_few_reasons_have_a_line_each() -> None:
    lines = shown(covered(3, UNKNOWN, no_footage=5, expired=2))
    assert lines[1:] == [
        "Not searched: no footage, 5.0 h (songpa/A)", "Not searched: expired, 2.0 h (songpa/A)",
        "Not searched: failed clip, length unknown (/a.mp4)",
    ]  # fmt: skip


@pytest.fixture
def result(made, red) -> SearchResult:  # type: ignore[no-untyped-def]  # noqa: F811
    return search(made, red)


def test_the_terminal_lists_cameras_when_asked(result: SearchResult) -> None:
    console = Console(record=True, width=200, file=io.StringIO())
    print_result(console, replace(result, coverage=many_cameras(30)), load_districts(), by_camera=True)
    lines = console.export_text().splitlines()
    listed = [line for line in lines if line.startswith("songpa/S-")]
    assert len(listed) == 30
    assert listed[0].startswith("songpa/S-0029: 99 %, ")
    assert "; expired 3.4 min; " in listed[0]
    assert listed[-1] == "songpa/S-0000: 100 %, 100.0 h of 100.0 h"
    assert "unknown camera, length unknown: S-77" in lines
    assert "failed clip, 21.8 min and 2 of unknown length: /a.mp4, /b.mp4, /c.mp4" in lines


def test_the_report_shows_a_bar_a_legend_and_every_camera(result: SearchResult) -> None:
    few = covered(
        1, UNKNOWN, **{reason.replace(" ", "_"): 2 for reason in REASONS if reason != "failed clip"}
    )
    page = to_html(replace(result, coverage=few), load_districts())
    patterns = set(re.findall(r'<pattern id="([^"]+)"', page))
    assert patterns == {each.replace(" ", "-") for each in ("searched", *REASONS)}
    drawn = re.findall(
        r'class="piece" x="([\d.]+)%" width="([\d.]+)%" height="100%" fill="url\(#([^)]+)\)"', page
    )
    assert len(drawn) == len(REASONS)  # one of them has no length, and is told in the legend alone
    assert sum(float(width) for _, width, _ in drawn) == pytest.approx(100, abs=0.1)
    assert {name for _, _, name in drawn} <= patterns
    for gap in few.missing:
        assert f"{gap.reason} · {WORDS_KO[gap.reason]}" in page
    assert "<details>" not in page
    assert page.index('class="alert"') < page.index("<svg")
    long = to_html(replace(result, coverage=many_cameras(200)), load_districts())
    assert long.count("<details>") == 1
    assert long.count("<tr><td>") == 200
    assert long.index("songpa/S-0199</td>") < long.index("songpa/S-0000</td>")


def test_the_json_adds_up(result: SearchResult) -> None:
    for coverage in (many_cameras(50), result.coverage):
        told = coverage_json(coverage)
        cameras = told["by_camera"]
        assert len(cameras) == told["cameras"]
        for name in ("asked_camera_hours", "searched_camera_hours"):
            assert sum(each[name] for each in cameras) == pytest.approx(told[name], abs=1e-3)
        for gap in told["missing"]:
            amounts = [
                m["camera_hours"] for c in cameras for m in c["missing"] if m["reason"] == gap["reason"]
            ]
            assert sum(amounts) == pytest.approx(gap["camera_hours"] or 0, abs=1e-3)
        for each in cameras:
            parts = each["searched_camera_hours"] + sum(gap["camera_hours"] for gap in each["missing"])
            assert parts == pytest.approx(each["asked_camera_hours"], abs=1e-4)


def test_many_damaged_segments_are_counted_not_listed(result: SearchResult) -> None:
    broken = replace(result, damaged=tuple((f"segment{k}", "cut off") for k in range(9)))
    console = Console(record=True, width=200, file=io.StringIO())
    print_result(console, broken, load_districts())
    for told in (console.export_text(), to_html(broken, load_districts())):
        assert told.count("cut off") == 3
        assert "6 more damaged segments" in told
