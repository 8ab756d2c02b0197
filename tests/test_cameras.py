from __future__ import annotations

import unicodedata
from datetime import UTC, datetime
from pathlib import Path

import pytest

from indexer.cameras import Camera, check_camera_id, read_cameras
from indexer.districts import load_districts
from reid.errors import InputError

HEADER = "camera,name,district,latitude,longitude,clock_offset_s"
CLOCKS = "camera,district,clock_offset_s,clock_uncertainty_s"


def read(tmp_path: Path, text: str, encoding: str = "utf-8") -> tuple[Camera, ...]:
    path = tmp_path / "cameras.csv"
    path.write_bytes(text.encode(encoding))
    return read_cameras(path, load_districts())


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp949"])
def test_a_list_in_each_encoding(tmp_path: Path, encoding: str) -> None:
    text = f"{HEADER}\r\nSP-001,정문,송파구,37.5056,127.1153,-2.5\r\n\r\n석촌 2,,Songpa,,,\r\n"
    assert read(tmp_path, text, encoding) == (
        Camera("SP-001", "정문", "songpa", 37.5056, 127.1153, -2.5),
        Camera("석촌 2", "", "songpa", None, None, 0.0),
    )


def test_optional_columns_may_be_absent_and_in_any_order(tmp_path: Path) -> None:
    assert read(tmp_path, "district,camera\nnowon,n1\n") == (Camera("n1", "", "nowon"),)


def test_decomposed_names_are_composed(tmp_path: Path) -> None:
    (camera,) = read(tmp_path, unicodedata.normalize("NFD", "camera,district\n정문,송파구\n"))
    assert camera == Camera("정문", "", "songpa")


def test_a_clock_ahead_shows_a_later_time_than_the_true_one() -> None:
    shown = datetime(2025, 2, 18, 3, 34, 10, tzinfo=UTC)
    assert Camera("a", "", "songpa", clock_offset_s=10.0).true_time(shown).second == 0
    assert Camera.unregistered("a", "songpa").true_time(shown) == shown


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ("a,,songpo,,,", "unknown district 'songpo'; did you mean songpa"),
        ("a,,,,,", "unknown district ''"),
        ("a,,songpa,37.5,,", "expected latitude and longitude in degrees, got '37.5' and ''"),
        ("a,,songpa,127.1,37.5,", "latitude and longitude seem swapped"),
        ("a,,songpa,32.9,127.1,", "expected a place in Korea"),
        ("a,,songpa,37.5,132.1,", "expected a place in Korea"),
        ("a,,songpa,nan,127.1,", "expected a place in Korea"),
        ("a,,songpa,inf,inf,", "expected a place in Korea"),
        ("a,,songpa,37.5,east,", "got '37.5' and 'east'"),
        ("a,,songpa,,,fast", "clock offset in seconds of at most a day, got 'fast'"),
        ("a,,songpa,,,nan", "at most a day, got 'nan'"),
        ("a,,songpa,,,86401", "at most a day, got '86401'"),
        ("a,,songpa,,,-inf", "at most a day, got '-inf'"),
        (",,songpa,,,", "got nothing"),
        ("a/b,,songpa,,,", "got a slash"),
        ("..,,songpa,,,", "got a dot at the beginning"),
        ("a,,songpa,,", "expected 6 fields"),
        ("a,,songpa,,,,", "expected 6 fields"),
        ("ok,,songpa,,,", "camera 'ok' was already given in line 2"),
    ],
)
def test_bad_lines_are_named(tmp_path: Path, row: str, expected: str) -> None:
    with pytest.raises(InputError) as caught:
        read(tmp_path, f"{HEADER}\nok,,songpa,,,\n{row}\n")
    assert "line 3" in str(caught.value)
    assert expected in str(caught.value)


def test_all_bad_lines_are_listed_but_not_endlessly(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        read(tmp_path, HEADER + "\n" + "a,,nowhere,,,\n" * 25)
    message = str(caught.value)
    assert "correct 25 line(s)" in message
    assert "line 2:" in message
    assert "and 15 more" in message


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "header line"),
        (HEADER, "one camera a line"),
        ("id,district\na,songpa", "expected the columns camera,district"),
        ("camera;district\na;songpa", "expected the columns camera,district"),
        ("camera,district,colour\na,songpa,red", "expected the columns"),
        ("camera,camera,district\na,b,songpa", "expected the columns"),
        ('camera,district\n"a,songpa', "expected comma-separated text"),
    ],
)
def test_files_that_are_no_camera_list(tmp_path: Path, text: str, expected: str) -> None:
    with pytest.raises(InputError, match=expected):
        read(tmp_path, text)


def test_utf16_says_how_to_save(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="save it as 'CSV UTF-8'"):
        read(tmp_path, f"{HEADER}\na,정문,songpa,,,\n", "utf-16")


@pytest.mark.parametrize(
    "camera_id", ["a", "SP-001", "송파 정문 3", "cam.1", "x" * 64, "가" * 64, "-", "#12(B)"]
)
def test_safe_ids(camera_id: str) -> None:
    assert check_camera_id(camera_id) == camera_id


@pytest.mark.parametrize(
    "camera_id",
    [
        "", " ", "a ", " a", ".", "..", ".hidden", "a/b", "a\\b", "/", "a\x00", "a\nb", "a\tb", "\x7f",
        "a\u202eb", "a\u200bb", "\ud800", "x" * 65, "\ufeffa",
    ],
)  # fmt: skip
def test_unsafe_ids(camera_id: str) -> None:
    with pytest.raises(InputError, match="camera id"):
        check_camera_id(camera_id)


def test_how_well_a_clock_is_known(tmp_path: Path) -> None:
    found = read(tmp_path, f"{CLOCKS}\na,songpa,2,1.5\nb,songpa,,0\nc,songpa,-3,\n")
    assert [(each.clock_offset_s, each.clock_uncertainty_s) for each in found] == [
        (2.0, 1.5), (0.0, 0.0), (-3.0, None),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("uncertainty", "expected"),
    [
        ("-1", "expected a clock uncertainty of 0 seconds or more, got '-1'"),
        ("some", "expected a clock uncertainty in seconds of at most a day, got 'some'"),
        ("nan", "at most a day, got 'nan'"),
        ("inf", "at most a day, got 'inf'"),
        ("86401", "at most a day, got '86401'"),
    ],
)
def test_bad_uncertainties(tmp_path: Path, uncertainty: str, expected: str) -> None:
    with pytest.raises(InputError, match="line 2") as caught:
        read(tmp_path, f"{CLOCKS}\na,songpa,0,{uncertainty}\n")
    assert expected in str(caught.value)


def test_what_was_measured_of_a_clock_stays_where_a_list_is_silent(tmp_path: Path) -> None:
    known = {("songpa", "a"): Camera("a", "old", "songpa", 37.5, 127.1, 90.0, 4.0)}
    path = tmp_path / "cameras.csv"
    cases = [
        ("camera,name,district\na,new,songpa", Camera("a", "new", "songpa", None, None, 90.0, 4.0)),
        (f"{CLOCKS}\na,songpa,90,", Camera("a", "", "songpa", None, None, 90.0, 4.0)),
        (f"{CLOCKS}\na,songpa,0,", Camera("a", "", "songpa", None, None, 0.0, None)),
        (f"{CLOCKS}\na,songpa,,7", Camera("a", "", "songpa", None, None, 90.0, 7.0)),
        (f"{CLOCKS}\na,nowon,,", Camera("a", "", "nowon")),
    ]
    for text, expected in cases:
        path.write_text(text, "utf-8")
        assert read_cameras(path, load_districts(), known) == (expected,)
