"""A small world for tests without weights: coloured rectangles walk, and fakes of both models see them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from indexer.pipeline import Pipeline, PipelineOptions
from reid.attributes import BY_NAME, COLUMNS
from reid.attributes import COLOURS as TERMS
from reid.boxes import Boxes, Detections
from reid.images import Picture
from reid.models import find_model
from reid.registry import DEFAULT_DETECTOR, DEFAULT_EMBEDDER, ModelSpec

WIDTH, HEIGHT = 320, 192
GREY = 110
COLOURS = {  # BGR
    "red": (30, 30, 220),
    "green": (40, 200, 40),
    "blue": (220, 60, 30),
    "yellow": (20, 220, 230),
    "violet": (210, 30, 200),
}
_TERMS = {name: "purple" if name == "violet" else name for name in COLOURS}
NOW = datetime(2025, 6, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Walk:
    """A rectangle of one colour that crosses the picture during these frames, in a lane from the top."""

    colour: str
    first: int
    last: int
    lane: int = 0


def picture_of(walks: Sequence[Walk], frame: int) -> Picture:
    shown = np.full((HEIGHT, WIDTH, 3), GREY, np.uint8)
    for walk in walks:
        if walk.first <= frame <= walk.last:
            share = (frame - walk.first) / max(walk.last - walk.first, 1)
            x, y = int(10 + share * (WIDTH - 60)), 8 + walk.lane * 90
            shown[y : y + 80, x : x + 32] = COLOURS[walk.colour]
    return shown


def write_scene(path: Path, walks: Sequence[Walk], frames: int = 30, rate: int | Fraction = 10) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=rate)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv444p"
        stream.options = {"crf": "8", "preset": "ultrafast"}
        for number in range(frames):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture_of(walks, number), "bgr24")))
        container.mux(stream.encode())
    return path


def _inside(found: Detections, parts: Boxes) -> NDArray[np.bool_]:
    """(N,) whose middle is in one of the parts."""
    middle = (found.boxes[:, None, :2] + found.boxes[:, None, 2:]) / 2
    within = (middle >= parts[None, :, :2]) & (middle <= parts[None, :, 2:])
    return np.asarray(np.any(within.all(axis=2), axis=1), np.bool_)


class FakeDetector:
    """Finds each colour's rectangle."""

    spec: ModelSpec = find_model(DEFAULT_DETECTOR, "detect")

    def detect(
        self, pictures: Sequence[Picture], regions: Sequence[Boxes | None] | None = None
    ) -> list[Detections]:
        where = regions or [None] * len(pictures)
        return [
            found if parts is None else found.pick(_inside(found, parts))
            for found, parts in zip(map(self._one, pictures), where, strict=True)
        ]

    def _one(self, picture: Picture) -> Detections:
        boxes: list[list[float]] = []
        for colour in COLOURS.values():
            near = np.abs(picture.astype(int) - colour).max(axis=2) < 60
            if near.sum() > 200:
                ys, xs = np.nonzero(near)
                boxes.append([xs.min(), ys.min(), xs.max() + 1, ys.max() + 1])
        found: Boxes = np.array(boxes, np.float32).reshape(-1, 4)
        return Detections(found, np.full(len(found), 0.9, np.float32))


class FakeEmbedder:
    """The mean colour as a direction."""

    def __init__(self, sha256: str | None = None) -> None:
        spec = find_model(DEFAULT_EMBEDDER, "embed")
        file = spec.files[0] if sha256 is None else replace(spec.files[0], sha256=sha256)
        self.spec = replace(spec, dimension=8, files=(file,))

    def embed(self, crops: Sequence[Picture]) -> NDArray[np.float32]:
        vectors = np.zeros((len(crops), 8), np.float32)
        for row, crop in enumerate(crops):
            vectors[row, :3] = crop.reshape(-1, 3).mean(axis=0) - 120
            vectors[row, 3] = 5
        lengths = np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-6)
        return np.asarray(vectors / lengths, np.float32)

    def attributes(self, crops: Sequence[Picture]) -> NDArray[np.float32] | None:
        """Evidence for the upper colour alone, that of the crop's middle."""
        logits = np.zeros((len(crops), COLUMNS), np.float32)
        for row, crop in enumerate(crops):
            middle = crop[crop.shape[0] // 3 : -crop.shape[0] // 3, crop.shape[1] // 3 : -crop.shape[1] // 3]
            shown = middle.reshape(-1, 3).mean(axis=0)
            nearest = min(COLOURS, key=lambda name: float(np.abs(shown - COLOURS[name]).sum()))
            logits[row, BY_NAME["upper_colours"].start + TERMS.index(_TERMS[nearest])] = 9
        return logits


def fake_pipeline(sha256: str | None = None) -> Pipeline:
    return Pipeline(FakeDetector(), FakeEmbedder(sha256), PipelineOptions(frames_per_second=5))  # type: ignore[arg-type]


def colour_vector(colour: str) -> NDArray[np.float32]:
    """(1, 8) float32: what the fake embedder gives for a crop of this colour alone."""
    return FakeEmbedder().embed([np.full((8, 4, 3), COLOURS[colour], np.uint8)])
