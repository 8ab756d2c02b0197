"""Runs an ONNX file with ONNX Runtime (extra `onnx`); the only module that imports it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from reid.errors import MissingExtraError, ModelError


class OnnxRuntime:
    """An ONNX network behind the `Runtime` interface.

    Args:
        path: its file.
        threads: on which it computes.

    Raises:
        MissingExtraError: onnxruntime is not installed.
        ModelError: the file is not an ONNX network with one picture input.
    """

    def __init__(self, path: Path, *, threads: int) -> None:
        try:
            import onnxruntime
        except ImportError:
            raise MissingExtraError("onnxruntime", "onnx") from None
        onnxruntime.set_default_logger_severity(3)
        try:
            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = threads
            self._session = onnxruntime.InferenceSession(
                str(path), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # noqa: BLE001  onnxruntime raises its own untyped errors
            raise ModelError(f"{path}: ONNX Runtime cannot load it ({error})") from None
        inputs = self._session.get_inputs()
        if len(inputs) != 1:
            raise ModelError(f"{path}: expected one input, got {[i.name for i in inputs]}")
        self._input = inputs[0].name
        size = inputs[0].shape[0]
        self._fixed_batch = size if isinstance(size, int) and size > 0 else None

    def __call__(self, batch: NDArray[np.float32]) -> tuple[NDArray[np.float32], ...]:
        """Run (N, 3, H, W) float32; see `Runtime`."""
        if self._fixed_batch in (None, len(batch)):
            return tuple(self._session.run(None, {self._input: batch}))
        if self._fixed_batch != 1:
            raise ModelError(f"expected a network with batch 1 or any, got batch {self._fixed_batch}")
        parts = [self._session.run(None, {self._input: batch[i : i + 1]}) for i in range(len(batch))]
        return tuple(np.concatenate(column) for column in zip(*parts, strict=True))
