"""Runs a torch module: CUDA when present, channels-last, bfloat16 on request.

With `reid/networks` the only code that imports torch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn


def cpu_has_bfloat16() -> bool:
    """True where the CPU multiplies bfloat16 natively; emulation would be slower than float32."""
    return "bf16" in torch.backends.cpu.get_cpu_capability().lower() or bool(
        torch.cpu._is_avx512_bf16_supported()
    )


def use_one_thread() -> None:
    """From now on this process computes on one thread: results are then the same, to the bit, whatever the
    number of cores.
    """
    torch.set_num_threads(1)


def threads() -> int:
    """On how many threads this process computes; other runtimes keep to it."""
    return torch.get_num_threads()


@contextmanager
def on_one_thread() -> Iterator[None]:
    """Compute on one thread in here."""
    before = threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def example(shape: Sequence[int]) -> torch.Tensor:
    """A tensor of that shape, to trace a module with."""
    return torch.zeros(tuple(shape))


def has_gpu() -> bool:
    """True where torch computes on a GPU."""
    return torch.cuda.is_available()


class TorchRuntime:
    """A module in inference mode behind the `Runtime` interface.

    Args:
        module: takes (N, 3, H, W) float32 and returns a tensor or a tuple of tensors.
        bfloat16: compute in bfloat16 where the machine has it; outputs are float32 all the same.
    """

    def __init__(self, module: nn.Module, *, bfloat16: bool = False) -> None:
        self._device = torch.device("cuda" if has_gpu() else "cpu")
        native = self._device.type == "cuda" or cpu_has_bfloat16()
        self._type = torch.bfloat16 if bfloat16 and native else torch.float32
        self._module = module.eval().to(self._device, self._type, memory_format=torch.channels_last)  # type: ignore[call-overload]

    @torch.inference_mode()
    def __call__(self, batch: NDArray[np.float32]) -> tuple[NDArray[np.float32], ...]:
        """Run (N, 3, H, W) float32; see `Runtime`."""
        tensor = torch.from_numpy(batch).to(self._device, self._type, memory_format=torch.channels_last)
        outputs = self._module(tensor)
        if isinstance(outputs, torch.Tensor):
            outputs = (outputs,)
        return tuple(output.float().cpu().numpy() for output in outputs)
