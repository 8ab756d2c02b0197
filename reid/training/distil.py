"""One network learns what several say together (Hinton et al. 2015).

What networks that were trained apart agree in is less of the synthetic people and more of people: joined,
they find real ones better than any of them. `goals` computes what they say of each crop, drawn towards what
they say of the person in all cameras; `fit_output` has a network's output layer say that, and a pupil that
sees crops made worse can learn the rest. Owns the teachers and the pupil's first output layer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from reid.errors import InputError, UnknownNameError
from reid.networks.peoplenet import BUILDERS, PeopleNet
from reid.runtimes.pytorch import cpu_has_bfloat16
from reid.training.augment import prepare
from reid.training.cropset import Crops
from reid.training.start import start_from

_BATCH = 64
_FITTED_BY = 8000  # crops
_PERSON = 0.7  # of what is wanted: what the teachers say of the person in all cameras, not of the crop
_RIDGE = 0.1  # of the mean variance


def load_teachers(text: str, device: torch.device) -> list[PeopleNet]:
    """Networks of "variant:weights variant:weights", in evaluation mode.

    Raises:
        InputError: another form. UnknownNameError: no such variant or weights.
        ModelError: see `start.start_from`.
    """
    teachers = []
    for each in text.split():
        variant, _, weights = each.partition(":")
        if not weights:
            raise InputError(f'network.teachers: expected "variant:weights variant:weights", got {each!r}')
        if variant not in BUILDERS:
            raise UnknownNameError("network", variant, BUILDERS)
        network: PeopleNet = BUILDERS[variant]()
        start_from(network, weights)
        network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        teachers.append(network.eval().requires_grad_(False))
    return teachers


@torch.inference_mode()
def goals(
    teachers: Sequence[PeopleNet], crops: Crops, size: tuple[int, int], progress: Callable[[int, int], None]
) -> NDArray[np.float16]:
    """(N, D) what is to be said of each crop and its mirror image, around the mean.

    The joined vectors of all teachers, each of unit length, reduced to the D directions in which those of
    `_FITTED_BY` crops differ most; `_PERSON` of it is the mean over the person's crops: what a camera does
    to them is not to be said.

    Args:
        teachers: of the same dimension D. crops: N of them. size: (height, width) of the networks' input.
        progress: told (crops done, N).
    """
    count, device = len(crops), next(teachers[0].parameters()).device
    order = np.random.default_rng(0).permutation(count)
    dimension = teachers[0].config.dimension
    out = np.empty((count, dimension), np.float16)
    held: list[NDArray[np.float32]] = []  # of the first crops, until the directions are known
    middle = directions = None
    for start in range(0, count, _BATCH):
        said = _say(teachers, crops, order[start : start + _BATCH], size, device)
        end = start + len(said)
        if middle is None or directions is None:
            held.append(said)
            if end < min(_FITTED_BY, count):
                continue
            said = np.concatenate(held)
            middle, directions = _principal(said, dimension)
        out[order[end - len(said) : end]] = (said - middle) @ directions
        progress(end, count)
    people = crops.labels.identities
    sums = np.zeros((int(people.max()) + 1, dimension), np.float32)
    np.add.at(sums, people, out)
    means = sums / np.bincount(people).clip(1)[:, None]
    wanted: NDArray[np.float16] = (out * (1 - _PERSON) + means[people] * _PERSON).astype(np.float16)
    return wanted


def _principal(rows: NDArray[np.float32], count: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The mean of (N, K) rows, and the (K, count) directions in which they differ most."""
    middle = rows.mean(0)
    spread = torch.from_numpy(rows - middle).double()
    directions = torch.linalg.eigh(spread.T @ spread).eigenvectors.flip(1)[:, :count].float().numpy()
    return middle, directions


def _say(
    teachers: Sequence[PeopleNet],
    crops: Crops,
    rows: NDArray[np.int64],
    size: tuple[int, int],
    device: torch.device,
) -> NDArray[np.float32]:
    pixels = prepare(crops.gather(rows), size, device)
    with half(device):
        parts = [F.normalize(network.joined_twice(pixels), dim=1) for network in teachers]
    vectors: NDArray[np.float32] = torch.cat(parts, 1).cpu().numpy()
    return vectors


def half(device: torch.device) -> torch.autocast:
    """bfloat16 where the device computes it faster than float32."""
    quick = device.type == "cuda" or cpu_has_bfloat16()
    return torch.autocast(device.type, torch.bfloat16, enabled=quick)


@torch.inference_mode()
def fit_output(network: PeopleNet, crops: Crops, wanted: NDArray[np.float16], size: tuple[int, int]) -> None:
    """Begin the pupil's output with what comes nearest to the goals, by ridge regression.

    Args:
        network: in evaluation mode; its `reduce` is changed. crops, size: see `goals`. wanted: the goals.
    """
    device = next(network.parameters()).device
    rows = np.random.default_rng(0).permutation(len(crops))[:_FITTED_BY]
    parts = []
    with half(device):
        for start in range(0, len(rows), _BATCH):
            pixels = prepare(crops.gather(rows[start : start + _BATCH]), size, device)
            parts.append(network.joined_twice(pixels).cpu() / 2)
    joined, aim = torch.cat(parts).double(), torch.from_numpy(wanted[rows]).double()
    middle = joined.mean(0)
    around = joined - middle
    inner = around.T @ around
    inner += torch.eye(len(inner), dtype=inner.dtype) * inner.diagonal().mean() * _RIDGE
    weight = torch.linalg.solve(inner, around.T @ (aim - aim.mean(0))).T
    network.reduce.weight.copy_(weight)
    network.reduce.bias.copy_(aim.mean(0) - weight @ middle)


def distance(said: Tensor, wanted: Tensor) -> Tensor:
    """Mean of one minus the cosine between (N, D) outputs and goals."""
    return (1 - F.cosine_similarity(said.float(), wanted.float())).mean()
