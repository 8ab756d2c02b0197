"""What a detector does to a person: boxes a little off, too large, too small, turned, or missing the legs.

All crops of a batch are sampled once, from the stored size to the network's. Random numbers come from the
generator given, so one seed gives one result.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from reid.training.recipe import Augment

_LEAST_KEPT = 0.45


def chance(count: int, share: float, generator: torch.Generator) -> Tensor:
    """(count,) bool, true for a `share` of them."""
    return torch.rand(count, generator=generator, device=generator.device) < share


def uniform(shape: tuple[int, ...], low: float, high: float, generator: torch.Generator) -> Tensor:
    """Float32 numbers between `low` and `high`."""
    return torch.rand(shape, generator=generator, device=generator.device) * (high - low) + low


def normal(shape: tuple[int, ...], deviation: float, generator: torch.Generator) -> Tensor:
    """Float32 numbers around 0."""
    return torch.randn(shape, generator=generator, device=generator.device) * deviation


@dataclass(frozen=True)
class Window:
    """What of each stored crop is shown, in its own coordinates: -1 to 1 from left to right, top to bottom.

    Attributes:
        centre: (N, 2) x, y. half: (N, 2) half of width and height; 1 shows all. turn: (N,) radians.
        mirrored: (N,) bool.
    """

    centre: Tensor
    half: Tensor
    turn: Tensor
    mirrored: Tensor

    @property
    def bottom(self) -> Tensor:
        """(N,) where the window ends below; 1 is the stored crop's lower edge."""
        return self.centre[:, 1] + self.half[:, 1]


def draw_windows(count: int, settings: Augment, generator: torch.Generator) -> Window:
    """Random windows for `count` crops."""
    size = torch.exp(normal((count,), settings.scale, generator) - 0.04)  # crops come with a margin
    aspect = torch.exp(normal((count,), settings.aspect / 2, generator))
    half = torch.stack([size * aspect, size / aspect], 1).clamp(0.5, 1.3)
    centre = normal((count, 2), settings.shift * 2, generator).clamp(-0.4, 0.4)
    cut = chance(count, settings.truncate_p, generator)
    kept = uniform((count,), _LEAST_KEPT, 0.9, generator)
    side = torch.rand(count, generator=generator, device=generator.device)
    below, above = cut & (side < 0.7), cut & (side >= 0.7) & (side < 0.85)
    beside = cut & (side >= 0.85)
    half[:, 1] = torch.where(below | above, half[:, 1] * kept, half[:, 1])
    half[:, 0] = torch.where(beside, half[:, 0] * kept.clamp_min(0.6), half[:, 0])
    lost = 1 - kept
    centre[:, 1] += lost * (above.float() - below.float())
    sign = torch.where(chance(count, 0.5, generator), 1.0, -1.0)
    centre[:, 0] = torch.where(beside, centre[:, 0] + sign * (1 - kept.clamp_min(0.6)), centre[:, 0])
    turn = normal((count,), settings.turn, generator)
    return Window(centre, half, turn, chance(count, settings.flip_p, generator))


def whole(count: int, device: torch.device) -> Window:
    """Windows that show all of `count` crops as they are."""
    zeros = torch.zeros(count, 2, device=device)
    return Window(zeros, torch.ones_like(zeros), zeros[:, 0], zeros[:, 0] > 0)


def sample(pictures: Tensor, window: Window, size: tuple[int, int]) -> Tensor:
    """What the windows show of (N, C, H, W) `pictures`, as (N, C, *size); beyond the edge it is repeated."""
    height, width = pictures.shape[2:]
    tall = height / width
    cosine, sine = torch.cos(window.turn), torch.sin(window.turn)
    across = torch.where(window.mirrored, -1.0, 1.0)
    half_x, half_y = window.half[:, 0], window.half[:, 1]
    theta = torch.stack([
        torch.stack([half_x * across * cosine, -half_y * sine * tall, window.centre[:, 0]], 1),
        torch.stack([half_x * across * sine / tall, half_y * cosine, window.centre[:, 1]], 1),
    ], 1)  # fmt: skip
    grid = F.affine_grid(theta, [len(pictures), pictures.shape[1], *size], align_corners=False)
    return F.grid_sample(pictures, grid, mode="bilinear", padding_mode="border", align_corners=False)
