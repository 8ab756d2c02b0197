"""From light to a display: one look-up and a few sums for each pixel, the same wherever the pixel lies."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from reid.people.kernels.compile import compiled

F32 = NDArray[np.float32]


@compiled
def develop(
    linear: F32, gains: F32, table: F32, saturation: float, contrast: float, black: float, out: F32
) -> None:
    """Expose a picture.

    Args:
        linear: (h, w, 3) linear RGB; gains: (3,) for each channel.
        table: display value by v / (1 + v), v the gained light; evenly spaced.
        saturation, contrast, black: 1, 1, 0 change nothing.
        out: (h, w, 3) written, display RGB 0..1.
    """
    steps = table.shape[0] - 1
    for row in range(linear.shape[0]):
        for column in range(linear.shape[1]):
            for k in range(3):
                v = max(linear[row, column, k] * gains[k], 0.0)
                at = v / (1.0 + v) * steps
                i = min(int(at), steps - 1)
                out[row, column, k] = table[i] + (table[i + 1] - table[i]) * (at - i)
            grey = 0.299 * out[row, column, 0] + 0.587 * out[row, column, 1] + 0.114 * out[row, column, 2]
            for k in range(3):
                v = grey + (out[row, column, k] - grey) * saturation
                v = ((v - 0.45) * contrast + 0.45) * (1 - black) + black
                out[row, column, k] = min(1.0, max(0.0, v))
