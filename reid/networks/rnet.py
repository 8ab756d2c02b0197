"""The small residual network that embeds people by default.

Owns the architecture of the embedded embedder: 1.34 million parameters, 128 x 64 pixel crops,
256 numbers out. Knows no weights file and no picture format.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_CHANNELS = (24, 48, 96, 160)
_DIMENSION = 256


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions around a shortcut (He et al. 2016, "basic block").

    Args:
        inputs, outputs: channels.
        stride: of the first convolution; the shortcut is projected when the shape changes.
    """

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(outputs)
        self.shortcut: nn.Module = nn.Identity()
        if inputs != outputs or stride != 1:
            self.shortcut = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) to (N, outputs, H / stride, W / stride)."""
        y = F.relu(self.norm1(self.conv1(x)), inplace=True)
        y = self.norm2(self.conv2(y))
        return F.relu(y + self.shortcut(x), inplace=True)


class RNet(nn.Module):
    """Person embedder with instance normalization in its first layers.

    Instance normalization takes each camera's brightness and colour cast out (Pan et al. 2018,
    "IBN-Net"); the pooled parts are the whole figure (mean and maximum), its upper and its lower half.
    The output follows the batch-norm neck (Luo et al. 2019), where cosine is the fitting distance.
    """

    def __init__(self) -> None:
        super().__init__()
        first, second, third, fourth = _CHANNELS
        self.stem = nn.Conv2d(3, first, 5, stride=2, padding=2, bias=False)
        self.stem_norm = nn.InstanceNorm2d(first, affine=True)
        self.stage1 = nn.Sequential(ResidualBlock(first, second, 2))
        self.stage1_norm = nn.InstanceNorm2d(second, affine=True)
        self.stage2 = nn.Sequential(ResidualBlock(second, third, 2), ResidualBlock(third, third))
        self.stage3 = nn.Sequential(ResidualBlock(third, fourth, 2), ResidualBlock(fourth, fourth))
        self.project = nn.Linear(4 * fourth, _DIMENSION)
        self.neck = nn.BatchNorm1d(_DIMENSION)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, 128, 64) normalized RGB to (N, 256), not of unit length."""
        x = F.relu(self.stem_norm(self.stem(x)))
        x = self.stage1_norm(self.stage1(x))
        x = self.stage3(self.stage2(x))
        waist = x.shape[2] // 2
        upper, lower = x[:, :, :waist], x[:, :, waist:]
        parts = (x.mean((2, 3)), x.amax((2, 3)), upper.mean((2, 3)), lower.mean((2, 3)))
        pooled: Tensor = self.neck(self.project(torch.cat(parts, 1)))
        return pooled
