"""How far the clocks of two cameras are apart, told by people who walk from one to the other.

Somebody who leaves the first camera is before the second a walk later, and who comes from there was there a
walk earlier: the differences of their times lie on both sides of the difference of the clocks, at a walk's
distance, and the walk cancels. Nobody knows who is the same person: of the pairs most alike some are right,
and the wrong ones lie anywhere. So every difference of clocks is weighed by how well it explains the times of
all pairs, as a mixture of walks and of chance (Bayes, by a grid over what is unknown). Owns the arithmetic;
knows no archive.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]
F32 = NDArray[np.float32]

MOST_APART_S = 45_000.0
"""Clocks are taken to be less than twelve and a half hours apart: a zone or a daylight hour, not a date."""
FEWEST_PEOPLE = 5.0
"""Of fewer pairs that seem right, nothing is said."""

_STEP_S = 2.0  # of the grid of differences
_SPEED = 1.13  # metres a second, median; a fifth either way: 0.8 to 1.6
_LOG_SPREAD = 0.2  # of walking times
_INDIRECT, _LOG_INDIRECT, _LONGER = 0.35, 0.8, 2.0  # the share that stops, or goes by another place, and how
_BEYOND_M = 5.0  # from where somebody is last seen here to where first there, besides the way between
_BLUR_S = 4.0  # of when exactly somebody passes
_DETOURS = (1.0, 1.15, 1.35, 1.6, 2.0)  # the way walked over the straight one
_FORWARD = (
    0.03,
    0.2,
    0.35,
    0.5,
    0.65,
    0.8,
    0.97,
)  # the share of those who walk to the second camera
_IS_ONE_WAY = np.tile([share in (_FORWARD[0], _FORWARD[-1]) for share in _FORWARD], len(_DETOURS))
_REACH = 4.0  # straight walks: what takes longer is not told from chance
_LEVELS = (-3.0, -1.5, 0.0, 1.5)  # log-odds that a pair of middling likeness is right
_SLOPES = (0.0, 1.0, 2.0)  # by how much they grow with likeness, by its spread
_MOST_PAIRS = 400
_LIKELIEST = 3  # of levels and slopes, that are gone on with
_BIN_S, _SMOOTH_BINS, _FLOOR = 60.0, 10, 0.05  # of what chance gives
_SURE = 0.995
_WORTH = 20.0  # natural logs below the best: what is further has no weight
_LEAST_ERROR_S = 1.0
_MODEL = 0.03  # of a walk


@dataclass(frozen=True)
class Passages:
    """People who passed a camera.

    Attributes:
        vectors: (N, D) float32 unit rows, the camera's mean taken out.
        times_s: (N,) float64 seconds, in the middle of each passage; since a moment all cameras share.
    """

    vectors: F32
    times_s: F64


@dataclass(frozen=True)
class Apart:
    """What two cameras say of their clocks.

    Attributes:
        seconds: by how much the second clock is ahead of the first.
        error_s: its standard deviation.
        people: about how many pairs are right.
    """

    seconds: float
    error_s: float
    people: float


def clocks_apart(first: Passages, second: Passages, metres: float) -> Apart | None:
    """How far two clocks are apart; None when too little tells.

    Args:
        first, second: passages of two cameras. metres: between them, along a straight line.
    """
    if min(len(first.times_s), len(second.times_s)) < FEWEST_PEOPLE:
        return None
    walks = _walks(metres)
    differences, odds = _pairs(first, second)
    by_chance = _chance(first.times_s, second.times_s, differences)
    count = round(2 * MOST_APART_S / _STEP_S) + 1
    coarse = _Explained(differences, by_chance, odds, -MOST_APART_S, count)
    found = coarse.by(walks.mean(axis=0, keepdims=True))[0]
    at = int(found.max(axis=0).argmax())
    reach = walks.shape[1] // 2
    low, high = max(at - reach, 0), min(at + reach, count - 1)
    everywhere = _log_mean(found)
    here = _log_mean(found[:, low : high + 1]) + np.log((high + 1 - low) / count)
    if here - np.logaddexp(everywhere, 0.0) < np.log(_SURE):  # 0: nobody is the same, all is chance
        return None
    worth = np.flatnonzero(found.max(axis=0)[low : high + 1] > found.max() - _WORTH)
    low, high = low + int(worth[0]), low + int(worth[-1])
    likeliest = odds[np.argsort(-found[:, low : high + 1].max(axis=1))[:_LIKELIEST]]
    begin = low * _STEP_S - MOST_APART_S
    fine = _Explained(differences, by_chance, likeliest, begin, high + 1 - low)
    return _told(fine, walks, _median_s(metres, 1.0))


def _told(fine: _Explained, walks: F64, walk_s: float) -> Apart | None:
    """Mean and spread over all detours, directions and odds.

    People do not walk quite as they are taken to; and where nearly all go one way, their walk does not
    cancel, and the difference before it is nearly as good as the one after it.
    """
    found = fine.by(walks)
    joint = np.exp(found - found.max())
    joint /= joint.sum()
    weight = joint.sum(axis=(0, 1))
    one_way = float(joint.sum(axis=(1, 2))[_IS_ONE_WAY].sum())
    grid = fine.begin_s + _STEP_S * np.arange(fine.count)
    seconds = float(weight @ grid)
    error = float(np.sqrt(weight @ (grid - seconds) ** 2))
    way, share, _ = np.unravel_index(int(found.argmax()), found.shape)
    people = fine.people(walks[way], int(share), seconds)
    error = float(np.sqrt(max(error, _LEAST_ERROR_S) ** 2 + (_MODEL**2 + one_way) * walk_s**2))
    return Apart(seconds, error, people) if people >= FEWEST_PEOPLE else None


class _Explained:
    """Pairs to be explained by people who walk, each difference of the clocks for itself.

    Args:
        differences: (P,) seconds. by_chance: (P,) how dense such differences are, a second, for no reason.
        odds: (J, P) that a pair is right, J ways of seeing it.
        begin_s, count: differences of clocks that are tried, `_STEP_S` apart.
    """

    def __init__(self, differences: F64, by_chance: F64, odds: F64, begin_s: float, count: int) -> None:
        self.begin_s, self.count = begin_s, count
        self._differences, self._by_chance, self._odds = differences, by_chance, odds

    def by(self, walks: F64) -> F64:
        """(K, J, count) how much better, in natural logs, than chance alone.

        Args:
            walks: (K, 2 R + 1) densities of walks from R steps back to R forward, a second.
        """
        reach = walks.shape[1] // 2
        cells = np.round((self._differences - self.begin_s) / _STEP_S).astype(np.int64)
        target = cells[:, None] - np.arange(-reach, reach + 1)
        good = (target >= 0) & (target < self.count)
        pair, step = np.nonzero(good)
        target = target[good]
        found = np.empty((len(walks), len(self._odds), self.count))
        for k, walk in enumerate(walks):
            ratio = walk[step] / self._by_chance[pair]
            for j, odds in enumerate(self._odds):
                better = np.bincount(target, np.log1p(odds[pair] * ratio), self.count)
                found[k, j] = better - np.log1p(odds).sum()
        return found

    def people(self, walk: F64, share: int, seconds: float) -> float:
        """How many pairs are expected to be right, by one density of walks and one way of seeing the odds."""
        reach = len(walk) // 2
        steps = np.round((self._differences - seconds) / _STEP_S).astype(np.int64) + reach
        inside = (steps >= 0) & (steps < len(walk))
        ratio = self._odds[share][inside] * walk[steps[inside]] / self._by_chance[inside]
        return float((ratio / (1 + ratio)).sum())


def _pairs(first: Passages, second: Passages) -> tuple[F64, F64]:
    """Pairs each of which is most alike for both: (P,) seconds that the second is later, (J, P) odds."""
    alike = first.vectors @ second.vectors.T
    later = second.times_s[None] - first.times_s[:, None]
    alike[np.abs(later) > MOST_APART_S] = -np.inf
    best = alike.argmax(axis=1)
    rows = np.flatnonzero(alike.argmax(axis=0)[best] == np.arange(len(best)))
    rows = rows[np.isfinite(alike[rows, best[rows]])]
    rows = rows[np.argsort(-alike[rows, best[rows]], kind="stable")[:_MOST_PAIRS]]
    scores = alike[rows, best[rows]].astype(np.float64)
    spread = max(float(scores.std()), 1e-6) if len(scores) else 1.0
    above = np.clip((scores - (np.median(scores) if len(scores) else 0.0)) / spread, -3, 3)
    odds = np.exp([level + slope * above for level in _LEVELS for slope in _SLOPES])
    return later[rows, best[rows]], odds


def _chance(first_s: F64, second_s: F64, differences: F64) -> F64:
    """(P,) how dense differences are about each of these, a second, if who passes here never passed there."""
    begin = min(first_s.min(), second_s.min())
    bins = int((max(first_s.max(), second_s.max()) - begin) // _BIN_S) + 1
    counts = [
        np.bincount(((s - begin) // _BIN_S).astype(np.int64), minlength=bins) for s in (first_s, second_s)
    ]
    together = np.convolve(counts[1].astype(np.float64), counts[0][::-1].astype(np.float64))
    width = 2 * _SMOOTH_BINS + 1
    smooth = np.convolve(together, np.full(width, 1 / width), "same")
    lags = (np.arange(len(smooth)) - (bins - 1)) * _BIN_S
    smooth[np.abs(lags) > MOST_APART_S] = 0
    density = smooth / max(float(smooth.sum()) * _BIN_S, 1e-9)
    return (1 - _FLOOR) * np.interp(differences, lags, density) + _FLOOR / (2 * MOST_APART_S)


@lru_cache(maxsize=64)
def _walks(metres: float) -> F64:
    """(K, 2 R + 1) densities of the seconds that a walk takes, to the second camera or from it."""
    reach = int(np.ceil((_median_s(metres, 1.0) * _REACH + 3 * _BLUR_S) / _STEP_S))
    seconds: F64 = np.arange(-reach, reach + 1, dtype=np.float64) * _STEP_S
    blur = np.exp(-0.5 * (seconds / _BLUR_S) ** 2)
    found = []
    for detour in _DETOURS:
        middle = _median_s(metres, detour)
        there = np.convolve(_log_normal(seconds, middle, _LOG_SPREAD), blur / blur.sum(), "same")
        around = _log_normal(seconds, middle * _LONGER, _LOG_INDIRECT)
        around = _INDIRECT * (around + around[::-1]) / 2
        found += [
            (1 - _INDIRECT) * (share * there + (1 - share) * there[::-1]) + around for share in _FORWARD
        ]
    return np.stack(found)


def _median_s(metres: float, detour: float) -> float:
    return (metres * detour + _BEYOND_M) / _SPEED


def _log_normal(seconds: F64, median: float, spread: float) -> F64:
    taken = np.maximum(seconds, 1e-3)
    density = np.exp(-0.5 * (np.log(taken / median) / spread) ** 2) / (taken * spread * np.sqrt(2 * np.pi))
    return np.where(seconds > 0, density, 0.0)


def _log_mean(logs: F64) -> float:
    highest = float(logs.max())
    counting = logs[logs > highest - 2 * _WORTH]
    return highest + float(np.log(np.exp(counting - highest).sum() / logs.size))
