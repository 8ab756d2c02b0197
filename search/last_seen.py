"""Where and when a person was last seen, and what that says of each tracklet.

Owns the reading of a place, and the evidence "place and time". How people move is `search.travel`'s.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from math import nan

import numpy as np

from indexer.cameras import Camera
from indexer.distances import distances_m
from indexer.districts import Districts, parse_place
from indexer.times import from_milliseconds, milliseconds, parse_local, to_local_iso
from reid.errors import InputError, UnknownNameError
from search.evidence import Evidence
from search.filters import Key
from search.found import Found
from search.travel import F64, AgeGroup, density, log_ratio, mean_density

PLACE_AND_TIME = "place and time"
WITHIN_S = 600.0
"""How exactly people tell when they saw somebody (assumption)."""

Place = tuple[float, float]
"""Latitude and longitude, degrees, WGS 84."""

_POINT = re.compile(r"\s*([-+]?[\d.]+)\s*,\s*([-+]?[\d.]+)\s*")
_REGISTER = "camera,district,latitude,longitude"


@dataclass(frozen=True)
class LastSeen:
    """Where and when the person was last seen.

    Attributes:
        place: as shown to people.
        latitude, longitude: degrees, WGS 84.
        at_ms: milliseconds since 1970 UTC.
        age: group, which decides how fast and how far the person goes.
    """

    place: str
    latitude: float
    longitude: float
    at_ms: int
    age: AgeGroup = "adult"

    @property
    def at_place(self) -> Place:
        """Where."""
        return self.latitude, self.longitude


def read_last_seen(
    where: str | None, when: str | None, cameras: Mapping[Key, Camera], districts: Districts,
    age: AgeGroup | None = None,
) -> LastSeen | None:  # fmt: skip
    """Read what somebody typed; None when nothing was.

    Args:
        where: a camera's id or name, DISTRICT/CAMERA, or latitude,longitude.
        when: as `parse_local`.
        cameras: of the archive.
        districts: to spell them by.
        age: group; None is taken for adult, the fastest.

    Raises:
        InputError: one without the other, no such place or time, a time to come, a camera of two districts
            or without a place.
        UnknownNameError: no such camera; suggests the nearest.
    """
    if where is None and when is None:
        return None
    if when is None:
        raise InputError(f"--last-seen {where} needs the time: --at, e.g. --at '2025-02-18 14:05'")
    if where is None:
        raise InputError(
            f"--at {when} needs the place: --last-seen, a camera's id or latitude,longitude, e.g."
            " --last-seen 37.5145,127.1059"
        )
    moment = parse_local(when)
    if ":" not in when:
        raise InputError(f"--at {when!r}: expected the time of day too, e.g. {when.strip()}T14:05")
    if moment > datetime.now(UTC):
        raise InputError(f"--at {to_local_iso(moment)} is still to come; check the date")
    point = _POINT.fullmatch(where)
    if point:
        try:
            latitude, longitude = parse_place(*point.groups())
        except ValueError as error:
            raise InputError(f"--last-seen {where!r}: {error}") from None
        place = f"{latitude:.5f}, {longitude:.5f}"
        return LastSeen(place, latitude, longitude, milliseconds(moment), age or "adult")
    camera = _find(where, cameras, districts)
    known = place_of(camera)
    if known is None:
        raise InputError(
            f"--last-seen {where}: nobody knows where camera {camera.district}/{camera.id} is; give"
            " latitude,longitude, or register its place: reid cameras add FILE.csv, with the columns"
            f" {_REGISTER}"
        )
    place = f"{camera.district}/{camera.id}" + (f" {camera.name}" if camera.name else "")
    return LastSeen(place, *known, milliseconds(moment), age or "adult")


def _find(where: str, cameras: Mapping[Key, Camera], districts: Districts) -> Camera:
    """The one camera meant."""
    district, slash, name = where.strip().rpartition("/")
    slug = districts.find(district).slug if slash else None
    asked = [camera for key, camera in cameras.items() if slug in (None, key[0])]
    found = [each for each in asked if each.id == name] or [
        each for each in asked if name and each.name == name
    ]
    if len(found) == 1:
        return found[0]
    if found:
        choices = " or ".join(sorted(f"{each.district}/{each.id}" for each in found))
        raise InputError(f"--last-seen {where}: {len(found)} cameras are called that; give {choices}")
    known = dict.fromkeys(spelling for each in asked for spelling in (each.id, each.name) if spelling)
    raise UnknownNameError("camera", where, known)


def place_and_time(seen: LastSeen, found: Found) -> Evidence:
    """What place and time say of each hit: 0 where nobody knows where the camera is.

    Args:
        seen: the report. found: at least one hit.
    """
    view, filters = found.view, found.scope.filters
    cameras = view.snapshot.cameras
    metres = metres_from(seen.at_place, (place_of(cameras.get(key)) for key in hit_keys(found)))
    after_s = (np.array([content.record.best_ms for content in found.contents]) - seen.at_ms) / 1000
    everywhere = metres_from(seen.at_place, (place_of(cameras[key]) for key in found.scope.keys))
    everywhere = everywhere[~np.isnan(everywhere)]
    known = ~np.isnan(metres)
    ratios = np.zeros(len(metres))
    if known.any():
        within = view.within(filters.districts, filters.since_ms, filters.until_ms)
        since, until = int(view.start_ms[within].min()), int(view.end_ms[within].max())
        since, until = max(since, filters.since_ms or since), min(until, filters.until_ms or until)
        begin, end = (since - seen.at_ms) / 1000, (max(until, since + 1) - seen.at_ms) / 1000
        anywhere = mean_density(everywhere, begin, end, seen.age)
        ratios[known] = log_ratio(density(metres[known], after_s[known], seen.age, WITHIN_S), anywhere)
    return Evidence(PLACE_AND_TIME, ratios)


def metres_from(place: Place, others: Iterable[Place | None]) -> F64:
    """(N,) great-circle distances in metres; NaN where a place is unknown."""
    known = np.array([other or (nan, nan) for other in others], float).reshape(-1, 2)
    return distances_m(*place, known[:, 0], known[:, 1])


def hit_keys(found: Found) -> list[Key]:
    """District and camera of each hit."""
    names = found.view.by_name
    return [
        (names[hit.segment].entry.district, content.record.camera)
        for hit, content in zip(found.hits, found.contents, strict=True)
    ]


def place_of(camera: Camera | None) -> Place | None:
    """Where a camera is; None where nobody knows."""
    if camera is None or camera.latitude is None or camera.longitude is None:
        return None
    return camera.latitude, camera.longitude


def notes_of(seen: LastSeen | None, until_ms: int) -> list[str]:
    """What a reader must know of the report.

    Args:
        seen: the report. until_ms: when what was searched ends.
    """
    if seen is None:
        return []
    at = to_local_iso(from_milliseconds(seen.at_ms))
    notes = [
        f"last seen at {seen.place}, {at}, {seen.age}: nearer in place and time counts more, hides nobody"
    ]
    if until_ms <= seen.at_ms:
        end = to_local_iso(from_milliseconds(until_ms))
        notes.append(f"what was searched ends at {end}, before the person was last seen; index later footage")
    return notes


def apart(metres: float | None, minutes: float) -> str:
    """`1.2 km, 25 min after`: how far and how long after the person was last seen."""
    far = "place unknown" if metres is None else metres_text(metres)
    return f"{far}, {long(abs(minutes))} {'after' if minutes >= 0 else 'before'}"


def metres_text(metres: float) -> str:
    """`1.2 km`, `350 m`."""
    return f"{metres / 1000:.1f} km" if metres >= 950 else f"{round(metres, -1):.0f} m"


def long(minutes: float) -> str:
    """`25 min`, `3 h 05 min`."""
    whole = round(minutes)
    return f"{whole} min" if whole < 120 else f"{whole // 60} h {whole % 60:02d} min"


def apart_ko(metres: float | None, minutes: float) -> str:
    """The same in Korean."""
    words = apart(metres, minutes).replace("place unknown", "위치 모름")
    for english, korean in ((" min", "분"), (" h", "시간"), ("after", "후"), ("before", "전")):
        words = words.replace(english, korean)
    return words
