"""Boxes and detections: the geometry every other module shares.

Owns the `Detections` struct, overlap and suppression. Knows no model and no picture.
Boxes are `[x1, y1, x2, y2]` in pixels of the picture they were found in; x2 and y2 are exclusive.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Boxes = NDArray[np.float32]
"""(N, 4) float32, `[x1, y1, x2, y2]` in pixels."""


@dataclass(frozen=True)
class Detections:
    """People found in one picture, best first not guaranteed.

    Attributes:
        boxes: (N, 4) float32, `[x1, y1, x2, y2]` in pixels, x2 > x1 and y2 > y1.
        scores: (N,) float32 in 0..1, the detector's own confidence (not a probability).
    """

    boxes: Boxes
    scores: NDArray[np.float32]

    def __post_init__(self) -> None:
        if self.boxes.shape != (len(self.scores), 4) or self.scores.ndim != 1:
            raise ValueError(
                f"expected boxes (N, 4) and scores (N,), got {self.boxes.shape} and {self.scores.shape}"
            )
        if self.boxes.dtype != np.float32 or self.scores.dtype != np.float32:
            raise ValueError(f"expected float32, got {self.boxes.dtype} and {self.scores.dtype}")

    def __len__(self) -> int:
        return len(self.scores)

    def pick(self, rows: NDArray[np.intp] | NDArray[np.bool_]) -> Detections:
        """The detections of these rows (indices or mask), in that order."""
        return Detections(self.boxes[rows], self.scores[rows])

    @classmethod
    def empty(cls) -> Detections:
        """Nobody found."""
        return cls(np.zeros((0, 4), np.float32), np.zeros(0, np.float32))

    @classmethod
    def concatenate(cls, parts: Sequence[Detections]) -> Detections:
        """All detections of `parts`, in order."""
        if not parts:
            return cls.empty()
        return cls(np.concatenate([p.boxes for p in parts]), np.concatenate([p.scores for p in parts]))


def area(boxes: Boxes) -> NDArray[np.float32]:
    """(N,) float32 areas in square pixels; 0 for empty boxes."""
    sides = np.clip(boxes[:, 2:] - boxes[:, :2], 0, None)
    return np.asarray(sides[:, 0] * sides[:, 1], np.float32)


def intersection(a: Boxes, b: Boxes) -> NDArray[np.float32]:
    """(N, M) float32 overlap areas of `a` (N, 4) with `b` (M, 4)."""
    top_left = np.maximum(a[:, None, :2], b[None, :, :2])
    bottom_right = np.minimum(a[:, None, 2:], b[None, :, 2:])
    sides = np.clip(bottom_right - top_left, 0, None)
    return np.asarray(sides[..., 0] * sides[..., 1], np.float32)


def iou(a: Boxes, b: Boxes) -> NDArray[np.float32]:
    """(N, M) float32 intersection over union of `a` (N, 4) with `b` (M, 4)."""
    shared = intersection(a, b)
    union = area(a)[:, None] + area(b)[None, :] - shared
    return np.asarray(shared / np.maximum(union, 1e-9), np.float32)


def clip(boxes: Boxes, width: float, height: float) -> Boxes:
    """`boxes` cut to a picture of `width` x `height` pixels."""
    limit = np.array([width, height, width, height], np.float32)
    return np.asarray(np.clip(boxes, 0, limit), np.float32)


def pad(boxes: Boxes, share: float) -> Boxes:
    """`boxes` grown on each side by `share` of their height; may leave the picture."""
    margin = share * (boxes[:, 3:] - boxes[:, 1:2])
    return np.asarray(boxes + margin * np.array([-1, -1, 1, 1], np.float32), np.float32)


def suppress(found: Detections, threshold: float) -> Detections:
    """Greedy non-maximum suppression: best first, what overlaps a better one above IoU `threshold` goes."""
    order = np.argsort(-found.scores, kind="stable")
    overlaps = iou(found.boxes, found.boxes) > threshold
    kept: list[int] = []
    gone = np.zeros(len(found), bool)
    for row in order:
        if not gone[row]:
            kept.append(int(row))
            gone |= overlaps[row]
    return found.pick(np.array(kept, np.intp))
