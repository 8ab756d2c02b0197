"""Shadows that people throw on the scene behind them."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from reid.people.kernels.compile import compiled
from reid.people.kernels.shade import shadow_share

F32 = NDArray[np.float32]

_CONTACT_M = 0.28  # how far round the feet the ground is darker
_CONTACT = 0.5


@compiled
def throw_shadow(
    picture: F32, depth: F32, slopes: F32, rotation: F32, position: F32, shadow: F32, frame: F32, kept: F32,
    hardness: float, feet: F32,
) -> None:  # fmt: skip
    """Darken the background where one person keeps the light away.

    Args:
        picture: (h, w, 3) linear, changed in place; depth: (h, w) metres along the view.
        slopes: (h, w, 2), right and down of the forward axis at each pixel, see `Camera.slopes`.
        rotation, position: of the camera.
        shadow, frame: depth map from the light, see `shadow_share`; not looked at where hardness is 0.
        kept: (3,) share of the light left in full shadow.
        hardness: 0..1.
        feet: (2, 2) ground places round which it is always a little darker, metres.
    """
    height, width = depth.shape
    for row in range(height):
        for column in range(width):
            away = depth[row, column]
            if away > 1e8:
                continue
            ux, uy = slopes[row, column, 0], slopes[row, column, 1]
            x = position[0] + away * (rotation[0, 0] * ux + rotation[1, 0] * uy + rotation[2, 0])
            y = position[1] + away * (rotation[0, 1] * ux + rotation[1, 1] * uy + rotation[2, 1])
            z = position[2] + away * (rotation[0, 2] * ux + rotation[1, 2] * uy + rotation[2, 2])
            dark = 0.0
            if hardness > 0:
                dark = hardness * (1 - shadow_share(x, y, z, shadow, frame))
            if z < 0.08:
                near = 1e9
                for foot in range(feet.shape[0]):
                    near = min(near, (x - feet[foot, 0]) ** 2 + (y - feet[foot, 1]) ** 2)
                contact = _CONTACT * math.exp(-near / (_CONTACT_M * _CONTACT_M))
                wide = 0.18 * (1 - hardness) * math.exp(-near / 0.5)
                soft = 1 - (1 - contact) * (1 - wide)
                for channel in range(3):
                    picture[row, column, channel] *= 1 - soft * (1 - 0.5 * kept[channel])
            if dark > 0:
                for channel in range(3):
                    picture[row, column, channel] *= 1 - dark * (1 - kept[channel])
