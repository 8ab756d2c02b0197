"""Opens the runtime of a model: which network, which arithmetic, which framework.

Owns what each builder of the registry means. Knows no crop and no models folder; `embedder.py` and
`detector.py` feed the runtimes, `adding.py` tries one before it accepts a file.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from reid.networks.checkpoints import fold_batch_norms, load_strictly
from reid.networks.osnet import BUILDERS
from reid.networks.peoplenet import BUILDERS as PEOPLE_NETS
from reid.networks.rnet import RNet
from reid.networks.ssdlite import INPUT_SIDE, FineSsdLite, load_ssdlite
from reid.registry import ModelSpec
from reid.runtimes import Runtime, TorchModel, Wanted
from reid.runtimes.onnx import OnnxRuntime
from reid.runtimes.openvino import OpenVinoRuntime, read_pair
from reid.runtimes.pytorch import threads
from reid.runtimes.trial import open_model

# bfloat16 must keep each vector within a cosine of 0.999 of float32's, measured on real crops: the least
# was .9998 for rnet, .99999 for peoplenet_xs and .9993 for peoplenet_ls (.9997 by OpenVINO), but .9972 for
# OSNet x0.25 (and 1.5 points of rank-1 lost). The other OSNets could not be measured without their weights,
# so they stay in float32 with it. What peoplenet_lsf tells of 200 real crops changes its sign in .2 %.
_BFLOAT16 = frozenset({"rnet", "peoplenet_xs", "peoplenet_ls", "peoplenet_lsf"})

_NETWORKS: Mapping[str, Callable[[], Any]] = {**BUILDERS, **PEOPLE_NETS, "rnet": RNet}

_TRIED_CROPS = 16
_TRIED_LOOK = (353, 641)  # half a 720p picture; the finest look takes four times as long


def open_embedding(spec: ModelSpec, paths: Sequence[Path], wanted: Wanted = "torch") -> Runtime:
    """The runtime that turns batches into vectors, (N, `spec.dimension`) float32, not of unit length.

    Args:
        paths: the model's files, weights first, their sha256 already checked.
        wanted: see there.

    Raises:
        ModelError: a file is unreadable or does not fit the architecture.
        MissingExtraError: onnxruntime or openvino is needed and not installed.
        StorageError: OpenVINO is wanted and the cache folder cannot be written.
    """
    if spec.backend != "torch":
        return open_file(spec, paths)
    height, width = spec.input_height, spec.input_width
    model = TorchModel(
        spec,
        lambda: (fold_batch_norms(load_strictly(_NETWORKS[spec.builder](), paths[0])),),
        inputs=((-1, 3, height, width),),
        tried=((_TRIED_CROPS, 3, height, width),),
        bfloat16=spec.builder in _BFLOAT16,
    )
    return open_model(model, wanted)[0]


def open_ssdlite(spec: ModelSpec, path: Path, wanted: Wanted = "torch") -> tuple[Runtime, Runtime]:
    """The runtimes of SSDLite's two looks: `SsdLite` and `FineSsdLite`.

    Args:
        path: the frozen graph, its sha256 already checked.
        wanted: see there.

    Raises:
        ModelError, MissingExtraError, StorageError: see `open_embedding`.
    """

    def load() -> tuple[Any, ...]:
        network = load_ssdlite(path)
        return network, FineSsdLite(network)

    # One picture at a time: OpenVINO's form fixes the batch, and pictures this large gain nothing by company.
    # Padding is fixed too, and right for both: at the sides that the detector gives the finer looks, one more
    # than a multiple of 32, it is the same at every size.
    model = TorchModel(
        spec,
        load,
        inputs=((1, 3, INPUT_SIDE, INPUT_SIDE), (1, 3, -1, -1)),
        tried=((1, 3, INPUT_SIDE, INPUT_SIDE), (1, 3, *_TRIED_LOOK)),
        bfloat16=True,
    )
    whole, fine = open_model(model, wanted)
    return whole, fine


def open_file(spec: ModelSpec, paths: Sequence[Path]) -> Runtime:
    """The runtime of a model that is a file of ONNX or OpenVINO, on as many threads as torch has.

    Raises:
        ModelError: the framework cannot read it; MissingExtraError: it is not installed.
    """
    if spec.backend == "onnx":
        return OnnxRuntime(paths[0], threads=threads())
    return OpenVinoRuntime(read_pair(*paths), threads=threads())
