"""The frame of a clip that a stored picture was taken from, told by that picture.

A clip that was replaced, or whose times are damaged, shows something else at that moment: then there is none.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from indexer.frame import Frame
from indexer.pipeline import CONTEXT
from indexer.shard.records import Record
from indexer.video import open_clip
from reid.boxes import pad
from reid.errors import PhotoError
from reid.images import Picture, blur, crop, decode_jpeg, resize

_DIFFERENT = 24.0  # grey levels between a stored picture and its own frame that JPEG does not explain


class Pictured(Protocol):
    """A tracklet with its picture."""

    @property
    def record(self) -> Record:
        """When, where and in which clip."""

    @property
    def thumbnail(self) -> bytes:
        """JPEG of the best crop."""


@dataclass(frozen=True)
class Best:
    """The frame of the best detection. `from_start`: seeking does not find it; None: nothing does."""

    frame: Frame | None
    from_start: bool


def best_frame(path: Path, pictured: Pictured) -> Best:
    """The frame that the archive's picture was taken from; raises FootageError."""
    with open_clip(path) as footage:
        for from_start in (False, True):
            frame = footage.frame_at(pictured.record.best_offset_s, from_start=from_start)
            if _shows(frame.picture, pictured):
                return Best(frame, from_start)
    return Best(None, True)


def _shows(picture: Picture, pictured: Pictured) -> bool:
    """Does the frame hold the stored picture where it was taken from?"""
    try:
        stored = decode_jpeg(pictured.thumbnail)
    except PhotoError:
        return True  # nothing to compare with
    own = crop(picture, pad(np.array([pictured.record.box], np.float32), CONTEXT)[0])
    own = resize(own, stored.shape[1], stored.shape[0])
    difference = blur(own, 1.0).astype(np.float32) - blur(stored, 1.0)
    return bool(np.abs(difference).mean() < _DIFFERENT)
