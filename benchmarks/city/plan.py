"""The plan of a city: who is in which camera when, and who is missing. Pure; follows from the settings.

Knows no pixels: the renderer turns seeds into people and scenes, and draws the passers-by of each clip
when it comes to it (`crowd.py`), so that the plan of a day-long city stays small.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from benchmarks.city.clips import ClipPlan, schedule
from benchmarks.city.draws import LOOKALIKES, MISSING, Random, a_seed, generator
from benchmarks.city.journeys import MOST_IN_A_CLIP, Stop, Timetable
from benchmarks.city.members import FIRST_ID, AgeGroup, Member, Missing, Pattern, WalkPlan
from benchmarks.city.settings import CitySettings
from benchmarks.city.sites import Site, city_districts, place_cameras
from indexer.districts import District
from reid.errors import InputError

FORMAT = 1
"""Of the plan: changes whenever the same settings give another city."""

_NEIGHBOURS = 3
_MIDDLE = (0.3, 0.7)  # part of a clip in which a passage has its middle
_PATTERNS: dict[AgeGroup, dict[Pattern, float]] = {
    "elder": {"direct": 0.45, "random": 0.25, "pacing": 0.15, "lapping": 0.15},
    "child": {"direct": 0.5, "running": 0.35, "random": 0.15},
    "adult": {"direct": 1.0},
}
_SPEEDS: dict[AgeGroup, tuple[float, float]] = {  # metres a second: mean, standard deviation
    "child": (1.05, 0.12), "adult": (1.3, 0.15), "elder": (0.8, 0.12),
}  # fmt: skip
_RUNNING = 1.7
_LOOKALIKE_NEAR = 0.6  # share of the lookalikes who live in the same district


@dataclass(frozen=True)
class CityPlan:
    """All of a city.

    Attributes:
        settings: what it follows from.
        sites: cameras, district by district.
        clips: camera by camera, each camera's by time.
        missing: by id.
        lookalikes: by id.
        journeys: stops of each missing person and lookalike, by id.
    """

    settings: CitySettings
    sites: tuple[Site, ...]
    clips: tuple[ClipPlan, ...]
    missing: tuple[Missing, ...]
    lookalikes: tuple[Member, ...]
    journeys: Mapping[int, tuple[Stop, ...]]

    @property
    def digest(self) -> str:
        """64 hex digits: two cities are the same exactly when these are."""
        content = [FORMAT, _plain(self.settings), _plain(self.clips), _plain(self.missing)]
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _plain(value: Any) -> Any:
    """Dataclasses as lists and dictionaries, moments as text."""
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    return json.loads(json.dumps(asdict(value, dict_factory=_drawn), default=str))


def _drawn(fields: list[tuple[str, Any]]) -> dict[str, Any]:
    """How well a clock is known is nothing that a city shows."""
    return {name: value for name, value in fields if name != "clock_uncertainty_s"}


def make_plan(settings: CitySettings) -> CityPlan:
    """Plan a city.

    Raises:
        InputError: more missing people than the footage has room for.
    """
    sites = place_cameras(settings)
    clips = schedule(settings, sites)
    streets = _Streets(settings, clips)
    missing = tuple(_missing(settings, number) for number in range(1, settings.missing + 1))
    for each in missing:
        _send_missing(streets, each)
    lookalikes: list[Member] = []
    for each in missing:
        lookalikes += _send_lookalikes(streets, each, FIRST_ID + len(missing) + len(lookalikes))
    filled = tuple(replace(clip, walks=tuple(streets.walks[clip.number])) for clip in clips)
    return CityPlan(settings, sites, filled, missing, tuple(lookalikes), streets.journeys)


class _Streets:
    """Where everybody has been sent so far."""

    def __init__(self, settings: CitySettings, clips: Sequence[ClipPlan]) -> None:
        self.settings = settings
        self.districts = city_districts(len(settings.cameras))
        self.walks: defaultdict[int, list[WalkPlan]] = defaultdict(list)
        self.journeys: dict[int, tuple[Stop, ...]] = {}
        self._clips = clips
        self._timetable = Timetable(clips)

    def send(
        self, random: Random, member: Member, stops: tuple[int, int], home: str, others: Sequence[str],
        avoid: Sequence[int] = (),
    ) -> bool:  # fmt: skip
        """Plan a journey of fewest to most `stops` and the walks through its clips; was there room for it?"""
        speed = walking_speed(random, member.age_group)
        journey = self._timetable.travel(random, *stops, home, others, speed, avoid)
        for stop in journey:
            seconds = self._clips[stop.clip].seconds
            self.walks[stop.clip].append(_walk(random, member, seconds, speed))
        if journey:
            self.journeys[member.id] = journey
        return bool(journey)


def walking_speed(random: Random, age_group: AgeGroup) -> float:
    """Metres a second."""
    mean, deviation = _SPEEDS[age_group]
    return float(max(random.normal(mean, deviation), mean / 2))


def _walk(random: Random, member: Member, seconds: float, speed_m_s: float) -> WalkPlan:
    patterns = _PATTERNS[member.age_group]
    chosen = int(random.choice(len(patterns), p=list(patterns.values())))
    pattern = list(patterns)[chosen]
    return WalkPlan(
        member=member,
        at_s=float(seconds * random.uniform(*_MIDDLE)),
        route=a_seed(random),
        reverse=bool(random.random() < 0.5),
        right_m=float(random.uniform(0.1, 0.9)),
        pattern=pattern,
        speed_m_s=speed_m_s * (_RUNNING if pattern == "running" else 1.0),
        seed=a_seed(random),
    )


def _missing(settings: CitySettings, number: int) -> Missing:
    random = generator(settings.seed, MISSING, number)
    mix = settings.mix
    age_group: AgeGroup = "child" if random.random() < mix.children else "elder"
    member = Member(number, "missing", a_seed(random), age_group, a_seed(random))
    changed = random.random() < mix.clothes_change
    home = city_districts(len(settings.cameras))[(number - 1) % len(settings.cameras)].slug
    kind, other_outfit = str(random.choice(mix.photos)), a_seed(random)
    return Missing(member, home, kind, other_outfit if changed else member.outfit_seed, a_seed(random))


def _send_missing(streets: _Streets, missing: Missing) -> None:
    settings, member = streets.settings, missing.member
    random = generator(settings.seed, MISSING, member.id, 1)
    fewest, most = settings.mix.passages
    count = int(random.integers(fewest, most + 1))
    strays = random.random() < settings.mix.strays
    near = _neighbours(streets.districts, missing.home)
    everywhere = [row.slug for row in streets.districts if row.slug != missing.home]
    clips = sum(settings.cameras) * settings.clips
    needed = min(fewest, clips, 2)
    tried = ([near] if strays else [(), near]) + [everywhere]  # farther only where there is no room nearer
    if not any(streets.send(random, member, (needed, count), missing.home, others) for others in tried):
        raise InputError(
            f"{settings.missing} missing people do not fit: person {member.id} of {missing.home} finds no"
            f" {needed} free clips to be reached in time, as {clips} clips take {MOST_IN_A_CLIP} each; ask"
            " for fewer people, or for more cameras or minutes"
        )


def _neighbours(districts: Sequence[District], home: str) -> tuple[str, ...]:
    """The districts of the city that are nearest to a district."""
    centre = next(row for row in districts if row.slug == home)
    east = math.cos(math.radians(centre.latitude))

    def distance(row: District) -> float:
        return math.hypot(row.latitude - centre.latitude, (row.longitude - centre.longitude) * east)

    others = sorted((row for row in districts if row.slug != home), key=distance)
    return tuple(row.slug for row in others[:_NEIGHBOURS])


def _send_lookalikes(streets: _Streets, missing: Missing, first_id: int) -> list[Member]:
    """One or two people dressed much like the missing one, in other clips; nobody where there is no room."""
    settings, original = streets.settings, missing.member
    random = generator(settings.seed, LOOKALIKES, original.id)
    if random.random() >= settings.mix.lookalikes:
        return []
    sent: list[Member] = []
    taken = [stop.clip for stop in streets.journeys[original.id]]
    for _ in range(int(random.integers(1, 3))):
        member = Member(
            first_id + len(sent), "lookalike", a_seed(random), original.age_group, a_seed(random),
            original=original,
        )  # fmt: skip
        count = int(random.integers(1, 3))
        elsewhere = [str(slug) for slug in random.permutation([row.slug for row in streets.districts])]
        homes = [missing.home, *elsewhere] if random.random() < _LOOKALIKE_NEAR else elsewhere
        if any(streets.send(random, member, (1, count), home, (), taken) for home in homes):
            sent.append(member)
    return sent
