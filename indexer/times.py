"""Moments: parsing and writing Seoul time, which day a moment belongs to.

Inside the program every moment is an aware UTC `datetime`; people read and write Asia/Seoul. This
module knows no clip and no camera clock.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from reid.errors import InputError

SEOUL = ZoneInfo("Asia/Seoul")
"""The zone of every time that carries no offset."""

_MOMENT = re.compile(
    r"(?P<day>\d{4}-\d{2}-\d{2})"
    r"(?:[T ](?P<time>\d{2}:\d{2}(?::\d{2}(?:\.\d{1,6})?)?)(?P<zone>Z|[+-]\d{2}:?\d{2})?)?",
    re.ASCII,
)
_IN_NAME = re.compile(
    r"(?<!\d)(?P<year>20\d\d)(?P<dash>[-_.]?)(?P<month>\d\d)(?P=dash)(?P<day>\d\d)"
    r"[T_ -]{0,3}(?P<hour>\d\d)(?P<colon>[-_.:]?)(?P<minute>\d\d)(?P=colon)(?P<second>\d\d)(?!\d)"
    r"(?:\.(?P<millisecond>\d{3})(?=[Z+._-]))?(?P<zone>Z(?![A-Z0-9])|\+\d\d:?\d\d(?!\d))?",
    re.ASCII | re.IGNORECASE,
)
_UNIX_IN_NAME = re.compile(r"(?<!\d)1\d{9}(?!\d)", re.ASCII)
_OLDEST_UNIX = 1_262_304_000  # 2010: a lower number of ten digits is a serial number
_YEARS = range(2000, 2100)
_OLDEST = datetime(2005, 1, 1, tzinfo=UTC)  # clocks that were never set show 1904, 1970 or 2000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def parse_local(text: str, *, until: bool = False) -> datetime:
    """Read a moment a person typed, in Seoul time unless it carries an offset.

    Args:
        text: "2025-02-18T12:34", with optional seconds, fraction and offset (+09:00 or Z); or a day
            alone, "2025-02-18".
        until: the moment ends an interval, so a day alone means its end: the first moment of the
            next day (intervals are half-open).

    Returns:
        Aware UTC.

    Raises:
        InputError: the text is no such moment, or no such day or time exists.
    """
    wanted = f"expected a Seoul time like 2025-02-18T12:34 or a day like 2025-02-18, got {text!r}"
    match = _MOMENT.fullmatch(text.strip())
    if match is None:
        raise InputError(wanted)
    try:
        day = date.fromisoformat(match["day"])
        clock = time.fromisoformat((match["time"] or "00:00") + (match["zone"] or ""))
    except ValueError as error:
        raise InputError(f"{wanted} ({error})") from None
    if day.year not in _YEARS:
        raise InputError(f"{wanted} (year outside {_YEARS.start}..{_YEARS.stop - 1})")
    moment = datetime.combine(day, clock)
    if until and match["time"] is None:
        moment += timedelta(days=1)
    return _aware(moment)


def moment_in_name(name: str) -> datetime | None:
    """The first moment written in a file's name, aware UTC; Seoul time unless Z or +0900 follows.

    Reads year to second with or without signs between (20250218T123400, 2025-02-18 12.34.00,
    20250218123400) and ten-digit Unix seconds, each only as a whole run of digits.
    """
    for match in _IN_NAME.finditer(name):
        day = "-".join(match.group("year", "month", "day"))
        clock = ":".join(match.group("hour", "minute", "second"))
        fraction, zone = match["millisecond"] or "000", (match["zone"] or "").upper()
        try:
            moment = datetime.fromisoformat(f"{day}T{clock}.{fraction}{zone}")
        except ValueError:  # month 13, an offset of 30 hours
            continue
        return _aware(moment)
    found = _UNIX_IN_NAME.search(name)
    if found is None or int(found[0]) < _OLDEST_UNIX:
        return None
    return datetime.fromtimestamp(int(found[0]), UTC)


def moment_in_metadata(text: str) -> datetime | None:
    """The moment of a creation time in ISO 8601, aware UTC; None if there is none or it cannot be true.

    Without offset it is Seoul time: AVI files carry the recorder's wall clock.
    """
    try:
        moment = _aware(datetime.fromisoformat(text))
    except (ValueError, OverflowError):
        return None
    plausible = ":" in text and _OLDEST < moment < datetime.now(UTC) + timedelta(days=1)
    return moment if plausible else None


def to_local_iso(moment: datetime) -> str:
    """ISO 8601 in Seoul time with its offset: 2025-02-18T12:34:00+09:00.

    Rounded to milliseconds, which are written only when they are not zero.

    Raises:
        ValueError: `moment` is naive.
    """
    rounded = _local(moment + timedelta(microseconds=500))
    return rounded.isoformat(timespec="milliseconds" if rounded.microsecond >= 1000 else "seconds")


def local_day(moment: datetime) -> date:
    """The Seoul calendar day of `moment`: the day of its shard.

    Raises:
        ValueError: `moment` is naive.
    """
    return _local(moment).date()


def milliseconds(moment: datetime) -> int:
    """Milliseconds since 1970-01-01 UTC, rounded: how moments are stored.

    Raises:
        ValueError: `moment` is naive.
    """
    return round((_local(moment) - _EPOCH) / timedelta(milliseconds=1))


def from_milliseconds(stored: int) -> datetime:
    """The aware UTC moment of `milliseconds`."""
    return _EPOCH + timedelta(milliseconds=stored)


def _local(moment: datetime) -> datetime:
    if moment.tzinfo is None:
        raise ValueError(f"expected a moment with a time zone, got the naive {moment.isoformat()}")
    return moment.astimezone(SEOUL)


def _aware(moment: datetime) -> datetime:
    """UTC; a naive moment is Seoul time."""
    return (moment if moment.tzinfo else moment.replace(tzinfo=SEOUL)).astimezone(UTC)
