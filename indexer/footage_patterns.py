"""How a recorder's file names tell district, camera and start: patterns of the operator's, and presets.

A pattern is the path below its root: `{district}/{camera}/{start:%Y%m%dT%H%M%S}*.mp4`. `*` and `?` stand for
signs within one name, `**/` for folders of any depth, `{start:...}` for the strftime codes of `CODES`; a
start may be spread over folders and name. Owns the language; knows no files and no districts.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from reid.errors import InputError, UnknownNameError

CODES: Mapping[str, str] = {
    "Y": r"\d{4}", "y": r"\d{2}", "m": r"\d{2}", "d": r"\d{2}", "H": r"\d{2}", "M": r"\d{2}", "S": r"\d{2}",
    "f": r"\d{1,6}", "z": r"(?:[Zz]|[+-]\d{2}:?\d{2})", "s": r"\d{9,10}",
}  # fmt: skip
"""strftime codes and what they look like; `%s` is seconds since 1970 UTC."""

_PART = re.compile(r"\{(district|camera|start)(?::([^{}]*))?\}|(\*\*/)|(\*)|(\?)|([{}])")
_CODE = re.compile(r"%(.)", re.DOTALL)
_LONGEST = 500


@dataclass(frozen=True)
class Preset:
    """The form of names that one kind of recorder writes.

    Attributes:
        pattern: see the module. zone: of the times in the names; None: that of the root.
        known: "documented" by the maker, or "observed" in files that others published.
    """

    pattern: str
    zone: str | None
    known: Literal["documented", "observed"]


PRESETS: Mapping[str, Preset] = {
    "plain": Preset("{district}/{camera}/{start:%Y%m%dT%H%M%S}*", None, "documented"),
    "frigate": Preset("{start:%Y-%m-%d}/{start:%H}/{camera}/{start:%M.%S}.mp4", "UTC", "documented"),
    "mediamtx": Preset("{camera}/{start:%Y-%m-%d_%H-%M-%S-%f}.*", None, "documented"),
    "blueiris": Preset("**/{camera}.{start:%Y%m%d_%H%M%S}*", None, "observed"),
    "dahua": Preset("**/*_{camera}_main_{start:%Y%m%d%H%M%S}_*", None, "observed"),
    "dahua-ftp": Preset("**/{camera}/{start:%Y-%m-%d}/*/dav/*/{start:%H.%M.%S}-*", None, "observed"),
}
"""By name. `plain` is ours; docs/nightly.md says where the others are known from."""


@dataclass(frozen=True)
class Told:
    """What a name tells: the words it gives for district and camera, and the start, aware UTC."""

    district: str | None
    camera: str | None
    start: datetime | None


@dataclass(frozen=True)
class Pattern:
    """A pattern, ready to be compared.

    Attributes:
        text: as it was given. expression: of a whole path below a root.
        zone: of times without an offset.
    """

    text: str
    expression: re.Pattern[str]
    zone: ZoneInfo

    def read(self, path: str) -> Told | None:
        """What this path below the root tells; None when it has another form.

        Raises:
            ValueError: it has the form and no such moment exists, or it exists twice.
        """
        match = self.expression.fullmatch(path)
        if match is None:
            return None
        found = match.groupdict()
        return Told(found.get("district"), found.get("camera"), _moment(found, self.zone))


def find_zone(name: str) -> ZoneInfo:
    """The time zone of this name, e.g. Asia/Seoul.

    Raises:
        InputError: there is none.
    """
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise InputError(f"expected a time zone like Asia/Seoul or UTC, got {name!r}") from None


@cache
def find_pattern(given: str, zone: str) -> Pattern:
    """The pattern of a text or of a preset's name.

    Args:
        given: a pattern, or a name of `PRESETS`.
        zone: of the times in the names, where no preset says another.

    Raises:
        InputError: a pattern that could match nothing, or a code nobody knows.
        UnknownNameError: neither a pattern nor a preset.
    """
    preset = PRESETS.get(given)
    if preset is None and not re.search(r"[{}*/]", given):
        raise UnknownNameError("preset of file names", given, PRESETS)
    text = preset.pattern if preset else given
    if len(text) > _LONGEST:
        raise InputError(f"pattern {text[:40]!r}…: expected at most {_LONGEST} signs, got {len(text)}")
    expression = re.compile(_expression(text), re.IGNORECASE | re.DOTALL)
    return Pattern(given, expression, find_zone((preset.zone if preset else None) or zone))


def _expression(text: str) -> str:
    written, place, codes = [], 0, set[str]()
    for part in _PART.finditer(text):
        written.append(re.escape(text[place : part.start()]))
        place = part.end()
        name, form, deep, many, one, brace = part.groups()
        if brace:
            raise InputError(f"pattern {text!r}: expected {{district}}, {{camera}} or {{start:%Y...}}")
        if name == "start":
            written.append(_start(text, form, codes))
        elif name:
            if form is not None or name in codes:
                raise InputError(f"pattern {text!r}: expected {{{name}}} once, and without a form")
            codes.add(name)
            written.append(f"(?P<{name}>[^/]+)")
        else:
            written.append("(?:[^/]+/)*" if deep else "[^/]*" if many else "[^/]")
        assert deep or many or one or name
    written.append(re.escape(text[place:]))
    times = codes - {"district", "camera"}
    year = {"Y", "y"} & times
    if times and "s" not in times and not (year and {"m", "d", "H", "M"} <= times):
        raise InputError(f"pattern {text!r}: a start needs year, month, day, hour and minute, or %s")
    return "".join(written)


def _start(text: str, form: str | None, codes: set[str]) -> str:
    """The codes of one `{start:...}`; one that came before must say the same again."""
    if not form:
        raise InputError(f"pattern {text!r}: expected the form of the start, e.g. {{start:%Y%m%dT%H%M%S}}")
    written, place = [], 0
    for part in _CODE.finditer(form):
        written.append(re.escape(form[place : part.start()]))
        place, code = part.end(), part[1]
        if code not in CODES:
            known = " ".join(f"%{each}" for each in CODES)
            raise InputError(f"pattern {text!r}: unknown code %{code}; known are {known}")
        written.append(f"(?P={code})" if code in codes else f"(?P<{code}>{CODES[code]})")
        codes.add(code)
    return "".join(written) + re.escape(form[place:])


def _moment(found: Mapping[str, str | None], zone: ZoneInfo) -> datetime | None:
    """The moment of the codes, aware UTC; None when the pattern asks for none."""
    told = {code: text for code, text in found.items() if code in CODES and text is not None}
    if not told:
        return None
    if "s" in told:
        return datetime.fromtimestamp(int(told["s"]), UTC)
    year = int(told["Y"]) if "Y" in told else 2000 + int(told["y"])
    month, day, hour, minute = (int(told[code]) for code in "mdHM")
    microsecond = int(told.get("f", "0").ljust(6, "0"))
    local = datetime(year, month, day, hour, minute, int(told.get("S", 0)), microsecond)
    if "z" in told:
        return datetime.fromisoformat(f"{local.isoformat()}{told['z'].upper()}").astimezone(UTC)
    first, second = (local.replace(tzinfo=zone, fold=fold) for fold in (0, 1))
    if first.utcoffset() != second.utcoffset():
        raise ValueError(f"{local} is no single moment in {zone.key}: clocks are put forward or back then")
    return first.astimezone(UTC)
