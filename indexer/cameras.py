"""Cameras: identity, place, and how far each clock is off.

Owns the reading and checking of a camera list. Where cameras are kept is the catalogue's part; which
clip belongs to which camera is the indexer's.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from types import MappingProxyType

from indexer.districts import Districts, parse_place
from reid.errors import InputError
from reid.tables import read_table

MAX_ID_LENGTH = 64
MAX_CLOCK_OFFSET_S = 86_400.0

_REQUIRED = ("camera", "district")
_OPTIONAL = ("name", "latitude", "longitude", "clock_offset_s", "clock_uncertainty_s")
_SHOWN_PROBLEMS = 10


@dataclass(frozen=True)
class Camera:
    """One camera.

    Attributes:
        id: what `check_camera_id` accepts; unique in its district.
        name: for people; may be empty.
        district: slug.
        latitude, longitude: degrees, WGS 84; both None when unknown.
        clock_offset_s: seconds the camera's clock is ahead of true time.
        clock_uncertainty_s: seconds by which that offset may be wrong, either way; None when nobody knows.
    """

    id: str
    name: str
    district: str
    latitude: float | None = None
    longitude: float | None = None
    clock_offset_s: float = 0.0
    clock_uncertainty_s: float | None = None

    @classmethod
    def unregistered(cls, camera_id: str, district: str) -> Camera:
        """A camera known only from its footage: no name, no place, a clock taken as right.

        Raises:
            InputError: the id is not safe as a name.
        """
        return cls(check_camera_id(camera_id), "", district)

    def true_time(self, shown: datetime) -> datetime:
        """The true moment when this camera's clock shows `shown` (aware)."""
        return shown - timedelta(seconds=self.clock_offset_s)


def check_camera_id(camera_id: str) -> str:
    """The id of a camera in composed Unicode; raises InputError as `check_name`."""
    return check_name(camera_id, "camera", "rename the camera")


def check_name(name: str, kind: str, advice: str) -> str:
    """The id of a `kind` of thing in composed Unicode, safe as the name of a key and of a file.

    Raises:
        InputError: empty, longer than 64 characters, begins with a dot, begins or ends with a blank, or
            has a slash, backslash or control character; `advice` says what to do.
    """
    composed = unicodedata.normalize("NFC", name)
    if not composed:
        problem = "nothing"
    elif len(composed) > MAX_ID_LENGTH:
        problem = f"{len(composed)} characters"
    elif composed != composed.strip():
        problem = "a blank at an end"
    elif composed.startswith("."):
        problem = "a dot at the beginning"
    elif any(letter in "/\\" or unicodedata.category(letter).startswith("C") for letter in composed):
        problem = "a slash, backslash or control character"
    else:
        return composed
    raise InputError(
        f"{kind} id {name!r}: expected 1 to {MAX_ID_LENGTH} letters, digits, spaces and signs without"
        f" slashes, not beginning with a dot, got {problem}; {advice}"
    )


def read_cameras(
    path: Path, districts: Districts, known: Mapping[tuple[str, str], Camera] = MappingProxyType({})
) -> tuple[Camera, ...]:
    """Read a camera list: CSV with the columns camera,district and name,latitude,longitude,clock_offset_s,
    clock_uncertainty_s.

    Args:
        path: of the list. districts: all there are.
        known: cameras registered before, by (district, id): what is known of a clock stays where the list
            says nothing of it, for it may be a measurement (`reid cameras check`).

    Raises:
        InputError: the file is no such table, or lines cannot be used; all of them are listed (ids that
            appear twice, unknown districts, places outside Korea or swapped, clock offsets or uncertainties
            that are no number or more than a day, negative uncertainties).
    """
    cameras: dict[tuple[str, str], Camera] = {}
    lines: dict[tuple[str, str], int] = {}
    problems: list[str] = []
    for line, row in read_table(path, _REQUIRED, _OPTIONAL):
        try:
            camera = _camera(row, districts, known)
            key = (camera.district, camera.id)
            if key in cameras:
                raise InputError(f"camera {camera.id!r} was already given in line {lines[key]}")
        except (InputError, ValueError) as error:
            problems.append(f"line {line}: {error}")
            continue
        cameras[key], lines[key] = camera, line
    if problems:
        shown = problems[:_SHOWN_PROBLEMS]
        more = [f"and {len(problems) - len(shown)} more"] if len(problems) > len(shown) else []
        raise InputError(
            "\n  ".join([f"{path}: correct {len(problems)} line(s), then try again", *shown, *more])
        )
    if not cameras:
        raise InputError(f"{path}: expected one camera a line after the header, got none")
    return tuple(cameras.values())


def _camera(row: Mapping[str, str], districts: Districts, known: Mapping[tuple[str, str], Camera]) -> Camera:
    latitude, longitude = row["latitude"], row["longitude"]
    place = parse_place(latitude, longitude) if latitude or longitude else (None, None)
    camera_id, district = check_camera_id(row["camera"]), districts.find(row["district"]).slug
    before = known.get((district, camera_id), Camera(camera_id, "", district))
    offset, uncertainty = before.clock_offset_s, before.clock_uncertainty_s
    if row["clock_offset_s"]:
        offset = _seconds("clock offset", row["clock_offset_s"])
        if offset != before.clock_offset_s:
            uncertainty = None  # that was of the other offset
    if row["clock_uncertainty_s"]:
        uncertainty = _uncertainty(row["clock_uncertainty_s"])
    return Camera(
        id=camera_id,
        name=row["name"],
        district=district,
        latitude=place[0],
        longitude=place[1],
        clock_offset_s=offset,
        clock_uncertainty_s=uncertainty,
    )


def _seconds(what: str, text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not abs(seconds) <= MAX_CLOCK_OFFSET_S:
        raise ValueError(f"expected a {what} in seconds of at most a day, got {text!r}")
    return seconds


def _uncertainty(text: str) -> float:
    seconds = _seconds("clock uncertainty", text)
    if seconds < 0:
        raise ValueError(f"expected a clock uncertainty of 0 seconds or more, got {text!r}")
    return seconds
