"""How well a crop shows its person: size, sharpness, completeness, freedom from others.

Pixels only; knows nothing of time or identity.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from reid.boxes import Detections, area, intersection
from reid.images import Picture, sharpness

_FULL_HEIGHT = 160.0  # pixels; beyond it a crop carries no more for a 128-pixel network
_SOFT = 60.0  # sharpness of a crop half as good as a crisp one
_BORDER = 2.0  # pixels; a box this near to the picture's edge is probably cut by it


def crop_quality(
    found: Detections, crispness: NDArray[np.float32], width: int, height: int
) -> NDArray[np.float32]:
    """(N,) float32 in 0..1, the product of four factors, each 1 for a perfect crop.

    Size (height up to 160 pixels), confidence, sharpness, completeness (boxes at the picture's edge
    are cut off: halved) and the share of the box that no nearer person covers (the nearer of two
    people standing on the ground is the one whose feet are lower in the picture).

    Args:
        found: the people of one picture.
        crispness: (N,) variance of the Laplacian of each crop, see `reid.images.sharpness`.
        width, height: of the picture, pixels.
    """
    boxes = found.boxes
    clear = _clearness(boxes[:, 3] - boxes[:, 1], crispness)
    cut = (
        (boxes[:, 0] <= _BORDER)
        | (boxes[:, 1] <= _BORDER)
        | (boxes[:, 2] >= width - _BORDER)
        | (boxes[:, 3] >= height - _BORDER)
    )
    nearer = boxes[None, :, 3] > boxes[:, None, 3]
    covered = np.where(nearer, intersection(boxes, boxes), 0).sum(axis=1) / np.maximum(area(boxes), 1e-6)
    free = np.clip(1.0 - covered, 0.05, 1.0)
    return np.asarray(clear * found.scores * np.where(cut, 0.5, 1.0) * free, np.float32)


def picture_quality(picture: Picture) -> float:
    """0..1: size and sharpness of a picture of one person of which nothing else is known."""
    return float(_clearness(np.array([picture.shape[0]]), np.array([sharpness(picture)]))[0])


def _clearness(heights: NDArray[Any], crispness: NDArray[Any]) -> NDArray[np.float32]:
    """(N,) size by (N,) crispness, each 1 for a perfect crop."""
    tall = np.minimum(heights / _FULL_HEIGHT, 1.0)
    return np.asarray(tall * crispness / (crispness + _SOFT), np.float32)
