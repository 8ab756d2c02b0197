"""Small synthetic clips for tests: grey ground, a moving rectangle, and the frame's number in blocks.

The number is written as eight black or white blocks along the top edge, so that a test can ask which
frame it got (`number_of`) instead of trusting a timestamp.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import numpy as np
from av.video.stream import VideoStream
from numpy.typing import NDArray

WIDTH, HEIGHT = 160, 96
_BITS = 8
_TICKS = 90_000
"""Timestamps a second in the written files."""


def picture(number: int, width: int = WIDTH, height: int = HEIGHT) -> NDArray[np.uint8]:
    """Frame `number` (0..255): (height, width, 3) uint8 BGR, with its number in the top quarter."""
    shown = np.full((height, width, 3), 96, np.uint8)
    block = width // _BITS
    for bit in range(_BITS):
        shown[: height // 4, bit * block : (bit + 1) * block] = 255 if number >> bit & 1 else 0
    left = number * 5 % (width - 24)
    shown[height // 2 : height // 2 + 32, left : left + 24] = (200, 60, 30)
    return shown


def number_of(shown: NDArray[np.uint8]) -> int:
    """The number written in a decoded picture (upright, any size)."""
    height, width = shown.shape[:2]
    block = width // _BITS
    middles = shown[height // 8, block // 2 :: block].mean(axis=1)[:_BITS]
    return sum(1 << bit for bit, value in enumerate(middles) if value > 128)


def write_clip(
    path: Path,
    count: int = 30,
    rate: int = 10,
    *,
    times: Sequence[float] | None = None,
    start_s: float = 0.0,
    size: tuple[int, int] = (WIDTH, HEIGHT),
    codec: str = "libx264",
    options: Mapping[str, str] | None = None,
    container_options: Mapping[str, str] | None = None,
    metadata: Mapping[str, str] | None = None,
    rotation: int = 0,
) -> Path:
    """Write `count` numbered frames; returns `path`.

    Args:
        path: where; the suffix chooses the container.
        count: frames; ignored when `times` is given.
        rate: frames a second, nominal.
        times: presentation time of each frame in seconds, for variable rates.
        start_s: added to every presentation time.
        size: width and height in pixels.
        codec: encoder name.
        options: encoder options; by default no B-frames and a key frame every 10 frames.
        container_options: muxer options such as movflags.
        metadata: container metadata such as creation_time.
        rotation: display rotation written beside the stream, degrees as FFmpeg counts them.
    """
    moments = [number / rate for number in range(count)] if times is None else list(times)
    with av.open(str(path), "w", options=dict(container_options or {})) as container:
        container.metadata.update(metadata or {})
        stream = cast(VideoStream, container.add_stream(codec, rate=rate))
        stream.width, stream.height = size
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        stream.codec_context.time_base = Fraction(1, _TICKS if codec == "libx264" else rate)
        if codec == "libx264":
            stream.options = {"bf": "0", "g": "10", "preset": "ultrafast", "tune": "zerolatency"}
        stream.options = {**stream.options, **(options or {})}
        if rotation:
            stream.set_display_rotation(rotation)
        for number, moment in enumerate(moments):
            frame = av.VideoFrame.from_ndarray(picture(number, *size), format="bgr24")
            base = stream.codec_context.time_base
            frame.time_base, frame.pts = base, round((moment + start_s) / base)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def write_audio(path: Path, seconds: float = 1.0) -> Path:
    """A file with sound and no picture."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=16_000, layout="mono")
        for start in range(0, int(seconds * 16_000), 1024):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
            frame.sample_rate, frame.pts = 16_000, start
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def cut(path: Path, share: float) -> Path:
    """Keep the first `share` (0..1) of the file's bytes."""
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    return path


def flip_bytes(path: Path, start: float, end: float, seed: int = 0) -> Path:
    """Overwrite the bytes between two shares (0..1) of the file with noise."""
    data = bytearray(path.read_bytes())
    first, last = int(len(data) * start), int(len(data) * end)
    data[first:last] = np.random.default_rng(seed).bytes(last - first)
    path.write_bytes(bytes(data))
    return path
