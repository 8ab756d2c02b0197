"""Films people who walk through a view: an H.264 clip, and the box of everybody in every frame.

The background is exposed once; in each frame only the surroundings of people are drawn anew. The only
module that writes video.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from reid.errors import InputError, storage_errors
from reid.images import Picture, write_text
from reid.people.electronics import SOFT_MARGIN, to_picture
from reid.people.motion import Walk, Walker, actors_at
from reid.people.render import Linear, Region, Staged, draw, stage
from reid.people.view import View
from reid.people.weather import add_rain

_KEY_FRAME_S = 2
_MOST_BITS = 2.0  # a second and pixel: 1.8 Mbit/s at 1280 x 720
_LEAST_SHARE = 0.02  # of a person's box inside the picture, below which there is no truth
_LEAST_HEIGHT = 8.0  # pixels


@dataclass(frozen=True)
class TruthBox:
    """Where one person is in one frame.

    Attributes:
        frame: from 0.
        person_id: the same in all cameras.
        x1, y1, x2, y2: pixels, body with clothes and hat, hidden parts included, cut at the picture's edge.
        visibility: 0..1, share of the whole person that can be seen.
    """

    frame: int
    person_id: int
    x1: float
    y1: float
    x2: float
    y2: float
    visibility: float


def film(
    path: Path,
    view: View,
    walks: Sequence[Walk],
    seconds: float,
    seed: int,
    clock: datetime | None = None,
    progress: Callable[[float], None] | None = None,
) -> list[TruthBox]:
    """Write `seconds` of footage to `path` and return the truth about it.

    Args:
        path: an .mp4 file; overwritten.
        view: the camera and what it sees; its electronics give the frame rate and compression.
        walks: everybody who passes.
        seconds: length of the clip, more than 0.
        seed: of the noise.
        clock: burnt into the picture as the time of the first frame, as the camera's clock shows it.
        progress: called with the share done, 0..1.

    Raises:
        InputError: no positive length.
        StorageError: the disk refused.
    """
    rate = Fraction(view.electronics.frame_rate).limit_denominator(1000)
    count = round(seconds * rate)
    if count < 1:
        raise InputError(f"footage of {seconds} s: expected at least one frame's time, give a longer clip")
    truth: list[TruthBox] = []
    with _encoder(path, view, rate) as write:
        for frame, picture, boxes in render_frames(view, walks, count, seed):
            if clock is not None:
                _write_clock(picture, clock + timedelta(seconds=float(frame / rate)))
            write(picture)
            truth += boxes
            if progress:
                progress((frame + 1) / count)
    return truth


def render_frames(
    view: View, walks: Sequence[Walk], count: int, seed: int
) -> Iterator[tuple[int, Picture, list[TruthBox]]]:
    """(frame, picture, truth) of `count` frames at the view's frame rate, before the clock is burnt in."""
    rng = np.random.default_rng([seed, 10])
    walkers = [Walker(walk) for walk in walks]
    whole = Region(0, 0, view.camera.width, view.camera.height)
    exposed = _expose(view, draw(view, [], whole).picture)
    empty = view.electronics.soften(exposed)
    for frame in range(count):
        moment = frame / float(view.electronics.frame_rate)
        present = [(index, stage(view, actor)) for index, actor in actors_at(walkers, moment)]
        picture, sharp = empty.copy(), exposed.copy()
        boxes: list[TruthBox] = []
        groups = _groups(present)
        for region, group in groups:
            drawing = draw(view, [staged for _, staged in group], region)
            sharp[region.slices] = _expose(view, drawing.picture)
            for (index, staged), visible in zip(group, drawing.visible, strict=True):
                box = truth_box(staged.box, whole, frame, walks[index].person_id, float(visible))
                if box:
                    boxes.append(box)
        for region, _ in groups:
            wide = region.grown(SOFT_MARGIN).within(whole)
            picture[wide.slices] = view.electronics.soften(sharp[wide.slices])
        yield frame, add_rain(view.electronics.add_noise(picture, rng), view.rain, rng), boxes


def truth_box(
    box: NDArray[np.float32] | None, picture: Region, frame: int, person_id: int, visible: float
) -> TruthBox | None:
    """The truth about one drawn person; None where nothing of them is in the picture."""
    if box is None:
        return None
    cut = np.clip(box, 0, [picture.right, picture.bottom] * 2)
    whole = float((box[2] - box[0]) * (box[3] - box[1]))
    inside = float(max(0.0, cut[2] - cut[0]) * max(0.0, cut[3] - cut[1])) / max(whole, 1e-6)
    if inside < _LEAST_SHARE or cut[3] - cut[1] < _LEAST_HEIGHT:
        return None
    x1, y1, x2, y2 = (round(float(value), 1) for value in cut)
    return TruthBox(frame, person_id, x1, y1, x2, y2, round(visible * inside, 3))


def _write_clock(picture: Picture, moment: datetime) -> None:
    """Burn the camera's time into the corner, as recorders do."""
    height = max(10, picture.shape[0] // 40)
    write_text(picture, f"{moment:%Y-%m-%d %H:%M:%S}", height, height, height)


def _expose(view: View, linear: Linear) -> Picture:
    return to_picture(view.electronics.expose(linear))


def _groups(present: Sequence[tuple[int, Staged]]) -> list[tuple[Region, list[tuple[int, Staged]]]]:
    """People whose surroundings overlap are drawn together."""
    groups = [(staged.extent, [(index, staged)]) for index, staged in present if not staged.extent.empty]
    merged = True
    while merged:
        merged = False
        for i in range(len(groups)):
            for j in range(i + 1, len(groups)):
                a, b = groups[i][0], groups[j][0]
                if a.left < b.right and b.left < a.right and a.top < b.bottom and b.top < a.bottom:
                    both = Region(
                        min(a.left, b.left), min(a.top, b.top), max(a.right, b.right), max(a.bottom, b.bottom)
                    )
                    groups[i] = (both, groups[i][1] + groups[j][1])
                    del groups[j]
                    merged = True
                    break
            if merged:
                break
    return groups


@contextmanager
def _encoder(path: Path, view: View, rate: Fraction) -> Iterator[Callable[[Picture], None]]:
    """A function that takes BGR pictures and writes them as H.264."""
    with storage_errors(path), av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=rate)
        stream.width, stream.height, stream.pix_fmt = view.camera.width, view.camera.height, "yuv420p"
        stream.codec_context.thread_count = 1  # the same bytes on any number of cores
        most = round(_MOST_BITS * view.camera.width * view.camera.height)
        stream.options = {
            "crf": str(view.electronics.crf),
            "preset": "ultrafast",
            "g": str(max(1, round(_KEY_FRAME_S * rate))),
            "maxrate": str(most),
            "bufsize": str(most),  # of one second: as recorders cap what a noisy night would take
        }

        def write(picture: Picture) -> None:
            for packet in stream.encode(av.VideoFrame.from_ndarray(picture, format="bgr24")):
                container.mux(packet)

        yield write
        for packet in stream.encode():
            container.mux(packet)


def mot_lines(rows: Sequence[TruthBox]) -> str:
    """The truth as MOT17 lines: frame from 1, id, x, y, width, height, 1, class 1, visibility."""
    return "".join(
        f"{row.frame + 1},{row.person_id},{row.x1:.1f},{row.y1:.1f},"
        f"{row.x2 - row.x1:.1f},{row.y2 - row.y1:.1f},1,1,{row.visibility:.3f}\n"
        for row in rows
    )
