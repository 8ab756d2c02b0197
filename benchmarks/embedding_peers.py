"""How many crops a second the product embeds, beside what users have today with the same network.

OSNet x0.25 with random weights, which cost as much as any: by torchreid's FeatureExtractor, which is
installed by hand (PyPI torchreid, gdown, tensorboard; left out where it is not there), and by the product; by
ONNX Runtime alone where a file of that network lies beside the repository. Crops go in as pictures of
different sizes, so that scaling them counts. Each in a process of its own, on all cores.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.footage import EVAL
from benchmarks.serving_measures import apart
from reid.embedder import Embedder, load_embedder
from reid.images import Picture
from reid.models import find_model
from reid.networks.checkpoints import fold_batch_norms
from reid.networks.osnet import BUILDERS
from reid.runtimes.onnx import OnnxRuntime
from reid.runtimes.pytorch import TorchRuntime, threads

_NETWORK = "osnet_x0_25"
_SPEC, _FILE = "osnet-x0.25-msmt17-onnx", "osnet_x0_25_msmt17.onnx"
_TOGETHER = 64
_SECONDS = 5.0

Embed = Callable[[Sequence[Picture]], Any]


def crops_a_second(folder: Path, quick: bool) -> dict[str, float]:
    """By name, the first being the peer to beat where it is installed."""
    weights = folder / "osnet.pth"
    torch.save(BUILDERS[_NETWORK]().state_dict(), weights)
    seconds = _SECONDS / 5 if quick else _SECONDS
    found = {name: apart(_rate, name, weights, seconds) for name in _MADE}
    return {name: rate for name, rate in found.items() if rate is not None}


def _rate(name: str, weights: Path, seconds: float) -> float | None:
    embed = _MADE[name](weights)
    if embed is None:
        return None
    random = np.random.default_rng(0)
    crops = [
        random.integers(0, 255, (int(height), int(height * 0.4), 3), dtype=np.uint8)
        for height in random.integers(80, 400, _TOGETHER)
    ]
    embed(crops)
    count, begun = 0, time.perf_counter()
    while time.perf_counter() - begun < seconds:
        embed(crops)
        count += len(crops)
    return count / (time.perf_counter() - begun)


def _torchreid(weights: Path) -> Embed | None:
    try:
        from torchreid.reid.utils import FeatureExtractor  # type: ignore[import-not-found]
    except ImportError:
        return None
    extractor = FeatureExtractor(_NETWORK, str(weights), device="cpu", verbose=False)
    return lambda crops: extractor([crop[..., ::-1] for crop in crops])


def _ours(weights: Path) -> Embed:
    network = BUILDERS[_NETWORK]()
    network.load_state_dict(torch.load(weights, weights_only=True))
    spec = replace(find_model(_SPEC, "embed"), backend="torch")
    return Embedder(spec, TorchRuntime(fold_batch_norms(network))).embed


def _onnx(weights: Path) -> Embed | None:
    path = EVAL / "models" / _FILE
    if not path.exists():
        return None
    return Embedder(find_model(_SPEC, "embed"), OnnxRuntime(path, threads=threads())).embed


def _default(weights: Path) -> Embed:
    return load_embedder(runtime="auto").embed


_MADE: dict[str, Callable[[Path], Embed | None]] = {
    "torchreid's FeatureExtractor, OSNet x0.25": _torchreid,
    "the product, OSNet x0.25": _ours,
    "the product by ONNX Runtime, OSNet x0.25": _onnx,
    "the product, its own network": _default,
}
