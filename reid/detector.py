"""Finds people in pictures: what a detector is, and the one of a name.

How each looks is in `pyramid.py` and `one_look.py`. Knows no camera, no time and no disk layout.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from reid.boxes import Boxes, Detections
from reid.images import Picture
from reid.looks import DetectorOptions
from reid.models import find_model
from reid.one_look import SsdRowsDetector, YoloxDetector
from reid.pyramid import PyramidDetector
from reid.registry import DEFAULT_DETECTOR, ModelSpec
from reid.runtimes import Wanted
from reid.runtimes.build import open_file, open_ssdlite
from reid.weights import checked_paths


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
