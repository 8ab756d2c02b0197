"""The attribute head after the fit: a logit is the evidence that a crop gives, however rare the answer is."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from reid.attributes import BY_NAME, COLUMNS
from reid.networks.peoplenet import BUILDERS
from reid.training.attribute_fit import fit_head, fold

HAT, AGE, GENDER = (BY_NAME[name].columns for name in ("hat", "age_group", "gender"))


def crops(count: int, hats: float, seed: int) -> tuple[NDArray[np.float32], NDArray[np.int8]]:
    """Logits of a head three times too sure and biased against hats; one crop in five cannot tell."""
    random = np.random.default_rng(seed)
    targets = np.full((count, COLUMNS), -1, np.int8)
    logits = np.zeros((count, COLUMNS), np.float32)
    hat = random.random(count) < hats
    evidence = random.normal(np.where(hat, 1.0, -1.0), np.sqrt(2.0))  # its log-likelihood ratio is itself
    logits[:, HAT.start] = 3 * evidence - 4
    targets[:, HAT.start] = np.where(random.random(count) < 0.2, -1, hat)
    age = random.choice(3, count, p=[0.1, 0.8, 0.1])
    logits[:, AGE] = random.normal(size=(count, 3)) + 2 * np.eye(3)[age] + [-1.0, 2.0, -1.0]
    targets[:, AGE] = np.eye(3, dtype=np.int8)[age]
    return logits, targets


def applied(logits: NDArray[np.float32], fitted: tuple[torch.Tensor, torch.Tensor]) -> NDArray[np.float32]:
    scale, shift = fitted
    return np.asarray((torch.from_numpy(logits) * scale + shift).numpy())


def test_a_logit_becomes_the_evidence_whatever_the_share() -> None:
    for hats in (0.05, 0.5, 0.8):
        logits, targets = crops(8000, hats, 1)
        scale, shift = fit_head(torch.from_numpy(logits), targets)
        # 3 e - 4, times the scale, plus the shift, is e again.
        assert abs(3 * float(scale[HAT.start]) - 1) < 0.15
        assert abs(-4 * float(scale[HAT.start]) + float(shift[HAT.start])) < 0.15


def test_rare_answers_are_found_as_often_as_frequent_ones() -> None:
    fitted = fit_head(*(lambda made: (torch.from_numpy(made[0]), made[1]))(crops(4000, 0.05, 2)))
    logits, targets = crops(4000, 0.05, 3)
    told = applied(logits, fitted)[:, HAT.start] > 0
    right, wrong = targets[:, HAT.start] == 1, targets[:, HAT.start] == 0
    before = logits[:, HAT.start] > 0
    assert told[right].mean() > before[right].mean() + 0.2
    assert min(told[right].mean(), (~told[wrong]).mean()) > 0.7
    age = targets[:, AGE].argmax(1)
    shares = [(applied(logits, fitted)[age == k][:, AGE].argmax(1) == k).mean() for k in range(3)]
    assert min(shares) > 0.6


def test_what_nobody_knows_stays_as_it_is() -> None:
    logits, targets = crops(500, 0.5, 4)
    scale, shift = fit_head(torch.from_numpy(logits), targets)
    assert (float(scale[GENDER.start]), float(shift[GENDER.start])) == (1.0, 0.0)
    nobody = fit_head(torch.from_numpy(logits), np.full_like(targets, -1))
    np.testing.assert_array_equal(nobody[0], 1)
    np.testing.assert_array_equal(nobody[1], 0)


def test_folding_gives_the_same_numbers() -> None:
    torch.manual_seed(1)
    for variant in ("peoplenet_xs", "peoplenet_lsf"):  # a linear head; one beside what is found by place
        network, crops = BUILDERS[variant]().eval(), torch.randn(3, 3, 64, 32)
        for parameter in network.parameters():
            parameter.data.add_(0.01 * torch.randn(parameter.shape))
        scale, shift = torch.rand(COLUMNS) + 0.5, torch.randn(COLUMNS)
        with torch.inference_mode():
            wanted = network(crops)[1] * scale + shift
            fold(network, scale, shift)
            torch.testing.assert_close(network(crops)[1], wanted)
