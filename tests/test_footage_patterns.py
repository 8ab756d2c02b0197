"""Names of recorders: what they tell, and what is refused."""

from datetime import UTC, datetime

import pytest

from indexer.footage_patterns import PRESETS, Told, find_pattern
from reid.errors import InputError, UnknownNameError

SEOUL = "Asia/Seoul"


def told(district: str | None, camera: str | None, *moment: int) -> Told:
    return Told(district, camera, datetime(*moment, tzinfo=UTC) if moment else None)  # type: ignore[misc,arg-type]


@pytest.mark.parametrize(
    ("pattern", "zone", "path", "expected"),
    [
        # Seoul is nine hours ahead: its first hours are the day before in UTC.
        ("plain", SEOUL, "songpa/SP-1/20250218T003000.mp4", told("songpa", "SP-1", 2025, 2, 17, 15, 30)),
        ("plain", SEOUL, "송파구/SP-1/20250218T123400_a.AVI", told("송파구", "SP-1", 2025, 2, 18, 3, 34)),
        ("plain", SEOUL, "songpa/SP-1/x/20250218T003000.mp4", None),
        ("plain", SEOUL, "songpa/20250218T003000.mp4", None),
        ("frigate", SEOUL, "2025-02-17/15/gate/30.09.mp4", told(None, "gate", 2025, 2, 17, 15, 30, 9)),
        (
            "mediamtx",
            SEOUL,
            "gate/2025-02-18_00-30-09-000123.mp4",
            told(None, "gate", 2025, 2, 17, 15, 30, 9, 123),
        ),
        ("blueiris", SEOUL, "New/GATE.20250218_003000.mp4", told(None, "GATE", 2025, 2, 17, 15, 30)),
        (
            "dahua",
            SEOUL,
            "NVR_ch1_main_20250218003000_20250218004000.dav",
            told(None, "ch1", 2025, 2, 17, 15, 30),
        ),
        (
            "dahua",
            SEOUL,
            "a/b/XVR_ch12_main_20250218003000_20250218004000.mp4",
            told(None, "ch12", 2025, 2, 17, 15, 30),
        ),
        ("dahua", SEOUL, "NVR_ch1_sub_20250218003000_20250218004000.dav", None),
        (
            "dahua-ftp",
            SEOUL,
            "SP-1/2025-02-18/001/dav/00/00.30.00-00.40.00[M][0@0][0].dav",
            told(None, "SP-1", 2025, 2, 17, 15, 30),
        ),
        ("{camera}-{start:%s}.mp4", SEOUL, "a-1739806200.mp4", told(None, "a", 2025, 2, 17, 15, 30)),
        ("{start:%y%m%d%H%M}?{camera}.*", SEOUL, "2502180030_a.ts", told(None, "a", 2025, 2, 17, 15, 30)),
        (
            "{camera}/{start:%Y%m%d%H%M%z}.mp4",
            SEOUL,
            "a/202502180030+0100.mp4",
            told(None, "a", 2025, 2, 17, 23, 30),
        ),
        ("{district}/{camera}/**/*.mp4", SEOUL, "songpa/a/1/2/x.mp4", told("songpa", "a")),
        # A date that stands twice must be the same date.
        (
            "{start:%Y%m%d}/{camera}_{start:%Y%m%d%H%M}.mp4",
            SEOUL,
            "20250218/a_202502180030.mp4",
            told(None, "a", 2025, 2, 17, 15, 30),
        ),
        ("{start:%Y%m%d}/{camera}_{start:%Y%m%d%H%M}.mp4", SEOUL, "20250217/a_202502180030.mp4", None),
        # Imported footage of a zone with summer time.
        (
            "{camera}_{start:%Y%m%d%H%M}.mp4",
            "Europe/Berlin",
            "a_202507010030.mp4",
            told(None, "a", 2025, 6, 30, 22, 30),
        ),
        (
            "{camera}_{start:%Y%m%d%H%M}.mp4",
            "Europe/Berlin",
            "a_202501010030.mp4",
            told(None, "a", 2024, 12, 31, 23, 30),
        ),
    ],
)
def test_what_a_name_tells(pattern: str, zone: str, path: str, expected: Told | None) -> None:
    assert find_pattern(pattern, zone).read(path) == expected


@pytest.mark.parametrize(
    ("pattern", "zone", "path"),
    [
        ("plain", SEOUL, "songpa/SP-1/20250231T003000.mp4"),  # no such day
        ("plain", SEOUL, "songpa/SP-1/20250218T243000.mp4"),
        ("{camera}_{start:%Y%m%d%H%M}.mp4", "Europe/Berlin", "a_202510260230.mp4"),  # twice that night
        ("{camera}_{start:%Y%m%d%H%M}.mp4", "Europe/Berlin", "a_202503300230.mp4"),  # never
        ("{camera}_{start:%Y%m%d%H%M}.mp4", SEOUL, "a_000001010030.mp4"),
    ],
)
def test_moments_that_are_none_or_two_are_refused(pattern: str, zone: str, path: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  of several kinds
        find_pattern(pattern, zone).read(path)


@pytest.mark.parametrize(
    "pattern",
    [
        "{district}/{place}/x", "{camera}/{camera}", "{camera:x}", "{start}", "{start:}", "{start:%Y%m%d}*",
        "{start:%Q}*", "{start:%Y%m%dT%H%M", "}", "a/" * 300,
    ],
)  # fmt: skip
def test_patterns_that_could_not_work_are_refused(pattern: str) -> None:
    with pytest.raises(InputError):
        find_pattern(pattern, SEOUL)


def test_an_unknown_preset_names_the_nearest_and_a_zone_must_exist() -> None:
    with pytest.raises(UnknownNameError, match="did you mean frigate"):
        find_pattern("frigat", SEOUL)
    with pytest.raises(InputError, match="time zone"):
        find_pattern("plain", "Asia/Seul")


def test_every_preset_is_a_pattern() -> None:
    for name in PRESETS:
        assert find_pattern(name, SEOUL).expression.groups >= 1


def test_a_name_made_to_be_slow_is_not() -> None:
    name = "_".join(["a"] * 120) + "_main_"
    assert find_pattern("dahua", SEOUL).read(f"{name[:255]}x") is None
