"""What a run leaves: weights as safetensors with their sha256, and a model card with all its numbers."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reid.durable import write_file
from reid.networks.peoplenet import PeopleNet
from reid.training.recipe import Recipe
from reid.weights import sha256_of, write_tensors

_COUNTERS = "num_batches_tracked"  # of batch norms; only training uses them


@dataclass(frozen=True)
class Exported:
    """The files of a trained embedder.

    Attributes:
        weights: the safetensors file; sha256 of its bytes. card: the model card.
        figures: of the averaged weights, one entry a validation set.
    """

    weights: Path
    sha256: str
    card: Path
    figures: tuple[Mapping[str, Any], ...]

    def to_json(self) -> dict[str, Any]:
        """For `reid train --json`."""
        return {
            "weights": str(self.weights), "sha256": self.sha256, "bytes": self.weights.stat().st_size,
            "card": str(self.card), "figures": [dict(each) for each in self.figures],
        }  # fmt: skip


@dataclass(frozen=True)
class Made:
    """How a model came to be, for its card.

    Attributes:
        crops, people, cameras: what it learned from.
        steps, minutes: how long. machine: on what.
        figures: see `Exported.figures`.
    """

    crops: int
    people: int
    cameras: int
    steps: int
    minutes: float
    machine: str
    figures: Sequence[Mapping[str, Any]]


def round_weights(network: PeopleNet) -> None:
    """Round all weights to float16, as they are written, so that what is measured is what is kept."""
    for tensor in network.state_dict().values():
        if tensor.is_floating_point():
            tensor.copy_(tensor.half())


def tensors_of(network: PeopleNet) -> dict[str, NDArray[np.float16]]:
    """What a weights file holds, by name."""
    return {
        name: tensor.detach().cpu().contiguous().half().numpy()
        for name, tensor in network.state_dict().items()
        if not name.endswith(_COUNTERS)
    }


def export(folder: Path, recipe: Recipe, network: PeopleNet, made: Made) -> Exported:
    """Write weights in float16, card and figures of `network` into `folder`.

    Raises:
        StorageError: the disk refused.
    """
    weights = folder / f"{recipe.network.variant.replace('_', '-')}-{recipe.name}.safetensors"
    write_tensors(weights, tensors_of(network))
    digest = sha256_of(weights)
    card = folder / "README.md"
    parameters = sum(parameter.numel() for parameter in network.parameters())
    write_file(card, model_card(recipe, weights, digest, parameters, made).encode())
    figures = tuple(made.figures)
    write_file(folder / "figures.json", json.dumps(figures, indent=1).encode())
    return Exported(weights, digest, card, figures)


def model_card(recipe: Recipe, weights: Path, digest: str, parameters: int, made: Made) -> str:
    """The card's text, Markdown."""
    size = recipe.schedule.size_at(1.0)
    facts = {
        "file": f"`{weights.name}`, {weights.stat().st_size:,} bytes, float16, sha256 `{digest}`",
        "network": f"`reid/networks/peoplenet.py`, `{recipe.network.variant}`, {parameters / 1e6:.2f} million"
        " parameters",
        "input": f"(N, 3, {size[0]}, {size[1]}), RGB, area interpolation, ImageNet mean and deviation",
        "output": "256 numbers, to be scaled to length 1 (the mirrored crop's added"
        " first); attribute logits, columns as in `reid/attributes.py`",
        "data": f"{made.people:,} synthetic people, {made.crops:,} crops, {made.cameras:,} synthetic cameras",
        "people in the training data": "none: it never saw a picture of a real person",
        "training": f"{made.steps:,} steps of {recipe.batch.people * recipe.batch.crops} crops,"
        f" {made.minutes:.0f} minutes on {made.machine}",
        "licence": "Apache-2.0, as the rest of this project",
    }
    lines = [f"# {weights.stem}", "", "Turns a crop of one person into a vector and into attributes.", ""]
    lines += ["| | |", "|---|---|", *(f"| {name} | {text} |" for name, text in facts.items()), ""]
    for figures in made.figures:
        lines += _figure_lines(figures)
    lines += ["## What it is bad at", "", *(f"- {text}" for text in _WEAKNESSES), ""]
    settings = json.dumps(dataclasses.asdict(recipe), indent=1)
    return "\n".join([*lines, "## Recipe", "", "```json", settings, "```", ""])


_WEAKNESSES = (
    "Its results are a shortlist to look through, never an identification.",
    "Other clothes on another day: it was taught that other clothes are another person.",
    "Faces, and everything else a real person has and a synthetic one has not.",
    "Attributes are trained on synthetic people only; by night and in infra-red colours are not known.",
    "Whatever the figures above do not cover was not measured.",
)


def _figure_lines(figures: Mapping[str, Any]) -> list[str]:
    means = figures["camera_means"]
    lines = [
        f"## Accuracy on `{figures['set']}`", "",
        f"{figures['images']:,} pictures, {figures['queries']:,} queries, the protocol of `reid eval`.", "",
        "| | plain | each camera's mean subtracted |", "|---|---|---|",
        f"| rank-1 / mAP | {figures['rank1']:.3f} / {figures['mAP']:.3f}"
        f" | {means['rank1']:.3f} / {means['mAP']:.3f} |",
    ]  # fmt: skip
    lines += [f"| rank-1, {name} | {value:.3f} | |" for name, value in figures["rank1_by_condition"].items()]
    if figures.get("attributes"):
        lines += ["", "| attribute | right (colours) or balanced accuracy |", "|---|---|"]
        lines += [
            f"| {name.replace('_', ' ')} | {value:.2f} |" for name, value in figures["attributes"].items()
        ]
    return [*lines, ""]
