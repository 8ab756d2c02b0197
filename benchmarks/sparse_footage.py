"""Footage for `benchmarks indexing`: mostly empty streets of any size, codec and length."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import cast

import av
import numpy as np
from av.video.stream import VideoStream

from indexer.video import open_clip
from reid.images import Picture

RATE = 15
_EMPTY_SHARE = 11  # so many times as long nobody is there as somebody is
_NOISE = 1.5  # grey levels of the noise of an empty frame


def make_sparse(source: Path, path: Path, codec: str = "libx264", scale: float = 1.0) -> Path:
    """The clip `source`, and before and after it what its camera shows when nobody passes."""
    with open_clip(source) as clip:
        pictures = [frame.picture for frame in clip.frames(RATE)]
    empty = np.median(np.stack(pictures[:: max(1, len(pictures) // 15)]), axis=0)
    random = np.random.default_rng(0)

    def street() -> Iterator[Picture]:
        for _ in range(empty_before(len(pictures))):
            noise = random.normal(0, _NOISE, (*empty.shape[:2], 1))
            yield np.clip(empty + noise, 0, 255).astype(np.uint8)

    return _write(chain(street(), pictures, street()), path, codec, scale)


def empty_before(frames: int) -> int:
    """How many empty frames `make_sparse` puts before so many, and behind them."""
    return frames * _EMPTY_SHARE // 2


def make_copy(
    source: Path, path: Path, seconds: float = float("inf"), codec: str = "libx264", scale: float = 1.0
) -> Path:
    """The beginning of the clip `source`, encoded anew."""
    with open_clip(source) as clip:
        rate = round(clip.average_rate)
        pictures = (frame.picture for frame in clip.frames() if frame.time_s < seconds)
        return _write(pictures, path, codec, scale, rate)


def lengthen(source: Path, path: Path, hours: float) -> Path:
    """The clip `source` again and again, its packets copied."""
    with av.open(str(source)) as container:
        stream = container.streams.video[0]
        packets = [packet for packet in container.demux(stream) if packet.size]
        assert stream.time_base is not None
        length = max((packet.pts or 0) + (packet.duration or 0) for packet in packets)
        repeats = max(1, round(hours * 3600 / float(length * stream.time_base)))
        with av.open(str(path), "w") as out:
            target = out.add_stream_from_template(stream)
            for number in range(repeats):
                container.seek(0)
                for packet in container.demux(stream):
                    if packet.size:
                        packet.pts = (packet.pts or 0) + number * length
                        packet.dts = (packet.dts or 0) + number * length
                        packet.stream = target
                        out.mux(packet)
    return path


def _write(
    pictures: Iterator[Picture], path: Path, codec: str = "libx264", scale: float = 1.0,
    rate: int = RATE,
) -> Path:  # fmt: skip
    with av.open(str(path), "w") as container:
        stream = cast(VideoStream, container.add_stream(codec, rate=rate))
        stream.options = {"bf": "0", "g": str(2 * rate), "preset": "veryfast", "crf": "26", "threads": "1"}
        if codec == "libx265":
            stream.options |= {"x265-params": "log-level=error"}
        stream.pix_fmt = "yuv420p"
        for number, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(picture, format="bgr24")
            if number == 0:
                stream.width, stream.height = (
                    2 * round(side * scale / 2) for side in (frame.width, frame.height)
                )
            container.mux(stream.encode(frame.reformat(stream.width, stream.height, "yuv420p")))
        container.mux(stream.encode(None))
    return path
