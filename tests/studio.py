"""A studio without a renderer: everybody is a coloured rectangle on a straight street of twelve metres."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Sequence
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from benchmarks.city.clips import ClipPlan
from benchmarks.city.members import Member, Missing, WalkPlan
from benchmarks.city.paths import Laid, lay_walk
from benchmarks.city.settings import CitySettings, Mix
from benchmarks.city.studio import Box, Filmed, Looks
from reid.images import Picture

SMALL = CitySettings(seed=3, cameras=(2, 1), seconds=20.0, missing=3, mix=Mix(lookalikes=1.0))
RATE = 5
# As in tests/world.py, whose import would load torch in every process.
WIDTH, HEIGHT, GREY = 320, 192, 110
COLOURS = ((30, 30, 220), (40, 200, 40), (220, 60, 30), (20, 220, 230), (210, 30, 200))
ROUTE = np.array([[-6.0, 8.0], [6.0, 8.0]])
_BODY = (30, 80)  # pixels
_DARK = (60, 60, 60)  # passers-by, whom the fake detector does not see


class FakeStudio:
    """Missing people and lookalikes have the colour of their number; there are five colours."""

    def looks(self, member: Member) -> Looks:
        return Looks(f"somebody of {member.age_group} age", {"seed": member.seed})

    def photograph(self, missing: Missing) -> Picture:
        picture: Picture = np.full((120, 80, 3), GREY, np.uint8)
        picture[20:100, 25:55] = colour_of(missing.member)
        return picture

    def film(self, path: Path, clip: ClipPlan, walks: Sequence[WalkPlan], size: tuple[int, int]) -> Filmed:
        boxes: list[Box] = []
        count = round(clip.seconds * RATE)
        behind_first = sorted(walks, key=lambda walk: -walk.member.id)  # passers-by hide nobody
        laid = [(walk, lay_walk(walk, [ROUTE], everywhere, middle_best)) for walk in behind_first]
        with av.open(str(path), "w") as container:
            stream = container.add_stream("libx264", rate=RATE)
            stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv444p"
            stream.codec_context.thread_count = 1
            stream.options = {"crf": "8", "preset": "ultrafast"}
            for frame in range(count):
                picture: Picture = np.full((HEIGHT, WIDTH, 3), GREY, np.uint8)
                for walk, way in laid:
                    box = _box(walk, way, frame / RATE)
                    if box is not None:
                        left, top, right, bottom = (int(edge) for edge in box)
                        picture[top:bottom, left:right] = colour_of(walk.member)
                        boxes.append((frame, walk.member.id, *box, 1.0))
                for packet in stream.encode(av.VideoFrame.from_ndarray(picture, "bgr24")):
                    container.mux(packet)
            for packet in stream.encode():
                container.mux(packet)
        return Filmed(WIDTH, HEIGHT, float(RATE), count, tuple(boxes))


class SlowStudio(FakeStudio):
    """Takes its time with each clip, so that a run can be killed in one."""

    def film(self, path: Path, clip: ClipPlan, walks: Sequence[WalkPlan], size: tuple[int, int]) -> Filmed:
        path.write_bytes(b"half a clip")
        time.sleep(0.3)
        return super().film(path, clip, walks, size)


class FullDiskStudio(FakeStudio):
    """The disk is full."""

    def film(self, path: Path, clip: ClipPlan, walks: Sequence[WalkPlan], size: tuple[int, int]) -> Filmed:
        path.write_bytes(b"x")
        raise OSError(28, os.strerror(28), str(path))


class KilledStudio(FakeStudio):
    """Is killed by the system at the second clip."""

    def film(self, path: Path, clip: ClipPlan, walks: Sequence[WalkPlan], size: tuple[int, int]) -> Filmed:
        if clip.number == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().film(path, clip, walks, size)


def everywhere(points: NDArray[np.float64]) -> NDArray[np.bool_]:
    return np.ones(len(points), bool)


def middle_best(points: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.maximum(80 - 10 * np.abs(points[:, 0]), 0), np.float64)


def colour_of(member: Member) -> tuple[int, int, int]:
    if member.role == "bystander":
        return _DARK
    return COLOURS[(member.id - 1) % len(COLOURS)]


def place_at(walk: WalkPlan, laid: Laid, moment_s: float) -> NDArray[np.float64] | None:
    """(2,) metres where somebody is, None before and after the walk."""
    left = moment_s - laid.start_s
    steps = np.linalg.norm(np.diff(laid.path, axis=0), axis=1)
    along = np.concatenate([[0.0], np.cumsum(steps)])
    waited = 0.0
    for metre, seconds in laid.pauses:
        if (left - waited) * walk.speed_m_s <= metre:
            break
        waited += min(seconds, left - waited - metre / walk.speed_m_s)
    metres = (left - waited) * walk.speed_m_s
    if not 0 <= metres <= along[-1]:
        return None
    return np.array([np.interp(metres, along, laid.path[:, axis]) for axis in (0, 1)])


def _box(walk: WalkPlan, laid: Laid, moment_s: float) -> tuple[float, float, float, float] | None:
    place = place_at(walk, laid, moment_s)
    if place is None:
        return None
    centre, foot = (place[0] + 6) / 12 * WIDTH, HEIGHT - 20 - (place[1] - 8) * 8
    left, right = max(centre - _BODY[0] / 2, 0), min(centre + _BODY[0] / 2, WIDTH)
    top, bottom = max(foot - _BODY[1], 0), min(foot, HEIGHT)
    return None if right - left < 4 or bottom - top < 4 else (left, top, right, bottom)
