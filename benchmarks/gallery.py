"""What the index benchmarks search: people before the cameras of 19 districts for 30 days, and questions.

Everything follows from the settings and the seed, a district and day at a time. Owns the filters' meaning
anew, apart from the product's, so that an answer can be checked. Knows no index.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from benchmarks.vectors import F32, VIEWS, Crowd, Ints, VectorModel, people_for, vectors_each
from indexer.cameras import Camera
from indexer.districts import load_districts
from search.filters import Filters, Near

FIRST_DAY = datetime(2025, 1, 31, 15, tzinfo=UTC)
"""Midnight in Seoul."""
DAY_MS = 86_400_000
CLASSES = {"district-day": (1, 1), "district-month": (1, 30), "city-day": (19, 1), "city-month": (19, 30)}
"""Districts and days of each class of questions."""
EXTRAS = ("", "colour", "radius", "colour + radius")

_CAMERAS = (12, 40)
_SPREAD_DEG = (0.011, 0.014)  # 1.2 km, how far cameras lie from the middle of a district
_RADIUS_M = {1: 1000.0, 19: 4000.0}
_UNKNOWN, _WRONG = 0.15, 0.05  # of colours; the description's own rates by day, about
_STRANGERS = 0.2  # of questions


@dataclass(frozen=True)
class Scene:
    """How much is searched.

    Attributes:
        vectors: about how many. districts, days: they are spread over.
        views: shares of tracklets with one, two... vectors.
        seed: of it all.
    """

    vectors: int
    districts: int = 19
    days: int = 30
    views: tuple[float, ...] = VIEWS
    seed: int = 0

    @property
    def tracklets(self) -> int:
        """Of one district on one day."""
        return max(1, round(self.vectors / self.districts / self.days / vectors_each(self.views)))

    @property
    def first_ms(self) -> int:
        """The first day's midnight, milliseconds since 1970 UTC."""
        return int(FIRST_DAY.timestamp() * 1000)

    def day(self, number: int) -> str:
        """The local date."""
        return (FIRST_DAY + timedelta(days=number, hours=9)).date().isoformat()


@dataclass(frozen=True)
class Day:
    """What a district's cameras saw on one day: T tracklets by start, with N vectors.

    Attributes:
        district, day: numbers.
        vectors: (N, D) float32 unit rows. tracklets: (N,) int64, which of the T.
        people, cameras: (T,) int64, of the district. start, end: (T,) int64 milliseconds since 1970 UTC.
        upper: (T,) int64, the colour seen as a set (`indexer.clothes`); 0 is unknown.
    """

    district: int
    day: int
    vectors: F32
    tracklets: Ints
    people: Ints
    cameras: Ints
    start: Ints
    end: Ints
    upper: Ints


class District:
    """One district of a scene.

    Attributes:
        slug: of the product's table.
        cameras: with their places.
    """

    def __init__(self, scene: Scene, number: int, model: VectorModel) -> None:
        self.scene, self.number = scene, number
        self._model = model
        row = load_districts().active[number]
        self.slug = row.slug
        rng = np.random.default_rng([scene.seed, number, 8])
        count = int(rng.integers(*_CAMERAS, endpoint=True))
        places = rng.standard_normal((count, 2)) * _SPREAD_DEG + (row.latitude, row.longitude)
        self.cameras = tuple(
            Camera(f"C{k:02d}", "", row.slug, round(float(a), 5), round(float(b), 5))
            for k, (a, b) in enumerate(places)
        )

    @cached_property
    def crowd(self) -> Crowd:
        """Its people."""
        scene = self.scene
        people = people_for(round(scene.vectors / scene.districts), scene.views)
        seed = scene.seed * 1000 + self.number
        return Crowd(self._model, people, len(self.cameras), seed, scene.views)

    def see(self, day: int) -> Day:
        """What its cameras saw on a day."""
        rng = np.random.default_rng([self.scene.seed, self.number, 9, day])
        sample = self.crowd.sample(day, self.scene.tracklets)
        count = self.scene.tracklets
        begin = self.scene.first_ms + day * DAY_MS
        start = np.sort(rng.integers(6 * 3_600_000, DAY_MS - 60_000, count)) + begin
        end = start + np.minimum(rng.lognormal(9.0, 0.6, count).astype(np.int64), 59_000)
        seen = self.crowd.colours[sample.people]
        wrong = rng.random(count) < _WRONG
        seen = np.where(wrong, rng.integers(self._model.colours.shape[1], size=count), seen)
        upper = np.where(rng.random(count) < _UNKNOWN, 0, 1 << seen)
        return Day(
            self.number, day, sample.vectors, sample.tracklets, sample.people, sample.cameras,
            start, end, upper,
        )  # fmt: skip


def districts_of(scene: Scene, model: VectorModel | None = None) -> Iterator[District]:
    """Every district of a scene; each holds much, so forget one before the next."""
    chosen = model or VectorModel.load()
    return (District(scene, number, chosen) for number in range(scene.districts))


@dataclass(frozen=True)
class Ask:
    """A question.

    Attributes:
        kind: of `CLASSES`. extra: of `EXTRAS`.
        photo: (D,) float32 unit row.
        known: whether the person was seen in scope.
        districts: slugs.
        since_ms, until_ms: half-open.
        near: (latitude, longitude, metres), or None.
        upper: a set of colours; 0 is any.
    """

    kind: str
    extra: str
    photo: F32
    known: bool
    districts: tuple[str, ...]
    since_ms: int
    until_ms: int
    near: tuple[float, float, float] | None
    upper: int

    def filters(self) -> Filters:
        """As the product takes it."""
        near = Near(*self.near) if self.near else None
        return Filters(
            self.districts, since_ms=self.since_ms, until_ms=self.until_ms, near=near, upper=self.upper
        )

    def cameras(self, all_of_them: list[Camera]) -> NDArray[np.bool_]:
        """(C,) which of the cameras are in scope."""
        return np.array([camera.district in self.districts and self._near(camera) for camera in all_of_them])

    def _near(self, camera: Camera) -> bool:
        if self.near is None:
            return True
        latitude, longitude, metres = self.near
        assert camera.latitude is not None
        assert camera.longitude is not None
        # A city is flat enough for Pythagoras: centimetres off at these distances.
        north = np.radians(camera.latitude - latitude)
        east = np.radians(camera.longitude - longitude) * np.cos(np.radians((camera.latitude + latitude) / 2))
        return bool(6_371_008.8 * np.hypot(north, east) <= metres)


def ask(
    scene: Scene, each: int, classes: tuple[str, ...] = tuple(CLASSES), extras: tuple[str, ...] = EXTRAS,
    model: VectorModel | None = None,
) -> dict[tuple[str, str], list[Ask]]:  # fmt: skip
    """`each` questions of every class and extra filter, by these two; four in five for people in scope."""
    chosen = model or VectorModel.load()
    rng = np.random.default_rng([scene.seed, 10])
    kinds = [(kind, extra) for kind in classes for extra in extras]
    slugs = tuple(row.slug for row in load_districts().active[: scene.districts])
    asks: dict[tuple[str, str], list[Ask]] = {kind: [] for kind in kinds}
    places = rng.permutation(np.arange(each) % scene.districts)
    for district in districts_of(scene, chosen):
        wanted = int((places == district.number).sum())
        if not wanted:
            continue
        seen = district.see(int(rng.integers(scene.days)))
        for kind in kinds:
            which = rng.integers(len(seen.people), size=wanted)
            photos = district.crowd.photos_of(seen.people[which], int(rng.integers(1 << 30)))
            strangers = district.crowd.strangers(wanted, int(rng.integers(1000)))
            for row, tracklet in enumerate(which):
                known = bool(rng.random() >= _STRANGERS)
                photo = photos[row] if known else strangers[row]
                asks[kind].append(_one(scene, kind, district, seen, int(tracklet), photo, known, slugs))
    return asks


def _one(
    scene: Scene, kind: tuple[str, str], district: District, seen: Day, tracklet: int, photo: F32,
    known: bool, slugs: tuple[str, ...],
) -> Ask:  # fmt: skip
    wide, long = CLASSES[kind[0]]
    first = scene.first_ms + (seen.day * DAY_MS if long == 1 else 0)
    camera = district.cameras[seen.cameras[tracklet]]
    assert camera.latitude is not None
    assert camera.longitude is not None
    near = (camera.latitude, camera.longitude, _RADIUS_M[wide]) if "radius" in kind[1] else None
    colour = 1 << int(district.crowd.colours[seen.people[tracklet]]) if "colour" in kind[1] else 0
    return Ask(
        *kind, photo, known, slugs if wide > 1 else (district.slug,),
        first, first + DAY_MS * (1 if long == 1 else scene.days), near, colour,
    )  # fmt: skip
