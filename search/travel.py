"""How far somebody gets in a given time: where a person who was here then is to be expected now.

Owns the model of movement and its numbers. Knows no archive, no camera and no clock time.

The person stays around, walks, or takes a bus or the subway. Somebody on their way has gone any share of the
way that the time allows, each equally likely, and goes no further than people in their state do. Distances
are along the great circle; streets are longer by a detour.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]
AgeGroup = Literal["child", "adult", "elder"]

DOUBT = 0.03
"""How often a report of where somebody was last seen is of no use (assumption). What is left then is the
same everywhere, so that no place and time speaks more than 3.5 nats against anybody."""
MOST = 4.0
"""Nats that a place and time can speak for somebody: the model is too rough for more (assumption)."""

_DETOUR = 1.3  # streets against the straight line; assumption
_BLUR_M = 100.0  # how exactly a place is known, and how far a camera sees; assumption
_BLUR = 0.1  # the same as a share of the distance; assumption
_AROUND_M = 150.0  # how far somebody moves who stays; assumption
_BEFORE = 0.3  # weight of a time before that of the report; assumption
_TAIL = 1.3  # of how far people go: one in twenty ten times as far as half of them; assumption
_BINS, _TIMES = 32, 24  # of distances and times that are averaged over
_NEAREST_M, _FIRST_S = 50.0, 30.0
_Z = [NormalDist().inv_cdf((k + 0.5) / 5) for k in range(5)]


@dataclass(frozen=True)
class Means:
    """One way to move.

    Attributes:
        share: how many take it.
        speeds_m_s: on the way, stops included, equally likely.
        waits_s: before it begins, equally likely.
        median_m: half of the people go further in the end.
    """

    share: float
    speeds_m_s: tuple[float, ...]
    waits_s: tuple[float, ...]
    median_m: float


def _foot(share: float, mean_m_s: float, spread_m_s: float, median_m: float) -> Means:
    return Means(share, tuple(mean_m_s + spread_m_s * z for z in _Z), (0.0,), median_m)


def _bus(share: float) -> Means:
    return Means(share, (3.5, 5.5), (240.0, 840.0), 4000.0)  # to the stop, and until it comes


def _subway(share: float) -> Means:
    return Means(share, (8.0,), (480.0, 1080.0), 8000.0)  # to the platform, and out again


MEANS: dict[AgeGroup, tuple[Means, ...]] = {
    "child": (_foot(0.65, 1.1, 0.25, 1500.0), _bus(0.08), _subway(0.04)),
    "adult": (_foot(0.6, 1.35, 0.22, 2560.0), _bus(0.15), _subway(0.1)),
    "elder": (_foot(0.62, 1.0, 0.25, 880.0), _bus(0.08), _subway(0.05)),
}
"""By age group; who takes none of them stays around.

Walking speeds: adults 1.35 m/s and elders 1.0 m/s, after normal gait speeds between 1.43 m/s (men in their
forties) and 0.94 m/s (women of eighty and more; Bohannon & Andrews 2011, Normal walking speed: a descriptive
meta-analysis, Physiotherapy 97). How far people go: adults 2.56 km and elders 0.88 km, the mean
straight-line distances at which lost elders without and with dementia were found (Koester & Stooksbury
1995, as quoted in later literature; the means are taken for medians). All shares, the values of children,
and those of bus and subway are assumptions.
"""


def walking_m(seconds: float, age: AgeGroup) -> float:
    """How far along the great circle somebody of middling speed gets on foot without a rest, metres."""
    speeds = MEANS[age][0].speeds_m_s
    return seconds * sum(speeds) / len(speeds) / _DETOUR


def density(metres: F64, seconds: F64, age: AgeGroup, within_s: float = 0.0) -> F64:
    """Where somebody is to be expected: the probability by square metre.

    Args:
        metres: distances from where they were; broadcast against
        seconds: since then; before it where negative, which counts less, for they were known to be elsewhere.
        age: group.
        within_s: the time of then is right within so many seconds.

    Returns:
        1/m², of the broadcast shape: never rises with the distance.
    """
    width = np.maximum(_BLUR_M, metres * _BLUR)
    inner, outer = np.maximum(metres - width, 0.0), metres + width
    area = np.pi * (outer**2 - inner**2)
    offsets = np.linspace(-5 / 6, 5 / 6, 6) * within_s if within_s else np.zeros(1)
    sums = np.zeros(np.broadcast_shapes(metres.shape, seconds.shape))
    for offset in offsets:
        elapsed = np.asarray(seconds - offset)
        ring = _further(inner, np.abs(elapsed), age) - _further(outer, np.abs(elapsed), age)
        sums += np.where(elapsed < 0, _BEFORE, 1.0) * ring
    return np.asarray(sums / (len(offsets) * area))


def _further(metres: F64, elapsed: F64, age: AgeGroup) -> F64:
    """The probability to be further away than this by now."""
    around = np.exp(-((metres / _AROUND_M) ** 2) / 2)
    moving = np.zeros(np.broadcast_shapes(metres.shape, elapsed.shape))
    staying = np.ones(elapsed.shape)
    for means in MEANS[age]:
        way = 1 / (1 + (metres / means.median_m) ** _TAIL)  # log-logistic: many near, some very far
        pairs = [(speed, wait) for speed in means.speeds_m_s for wait in means.waits_s]
        for speed, wait in pairs:
            reach = np.maximum(elapsed - wait, 0.0) * speed / _DETOUR
            gone = reach > 0
            share = means.share / len(pairs)
            moving += share * way * np.where(gone, np.maximum(1 - metres / np.where(gone, reach, 1), 0), 0)
            staying -= share * gone
    return np.asarray(moving + staying * around)


def mean_density(metres: F64, since_s: float, until_s: float, age: AgeGroup) -> float:
    """The mean of `density` over cameras and a time, what it would be for somebody who may be anywhere.

    Args:
        metres: (C,) how far away each camera in scope is, at least one.
        since_s, until_s: the time in scope, seconds since the person was there; not empty.
        age: group.
    """
    edges = np.geomspace(_NEAREST_M, max(float(metres.max()), 2 * _NEAREST_M), _BINS)
    place = np.searchsorted(edges, metres)
    counts = np.bincount(place, minlength=_BINS + 1)
    sums = np.bincount(place, metres, minlength=_BINS + 1)
    filled = counts > 0
    longest = max(abs(since_s), abs(until_s), 2 * _FIRST_S)
    steps = np.geomspace(_FIRST_S, longest, _TIMES)
    bounds = np.unique(np.clip(np.concatenate([-steps, [0.0], steps]), since_s, until_s))
    middles, widths = (bounds[1:] + bounds[:-1]) / 2, np.diff(bounds)
    expected = density((sums[filled] / counts[filled])[:, None], middles[None], age)
    return float((counts[filled] @ expected @ widths) / (len(metres) * (until_s - since_s)))


def log_ratio(expected: F64, anywhere: float, doubt: float = DOUBT) -> F64:
    """Natural log of how much likelier a sighting is if it shows the person than if somebody else.

    Args:
        expected: `density` at its place and time.
        anywhere: `mean_density` over all that was searched, the same for everybody else.
        doubt: how often what is known of the person is of no use.

    Returns:
        Between the log of `doubt` and `MOST`, bent towards it so that the order stays.
    """
    ratio = expected / anywhere
    return np.asarray(np.log((1 - doubt) * ratio / (1 + ratio * np.exp(-MOST)) + doubt))
