"""Whom to hide in a clip: everybody but the person, who is followed from the best frame outwards.

Owns what is painted over in each frame. Rather too much than too little: who is not surely the person is
hidden, also where a detection of theirs is missing for a moment.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from indexer.frame import Frame
from indexer.pipeline import CONTEXT
from reid.boxes import Boxes, Detections, area, intersection, iou, pad
from reid.images import Picture, paint_out

_LEAST_OVERLAP = 0.3  # IoU with where the person was in the frame before
_RIVAL = 0.6  # of the best overlap: with such a second one nobody can be sure
_LOST_S = 0.5  # after so long without the person, somebody else may stand there
_MARGIN = 0.1  # of a person's height, on each side
_NEIGHBOURS_S = 0.3  # bystanders are hidden where they are found so much earlier or later, too
_PART, _WEAK = 0.8, 0.5  # a box so far inside the person's, so much less sure, is a part of the person
_COVERED = 0.5  # of the person's box


@dataclass(frozen=True)
class Hidden:
    """What is painted over in one frame.

    Attributes:
        bodies: (N, 4) where bystanders were found.
        around: (M, 4) margins, and where bystanders were found shortly before or after.
        person: (4,) of which `around` takes nothing; None when it is not sure who the person is.
    """

    bodies: Boxes
    around: Boxes
    person: Boxes | None

    def paint(self, picture: Picture) -> Picture:
        """A copy of `picture`, painted."""
        spared = None if self.person is None else pad(self.person[None], CONTEXT)[0]
        return paint_out(paint_out(picture, self.around, spared), self.bodies)

    @property
    def covers_person(self) -> bool:
        """Do bystanders hide most of the person's box?"""
        if self.person is None or not len(self.bodies):
            return False
        shared = intersection(self.person[None], self.bodies)[0].sum()
        return bool(shared > _COVERED * area(self.person[None])[0])


@dataclass(frozen=True)
class Masks:
    """What is painted over in a stretch of a clip.

    Attributes:
        by_time: by seconds since the clip's first frame.
        followed_s: first and last time at which the person was told from others; None: never.
    """

    by_time: Mapping[float, Hidden]
    followed_s: tuple[float, float] | None

    @property
    def covered(self) -> int:
        """In how many frames most of the person is hidden too."""
        return sum(hidden.covers_person for hidden in self.by_time.values())

    def paint(self, frame: Frame) -> Picture:
        """The frame, painted; a frame in which nobody was looked for is painted over as a whole."""
        hidden = self.by_time.get(frame.time_s)
        if hidden is None:
            height, width = frame.picture.shape[:2]
            return paint_out(frame.picture, np.array([[0, 0, width, height]], np.float32))
        return hidden.paint(frame.picture)


def masks_of(times: Sequence[float], found: Sequence[Detections], best_s: float, box: Boxes) -> Masks:
    """Follow the person and hide everybody else.

    Args:
        times: (F,) of the frames, ascending seconds.
        found: (F,) everybody found in each.
        best_s: when the person was in `box`, (4,) pixels.
    """
    if not times:
        return Masks({}, None)
    first = int(np.argmin(np.abs(np.array(times) - best_s)))
    person = {**_follow(times, found, range(first, -1, -1), box),
              **_follow(times, found, range(first, len(times)), box)}  # fmt: skip
    bystanders = [_others(each, person.get(k)) for k, each in enumerate(found)]
    margins = [pad(boxes, _MARGIN) for boxes in bystanders]
    hidden = {}
    begin = end = 0
    for k, moment in enumerate(times):
        while times[begin] < moment - _NEIGHBOURS_S:
            begin += 1
        while end < len(times) and times[end] <= moment + _NEIGHBOURS_S:
            end += 1
        spared = found[k].boxes[person[k]] if k in person else None
        hidden[moment] = Hidden(bystanders[k], np.concatenate(margins[begin:end]), spared)
    followed = (times[min(person)], times[max(person)]) if person else None
    return Masks(hidden, followed)


def _follow(
    times: Sequence[float], found: Sequence[Detections], order: Iterable[int], box: Boxes
) -> dict[int, int]:
    """In which row the person is in each frame of `order`, until lost or mixed up with somebody."""
    usual = float(np.median(np.diff(times))) if len(times) > 1 else 0.0
    patience_s = max(_LOST_S, 1.5 * usual)
    rows: dict[int, int] = {}
    seen_s: float | None = None
    for k in order:
        if seen_s is not None and abs(times[k] - seen_s) > patience_s:
            break
        overlaps = iou(box[None], found[k].boxes)[0]
        ranked = np.argsort(-overlaps, kind="stable")
        seen_s = times[k] if seen_s is None else seen_s
        if not len(ranked) or overlaps[ranked[0]] < _LEAST_OVERLAP:
            continue
        if len(ranked) > 1 and overlaps[ranked[1]] > max(_RIVAL * overlaps[ranked[0]], _LEAST_OVERLAP):
            break
        rows[k] = int(ranked[0])
        box, seen_s = found[k].boxes[rows[k]], times[k]
    return rows


def _others(found: Detections, person: int | None) -> Boxes:
    """(N, 4) everybody but the person and what is a part of them."""
    if person is None:
        return found.boxes
    own = found.boxes[person][None]
    inside = intersection(own, found.boxes)[0] / np.maximum(area(found.boxes), 1e-9)
    part = (inside >= _PART) & (found.scores < _WEAK * found.scores[person])
    part[person] = True
    return np.asarray(found.boxes[~part], np.float32)
