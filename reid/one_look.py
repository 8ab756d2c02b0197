"""Detectors that take a picture in one look of fixed size: YOLOX and OpenVINO's SSDs.

Owns how a picture is fitted for each and how its output becomes boxes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np

from reid.boxes import Boxes, Detections
from reid.images import Picture, resize_bilinear
from reid.looks import (
    LONGEST_STRETCH,
    DetectorOptions,
    Floats,
    batch_of,
    batches,
    check_pictures,
    finish,
    shaped,
)
from reid.registry import ModelSpec
from reid.runtimes import Runtime


class _OneLookDetector(ABC):
    """A network that takes one picture of fixed size; how it is fitted and read is its kind's."""

    def __init__(self, spec: ModelSpec, runtime: Runtime, options: DetectorOptions) -> None:
        self.spec = spec
        self._runtime, self._options = runtime, options

    def detect(
        self, pictures: Sequence[Picture], regions: Sequence[Boxes | None] | None = None
    ) -> list[Detections]:
        """See `Detector.detect`."""
        check_pictures(pictures)
        results = [Detections.empty() for _ in pictures]
        where = regions or [None] * len(pictures)
        asked = [row for row, parts in enumerate(where) if parts is None or len(parts)]
        for rows in batches(asked, self.spec.input_height * self.spec.input_width):
            output = self._runtime(batch_of([self._fit(pictures[row]) for row in rows], self.spec))[0]
            for row, values in zip(rows, self._rows(output, len(rows)), strict=True):
                found = self._read(values, pictures[row])
                kept = found.pick(found.scores >= self._options.min_score)
                results[row] = finish(kept, pictures[row], self._options)
        return results

    @abstractmethod
    def _fit(self, picture: Picture) -> Picture:
        """The picture at the size the network takes."""

    @abstractmethod
    def _rows(self, output: Floats, count: int) -> Floats:
        """The first output as (`count`, rows, values)."""

    @abstractmethod
    def _read(self, values: Floats, picture: Picture) -> Detections:
        """All boxes of one picture, in its pixels."""


class YoloxDetector(_OneLookDetector):
    """YOLOX (Ge et al. 2021) trained on COCO, exported without its decoding; class 0 is a person."""

    _STRIDES = (8, 16, 32)
    _PAD = 114
    _VALUES = 85  # x, y, width, height, objectness, 80 classes

    def _scale(self, picture: Picture) -> float:
        height, width = picture.shape[:2]
        scale: float = min(self.spec.input_height / height, self.spec.input_width / width)
        return scale

    def _fit(self, picture: Picture) -> Picture:
        """The picture in the top left corner, grey below or beside it."""
        scale = self._scale(picture)
        height, width = (max(1, int(side * scale)) for side in picture.shape[:2])
        fitted = np.full((self.spec.input_height, self.spec.input_width, 3), self._PAD, np.uint8)
        fitted[:height, :width] = resize_bilinear(picture, width, height)
        return fitted

    def _rows(self, output: Floats, count: int) -> Floats:
        cells = sum(
            (self.spec.input_height // step) * (self.spec.input_width // step) for step in self._STRIDES
        )
        return shaped(output, (count, cells, self._VALUES), self.spec)

    def _read(self, values: Floats, picture: Picture) -> Detections:
        origins, steps = self._grid()
        centres = (values[:, :2] + origins) * steps
        sides = np.exp(np.minimum(values[:, 2:4], LONGEST_STRETCH * 2)) * steps
        boxes = np.concatenate([centres - sides / 2, centres + sides / 2], 1) / self._scale(picture)
        return Detections(boxes.astype(np.float32), np.asarray(values[:, 4] * values[:, 5], np.float32))

    def _grid(self) -> tuple[Floats, Floats]:
        """(A, 2) column and row of each cell, and (A, 1) its stride."""
        origins, steps = [], []
        for step in self._STRIDES:
            rows, columns = self.spec.input_height // step, self.spec.input_width // step
            y, x = np.meshgrid(np.arange(rows), np.arange(columns), indexing="ij")
            origins.append(np.stack([x, y], -1).reshape(-1, 2))
            steps.append(np.full((rows * columns, 1), step))
        return np.concatenate(origins).astype(np.float32), np.concatenate(steps).astype(np.float32)


class SsdRowsDetector(_OneLookDetector):
    """A network that ends in OpenVINO's DetectionOutput: up to 200 rows for a picture squeezed to fit."""

    _PERSON = 1

    def _fit(self, picture: Picture) -> Picture:
        return resize_bilinear(picture, self.spec.input_width, self.spec.input_height)

    def _rows(self, output: Floats, count: int) -> Floats:
        rows = output.shape[2] if output.ndim == 4 else -1
        return shaped(output, (count, 1, rows, 7), self.spec)[:, 0]

    def _read(self, values: Floats, picture: Picture) -> Detections:
        """Rows are image, label, score and a box in 0..1; an image below 0 ends the list."""
        ends = np.flatnonzero(values[:, 0] < 0)
        values = values[: ends[0]] if len(ends) else values
        values = values[values[:, 1] == self._PERSON]
        height, width = picture.shape[:2]
        boxes = values[:, 3:7] * np.array([width, height, width, height], np.float32)
        return Detections(boxes.astype(np.float32), values[:, 2].astype(np.float32))
