"""Follows people through one clip: detections of successive frames become tracks.

Owns the motion model, the association of detections to tracks, and the stitching of fragments into
one track per person. Knows no picture, no model, no calendar: time is seconds of the clip, a person
is a box and a unit vector. The only module that imports scipy.

Every decision is a log-odds, "these two are one person" against "they are two": a motion part (how
well the box lies where the track is expected) plus an appearance part (how alike the vectors are, on
the scale of this very clip). Frame association cascades from sure to unsure detections (ByteTrack,
Zhang et al. 2022); after that whole fragments are linked, end to start, with the same odds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from reid.boxes import Boxes, Detections, area, intersection

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class TrackerOptions:
    """How people are followed. Lengths are in box heights, so one setting fits every camera.

    Attributes:
        start_score: a track starts from a detection scored at least this, 0..1.
        high_score: detections scored at least this are associated first, by motion and appearance.
        low_score: detections below this are ignored.
        coast_s: seconds a track waits for its next detection before it ends.
        stitch_s: seconds after its end within which a track may go on as a later one; 0 turns it off.
        settle_s: seconds a new track is observed before it may be taken for an earlier one's sequel.
        stitch_odds: log-odds a link between two fragments must reach; higher splits rather than fuses.
        stitch_margin: log-odds by which the best link must beat its rivals.
        speed_noise: random change of speed, heights / second per square root of a second.
        position_noise: standard deviation of a detected box's place, heights.
        start_speed: standard deviation of a new track's unknown speed, heights / second.
        memory_s: seconds over which a lost track's speed fades.
        appearance_weight: log-odds between vectors as alike as one person's and as two people's are.
        prior: log-odds before any evidence.
        min_hits: detections a track needs to be sure.
        min_duration_s: seconds between first and last detection a track needs to be sure.
        min_score: mean score of its detections a track needs to be sure.
    """

    start_score: float = 0.4
    high_score: float = 0.2
    low_score: float = 0.1
    coast_s: float = 2.0
    stitch_s: float = 5.0
    settle_s: float = 1.0
    stitch_odds: float = 0.0
    stitch_margin: float = 0.5
    speed_noise: float = 0.6
    position_noise: float = 0.1
    start_speed: float = 0.7
    memory_s: float = 2.0
    appearance_weight: float = 6.0
    prior: float = -1.0
    min_hits: int = 3
    min_duration_s: float = 0.5
    min_score: float = 0.35
    max_hidden: float = 0.5
    start_overlap: float = 0.7
    vector_keep: float = 0.9
    same_cosine: float = 0.75
    different_cosine: float = 0.15
    middle: float = 0.55
    size_noise: float = 0.15
    stitch_appearance: float = 1.0
    tail: float = 12.0


@dataclass(frozen=True)
class Track:
    """One person's passage through the clip, complete: no number in it will ever be given again.

    Attributes:
        numbers: what `Tracker.update` called the person, in order of time; several when fragments
            were stitched.
        start_s, end_s: first and last detection, seconds of the clip.
        hits: detections.
        score: mean score of the detections, 0..1.
        is_sure: False for what is too short or too faint to be taken for a person.
    """

    numbers: tuple[int, ...]
    start_s: float
    end_s: float
    hits: int
    score: float
    is_sure: bool


class _Fragment:
    """A track without interruption: how it began, what it looks like, where it is now.

    Places are pixels of the picture, speeds pixels / second, variances squares of the box height.
    """

    def __init__(self, number: int, time_s: float, box: Floats, vector: Floats, options: TrackerOptions):
        self.options = options
        self.numbers = (number,)
        self.start_s = self.born_s = self.seen_s = time_s
        self.hits = 0
        self.score_sum = 0.0
        self.x, self.y, self.width, self.height = _middle(box)
        self.born_x, self.born_y, self.born_height = self.x, self.y, self.height
        self.speed_x = self.speed_y = 0.0
        self.place_var = options.position_noise**2
        self.cross_var = 0.0
        self.speed_var = options.start_speed**2
        self.vector = vector
        self.vector_sum = np.zeros_like(vector)
        self.is_settled = False

    def forecast(self, time_s: float) -> tuple[float, float, float]:
        """Expected place at `time_s` in pixels and its variance in square heights (speed fades)."""
        dt = time_s - self.seen_s
        memory = self.options.memory_s
        reach = memory * (1 - math.exp(-dt / memory))
        var = self.place_var + 2 * reach * self.cross_var + reach * reach * self.speed_var
        return (
            self.x + reach * self.speed_x,
            self.y + reach * self.speed_y,
            var + self.options.speed_noise**2 * dt**3 / 3,
        )

    def follow(self, time_s: float, box: Floats, score: float, noise: float) -> None:
        """Kalman update with a detection of this track; `noise` is the box's place error in heights."""
        x, y, width, height = _middle(box)
        dt = time_s - self.seen_s
        reach = self.options.memory_s * (1 - math.exp(-dt / self.options.memory_s))
        ahead_x, ahead_y, var = self.forecast(time_s)
        cross = self.cross_var + reach * self.speed_var + self.options.speed_noise**2 * dt * dt / 2
        speed_var = self.speed_var + self.options.speed_noise**2 * dt
        total = var + noise * noise
        gain, speed_gain = var / total, cross / total
        self.x, self.y = ahead_x + gain * (x - ahead_x), ahead_y + gain * (y - ahead_y)
        self.speed_x += speed_gain * (x - ahead_x)
        self.speed_y += speed_gain * (y - ahead_y)
        self.place_var, self.cross_var = var * (1 - gain), cross * (1 - gain)
        self.speed_var = speed_var - speed_gain * cross
        self.width += gain * (width - self.width)
        self.height += gain * (height - self.height)
        self.seen_s = time_s
        self.hits += 1
        self.score_sum += score

    def remember(self, vector: Floats) -> None:
        """Take the vector of an unhidden detection into the recent and the whole appearance."""
        self.vector = _unit(self.options.vector_keep * self.vector + (1 - self.options.vector_keep) * vector)
        self.vector_sum += vector

    def continue_from(self, earlier: _Fragment) -> None:
        """Become the later part of the person who was `earlier`."""
        self.numbers = earlier.numbers + self.numbers
        self.start_s = earlier.start_s
        self.hits += earlier.hits
        self.score_sum += earlier.score_sum
        self.vector_sum += earlier.vector_sum

    def track(self) -> Track:
        """What is handed out in the end."""
        options, score = self.options, self.score_sum / self.hits
        is_sure = (
            self.hits >= options.min_hits
            and self.seen_s - self.start_s >= options.min_duration_s
            and score >= options.min_score
        )
        return Track(self.numbers, self.start_s, self.seen_s, self.hits, score, is_sure)


class _Likeness:
    """What a cosine means in this clip: learned from who is certainly one or certainly two people."""

    def __init__(self, options: TrackerOptions) -> None:
        self.options = options
        self.same, self.different = options.same_cosine, options.different_cosine
        self.same_seen = self.different_seen = 50.0

    def learn_same(self, cosines: Floats) -> None:
        self.same_seen += len(cosines)
        self.same += float((cosines - self.same).sum()) / self.same_seen

    def learn_different(self, cosines: Floats) -> None:
        self.different_seen += len(cosines)
        self.different += float((cosines - self.different).sum()) / self.different_seen

    def odds(self, cosines: Floats) -> Floats:
        """Log-odds of "one person", 0 half way between the clip's two kinds of cosine."""
        span = max(self.same - self.different, 0.1)
        return self.options.appearance_weight * (
            np.clip((cosines - self.different) / span, 0, 1.2) - self.options.middle
        )


class Tracker:
    """Follows the people of one clip. Numbers start at 0 in every tracker."""

    def __init__(self, options: TrackerOptions | None = None) -> None:
        self.options = options or TrackerOptions()
        self._likeness = _Likeness(self.options)
        self._active: list[_Fragment] = []
        self._ended: list[_Fragment] = []
        self._next_number = 0
        self._now_s = -math.inf

    def update(self, time_s: float, found: Detections, vectors: NDArray[np.float32]) -> NDArray[np.int64]:
        if time_s <= self._now_s:
            raise ValueError(
                f"expected frames in order of time, got {time_s:.3f} s after {self._now_s:.3f} s"
            )
        if vectors.ndim != 2 or len(vectors) != len(found):
            raise ValueError(f"expected one vector per detection ({len(found)}), got shape {vectors.shape}")
        self._now_s = time_s
        options = self.options
        self._end(lambda track: time_s - track.seen_s > options.coast_s)
        numbers = np.full(len(found), -1, np.int64)
        boxes = found.boxes.astype(np.float64)
        units = vectors.astype(np.float64)
        hidden = _hidden_share(found.boxes)
        high = found.scores >= options.high_score
        low = (found.scores >= options.low_score) & ~high
        left = self._active
        taken: list[tuple[_Fragment, int]] = []
        for rows in (np.flatnonzero(high), np.flatnonzero(low)):
            waiting = left
            pairs = self._associate(time_s, waiting, boxes[rows], units[rows])
            taken += [(waiting[t], int(rows[d])) for t, d in pairs]
            gone = {id(waiting[t]) for t, _ in pairs}
            left = [track for track in left if id(track) not in gone]
        self._learn(taken, units, hidden)
        for track, row in taken:
            score = float(found.scores[row])
            track.follow(time_s, boxes[row], score, options.position_noise * (1 if high[row] else 2))
            if high[row] and hidden[row] < options.max_hidden:
                track.remember(units[row])
            numbers[row] = track.numbers[-1]
        self._start(time_s, found, units, numbers)
        self._stitch(settle_all=False)
        return numbers

    def _associate(self, time_s, tracks, boxes, units):
        if not tracks or not len(boxes):
            return []
        options = self.options
        ahead = np.array([track.forecast(time_s) for track in tracks])
        heights = np.array([track.height for track in tracks])
        x, y, _, height = _middle(boxes.T)
        odds = _motion_odds(ahead, heights, np.stack([x, y, height], 1), options)
        cosines = np.stack([track.vector for track in tracks]) @ units.T
        odds += self._likeness.odds(cosines)
        rows, columns = linear_sum_assignment(-np.maximum(odds, 0.0))
        return [(r, c) for r, c in zip(rows, columns, strict=True) if odds[r, c] > 0.0]

    def _learn(self, taken, units, hidden):
        clear = [(track, row) for track, row in taken if hidden[row] < 0.2 and track.hits >= 3]
        if not clear:
            return
        cosines = np.stack([track.vector for track, _ in clear]) @ units[[row for _, row in clear]].T
        own = np.eye(len(clear), dtype=bool)
        self._likeness.learn_same(cosines[own])
        self._likeness.learn_different(cosines[~own])

    def _start(self, time_s, found, units, numbers):
        options = self.options
        tracked = found.boxes[numbers >= 0]
        for row in np.argsort(-found.scores, kind="stable"):
            if numbers[row] >= 0 or found.scores[row] < options.start_score:
                continue
            box = found.boxes[row : row + 1]
            if (
                len(tracked)
                and (intersection(box, tracked) / np.minimum(area(box)[:, None], area(tracked)[None])).max()
                > options.start_overlap
            ):
                continue
            track = _Fragment(self._next_number, time_s, box[0].astype(np.float64), units[row], options)
            track.follow(time_s, box[0].astype(np.float64), float(found.scores[row]), options.position_noise)
            track.remember(units[row])
            self._next_number += 1
            self._active.append(track)
            numbers[row] = track.numbers[-1]
            tracked = np.concatenate([tracked, box])

    def _end(self, is_over) -> None:
        self._ended += [track for track in self._active if is_over(track)]
        self._active = [track for track in self._active if not is_over(track)]

    def _stitch(self, settle_all: bool) -> None:
        options = self.options
        for later in [*self._ended, *self._active]:
            if later.is_settled:
                continue
            if not (settle_all or self._now_s - later.born_s >= options.settle_s):
                continue
            later.is_settled = True
            if later.hits < options.min_hits or not options.stitch_s:
                continue
            earlier = [
                t
                for t in [*self._ended, *self._active]
                if 0 < later.born_s - t.seen_s <= options.stitch_s and t.hits >= options.min_hits
            ]
            if not earlier:
                continue
            odds = np.array([self._link_odds(t, later) for t in earlier])
            best = int(np.argmax(odds))
            rest = np.delete(odds, best)
            if odds[best] < options.stitch_odds or (
                len(rest) and odds[best] - rest.max() < options.stitch_margin
            ):
                continue
            later.continue_from(earlier[best])
            self._ended = [t for t in self._ended if t is not earlier[best]]
            self._active = [t for t in self._active if t is not earlier[best]]

    def _link_odds(self, earlier: _Fragment, later: _Fragment) -> float:
        options = self.options
        ahead = np.array([earlier.forecast(later.born_s)])
        motion = _motion_odds(
            ahead,
            np.array([earlier.height]),
            np.array([[later.born_x, later.born_y, later.born_height]]),
            options,
        )
        cosine = _unit(earlier.vector_sum) @ _unit(later.vector_sum)
        look = self._likeness.odds(np.array([cosine]))
        return float(motion[0, 0] + options.stitch_appearance * look[0])

    def finished(self) -> list[Track]:
        options = self.options
        limit = self._now_s - options.stitch_s - options.settle_s
        done = [track for track in self._ended if track.seen_s < limit]
        self._ended = [track for track in self._ended if track.seen_s >= limit]
        return [track.track() for track in done]

    def flush(self) -> list[Track]:
        self._end(lambda track: True)
        self._stitch(settle_all=True)
        done, self._ended = self._ended, []
        return [track.track() for track in done]


def _middle(box):
    return (box[0] + box[2]) / 2, (box[1] + box[3]) / 2, box[2] - box[0], box[3] - box[1]


def _unit(vector: Floats) -> Floats:
    return vector / max(float(np.sqrt(vector @ vector)), 1e-12)


def _hidden_share(boxes: Boxes) -> Floats:
    """(N,) the share of each box that the most overlapping box nearer to the camera covers, 0..1."""
    shared = intersection(boxes, boxes) / np.maximum(area(boxes)[:, None], 1e-9)
    nearer = boxes[None, :, 3] > boxes[:, None, 3]
    return np.where(nearer, shared, 0.0).max(axis=1, initial=0.0)


def _motion_odds(ahead, heights, seen, options):
    dx = (seen[None, :, 0] - ahead[:, None, 0]) / heights[:, None]
    dy = (seen[None, :, 1] - ahead[:, None, 1]) / heights[:, None]
    var = ahead[:, 2:3] + options.position_noise**2
    grow = np.log(seen[None, :, 2] / heights[:, None]) / options.size_noise
    distance = (dx * dx + dy * dy) / var + grow * grow
    return options.prior - 3 * np.log1p(distance / options.tail) * options.tail / 6 - np.log(var)
