"""OSNet and OSNet-AIN, with the parameter names and shapes of torchreid's public checkpoints.

Zhou et al., "Omni-Scale Feature Learning for Person Re-Identification", ICCV 2019; Zhou et al.,
"Learning Generalisable Omni-Scale Representations for Person Re-Identification", TPAMI 2021 (AIN).
Written for inference: the identity classifier is left out, the output is the 512-d vector before it.
Attribute names such as `conv2a`, `bn` and `IN` are those of the checkpoints. Knows no weights file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Channels = tuple[int, int, int, int]
"""Channels after the stem and after each of the three stages."""

_REDUCTION = 4
_GATE_REDUCTION = 16
_DIMENSION = 512
_SCALES = 4


class ConvNorm(nn.Module):
    """Convolution, then normalization (`norm`, may be absent), then ReLU if `relu`."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        kernel: int = 1,
        stride: int = 1,
        norm: Callable[[int], nn.Module] | None = nn.BatchNorm2d,
        relu: bool = True,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False)
        self.bn = norm(outputs) if norm else nn.Identity()
        self.relu = nn.ReLU(inplace=True) if relu else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) to (N, outputs, H / stride, W / stride)."""
        out: Tensor = self.relu(self.bn(self.conv(x)))
        return out


class LightConv(nn.Module):
    """A 3x3 convolution factored into a pointwise and a depthwise one ("Lite 3x3" of the paper)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 1, bias=False)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False)
        self.bn = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, H, W) to the same shape."""
        return F.relu(self.bn(self.conv2(self.conv1(x))), inplace=True)


class LightConvStream(nn.Module):
    """`depth` light convolutions in a row: a receptive field of 2 * depth + 1 pixels."""

    def __init__(self, channels: int, depth: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(*(LightConv(channels) for _ in range(depth)))

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, H, W) to the same shape."""
        out: Tensor = self.layers(x)
        return out


class ChannelGate(nn.Module):
    """The unified aggregation gate: weighs the channels of one stream by its own content."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.fc1 = nn.Conv2d(channels, channels // _GATE_REDUCTION, 1)
        self.fc2 = nn.Conv2d(channels // _GATE_REDUCTION, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, H, W) to the same shape."""
        gates = F.relu(self.fc1(F.adaptive_avg_pool2d(x, 1)))
        return x * torch.sigmoid(self.fc2(gates))


def _instance_norm(channels: int) -> nn.Module:
    return nn.InstanceNorm2d(channels, affine=True)


def _shortcut(inputs: int, outputs: int) -> nn.Module:
    return nn.Identity() if inputs == outputs else ConvNorm(inputs, outputs, relu=False)


class OmniScaleBlock(nn.Module):
    """The residual block of OSNet: four streams of growing depth, summed under one shared gate.

    Args:
        instance_norm: normalize each picture after the shortcut was added (OSNet-IBN).
    """

    def __init__(self, inputs: int, outputs: int, *, instance_norm: bool) -> None:
        super().__init__()
        middle = outputs // _REDUCTION
        self.conv1 = ConvNorm(inputs, middle)
        self.conv2a = LightConv(middle)
        self.conv2b = nn.Sequential(*(LightConv(middle) for _ in range(2)))
        self.conv2c = nn.Sequential(*(LightConv(middle) for _ in range(3)))
        self.conv2d = nn.Sequential(*(LightConv(middle) for _ in range(4)))
        self.gate = ChannelGate(middle)
        self.conv3 = ConvNorm(middle, outputs, relu=False)
        self.downsample = _shortcut(inputs, outputs)
        self.IN = _instance_norm(outputs) if instance_norm else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) to (N, outputs, H, W)."""
        streams = (self.conv2a, self.conv2b, self.conv2c, self.conv2d)
        mixed = _mix(self.conv1(x), streams, self.gate)
        return F.relu(self.IN(self.conv3(mixed) + self.downsample(x)))


class AdaptiveBlock(nn.Module):
    """The residual block of OSNet-AIN.

    Args:
        instance_norm: normalize each picture inside the residual branch, in place of the branch's
            last batch normalization.
    """

    def __init__(self, inputs: int, outputs: int, *, instance_norm: bool) -> None:
        super().__init__()
        middle = outputs // _REDUCTION
        self.conv1 = ConvNorm(inputs, middle)
        self.conv2 = nn.ModuleList(LightConvStream(middle, depth) for depth in range(1, _SCALES + 1))
        self.gate = ChannelGate(middle)
        self.conv3 = ConvNorm(middle, outputs, norm=None if instance_norm else nn.BatchNorm2d, relu=False)
        self.downsample = _shortcut(inputs, outputs)
        self.IN = _instance_norm(outputs) if instance_norm else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) to (N, outputs, H, W)."""
        mixed = _mix(self.conv1(x), self.conv2, self.gate)
        return F.relu(self.IN(self.conv3(mixed)) + self.downsample(x))


def _mix(x: Tensor, streams: Iterable[nn.Module], gate: nn.Module) -> Tensor:
    # Summed as they come: stacking the four first cost about a sixth of the network's time on a CPU.
    first, *others = streams
    mixed: Tensor = gate(first(x))
    for stream in others:
        mixed = mixed + gate(stream(x))
    return mixed


def _transition(channels: int) -> nn.Sequential:
    """Halves height and width between stages."""
    return nn.Sequential(ConvNorm(channels, channels), nn.AvgPool2d(2, stride=2))


def _head(channels: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(channels, _DIMENSION), nn.BatchNorm1d(_DIMENSION), nn.ReLU(inplace=True))


class OSNet(nn.Module):
    """OSNet, or OSNet-IBN with `instance_norm` (in the stem and the first stage)."""

    def __init__(self, channels: Channels, *, instance_norm: bool = False) -> None:
        super().__init__()
        norm = _instance_norm if instance_norm else nn.BatchNorm2d
        self.conv1 = ConvNorm(3, channels[0], kernel=7, stride=2, norm=norm)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        self.conv2 = self._stage(channels[0], channels[1], instance_norm=instance_norm)
        self.conv2.append(_transition(channels[1]))
        self.conv3 = self._stage(channels[1], channels[2])
        self.conv3.append(_transition(channels[2]))
        self.conv4 = self._stage(channels[2], channels[3])
        self.conv5 = ConvNorm(channels[3], channels[3])
        self.fc = _head(channels[3])

    @staticmethod
    def _stage(inputs: int, outputs: int, *, instance_norm: bool = False) -> nn.Sequential:
        return nn.Sequential(
            OmniScaleBlock(inputs, outputs, instance_norm=instance_norm),
            OmniScaleBlock(outputs, outputs, instance_norm=instance_norm),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) normalized RGB, usually 256 x 128, to (N, 512), not of unit length."""
        x = self.conv2(self.maxpool(self.conv1(x)))
        x = self.conv5(self.conv4(self.conv3(x)))
        vectors: Tensor = self.fc(x.mean((2, 3)))
        return vectors


class OSNetAIN(nn.Module):
    """OSNet-AIN: which blocks normalize each picture was found by architecture search."""

    def __init__(self, channels: Channels) -> None:
        super().__init__()
        self.conv1 = ConvNorm(3, channels[0], kernel=7, stride=2, norm=_instance_norm)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        self.conv2 = self._stage(channels[0], channels[1], (True, True))
        self.pool2 = _transition(channels[1])
        self.conv3 = self._stage(channels[1], channels[2], (False, True))
        self.pool3 = _transition(channels[2])
        self.conv4 = self._stage(channels[2], channels[3], (True, False))
        self.conv5 = ConvNorm(channels[3], channels[3])
        self.fc = _head(channels[3])

    @staticmethod
    def _stage(inputs: int, outputs: int, instance_norm: tuple[bool, bool]) -> nn.Sequential:
        return nn.Sequential(
            AdaptiveBlock(inputs, outputs, instance_norm=instance_norm[0]),
            AdaptiveBlock(outputs, outputs, instance_norm=instance_norm[1]),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) normalized RGB, usually 256 x 128, to (N, 512), not of unit length."""
        x = self.pool2(self.conv2(self.maxpool(self.conv1(x))))
        x = self.conv5(self.conv4(self.pool3(self.conv3(x))))
        vectors: Tensor = self.fc(x.mean((2, 3)))
        return vectors


_WIDTHS: dict[str, Channels] = {
    "x1_0": (64, 256, 384, 512),
    "x0_75": (48, 192, 288, 384),
    "x0_5": (32, 128, 192, 256),
    "x0_25": (16, 64, 96, 128),
}

BUILDERS: dict[str, Callable[[], nn.Module]] = {
    **{f"osnet_{width}": partial(OSNet, channels) for width, channels in _WIDTHS.items()},
    "osnet_ibn_x1_0": partial(OSNet, _WIDTHS["x1_0"], instance_norm=True),
    **{f"osnet_ain_{width}": partial(OSNetAIN, channels) for width, channels in _WIDTHS.items()},
}
"""Builder name (torchreid's) to a function that makes the network with random weights."""
