"""Follows people through one clip: detections of successive frames become tracks.

Owns the motion model, the association of detections to tracks, and the stitching of fragments into
one track per person. Knows no picture, no model and no calendar: time is seconds of the clip, a person
is a box and a unit vector. The only module that imports scipy.

Every decision is a log-odds, "these two are one person" against "they are two": how well the place
fits the expected one, plus how alike the vectors are. Detections are associated in a cascade, certain
ones first (Zhang et al. 2022, "ByteTrack"), and a track that misses its detections for a moment ends.
Whole fragments, which can be judged better than single boxes, are then linked end to start with the
same odds. Places are Kalman-filtered in continuous time, so frames may come at any, varying rate.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from reid.boxes import Boxes, Detections, area, intersection

Floats = NDArray[np.float64]

_CERTAIN_HITS = 3
_CERTAIN_HIDDEN = 0.2
_PRIOR_COSINES = 50.0
"""The expected cosines of `TrackerOptions` count as much as this many seen ones."""


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


class _Motion:
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


class _Fragment:
    """One person followed without a break: where, since when, looking how."""

    def __init__(self, number: int, time_s: float, place: Floats, vector: Floats, options: TrackerOptions):
        self.numbers: tuple[int, ...] = (number,)
        self.start_s = self.born_s = time_s
        self.born_place = place
        self.motion = _Motion(time_s, place, options)
        self.hits = 0
        self.score_sum = 0.0
        self.recent = vector
        self.vector_sum = vector.copy()
        self.is_settled = False

    @property
    def seen_s(self) -> float:
        return self.motion.time_s

    def remember(self, vector: Floats, keep: float) -> None:
        """Take the vector of a well visible detection into the recent and the whole appearance."""
        self.recent = _unit(keep * self.recent + (1 - keep) * vector)
        self.vector_sum += vector

    def continue_from(self, earlier: _Fragment) -> None:
        """Become the later part of the person who was `earlier`."""
        self.numbers = earlier.numbers + self.numbers
        self.start_s = earlier.start_s
        self.hits += earlier.hits
        self.score_sum += earlier.score_sum
        self.vector_sum += earlier.vector_sum

    def track(self, options: TrackerOptions) -> Track:
        score = self.score_sum / self.hits
        is_sure = (
            self.hits >= options.min_hits
            and self.seen_s - self.start_s >= options.min_duration_s
            and score >= options.min_score
        )
        return Track(self.numbers, self.start_s, self.seen_s, self.hits, score, is_sure)


class _Likeness:
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

    def odds(self, cosines: Floats) -> Floats:
        """Log-odds of "one person": 0 half way between the two usual cosines."""
        different = self._different_sum / self._different
        span = max(self._same_sum / self._same - different, 0.1)
        return np.asarray(self._weight * (np.clip((cosines - different) / span, 0.0, 1.2) - 0.5))


class Tracker:
    """Follows the people of one clip; each clip needs its own. Numbers count up from 0.

    Every number `update` gives out comes back exactly once, in a `Track` of `finished` or `flush`. That
    takes at most `coast_s + stitch_s` seconds of the clip after the person was last seen (and a frame
    after that), so a clip of any length needs bounded memory.
    """

    def __init__(self, options: TrackerOptions | None = None) -> None:
        self._options = options or TrackerOptions()
        self._likeness = _Likeness(self._options)
        self._active: list[_Fragment] = []
        self._ended: list[_Fragment] = []
        self._next_number = 0
        self._now_s = -math.inf

    def update(self, time_s: float, found: Detections, vectors: NDArray[np.float32]) -> NDArray[np.int64]:
        """Take the next frame.

        Args:
            time_s: seconds of the clip, later than the frame before; any step, any gap.
            found: the people detected.
            vectors: (N, D) float32, the unit vector of each detection.

        Returns:
            (N,) int64 number of each detection's track, -1 for one that belongs to none. A number is
            given from a person's first detection on; whether to keep it tells `Track.is_sure`.

        Raises:
            ValueError: time does not advance, or not one vector per detection.
        """
        if not time_s > self._now_s:
            raise ValueError(
                f"expected a time after {self._now_s} s, got {time_s} s: frames must be in order"
            )
        if vectors.ndim != 2 or len(vectors) != len(found):
            raise ValueError(f"expected one vector per detection ({len(found)}), got {vectors.shape}")
        self._now_s = time_s
        self._end(time_s - self._options.coast_s)
        units = vectors.astype(np.float64)
        hidden = _hidden_shares(found.boxes)
        pairs = self._cascade(found, units)
        self._learn([(track, row) for track, row in pairs if hidden[row] <= _CERTAIN_HIDDEN], units)
        numbers = np.full(len(found), -1, np.int64)
        for track, row in pairs:
            self._follow(track, found, units, row, visible=hidden[row] <= self._options.max_hidden)
            numbers[row] = track.numbers[-1]
        self._start(found, units, numbers)
        self._stitch(time_s - self._options.coast_s)
        return numbers

    def finished(self) -> list[Track]:
        """The tracks that became complete since the last call."""
        limit = self._now_s - self._options.stitch_s - self._options.coast_s
        return self._hand_out([track for track in self._ended if track.seen_s < limit])

    def flush(self) -> list[Track]:
        """All tracks not handed out yet; the clip is over."""
        self._end(math.inf)
        self._stitch(math.inf)
        return self._hand_out(self._ended)

    def _hand_out(self, done: list[_Fragment]) -> list[Track]:
        self._ended = [track for track in self._ended if track not in done]
        return [track.track(self._options) for track in done]

    def _cascade(self, found: Detections, units: Floats) -> list[tuple[_Fragment, int]]:
        """Which track each detection continues: high scores choose first, low ones among the rest."""
        options = self._options
        high = found.scores >= options.high_score
        low = (found.scores >= options.low_score) & ~high
        pairs: list[tuple[_Fragment, int]] = []
        waiting = self._active
        for rows in (np.flatnonzero(high), np.flatnonzero(low)):
            new = self._associate(waiting, found.boxes[rows], units[rows])
            pairs += [(waiting[place], int(rows[column])) for place, column in new]
            taken = {place for place, _ in new}
            waiting = [track for place, track in enumerate(waiting) if place not in taken]
        return pairs

    def _associate(self, tracks: Sequence[_Fragment], boxes: Boxes, units: Floats) -> list[tuple[int, int]]:
        """(track, box) places of the pairing with the highest total odds; only pairs with odds above 0."""
        if not tracks or not len(boxes):
            return []
        ahead = np.array([track.motion.forecast(self._now_s) for track in tracks])
        cosines = np.stack([track.recent for track in tracks]) @ units.T
        odds = self._motion_odds(ahead, _places(boxes)) + self._likeness.odds(cosines)
        rows, columns = linear_sum_assignment(np.maximum(odds, 0.0), maximize=True)
        pairs = zip(rows.tolist(), columns.tolist(), strict=True)
        return [(row, column) for row, column in pairs if odds[row, column] > 0]

    def _motion_odds(self, ahead: Floats, places: Floats) -> Floats:
        """(T, N) log-odds from forecasts (T, 4) and places (N, 3), without appearance.

        Gaussian in centre and log-height, against people spread evenly over the picture.
        """
        x, y, height, var = (column[:, None] for column in ahead.T)
        total = var + self._options.position_noise**2
        distance = ((places[:, 0] - x) ** 2 + (places[:, 1] - y) ** 2) / (height**2 * total)
        growth = np.log(places[:, 2] / height) / self._options.size_noise
        return np.asarray(self._options.prior - (distance + growth**2) / 2 - np.log(total))

    def _learn(self, pairs: Sequence[tuple[_Fragment, int]], units: Floats) -> None:
        """Let the clip teach the likeness, from well visible people followed for a while."""
        pairs = [(track, row) for track, row in pairs if track.hits >= _CERTAIN_HITS]
        if pairs:
            before = np.stack([track.recent for track, _ in pairs])
            self._likeness.learn(before @ units[[row for _, row in pairs]].T)

    def _follow(self, track: _Fragment, found: Detections, units: Floats, row: int, *, visible: bool) -> None:
        options, score = self._options, float(found.scores[row])
        is_high = score >= options.high_score
        # Low scores are mostly half-hidden people, whose boxes are cut.
        noise = options.position_noise * (1 if is_high else 2)
        track.motion.follow(self._now_s, _places(found.boxes[row : row + 1])[0], noise)
        track.hits += 1
        track.score_sum += score
        if is_high and visible:
            track.remember(units[row], options.vector_keep)

    def _start(self, found: Detections, units: Floats, numbers: NDArray[np.int64]) -> None:
        """Begin tracks from the sure detections left over, filling in `numbers`."""
        options = self._options
        candidates = (numbers < 0) & (found.scores >= options.start_score)
        for row in np.argsort(-found.scores, kind="stable"):
            box, tracked = found.boxes[row : row + 1], found.boxes[numbers >= 0]
            if not candidates[row] or _smaller_share(box, tracked) > options.start_overlap:
                continue
            track = _Fragment(self._next_number, self._now_s, _places(box)[0], units[row], options)
            track.hits, track.score_sum = 1, float(found.scores[row])
            self._next_number += 1
            self._active.append(track)
            numbers[row] = track.numbers[-1]

    def _end(self, before_s: float) -> None:
        """End the tracks last seen before `before_s`."""
        self._ended += [track for track in self._active if track.seen_s < before_s]
        self._active = [track for track in self._active if track.seen_s >= before_s]

    def _stitch(self, born_until_s: float) -> None:
        """Link each fragment born until then, once, to the ended one it continues, if any.

        All that was lost before it was born has ended by then (`coast_s`), and it has itself been seen
        for a while.
        """
        fragments = [*self._ended, *self._active]
        for later in sorted(fragments, key=lambda fragment: fragment.born_s):
            if later.is_settled or later.born_s > born_until_s:
                continue
            later.is_settled = True
            earlier = self._predecessor(later)
            if earlier is not None:
                later.continue_from(earlier)
                self._ended.remove(earlier)

    def _predecessor(self, later: _Fragment) -> _Fragment | None:
        options = self._options
        candidates = [
            fragment
            for fragment in self._ended
            if 0 < later.born_s - fragment.seen_s <= options.stitch_s
            and min(fragment.hits, later.hits) >= options.min_hits
        ]
        if not candidates:
            return None
        odds = np.array([self._link_odds(fragment, later) for fragment in candidates])
        best = int(np.argmax(odds))
        next_best = np.delete(odds, best).max(initial=-math.inf)
        if odds[best] < options.stitch_odds or odds[best] - next_best < options.stitch_margin:
            return None
        return candidates[best]

    def _link_odds(self, earlier: _Fragment, later: _Fragment) -> float:
        ahead = np.array([earlier.motion.forecast(later.born_s)])
        cosine = _unit(earlier.vector_sum) @ _unit(later.vector_sum)
        odds = self._motion_odds(ahead, later.born_place[None]) + self._likeness.odds(cosine)
        return float(odds[0, 0])


def _places(boxes: Boxes) -> Floats:
    """(N, 3) centre x, centre y and height of `boxes`, pixels."""
    left, top, right, bottom = boxes.T.astype(np.float64)
    return np.stack([(left + right) / 2, (top + bottom) / 2, bottom - top], axis=1)


def _unit(vector: Floats) -> Floats:
    return np.asarray(vector / max(math.sqrt(vector @ vector), 1e-12))


def _hidden_shares(boxes: Boxes) -> NDArray[np.float32]:
    """(N,) the largest part of each box that one box standing nearer, lower in the picture, covers."""
    shares = intersection(boxes, boxes) / np.maximum(area(boxes)[:, None], 1e-9)
    nearer = boxes[None, :, 3] > boxes[:, None, 3]
    return np.asarray(np.where(nearer, shares, 0.0).max(axis=1, initial=0.0), np.float32)


def _smaller_share(box: Boxes, others: Boxes) -> float:
    """The largest part of the smaller of two boxes, `box` (1, 4) and one of `others`, that both cover."""
    smaller = np.minimum(area(box)[:, None], area(others)[None, :])
    return float((intersection(box, others) / np.maximum(smaller, 1e-9)).max(initial=0.0))
