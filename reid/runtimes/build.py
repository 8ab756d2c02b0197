"""Opens the runtime of an embedder: which framework, which network, which arithmetic.

Owns what each embedder's builder means. Knows no crop and no models folder; `embedder.py` feeds the
runtime, `adding.py` tries one before it accepts a file.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from reid.networks.checkpoints import fold_batch_norms, load_strictly
from reid.networks.osnet import BUILDERS
from reid.networks.peoplenet import BUILDERS as PEOPLE_NETS
from reid.networks.rnet import RNet
from reid.registry import ModelSpec
from reid.runtimes import Runtime
from reid.runtimes.onnx import OnnxRuntime
from reid.runtimes.openvino import OpenVinoRuntime
from reid.runtimes.pytorch import TorchRuntime

# bfloat16 must keep each vector within a cosine of 0.999 of float32's, measured on real crops: the least
# was .9998 for rnet and .99999 for peoplenet_xs, but .9972 for OSNet x0.25 (and 1.5 points of rank-1 lost).
# The other OSNets could not be measured without their weights, so they stay in float32 with it.
_BFLOAT16 = frozenset({"rnet", "peoplenet_xs"})

_NETWORKS: Mapping[str, Callable[[], Any]] = {**BUILDERS, **PEOPLE_NETS, "rnet": RNet}


def open_embedding(spec: ModelSpec, paths: Sequence[Path]) -> Runtime:
    """The runtime that turns batches into vectors, (N, `spec.dimension`) float32, not of unit length.

    Args:
        paths: the model's files, weights first, their sha256 already checked.

    Raises:
        ModelError: a file is unreadable or does not fit the architecture.
        MissingExtraError: the model needs onnxruntime or openvino, which is not installed.
    """
    if spec.backend == "onnx":
        return OnnxRuntime(paths[0])
    if spec.backend == "openvino":
        return OpenVinoRuntime(*paths)
    network = fold_batch_norms(load_strictly(_NETWORKS[spec.builder](), paths[0]))
    return TorchRuntime(network, bfloat16=spec.builder in _BFLOAT16)
