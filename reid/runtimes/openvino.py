"""Runs an OpenVINO IR (.xml and .bin) with OpenVINO (extra `openvino`); the only module that imports it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from reid.errors import MissingExtraError, ModelError


class OpenVinoRuntime:
    """An OpenVINO network of fixed batch 1 behind the `Runtime` interface.

    Args:
        weights: the .bin file.
        graph: the .xml file.

    Raises:
        MissingExtraError: openvino is not installed.
        ModelError: OpenVINO cannot read the pair.
    """

    def __init__(self, weights: Path, graph: Path) -> None:
        try:
            import openvino
        except ImportError:
            raise MissingExtraError("openvino", "openvino") from None
        try:
            core = openvino.Core()
            network = core.read_model(model=str(graph), weights=str(weights))
            # float32 arithmetic: the default hint takes bfloat16 where the CPU has it, which moves vectors.
            self._network = core.compile_model(
                network, "CPU", {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "THROUGHPUT"}
            )
        except RuntimeError as error:
            raise ModelError(f"{graph}: OpenVINO cannot load it ({error})") from None

    def __call__(self, batch: NDArray[np.float32]) -> tuple[NDArray[np.float32], ...]:
        """Run (N, 3, H, W) float32; see `Runtime`."""
        request = self._network.create_infer_request()
        rows: list[list[NDArray[np.float32]]] = []
        for i in range(len(batch)):
            results = request.infer([batch[i : i + 1]])
            rows.append([np.array(results[output], np.float32) for output in self._network.outputs])
        return tuple(np.concatenate(column) for column in zip(*rows, strict=True))
