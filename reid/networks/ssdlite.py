"""SSDLite on MobileNetV2, as TensorFlow's Object Detection API builds it, for one class.

Owns the architecture (Sandler et al. 2018, "MobileNetV2: Inverted Residuals and Linear Bottlenecks";
Liu et al. 2016, "SSD"), its anchors, and how a frozen TensorFlow graph fills it. Knows no picture and
no threshold. Every module carries the scope of the graph it stands for. Batch normalization is folded
into the convolutions, so the module is for inference only.
"""

from __future__ import annotations

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
        top, bottom = self._padding(x.shape[2])
        left, right = self._padding(x.shape[3])
        padding = (top, left)
        if top != bottom or left != right:
            x, padding = F.pad(x, (left, right, top, bottom)), (0, 0)
        x = F.conv2d(x, self.weight, self.bias, self.stride, padding, groups=self.groups)
        return x if self.linear else F.relu6(x, inplace=True)

    def _padding(self, side: int) -> tuple[int, int]:
        covered = (-(-side // self.stride) - 1) * self.stride + self.kernel
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
        y = self.pointwise(self.depthwise(x))
        return y.permute(0, 2, 3, 1).reshape(len(x), -1, self.values)


class SsdLite(nn.Module):
    """The detector; fully convolutional, trained on 300 x 300 pixels."""

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
            x: (N, 3, H, W).

        Returns:
            Box encodings (N, A, 4), `ty, tx, th, tw` relative to `anchors(H, W)`, and class logits
            (N, A, 2), background and person; A is 1917 for 300 x 300.
        """
        maps = []
        x = self.stem(x)
        for number, block in enumerate(self.blocks):
            x, expanded = block(x)
            if number == _TAPPED_BLOCK:
                maps.append(expanded)
        x = self.last(x)
        maps.append(x)
        for extra in self.extras:
            x = extra(x)
            maps.append(x)
        boxes = torch.cat([head(m) for head, m in zip(self.boxes, maps, strict=True)], 1)
        classes = torch.cat([head(m) for head, m in zip(self.classes, maps, strict=True)], 1)
        return boxes, classes


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
                f"{self._path}: {len(self._left)} weights have no place in SSDLite-MobileNetV2 ({names}, ...);"
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


def grids(height: int, width: int) -> list[tuple[int, int]]:
    """(rows, columns) of the six feature maps for an input of `height` x `width` pixels."""
    sizes = []
    for level in range(len(_ANCHORS_PER_CELL)):
        stride = 16 << level
        sizes.append((-(-height // stride), -(-width // stride)))
    return sizes


def anchors(height: int, width: int) -> NDArray[np.float32]:
    """Anchors of an input of `height` x `width` pixels: (A, 4) float32, `cy, cx, h, w` in input pixels."""
    levels = len(_ANCHORS_PER_CELL)
    scales = [_MIN_SCALE + (_MAX_SCALE - _MIN_SCALE) * level / (levels - 1) for level in range(levels)] + [
        1.0
    ]
    parts = []
    for level, (rows, columns) in enumerate(grids(height, width)):
        if level == 0:
            shapes = [(0.1, 1.0), (scales[0], 2.0), (scales[0], 0.5)]
        else:
            shapes = [(scales[level], ratio) for ratio in (1.0, 2.0, 0.5, 3.0, 0.3333)]
            shapes.append((float(np.sqrt(scales[level] * scales[level + 1])), 1.0))
        sides = np.array([(s / np.sqrt(r), s * np.sqrt(r)) for s, r in shapes]) * INPUT_SIDE
        parts.append(_grid(height, width, rows, columns, sides))
    return np.concatenate(parts).astype(np.float32)


def _grid(
    height: int, width: int, rows: int, columns: int, sides: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Anchors of these (K, 2) sides around every cell of a feature map, cells row by row."""
    cy = (np.arange(rows) + 0.5) * height / rows
    cx = (np.arange(columns) + 0.5) * width / columns
    centres = np.stack(np.meshgrid(cy, cx, indexing="ij"), -1).reshape(-1, 1, 2)
    shape = (rows * columns, len(sides), 2)
    return np.concatenate([np.broadcast_to(centres, shape), np.broadcast_to(sides, shape)], -1).reshape(-1, 4)
