"""What all detectors share: their options, a batch of pictures, boxes cut to the picture and rid of doubles.

Knows no network.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from reid.boxes import Boxes, Detections, clip, suppress
from reid.errors import ModelError
from reid.images import Picture
from reid.registry import ModelSpec

Floats = NDArray[np.float32]

LONGEST_STRETCH = 3.0
"""A box is at most e^3 times its anchor: keeps a broken output finite."""
_BATCH_PIXELS = 1_000_000
"""Of one run of a network; larger ones took no less time a picture, and more memory."""
_MOST_CANDIDATES = 1_000


@dataclass(frozen=True)
class DetectorOptions:
    """How people are looked for.

    Attributes:
        min_score: `detect` returns every box with at least this score, 0..1. The default is low, for a
            tracker that keeps what lasts; ask for 0.5 or more to trust a single box.
        overlap: of two boxes with a higher IoU the better one stays.
        fine_pixels: the most pixels that the finer look of the embedded detector has; 0 for no such look,
            which takes a tenth of the time and misses small people. It looks at a picture in its own size;
            larger ones are reduced to so many pixels, which bounds the cost of a frame, and smaller ones
            enlarged to 440,000 (at most to twice their sides). People lower than some 30 pixels after that
            are missed.
    """

    min_score: float = 0.2
    overlap: float = 0.55
    fine_pixels: int = 921_600

    def __post_init__(self) -> None:
        if not 0 < self.min_score <= 1 or not 0 < self.overlap <= 1:
            raise ValueError(
                f"expected min_score and overlap above 0 and at most 1, got {self.min_score}, {self.overlap}"
            )
        if self.fine_pixels < 0:
            raise ValueError(f"expected fine_pixels of 0 or more, got {self.fine_pixels}")


def check_pictures(pictures: Sequence[Picture]) -> None:
    """Refuse what is no picture.

    Raises:
        ValueError: not (H, W, 3) uint8 with at least one pixel.
    """
    for number, picture in enumerate(pictures):
        if picture.ndim != 3 or picture.shape[2] != 3 or picture.size == 0 or picture.dtype != np.uint8:
            raise ValueError(
                f"picture {number}: expected (H, W, 3) uint8 with at least one pixel,"
                f" got {picture.shape} {picture.dtype}"
            )


def batches(rows: Sequence[int], pixels: int) -> Iterator[Sequence[int]]:
    """`rows` in parts that are run together, `pixels` a picture."""
    count = max(1, _BATCH_PIXELS // pixels)
    for start in range(0, len(rows), count):
        yield rows[start : start + count]


def batch_of(pictures: Sequence[Picture], spec: ModelSpec) -> Floats:
    """Pictures of one size as a network's input (N, 3, H, W)."""
    batch = np.empty((len(pictures), 3, *pictures[0].shape[:2]), np.float32)
    for row, picture in enumerate(pictures):
        for channel in range(3):
            plane = picture[..., 2 - channel if spec.channels == "RGB" else channel]
            np.subtract(plane, np.float32(spec.mean[channel]), out=batch[row, channel])
            batch[row, channel] *= np.float32(1 / spec.std[channel])
    return batch


def shaped(output: Floats, wanted: tuple[int, ...], spec: ModelSpec) -> Floats:
    """The output, if it has the shape it must have.

    Raises:
        ModelError: it has another one.
    """
    if output.shape != wanted:
        raise ModelError(
            f"model {spec.name}: expected output {wanted}, the network gave {output.shape};"
            " the file is not the detector its name says"
        )
    return output


def finish(found: Detections, picture: Picture, options: DetectorOptions) -> Detections:
    """Cut to the picture, without slivers, the best of each heap."""
    boxes: Boxes = clip(found.boxes, picture.shape[1], picture.shape[0])
    # Comparisons are false for NaN: a broken output finds nobody.
    wide = (boxes[:, 2] - boxes[:, 0] >= 1) & (boxes[:, 3] - boxes[:, 1] >= 1)
    kept = Detections(boxes, found.scores).pick(wide & (found.scores >= 0))
    best = np.argsort(-kept.scores, kind="stable")[:_MOST_CANDIDATES]
    return suppress(kept.pick(best), options.overlap)
