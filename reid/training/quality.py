"""What cameras and recorders do to a picture: low resolution, blur, noise, JPEG and H.264 blocks.

Each function takes (N, 3, H, W) RGB in 0..1, works on all of them, and draws from the generator given.
"""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional as F

from reid.training.geometry import chance, uniform

_LUMINANCE = (
    (16, 11, 10, 16, 24, 40, 51, 61), (12, 12, 14, 19, 26, 58, 60, 55), (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62), (18, 22, 37, 56, 68, 109, 103, 77), (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101), (72, 92, 95, 98, 112, 100, 103, 99),
)  # fmt: skip
"""Quantisation of ITU-T T.81, table K.1; colours are quantised by K.2, which is flat but for its corner."""
_CHROMA_CORNER = ((17, 18, 24, 47), (18, 21, 26, 66), (24, 26, 56, 99), (47, 66, 99, 99))
_YCC = ((0.299, 0.587, 0.114), (-0.168736, -0.331264, 0.5), (0.5, -0.418688, -0.081312))


def low_resolution(x: Tensor, generator: torch.Generator) -> Tensor:
    """A person far away: shrunk to a third to four fifths of the size, and enlarged again."""
    height, width = x.shape[2:]
    share = float(uniform((1,), 0.3, 0.8, generator))
    small = F.interpolate(x, size=(max(8, round(height * share)), max(4, round(width * share))), mode="area")
    mode = "bilinear" if bool(chance(1, 0.8, generator)) else "nearest"
    return F.interpolate(small, size=(height, width), mode=mode)


def blur(x: Tensor, generator: torch.Generator) -> Tensor:
    """Out of focus: a Gaussian of 0.5 to 1.4 pixels for the whole batch."""
    return _soft(x, float(uniform((1,), 0.5, 1.4, generator)))


def sharpen(x: Tensor, generator: torch.Generator) -> Tensor:
    """A camera that sharpens, halos and all, as most do."""
    soft = _soft(x, float(uniform((1,), 0.6, 1.2, generator)))
    return (x + (x - soft) * uniform((len(x), 1, 1, 1), 0.3, 2.0, generator)).clamp(0, 1)


def _soft(x: Tensor, sigma: float) -> Tensor:
    steps = torch.arange(-3, 4, device=x.device, dtype=x.dtype)
    line = torch.exp(-0.5 * (steps / sigma) ** 2)
    line = (line / line.sum()).view(1, 1, 7, 1).expand(3, 1, 7, 1)
    padded = F.pad(x, (3, 3, 3, 3), mode="replicate")
    return F.conv2d(F.conv2d(padded, line, groups=3), line.transpose(2, 3), groups=3)


def motion(x: Tensor, generator: torch.Generator) -> Tensor:
    """Walked while the shutter was open: a mean along 3 to 7 pixels of a row."""
    length = 2 * int(torch.randint(1, 4, (1,), generator=generator, device=generator.device)) + 1
    padded = F.pad(x, (length // 2, length // 2, 0, 0), mode="replicate")
    return F.avg_pool2d(padded, (1, length), 1)


def noise(x: Tensor, strength: float, generator: torch.Generator) -> Tensor:
    """A sensor's noise of 0 to `strength`, more in the dark, coarse for some, with colour for some."""
    count, _, height, width = x.shape
    fine = torch.randn(count, 1, height, width, generator=generator, device=x.device)
    coloured = torch.randn(x.shape, generator=generator, device=x.device)
    share = uniform((count, 1, 1, 1), 0, 0.8, generator)
    amount = uniform((count, 1, 1, 1), 0, strength * 2, generator)
    return (x + (fine * (1 - share) + coloured * share) * amount * (1.3 - 0.6 * x)).clamp(0, 1)


@lru_cache(maxsize=4)
def _transform(device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """The 8-point cosine transform, the colour transform and the quantisation (3, 8, 8), of pixels 0..1."""
    row = torch.arange(8, dtype=torch.float64)
    cosine = torch.cos((2 * row[None] + 1) * row[:, None] * math.pi / 16) * 0.5
    cosine[0] *= math.sqrt(0.5)
    colours = torch.full((8, 8), 99.0)
    colours[:4, :4] = torch.tensor(_CHROMA_CORNER, dtype=torch.float32)
    tables = torch.stack([torch.tensor(_LUMINANCE, dtype=torch.float32), colours, colours]) / 255
    return cosine.float().to(device), torch.tensor(_YCC).to(device), tables.to(device)


def jpeg(x: Tensor, quality: Tensor) -> Tensor:
    """Blocks as JPEG of `quality` (N,), 1..100, leaves them; no colour subsampling.

    Height and width must be multiples of 8.
    """
    count, _, height, width = x.shape
    cosine, colours, tables = _transform(x.device)
    scale = torch.where(quality < 50, 50 / quality, (200 - 2 * quality) / 100).clamp_min(0.02)
    table = (tables[None] * scale.view(-1, 1, 1, 1)).clamp_min(1 / 255).view(count, 3, 1, 1, 8, 8)
    planes = torch.einsum("dc,nchw->ndhw", colours, x)
    blocks = planes.reshape(count, 3, height // 8, 8, width // 8, 8).permute(0, 1, 2, 4, 3, 5)
    spectrum = cosine @ blocks @ cosine.T
    rounded = torch.round(spectrum / table) * table
    back = (cosine.T @ rounded @ cosine).permute(0, 1, 2, 4, 3, 5).reshape(count, 3, height, width)
    return torch.einsum("cd,ndhw->nchw", torch.linalg.inv(colours), back).clamp(0, 1)
