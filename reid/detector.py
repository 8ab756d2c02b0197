"""Finds people in pictures.

Owns the passes over a picture, how each detector's output becomes boxes, and their suppression. Knows no
camera, no time and no disk layout.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil, floor, sqrt
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from reid.boxes import Boxes, Detections, clip, suppress
from reid.errors import ModelError
from reid.images import Picture, resize_bilinear
from reid.models import find_model
from reid.networks.ssdlite import anchors, fine_anchors
from reid.registry import DEFAULT_DETECTOR, ModelSpec
from reid.runtimes import Runtime, Wanted
from reid.runtimes.build import open_file, open_ssdlite
from reid.weights import checked_paths

Floats = NDArray[np.float32]

_BATCH_PIXELS = 1_000_000
"""Of one run of a network; larger ones took no less time a picture, and more memory."""
_MOST_CANDIDATES = 1_000
_ROOM = 1.25
"""Of a person's height a part has at least: who is taller beside its edges is not wholly in it."""
_STEP = 96
"""Pixels of the finest look in which parts grow: a runtime takes half as long again where sizes change from
run to run. Of 32, 64, 96, 128, 192 and 256, 96 and 128 were fastest on crowded footage, by up to a quarter, and
64 and 96 on sparse footage."""
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

    def detect(
        self, pictures: Sequence[Picture], regions: Sequence[Boxes | None] | None = None
    ) -> list[Detections]:
        """The people in each picture, best first.

        Args:
            pictures: (H, W, 3) uint8 BGR each, of any sizes.
            regions: of each picture the parts to look at, (R, 4) pixels, inside it, which do not overlap,
                with room around whoever is in them: who is at an edge is cut or missed. None for the whole
                picture. A model that takes a picture in one look takes all of it if it takes any.

        Returns:
            For each picture its boxes, in its pixels, inside it, with scores of at least
            `DetectorOptions.min_score`.

        Raises:
            ValueError: a picture is not (H, W, 3) uint8 with at least one pixel.
            ModelError: the network's output is not what the registry row says.
        """
        ...


def load_detector(
    name: str = DEFAULT_DETECTOR,
    models: Path | None = None,
    options: DetectorOptions | None = None,
    runtime: Wanted = "torch",
) -> Detector:
    """The detector of this name, its files checked by sha256.

    Args:
        name: of a built-in row or of a model added to `models`.
        models: the folder models were added to (`$REID_HOME/models`), if there is one.
        runtime: what runs it, if its network is ours.

    Raises:
        UnknownNameError: no detector has the name.
        ModelError: files missing, altered or not fitting; MissingExtraError: a framework is missing.
        StorageError: OpenVINO is wanted and the cache folder cannot be written.
    """
    spec = find_model(name, "detect", models)
    paths = checked_paths(spec, models)
    options = options or DetectorOptions()
    if spec.builder == "ssdlite_mobilenet_v2":
        whole, fine = open_ssdlite(spec, paths[0], runtime)
        return PyramidDetector(spec, whole, fine, options)
    kinds = {"yolox": YoloxDetector, "ssd_rows": SsdRowsDetector}
    return kinds[spec.builder](spec, open_file(spec, paths), options)


@dataclass(frozen=True)
class _Part:
    """What is looked at: the picture it is of, (H, W, 3) the part, and where in the picture that begins."""

    row: int
    view: Picture
    left: int
    top: int


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

    def detect(
        self, pictures: Sequence[Picture], regions: Sequence[Boxes | None] | None = None
    ) -> list[Detections]:
        """See `Detector.detect`."""
        _check(pictures)
        parts: list[_Part] = []
        sides: list[tuple[int, int] | None] = []  # of the first look at each picture; it is at all of it
        blind = [self._blind(picture) for picture in pictures]
        for row, picture in enumerate(pictures):
            where = regions[row] if regions and self._fine_size(picture, picture, 1.0) else None
            mine = _parts(row, picture, where, self._scale(picture))
            tall = max((part.view.shape[0] for part in mine), default=0) >= blind[row] * _ROOM
            sides.append((self.spec.input_height, self.spec.input_width) if where is None or tall else None)
            parts += mine
        views = [part.view for part in parts]
        fine, half = (
            [self._fine_size(pictures[part.row], part.view, share) for part in parts] for share in (1.0, 0.5)
        )
        small, middle = (self._look(views, sizes, self._fine) for sizes in (fine, half))
        large = self._look(pictures, sides, self._whole)
        found = [
            [_within(each.pick(_heights(each) >= blind[row]), parts, row)] for row, each in enumerate(large)
        ]
        for place, part in enumerate(parts):
            size = fine[place]
            least = self._MIDDLE * part.view.shape[0] / size[0] if size else 0.0
            seen = [small[place], middle[place].pick(_heights(middle[place]) >= least)]
            found[part.row].append(_moved(Detections.concatenate(seen), part))
        return [
            _finish(Detections.concatenate(each), picture, self._options)
            for each, picture in zip(found, pictures, strict=True)
        ]

    def _scale(self, picture: Picture) -> float:
        """Pixels of the finest look for one of the picture."""
        height, width = picture.shape[:2]
        pixels = min(self._options.fine_pixels, max(self._LEAST_FINE, height * width))
        return min(sqrt(pixels / (height * width)), 2.0)

    def _fine_size(self, picture: Picture, view: Picture, share: float) -> tuple[int, int] | None:
        """(height, width) of a finer look at a part; None where it would show nothing that others do not."""
        scale = share * self._scale(picture)
        # One more than a multiple of 32: every padding of the network is then symmetric, and cheap.
        fine = [32 * max(1, round((side * scale - 1) / 32)) + 1 for side in view.shape[:2]]
        if view is picture and fine[0] * fine[1] <= self.spec.input_height * self.spec.input_width:
            return None
        if view is not picture and share < 1 and view.shape[0] * scale < self._MIDDLE * _ROOM:
            return None
        return fine[0], fine[1]

    def _blind(self, picture: Picture) -> float:
        """Pixels from which people are too tall for the finer looks; 0 where there are none."""
        sizes = [self._fine_size(picture, picture, share) for share in (0.5, 1.0)]
        coarsest = sizes[0] or sizes[1]
        return self._LARGE * picture.shape[0] / coarsest[0] if coarsest else 0.0

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

    def detect(
        self, pictures: Sequence[Picture], regions: Sequence[Boxes | None] | None = None
    ) -> list[Detections]:
        """See `Detector.detect`."""
        _check(pictures)
        results = [Detections.empty() for _ in pictures]
        where = regions or [None] * len(pictures)
        asked = [row for row, parts in enumerate(where) if parts is None or len(parts)]
        for rows in _batches(asked, self.spec.input_height * self.spec.input_width):
            output = self._runtime(_batch([self._fit(pictures[row]) for row in rows], self.spec))[0]
            for row, values in zip(rows, self._rows(output, len(rows)), strict=True):
                found = self._read(values, pictures[row])
                kept = found.pick(found.scores >= self._options.min_score)
                results[row] = _finish(kept, pictures[row], self._options)
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


def _parts(row: int, picture: Picture, regions: Boxes | None, scale: float) -> list[_Part]:
    """The parts of a picture, as large as needs be in steps; all of it without regions.

    Args:
        scale: of the finest look.
    """
    if regions is None:
        return [_Part(row, picture, 0, 0)]
    height, width = picture.shape[:2]
    step = _STEP / scale
    parts = []
    for x1, y1, x2, y2 in regions.tolist():
        (top, bottom), (left, right) = _stepped(y1, y2, height, step), _stepped(x1, x2, width, step)
        parts.append(_Part(row, picture[top:bottom, left:right], left, top))
    return parts


def _stepped(first: float, last: float, side: int, step: float) -> tuple[int, int]:
    """The least stretch of whole steps around another one, within `side` pixels."""
    length = min(side, round(step * max(1, ceil((last - first) / step - 1e-6))))
    begin = min(max(0, floor((first + last - length) / 2)), side - length)
    return begin, begin + length


def _moved(found: Detections, part: _Part) -> Detections:
    """Boxes in a part as boxes in its picture."""
    return Detections(found.boxes + np.array([part.left, part.top] * 2, np.float32), found.scores)


def _within(found: Detections, parts: Sequence[_Part], row: int) -> Detections:
    """Whose middle is in a part of their picture."""
    x, y = (found.boxes[:, :2] + found.boxes[:, 2:]).T / 2
    kept = np.zeros(len(found), bool)
    for part in parts:
        if part.row == row:
            height, width = part.view.shape[:2]
            kept |= (x >= part.left) & (x <= part.left + width) & (y >= part.top) & (y <= part.top + height)
    return found.pick(kept)


def _heights(found: Detections) -> Floats:
    """(N,) pixels."""
    return found.boxes[:, 3] - found.boxes[:, 1]


def _finish(found: Detections, picture: Picture, options: DetectorOptions) -> Detections:
    """Cut to the picture, without slivers, the best of each heap."""
    boxes: Boxes = clip(found.boxes, picture.shape[1], picture.shape[0])
    # Comparisons are false for NaN: a broken output finds nobody.
    wide = (boxes[:, 2] - boxes[:, 0] >= 1) & (boxes[:, 3] - boxes[:, 1] >= 1)
    kept = Detections(boxes, found.scores).pick(wide & (found.scores >= 0))
    best = np.argsort(-kept.scores, kind="stable")[:_MOST_CANDIDATES]
    return suppress(kept.pick(best), options.overlap)
