"""Runs networks with OpenVINO (extra `openvino`) and converts torch modules; alone imports it."""

from __future__ import annotations

import sys
import tempfile
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reid.errors import MissingExtraError, ModelError


@dataclass(frozen=True)
class Network:
    """OpenVINO's form of a network: the bytes of an .xml and of a .bin file.

    Attributes:
        name: for messages.
    """

    name: str
    graph: bytes
    weights: bytes


def read_pair(weights: Path, graph: Path) -> Network:
    """The network of two files."""
    return Network(str(graph), graph.read_bytes(), weights.read_bytes())


def _imported() -> Any:
    """The module `openvino`.

    Raises:
        MissingExtraError: it is not installed.
    """
    # OpenVINO tells a server abroad that it was imported and what it converted, unless this is missing.
    sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]
    try:
        import openvino
    except ImportError:
        raise MissingExtraError("openvino", "openvino") from None
    return openvino


class OpenVinoRuntime:
    """An OpenVINO network with one picture input, of any batch or of batch 1, behind the `Runtime` interface.

    Args:
        network: see there.
        threads: on which it computes.
        bfloat16: compute in bfloat16 where the processor has it; outputs are float32 all the same.

    Raises:
        MissingExtraError: openvino is not installed.
        ModelError: OpenVINO cannot read the network.
    """

    def __init__(self, network: Network, *, threads: int, bfloat16: bool = False) -> None:
        self._name = network.name
        openvino = _imported()
        try:
            core = openvino.Core()
            native = bfloat16 and "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
            self._network = core.compile_model(
                core.read_model(network.graph, network.weights),
                "CPU",
                {
                    # Said, because the default takes bfloat16 where there is some, which moves vectors.
                    "INFERENCE_PRECISION_HINT": "bf16" if native else "f32",
                    "INFERENCE_NUM_THREADS": threads,
                    "NUM_STREAMS": 1,
                    # Processes side by side would all be pinned to the same first core.
                    "ENABLE_CPU_PINNING": False,
                    # Kernels are kept by input size; of the detector's many all took 500 MB more, no faster.
                    "CPU_RUNTIME_CACHE_CAPACITY": 512,
                },
            )
        except RuntimeError as error:
            raise ModelError(f"{self._name}: OpenVINO cannot load it ({error})") from None
        batch = self._network.inputs[0].partial_shape[0]
        self._any_batch = not batch.is_static
        if not self._any_batch and batch.get_length() != 1:
            raise ModelError(f"{self._name}: expected a network with batch 1 or any, got {batch}")

    def __call__(self, batch: NDArray[np.float32]) -> tuple[NDArray[np.float32], ...]:
        """Run (N, 3, H, W) float32; see `Runtime`.

        Raises:
            ModelError: OpenVINO cannot run the network on such a batch.
        """
        # Each call has a request of its own, so that threads can share a network.
        request = self._network.create_infer_request()
        parts = [batch] if self._any_batch else [batch[i : i + 1] for i in range(len(batch))]
        rows: list[list[NDArray[np.float32]]] = []
        for part in parts:
            try:
                results = request.infer([part])
            except RuntimeError as error:
                raise ModelError(f"{self._name}: OpenVINO cannot run it on {part.shape} ({error})") from None
            rows.append([np.array(results[output], np.float32) for output in self._network.outputs])
        return tuple(np.concatenate(column) for column in zip(*rows, strict=True))


def convert(module: Any, name: str, shape: Sequence[int], example: Any) -> Network:
    """A torch module as an OpenVINO network, weights in float32.

    Args:
        module: a `torch.nn.Module` with one input, in evaluation mode.
        shape: (N, 3, H, W) that the network is to take; -1 for any number.
        example: a tensor of such a shape, with which the module is traced: what it decides by other numbers
            than -1 is fixed in the network.

    Raises:
        MissingExtraError: openvino is not installed.
        ModelError: it has a part that OpenVINO does not know.
    """
    openvino = _imported()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's, of decisions that are fixed
            converted = openvino.convert_model(module, example_input=example)
        converted.reshape(list(shape))
        with tempfile.TemporaryDirectory(prefix="reid-openvino-") as folder:
            graph = Path(folder) / "network.xml"
            openvino.save_model(converted, graph, compress_to_fp16=False)
            return Network(name, graph.read_bytes(), graph.with_suffix(".bin").read_bytes())
    except Exception as error:  # noqa: BLE001  the tracer raises whatever the module does
        raise ModelError(f"{name}: OpenVINO cannot convert it ({error})") from None
