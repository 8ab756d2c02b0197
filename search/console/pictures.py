"""Pictures of a sighting from its original: the whole frame, the person large, and a few frames in a row.

Reads the clip that the archive names, at the place it names; an original that is gone gives nothing.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from indexer.cutting import stretch
from indexer.frame import Frame
from reid.boxes import pad
from reid.errors import FootageError
from reid.images import Picture, crop, draw_box, encode_jpeg, fit_within, resize
from search.export.frames import best_frame
from search.sightings import Sighting

FRAMES = 8
"""In a strip."""

_AROUND_S = 1.5  # a strip shows so much before and after the best moment
_CONTEXT = 0.2  # of the person's height, above and below
_WIDE, _HIGH = 196, 230  # pixels of each picture of a strip
_LARGEST = (1600, 1000)


def whole_frame(sighting: Sighting) -> bytes:
    """JPEG of the frame of the best moment, a rim around the person; raises FootageError."""
    frame = _best(sighting)
    drawn = draw_box(frame.picture, np.array(sighting.record.box, np.float32))
    return encode_jpeg(fit_within(drawn, *_LARGEST), 90)


def close_up(sighting: Sighting) -> bytes:
    """JPEG of the person in the full resolution of the original; raises FootageError."""
    frame = _best(sighting)
    box = pad(np.array([sighting.record.box], np.float32), 0.15)[0]
    return encode_jpeg(fit_within(crop(frame.picture, box), 900, 1400), 92)


def strip(sighting: Sighting) -> bytes:
    """JPEG of `FRAMES` pictures side by side, around the best moment; raises FootageError."""
    record = sighting.record
    best = record.best_offset_s
    wanted = np.linspace(best - _AROUND_S, best + _AROUND_S, FRAMES)
    frames = list(stretch(Path(record.path), best - _AROUND_S, best + _AROUND_S))
    if not frames:
        raise FootageError("no_frames", f"{record.path}: no frame can be decoded in this stretch")
    times = np.array([frame.time_s for frame in frames])
    parts = [_window(frames[int(np.abs(times - moment).argmin())].picture, record.box) for moment in wanted]
    return encode_jpeg(np.hstack(parts), 80)


def _window(picture: Picture, box: tuple[float, float, float, float]) -> Picture:
    """The person's place in a picture, in the shape of a strip's pictures, moved inside."""
    high = min((box[3] - box[1]) * (1 + 2 * _CONTEXT), picture.shape[0], picture.shape[1] * _HIGH / _WIDE)
    wide = high * _WIDE / _HIGH
    left = np.clip((box[0] + box[2] - wide) / 2, 0, picture.shape[1] - wide)
    top = np.clip((box[1] + box[3] - high) / 2, 0, picture.shape[0] - high)
    return resize(crop(picture, np.array([left, top, left + wide, top + high], np.float32)), _WIDE, _HIGH)


def person_of(picture: Picture, box: tuple[float, float, float, float]) -> bytes:
    """JPEG of the person in a photo."""
    return encode_jpeg(fit_within(crop(picture, np.array(box, np.float32)), 320, 480), 88)


def _best(sighting: Sighting) -> Frame:
    found = best_frame(Path(sighting.record.path), sighting).frame
    if found is None:
        raise FootageError("changed", f"{sighting.record.path}: shows something else at that moment now")
    return found
