"""One person followed through a clip: the options, the motion, the appearance, the finished track.

Owns the state of a track and what its odds are made of. Knows no other track: who continues whom is
decided in `tracker.py`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_PRIOR_COSINES = 50.0
"""The expected cosines of `TrackerOptions` count as much as this many seen ones."""

_MOST_SPANS = 1.2
"""A span lies between the usual cosines of two people and of one; so many, and more tells no more."""


@dataclass(frozen=True)
class TrackerOptions:
    """How people are followed. Lengths are in box heights, so one setting fits every camera.

    Attributes:
        start_score: a track starts from a detection scored at least this, 0..1.
        high_score: detections scored at least this are associated first and shape the appearance.
        low_score: detections below this are ignored; those between only keep a track going.
        start_overlap: no track starts from a box that shares this part of its or a tracked box's area,
            0..1: it is mostly the same person, found twice.
        coast_s: seconds a track waits for its next detection before it ends.
        stitch_s: seconds after its end within which a track may go on as a later one; 0 for never.
        stitch_odds: log-odds a link between two fragments must reach; higher splits rather than fuses.
        stitch_margin: log-odds by which the best link must beat the next best.
        prior: log-odds before any evidence, both for boxes and for fragments.
        appearance_weight: log-odds by which one person's usual likeness differs from that of two.
        same_cosine, different_cosine: expected cosine of one person's vectors a moment apart, and of two
            people's; a start, corrected by what the clip itself shows.
        vector_keep: part of a track's remembered appearance that survives its next vector, 0..1.
        max_hidden: a box hidden by another to a larger part than this teaches no appearance, 0..1.
        position_noise: standard deviation of a detected box's centre, heights.
        size_noise: standard deviation of the logarithm of a detected box's height.
        start_speed: standard deviation of a new track's unknown speed, heights / second.
        speed_noise: random change of speed, heights / second, in one second.
        memory_s: seconds over which the speed of a person out of sight is believed to last.
        min_hits, min_duration_s, min_score: detections, seconds from first to last, and mean score 0..1
            a track needs to be sure.
    """

    start_score: float = 0.5
    high_score: float = 0.3
    low_score: float = 0.1
    start_overlap: float = 0.7
    coast_s: float = 1.0
    stitch_s: float = 5.0
    stitch_odds: float = 0.5
    stitch_margin: float = 0.5
    prior: float = -1.0
    appearance_weight: float = 9.0
    same_cosine: float = 0.75
    different_cosine: float = 0.15
    vector_keep: float = 0.9
    max_hidden: float = 0.5
    position_noise: float = 0.1
    size_noise: float = 0.15
    start_speed: float = 0.7
    speed_noise: float = 0.6
    memory_s: float = 2.0
    min_hits: int = 3
    min_duration_s: float = 0.5
    min_score: float = 0.35

    @classmethod
    def for_interval(cls, interval_s: float) -> TrackerOptions:
        """The defaults, or what slower footage needs: frames `interval_s` seconds apart.

        A track must outlive the wait for its next frame, and somebody who is in sight for three seconds
        is seen three times at one frame a second, once at a frame every three.
        """
        if interval_s <= 0.4:
            return cls()
        hits = 2 if interval_s <= 1.0 else 1
        return cls(
            coast_s=2.5 * interval_s,
            stitch_s=max(cls.stitch_s, 5 * interval_s),
            min_hits=hits,
            min_duration_s=0.5 if hits > 1 else 0.0,
        )

    def __post_init__(self) -> None:
        if not 0 <= self.low_score <= self.high_score <= self.start_score <= 1:
            raise ValueError(
                "expected 0 <= low_score <= high_score <= start_score <= 1,"
                f" got {self.low_score}, {self.high_score}, {self.start_score}"
            )
        lengths = (self.coast_s, self.memory_s, self.position_noise, self.size_noise, self.start_speed)
        if min(lengths) <= 0 or self.stitch_s < 0 or self.min_hits < 1:
            raise ValueError(
                "expected coast_s, memory_s, position_noise, size_noise and start_speed above 0,"
                f" stitch_s not negative and min_hits 1 or more, got {self}"
            )


@dataclass(frozen=True)
class Track:
    """One person's passage through the clip, complete: none of its numbers is ever given out again.

    Attributes:
        numbers: what `Tracker.update` called the person, in order of time; several when fragments were
            stitched.
        start_s, end_s: first and last detection, seconds of the clip.
        hits: how many detections.
        score: their mean score, 0..1.
        is_sure: False for what is too short or too faint to be taken for a person.
    """

    numbers: tuple[int, ...]
    start_s: float
    end_s: float
    hits: int
    score: float
    is_sure: bool


class Motion:
    """Kalman filter of a box: centre and speed in pixels, their (co)variances in heights.

    White-noise acceleration (Bar-Shalom et al. 2001); both axes share one covariance. Unlike there, a
    forecast's reach levels off at `memory_s`: nobody walks on unseen in a straight line for long.
    """

    def __init__(self, time_s: float, place: Floats, options: TrackerOptions) -> None:
        self._options = options
        self.time_s = time_s
        self.x, self.y, self.height = place.tolist()
        self._speed_x = self._speed_y = 0.0
        self._var, self._cross, self._speed_var = options.position_noise**2, 0.0, options.start_speed**2

    def forecast(self, time_s: float) -> tuple[float, float, float, float]:
        """Expected centre x and y, height (pixels) and variance of the centre (square heights)."""
        gap, reach = self._gap(time_s)
        jitter = self._options.speed_noise**2 * gap**3 / 3
        var = self._var + 2 * reach * self._cross + reach**2 * self._speed_var + jitter
        return self.x + reach * self._speed_x, self.y + reach * self._speed_y, self.height, var

    def follow(self, time_s: float, place: Floats, noise: float) -> None:
        """Take where the person is now; `noise` is the standard deviation of the centre in heights."""
        x, y, height = place.tolist()
        ahead_x, ahead_y, _, var = self.forecast(time_s)
        gap, reach = self._gap(time_s)
        noise_var = self._options.speed_noise**2
        cross = self._cross + reach * self._speed_var + noise_var * gap**2 / 2
        speed_var = self._speed_var + noise_var * gap
        gain, speed_gain = var / (var + noise**2), cross / (var + noise**2)
        self.x, self.y = ahead_x + gain * (x - ahead_x), ahead_y + gain * (y - ahead_y)
        self.height += gain * (height - self.height)
        self._speed_x += speed_gain * (x - ahead_x)
        self._speed_y += speed_gain * (y - ahead_y)
        self._var, self._cross = var * (1 - gain), cross * (1 - gain)
        self._speed_var = speed_var - speed_gain * cross
        self.time_s = time_s

    def _gap(self, time_s: float) -> tuple[float, float]:
        gap, memory = time_s - self.time_s, self._options.memory_s
        return gap, memory * (1 - math.exp(-gap / memory))


class Fragment:
    """One person followed without a break: where, since when, looking how."""

    def __init__(self, number: int, time_s: float, place: Floats, vector: Floats, options: TrackerOptions):
        self.numbers: tuple[int, ...] = (number,)
        self.start_s = self.born_s = time_s
        self.born_place = place
        self.motion = Motion(time_s, place, options)
        self.hits = 0
        self.score_sum = 0.0
        self.recent = vector
        self.vector_sum = vector.copy()
        self.is_settled = False

    @property
    def seen_s(self) -> float:
        """When the person was last seen, seconds of the clip."""
        return self.motion.time_s

    def remember(self, vector: Floats, keep: float) -> None:
        """Take the vector of a well visible detection into the recent and the whole appearance."""
        self.recent = unit(keep * self.recent + (1 - keep) * vector)
        self.vector_sum += vector

    def continue_from(self, earlier: Fragment) -> None:
        """Become the later part of the person who was `earlier`."""
        self.numbers = earlier.numbers + self.numbers
        self.start_s = earlier.start_s
        self.hits += earlier.hits
        self.score_sum += earlier.score_sum
        self.vector_sum += earlier.vector_sum

    def track(self, options: TrackerOptions) -> Track:
        """What it is now that it is over."""
        score = self.score_sum / self.hits
        is_sure = (
            self.hits >= options.min_hits
            and self.seen_s - self.start_s >= options.min_duration_s
            and score >= options.min_score
        )
        return Track(self.numbers, self.start_s, self.seen_s, self.hits, score, is_sure)


class Likeness:
    """What a cosine means in this clip, learned from what is certainly one person and certainly two.

    Embedders and cameras differ much in how alike they make people look; no fixed threshold fits all.
    """

    def __init__(self, options: TrackerOptions) -> None:
        self._weight = options.appearance_weight
        self._same = self._different = _PRIOR_COSINES
        self._same_sum = options.same_cosine * _PRIOR_COSINES
        self._different_sum = options.different_cosine * _PRIOR_COSINES

    def learn(self, cosines: Floats) -> None:
        """Take (N, N) cosines of N people of one frame, a moment ago (rows) and now (columns)."""
        count, own = len(cosines), float(np.trace(cosines))
        self._same += count
        self._same_sum += own
        self._different += count * (count - 1)
        self._different_sum += float(cosines.sum()) - own

    @property
    def most(self) -> float:
        """The log-odds of looking entirely alike."""
        return self._weight * (_MOST_SPANS - 0.5)

    def odds(self, cosines: Floats) -> Floats:
        """Log-odds of "one person": 0 half way between the two usual cosines, and where there is none."""
        different = self._different_sum / self._different
        span = max(self._same_sum / self._same - different, 0.1)
        odds = self._weight * (np.clip((cosines - different) / span, 0.0, _MOST_SPANS) - 0.5)
        return np.asarray(np.where(np.isfinite(odds), odds, 0.0))


def unit(vector: Floats) -> Floats:
    """`vector` at length 1."""
    return np.asarray(vector / max(math.sqrt(vector @ vector), 1e-12))
