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
        nn.init.zeros_(self.maps.weight)
        nn.init.constant_(self.maps.bias, _RARE)  # type: ignore[arg-type]

    def forward(self, fine: Tensor, coarse: Tensor) -> Tensor:
        """(N, 3, h, w) logits of each place of `fine` (N, C, h, w); `coarse` is half as fine."""
        around = F.interpolate(self.coarse(coarse), size=fine.shape[2:], mode="nearest")
        x = F.relu(self.norm1(self.fine(fine) + around))
        maps: Tensor = self.maps(F.relu(self.norm2(self.conv(x))))
        return maps

    def told(self, maps: Tensor, logits: Tensor) -> Tensor:
        """(N, COLUMNS) `logits` with those of `FOUND` told by the maps."""
        highest = maps.flatten(2).topk(_PLACES, dim=2).values.mean(2) * self.scale + self.shift
        columns = list(logits.unbind(1))
        for number, column in enumerate(FOUND_COLUMNS):
            columns[column] = highest[:, number]
        return torch.stack(columns, 1)
