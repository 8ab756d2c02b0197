"""SSDLite, the embedded detector: looks at a picture in three sizes.

Owns the passes over a picture and its parts, and how the network's output becomes boxes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, floor, sqrt

import numpy as np

from reid.boxes import Boxes, Detections
from reid.images import Picture, resize_bilinear
from reid.looks import (
    LONGEST_STRETCH,
    DetectorOptions,
    Floats,
    batch_of,
    batches,
    check_pictures,
    finish,
    shaped,
)
from reid.networks.ssdlite import anchors, fine_anchors
from reid.registry import ModelSpec
from reid.runtimes import Runtime

_ROOM = 1.25
"""Of a person's height a part has at least: who is taller beside its edges is not wholly in it."""
_STEP = 96
"""Pixels of the finest look in which parts grow: a runtime takes half as long again where sizes change from
run to run. Of 32, 64, 96, 128, 192 and 256, 96 and 128 were fastest on crowded footage, by up to a quarter,
and 64 and 96 on sparse footage."""


@dataclass(frozen=True)
class _Part:
    """What is looked at: the picture it is of, (H, W, 3) the part, and where in the picture that begins."""

    row: int
    view: Picture
    left: int
    top: int


class PyramidDetector:
    """SSDLite, which sees 300 x 300 pixels: a look at the squeezed picture and two finer ones.

    The first look finds the largest people, the second, over the picture in its own size, small ones,
    the third, at half the size of the second, those between. The network is run over the whole finer
    picture at once rather than over tiles: nobody is cut, nothing is computed twice. (PETS09-S2L1, every
    8th frame: AP .63 with the first look alone, .83 with 384-pixel tiles, .88 so.)
    """

    _LARGE = 180.0
    """Pixels of the coarsest finer look; the first look counts for higher boxes only, where that is blind."""
    _MIDDLE = 150.0
    """Pixels of the finest look; the half look counts for higher boxes only. (Of people of 120 to 150 pixels
    it finds none that the finest does not, in eight clips of people of all heights; at 180 some are lost.)"""
    _LEAST_PART = 200.0
    """Pixels of the finest look; in lower parts nobody is so tall with room around them."""
    _LEAST_FINE = 440_000
    """Pixels to which smaller pictures are enlarged for the finest look."""

    def __init__(self, spec: ModelSpec, whole: Runtime, fine: Runtime, options: DetectorOptions) -> None:
        self.spec = spec
        self._whole, self._fine, self._options = whole, fine, options

    def detect(
        self, pictures: Sequence[Picture], regions: Sequence[Boxes | None] | None = None
    ) -> list[Detections]:
        """See `Detector.detect`."""
        check_pictures(pictures)
        parts: list[_Part] = []
        sides: list[tuple[int, int] | None] = []  # of the first look at each picture; it is at all of it
        blind = [self._blind(picture) for picture in pictures]
        for row, picture in enumerate(pictures):
            where = regions[row] if regions and self._fine_size(picture, picture, 1.0) else None
            mine = _parts(row, picture, where, self._scale(picture))
            tall = max((part.view.shape[0] for part in mine), default=0) >= blind[row] * _ROOM
            sides.append((self.spec.input_height, self.spec.input_width) if where is None or tall else None)
            parts += mine
        views = [part.view for part in parts]
        fine, half = (
            [self._fine_size(pictures[part.row], part.view, share) for part in parts] for share in (1.0, 0.5)
        )
        small, middle = (self._look(views, sizes, self._fine) for sizes in (fine, half))
        large = self._look(pictures, sides, self._whole)
        found = [
            [_within(each.pick(_heights(each) >= blind[row]), parts, row)] for row, each in enumerate(large)
        ]
        for place, part in enumerate(parts):
            size = fine[place]
            least = self._MIDDLE * part.view.shape[0] / size[0] if size else 0.0
            seen = [small[place], middle[place].pick(_heights(middle[place]) >= least)]
            found[part.row].append(_moved(Detections.concatenate(seen), part))
        return [
            finish(Detections.concatenate(each), picture, self._options)
            for each, picture in zip(found, pictures, strict=True)
        ]

    def _scale(self, picture: Picture) -> float:
        """Pixels of the finest look for one of the picture."""
        height, width = picture.shape[:2]
        pixels = min(self._options.fine_pixels, max(self._LEAST_FINE, height * width))
        return min(sqrt(pixels / (height * width)), 2.0)

    def _fine_size(self, picture: Picture, view: Picture, share: float) -> tuple[int, int] | None:
        """(height, width) of a finer look at a part; None where it would show nothing that others do not."""
        scale = share * self._scale(picture)
        # One more than a multiple of 32: every padding of the network is then symmetric, and cheap.
        fine = [32 * max(1, round((side * scale - 1) / 32)) + 1 for side in view.shape[:2]]
        if view is picture and fine[0] * fine[1] <= self.spec.input_height * self.spec.input_width:
            return None
        if view is not picture and share < 1 and view.shape[0] * scale < share * self._LEAST_PART:
            return None
        return fine[0], fine[1]

    def _blind(self, picture: Picture) -> float:
        """Pixels from which people are too tall for the finer looks; 0 where there are none."""
        sizes = [self._fine_size(picture, picture, share) for share in (0.5, 1.0)]
        coarsest = sizes[0] or sizes[1]
        return self._LARGE * picture.shape[0] / coarsest[0] if coarsest else 0.0

    def _look(
        self, pictures: Sequence[Picture], sizes: Sequence[tuple[int, int] | None], runtime: Runtime
    ) -> list[Detections]:
        """One pass over all pictures, each scaled to its (height, width); None for no look at it."""
        results = [Detections.empty() for _ in pictures]
        for size in dict.fromkeys(size for size in sizes if size is not None):
            reference = anchors() if runtime is self._whole else fine_anchors(*size)
            rows = [row for row, wanted in enumerate(sizes) if wanted == size]
            for part in batches(rows, size[0] * size[1]):
                batch = batch_of(
                    [resize_bilinear(pictures[row], size[1], size[0]) for row in part], self.spec
                )
                encodings, logits = runtime(batch)
                shaped(encodings, (len(part), len(reference), 4), self.spec)
                shaped(logits, (len(part), len(reference), 2), self.spec)
                for row, encoding, logit in zip(part, encodings, logits, strict=True):
                    found = _decode_ssd(encoding, logit, reference, self._options)
                    results[row] = _scaled(found, size, pictures[row])
        return results


def _decode_ssd(encodings: Floats, logits: Floats, reference: Floats, options: DetectorOptions) -> Detections:
    """Boxes in pixels of the network's input, from `ty, tx, th, tw` (A, 4), logits (A, 2), anchors (A, 4).

    The scales 10 and 5 are those of the Object Detection API's box coder.
    """
    scores = 1 / (1 + np.exp(-np.clip(logits[:, 1], -50, 50)))
    rows = scores >= options.min_score
    encodings, reference = encodings[rows], reference[rows]
    centres = encodings[:, :2] / 10 * reference[:, 2:] + reference[:, :2]
    halves = np.exp(np.minimum(encodings[:, 2:] / 5, LONGEST_STRETCH)) * reference[:, 2:] / 2
    boxes = np.concatenate([centres - halves, centres + halves], 1)[:, [1, 0, 3, 2]]
    return Detections(boxes.astype(np.float32), scores[rows].astype(np.float32))


def _scaled(found: Detections, size: tuple[int, int], picture: Picture) -> Detections:
    """Boxes in a version of `picture` of `size` (height, width) as boxes in `picture`."""
    y, x = picture.shape[0] / size[0], picture.shape[1] / size[1]
    return Detections(found.boxes * np.array([x, y, x, y], np.float32), found.scores)


def _parts(row: int, picture: Picture, regions: Boxes | None, scale: float) -> list[_Part]:
    """The parts of a picture, as large as needs be in steps; all of it without regions.

    Args:
        scale: of the finest look.
    """
    if regions is None:
        return [_Part(row, picture, 0, 0)]
    height, width = picture.shape[:2]
    step = _STEP / scale
    parts = []
    for x1, y1, x2, y2 in regions.tolist():
        (top, bottom), (left, right) = _stepped(y1, y2, height, step), _stepped(x1, x2, width, step)
        parts.append(_Part(row, picture[top:bottom, left:right], left, top))
    return parts


def _stepped(first: float, last: float, side: int, step: float) -> tuple[int, int]:
    """The least stretch of whole steps around another one, within `side` pixels."""
    length = min(side, round(step * max(1, ceil((last - first) / step - 1e-6))))
    begin = min(max(0, floor((first + last - length) / 2)), side - length)
    return begin, begin + length


def _moved(found: Detections, part: _Part) -> Detections:
    """Boxes in a part as boxes in its picture."""
    return Detections(found.boxes + np.array([part.left, part.top] * 2, np.float32), found.scores)


def _within(found: Detections, parts: Sequence[_Part], row: int) -> Detections:
    """Whose middle is in a part of their picture."""
    x, y = (found.boxes[:, :2] + found.boxes[:, 2:]).T / 2
    kept = np.zeros(len(found), bool)
    for part in parts:
        if part.row == row:
            height, width = part.view.shape[:2]
            kept |= (x >= part.left) & (x <= part.left + width) & (y >= part.top) & (y <= part.top + height)
    return found.pick(kept)


def _heights(found: Detections) -> Floats:
    """(N,) pixels."""
    return found.boxes[:, 3] - found.boxes[:, 1]
