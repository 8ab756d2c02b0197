"""Which parts of a frame are worth a look: where something moves, and around whom is followed already.

Works on brightness alone, a few thousand cells a frame, so that an empty street costs next to nothing beside
its decoding. Owns the background of one clip: what each cell usually shows and how much it flickers. Light
that changes everywhere is taken out; snow, rain and leaves raise the flicker of their cells until they count
no more. Now and then all is looked at that changed since the last time, for people who stopped before they
were found, and less often the whole picture, for those who never moved. Where something moves that was
nobody, such as a shadow or a car, it looks every other time. Knows no detector.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from reid.boxes import Boxes, clip, pad
from reid.images import Grey, grow, islands, resize_grey

_COLUMNS = 160  # of cells; a person of the least height a detector sees is some four cells high
_LEAST = 4.0  # grey levels a cell differs by when something is there; compression moves it by one or two
_FLICKERS = 4.0  # times its usual flicker
_CELLS = 2  # fewer beside each other are noise
_SURE = 16  # so many are motion at once; fewer where something moved the time before: raindrops do not stay
_PACE = 12.0  # cells a second: how far from there somebody may be by now
_REACH = 10  # cells at most
_SPECKS = 12  # more small islands at once are rain or snow
_RAIN = 10.0  # grey levels that a cell flickers by at most: where it rains, where leaves move
_MANY = 0.4  # share of cells: the camera moved, or a light went on
_QUIET_S, _MOVING_S = 4.0, 20.0  # in which a cell's background follows what it shows
_HOLD_S = 0.6  # a cell is looked at so long after something moved in it
_MARGIN = 4  # cells around it: a walking person's head and feet move less than their legs
_ROOM = 0.2  # of a followed person's height around them, for what they do until the next look
_LONGER = 4.0  # the whole picture is looked at so much less often than all that changed
_DENSE = 0.55  # share of the picture from which looking at all of it takes no longer
_VAIN_S = 2.0  # for so long it is remembered that nobody was found where something moves
_SLOW_S = 0.45  # there is looked at least so often all the same

Cells = NDArray[np.float32]


@dataclass(frozen=True)
class _Background:
    """(R, C) float32: what each cell shows, and the mean square of how many grey levels it differs by; the
    square, for a cell that a raindrop crosses now and then flickers by as much as the drop.
    """

    level: Cells
    flicker: Cells


class Motion:
    """What moves in one clip; each clip needs its own.

    Args:
        width, height: of its frames, pixels.
        whole_look_s: all that changed is looked at so often, seconds, and the whole picture a fourth as
            often; 0 for the whole picture each time.
    """

    def __init__(self, width: int, height: int, whole_look_s: float) -> None:
        self._size = width, height
        self._whole_look_s = whole_look_s
        self._columns = min(_COLUMNS, width)
        self._rows = max(1, round(height * self._columns / width))
        self._background: _Background | None = None
        self._moved_s = np.full((self._rows, self._columns), -math.inf)
        self._changed_s = self._moved_s.copy()
        self._found = np.zeros((self._rows, self._columns), bool)
        self._vain_s = self._moved_s.copy()
        self._seen_s = self._whole_s = self._looked_s = -math.inf
        self._rested = False

    def is_quiet(self, time_s: float) -> bool:
        """Did nothing move lately, before `time_s`?"""
        return self._background is not None and bool(self._moved_s.max() < time_s - _HOLD_S)

    def shows_nothing_new(self, grey: Grey) -> bool:
        """Is nothing in a later frame that is not in the background, not even what noise might be?"""
        if self._background is None:
            return False
        _, change = _change(self._background, self._cells(grey))
        return bool((islands(change > _noise(self._background))[2] < _CELLS).all())

    def look_everywhere(self) -> None:
        """Look at the whole of the next frame: something at the edge of a part may have been cut."""
        self._whole_s = -math.inf

    def regions(self, time_s: float, grey: Grey, followed: Boxes) -> Boxes | None:
        """Where to look in the next frame.

        Args:
            time_s: seconds of the clip, later than before.
            grey: (H, W) uint8 brightness.
            followed: (N, 4) boxes of people who are followed, pixels.

        Returns:
            (R, 4) parts that do not overlap, pixels, none where nothing is to be seen; None for the whole
            picture.
        """
        may_rest = 2 * (time_s - self._seen_s) <= _SLOW_S and not self._rested
        self._rested = False
        moved = self._learn(time_s, self._cells(grey))
        if moved is None or time_s - self._whole_s >= _LONGER * self._whole_look_s:
            self._whole_s = self._looked_s = time_s
            return None
        active = self._moved_s >= time_s - _HOLD_S
        if time_s - self._looked_s >= self._whole_look_s:
            active |= self._changed_s > self._looked_s
            self._looked_s, may_rest = time_s, False
        places = self._pixels(islands(grow(active, _MARGIN))[1])
        parts = _joined(np.concatenate([places, self._around(followed)]))
        if _area(parts) > _DENSE * self._size[0] * self._size[1]:
            self._whole_s = self._looked_s = time_s
            return None
        if may_rest:
            needed = self._needed(time_s, parts, active, followed)
            self._rested = not needed.all()
            parts = parts[needed]
        return parts

    def learn_found(self, time_s: float, parts: Boxes | None, found: Boxes) -> None:
        """What came of a look.

        Args:
            time_s: of the frame. parts: of it that were looked at, as `regions` gave them; None for all.
            found: (N, 4) boxes of who was found, pixels.
        """
        for part in () if parts is None else parts:
            self._vain_s[self._within(part)] = time_s
        for box in pad(found, _ROOM):
            self._vain_s[self._within(box)] = -math.inf

    def _needed(
        self, time_s: float, parts: Boxes, active: NDArray[np.bool_], followed: Boxes
    ) -> NDArray[np.bool_]:
        """(R,) which parts hold somebody who is followed, or a motion that may be somebody's."""
        unknown = active & (self._vain_s < time_s - _VAIN_S)
        return np.array(
            [
                bool(unknown[self._within(part)].any()) or any(_overlap(part, box) for box in followed)
                for part in parts
            ],
            bool,
        )

    def _within(self, box: NDArray[np.float32]) -> tuple[slice, slice]:
        """The cells that a box in pixels touches."""
        across, down = self._columns / self._size[0], self._rows / self._size[1]
        left, top, right, bottom = np.maximum(box * np.array([across, down, across, down]), 0)
        return slice(int(top), math.ceil(bottom)), slice(int(left), math.ceil(right))

    def _learn(self, time_s: float, shown: Cells) -> NDArray[np.bool_] | None:
        """(R, C) cells in which something is that was not; None where that is most of the picture."""
        step_s, self._seen_s = time_s - self._seen_s, time_s
        if self._background is None:
            self._background = _Background(shown, np.full_like(shown, (_LEAST / _FLICKERS) ** 2))
            return None
        flicker = self._background.flicker
        off, change = _change(self._background, shown)
        found = change > _noise(self._background)
        reach = min(_REACH, 1 + math.ceil(_PACE * step_s))
        anything, moved = _without_specks(found, grow(self._found, reach))
        self._found = found
        many = bool(moved.mean() > _MANY)
        keep = np.exp(-step_s / np.where(moved & (not many), _MOVING_S, _QUIET_S)).astype(np.float32)
        learned = np.minimum(change, _RAIN**2)  # a lamp, and people who pass, are not to be taken for rain
        level = shown if many else shown - keep * off
        self._background = _Background(level, learned + keep * (flicker - learned))
        self._changed_s[anything] = time_s
        if many:
            self._moved_s[:] = time_s
            return None
        self._moved_s[moved] = time_s
        return moved

    def _cells(self, grey: Grey) -> Cells:
        return resize_grey(grey, self._columns, self._rows).astype(np.float32)

    def _pixels(self, cells: NDArray[np.int32]) -> Boxes:
        """(N, 4) boxes in cells as boxes in pixels."""
        width, height = self._size
        scale = np.array([width / self._columns, height / self._rows] * 2, np.float32)
        return np.asarray(cells * scale, np.float32)

    def _around(self, followed: Boxes) -> Boxes:
        inside = clip(pad(followed, _ROOM), *self._size)
        return inside[(inside[:, 2] > inside[:, 0]) & (inside[:, 3] > inside[:, 1])]


def _change(background: _Background, shown: Cells) -> tuple[Cells, Cells]:
    """(R, C) grey levels by which each cell differs, without light that changes everywhere; their squares."""
    off = shown - background.level
    off -= np.float32(np.median(off))
    return off, off * off


def _noise(background: _Background) -> Cells:
    """(R, C) the square of a difference that is nothing."""
    return np.asarray(np.maximum(_LEAST**2, _FLICKERS**2 * background.flicker))


def _without_specks(
    found: NDArray[np.bool_], before: NDArray[np.bool_]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """The same without islands of fewer cells than a person has; and also without those that come and go.

    In rain the latter is without all small ones: people far off are then found by the looks at all that
    changed, and followed from there.

    Args:
        found: (R, C) cells that differ. before: where something differed the time before.
    """
    labels, _, counts = islands(found)
    lasting = np.bincount(labels[before], minlength=len(counts) + 1)[1:] > 0
    small = lasting & (counts >= _CELLS) & (counts < _SURE)
    kept = (counts >= _SURE) | (small if small.sum() <= _SPECKS else False)
    return np.r_[False, counts >= _CELLS][labels], np.r_[False, kept][labels]


def _joined(parts: Boxes) -> Boxes:
    """Boxes that do not overlap and hold all of `parts`."""
    left, done = list(parts), []
    while left:
        one = left.pop()
        touching = [each for each in left if _overlap(one, each)]
        if not touching:
            done.append(one)
            continue
        left = [each for each in left if not _overlap(one, each)]
        together = np.stack([one, *touching])
        left.append(np.concatenate([together[:, :2].min(axis=0), together[:, 2:].max(axis=0)]))
        left, done = [*left, *done], []
    return np.stack(done) if done else np.zeros((0, 4), np.float32)


def _overlap(one: NDArray[np.float32], other: NDArray[np.float32]) -> bool:
    return bool((np.maximum(one[:2], other[:2]) < np.minimum(one[2:], other[2:])).all())


def _area(boxes: Boxes) -> float:
    return float(((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])).sum())
