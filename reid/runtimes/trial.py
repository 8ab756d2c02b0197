"""Opens a model of ours in the runtime that is faster here, which is measured once and then kept.

Owns the trial. Processor time on one thread decides, as when clips are indexed; the time of other programs
does not count. The choice holds for every process and number of threads, so that a picture has the same
vector in all of them.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from reid.cache import one_at_a_time
from reid.errors import ModelError, StorageError
from reid.registry import ModelSpec
from reid.runtimes import Runtime, TorchModel, Wanted
from reid.runtimes.choice import Choice, keep_choice, kept_choice, openvino_version
from reid.runtimes.conversions import converted, open_openvino
from reid.runtimes.openvino import OpenVinoRuntime
from reid.runtimes.pytorch import TorchRuntime, has_gpu, on_one_thread

_TURNS = 5
_MOST_DIFFERENCE = 0.045
"""Of outputs, relative to their length: for vectors a cosine of .999, which bfloat16 may cost too."""


def open_model(model: TorchModel, wanted: Wanted) -> tuple[Runtime, ...]:
    """A runtime for each network of a model.

    Raises:
        ModelError: weights that do not fit, or OpenVINO is wanted and cannot run the model.
        MissingExtraError: OpenVINO is wanted and not installed.
        StorageError: OpenVINO is wanted and the cache folder cannot be written.
    """
    if wanted == "openvino" or (wanted == "auto" and _faster(model) == "openvino"):
        return open_openvino(model)
    return tuple(TorchRuntime(each, bfloat16=model.bfloat16) for each in model.load())


def is_to_be_tried(spec: ModelSpec, wanted: Wanted) -> bool:
    """Will loading the model begin with a trial, of some seconds?"""
    is_ours = wanted == "auto" and spec.backend == "torch" and openvino_version() is not None
    return is_ours and kept_choice(spec) is None and not has_gpu()


def _faster(model: TorchModel) -> str:
    """What was chosen on this machine, measured now if nothing was."""
    if openvino_version() is None or has_gpu():
        return "torch"
    choice = kept_choice(model.spec)
    if choice is None:
        try:
            with one_at_a_time():
                choice = kept_choice(model.spec) or _chosen(model)
        except StorageError:  # no place for a choice: then it must not depend on a measurement
            return "torch"
    return choice.runtime


def _chosen(model: TorchModel) -> Choice:
    """Measure and write it down.

    Raises:
        StorageError: the disk refuses.
    """
    random = np.random.default_rng(0)
    batches = [random.standard_normal(shape).astype(np.float32) for shape in model.tried]
    opened: dict[str, Sequence[Runtime]] = {}
    difference, note = None, ""
    with on_one_thread():
        opened["torch"] = [TorchRuntime(each, bfloat16=model.bfloat16) for each in model.load()]
        try:
            theirs = [OpenVinoRuntime(n, threads=1, bfloat16=model.bfloat16) for n in converted(model)]
            difference = _difference(opened["torch"], theirs, batches)
            if difference <= _MOST_DIFFERENCE:
                opened["openvino"] = theirs
            else:
                note = f"its outputs differ from torch's by {difference:.3f} of their length"
        except ModelError as error:
            note = str(error)
        seconds = processor_seconds(opened, batches)
    fastest = min(seconds, key=lambda name: seconds[name])
    choice = Choice(fastest, seconds, difference, note, datetime.now(UTC).isoformat(timespec="seconds"))
    keep_choice(model.spec, choice)
    return choice


def processor_seconds(
    opened: Mapping[str, Sequence[Runtime]], batches: Sequence[NDArray[np.float32]]
) -> dict[str, float]:
    """What all networks of a model take for their batches, by runtime: the least of some turns."""
    taken: dict[str, list[float]] = {name: [] for name in opened}
    for _ in range(_TURNS):
        for name, runtimes in opened.items():
            begun = time.process_time()
            for runtime, batch in zip(runtimes, batches, strict=True):
                runtime(batch)
            taken[name].append(time.process_time() - begun)
    return {name: min(each) for name, each in taken.items()}


def _difference(
    ours: Sequence[Runtime], theirs: Sequence[Runtime], batches: Sequence[NDArray[np.float32]]
) -> float:
    """The largest of all outputs, of all networks, relative to the length of ours.

    Raises:
        ModelError: other shapes.
    """
    found = []
    for mine, their, batch in zip(ours, theirs, batches, strict=True):
        for expected, got in zip(mine(batch), their(batch), strict=True):
            if expected.shape != got.shape:
                raise ModelError(f"expected outputs of shape {expected.shape}, OpenVINO gave {got.shape}")
            found.append(float(np.linalg.norm(got - expected) / np.linalg.norm(expected)))
    return max(found)
