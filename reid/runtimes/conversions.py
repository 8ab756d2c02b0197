"""Our networks in OpenVINO's form, kept in the user's cache folder: converting takes seconds at every start.

One file a model, named by all that its content follows from. A damaged one is made again.
"""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np

from reid.cache import cache_folder, one_at_a_time
from reid.durable import write_npz
from reid.runtimes import Runtime, TorchModel
from reid.runtimes.choice import identity
from reid.runtimes.openvino import Network, OpenVinoRuntime, convert
from reid.runtimes.pytorch import example, threads

# A bit of a zip's header can also make it an encrypted one, or of an unknown method.
_DAMAGED = (OSError, ValueError, KeyError, EOFError, RuntimeError, zipfile.BadZipFile)


def open_openvino(model: TorchModel) -> tuple[Runtime, ...]:
    """A runtime for each network of a model, on as many threads as torch has.

    Raises:
        MissingExtraError: openvino is not installed.
        ModelError: OpenVINO cannot convert or load a network.
        StorageError: the cache folder cannot be written.
    """
    try:
        networks = _read(model)
    except _DAMAGED:
        with one_at_a_time():
            networks = converted(model)
    return tuple(OpenVinoRuntime(each, threads=threads(), bfloat16=model.bfloat16) for each in networks)


def converted(model: TorchModel) -> list[Network]:
    """The networks of a model, from the cache or made now; to be called inside of `one_at_a_time`.

    Raises:
        MissingExtraError, ModelError, StorageError: see `open_openvino`.
    """
    try:
        return _read(model)
    except _DAMAGED:
        pass
    names = [f"model {model.spec.name}, network {number}" for number in range(len(model.inputs))]
    # Traced with another batch than is tried afterwards, which shows it if that was fixed.
    traced = [(min(2, tried[0]), *tried[1:]) for tried in model.tried]
    networks = [
        convert(module, name, shape, example(size))
        for module, name, shape, size in zip(model.load(), names, model.inputs, traced, strict=True)
    ]
    arrays = {}
    for number, network in enumerate(networks):
        arrays[f"graph{number}"] = np.frombuffer(network.graph, np.uint8)
        arrays[f"weights{number}"] = np.frombuffer(network.weights, np.uint8)
    write_npz(_path(model), arrays)
    return networks


def _read(model: TorchModel) -> list[Network]:
    """The checksums of the file's members are compared as they are read."""
    path = _path(model)
    with np.load(path) as stored:
        return [
            Network(f"{path}, network {n}", stored[f"graph{n}"].tobytes(), stored[f"weights{n}"].tobytes())
            for n in range(len(model.inputs))
        ]


def _path(model: TorchModel) -> Path:
    return cache_folder() / f"openvino-{identity(model.spec)}.npz"
