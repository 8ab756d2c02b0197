from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from indexer.times import (
    from_milliseconds,
    local_day,
    milliseconds,
    moment_in_metadata,
    moment_in_name,
    parse_local,
    to_local_iso,
)
from reid.errors import InputError


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[misc,arg-type]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2025-02-18T12:34", utc(2025, 2, 18, 3, 34)),
        ("2025-02-18 12:34", utc(2025, 2, 18, 3, 34)),
        ("2025-02-18T12:34:56", utc(2025, 2, 18, 3, 34, 56)),
        ("2025-02-18T12:34:56.5", utc(2025, 2, 18, 3, 34, 56, 500_000)),
        ("2025-02-18T12:34:56+09:00", utc(2025, 2, 18, 3, 34, 56)),
        ("2025-02-18T12:34Z", utc(2025, 2, 18, 12, 34)),
        ("2025-02-18T12:34-05:00", utc(2025, 2, 18, 17, 34)),
        ("  2025-02-18  ", utc(2025, 2, 17, 15)),
        # before nine in the morning Seoul is a UTC day ahead
        ("2025-01-01T00:00", utc(2024, 12, 31, 15)),
        ("2024-02-29", utc(2024, 2, 28, 15)),
    ],
)
def test_parse_local(text: str, expected: datetime) -> None:
    parsed = parse_local(text)
    assert parsed == expected
    assert parsed.tzinfo is UTC


def test_a_day_alone_ends_with_its_last_moment() -> None:
    assert parse_local("2025-02-18", until=True) == utc(2025, 2, 18, 15)
    assert parse_local("2025-02-18T12:34", until=True) == parse_local("2025-02-18T12:34")
    assert parse_local("2099-12-31", until=True) == utc(2099, 12, 31, 15)


@pytest.mark.parametrize(
    "text",
    [
        "", "yesterday", "2025", "2025-02", "20250218", "18-02-2025", "2025-13-01", "2025-02-29",
        "2025-02-18T24:00", "2025-02-18T12", "2025-02-18T12:60", "2025-02-18T12:34:60", "2025-2-18",
        "2025-02-18T12:34+25:00", "2025-02-18T12:34:56.1234567", "2025-02-18T", "2025-02-18T12:34 KST",
        "0001-01-01", "1999-12-31", "2100-01-01", "9999-12-31", "٢٠٢٥-٠٢-١٨", "2025-02-18\x00", "1739849640",
    ],
)  # fmt: skip
def test_parse_local_refuses(text: str) -> None:
    with pytest.raises(InputError, match="expected a Seoul time like") as caught:
        parse_local(text)
    assert repr(text) in str(caught.value)


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        (utc(2025, 2, 18, 3, 34), "2025-02-18T12:34:00+09:00"),
        (utc(2025, 2, 18, 3, 34, 0, 120_000), "2025-02-18T12:34:00.120+09:00"),
        (utc(2025, 2, 18, 3, 34, 0, 199_999), "2025-02-18T12:34:00.200+09:00"),
        (utc(2025, 2, 18, 3, 34, 59, 999_600), "2025-02-18T12:35:00+09:00"),
        (utc(2025, 2, 18, 3, 34, 0, 300), "2025-02-18T12:34:00+09:00"),
        (utc(2024, 12, 31, 15), "2025-01-01T00:00:00+09:00"),
    ],
)
def test_to_local_iso(moment: datetime, expected: str) -> None:
    assert to_local_iso(moment) == expected
    assert abs(parse_local(expected) - moment) <= timedelta(microseconds=500)


def test_local_day_changes_at_seoul_midnight() -> None:
    assert local_day(utc(2025, 2, 17, 14, 59, 59)) == date(2025, 2, 17)
    assert local_day(utc(2025, 2, 17, 15)) == date(2025, 2, 18)


def test_milliseconds_round_and_return() -> None:
    assert milliseconds(utc(1970, 1, 1, 0, 0, 1)) == 1000
    assert milliseconds(utc(2025, 2, 18, 3, 34, 0, 1_600)) - milliseconds(utc(2025, 2, 18, 3, 34)) == 2
    assert from_milliseconds(milliseconds(utc(2025, 2, 18, 3, 34, 0, 7000))) == utc(
        2025, 2, 18, 3, 34, 0, 7000
    )


@pytest.mark.parametrize("function", [to_local_iso, local_day, milliseconds])
def test_naive_moments_are_refused(function: object) -> None:
    with pytest.raises(ValueError, match="time zone"):
        function(datetime(2025, 2, 18))  # type: ignore[operator]


SEOUL_1234 = utc(2025, 2, 18, 3, 34)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("20250218T123400.mp4", SEOUL_1234),
        ("20250218_123400.mp4", SEOUL_1234),
        ("20250218-123400.mp4", SEOUL_1234),
        ("2025-02-18_12-34-00.mkv", SEOUL_1234),
        ("2025-02-18 12.34.00", SEOUL_1234),
        ("2025-02-18 12.34.00.ts", SEOUL_1234),
        ("2025_02_18_12_34_00.avi", SEOUL_1234),
        ("20250218123400.mp4", SEOUL_1234),
        ("1739849640.mp4", SEOUL_1234),
        # the camera's name before, the end of the recording after: the first moment is the beginning
        ("ch01_20250218123400_20250218124400.mp4", SEOUL_1234),
        ("CAM3-20250218T123400-20250218T124400.mp4", SEOUL_1234),
        ("20250218_123400-124400.mp4", SEOUL_1234),
        ("송파_정문_20250218123400.mp4", SEOUL_1234),
        ("1739849640-1739850240.mp4", SEOUL_1234),
        # offsets
        ("20250218T123400+0900.mp4", SEOUL_1234),
        ("20250218T123400+09:00.mp4", SEOUL_1234),
        ("20250218T033400Z.mp4", SEOUL_1234),
        ("20250218t033400z_cam.mp4", SEOUL_1234),
        ("20250218T123400Zoo.mp4", SEOUL_1234),
        ("20250218T123400.250Z.mp4", utc(2025, 2, 18, 12, 34, 0, 250_000)),
        # .264 is an ending, not milliseconds
        ("20250218_123400.264", SEOUL_1234),
        # the first one is impossible, the second is not
        ("20251318123400_20250218123400.mp4", SEOUL_1234),
        ("20240229_000000.mp4", utc(2024, 2, 28, 15)),
        # not a moment
        ("20251318T123400.mp4", None),
        ("20250230T123400.mp4", None),
        ("20250218T243400.mp4", None),
        ("20250218T126000.mp4", None),
        ("20250218T123400+9900.mp4", None),
        ("20250218.mp4", None),
        ("20250218_1234.mp4", None),
        ("120250218123400.mp4", None),
        ("202502181234001.mp4", None),
        ("17398496401.mp4", None),
        ("173984964.mp4", None),
        ("0212345678.mp4", None),
        ("10012345123456.mp4", None),
        ("2025-0218T123400.mp4", None),
        ("vtest.avi", None),
        ("", None),
    ],
)
def test_moment_in_name(name: str, expected: datetime | None) -> None:
    assert moment_in_name(name) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2025-02-18T03:34:00.000000Z", SEOUL_1234),
        ("2025-02-18T12:34:00+0900", SEOUL_1234),
        ("2025-02-18 12:34:00", SEOUL_1234),
        # a day or a year alone is no beginning
        ("2025-02-18", None),
        ("2025", None),
        # clocks that were never set, and others nobody can believe
        ("1904-01-01T00:00:00Z", None),
        ("1970-01-01T00:00:00Z", None),
        ("2000-01-01T00:00:13Z", None),
        ("2150-01-01T00:00:00Z", None),
        ("0001-01-01T00:00:00+09:00", None),
        ("9999-12-31T23:59:59-09:00", None),
        ("\ufffd\ufffd", None),
        ("", None),
    ],
)
def test_moment_in_metadata(text: str, expected: datetime | None) -> None:
    assert moment_in_metadata(text) == expected
