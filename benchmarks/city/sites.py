"""Where the cameras of the city stand, what they look at, and what their clocks show.

Places are real coordinates in real districts; what the names borrow is invented.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import timedelta

import numpy as np

from benchmarks.city.draws import CAMERAS, Random, generator
from benchmarks.city.settings import CitySettings
from indexer.cameras import Camera
from indexer.districts import District, load_districts

_RADIUS_M = 1500.0
_SPACING_M = 250.0
_FIRST = "songpa"  # the district the only published outcome is from
_METRES_PER_DEGREE = 111_320.0
_NIGHT_EYES = 0.35  # share of outdoor cameras that go over to infrared at night
_WRONG_CLOCKS = 0.1

_PREFIXES = {
    "jung": "JG", "yongsan": "YS", "gwangjin": "GJ", "dongdaemun": "DD", "jungnang": "JN", "seongbuk": "SB",
    "dobong": "DB", "nowon": "NW", "eunpyeong": "EP", "seodaemun": "SD", "mapo": "MP", "yangcheon": "YC",
    "gangseo": "GS", "guro": "GR", "geumcheon": "GC", "yeongdeungpo": "YD", "seocho": "SC", "songpa": "SP",
    "gangdong": "GD",
}  # fmt: skip

# place of reid.people.scene: (weight, Korean name, English name); {} is a number
PLACES: dict[str, tuple[float, str, str]] = {
    "street": (0.24, "중앙로 {}길 앞", "Jungang-ro {}-gil"),
    "alley": (0.16, "골목 방범 {}호", "alley post {}"),
    "crossing": (0.12, "사거리 {}번 횡단보도", "crossing {}"),
    "park": (0.14, "근린공원 {}번 입구", "park gate {}"),
    "plaza": (0.08, "만남의 광장 {}호", "plaza post {}"),
    "station": (0.12, "지하철역 {}번 출구 대합실", "station hall, exit {}"),
    "shop": (0.08, "상가 {}동 1층", "arcade {}"),
    "lift": (0.06, "아파트 {}동 승강기", "apartment block {} lift"),
}
INDOORS = frozenset({"station", "shop", "lift"})


@dataclass(frozen=True)
class Site:
    """A camera of the city.

    Attributes:
        number: position in the city, from 0.
        camera: as `reid init --cameras` reads it.
        place: kind of scene, a key of `PLACES`.
        seed: of its scene.
        infrared: sees grey by its own lamp at night.
    """

    number: int
    camera: Camera
    place: str
    seed: int
    infrared: bool

    @property
    def position_m(self) -> tuple[float, float]:
        """East and north in metres, for distances within Seoul (errors below a thousandth)."""
        assert self.camera.latitude is not None
        assert self.camera.longitude is not None
        east = self.camera.longitude * math.cos(math.radians(37.55)) * _METRES_PER_DEGREE
        return east, self.camera.latitude * _METRES_PER_DEGREE

    @property
    def clock_ahead(self) -> timedelta:
        """How far the camera's clock is ahead of true time."""
        return timedelta(seconds=self.camera.clock_offset_s)


def city_districts(count: int) -> tuple[District, ...]:
    """The first `count` districts of a city: Songpa, then the other active ones by their code."""
    active = sorted(load_districts().active, key=lambda row: (row.slug != _FIRST, row.code))
    return tuple(active[:count])


def place_cameras(settings: CitySettings) -> tuple[Site, ...]:
    """All cameras, district by district."""
    sites: list[Site] = []
    districts = city_districts(len(settings.cameras))
    for order, (district, count) in enumerate(zip(districts, settings.cameras, strict=True)):
        random = generator(settings.seed, CAMERAS, order)
        points = _scatter(random, count)
        for index, point in enumerate(points, start=1):
            sites.append(_site(random, len(sites), district, index, point))
    return tuple(sites)


def _scatter(random: Random, count: int) -> list[tuple[float, float]]:
    """Points within a circle, none too near another one; the spacing gives way where it is crowded."""
    points: list[tuple[float, float]] = []
    spacing = _SPACING_M
    while len(points) < count:
        radius, angle = _RADIUS_M * math.sqrt(random.random()), random.uniform(0, 2 * math.pi)
        point = (radius * math.cos(angle), radius * math.sin(angle))
        if all(math.dist(point, other) >= spacing for other in points):
            points.append(point)
        else:
            spacing *= 0.999
    return points


def _site(random: Random, number: int, district: District, index: int, point: tuple[float, float]) -> Site:
    weights = np.array([weight for weight, _, _ in PLACES.values()])
    place = str(random.choice(list(PLACES), p=weights / weights.sum()))
    _, korean, english = PLACES[place]
    street = int(random.integers(1, 30))
    latitude = district.latitude + point[1] / _METRES_PER_DEGREE
    east = _METRES_PER_DEGREE * math.cos(math.radians(district.latitude))
    wrong_clock = float(random.integers(2, 90) * random.choice([-1, 1]))
    camera = Camera(
        id=f"{_PREFIXES.get(district.slug, district.slug.upper())}-{index:02d}",
        name=f"{district.name_ko} {korean.format(street)}"
        f" ({district.name_en.removesuffix('-gu')} {english.format(street)})",
        district=district.slug,
        latitude=round(latitude, 6),
        longitude=round(district.longitude + point[0] / east, 6),
        clock_offset_s=wrong_clock if random.random() < _WRONG_CLOCKS else 0.0,
    )
    infrared = place not in INDOORS and random.random() < _NIGHT_EYES
    return Site(number, camera, place, int(random.integers(2**31)), bool(infrared))
