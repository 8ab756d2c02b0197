"""One decoded frame, converted only as far as somebody asks: its picture, or its brightness alone.

Owns how decoded pixels become pictures, upright. Knows no file and no time beyond the frame's own.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, cast

import numpy as np

from reid.images import Grey, Picture, resize, rotate

if TYPE_CHECKING:
    import av

_GREY_FIRST = frozenset({"yuv420p", "yuvj420p", "yuv422p", "yuvj422p", "yuv444p", "yuvj444p", "nv12", "gray"})
"""Layouts of pixels that begin with the brightness, a byte each."""


@dataclass(frozen=True)
class Frame:
    """One decoded frame. Converting it takes as long as decoding it, so that is done when it is asked for.

    Attributes:
        index: 0-based number in the stream; after a seek the nearest number by the average rate.
        time_s: seconds since the clip's first frame, from the presentation timestamp.
        width, height: of the picture, pixels, the same throughout a clip.
    """

    index: int
    time_s: float
    width: int
    height: int
    _decoded: av.VideoFrame

    @cached_property
    def picture(self) -> Picture:
        """(H, W, 3) uint8 BGR, upright."""
        picture = to_picture(self._decoded)
        if picture.shape[:2] == (self.height, self.width):
            return picture
        return resize(picture, self.width, self.height)

    def grey(self) -> Grey:
        """(H, W) uint8 brightness, upright, at the size it was decoded in."""
        return grey_of(self._decoded)


def to_picture(decoded: av.VideoFrame) -> Picture:
    """(H, W, 3) uint8 BGR, upright."""
    # threads=1: starting FFmpeg's scaling threads for each frame takes longer than the conversion.
    picture = decoded.reformat(format="bgr24", threads=1).to_ndarray()
    return rotate(cast(Picture, picture), -decoded.rotation)


def grey_of(decoded: av.VideoFrame) -> Grey:
    """(H, W) uint8 brightness, upright."""
    if decoded.format.name in _GREY_FIRST:
        plane = decoded.planes[0]
        rows = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)  # type: ignore[call-overload]
        grey = rows[: decoded.height, : decoded.width]
    else:
        grey = decoded.reformat(format="gray", threads=1).to_ndarray()
    return rotate(grey, -decoded.rotation)


def upright_size(decoded: av.VideoFrame) -> tuple[int, int]:
    """Width and height of its picture, pixels, upright."""
    sides = decoded.width, decoded.height
    return sides[::-1] if decoded.rotation % 180 else sides
