"""The passers-by of one clip: alone, in pairs, as families, and in groups dressed alike.

Drawn for each clip by itself, so that a clip can be rendered without the rest of the city. Everybody
passes once and has an id of their own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeVar

from benchmarks.city.clips import ClipPlan
from benchmarks.city.draws import CROWD, Random, a_seed, generator
from benchmarks.city.members import FIRST_BYSTANDER, AgeGroup, Member, WalkPlan
from benchmarks.city.plan import walking_speed
from benchmarks.city.settings import CitySettings

T = TypeVar("T")

MOST_IN_A_CLIP = 100
SCHOOL, VEST, PADDED = "school", "work vest", "black padded coat"

_IN_SIGHT_S = 20.0  # how long somebody who walks by is in the picture, about
_AT_ONCE = {
    "street": 2.5, "alley": 1.0, "crossing": 3.0, "park": 1.5, "plaza": 2.5, "station": 3.5, "shop": 2.5,
    "lift": 1.0,
}  # fmt: skip
_CROWDED = ((0.4, 0.4), (0.4, 1.0), (0.2, 2.0))  # (share of the clips, factor)
_MOST_AT_ONCE = {"lift": 3.0}
_AGES: tuple[tuple[AgeGroup, float], ...] = (("child", 0.12), ("adult", 0.68), ("elder", 0.2))
_GROUPS = (("alone", 0.62), ("pair", 0.23), ("family", 0.08), ("uniform", 0.07))
_PADDED_ALONE = 0.08  # so many wear the same black coat anyway, in November
_APART_M, _BEHIND_S = 0.65, 0.9


@dataclass(frozen=True)
class _Party:
    """People who walk together: the age group and uniform of each, and how old the slowest is."""

    people: tuple[tuple[AgeGroup, str | None], ...]
    pace: AgeGroup


def bystanders(clip: ClipPlan, settings: CitySettings) -> tuple[WalkPlan, ...]:
    """The walks of everybody in a clip who is neither missing nor a lookalike."""
    random = generator(settings.seed, CROWD, clip.number)
    count = _how_many(random, clip, settings.mix.crowd)
    walks: list[WalkPlan] = []
    while len(walks) < count:
        first = FIRST_BYSTANDER + clip.number * MOST_IN_A_CLIP + len(walks)
        walks += _walk_together(random, _party(random, clip, count - len(walks)), clip, first)
    return tuple(walks[:MOST_IN_A_CLIP])


def everybody(clip: ClipPlan, settings: CitySettings) -> tuple[WalkPlan, ...]:
    """All walks of a clip."""
    return (*clip.walks, *bystanders(clip, settings))


def _how_many(random: Random, clip: ClipPlan, crowd: float) -> int:
    shares = [share for share, _ in _CROWDED]
    factor = _CROWDED[int(random.choice(len(_CROWDED), p=shares))][1]
    at_once = _AT_ONCE.get(clip.site.place, 2.0) * factor * crowd * _business(clip.start.hour)
    at_once = min(at_once, _MOST_AT_ONCE.get(clip.site.place, 8.0))
    return int(random.poisson(at_once * (clip.seconds + _IN_SIGHT_S) / _IN_SIGHT_S))


def _business(hour: int) -> float:
    """How busy the streets are at this hour, 1 on average by day."""
    if hour < 6 or hour >= 22:
        return 0.4
    return 1.4 if hour in (8, 12, 17, 18) else 1.0


def _party(random: Random, clip: ClipPlan, room: int) -> _Party:
    kind = _draw(random, _GROUPS) if room > 1 and clip.site.place != "lift" else "alone"
    if kind == "pair":
        age = _draw(random, _AGES)
        return _Party(((age, None), (age, None)), age)
    if kind == "family":
        other: AgeGroup = "child" if random.random() < 0.6 else "elder"
        return _Party((("adult", None), (other, None)), other)
    if kind == "uniform" and room > 2:
        return _uniform(random, clip.start.hour, min(room, int(random.integers(3, 6))))
    age = _draw(random, _AGES)
    coat = PADDED if random.random() < _PADDED_ALONE else None
    return _Party(((age, coat),), age)


def _uniform(random: Random, hour: int, size: int) -> _Party:
    if hour in (7, 8, 14, 15, 16):
        return _Party((("child", SCHOOL),) * size, "child")
    uniform = VEST if 6 <= hour < 18 and random.random() < 0.6 else PADDED
    return _Party((("adult", uniform),) * size, "adult")


def _walk_together(random: Random, party: _Party, clip: ClipPlan, first_id: int) -> Iterator[WalkPlan]:
    at_s = float(random.uniform(-_IN_SIGHT_S / 2, clip.seconds + _IN_SIGHT_S / 2))
    route, reverse = a_seed(random), bool(random.random() < 0.5)
    right, speed = float(random.uniform(0.1, 0.9)), walking_speed(random, party.pace)
    group_seed = a_seed(random)  # gives a uniform its colours
    for index, (age_group, uniform) in enumerate(party.people):
        clothes = group_seed if uniform else a_seed(random)
        member = Member(first_id + index, "bystander", a_seed(random), age_group, clothes, uniform)
        row, column = divmod(index, 2)
        yield WalkPlan(
            member, at_s + row * _BEHIND_S, route, reverse, right + column * _APART_M, "direct", speed,
            a_seed(random),
        )  # fmt: skip


def _draw(random: Random, choices: tuple[tuple[T, float], ...]) -> T:
    return choices[int(random.choice(len(choices), p=[share for _, share in choices]))][0]
