"""The 25 districts of Seoul: names, codes, place, and which of them take part.

Owns `districts.csv`, which an operator may replace. Codes are the five-digit codes of the Ministry of the
Interior (Songpa 11710), not those of Statistics Korea, where 11230 is Gangnam. Knows no cameras and no
footage.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Literal, cast, get_args

from reid.errors import InputError, UnknownNameError
from reid.tables import read_table

Confidence = Literal["certain", "likely", "by subtraction"]
"""How sure we are that a district takes part, or does not."""

DISTRICTS_FILE = Path(__file__).with_name("districts.csv")
KOREA_LATITUDES = (33.0, 39.0)
KOREA_LONGITUDES = (124.0, 132.0)

_COLUMNS = (
    "slug", "name_en", "name_ko", "code", "latitude", "longitude", "active", "since", "source", "confidence",
)  # fmt: skip


@dataclass(frozen=True)
class District:
    """One district.

    Attributes:
        slug: the name in commands and folders, such as songpa.
        name_en, name_ko: official names, such as Songpa-gu and 송파구.
        code: five-digit administrative code.
        latitude, longitude: centroid, degrees, WGS 84.
        active: takes part in the programme.
        since: first year of operation, None if unknown.
        source: where `active` is known from.
        confidence: how sure that is.
    """

    slug: str
    name_en: str
    name_ko: str
    code: str
    latitude: float
    longitude: float
    active: bool
    since: int | None
    source: str
    confidence: Confidence


@dataclass(frozen=True)
class Districts:
    """All districts, in the order of the file.

    Attributes:
        all: every district.
    """

    all: tuple[District, ...]
    _by_key: Mapping[str, District]

    @property
    def active(self) -> tuple[District, ...]:
        """The districts that take part."""
        return tuple(district for district in self.all if district.active)

    def find(self, name: str) -> District:
        """The district of a slug, an English or Korean name (with or without -gu, 구), or a code.

        Capitals, spaces, hyphens and the Unicode form (macOS file names are decomposed) do not matter.

        Raises:
            UnknownNameError: nobody knows the name; suggests the nearest in the script typed.
        """
        found = self._by_key.get(_key(name))
        if found is None:
            raise UnknownNameError("district", name.strip(), self._spellings(name))
        return found

    def _spellings(self, name: str) -> list[str]:
        if re.search("[\u1100-\u11ff\u3130-\u318f\uac00-\ud7a3]", name):
            return [district.name_ko for district in self.all]
        if name.strip().isdigit():
            return [district.code for district in self.all]
        return [district.slug for district in self.all]


@cache
def load_districts(path: Path | None = None) -> Districts:
    """Read the districts of `path`, by default those of Seoul. Read once per path.

    Raises:
        InputError: the file cannot be read, or a line is malformed; names file, line and expectation.
    """
    source = DISTRICTS_FILE if path is None else path
    districts: list[District] = []
    by_key: dict[str, District] = {}
    for line, row in read_table(source, _COLUMNS):
        try:
            district = _district(row)
            for key in _keys(district):
                if by_key.setdefault(key, district) is not district:
                    raise ValueError(f"expected unique names and codes, got {key!r} a second time")
        except ValueError as error:
            raise InputError(f"{source}, line {line}: {error}") from None
        districts.append(district)
    if not districts:
        raise InputError(f"{source}: expected one district a line after the header, got none")
    return Districts(tuple(districts), MappingProxyType(by_key))


def _district(row: Mapping[str, str]) -> District:
    if not re.fullmatch("[a-z]+", row["slug"]):
        raise ValueError(f"expected a slug of small letters, got {row['slug']!r}")
    if not row["name_en"] or not row["name_ko"]:
        raise ValueError("expected an English and a Korean name, got an empty one")
    if not re.fullmatch("[0-9]{5}", row["code"]):
        raise ValueError(f"expected a code of five digits, got {row['code']!r}")
    if row["active"] not in ("yes", "no"):
        raise ValueError(f"expected active to be yes or no, got {row['active']!r}")
    if not re.fullmatch("(20[0-9]{2})?", row["since"]):
        raise ValueError(f"expected since to be a year or empty, got {row['since']!r}")
    if row["confidence"] not in get_args(Confidence):
        raise ValueError(
            f"expected confidence to be one of {', '.join(get_args(Confidence))}, got {row['confidence']!r}"
        )
    latitude, longitude = parse_place(row["latitude"], row["longitude"])
    return District(
        row["slug"], row["name_en"], row["name_ko"], row["code"], latitude, longitude,
        row["active"] == "yes", int(row["since"]) if row["since"] else None,
        row["source"], cast(Confidence, row["confidence"]),
    )  # fmt: skip


def parse_place(latitude: str, longitude: str) -> tuple[float, float]:
    """Latitude and longitude in degrees, from text.

    Raises:
        ValueError: not numbers, outside Korea, or swapped; the message says which.
    """
    try:
        place = float(latitude), float(longitude)
    except ValueError:
        raise ValueError(
            f"expected latitude and longitude in degrees, got {latitude!r} and {longitude!r}"
        ) from None
    if _within(place[0], KOREA_LATITUDES) and _within(place[1], KOREA_LONGITUDES):
        return place
    hint = (
        "; latitude and longitude seem swapped"
        if _within(place[1], KOREA_LATITUDES) and _within(place[0], KOREA_LONGITUDES)
        else ""
    )
    raise ValueError(
        "expected a place in Korea (latitude 33 to 39, longitude 124 to 132),"
        f" got latitude {latitude}, longitude {longitude}{hint}"
    )


def _within(value: float, bounds: tuple[float, float]) -> bool:
    return bounds[0] <= value <= bounds[1]


def _key(name: str) -> str:
    return re.sub(r"[\s_-]", "", unicodedata.normalize("NFC", name).casefold())


def _keys(district: District) -> set[str]:
    english, korean = _key(district.name_en), _key(district.name_ko)
    return {
        _key(district.slug), english, english.removesuffix("gu"),
        korean, korean.removesuffix("구"), district.code,
    }  # fmt: skip
