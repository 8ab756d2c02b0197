"""Where in a crop bags and hats are: a map for each of them, and from the map whether there is one.

A head that sees only what the whole crop adds up to learns what goes with a bag among synthetic people; one
that must say where the bag is has to look at it. Owns the module; features come from `peoplenet`.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from reid.attributes import BY_NAME

FOUND = ("backpack", "bag", "hat")
"""Attributes that are found by place, in the order of the maps."""

FOUND_COLUMNS = tuple(BY_NAME[name].start for name in FOUND)
_CHANNELS = 128
_PLACES = 4  # whose mean decides: one place alone may be noise
_UNEVEN = 0.1  # from zero, features may all learn to be against a thing, and be silent where it is
_LEAST = -1e4
_RARE = -3.0  # logit of a place that has learned nothing: most places show none


class Finder(nn.Module):
    """Maps of backpacks, bags and hats from the features of the last two stages.

    Attributes:
        scale, shift: (3,) from the mean of a map's highest places to the logit of there being one.
    """

    def __init__(self, fine: int, coarse: int) -> None:
        super().__init__()
        self.fine, self.coarse = nn.Conv2d(fine, _CHANNELS, 1), nn.Conv2d(coarse, _CHANNELS, 1)
        self.norm1 = nn.BatchNorm2d(_CHANNELS)
        self.conv = nn.Conv2d(_CHANNELS, _CHANNELS, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(_CHANNELS)
        self.maps = nn.Conv2d(_CHANNELS, len(FOUND), 1)
        self.scale, self.shift = nn.Parameter(torch.ones(len(FOUND))), nn.Parameter(torch.ones(len(FOUND)))
        nn.init.normal_(self.maps.weight, std=_UNEVEN)
        nn.init.constant_(self.maps.bias, _RARE)  # type: ignore[arg-type]

    def forward(self, fine: Tensor, coarse: Tensor) -> Tensor:
        """(N, 3, h, w) logits of each place of `fine` (N, C, h, w); `coarse` is half as fine."""
        around = F.interpolate(self.coarse(coarse), size=fine.shape[2:], mode="nearest")
        x = F.relu(self.norm1(self.fine(fine) + around))
        maps: Tensor = self.maps(F.relu(self.norm2(self.conv(x))))
        return maps

    def told(self, maps: Tensor, logits: Tensor) -> Tensor:
        """(N, COLUMNS) `logits` with those of `FOUND` told by the maps."""
        highest = _mean_of_highest(maps.flatten(2).float()) * self.scale + self.shift
        columns = list(logits.unbind(1))
        for number, column in enumerate(FOUND_COLUMNS):
            columns[column] = highest[:, number]
        return torch.stack(columns, 1)


def _mean_of_highest(places: Tensor) -> Tensor:
    """(N, 3) mean of the `_PLACES` highest of (N, 3, P), as `topk` would give it.

    OpenVINO 2026.4 makes numbers of 1e14 of the traced `topk`, so they are taken off one after the other.
    """
    total, wanted = places.new_zeros(()), float(_PLACES)
    missing = places.new_full(places.shape[:2], wanted)
    for _ in range(_PLACES):
        highest = places.amax(2, keepdim=True)
        here = places >= highest
        taken = torch.minimum(here.sum(2).to(places.dtype), missing)
        total = total + taken * highest[:, :, 0]
        missing = missing - taken
        places = torch.where(here, _LEAST, places)
    return total / wanted
