"""Runtimes: one interface over torch, ONNX Runtime and OpenVINO; each framework has one module here."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class Runtime(Protocol):
    """Executes a network on a batch."""

    def __call__(self, batch: NDArray[np.float32]) -> tuple[NDArray[np.float32], ...]:
        """Run `batch` (N, 3, H, W) float32, C-contiguous; the network's outputs as float32, each N first.

        N may be any number from 1; runtimes with a fixed batch split it themselves.
        """
        ...
