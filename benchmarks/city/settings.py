"""How large a city is and who is missing in it; checked once."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from indexer.districts import load_districts
from reid.errors import InputError

MOST_CAMERAS = 50  # a district; more do not find a place 250 m from each other
MOST_MISSING = 2_000
LONGEST_CLIP_S = 120.0
_SHORTEST_CLIP_S = 10.0
_CLIPS = 4  # a camera's footage is spread over the day in at least so many clips, if it is long enough
_DAY_MINUTES = 1440.0


def _check(what: str, value: float, least: float, most: float) -> None:
    if not least <= value <= most:  # also not a number
        raise InputError(f"expected {least:g} to {most:g} {what}, got {value:g}")


@dataclass(frozen=True)
class Mix:
    """Who is missing, what their photos are like, and who else is about. Shares are 0..1.

    Attributes:
        children: share of the missing who are children; the others are old.
        passages: fewest and most cameras a missing person walks past; two must do where there is no room.
        strays: share of the missing who also walk through neighbouring districts.
        clothes_change: share of the photos that show other clothes than those worn.
        lookalikes: share of the missing who have one or two lookalikes in the city.
        photos: kinds of photos to draw from; a kind given twice is drawn twice as often.
        crowd: how many passers-by against the usual; very short clips need more to have any.
    """

    children: float = 0.4
    passages: tuple[int, int] = (2, 5)
    strays: float = 0.3
    clothes_change: float = 0.25
    lookalikes: float = 0.5
    photos: tuple[str, ...] = ("phone", "phone", "phone", "cctv", "upper")
    crowd: float = 1.0


@dataclass(frozen=True)
class CitySettings:
    """All that a city follows from.

    Attributes:
        seed: 0 or more.
        cameras: how many in each district, in the city's order of districts.
        seconds: of footage of each camera.
        missing: how many people are missing.
        size: width and height of the footage, pixels.
        hours: of the day within which clips begin, local time, unless a camera records longer than that.
        mix: who is missing.

    Raises:
        InputError: a number outside its range; says which and what was expected.
    """

    seed: int = 7
    cameras: tuple[int, ...] = (4,) * 19
    seconds: float = 120.0
    missing: int = 99
    size: tuple[int, int] = (1280, 720)
    hours: tuple[float, float] = (5.5, 23.5)
    mix: Mix = field(default_factory=Mix)

    def __post_init__(self) -> None:
        districts = len(load_districts().active)
        _check(f"districts (so many of Seoul's take part: {districts})", len(self.cameras), 1, districts)
        for count in self.cameras:
            _check("cameras a district", count, 1, MOST_CAMERAS)
        _check("minutes of footage a camera", self.seconds / 60, 0.05, _DAY_MINUTES)
        _check("missing people", self.missing, 1, MOST_MISSING)
        _check("a seed", self.seed, 0, 2**32 - 1)

    @property
    def clips(self) -> int:
        """Clips of each camera."""
        fewest = min(_CLIPS, int(self.seconds / _SHORTEST_CLIP_S))
        return max(1, fewest, math.ceil(self.seconds / LONGEST_CLIP_S))

    @property
    def clip_s(self) -> float:
        """Seconds of each clip; whole ones, since clips are named by the second."""
        return float(max(math.floor(self.seconds / self.clips), 1))


def city_settings(seed: int, districts: int, cameras: int, minutes: float, missing: int) -> CitySettings:
    """Settings from the numbers of the command line.

    Raises:
        InputError: see `CitySettings`.
    """
    _check("districts", districts, 1, len(load_districts().active))
    return CitySettings(seed, (cameras,) * districts, minutes * 60, missing)


QUICK = CitySettings(cameras=(2, 1, 1), seconds=10.0, missing=5, size=(960, 540), mix=Mix(passages=(2, 2)))
"""Rendered and searched within two minutes."""

DEMO = CitySettings(
    cameras=(2,) * 7 + (1,) * 12,
    seconds=3.4,
    missing=1,
    hours=(13.0, 20.0),  # by day, at dusk, at night
    mix=Mix(
        children=0.0, passages=(5, 5), strays=1.0, clothes_change=0.0, lookalikes=1.0, photos=("phone",),
        crowd=2.5,
    ),
)  # fmt: skip
"""The city of `reid demo`: small enough for the package."""
