"""How well a crop shows its person: size, sharpness, completeness, freedom from others.

Pixels only; knows nothing of time or identity.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from reid.boxes import Detections, area, intersection

_FULL_HEIGHT = 160.0  # pixels; beyond it a crop carries no more for a 128-pixel network
_BORDER = 2.0  # pixels; a box this near to the picture's edge is probably cut by it


def crop_quality(
    found: Detections, sharpness: NDArray[np.float32], width: int, height: int
) -> NDArray[np.float32]:
    """(N,) float32 in 0..1, the product of four factors, each 1 for a perfect crop.

    Size (height up to 160 pixels), confidence, sharpness, completeness (boxes at the picture's edge
    are cut off: halved) and the share of the box that no nearer person covers (the nearer of two
    people standing on the ground is the one whose feet are lower in the picture).

    Args:
        found: the people of one picture.
        sharpness: (N,) variance of the Laplacian of each crop, see `reid.images.sharpness`.
        width, height: of the picture, pixels.
    """
    boxes = found.boxes
    tall = np.minimum((boxes[:, 3] - boxes[:, 1]) / _FULL_HEIGHT, 1.0)
    crisp = sharpness / (sharpness + 60.0)
    cut = (
        (boxes[:, 0] <= _BORDER)
        | (boxes[:, 1] <= _BORDER)
        | (boxes[:, 2] >= width - _BORDER)
        | (boxes[:, 3] >= height - _BORDER)
    )
    nearer = boxes[None, :, 3] > boxes[:, None, 3]
    covered = np.where(nearer, intersection(boxes, boxes), 0).sum(axis=1) / np.maximum(area(boxes), 1e-6)
    free = np.clip(1.0 - covered, 0.05, 1.0)
    return np.asarray(tall * found.scores * crisp * np.where(cut, 0.5, 1.0) * free, np.float32)
