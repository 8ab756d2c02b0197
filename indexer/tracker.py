"""Follows people through one clip: detections of successive frames become tracks.

Owns the association of detections to tracks, and the stitching of fragments into one track per person;
`tracks.py` owns the state of each. Knows no picture, no model and no calendar: time is seconds of the
clip, a person is a box and a unit vector. The only module that imports scipy.

Every decision is a log-odds, "these two are one person" against "they are two": how well the place
fits the expected one, plus how alike the vectors are. Detections are associated in a cascade, certain
ones first (Zhang et al. 2022, "ByteTrack"), and a track that misses its detections for a moment ends.
Whole fragments, which can be judged better than single boxes, are then linked end to start with the
same odds. Places are Kalman-filtered in continuous time, so frames may come at any, varying rate.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from indexer.tracks import Floats, Fragment, Likeness, Track, TrackerOptions, unit
from reid.boxes import Boxes, Detections, area, intersection

NOBODY = -2
"""What `Tracker.evident` calls a detection that is no one's."""

_CERTAIN_HITS = 3
_CERTAIN_HIDDEN = 0.2


class Tracker:
    """Follows the people of one clip; each clip needs its own. Numbers count up from 0.

    Every number `update` gives out comes back exactly once, in a `Track` of `finished` or `flush`. That
    takes at most `coast_s + stitch_s` seconds of the clip after the person was last seen (and a frame
    after that), so a clip of any length needs bounded memory.
    """

    def __init__(self, options: TrackerOptions | None = None) -> None:
        self._options = options or TrackerOptions()
        self._likeness = Likeness(self._options)
        self._active: list[Fragment] = []
        self._ended: list[Fragment] = []
        self._next_number = 0
        self._now_s = -math.inf

    def evident(self, time_s: float, found: Detections) -> NDArray[np.int64]:
        """(N,) int64 number of the track that each detection of the next frame continues by its place alone,
        since nobody else is near; NOBODY for one too faint to begin a track, and far from all; -1 where
        looks have a say.

        Args:
            time_s, found: as for `update`, which comes next.
        """
        numbers = np.full(len(found), -1, np.int64)
        tracks = [track for track in self._active if track.seen_s >= time_s - self._options.coast_s]
        ahead = np.array([track.motion.forecast(time_s) for track in tracks]).reshape(-1, 4)
        odds = self._motion_odds(ahead, _places(found.boxes))
        is_far = (odds + self._likeness.most <= 0).all(axis=0)
        numbers[is_far & (found.scores < self._options.start_score)] = NOBODY
        likely = odds > 0
        alone = likely & (likely.sum(axis=0) == 1) & (likely.sum(axis=1)[:, None] == 1)
        visible = _hidden_shares(found.boxes) <= _CERTAIN_HIDDEN
        for place, row in np.argwhere(alone & visible & (found.scores >= self._options.high_score)):
            if tracks[place].hits >= _CERTAIN_HITS:
                numbers[row] = tracks[place].numbers[-1]
        return numbers

    def update(self, time_s: float, found: Detections, vectors: NDArray[np.float32]) -> NDArray[np.int64]:
        """Take the next frame.

        Args:
            time_s: seconds of the clip, later than the frame before; any step, any gap.
            found: the people detected.
            vectors: (N, D) float32, the unit vector of each detection; not-a-number for one that was not
                embedded, since it was `evident` whose it is.

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
        known = np.asarray(np.isfinite(units).all(axis=1))
        hidden = _hidden_shares(found.boxes)
        pairs = self._cascade(found, units, known)
        visible = known & (hidden <= self._options.max_hidden)
        certain = known & (hidden <= _CERTAIN_HIDDEN)
        self._learn([(track, row) for track, row in pairs if certain[row]], units)
        numbers = np.full(len(found), -1, np.int64)
        for track, row in pairs:
            self._follow(track, found, units, row, visible=bool(visible[row]))
            numbers[row] = track.numbers[-1]
        self._start(found, units, numbers)
        self._stitch(time_s - self._options.coast_s)
        return numbers

    def expected(self, time_s: float) -> Boxes:
        """(N, 4) about where everybody is who is followed; half as wide as tall."""
        return self._boxes(self._active, time_s)

    def lost(self, time_s: float) -> Boxes:
        """(N, 4) about where those are who were followed until a moment ago."""
        return self._boxes([track for track in self._ended if track.hits >= self._options.min_hits], time_s)

    def _boxes(self, tracks: Sequence[Fragment], time_s: float) -> Boxes:
        ahead = np.array([track.motion.forecast(time_s) for track in tracks]).reshape(-1, 4)
        x, y, height = ahead[:, 0], ahead[:, 1], ahead[:, 2]
        edges = [x - height / 4, y - height / 2, x + height / 4, y + height / 2]
        return np.stack(edges, axis=1).astype(np.float32)

    def finished(self) -> list[Track]:
        """The tracks that became complete since the last call."""
        limit = self._now_s - self._options.stitch_s - self._options.coast_s
        return self._hand_out([track for track in self._ended if track.seen_s < limit])

    def flush(self) -> list[Track]:
        """All tracks not handed out yet; the clip is over."""
        self._end(math.inf)
        self._stitch(math.inf)
        return self._hand_out(self._ended)

    def _hand_out(self, done: list[Fragment]) -> list[Track]:
        self._ended = [track for track in self._ended if track not in done]
        return [track.track(self._options) for track in done]

    def _cascade(
        self, found: Detections, units: Floats, known: NDArray[np.bool_]
    ) -> list[tuple[Fragment, int]]:
        """Which track each detection continues: evident ones choose first, then high scores, low ones among
        the rest.
        """
        options = self._options
        high = known & (found.scores >= options.high_score)
        low = known & (found.scores >= options.low_score) & ~high
        pairs: list[tuple[Fragment, int]] = []
        waiting = self._active
        for rows in (np.flatnonzero(~known), np.flatnonzero(high), np.flatnonzero(low)):
            new = self._associate(waiting, found.boxes[rows], units[rows])
            pairs += [(waiting[place], int(rows[column])) for place, column in new]
            taken = {place for place, _ in new}
            waiting = [track for place, track in enumerate(waiting) if place not in taken]
        return pairs

    def _associate(self, tracks: Sequence[Fragment], boxes: Boxes, units: Floats) -> list[tuple[int, int]]:
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

    def _learn(self, pairs: Sequence[tuple[Fragment, int]], units: Floats) -> None:
        """Let the clip teach the likeness, from well visible people followed for a while."""
        pairs = [(track, row) for track, row in pairs if track.hits >= _CERTAIN_HITS]
        if pairs:
            before = np.stack([track.recent for track, _ in pairs])
            self._likeness.learn(before @ units[[row for _, row in pairs]].T)

    def _follow(self, track: Fragment, found: Detections, units: Floats, row: int, *, visible: bool) -> None:
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
            track = Fragment(self._next_number, self._now_s, _places(box)[0], units[row], options)
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

    def _predecessor(self, later: Fragment) -> Fragment | None:
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

    def _link_odds(self, earlier: Fragment, later: Fragment) -> float:
        ahead = np.array([earlier.motion.forecast(later.born_s)])
        cosine = unit(earlier.vector_sum) @ unit(later.vector_sum)
        odds = self._motion_odds(ahead, later.born_place[None]) + self._likeness.odds(cosine)
        return float(odds[0, 0])


def _places(boxes: Boxes) -> Floats:
    """(N, 3) centre x, centre y and height of `boxes`, pixels."""
    left, top, right, bottom = boxes.T.astype(np.float64)
    return np.stack([(left + right) / 2, (top + bottom) / 2, bottom - top], axis=1)


def _hidden_shares(boxes: Boxes) -> NDArray[np.float32]:
    """(N,) the largest part of each box that one box standing nearer, lower in the picture, covers."""
    shares = intersection(boxes, boxes) / np.maximum(area(boxes)[:, None], 1e-9)
    nearer = boxes[None, :, 3] > boxes[:, None, 3]
    return np.asarray(np.where(nearer, shares, 0.0).max(axis=1, initial=0.0), np.float32)


def _smaller_share(box: Boxes, others: Boxes) -> float:
    """The largest part of the smaller of two boxes, `box` (1, 4) and one of `others`, that both cover."""
    smaller = np.minimum(area(box)[:, None], area(others)[None, :])
    return float((intersection(box, others) / np.maximum(smaller, 1e-9)).max(initial=0.0))
