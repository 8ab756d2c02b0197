"""How wrong a batch is: identity, metric and attribute losses. Functions of tensors, and two classifiers."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from reid.attributes import COLUMNS, GROUPS
from reid.networks.finder import FOUND_COLUMNS

_SHOWN, _NONE = 0.25, 0.04  # share of a place from which it shows a thing, and up to which it shows none
_SHOWN_WEIGHT = 3.0  # of a place that shows one; few do
_FAR = 9.0  # more than any distance between unit vectors


def batch_hard_triplet(embeddings: Tensor, identities: Tensor, scale: float = 6.0) -> Tensor:
    """Soft-margin batch-hard triplet loss (Hermans et al. 2017) on batch-standardized features.

    On raw unit vectors it collapses here: all vectors become one, and the loss stays at ln 2. With each
    feature's mean and deviation over the batch taken out, they cannot.

    Args:
        embeddings: (N, D), before the neck.
        identities: (N,) int64, of at least two people with at least two crops.
        scale: distances are multiplied with.
    """
    spread = embeddings - embeddings.mean(0)
    unit = F.normalize(spread / (embeddings.std(0) + 1e-5), dim=1)
    distances = (2 - 2 * unit @ unit.T).clamp_min(1e-8).sqrt()
    same = identities[:, None] == identities[None]
    farthest = (distances * same).amax(1)
    nearest = (distances + same * _FAR).amin(1)
    return F.softplus((farthest - nearest) * scale).mean()


def circle(embeddings: Tensor, identities: Tensor, margin: float = 0.25, scale: float = 32.0) -> Tensor:
    """Circle loss over a batch's pairs (Sun et al. 2020), mean over crops; features as for the triplet."""
    spread = (embeddings - embeddings.mean(0)) / (embeddings.std(0) + 1e-5)
    unit = F.normalize(spread, dim=1)
    similar = unit @ unit.T
    same = identities[:, None] == identities[None]
    itself = torch.eye(len(same), dtype=torch.bool, device=same.device)
    right = -scale * (1 + margin - similar.detach()).clamp_min(0) * (similar - 1 + margin)
    wrong = scale * (similar.detach() + margin).clamp_min(0) * (similar - margin)
    right = right.masked_fill(~same | itself, -torch.inf).logsumexp(1)
    wrong = wrong.masked_fill(same, -torch.inf).logsumexp(1)
    return F.softplus(right + wrong).mean()


def answer_weights(targets: Tensor, most: float = 8.0) -> Tensor:
    """(2, COLUMNS) of false and of true answers, so that rare ones weigh as much as frequent ones.

    Args:
        targets: (N, COLUMNS) int8 of all crops, 1, 0 or -1 for unknown.
        most: weight at most: what is very rare would shake the network.
    """
    known = (targets >= 0).sum(0).clamp_min(1)
    share = ((targets == 1).sum(0) / known).clamp(1e-6, 1 - 1e-6)
    weights = torch.stack([0.5 / (1 - share), 0.5 / share])
    for group in GROUPS:
        if group.kind == "one":
            weights[:, group.columns] = 1 / (len(group.answers) * share[group.columns])
    return weights.clamp_max(most)


def attribute_loss(logits: Tensor, targets: Tensor, weights: Tensor | None = None) -> Tensor:
    """Mean over the groups of attributes of their mean loss over the crops that can tell.

    Args:
        logits: (N, COLUMNS). targets: (N, COLUMNS) int8, 1, 0 or -1 for unknown.
        weights: (2, COLUMNS) of false and of true answers; all 1 without.
    """
    if weights is None:
        weights = logits.new_ones(2, COLUMNS)
    if logits.shape[1] != COLUMNS or logits.shape != targets.shape:
        raise ValueError(f"expected logits and targets (N, {COLUMNS}), got {logits.shape}, {targets.shape}")
    losses = []
    for group in GROUPS:
        answers, truth = logits[:, group.columns].float(), targets[:, group.columns]
        known = truth[:, 0] >= 0
        if group.kind == "one":
            each = F.cross_entropy(
                answers, truth.clamp_min(0).float(), weights[1, group.columns], reduction="none"
            )
        else:
            wrong = F.binary_cross_entropy_with_logits(answers, truth.clamp_min(0).float(), reduction="none")
            heavy = torch.where(truth == 1, weights[1, group.columns], weights[0, group.columns])
            each = (wrong * heavy).mean(1)
        losses.append((each * known).sum() / known.sum().clamp_min(1))
    return torch.stack(losses).mean()


def gate_loss(gate: Tensor, person: Tensor) -> Tensor:
    """Cross-entropy of (N, 1, h, w) logits against the person's share of what each stands for.

    Args:
        gate: logits. person: (N, 1, H, W), 0 to 1.
    """
    share = F.interpolate(person, size=gate.shape[2:], mode="area")
    return F.binary_cross_entropy_with_logits(gate.float(), share)


def found_loss(maps: Tensor, things: Tensor, targets: Tensor) -> Tensor:
    """How wrong the maps of `reid.networks.finder` are: cross-entropy over all places, summed over the maps.

    A place shows a thing from a quarter of it on, and is left out where it shows less, but some of it; so are
    all places of a bag of which it is not known what kind it is.

    Args:
        maps: (N, 3, h, w) logits of backpack, bag and hat.
        things: (N, 2, H, W) how much of each pixel is the person's bag, and their hat, 0 to 1.
        targets: (N, COLUMNS) int8, which kind of bag it is.
    """
    backpack, bag, _ = (targets[:, column] == 1 for column in FOUND_COLUMNS)
    share = F.adaptive_avg_pool2d(things, (maps.shape[2], maps.shape[3]))
    of_kind = torch.stack(
        [share[:, 0] * backpack[:, None, None], share[:, 0] * bag[:, None, None], share[:, 1]], 1
    )
    shown = of_kind >= _SHOWN
    weights = torch.where(shown, _SHOWN_WEIGHT, (of_kind <= _NONE).float())
    any_bag = things[:, 0].amax((1, 2)) > 0
    weights[:, :2] *= (~(any_bag & ~backpack & ~bag)).float()[:, None, None, None]
    each = F.binary_cross_entropy_with_logits(maps.float(), shown.float(), reduction="none")
    return (each * weights).mean((0, 2, 3)).sum()


class LinearClassifier(nn.Module):
    """Who of the training people it is; thrown away afterwards."""

    def __init__(self, dimension: int, people: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(people, dimension) * 0.001)

    def forward(self, embeddings: Tensor, identities: Tensor, smoothing: float) -> Tensor:
        """Cross-entropy of (N, D) embeddings after the neck; `identities` (N,) int64."""
        return F.cross_entropy(F.linear(embeddings, self.weight), identities, label_smoothing=smoothing)


class CosineClassifier(nn.Module):
    """The same by cosine, the right person's lessened by a margin (Wang et al. 2018, "CosFace")."""

    def __init__(self, dimension: int, people: int, scale: float, margin: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(people, dimension) * 0.1)
        self.scale, self.margin = scale, margin

    def forward(self, embeddings: Tensor, identities: Tensor, smoothing: float) -> Tensor:
        """See `LinearClassifier.forward`."""
        cosines = F.linear(F.normalize(embeddings, dim=1), F.normalize(self.weight, dim=1))
        lessened = cosines - self.margin * F.one_hot(identities, len(self.weight))
        return F.cross_entropy(lessened * self.scale, identities, label_smoothing=smoothing)
