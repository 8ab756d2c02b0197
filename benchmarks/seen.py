"""Who is found: recall by height, visibility and light, and false boxes, of detectors on rendered frames.

A person is found when a box of the detector overlaps theirs by IoU 0.5 or more. Each box finds one person
and each person is found once: best score first, a box takes the free person it overlaps most, those who
are to be found (`Wanted`) before the small and the hidden. A box is false when it overlaps nobody, of
whatever size and visibility, by IoU 0.3 or more. Knows neither renderer nor model.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reid.boxes import Boxes, Detections, iou

OVERLAP, TOUCH = 0.5, 0.3
HEIGHTS = (0.0, 40.0, 80.0, 120.0, 200.0, 1e9)
VISIBILITIES = (0.0, 0.3, 0.6, 0.8, 1.01)


@dataclass(frozen=True)
class Wanted:
    """Who is to be found: taller than `height` pixels and visible by more than `visibility`."""

    height: float = 80.0
    visibility: float = 0.6


@dataclass(frozen=True)
class Truth:
    """Everybody in one frame.

    Attributes:
        boxes: (N, 4) float32 `[x1, y1, x2, y2]` pixels, cut at the picture's edge.
        visibility: (N,) float32, 0..1.
        light: of the frame.
    """

    boxes: Boxes
    visibility: NDArray[np.float32]
    light: str

    @property
    def heights(self) -> NDArray[np.float32]:
        """(N,) pixels."""
        return np.asarray(self.boxes[:, 3] - self.boxes[:, 1], np.float32)

    def wanted(self, wanted: Wanted) -> NDArray[np.bool_]:
        """(N,) who is to be found."""
        return np.asarray((self.heights > wanted.height) & (self.visibility > wanted.visibility))


@dataclass(frozen=True)
class Seen:
    """One detector on some frames: a row for each person in each frame, and the false boxes.

    Attributes:
        found, wanted: (N,) bool.
        heights, visibility: (N,) float32.
        lights: (N,) names.
        false: light -> (false boxes, frames).
    """

    found: NDArray[np.bool_]
    wanted: NDArray[np.bool_]
    heights: NDArray[np.float32]
    visibility: NDArray[np.float32]
    lights: NDArray[np.str_]
    false: dict[str, tuple[int, int]]

    def recall(self, rows: NDArray[np.bool_]) -> dict[str, Any]:
        """The share of these people who were found (None of nobody), and how many there are."""
        count = int(rows.sum())
        return {"people": count, "recall": float(self.found[rows].mean()) if count else None}

    def false_per_frame(self, lights: Iterable[str]) -> float | None:
        """False boxes a frame in these lights; None without a frame."""
        counts = [self.false[light] for light in lights if light in self.false]
        frames = sum(count for _, count in counts)
        return sum(count for count, _ in counts) / frames if frames else None


def match(truth: Truth, found: Detections, wanted: Wanted) -> tuple[NDArray[np.bool_], int]:
    """(N,) which people were found, and the number of false boxes; see the module."""
    hit = np.zeros(len(truth.boxes), bool)
    if not len(hit):
        return hit, len(found)
    overlaps = iou(found.boxes, truth.boxes)
    first = truth.wanted(wanted)
    for row in np.argsort(-found.scores, kind="stable"):
        for group in (first, ~first):
            free = np.where(group & ~hit, overlaps[row], -1)
            if free.max() >= OVERLAP:
                hit[int(np.argmax(free))] = True
                break
    return hit, int((overlaps < TOUCH).all(axis=1).sum())


def look(truths: Sequence[Truth], found: Sequence[Detections], wanted: Wanted | None = None) -> Seen:
    """Match every frame."""
    wanted = wanted or Wanted()
    hits, false = [np.zeros(0, bool)], dict[str, tuple[int, int]]()
    for truth, boxes in zip(truths, found, strict=True):
        hit, wrong = match(truth, boxes, wanted)
        hits.append(hit)
        before = false.get(truth.light, (0, 0))
        false[truth.light] = (before[0] + wrong, before[1] + 1)
    return Seen(
        np.concatenate(hits),
        np.concatenate([np.zeros(0, bool), *(truth.wanted(wanted) for truth in truths)]),
        np.concatenate([np.zeros(0, np.float32), *(truth.heights for truth in truths)]),
        np.concatenate([np.zeros(0, np.float32), *(truth.visibility for truth in truths)]),
        np.array([truth.light for truth in truths for _ in truth.boxes], np.str_),
        false,
    )


def figures(seen: Seen, groups: dict[str, tuple[str, ...]], detailed: str) -> dict[str, Any]:
    """Recall and false boxes of each group of lights; of the group `detailed` by height and visibility.

    By height counts the people who are visible enough, by visibility those who are tall enough.
    """
    lights = {name: np.isin(seen.lights, members) for name, members in groups.items()}
    rows = {
        name: {
            **seen.recall(lights[name] & seen.wanted),
            "false_per_frame": seen.false_per_frame(members),
            "frames": sum(seen.false.get(member, (0, 0))[1] for member in members),
        }
        for name, members in groups.items()
    }
    wanted, here = Wanted(), lights[detailed]
    open_ones, tall = here & (seen.visibility > wanted.visibility), here & (seen.heights > wanted.height)
    return {
        "by_light": rows,
        "by_height": _banded(seen, open_ones, seen.heights, HEIGHTS),
        "by_visibility": _banded(seen, tall, seen.visibility, VISIBILITIES),
    }


def _banded(
    seen: Seen, rows: NDArray[np.bool_], values: NDArray[np.float32], edges: Sequence[float]
) -> list[dict[str, Any]]:
    """One row a band: above its lower edge, up to its upper one."""
    return [
        {"above": low, "to": high, **seen.recall(rows & (values > low) & (values <= high))}
        for low, high in pairwise(edges)
    ]
