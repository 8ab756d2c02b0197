"""When the cameras of the city recorded, and in what light."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

from benchmarks.city.draws import CLIPS, WEATHER, generator
from benchmarks.city.members import WalkPlan
from benchmarks.city.settings import CitySettings
from benchmarks.city.sites import INDOORS, Site
from indexer.times import SEOUL

DAY = date(2025, 11, 3)
_DAY_H = (0.0, 24.0)
_SUNRISE, _SUNSET = (6.4, 7.15), (17.2, 18.1)  # hours of dusk in Seoul on that day
_WEATHER_H = 3
_SUNNY = 0.6


@dataclass(frozen=True)
class ClipPlan:
    """One clip: the unit that is rendered.

    Attributes:
        number: position in the city, from 0.
        site: its camera.
        start: true start, Asia/Seoul.
        seconds: its length.
        light: a name of `reid.people.light.LIGHTS`.
        walks: the missing and their lookalikes in it; passers-by are drawn by `crowd.py`.
    """

    number: int
    site: Site
    start: datetime
    seconds: float
    light: str
    walks: tuple[WalkPlan, ...] = ()

    @property
    def shown_start(self) -> datetime:
        """What the camera's clock shows at the start."""
        return self.start + self.site.clock_ahead

    @property
    def name(self) -> str:
        """`<district>/<camera>/<start on the camera's clock>`, without ending."""
        camera = self.site.camera
        return f"{camera.district}/{camera.id}/{self.shown_start:%Y%m%dT%H%M%S}"


def schedule(settings: CitySettings, sites: Sequence[Site]) -> tuple[ClipPlan, ...]:
    """The clips of all cameras: each camera's spread evenly over the day, no two at the same moment."""
    clips: list[ClipPlan] = []
    midnight = datetime.combine(DAY, time(), SEOUL)
    fits = settings.seconds < (settings.hours[1] - settings.hours[0]) * 3600
    first, end = (hour * 3600 for hour in (settings.hours if fits else _DAY_H))
    slot = (end - first) / settings.clips
    for site in sites:
        random = generator(settings.seed, CLIPS, site.number)
        for index in range(settings.clips):
            begin = first + index * slot + random.random() * max(slot - settings.clip_s, 0.0)
            start = midnight + timedelta(seconds=int(begin))
            light = light_at(site, start, settings.seed)
            clips.append(ClipPlan(len(clips), site, start, settings.clip_s, light))
    return tuple(clips)


def light_at(site: Site, moment: datetime, seed: int) -> str:
    """The light at a camera: by the sun, the weather of these hours, and the camera's own kind."""
    if site.place in INDOORS:
        return "indoor"
    hour = moment.hour + moment.minute / 60
    if _SUNRISE[1] <= hour < _SUNSET[0]:
        weather = generator(seed, WEATHER, moment.hour // _WEATHER_H).random()
        return "sun" if weather < _SUNNY else "overcast"
    if any(begin <= hour < end for begin, end in (_SUNRISE, _SUNSET)):
        return "dusk"
    return "infrared" if site.infrared else "night"
