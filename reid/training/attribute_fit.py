"""Makes the attribute head tell log-likelihood ratios, by people it was not trained on.

A logit of the trained head is more or less sure than it should be, and knows how rare hats are among
synthetic people. Scaled and shifted (Platt 1999; for single answers temperature and bias, Guo et al. 2017),
with every answer weighted as if it were as frequent as its opposite, a logit becomes the evidence that a crop
gives: 0 says nothing, whatever the share of hats where the model is used. Scale and shift are folded into the
head, so the weights file holds them. Owns the fit; `validation` measures.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from reid.attributes import COLUMNS, GROUPS
from reid.networks.finder import FOUND_COLUMNS
from reid.networks.peoplenet import PeopleNet
from reid.training.targets import Targets

_LEAST = 10  # crops with and without an answer, for it to be fitted
_STEPS = 200


def fit_head(logits: Tensor, targets: Targets) -> tuple[Tensor, Tensor]:
    """Scale (COLUMNS,) above 0 and shift (COLUMNS,) to be put on the logits.

    Args:
        logits: (N, COLUMNS) of crops of people not trained on.
        targets: (N, COLUMNS) int8, 1, 0 or -1 for unknown.
    """
    truth = torch.from_numpy(targets.astype("float32"))
    logits = logits.detach().float()
    scale = torch.zeros(COLUMNS, requires_grad=True)  # its logarithm
    shift = torch.zeros(COLUMNS, requires_grad=True)
    parts = [part for group in GROUPS if (part := _loss_of(group.kind, group.columns, logits, truth))]
    if parts:
        search = torch.optim.LBFGS([scale, shift], max_iter=_STEPS, line_search_fn="strong_wolfe")

        def total() -> Tensor:
            search.zero_grad()
            small = 1e-3 * (scale.square().sum() + shift.square().sum())  # leaves what is not fitted alone
            loss: Tensor = torch.stack([part(scale, shift) for part in parts]).sum() + small
            loss.backward()  # type: ignore[no-untyped-call]
            return loss

        search.step(total)  # type: ignore[no-untyped-call]
    return scale.detach().exp(), shift.detach()


def fold(network: PeopleNet, scale: Tensor, shift: Tensor) -> None:
    """Put scale and shift into the weights of the head, and of what is told by maps."""
    head, finder = network.attributes, network.finder
    scale, shift = scale.to(head.weight.device), shift.to(head.weight.device)
    with torch.no_grad():
        head.weight.mul_(scale[:, None])
        head.bias.mul_(scale).add_(shift)
        if finder is not None:
            by_map = list(FOUND_COLUMNS)
            finder.scale.mul_(scale[by_map])
            finder.shift.mul_(scale[by_map]).add_(shift[by_map])


class _Any:
    """Answers that are true or false for themselves, each with its own scale and shift."""

    def __init__(self, columns: list[int], logits: Tensor, truth: Tensor) -> None:
        self._columns, self._logits, self._truth = columns, logits[:, columns], truth[:, columns].clamp_min(0)
        known = truth[:, columns] >= 0
        right, wrong = known & (truth[:, columns] == 1), known & (truth[:, columns] == 0)
        self._weight = right / right.sum(0) / 2 + wrong / wrong.sum(0) / 2

    def __call__(self, scale: Tensor, shift: Tensor) -> Tensor:
        told = self._logits * scale[self._columns].exp() + shift[self._columns]
        wrong = nn.functional.binary_cross_entropy_with_logits(told, self._truth, reduction="none")
        return (wrong * self._weight).sum()


class _One:
    """Answers of which one is true: one scale for all, a shift each."""

    def __init__(self, columns: list[int], logits: Tensor, truth: Tensor) -> None:
        known = (truth[:, columns] >= 0).all(1) & (truth[:, columns].sum(1) == 1)
        self._columns, self._logits = columns, logits[known][:, columns]
        self._answer = truth[known][:, columns].argmax(1)
        counts = torch.bincount(self._answer, minlength=len(columns)).float()
        self._weight = (1 / counts / len(columns))[self._answer]

    def __call__(self, scale: Tensor, shift: Tensor) -> Tensor:
        told = self._logits * scale[self._columns].mean().exp() + shift[self._columns]
        wrong = nn.functional.cross_entropy(told, self._answer, reduction="none")
        return (wrong * self._weight).sum()


def _loss_of(kind: str, columns: slice, logits: Tensor, truth: Tensor) -> _Any | _One | None:
    """The part of the loss of one group; None where too few crops can tell, or the head was not trained."""
    here = list(range(columns.start, columns.stop))
    told = [column for column in here if logits[:, column].any()]
    right = [(truth[:, column] == 1).sum() >= _LEAST for column in told]
    wrong = [(truth[:, column] == 0).sum() >= _LEAST for column in told]
    enough = [column for column, yes, no in zip(told, right, wrong, strict=True) if yes and no]
    if kind == "any":
        return _Any(enough, logits, truth) if enough else None
    return _One(enough, logits, truth) if len(enough) == len(here) else None
