"""How good a network is while it trains: the protocol of `reid eval`, and how often attributes are right.

Sets are held-out synthetic people, or a labelled folder that the user names; the numbers are shown and kept,
and decide nothing. Knows no file format but through `reid.labelled`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from reid.attributes import GROUPS, Group
from reid.errors import InputError
from reid.evaluation import evaluate
from reid.images import resize
from reid.labelled import LabelledImage, LabelledVectors, Skipped, label_rows, read_folder
from reid.networks.peoplenet import PeopleNet
from reid.training.attribute_fit import fit_head, fold
from reid.training.augment import prepare
from reid.training.cropset import Crops, CropSet
from reid.training.targets import UNKNOWN, Targets
from reid.vectors import unit_rows

_BATCH = 128
_REDUCED_BY = 4000
_LEAST = 5  # crops with and without an attribute, for its figure to count


@dataclass(frozen=True)
class ValidationSet:
    """Pictures that are measured on, and never learned from.

    Attributes:
        name: shown beside the figures.
        pictures: (N, H, W, 3) uint8 BGR.
        labels: of the N pictures; their vectors are empty.
        targets: (N, COLUMNS) int8 attributes, where they are known.
    """

    name: str
    pictures: NDArray[np.uint8]
    labels: LabelledVectors
    targets: Targets | None = None


def held_out(crops: CropSet) -> ValidationSet:
    """Synthetic people of another seed; the attributes of every other one, `fit_attributes` has the rest."""
    labels = crops.labels
    targets = np.where(labels.identities[:, None] % 2 == 1, labels.targets, UNKNOWN).astype(np.int8)
    empty = np.empty((len(crops), 0), np.float32)
    vectors = LabelledVectors(
        empty, labels.identities, labels.cameras, labels.conditions, crops.condition_names
    )
    return ValidationSet("synthetic", crops.gather(np.arange(len(crops))), vectors, targets)


@torch.inference_mode()
def fit_reduction(network: PeopleNet, crops: Crops, size: tuple[int, int]) -> None:
    """Choose the network's output: the directions in which the joined vectors of crops differ most, from
    their mean: different people are then at right angles on average, as the tracker expects.

    Args:
        network: in evaluation mode; its `reduce` is changed.
        crops: synthetic ones, a few thousand of which are looked at; no label is.
        size: (height, width) of the network's input.
    """
    rows = np.linspace(0, len(crops) - 1, min(len(crops), _REDUCED_BY)).astype(np.int64)
    device = next(network.parameters()).device
    parts = []
    for batch in _batches(crops.gather(np.unique(rows))):
        pixels = prepare(batch, size, device)
        parts.append(network.joined_twice(pixels).cpu())
    joined = torch.cat(parts).double()
    middle = joined.mean(0)
    around = joined - middle
    directions = torch.linalg.eigh(around.T @ around).eigenvectors.flip(1)[:, : network.config.dimension]
    network.reduce.weight.copy_(directions.T)
    network.reduce.bias.copy_(-directions.T @ middle / 2)  # `joined` is of a crop and its mirror image


@torch.inference_mode()
def fit_attributes(network: PeopleNet, crops: CropSet, size: tuple[int, int]) -> None:
    """Make the attribute head tell evidence (see `attribute_fit`), by those people `held_out` leaves out.

    Args:
        network: in evaluation mode; its head is changed.
        crops: held-out people.
        size: (height, width) of the network's input.
    """
    rows = np.flatnonzero(crops.labels.identities % 2 == 0)
    logits = np.concatenate([_run(network, batch, size)[1] for batch in _batches(crops.gather(rows))])
    with torch.inference_mode(False), torch.enable_grad():
        scale, shift = fit_head(torch.from_numpy(logits.copy()), crops.labels.targets[rows])
    fold(network, scale, shift)


def labelled_folder(folder: Path, size: tuple[int, int]) -> ValidationSet:
    """A folder as `reid eval` reads it, scaled to `size` (height, width).

    Raises:
        InputError: no such folder, a broken manifest, or no picture that can be read.
    """
    read = read_folder(folder)
    images: list[LabelledImage] = []
    pictures: list[NDArray[np.uint8]] = []
    for image, picture in read.pictures():
        if not isinstance(picture, Skipped):
            images.append(image)
            pictures.append(resize(picture, size[1], size[0]))
    if not images:
        raise InputError(f"{folder}: none of {len(read.images)} pictures can be read")
    labels = label_rows(np.empty((len(images), 0), np.float32), images, read.has_conditions)
    return ValidationSet(folder.resolve().name, np.stack(pictures), labels)


@torch.inference_mode()
def measure(network: PeopleNet, chosen: ValidationSet, size: tuple[int, int]) -> dict[str, Any]:
    """Figures of `network` on a set: rank1, mAP, the same without camera means, and attributes.

    Args:
        network: in evaluation mode.
        chosen: the set.
        size: (height, width) of the network's input.
    """
    found = [_run(network, batch, size) for batch in _batches(chosen.pictures)]
    labels = chosen.labels
    vectors = LabelledVectors(
        unit_rows(np.concatenate([vectors for vectors, _ in found])), labels.people, labels.cameras,
        labels.conditions, labels.condition_names,
    )  # fmt: skip
    outcome = evaluate(vectors)
    plain, means = outcome.plain.overall, outcome.camera_means.overall
    figures: dict[str, Any] = {
        "set": chosen.name, "images": plain.images, "queries": plain.queries,
        "rank1": plain.ranks[0], "mAP": plain.mean_ap,
        "camera_means": {"rank1": means.ranks[0], "mAP": means.mean_ap},
        "rank1_by_condition": {
            name: each.ranks[0] for name, each in outcome.plain.by_condition.items() if each.queries
        },
    }  # fmt: skip
    if chosen.targets is not None:
        logits = np.concatenate([logits for _, logits in found])
        figures["attributes"] = attribute_figures(logits, chosen.targets)
    return figures


def _batches(pictures: NDArray[np.uint8] | Tensor) -> Iterator[NDArray[np.uint8] | Tensor]:
    return (pictures[start : start + _BATCH] for start in range(0, len(pictures), _BATCH))


def _run(
    network: PeopleNet, pictures: NDArray[np.uint8] | Tensor, size: tuple[int, int]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Vectors and attribute logits of a batch, each crop's and its mirror image's added, as products do."""
    device = next(network.parameters()).device
    pixels = prepare(pictures, size, device)
    vectors, logits = network(torch.cat([pixels, pixels.flip(3)]))
    count = len(pictures)
    vectors = (vectors[:count] + vectors[count:]).float().cpu().numpy()
    return vectors, ((logits[:count] + logits[count:]) / 2).float().cpu().numpy()


def attribute_figures(logits: NDArray[np.float32], targets: Targets) -> dict[str, float]:
    """How often each group of attributes is right, over the crops that can tell.

    Args:
        logits: (N, COLUMNS). targets: (N, COLUMNS) int8.

    Returns:
        For colours the share of crops whose likeliest colour is one of the true ones; for the others the
        balanced accuracy: the mean over answers of how often it is given where it is true (and, for a
        single answer, of how often it is not where it is false). Answers seen less than five times are left
        out; groups without two answers are absent, and those that were not trained.
    """
    figures = {}
    for group in GROUPS:
        known = (targets[:, group.start] >= 0) & logits[:, group.columns].any(axis=1)  # 0: says nothing
        answers, truth = logits[known, group.columns], targets[known, group.columns] == 1
        figure = (
            _colours_right(answers, truth) if len(group.answers) == 11 else _balanced(group, answers, truth)
        )
        if figure is not None:
            figures[group.name] = figure
    return figures


def _colours_right(answers: NDArray[np.float32], truth: NDArray[np.bool_]) -> float | None:
    if len(answers) < _LEAST:
        return None
    return float(truth[np.arange(len(truth)), answers.argmax(1)].mean())


def _balanced(group: Group, answers: NDArray[np.float32], truth: NDArray[np.bool_]) -> float | None:
    if group.kind == "any":
        given, truth = answers > 0, truth
        right = [given[truth].mean() if truth.sum() >= _LEAST else None]
        right.append((~given[~truth]).mean() if (~truth).sum() >= _LEAST else None)
    else:
        chosen = answers.argmax(1) if len(answers) else np.empty(0, np.int64)
        columns = enumerate(truth.T)
        right = [(chosen[column] == k).mean() if column.sum() >= _LEAST else None for k, column in columns]
    shares = [float(each) for each in right if each is not None]
    return float(np.mean(shares)) if len(shares) > 1 else None
