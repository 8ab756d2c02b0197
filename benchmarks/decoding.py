"""Decoding: `indexer.video` (PyAV) against OpenCV's VideoCapture, on the same files in turns.

Both give every frame as BGR, or only frames sampled at 5 a second (the others are decoded, not
converted). Real clips beside the repository are used when they are there; otherwise a synthetic one.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from rich.console import Console
from rich.table import Table

from indexer.video import open_clip

_RATE = 5.0
_SEED = 0


def run(quick: bool) -> dict[str, Any]:
    """Measure each reader on each clip; prints a table and returns its figures.

    Args:
        quick: three turns instead of ten; the fastest turn counts, as others disturb the rest.
    """
    with tempfile.TemporaryDirectory() as folder:
        clips = [_synthetic(Path(folder) / "made-720p.mp4", 150 if quick else 500), *_real_clips()]
        rows = [
            row
            for clip in clips
            for rate in (None, _RATE)
            for row in _compare(clip, rate, 3 if quick else 10)
        ]
    _print(rows)
    return {"seed": _SEED, "turns": 3 if quick else 10, "rows": rows}


def _real_clips() -> list[Path]:
    footage = Path(__file__).parents[2] / "shared" / "eval"
    return [path for path in sorted(footage.rglob("*")) if path.suffix in (".avi", ".mp4")]


def _synthetic(path: Path, frames: int) -> Path:
    """A 1280 x 720 H.264 clip at 25 frames a second as cameras write it: no B-frames, some noise."""
    random = np.random.default_rng(_SEED)
    ground = cv2.GaussianBlur(random.integers(0, 255, (720, 1280, 3), dtype=np.uint8), (0, 0), 4)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 1280, 720, "yuv420p"
        stream.options = {"bf": "0", "g": "50", "preset": "veryfast", "threads": "1"}
        for number in range(frames):
            noise = random.integers(-3, 4, ground.shape, dtype=np.int16)
            shown = np.clip(ground.astype(np.int16) + noise, 0, 255).astype(np.uint8)
            left = number * 6 % 1200
            shown[300:460, left : left + 60] = (200, 60, 30)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(shown, format="bgr24")))
        container.mux(stream.encode())
    return path


def _compare(clip: Path, rate: float | None, turns: int) -> list[dict[str, Any]]:
    readers: dict[str, Callable[[Path, float | None], int]] = {
        "indexer.video": _read_ours,
        "cv2.VideoCapture": _read_opencv,
    }
    seconds: dict[str, float] = dict.fromkeys(readers, float("inf"))
    given: dict[str, int] = {}
    for _ in range(turns):
        for name, reader in readers.items():
            begun = time.perf_counter()
            given[name] = reader(clip, rate)
            seconds[name] = min(seconds[name], time.perf_counter() - begun)
    with open_clip(clip) as opened:
        frames = round((opened.duration_s or 0.0) * opened.average_rate)
        facts = {"clip": clip.name, "codec": opened.codec, "width": opened.width, "height": opened.height}
    return [
        {
            **facts,
            "rate": rate,
            "reader": name,
            "frames_decoded": frames,
            "frames_given": given[name],
            "seconds": seconds[name],
            "frames_per_second": frames / seconds[name],
        }
        for name in readers
    ]


def _read_ours(path: Path, rate: float | None) -> int:
    with open_clip(path) as clip:
        return sum(1 for _ in clip.frames(rate))


def _read_opencv(path: Path, rate: float | None) -> int:
    capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    given, due_ms = 0, 0.0
    while capture.grab():
        if rate is not None:
            if capture.get(cv2.CAP_PROP_POS_MSEC) < due_ms - 1:
                continue
            due_ms += 1000 / rate
        capture.retrieve()
        given += 1
    capture.release()
    return given


def _print(rows: list[dict[str, Any]]) -> None:
    table = Table("clip", "sampled", "reader", "given", "decoded/s")
    for row in rows:
        sampled = "all" if row["rate"] is None else f"{row['rate']:g} a second"
        given, speed = str(row["frames_given"]), f"{row['frames_per_second']:,.0f}"
        table.add_row(row["clip"], sampled, row["reader"], given, speed)
    Console().print(table)
