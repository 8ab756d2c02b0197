"""Turns crops of people into unit vectors, and into what can be said of them.

Owns resizing, normalization, batching and unit length. Knows no camera, no time and no disk layout.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from reid.attributes import BY_NAME, COLUMNS
from reid.errors import ModelError
from reid.images import Picture, resize
from reid.models import find_model
from reid.registry import DEFAULT_EMBEDDER, ModelSpec
from reid.runtimes import Runtime, Wanted
from reid.runtimes.build import open_embedding
from reid.vectors import unit_rows
from reid.weights import checked_paths

_BATCH = 16
"""Of 8 to 64 rows on one CPU thread, 16 was fastest for OSNet x0.25 and x1.0 in float32, 32 for rnet,
which mirrors and so runs twice as many."""


class Embedder:
    """One model behind one interface, whatever framework runs it.

    Attributes:
        spec: the registry row; `spec.sha256` identifies the vectors.
    """

    def __init__(
        self, spec: ModelSpec, runtime: Runtime, describer: Callable[[], Embedder] | None = None
    ) -> None:
        self.spec = spec
        self._runtime = runtime
        self._describer = describer
        self._mean = np.array(spec.mean, np.float32)
        self._scale = 1 / np.array(spec.std, np.float32)
        self._trust = np.ones(COLUMNS, np.float32)
        self._shifts = np.zeros(COLUMNS, np.float32)
        for name, trust, shifts in spec.attribute_evidence:
            self._trust[BY_NAME[name].columns] = trust
            self._shifts[BY_NAME[name].columns] = shifts

    def embed(self, crops: Sequence[Picture]) -> NDArray[np.float32]:
        """Embed each crop on its own: a vector does not depend on the crops beside it.

        Args:
            crops: N pictures of one person each, (H, W, 3) uint8 BGR, any size from 1 x 1.

        Returns:
            (N, `spec.dimension`) float32 unit vectors, finite. Where the network gives no direction
            (zeros or not a number), the first axis: far from every person, equal to no other crop's
            vector except such ones.

        Raises:
            ValueError: a crop is not (H, W, 3) uint8 with at least one pixel.
            ModelError: the network's output is not (N, `spec.dimension`).
        """
        vectors = np.empty((len(crops), self.spec.dimension), np.float32)
        for start in range(0, len(crops), _BATCH):
            batch = self._batch(crops[start : start + _BATCH], start)
            vectors[start : start + _BATCH] = self._run(batch)[0]
        return unit_rows(vectors)

    def attributes(self, crops: Sequence[Picture]) -> NDArray[np.float32] | None:
        """(N, `reid.attributes.COLUMNS`) float32 logits of each crop, as for `embed`; None from a model that
        describes nobody. What they mean: `reid.description`.

        Told by the model's describer where it has one, which is opened at the first call.
        """
        if self._describer is not None:
            return self._describer().attributes(crops)
        logits = np.empty((len(crops), COLUMNS), np.float32)
        for start in range(0, len(crops), _BATCH):
            outputs = self._run(self._batch(crops[start : start + _BATCH], start))
            if len(outputs) < 2:
                return None
            logits[start : start + _BATCH] = outputs[1] / (2 if self.spec.mirror else 1)
        return logits * self._trust + self._shifts

    def _batch(self, crops: Sequence[Picture], start: int) -> NDArray[np.float32]:
        height, width = self.spec.input_height, self.spec.input_width
        pixels = np.empty((len(crops), height, width, 3), np.uint8)
        for row, crop in enumerate(crops):
            if crop.ndim != 3 or crop.shape[2] != 3 or crop.size == 0 or crop.dtype != np.uint8:
                raise ValueError(
                    f"crop {start + row}: expected (H, W, 3) uint8 with at least one pixel,"
                    f" got {crop.shape} {crop.dtype}"
                )
            pixels[row] = resize(crop, width, height)
        ordered = pixels[..., ::-1] if self.spec.channels == "RGB" else pixels
        return np.ascontiguousarray(((ordered - self._mean) * self._scale).transpose(0, 3, 1, 2))

    def _run(self, batch: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        """The network's outputs, those of the mirrored crops added where the model wants it."""
        count = len(batch)
        if self.spec.mirror:
            batch = np.concatenate([batch, batch[..., ::-1]])
        outputs = self._runtime(batch)
        vectors = outputs[0]
        wanted = (len(batch), self.spec.dimension)
        if vectors.shape != wanted:
            raise ModelError(
                f"model {self.spec.name}: expected output {wanted}, the network gave {vectors.shape};"
                " the file is not the embedder its name says"
            )
        return [output[:count] + output[count:] if self.spec.mirror else output for output in outputs]


def load_embedder(
    name: str = DEFAULT_EMBEDDER, models: Path | None = None, runtime: Wanted = "torch"
) -> Embedder:
    """The embedder of this name, its files checked by sha256.

    Args:
        name: of a built-in row or of a model added to `models`.
        models: the folder models were added to (`$REID_HOME/models`), if there is one.
        runtime: what runs it, if its network is ours.

    Raises:
        UnknownNameError: no embedder has the name.
        ModelError: files missing, altered or not fitting; MissingExtraError: a framework is missing.
        StorageError: OpenVINO is wanted and the cache folder cannot be written.
    """
    spec = find_model(name, "embed", models)

    def opened(row: ModelSpec) -> Runtime:
        return open_embedding(row, checked_paths(row, models), runtime)

    @cache
    def describer() -> Embedder:
        row = find_model(spec.describer, "describe", models)
        return Embedder(row, opened(row))

    return Embedder(spec, opened(spec), describer if spec.describer else None)
