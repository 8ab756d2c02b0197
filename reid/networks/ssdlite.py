"""SSDLite on MobileNetV2, as TensorFlow's Object Detection API builds it, for one class.

Owns the architecture (Sandler et al. 2018, "MobileNetV2: Inverted Residuals and Linear Bottlenecks";
Liu et al. 2016, "SSD"), its anchors, and how a frozen TensorFlow graph fills it. Knows no picture and
no threshold. Every module carries the scope of the graph it stands for. Batch normalization is folded
into the convolutions, so the module is for inference only.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from reid.errors import ModelError
from reid.networks.graphdef import Node, constants, read_graph

INPUT_SIDE = 300
"""Pixels; the pictures the network was trained on were squeezed to 300 x 300."""

_BACKBONE = "FeatureExtractor/MobilenetV2/"
# (expansion, output channels, stride) of the 17 inverted residual blocks
_BLOCKS = (
    (1, 16, 1), (6, 24, 2), (6, 24, 1), (6, 32, 2), (6, 32, 1), (6, 32, 1), (6, 64, 2), (6, 64, 1),
    (6, 64, 1), (6, 64, 1), (6, 96, 1), (6, 96, 1), (6, 96, 1), (6, 160, 2), (6, 160, 1), (6, 160, 1),
    (6, 320, 1),
)  # fmt: skip
_TAPPED_BLOCK = 13  # its expansion is the first feature map of the head
# (bottleneck channels, output channels) of the extra feature maps
_EXTRAS = ((256, 512), (128, 256), (128, 256), (64, 128))
_ANCHORS_PER_CELL = (3, 6, 6, 6, 6, 6)
_MIN_SCALE, _MAX_SCALE = 0.2, 0.95
_FINE_LEVELS = 2
# TensorFlow spreads its anchors evenly over the picture, while SAME padding puts the receptive fields of
# a 300 x 300 input 5 pixels further right and down on average: so the network learned to look.
_LAG = 5


class Convolution(nn.Module):
    """A convolution with bias and TensorFlow's SAME padding, then ReLU6 unless `linear`.

    SAME padding puts the odd pixel at the bottom and right, which `nn.Conv2d(padding=1)` cannot do for
    sides that the stride divides.

    Args:
        scope: where the frozen graph keeps its constants.
        depthwise: one filter a channel.
    """

    def __init__(
        self,
        scope: str,
        inputs: int,
        outputs: int,
        kernel: int,
        stride: int = 1,
        *,
        depthwise: bool = False,
        linear: bool = False,
    ) -> None:
        super().__init__()
        self.scope, self.depthwise, self.linear = scope, depthwise, linear
        self.kernel, self.stride = kernel, stride
        groups = inputs if depthwise else 1
        self.weight = nn.Parameter(torch.empty(outputs, inputs // groups, kernel, kernel))
        self.bias = nn.Parameter(torch.empty(outputs))
        self.groups = groups

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) to (N, outputs, ceil(H / stride), ceil(W / stride))."""
        top, bottom = _same_padding(x.shape[2], self.kernel, self.stride)
        left, right = _same_padding(x.shape[3], self.kernel, self.stride)
        padding = (top, left)
        if top != bottom or left != right:
            x, padding = F.pad(x, (left, right, top, bottom)), (0, 0)
        x = F.conv2d(x, self.weight, self.bias, self.stride, padding, groups=self.groups)
        return x if self.linear else F.relu6(x, inplace=True)


def _same_padding(side: int, kernel: int, stride: int) -> tuple[int, int]:
    """Pixels added before and after a side, as TensorFlow's SAME does."""
    covered = (-(-side // stride) - 1) * stride + kernel
    total = max(covered - side, 0)
    return total // 2, total - total // 2


class Block(nn.Module):
    """An inverted residual block: expand, depthwise, project."""

    def __init__(self, scope: str, inputs: int, expansion: int, outputs: int, stride: int) -> None:
        super().__init__()
        hidden = inputs * expansion
        self.expand = Convolution(scope + "expand", inputs, hidden, 1) if expansion > 1 else nn.Identity()
        self.depthwise = Convolution(scope + "depthwise", hidden, hidden, 3, stride, depthwise=True)
        self.project = Convolution(scope + "project", hidden, outputs, 1, linear=True)
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The block's output and its expansion, which the head may tap."""
        expanded = self.expand(x)
        projected = self.project(self.depthwise(expanded))
        return (x + projected if self.residual else projected), expanded


class Predictor(nn.Module):
    """A depthwise and a pointwise convolution: `values` numbers for each anchor of each cell."""

    def __init__(self, scope: str, inputs: int, anchors: int, values: int) -> None:
        super().__init__()
        self.depthwise = Convolution(scope + "_depthwise", inputs, inputs, 3, depthwise=True)
        self.pointwise = Convolution(scope, inputs, anchors * values, 1, linear=True)
        self.values = values

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, h, w) to (N, h * w * anchors, values), cells row by row."""
        cells: Tensor = self.pointwise(self.depthwise(x)).permute(0, 2, 3, 1)
        return cells.reshape(len(x), -1, self.values)


class SsdLite(nn.Module):
    """The detector as it was trained, for pictures of 300 x 300 pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = Convolution(_BACKBONE + "Conv", 3, 32, 3, 2)
        channels, blocks = 32, []
        for number, (expansion, outputs, stride) in enumerate(_BLOCKS):
            scope = f"{_BACKBONE}expanded_conv{f'_{number}' if number else ''}/"
            blocks.append(Block(scope, channels, expansion, outputs, stride))
            if number == _TAPPED_BLOCK:
                tapped = channels * expansion
            channels = outputs
        self.blocks = nn.ModuleList(blocks)
        self.last = Convolution(_BACKBONE + "Conv_1", channels, 1280, 1)
        maps, extras, channels = [tapped, 1280], [], 1280
        for number, (bottleneck, outputs) in enumerate(_EXTRAS, start=2):
            extras.append(_extra(number, channels, bottleneck, outputs))
            channels = outputs
            maps.append(outputs)
        self.extras = nn.ModuleList(extras)
        heads = [
            (f"BoxPredictor_{i}/", n, a) for i, (n, a) in enumerate(zip(maps, _ANCHORS_PER_CELL, strict=True))
        ]
        self.boxes = nn.ModuleList(Predictor(s + "BoxEncodingPredictor", n, a, 4) for s, n, a in heads)
        self.classes = nn.ModuleList(Predictor(s + "ClassPredictor", n, a, 2) for s, n, a in heads)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Find people in RGB pictures scaled to -1..1.

        Args:
            x: (N, 3, 300, 300).

        Returns:
            Box encodings (N, 1917, 4), `ty, tx, th, tw` relative to `anchors()`, and class logits
            (N, 1917, 2), background and person.
        """
        maps = self.backbone(x)
        for extra in self.extras:
            maps.append(extra(maps[-1]))
        return self.predict(maps)

    def backbone(self, x: Tensor) -> list[Tensor]:
        """The first two feature maps, of stride 16 and 32."""
        maps = []
        x = self.stem(x)
        for number, block in enumerate(self.blocks):
            x, expanded = block(x)
            if number == _TAPPED_BLOCK:
                maps.append(expanded)
        return [*maps, self.last(x)]

    def predict(self, maps: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Box encodings and class logits of the first feature maps; see `forward`."""
        boxes = torch.cat([head(x) for head, x in zip(self.boxes, maps, strict=False)], 1)
        classes = torch.cat([head(x) for head, x in zip(self.classes, maps, strict=False)], 1)
        return boxes, classes


class FineSsdLite(nn.Module):
    """The two finest levels of a network, for small people in inputs of any size.

    The coarser levels are left out: they see so much of the picture that they only work at the 300 x 300
    pixels of the training (larger inputs gave large false people).
    """

    def __init__(self, network: SsdLite) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """As `SsdLite.forward`, for any (N, 3, H, W), relative to `fine_anchors(H, W)`."""
        return self.network.predict(self.network.backbone(x))


def _extra(number: int, inputs: int, bottleneck: int, outputs: int) -> nn.Sequential:
    """One of the feature maps beyond the backbone, half the size of the one before."""
    narrow = f"{_BACKBONE}layer_19_1_Conv2d_{number}_1x1_{bottleneck}"
    wide = f"{_BACKBONE}layer_19_2_Conv2d_{number}_3x3_s2_{outputs}"
    return nn.Sequential(
        Convolution(narrow, inputs, bottleneck, 1),
        Convolution(wide + "_depthwise", bottleneck, bottleneck, 3, 2, depthwise=True),
        Convolution(wide, bottleneck, outputs, 1),
    )


def load_ssdlite(path: Path) -> SsdLite:
    """The network with the weights of a frozen TensorFlow graph.

    Raises:
        ModelError: not a frozen graph, or not of exactly this architecture: a constant is missing, has
            another shape, or is left over.
    """
    nodes = read_graph(path)
    loader = _Loader(path, nodes)
    network = SsdLite()
    for module in network.modules():
        if isinstance(module, Convolution):
            loader.fill(module)
    loader.finish()
    return network.eval()


class _Loader:
    """Hands out each weight of the graph once."""

    def __init__(self, path: Path, nodes: dict[str, Node]) -> None:
        self._path, self._nodes = path, nodes
        weights = ("FeatureExtractor/", "BoxPredictor_")
        self._left = {
            name: value
            for name, value in constants(nodes).items()
            if name.startswith(weights) and value.dtype == np.float32
        }

    def fill(self, module: Convolution) -> None:
        """Set weight and bias, with the batch normalization of the scope folded in where it has one."""
        scope, outputs = module.scope, len(module.bias)
        if module.depthwise:
            name = f"{scope}/depthwise_weights"
            weight = self._take(name, (module.kernel, module.kernel, outputs, 1)).transpose(2, 3, 0, 1)
        else:
            name = f"{scope}/weights"
            shape = (module.kernel, module.kernel, module.weight.shape[1], outputs)
            weight = self._take(name, shape).transpose(3, 2, 0, 1)
        if f"{scope}/biases" in self._left:
            bias = self._take(f"{scope}/biases", (outputs,))
        else:
            scale, bias = self._normalization(f"{scope}/BatchNorm", outputs)
            weight = weight * scale[:, None, None, None]
        with torch.no_grad():
            module.weight.copy_(torch.from_numpy(np.ascontiguousarray(weight, np.float32)))
            module.bias.copy_(torch.from_numpy(np.ascontiguousarray(bias, np.float32)))

    def finish(self) -> None:
        """Refuse a graph that holds more weights than the network has."""
        if self._left:
            names = ", ".join(sorted(self._left)[:3])
            raise ModelError(
                f"{self._path}: {len(self._left)} weights have no place in SSDLite ({names}, ...);"
                " the file is of another network"
            )

    def _take(self, name: str, shape: tuple[int, ...]) -> NDArray[np.float64]:
        value = self._left.pop(name, None)
        if value is None or value.shape != shape:
            came = "is missing" if value is None else f"has shape {value.shape}"
            raise ModelError(
                f"{self._path}: expected weight {name} of shape {shape}, it {came};"
                " the file is of another network"
            )
        return value.astype(np.float64)

    def _normalization(self, scope: str, outputs: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(scale, shift) of a batch normalization, each (outputs,)."""
        names = ("gamma", "beta", "moving_mean", "moving_variance")
        gamma, beta, mean, variance = (self._take(f"{scope}/{name}", (outputs,)) for name in names)
        node = self._nodes.get(f"{scope}/FusedBatchNorm")
        epsilon = node.attributes.get("epsilon") if node else None
        if not isinstance(epsilon, float):
            raise ModelError(f"{self._path}: expected node {scope}/FusedBatchNorm with an epsilon")
        scale = gamma / np.sqrt(variance + epsilon)
        return scale, beta - mean * scale


def anchors() -> NDArray[np.float32]:
    """The 1917 anchors of an input of 300 x 300 pixels: (1917, 4) float32, `cy, cx, h, w` in its pixels."""
    parts = []
    for level in range(len(_ANCHORS_PER_CELL)):
        cells = -(-INPUT_SIDE // _stride(level))
        centres = (np.arange(cells) + 0.5) * INPUT_SIDE / cells
        parts.append(_around(centres, centres, level))
    return np.concatenate(parts)


def fine_anchors(height: int, width: int) -> NDArray[np.float32]:
    """The anchors of `FineSsdLite` for any input: (A, 4) float32, `cy, cx, h, w` in pixels of the input."""
    parts = [
        _around(_field_centres(height, level) - _LAG, _field_centres(width, level) - _LAG, level)
        for level in range(_FINE_LEVELS)
    ]
    return np.concatenate(parts)


def _stride(level: int) -> int:
    return 16 << level


def _field_centres(side: int, level: int) -> NDArray[np.float64]:
    """Where along a side of `side` pixels the receptive fields of a feature map are centred."""
    first, step = 0, 1
    while step < _stride(level):
        padding = _same_padding(side, 3, 2)[0]
        first += step * (1 - padding)
        side, step = -(-side // 2), step * 2
    return first + np.arange(side, dtype=np.float64) * step


def _around(cy: NDArray[np.float64], cx: NDArray[np.float64], level: int) -> NDArray[np.float32]:
    """The anchors of a feature map with cells at these centres, cells row by row."""
    sides = _anchor_sides(level)
    centres = np.stack(np.meshgrid(cy, cx, indexing="ij"), -1).reshape(-1, 1, 2)
    shape = (len(centres), len(sides), 2)
    both = np.concatenate([np.broadcast_to(centres, shape), np.broadcast_to(sides, shape)], -1)
    return both.reshape(-1, 4).astype(np.float32)


def _anchor_sides(level: int) -> NDArray[np.float64]:
    """(K, 2) height and width, in pixels, of the anchors of each cell."""
    steps = len(_ANCHORS_PER_CELL) - 1
    scale, following = (
        1.0 if n > steps else _MIN_SCALE + (_MAX_SCALE - _MIN_SCALE) * n / steps for n in (level, level + 1)
    )
    if level == 0:
        shapes = [(0.1, 1.0), (scale, 2.0), (scale, 0.5)]
    else:
        # 0.3333, not a third: as the network's configuration says.
        shapes = [(scale, ratio) for ratio in (1.0, 2.0, 0.5, 3.0, 0.3333)]
        shapes.append((float(np.sqrt(scale * following)), 1.0))
    return np.array([(size / np.sqrt(ratio), size * np.sqrt(ratio)) for size, ratio in shapes]) * INPUT_SIDE
