"""One run of training: network, classifier, averaged weights, optimizer, and the step that moves them.

Every random number of step k follows from the seed and k, so the state on disk is tensors and counters, and a
resumed run gives the weights of an undisturbed one. Knows recipes and crops; no file and no clock.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from reid.attributes import BY_NAME
from reid.errors import ModelError, UnknownNameError
from reid.networks.finder import FOUND_COLUMNS
from reid.networks.peoplenet import BUILDERS, PeopleNet
from reid.training import losses
from reid.training.augment import Batch, augment, prepare
from reid.training.cropset import Crops
from reid.training.distil import distance, fit_output, half
from reid.training.recipe import Loss, Recipe, Schedule
from reid.training.sampler import Sampler
from reid.training.start import start_from
from reid.training.targets import COLOURS, LOWER_BODY, UNKNOWN

_AT_ONCE = 64
_BEGUN = 0.03  # of a person's vector: their own logit is then about 5 above the others'
_LEAST_PIXELS = 8  # of a bag or hat, for it to be seen
_MIX = 0.1  # parameter of the Beta distribution of MixStyle's paper


@dataclass(frozen=True)
class StepLosses:
    """Losses of one step, weighted as in the sum that is minimized."""

    identity: float
    metric: float
    attributes: float
    gate: float
    taught: float
    found: float

    @property
    def total(self) -> float:
        """The sum."""
        return self.identity + self.metric + self.attributes + self.gate + self.taught + self.found


def training_device() -> torch.device:
    """CUDA when there is some."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


class MixStyle:
    """Mixes each crop's channel statistics with another's (Zhou et al. 2021), in a share of the batches.

    A forward hook: it takes what a stage gives, (N, C, H, W), and returns it in another style.
    """

    def __init__(self, share: float) -> None:
        self.share = share

    def __call__(self, module: nn.Module, inputs: Any, x: Tensor) -> Tensor:
        """The same content, mixed styles; unchanged while measuring."""
        if not module.training or float(torch.rand(())) >= self.share:
            return x
        spread, middle = torch.std_mean(x.detach(), (2, 3), keepdim=True)
        spread = spread + 1e-5
        own = torch.distributions.Beta(_MIX, _MIX).sample((len(x), 1, 1, 1)).to(x.device)
        other = torch.randperm(len(x)).to(x.device)
        new_spread = own * spread + (1 - own) * spread[other]
        new_middle = own * middle + (1 - own) * middle[other]
        return (x - middle) / spread * new_spread + new_middle


class Trainer:
    """What is trained and how; `step` after `step`.

    Args:
        recipe: all settings.
        crops: what is learned from.
        wanted: (N, D) float16, what the output is to be for each crop (see `distil.goals`); None where
            only labels teach.
        device: where the work is done; CUDA when there is one.

    Attributes:
        averaged: the network with averaged weights, in evaluation mode: what is measured and kept.
        steps: how many were done.

    Raises:
        UnknownNameError: no such network, or nothing to start from. ModelError: see `start_from`.
        InputError: fewer people than a batch needs.
    """

    def __init__(
        self, recipe: Recipe, crops: Crops, device: torch.device | None = None,
        wanted: NDArray[np.float16] | None = None,
    ) -> None:  # fmt: skip
        self.recipe = recipe
        self.device = device or training_device()
        if recipe.network.variant not in BUILDERS:
            raise UnknownNameError("network", recipe.network.variant, BUILDERS)
        self._crops = crops
        self._wanted = None if wanted is None else torch.from_numpy(wanted)
        self.look_again()
        torch.manual_seed(recipe.schedule.seed)
        network = BUILDERS[recipe.network.variant]()
        if recipe.network.start:
            start_from(network, recipe.network.start)
        network.neck.bias.requires_grad_(False)  # a neck without shift keeps cosine and classifier in accord
        self.network = network.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        if wanted is not None:
            fit_output(self.network.eval(), crops, wanted, recipe.schedule.size_at(0.0))
            self.network.reduce.requires_grad_(True)
        self.classifier = _classifier(recipe.loss, network.config.dimension, crops.people).to(self.device)
        self.averaged: PeopleNet = copy.deepcopy(self.network).eval().requires_grad_(False)
        self.network.stages[1].register_forward_hook(MixStyle(recipe.network.mixstyle))
        self.optimizer = _optimizer(recipe.schedule, [self.network, self.classifier])
        self._generator = torch.Generator(self.device)
        self.steps = 0
        if recipe.network.start and recipe.loss.identity:
            self._begin_classifier()

    def look_again(self) -> None:
        """Take in which crops there are: at first, and whenever there are more.

        Raises:
            InputError: fewer people than a batch needs.
        """
        labels, recipe = self._crops.labels, self.recipe
        self._sampler = Sampler(labels.identities, labels.cameras, recipe.batch, recipe.schedule.seed)
        self._targets = labels.targets.copy()
        if not recipe.loss.gender:
            self._targets[:, BY_NAME["gender"].columns] = UNKNOWN
        weights = losses.answer_weights(torch.from_numpy(self._targets)) if recipe.loss.balanced else None
        self._weights = None if weights is None else weights.to(self.device)

    @torch.inference_mode()
    def _begin_classifier(self) -> None:
        """Begin with what the network, which comes from an earlier run, makes of two crops of each person.

        From chance, the first thousand steps would teach the classifier, and shake the network meanwhile.
        """
        identities, size = self._crops.labels.identities, self.recipe.schedule.size_at(0.0)
        people, firsts = np.unique(identities, return_index=True)
        lasts = len(identities) - 1 - np.unique(identities[::-1], return_index=True)[1]
        weight = self.classifier.get_parameter("weight")
        for start in range(0, len(firsts), _AT_ONCE):
            part = slice(start, start + _AT_ONCE)
            for rows in (firsts[part], lasts[part]):
                pixels = prepare(self._crops.gather(rows), size, self.device)
                found = self.averaged.neck(self.averaged.features(pixels).embedding)
                weight[torch.from_numpy(people[part]).to(self.device)] += found * (_BEGUN / 2)

    def step(self, done: float) -> StepLosses:
        """One batch forward and backward; `done` is the share of the run that is over, 0..1."""
        torch.manual_seed(_seed(self.recipe.schedule.seed, self.steps, 0))
        self._generator.manual_seed(_seed(self.recipe.schedule.seed, self.steps, 1))
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.recipe.schedule, done)
        rows = self._sampler.batch(self.steps)
        batch = augment(
            self._crops.gather(rows), self._crops.labels.cameras[rows], self.recipe.schedule.size_at(done),
            self.recipe.augment, self._generator, self._crops.gather_masks(rows),
        )  # fmt: skip
        parts = self._losses(rows, batch)
        self.optimizer.zero_grad(set_to_none=True)
        total: Tensor = parts.sum()
        total.backward()  # type: ignore[no-untyped-call]
        parameters = [*self.network.parameters(), *self.classifier.parameters()]
        nn.utils.clip_grad_norm_(parameters, self.recipe.schedule.clip)
        self.optimizer.step()
        self.steps += 1
        self._average()
        found = StepLosses(*parts.detach().cpu().tolist())
        if not math.isfinite(found.total):
            raise ModelError(
                f"training diverged at step {self.steps}: the loss is {found.total}; lower schedule.rate and"
                " start again from the beginning"
            )
        return found

    def _losses(self, rows: np.ndarray[Any, np.dtype[np.int64]], batch: Batch) -> Tensor:
        """(6,) identity, metric, attributes, gate, taught, found; weighted."""
        self.network.train()
        loss = self.recipe.loss
        identities = torch.from_numpy(self._crops.labels.identities[rows]).to(self.device)
        with half(self.device):
            found = self.network.features(batch.pixels)
        embeddings = found.embedding.float()
        identity = embeddings.new_zeros(())
        if loss.identity:
            identity = self.classifier(self.network.neck(embeddings), identities, loss.smoothing)
            identity = identity * loss.identity
        metric = embeddings.new_zeros(())
        if loss.metric != "none":
            measure = losses.batch_hard_triplet if loss.metric == "triplet" else losses.circle
            metric = measure(embeddings, identities) * loss.metric_weight
        if loss.stripes:
            metric = metric + losses.batch_hard_triplet(found.stripes.float(), identities) * loss.stripes
        targets = torch.from_numpy(self._targets[rows]).to(self.device)
        told = losses.attribute_loss(found.attributes, hide(targets, batch), self._weights)
        gate = embeddings.new_zeros(())
        if found.gate is not None and batch.person is not None:
            gate = losses.gate_loss(found.gate, batch.person) * loss.gate
        taught = embeddings.new_zeros(())
        if self._wanted is not None:
            said = self.network.reduce(self.network.joined(found).float())
            taught = distance(said, self._wanted[torch.from_numpy(rows)].to(self.device)) * loss.distil
        maps = embeddings.new_zeros(())
        if found.found is not None and batch.things is not None:
            maps = losses.found_loss(found.found, batch.things, targets) * loss.found
        return torch.stack([identity, metric, told * loss.attributes, gate, taught, maps])

    @torch.no_grad()
    def _average(self) -> None:
        """Move the averaged weights towards the present ones; faster while there are few steps to average."""
        decay = min(self.recipe.schedule.ema, (1 + self.steps) / (10 + self.steps))
        present, averaged = self.network.state_dict(), self.averaged.state_dict()
        moved = [name for name, value in averaged.items() if value.is_floating_point()]
        # One call for all: a hundred small ones cost a GPU a tenth of the step.
        torch._foreach_lerp_([averaged[name] for name in moved], [present[name] for name in moved], 1 - decay)

    def state(self) -> dict[str, Any]:
        """All that a resumed run needs."""
        return {
            "steps": self.steps,
            "network": self.network.state_dict(),
            "classifier": self.classifier.state_dict(),
            "averaged": self.averaged.state_dict(),
            "optimizer": self.optimizer.state_dict(),
        }

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Go on from `state()` of a trainer of the same recipe and crops.

        Raises:
            KeyError, RuntimeError, ValueError: it is of another one.
        """
        self.network.load_state_dict(state["network"])
        self.classifier.load_state_dict(state["classifier"])
        self.averaged.load_state_dict(state["averaged"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.steps = int(state["steps"])


def learning_rate(schedule: Schedule, done: float) -> float:
    """Rising linearly during the warm-up, then along half a cosine to `floor`; `done` is 0..1."""
    if done < schedule.warmup:
        return schedule.rate * (0.05 + 0.95 * done / schedule.warmup)
    share = min(1.0, (done - schedule.warmup) / (1 - schedule.warmup))
    return schedule.rate * (schedule.floor + (1 - schedule.floor) * (1 + math.cos(math.pi * share)) / 2)


def hide(targets: Tensor, batch: Batch) -> Tensor:
    """(N, COLUMNS) targets, unknown where augmentation took away what they ask for."""
    targets = targets.clone()
    for names, lost in ((COLOURS, batch.colourless), (LOWER_BODY, batch.legless)):
        for name in names:
            columns = targets[:, BY_NAME[name].columns]
            columns[lost] = UNKNOWN
    if batch.things is not None:
        bag, hat = (batch.things.sum((2, 3)) < _LEAST_PIXELS).T
        for column, lost in zip(FOUND_COLUMNS, (bag, bag, hat), strict=True):
            targets[lost & (targets[:, column] == 1), column] = UNKNOWN
    return targets


def _seed(seed: int, step: int, purpose: int) -> int:
    return int(np.random.SeedSequence([seed, step, purpose]).generate_state(1, np.uint64)[0] >> 1)


def _classifier(loss: Loss, dimension: int, people: int) -> nn.Module:
    if loss.classifier == "linear":
        return losses.LinearClassifier(dimension, people)
    return losses.CosineClassifier(dimension, people, loss.scale, loss.margin)


def _optimizer(schedule: Schedule, modules: list[nn.Module]) -> torch.optim.AdamW:
    trained = [p for module in modules for p in module.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in trained if p.ndim > 1], "weight_decay": schedule.weight_decay},
        {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
    ]
    fused = trained[0].device.type == "cuda"
    return torch.optim.AdamW(groups, lr=schedule.rate, fused=fused)
