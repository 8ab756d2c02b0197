"""Runtimes: one interface over torch, ONNX Runtime and OpenVINO; each framework has one module here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from reid.registry import ModelSpec

Wanted = Literal["auto", "torch", "openvino"]
"""What is to run networks of ours; "auto": whatever is faster on this machine, see `choice.py`. Models that
come as an ONNX or OpenVINO file are run by what they are made for.
"""

Shape = tuple[int, int, int, int]
"""(N, 3, H, W); -1 for any number."""


class Runtime(Protocol):
    """Executes a network on a batch."""

    def __call__(self, batch: NDArray[np.float32]) -> tuple[NDArray[np.float32], ...]:
        """Run `batch` (N, 3, H, W) float32, C-contiguous; the network's outputs as float32, each N first.

        N may be any number from 1; runtimes with a fixed batch split it themselves.
        """
        ...


@dataclass(frozen=True)
class TorchModel:
    """A model of ours, whose networks are torch modules, before anything runs it.

    Attributes:
        spec: its row.
        load: makes its networks, float32, in evaluation mode; each call makes new ones.
        inputs: what each network takes. Where it takes one picture at a time N is 1.
        tried: for each network a typical batch, to measure with.
        bfloat16: it may be computed in bfloat16 where the processor has that.
    """

    spec: ModelSpec
    load: Callable[[], tuple[Any, ...]]
    inputs: tuple[Shape, ...]
    tried: tuple[Shape, ...]
    bfloat16: bool
