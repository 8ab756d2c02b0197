"""Finds people in pictures.

Owns the passes over a picture, how each detector's output becomes boxes, and their suppression. Knows no
camera, no time and no disk layout.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import sqrt
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from reid.boxes import Boxes, Detections, clip, suppress
from reid.errors import ModelError
from reid.images import Picture, resize_bilinear
from reid.models import find_model
from reid.networks.ssdlite import FineSsdLite, anchors, fine_anchors, load_ssdlite
from reid.registry import DEFAULT_DETECTOR, ModelSpec
from reid.runtimes import Runtime
from reid.runtimes.onnx import OnnxRuntime
from reid.runtimes.openvino import OpenVinoRuntime
from reid.runtimes.pytorch import TorchRuntime
from reid.weights import checked_paths

Floats = NDArray[np.float32]

_BATCH_PIXELS = 1_000_000
"""Of one run of a network; larger ones took no less time a picture, and more memory."""
_MOST_CANDIDATES = 1_000
_LONGEST_STRETCH = 3.0
"""A box is at most e^3 times its anchor: keeps a broken output finite."""


@dataclass(frozen=True)
class DetectorOptions:
    """How people are looked for.

    Attributes:
        min_score: `detect` returns every box with at least this score, 0..1. The default is low, for a
            tracker that keeps what lasts; ask for 0.5 or more to trust a single box.
        overlap: of two boxes with a higher IoU the better one stays.
        fine_pixels: the most pixels that the finer look of the embedded detector has; 0 for no such look,
            which takes a tenth of the time and misses small people. It looks at a picture in its own size;
            larger ones are reduced to so many pixels, which bounds the cost of a frame, and smaller ones
            enlarged to 440,000 (at most to twice their sides). People lower than some 30 pixels after that
            are missed.
    """

    min_score: float = 0.2
    overlap: float = 0.55
    fine_pixels: int = 921_600

    def __post_init__(self) -> None:
        if not 0 < self.min_score <= 1 or not 0 < self.overlap <= 1:
            raise ValueError(
                f"expected min_score and overlap above 0 and at most 1, got {self.min_score}, {self.overlap}"
            )
        if self.fine_pixels < 0:
            raise ValueError(f"expected fine_pixels of 0 or more, got {self.fine_pixels}")


class Detector(Protocol):
    """Finds people, whatever model it is.

    Attributes:
        spec: the registry row; `spec.sha256` identifies the model.
    """

    spec: ModelSpec

    def detect(self, pictures: Sequence[Picture]) -> list[Detections]:
        """The people in each picture, best first.

        Args:
            pictures: (H, W, 3) uint8 BGR each, of any sizes.

        Returns:
            For each picture its boxes, in its pixels, inside it, with scores of at least
            `DetectorOptions.min_score`.

        Raises:
            ValueError: a picture is not (H, W, 3) uint8 with at least one pixel.
            ModelError: the network's output is not what the registry row says.
        """
        ...


def load_detector(
    name: str = DEFAULT_DETECTOR, models: Path | None = None, options: DetectorOptions | None = None
) -> Detector:
    """The detector of this name, its files checked by sha256.

    Args:
        name: of a built-in row or of a model added to `models`.
        models: the folder models were added to (`$REID_HOME/models`), if there is one.

    Raises:
        UnknownNameError: no detector has the name.
        ModelError: files missing, altered or not fitting; MissingExtraError: a framework is missing.
    """
    spec = find_model(name, "detect", models)
    paths = checked_paths(spec, models)
    options = options or DetectorOptions()
    if spec.builder == "ssdlite_mobilenet_v2":
        network = load_ssdlite(paths[0])
        whole, fine = TorchRuntime(network, bfloat16=True), TorchRuntime(FineSsdLite(network), bfloat16=True)
        return PyramidDetector(spec, whole, fine, options)
    runtime = OnnxRuntime(paths[0]) if spec.backend == "onnx" else OpenVinoRuntime(*paths)
    kinds = {"yolox": YoloxDetector, "ssd_rows": SsdRowsDetector}
    return kinds[spec.builder](spec, runtime, options)


class PyramidDetector:
    """SSDLite, which sees 300 x 300 pixels: a look at the squeezed picture and two finer ones.

    The first look finds the largest people, the second, over the picture in its own size, small ones,
    the third, at half the size of the second, those between. The network is run over the whole finer
    picture at once rather than over tiles: nobody is cut, nothing is computed twice. (PETS09-S2L1, every
    8th frame: AP .63 with the first look alone, .83 with 384-pixel tiles, .88 so.)
    """

    _LARGE = 180.0
    """Pixels of the coarsest finer look; the first look counts for higher boxes only, where that is blind."""
    _MIDDLE = 120.0
    """Pixels of the finest look; the half look counts for higher boxes only."""
    _LEAST_FINE = 440_000
    """Pixels to which smaller pictures are enlarged for the finest look."""

    def __init__(self, spec: ModelSpec, whole: Runtime, fine: Runtime, options: DetectorOptions) -> None:
        self.spec = spec
        self._whole, self._fine, self._options = whole, fine, options

    def detect(self, pictures: Sequence[Picture]) -> list[Detections]:
        """See `Detector.detect`."""
        _check(pictures)
        side = (self.spec.input_height, self.spec.input_width)
        fine = [self._fine_size(picture, 1.0) for picture in pictures]
        half = [self._fine_size(picture, 0.5) for picture in pictures]
        small, middle = (self._look(pictures, sizes, self._fine) for sizes in (fine, half))
        large = self._look(pictures, [side] * len(pictures), self._whole)
        results = []
        for row, picture in enumerate(pictures):
            looks = [small[row], _higher(middle[row], self._MIDDLE, fine[row], picture)]
            coarsest = half[row] or fine[row]
            looks.append(_higher(large[row], self._LARGE, coarsest, picture))
            found = Detections.concatenate(looks)
            results.append(_finish(found, picture, self._options))
        return results

    def _fine_size(self, picture: Picture, share: float) -> tuple[int, int] | None:
        """(height, width) of a finer look; None where it would be no finer than the first."""
        height, width = picture.shape[:2]
        pixels = min(self._options.fine_pixels, max(self._LEAST_FINE, height * width))
        scale = share * min(sqrt(pixels / (height * width)), 2.0)
        # One more than a multiple of 32: every padding of the network is then symmetric, and cheap.
        fine = [32 * max(1, round((side * scale - 1) / 32)) + 1 for side in (height, width)]
        if fine[0] * fine[1] <= self.spec.input_height * self.spec.input_width:
            return None
        return fine[0], fine[1]

    def _look(
        self, pictures: Sequence[Picture], sizes: Sequence[tuple[int, int] | None], runtime: Runtime
    ) -> list[Detections]:
        """One pass over all pictures, each scaled to its (height, width); None for no look at it."""
        results = [Detections.empty() for _ in pictures]
        for size in dict.fromkeys(size for size in sizes if size is not None):
            reference = anchors() if runtime is self._whole else fine_anchors(*size)
            rows = [row for row, wanted in enumerate(sizes) if wanted == size]
            for part in _batches(rows, size[0] * size[1]):
                batch = _batch([resize_bilinear(pictures[row], size[1], size[0]) for row in part], self.spec)
                encodings, logits = runtime(batch)
                _shaped(encodings, (len(part), len(reference), 4), self.spec)
                _shaped(logits, (len(part), len(reference), 2), self.spec)
                for row, encoding, logit in zip(part, encodings, logits, strict=True):
                    found = _decode_ssd(encoding, logit, reference, self._options)
                    results[row] = _scaled(found, size, pictures[row])
        return results


class _OneLookDetector(ABC):
    """A network that takes one picture of fixed size; how it is fitted and read is its kind's."""

    def __init__(self, spec: ModelSpec, runtime: Runtime, options: DetectorOptions) -> None:
        self.spec = spec
        self._runtime, self._options = runtime, options

    def detect(self, pictures: Sequence[Picture]) -> list[Detections]:
        """See `Detector.detect`."""
        _check(pictures)
        results: list[Detections] = []
        for rows in _batches(range(len(pictures)), self.spec.input_height * self.spec.input_width):
            part = [pictures[row] for row in rows]
            output = self._runtime(_batch([self._fit(picture) for picture in part], self.spec))[0]
            for picture, values in zip(part, self._rows(output, len(part)), strict=True):
                found = self._read(values, picture)
                kept = found.pick(found.scores >= self._options.min_score)
                results.append(_finish(kept, picture, self._options))
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
        return _shaped(output, (count, cells, self._VALUES), self.spec)

    def _read(self, values: Floats, picture: Picture) -> Detections:
        origins, steps = self._grid()
        centres = (values[:, :2] + origins) * steps
        sides = np.exp(np.minimum(values[:, 2:4], _LONGEST_STRETCH * 2)) * steps
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
        return _shaped(output, (count, 1, rows, 7), self.spec)[:, 0]

    def _read(self, values: Floats, picture: Picture) -> Detections:
        """Rows are image, label, score and a box in 0..1; an image below 0 ends the list."""
        ends = np.flatnonzero(values[:, 0] < 0)
        values = values[: ends[0]] if len(ends) else values
        values = values[values[:, 1] == self._PERSON]
        height, width = picture.shape[:2]
        boxes = values[:, 3:7] * np.array([width, height, width, height], np.float32)
        return Detections(boxes.astype(np.float32), values[:, 2].astype(np.float32))


def _check(pictures: Sequence[Picture]) -> None:
    for number, picture in enumerate(pictures):
        if picture.ndim != 3 or picture.shape[2] != 3 or picture.size == 0 or picture.dtype != np.uint8:
            raise ValueError(
                f"picture {number}: expected (H, W, 3) uint8 with at least one pixel,"
                f" got {picture.shape} {picture.dtype}"
            )


def _batches(rows: Sequence[int], pixels: int) -> Iterator[Sequence[int]]:
    """`rows` in parts that are run together, `pixels` a picture."""
    count = max(1, _BATCH_PIXELS // pixels)
    for start in range(0, len(rows), count):
        yield rows[start : start + count]


def _batch(pictures: Sequence[Picture], spec: ModelSpec) -> Floats:
    """Pictures of one size as a network's input (N, 3, H, W)."""
    batch = np.empty((len(pictures), 3, *pictures[0].shape[:2]), np.float32)
    for row, picture in enumerate(pictures):
        for channel in range(3):
            plane = picture[..., 2 - channel if spec.channels == "RGB" else channel]
            np.subtract(plane, np.float32(spec.mean[channel]), out=batch[row, channel])
            batch[row, channel] *= np.float32(1 / spec.std[channel])
    return batch


def _shaped(output: Floats, wanted: tuple[int, ...], spec: ModelSpec) -> Floats:
    if output.shape != wanted:
        raise ModelError(
            f"model {spec.name}: expected output {wanted}, the network gave {output.shape};"
            " the file is not the detector its name says"
        )
    return output


def _decode_ssd(encodings: Floats, logits: Floats, reference: Floats, options: DetectorOptions) -> Detections:
    """Boxes in pixels of the network's input, from `ty, tx, th, tw` (A, 4), logits (A, 2), anchors (A, 4).

    The scales 10 and 5 are those of the Object Detection API's box coder.
    """
    scores = 1 / (1 + np.exp(-np.clip(logits[:, 1], -50, 50)))
    rows = scores >= options.min_score
    encodings, reference = encodings[rows], reference[rows]
    centres = encodings[:, :2] / 10 * reference[:, 2:] + reference[:, :2]
    halves = np.exp(np.minimum(encodings[:, 2:] / 5, _LONGEST_STRETCH)) * reference[:, 2:] / 2
    boxes = np.concatenate([centres - halves, centres + halves], 1)[:, [1, 0, 3, 2]]
    return Detections(boxes.astype(np.float32), scores[rows].astype(np.float32))


def _scaled(found: Detections, size: tuple[int, int], picture: Picture) -> Detections:
    """Boxes in a version of `picture` of `size` (height, width) as boxes in `picture`."""
    y, x = picture.shape[0] / size[0], picture.shape[1] / size[1]
    return Detections(found.boxes * np.array([x, y, x, y], np.float32), found.scores)


def _higher(found: Detections, least: float, size: tuple[int, int] | None, picture: Picture) -> Detections:
    """The boxes at least `least` pixels high in a version of `picture` of `size`; all where there is none."""
    if size is None:
        return found
    heights = (found.boxes[:, 3] - found.boxes[:, 1]) * (size[0] / picture.shape[0])
    return found.pick(heights >= least)


def _finish(found: Detections, picture: Picture, options: DetectorOptions) -> Detections:
    """Cut to the picture, without slivers, the best of each heap."""
    boxes: Boxes = clip(found.boxes, picture.shape[1], picture.shape[0])
    # Comparisons are false for NaN: a broken output finds nobody.
    wide = (boxes[:, 2] - boxes[:, 0] >= 1) & (boxes[:, 3] - boxes[:, 1] >= 1)
    kept = Detections(boxes, found.scores).pick(wide & (found.scores >= 0))
    best = np.argsort(-kept.scores, kind="stable")[:_MOST_CANDIDATES]
    return suppress(kept.pick(best), options.overlap)
