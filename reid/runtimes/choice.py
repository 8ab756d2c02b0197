"""What was chosen to run a model of ours on this machine, and how fast each runtime was.

Owns the record in the user's cache folder and what it holds for: one model, one processor, these versions.
Loads no framework; `trial.py` measures and writes it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from importlib import metadata
from pathlib import Path

from reid.cache import cache_folder
from reid.durable import write_file
from reid.errors import StorageError
from reid.processor import instructions, processor
from reid.registry import ModelSpec

_FORMAT = 1
_CODE = (Path(__file__).parent, Path(__file__).parents[1] / "networks")


@dataclass(frozen=True)
class Choice:
    """What runs a model here.

    Attributes:
        runtime: "torch" or "openvino".
        seconds: of processor time for one typical batch, on one thread; runtimes that failed have none.
        difference: of OpenVINO's outputs to torch's, relative to their length, at most; None if it failed.
        note: why OpenVINO is no choice; empty when it is one.
        measured_at: ISO 8601.
    """

    runtime: str
    seconds: Mapping[str, float]
    difference: float | None
    note: str
    measured_at: str

    def __post_init__(self) -> None:
        if self.runtime not in self.seconds or not all(each > 0 for each in self.seconds.values()):
            raise ValueError(f"expected the seconds of {self.runtime}, got {self.seconds}")


def openvino_version() -> str | None:
    """Its version; None when it is not installed."""
    try:
        return metadata.version("openvino")
    except metadata.PackageNotFoundError:
        return None


def identity(spec: ModelSpec) -> str:
    """32 hex digits that change with all that a model's networks in OpenVINO's form follow from: weights,
    architecture, our code, versions.
    """
    what = (
        _FORMAT, spec.sha256, spec.builder, spec.input_height, spec.input_width, _code(),
        metadata.version("torch"), openvino_version(),
    )  # fmt: skip
    return hashlib.sha256(repr(what).encode()).hexdigest()[:32]


def kept_choice(spec: ModelSpec) -> Choice | None:
    """What was chosen here; None when nothing was yet, for another processor or version, or the record is
    damaged.
    """
    try:
        return Choice(**json.loads(_path(spec).read_bytes()))
    except (StorageError, OSError, ValueError, TypeError):
        return None


def keep_choice(spec: ModelSpec, choice: Choice) -> None:
    """Write it down.

    Raises:
        StorageError: the disk refuses.
    """
    write_file(_path(spec), json.dumps(asdict(choice), indent=1).encode())


def _path(spec: ModelSpec) -> Path:
    machine = hashlib.sha256(f"{processor()} {instructions()}".encode()).hexdigest()[:16]
    return cache_folder() / f"runtime-{identity(spec)}-{machine}.json"


@cache
def _code() -> str:
    """The sha256 of the source that makes and runs networks."""
    digest = hashlib.sha256()
    for path in sorted(path for folder in _CODE for path in folder.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()
