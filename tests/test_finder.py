"""Bags and hats by where they are: maps learn places, and their highest places tell whether there is one."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from reid.attributes import COLUMNS
from reid.networks.finder import FOUND, FOUND_COLUMNS, Finder
from reid.networks.peoplenet import BUILDERS
from reid.training.losses import found_loss

CROPS, SIDE = 48, (8, 4)


def scenes(seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Features in which each thing has a channel of its own, what the pixels show, and targets."""
    generator = torch.Generator().manual_seed(seed)
    fine = torch.randn(CROPS, 8, *SIDE, generator=generator) * 0.3
    things = torch.zeros(CROPS, 2, 8 * SIDE[0], 8 * SIDE[1])
    targets = torch.zeros(CROPS, COLUMNS, dtype=torch.int8)
    for crop in range(CROPS):
        kind = crop % 4  # the fourth has nothing
        if kind < len(FOUND):
            row, column = 2 * (crop // 4 % 4), crop // 16 % 3
            fine[crop, kind, row : row + 2, column : column + 2] += 2.0
            things[crop, int(FOUND[kind] == "hat"), 8 * row : 8 * row + 16, 8 * column : 8 * column + 16] = (
                1.0
            )
            targets[crop, FOUND_COLUMNS[kind]] = 1
    return fine, things, targets


def test_maps_learn_where_things_are_and_so_whether_there_is_one() -> None:
    torch.manual_seed(0)
    finder = Finder(8, 8)
    fine, things, targets = scenes(1)
    coarse = torch.zeros(CROPS, 8, SIDE[0] // 2, SIDE[1] // 2)
    search = torch.optim.AdamW(finder.parameters(), 5e-3)
    for _ in range(120):
        loss = found_loss(finder(fine, coarse), things, targets)
        search.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        search.step()
    fine, things, targets = scenes(2)
    with torch.inference_mode():
        finder.eval()
        maps = finder(fine, coarse)
        told = finder.told(maps, torch.zeros(CROPS, COLUMNS))[:, list(FOUND_COLUMNS)]
    for number, column in enumerate(FOUND_COLUMNS):
        there = targets[:, column] == 1
        assert float(told[there, number].min()) > float(told[~there, number].max())
        places = torch.nn.functional.avg_pool2d(things[there][:, number // 2], 8) > 0.5
        assert (
            float(maps[there][:, number][places].median()) > 0 > float(maps[there][:, number][~places].max())
        )


def test_other_answers_stay_as_they_are() -> None:
    logits = torch.randn(3, COLUMNS)
    told = Finder(4, 4).told(torch.zeros(3, len(FOUND), 6, 4), logits)
    others = [column for column in range(COLUMNS) if column not in FOUND_COLUMNS]
    torch.testing.assert_close(told[:, others], logits[:, others])
    torch.testing.assert_close(told[:, list(FOUND_COLUMNS)], torch.ones(3, len(FOUND)))


def test_the_highest_places_decide_whatever_is_equal() -> None:
    finder = Finder(4, 4)
    maps = torch.randn(5, len(FOUND), 6, 4, generator=torch.Generator().manual_seed(3))
    maps[1] = maps[1].round()  # many are equal
    maps[2, :, 2:] = maps[2].amax()
    told = finder.told(maps, torch.zeros(5, COLUMNS))[:, list(FOUND_COLUMNS)]
    torch.testing.assert_close(told, maps.flatten(2).topk(4, dim=2).values.mean(2) + 1)


@pytest.mark.parametrize("size", [(48, 24), (160, 80), (96, 48)])
def test_maps_are_as_fine_as_the_stage_before_the_last(size: tuple[int, int]) -> None:
    with torch.inference_mode():
        found = BUILDERS["peoplenet_lsf"]().eval().features(torch.zeros(2, 3, *size)).found
    assert found is not None
    assert found.shape == (2, len(FOUND), size[0] // 8, size[1] // 8)
    assert BUILDERS["peoplenet_xs"]().eval().features(torch.zeros(1, 3, 48, 24)).found is None
